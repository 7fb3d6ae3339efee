//! Models whose inputs are one sample: the first axis counts the nodes of a graph.

mod builder;

use std::collections::BTreeMap;

use builder::{import_with, linear, node};
use saddlescope_data::{Dataset, InputTensor, Normalization, Targets};
use saddlescope_nn::network::LossKind;
use saddlescope_nn::risk::{Curvature, Risk, RiskOptions};
use saddlescope_onnx::proto::NodeProto;
use saddlescope_onnx::{ImportOptions, OnnxModel};

const X: [f64; 6] = [1.0, -0.5, 0.25, 2.0, -1.5, 0.75];
const TARGETS: [f64; 6] = [1.0, 0.0, -1.0, 0.5, 2.0, -0.25];

fn options() -> ImportOptions {
    ImportOptions {
        one_sample: true,
        sample_shapes: BTreeMap::from([("x".into(), vec![3, 2])]),
        ..ImportOptions::default()
    }
}

/// y = z + z₂, where z₂ is the last of the three nodes.
fn graph() -> Vec<NodeProto> {
    vec![
        linear("x", "z"),
        node("Constant", "", &[], "i", &[("value_ints", 2)]),
        node("Gather", "", &["z", "i"], "last", &[("axis", 0)]),
        node("Add", "", &["z", "last"], "y", &[]),
    ]
}

fn data(samples: usize) -> Dataset {
    let repeated = |v: &[f64]| v.iter().map(|&x| x as f32).cycle().take(6 * samples).collect::<Vec<f32>>();
    let x = InputTensor {
        name: "x".into(),
        shape_per_sample: vec![3, 2],
        values: repeated(&X).into(),
        integer: false,
    };
    let targets = Targets::Values { values: repeated(&TARGETS), shape: vec![3, 2] };
    Dataset::new(vec![x], targets, Normalization::none(), "test").expect("a data set")
}

fn risk(model: &OnnxModel) -> Risk<f64> {
    let prepared = model.prepare(&data(1)).expect("data");
    let loss = LossKind::SquaredError;
    let objective = model.network_for(loss).objective(loss, &prepared).expect("an objective");
    Risk::new(objective, RiskOptions { threads: 1, micro_batch: None, keep_bytes: 0 }).expect("a risk")
}

/// ½ Σ (y − t)² and its gradient, written out.
fn by_hand(w: &[f64]) -> (f64, Vec<f64>) {
    let row = |i: usize| [X[2 * i] + X[4], X[2 * i + 1] + X[5]];
    let (mut loss, mut gradient) = (0.0, vec![0.0; 4]);
    for i in 0..3 {
        for k in 0..2 {
            let x = row(i);
            let error = x[0] * w[k] + x[1] * w[2 + k] - TARGETS[2 * i + k];
            loss += 0.5 * error * error;
            gradient[k] += error * x[0];
            gradient[2 + k] += error * x[1];
        }
    }
    (loss, gradient)
}

#[test]
fn nodes_of_one_sample_may_look_at_each_other() {
    let model = import_with(graph(), &options()).expect("a model");
    let risk = risk(&model);
    let (mut gradient, mut hv) = ([0.0; 4], [0.0; 4]);
    let loss = risk.gradient(&model.theta, &mut gradient).loss;
    let (expected, slope) = by_hand(&model.theta);
    assert!((loss - expected).abs() < 1e-14 * expected, "{loss} and {expected}");
    // The loss is quadratic: H v is the difference of two gradients.
    let v = [1.0, -2.0, 0.5, 3.0];
    risk.at(&model.theta).product(Curvature::Hessian, &v, &mut hv).expect("a product");
    let moved: Vec<f64> = model.theta.iter().zip(v).map(|(t, v)| t + v).collect();
    for (i, there) in by_hand(&moved).1.into_iter().enumerate() {
        assert!((gradient[i] - slope[i]).abs() < 1e-13, "{gradient:?} and {slope:?}");
        assert!((hv[i] - (there - slope[i])).abs() < 1e-12, "{hv:?}");
    }
}

#[test]
fn without_the_option_they_are_samples_and_must_not() {
    let refused = import_with(graph(), &ImportOptions::default()).expect_err("refused");
    assert!(refused.contains("picks samples of the batch") && refused.contains("--one-sample"), "{refused}");
}

#[test]
fn there_is_one_sample_only() {
    let model = import_with(graph(), &options()).expect("a model");
    let refused = model.prepare(&data(2)).expect_err("refused").to_string();
    assert!(refused.contains("one sample; the data set has 2"), "{refused}");
}

#[test]
fn a_mean_of_the_models_own_is_the_loss() {
    let mut nodes = graph();
    nodes[3].output = vec!["s".into()];
    nodes.push(node("Mul", "", &["s", "s"], "square", &[]));
    nodes.push(node("ReduceMean", "", &["square"], "y", &[("keepdims", 0)]));
    let model = import_with(nodes, &options()).expect("a model");
    let prepared = model.prepare(&data(1)).expect("data");
    let objective =
        model.network_for(LossKind::Own).objective(LossKind::Own, &prepared).expect("an objective");
    let own = Risk::<f64>::new(objective, RiskOptions { threads: 1, micro_batch: None, keep_bytes: 0 })
        .expect("a risk");
    let mut gradient = [0.0; 4];
    let loss = own.gradient(&model.theta, &mut gradient).loss;
    // ½ Σ (y − 0)² is three times the mean of six squares.
    let (mut sum, w) = (0.0, &model.theta);
    for i in 0..3 {
        for k in 0..2 {
            let y = (X[2 * i] + X[4]) * w[k] + (X[2 * i + 1] + X[5]) * w[2 + k];
            sum += y * y;
        }
    }
    assert!((loss - sum / 6.0).abs() < 1e-14 * sum, "{loss} and {}", sum / 6.0);
}
