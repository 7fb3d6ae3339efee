//! What a model ends in decides where the loss begins.

mod builder;

use builder::{import, linear, node, samples};
use saddlescope_data::Targets;
use saddlescope_nn::network::LossKind;
use saddlescope_nn::risk::{Risk, RiskOptions};
use saddlescope_onnx::Ending;
use saddlescope_onnx::proto::NodeProto;

/// Mean cross-entropy on four samples.
fn cross_entropy(nodes: Vec<NodeProto>, ending: Ending) -> f64 {
    let model = import(nodes).expect("a model");
    assert_eq!(model.ending, ending);
    let data = samples(4, Targets::Classes { labels: vec![0, 1, 1, 0], classes: 2 });
    let loss = model.suggest_loss(&data).expect("a loss").loss;
    assert_eq!(loss, LossKind::CrossEntropy);
    let prepared = model.prepare(&data).expect("data");
    let objective = model.network_for(loss).objective(loss, &prepared).expect("an objective");
    let options = RiskOptions { threads: 1, micro_batch: None, keep_bytes: 0 };
    Risk::<f64>::new(objective, options).expect("a risk").gradient(&model.theta, &mut [0.0; 4]).loss
}

/// exp(z − max z) / Σ exp(z − max z) in single operations, summed over `axis`.
fn written_out(axis: i64) -> Vec<NodeProto> {
    vec![
        linear("x", "z"),
        node("ReduceMax", "", &["z"], "m", &[("axes", 1), ("keepdims", 1)]),
        node("Sub", "", &["z", "m"], "shifted", &[]),
        node("Exp", "", &["shifted"], "e", &[]),
        node("ReduceSum", "", &["e"], "s", &[("axes", axis), ("keepdims", 1)]),
        node("Div", "", &["e", "s"], "y", &[]),
    ]
}

#[test]
fn a_softmax_in_single_operations_is_left_to_the_loss() {
    let logits = cross_entropy(vec![linear("x", "y")], Ending::Plain);
    let softmax = cross_entropy(
        vec![linear("x", "z"), node("Softmax", "", &["z"], "y", &[("axis", 1)])],
        Ending::Softmax,
    );
    let single = cross_entropy(written_out(1), Ending::Softmax);
    assert_eq!(logits, softmax);
    // The shift by the maximum is rounded.
    assert!((single - logits).abs() < 1e-14 * logits, "{single} and {logits}");
    let mut named = written_out(-1);
    named[5].output = vec!["p".into()];
    named.push(node("Identity", "", &["p"], "y", &[]));
    assert_eq!(import(named).expect("a model").ending, Ending::Softmax);
}

#[test]
fn a_quotient_that_is_no_softmax_is_the_output() {
    // Divided by the sum of something else.
    let mut nodes = written_out(1);
    nodes[4].input = vec!["shifted".into()];
    assert_eq!(import(nodes).expect("a model").ending, Ending::Plain);
    // Summed over the samples.
    assert_eq!(import(written_out(0)).expect("a model").ending, Ending::Plain);
}
