//! Networks exported by PyTorch against PyTorch's own loss, gradient and Hessian-vector product in f64.
//!
//! The models and reference values in `fixtures/onnx` are written by `scripts/export_fixtures.py`: every network once by the
//! newer exporter (`NAME.onnx`) and once by the older one (`NAME_legacy.onnx`). Weights are the file's 32-bit numbers on both
//! sides, the arithmetic is f64 on both sides.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use saddlescope_data::{Dataset, InputTensor, Normalization, Targets};
use saddlescope_nn::graph::{Parameter, ParameterKind};
use saddlescope_nn::network::LossKind;
use saddlescope_nn::risk::{Curvature, Risk, RiskOptions};
use saddlescope_onnx::{Ending, ImportOptions, OnnxModel};
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx")
}

fn numbers(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn sizes(v: &Value) -> Vec<usize> {
    v.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as usize).collect()
}

fn dataset(reference: &Value, outputs: usize) -> Dataset {
    let inputs: Vec<InputTensor> = reference["inputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| InputTensor {
            name: i["name"].as_str().unwrap().into(),
            shape_per_sample: sizes(&i["shape"]),
            values: numbers(&i["values"]).iter().map(|&x| x as f32).collect(),
            integer: i["integer"].as_bool().unwrap(),
        })
        .collect();
    let kind = reference["loss_kind"].as_str().unwrap();
    let samples = inputs[0].values.len() / inputs[0].values_per_sample();
    let targets = match kind {
        "own" => Targets::None,
        "mse" => {
            let values: Vec<f32> = numbers(&reference["target"]).iter().map(|&x| x as f32).collect();
            let shape = vec![values.len() / samples];
            Targets::Values { values, shape }
        }
        "lm" => {
            let labels: Vec<i64> = numbers(&reference["target"]).iter().map(|&x| x as i64).collect();
            Targets::ClassesPerPosition { positions: labels.len() / samples, labels, classes: outputs }
        }
        _ => Targets::Classes {
            labels: numbers(&reference["target"]).iter().map(|&x| x as u32).collect(),
            classes: outputs,
        },
    };
    Dataset::new(inputs, targets, Normalization::none(), "fixture").unwrap()
}

/// Where a parameter of the file comes from in PyTorch, and whether it is transposed. Exporters rename some: they are then
/// found by their shape, in order.
fn assign(reference: &Value, parameters: &[Parameter]) -> Vec<(usize, bool)> {
    let theirs: Vec<(String, Vec<usize>)> = reference["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["name"].as_str().unwrap().into(), sizes(&p["shape"])))
        .collect();
    let mut taken = vec![false; theirs.len()];
    let mut found: Vec<Option<(usize, bool)>> = parameters
        .iter()
        .map(|p| {
            let i = theirs.iter().position(|(name, shape)| *name == p.name && *shape == p.shape)?;
            taken[i] = true;
            Some((i, false))
        })
        .collect();
    // A table of which the exporter has picked all rows may have got an axis of length 1.
    let long = |shape: &[usize]| shape.iter().copied().filter(|&d| d != 1).collect::<Vec<_>>();
    for (p, slot) in parameters.iter().zip(&mut found) {
        if slot.is_none() {
            let reversed: Vec<usize> = p.shape.iter().rev().copied().collect();
            let transposed = p.kind == ParameterKind::LinearWeightTransposed;
            let wanted = if transposed { &reversed } else { &p.shape };
            let i = (0..theirs.len()).find(|&i| !taken[i] && long(&theirs[i].1) == long(wanted));
            let i = i.unwrap_or_else(|| panic!("no PyTorch parameter for {} {:?}", p.name, p.shape));
            taken[i] = true;
            *slot = Some((i, transposed));
        }
    }
    let missing: Vec<&str> = (0..theirs.len()).filter(|&i| !taken[i]).map(|i| theirs[i].0.as_str()).collect();
    assert!(missing.is_empty(), "PyTorch parameters not in the model: {missing:?}");
    found.into_iter().map(Option::unwrap).collect()
}

/// The probe vᵢ = sin(1 + i/10)/‖·‖ of PyTorch's order, in the order of the model.
fn probe(reference: &Value, parameters: &[Parameter]) -> Vec<f64> {
    let n = reference["count"].as_u64().unwrap() as usize;
    let mut v: Vec<f64> = (0..n).map(|i| (1.0 + 0.1 * i as f64).sin()).collect();
    let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
    v.iter_mut().for_each(|x| *x /= norm);
    let mut starts = vec![0];
    for p in reference["parameters"].as_array().unwrap() {
        starts.push(starts.last().unwrap() + sizes(&p["shape"]).iter().product::<usize>());
    }
    let mut out = Vec::with_capacity(n);
    for (p, (i, transposed)) in parameters.iter().zip(assign(reference, parameters)) {
        let part = &v[starts[i]..starts[i + 1]];
        if transposed {
            let (rows, columns) = (p.shape[0], p.shape[1]);
            out.extend((0..rows * columns).map(|k| part[k % columns * rows + k / columns]));
        } else {
            out.extend(part);
        }
    }
    out
}

fn close(name: &str, what: &str, found: f64, wanted: f64, tolerance: f64) {
    let error = (found - wanted).abs() / wanted.abs().max(1e-3);
    assert!(
        error < tolerance,
        "{name}: {what} is {found}, PyTorch says {wanted} (relative difference {error:e})"
    );
}

fn check(name: &str, model_file: &str) {
    let path = folder().join(format!("{model_file}.onnx"));
    let text = std::fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
    let reference: Value = serde_json::from_str(&text).unwrap();
    let kind = reference["loss_kind"].as_str().unwrap();
    let outputs = 1 + reference["target"]
        .as_array()
        .map_or(0, |t| t.iter().map(|x| x.as_f64().unwrap() as usize).max().unwrap());
    let dataset = dataset(&reference, outputs);
    let model = OnnxModel::load(&path, &ImportOptions::for_dataset(&dataset))
        .unwrap_or_else(|e| panic!("{model_file}: {e}"));
    let loss = match kind {
        "own" => LossKind::Own,
        "mse" => LossKind::SquaredError,
        _ => LossKind::CrossEntropy,
    };
    match kind {
        "own" => assert_eq!(model.ending, Ending::Loss, "{model_file}"),
        "softmax" => assert_eq!(model.ending, Ending::Softmax, "{model_file}"),
        _ => {}
    }
    let prepared = model.prepare(&dataset).unwrap_or_else(|e| panic!("{model_file}: {e}"));
    let objective =
        model.network_for(loss).objective(loss, &prepared).unwrap_or_else(|e| panic!("{model_file}: {e}"));
    let v = probe(&reference, model.network.graph.parameters());
    assert_eq!(v.len(), model.theta.len(), "{model_file}");
    let options = RiskOptions { threads: 2, micro_batch: Some(4), keep_bytes: 0 };
    let risk = Risk::<f64>::new(objective, options).unwrap_or_else(|e| panic!("{model_file}: {e}"));
    let mut gradient = vec![0.0; v.len()];
    let evaluation = risk.gradient(&model.theta, &mut gradient);
    let mut hv = vec![0.0; v.len()];
    risk.at(&model.theta).product(Curvature::Hessian, &v, &mut hv).unwrap();
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    // Both sides compute in f64 from the same 32-bit numbers; constants in the file (ε, scales, the probe's path through the
    // exporter) are rounded to f32, which leaves 1e-6.
    close(model_file, "the loss", evaluation.loss, reference["loss"].as_f64().unwrap(), 1e-6);
    close(
        model_file,
        "the gradient norm",
        norm(&gradient),
        reference["gradient_norm"].as_f64().unwrap(),
        1e-6,
    );
    let vhv = v.iter().zip(&hv).map(|(a, b)| a * b).sum::<f64>();
    close(model_file, "‖Hv‖", norm(&hv), reference["hv_norm"].as_f64().unwrap(), 2e-6);
    close(model_file, "vᵀHv", vhv, reference["vhv"].as_f64().unwrap(), 1e-5);
}

macro_rules! fixtures {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            for file in [stringify!($name).to_string(), concat!(stringify!($name), "_legacy").to_string()] {
                if folder().join(format!("{file}.onnx")).is_file() {
                    check(stringify!($name), &file);
                }
            }
        })*
    };
}

fixtures! {
    mlp_regression pinn_tanh mlp_softmax resnet vgg densenet mobilenet efficientnet convnext vit bert gpt_loss gpt_logits
    hf_bert
}

#[test]
fn all_networks_are_there() {
    let count = std::fs::read_dir(folder())
        .unwrap()
        .filter(|f| f.as_ref().unwrap().path().extension().is_some_and(|e| e == "onnx"))
        .count();
    assert!(count >= 28, "{count} models");
}
