//! Models whose samples influence each other are refused, with the node that is to blame.

mod builder;

use builder::{import, linear, node, samples};
use saddlescope_data::Targets;
use saddlescope_onnx::proto::NodeProto;

fn prepare(nodes: Vec<NodeProto>, count: usize) -> Result<(), String> {
    import(nodes)?.prepare(&samples(count, Targets::None)).map(|_| ()).map_err(|e| e.to_string())
}

#[test]
fn a_mean_over_the_batch_is_refused_by_name() {
    let nodes = vec![
        linear("x", "h"),
        node("Tanh", "act", &["h"], "a", &[]),
        node("ReduceMean", "mix_the_batch", &["a"], "m", &[("axes", 0), ("keepdims", 1)]),
        node("Sub", "centre", &["a", "m"], "y", &[]),
    ];
    let error = prepare(nodes.clone(), 5).expect_err("samples are coupled");
    assert!(error.contains("changes with the other samples") && error.contains("`mix_the_batch`"), "{error}");
    // One sample has no other to be influenced by.
    prepare(nodes, 1).expect("a single sample");
}

#[test]
fn a_softmax_over_the_batch_is_refused_by_name() {
    let nodes = vec![linear("x", "h"), node("Softmax", "over_samples", &["h"], "y", &[("axis", 0)])];
    let error = prepare(nodes, 3).expect_err("samples are coupled");
    assert!(error.contains("`over_samples`"), "{error}");
}

#[test]
fn data_that_are_centred_over_the_batch_are_refused_by_name() {
    let nodes = vec![
        node("ReduceMean", "", &["x"], "m", &[("axes", 0), ("keepdims", 1)]),
        node("Sub", "", &["x", "m"], "centred", &[]),
        linear("centred", "y"),
    ];
    let error = prepare(nodes, 3).expect_err("samples are coupled");
    assert!(error.contains("mixes the samples") && error.contains("`centred`"), "{error}");
}

#[test]
fn a_mean_over_the_columns_is_fine() {
    let nodes = vec![
        linear("x", "h"),
        node("ReduceMean", "", &["h"], "m", &[("axes", 1), ("keepdims", 1)]),
        node("Sub", "", &["h", "m"], "y", &[]),
    ];
    prepare(nodes, 3).expect("samples are independent");
}
