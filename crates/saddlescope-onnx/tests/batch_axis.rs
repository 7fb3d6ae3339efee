//! Inputs and outputs whose samples are counted by another axis than the first.

mod builder;

use std::collections::BTreeMap;

use builder::{import, import_with, linear, node, samples};
use saddlescope_data::Targets;
use saddlescope_nn::network::LossKind;
use saddlescope_nn::risk::{Risk, RiskOptions};
use saddlescope_onnx::{ImportOptions, OnnxModel};

/// Loss and gradient of the squared error on three samples.
fn squared_error(model: &OnnxModel) -> (f64, [f64; 4]) {
    let data = samples(3, Targets::Values { values: vec![1.0, -1.0, 0.5, 2.0, 0.0, 3.0], shape: vec![2] });
    let prepared = model.prepare(&data).expect("data");
    let loss = LossKind::SquaredError;
    let objective = model.network_for(loss).objective(loss, &prepared).expect("an objective");
    let options = RiskOptions { threads: 1, micro_batch: None, keep_bytes: 0 };
    let mut gradient = [0.0; 4];
    let loss =
        Risk::<f64>::new(objective, options).expect("a risk").gradient(&model.theta, &mut gradient).loss;
    (loss, gradient)
}

#[test]
fn samples_may_be_columns() {
    let usual = squared_error(&import(vec![linear("x", "y")]).expect("a model"));
    // The file takes the transposed input and returns the transposed output.
    let options = ImportOptions {
        batch_axes: BTreeMap::from([("x".into(), 1)]),
        sample_shapes: BTreeMap::from([("x".into(), vec![2])]),
        ..ImportOptions::default()
    };
    let columns = import_with(
        vec![
            node("Transpose", "", &["x"], "rows", &[]),
            linear("rows", "z"),
            node("Transpose", "", &["z"], "y", &[]),
        ],
        &options,
    );
    assert_eq!(squared_error(&columns.expect("a model")), usual);
    let absent = ImportOptions { batch_axes: BTreeMap::from([("x".into(), 2)]), ..options };
    let refused = import_with(vec![linear("x", "y")], &absent).expect_err("refused");
    assert!(refused.contains("axis 2 is to count the samples"), "{refused}");
}

#[test]
fn names_that_are_given_are_the_parameters() {
    let given = |name: &str| ImportOptions {
        parameters: Some([name.to_string()].into()),
        ..ImportOptions::default()
    };
    let model = import_with(vec![linear("x", "y")], &given("layer.weight")).expect("a model");
    assert_eq!(model.theta.len(), 4);
    let refused = import_with(vec![linear("x", "y")], &given("other")).expect_err("refused");
    assert!(
        refused.contains("does not depend on any parameter") && refused.contains("`layer.weight`"),
        "{refused}"
    );
}

#[test]
fn a_file_that_says_nothing_is_noted() {
    let model = import(vec![linear("x", "y")]).expect("a model");
    assert!(
        model.notes.iter().any(|n| n.contains("assumed to be parameters: `layer.weight`")),
        "{:?}",
        model.notes
    );
}

#[test]
fn random_numbers_are_refused_with_advice() {
    let nodes = vec![
        linear("x", "z"),
        node("RandomNormalLike", "", &["z"], "e", &[]),
        node("Add", "", &["z", "e"], "y", &[]),
    ];
    let refused = import(nodes).expect_err("refused");
    assert!(refused.contains("no function of the parameters"), "{refused}");
}
