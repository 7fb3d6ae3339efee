//! Reference values made with PyTorch on real weights and real images (see the README beside them). They are not part of
//! the repository: without them these tests say so and pass.

mod common;

use std::sync::Arc;

use common::dot;
use saddlescope_data::weights::TensorMap;
use saddlescope_data::{DataSource, Normalization, Split};
use saddlescope_nn::network::LossKind;
use saddlescope_nn::op::Element;
use saddlescope_nn::risk::{Curvature, Numbers, Risk, RiskOptions};
use saddlescope_nn::zoo;
use saddlescope_test_support::shared_file as shared;

/// (x − mean)/deviation of images `[n, 3, 32, 32]` whose values are multiples of 1/255, as the references have it: in f64,
/// with mean and deviation rounded to f32.
fn normalised(images: &[f32]) -> Vec<f64> {
    let (mean, std) = ([0.485_f32, 0.456, 0.406], [0.229_f32, 0.224, 0.225]);
    (images.iter().enumerate())
        .map(|(i, &x)| {
            let channel = i / 1024 % 3;
            ((f64::from(x) * 255.0).round() / 255.0 - f64::from(mean[channel])) / f64::from(std[channel])
        })
        .collect()
}

struct Case {
    oracle: &'static str,
    model: &'static str,
    weights: &'static str,
    samples: usize,
    batch_statistics: bool,
}

/// Compares loss, gradient, Hessian and Gauss–Newton products along vᵢ = sin(1 + 0.1 i)/‖·‖ with the oracle.
/// `tolerance` is relative to the norm of each vector (or to the number itself).
fn check<T: Element>(case: &Case, tolerance: f64) {
    let (Some(oracle), Some(weights), Some(data)) = (
        shared(&format!("oracles/{}.json", case.oracle)),
        shared(&format!("weights/{}.safetensors", case.weights)),
        shared("data/cifar-10-batches-bin"),
    ) else {
        return;
    };
    let oracle: serde_json::Value = serde_json::from_slice(&std::fs::read(oracle).unwrap()).unwrap();
    let probe = if oracle.get("probe").is_some() { &oracle["probe"] } else { &oracle };
    let mut network = zoo::by_name(case.model).unwrap();
    let theta = network.load(&TensorMap::read(&weights).unwrap()).unwrap();
    network.use_batch_statistics(case.batch_statistics);
    let data = DataSource::parse(&format!("cifar10:{}", data.display()))
        .unwrap()
        .load(Split::Test, Some(0..case.samples), Some(Normalization::none()))
        .unwrap();
    let mut objective = network.objective(LossKind::CrossEntropy, &data).unwrap();
    // The references normalise in f64; a data set holds f32, which would cost eight digits.
    objective.data[0] = Numbers::F64(Arc::new(normalised(&data.inputs()[0].values.all().unwrap())));
    let risk = Risk::<T>::new(objective, RiskOptions::default()).unwrap();
    let n = risk.dim();

    let close = |name: &str, found: f64, expected: &serde_json::Value, scale: f64| {
        let expected = expected.as_f64().unwrap();
        assert!(
            (found - expected).abs() <= tolerance * scale.max(expected.abs()),
            "{}: {name} is {found}, PyTorch has {expected}",
            case.oracle
        );
    };
    let first = |name: &str, found: &[f64], scale: f64| {
        for (i, expected) in probe[name].as_array().into_iter().flatten().enumerate() {
            close(&format!("{name}[{i}]"), found[i], expected, scale);
        }
    };
    let mut gradient = vec![0.0; n];
    let evaluation = risk.gradient(&theta, &mut gradient);
    let norm = |v: &[f64]| dot(v, v).sqrt();
    close("loss", evaluation.loss, &oracle["loss"], 0.0);
    close("gradient norm", norm(&gradient), &oracle["gradient_norm"], 0.0);
    first("gradient_first8", &gradient, norm(&gradient));

    let mut v: Vec<f64> = (0..n).map(|i| (1.0 + 0.1 * i as f64).sin()).collect();
    let length = norm(&v);
    v.iter_mut().for_each(|x| *x /= length);
    let point = risk.at(&theta);
    let mut hv = vec![0.0; n];
    point.product(Curvature::Hessian, &v, &mut hv).unwrap();
    close("vHv", dot(&v, &hv), &probe["vHv"], norm(&hv));
    close("Hv norm", norm(&hv), &probe["Hv_norm"], 0.0);
    first("Hv_first8", &hv, norm(&hv));
    if probe.get("Hv_last8").is_some() {
        first("Hv_last8", &hv[n - 8..], norm(&hv));
    }
    if probe.get("vGv").is_some() {
        let mut gv = vec![0.0; n];
        point.product(Curvature::GaussNewton, &v, &mut gv).unwrap();
        close("vGv", dot(&v, &gv), &probe["vGv"], norm(&gv));
        close("Gv norm", norm(&gv), &probe["Gv_norm"], 0.0);
    }
}

/// The references are good to 1e-10; the order of our sums differs, which a hundred layers amplify a little.
const DOUBLE: f64 = 1e-9;

const RESNET20: Case = Case {
    oracle: "probe-resnet20-option-a-test-64-float64-eval",
    model: "resnet20-a",
    weights: "resnet20-option-a",
    samples: 64,
    batch_statistics: false,
};

#[test]
fn resnet20_in_double_precision() {
    // See DOUBLE.
    check::<f64>(&RESNET20, DOUBLE);
}

#[test]
fn resnet20_in_single_precision() {
    // f32: 6e-8 a rounding, several thousand of them in a row of layers and sums.
    check::<f32>(&RESNET20, 2e-4);
}

#[test]
fn resnet20_with_batch_statistics() {
    let case =
        Case { oracle: "probe-resnet20-option-a-test-64-float64-train", batch_statistics: true, ..RESNET20 };
    check::<f64>(&case, DOUBLE);
}

#[test]
fn resnet56_with_projections_in_double_precision() {
    let case = Case {
        oracle: "probe-resnet56-option-b-test-64-float64-eval",
        model: "resnet56-b",
        weights: "resnet56-option-b",
        ..RESNET20
    };
    check::<f64>(&case, DOUBLE);
}

#[test]
fn resnet56_with_padding_in_single_precision() {
    // The reference itself is f32 (PyTorch's f32 product differs from f64 by 5e-5 on this network).
    let case = Case {
        oracle: "resnet56-option-a-test-128-float32",
        model: "resnet56-a",
        weights: "resnet56-option-a",
        samples: 128,
        batch_statistics: false,
    };
    check::<f32>(&case, 5e-4);
}

#[test]
fn densenet121_in_double_precision() {
    let case = Case {
        oracle: "probe-densenet121-test-16-float64-eval",
        model: "densenet121",
        weights: "densenet121",
        samples: 16,
        batch_statistics: false,
    };
    check::<f64>(&case, DOUBLE);
}
