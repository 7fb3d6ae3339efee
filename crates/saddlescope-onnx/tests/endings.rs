//! What a model ends in decides where the loss begins.

mod builder;

use builder::{import, linear, node, samples};
use saddlescope_data::{Dataset, InputTensor, Normalization, Targets};
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

#[test]
fn targets_between_0_and_1_are_no_squared_error_without_a_word() {
    let values = |values: &[f32]| Targets::Values { values: values.to_vec(), shape: vec![2] };
    let suggested = |nodes: Vec<NodeProto>, targets: Targets| {
        let model = import(nodes).expect("a model");
        model.suggest_loss(&samples(2, targets)).map(|s| (s.loss, s.guess)).map_err(|e| e.to_string())
    };
    let plain = || vec![linear("x", "y")];
    let softmax = || vec![linear("x", "z"), node("Softmax", "", &["z"], "y", &[("axis", 1)])];
    // Rows that sum to 1 are weights of classes, and the suggestion says that it is a guess.
    let rows = [0.25, 0.75, 1.0, 0.0];
    assert_eq!(suggested(plain(), values(&rows)), Ok((LossKind::SoftCrossEntropy, true)));
    assert_eq!(suggested(softmax(), values(&rows)), Ok((LossKind::SoftCrossEntropy, true)));
    // Zeros and ones that are no rows of weights could be several losses: one must be named.
    let asked = suggested(plain(), values(&[0.0, 1.0, 1.0, 1.0])).expect_err("several losses fit");
    assert!(asked.contains("must be named") && asked.contains("`bce`") && asked.contains("`mse`"), "{asked}");
    // Any other numbers are a squared error, also a guess.
    assert_eq!(suggested(plain(), values(&[0.5, 2.0, -1.0, 0.0])), Ok((LossKind::SquaredError, true)));
}

#[test]
fn an_array_that_the_network_does_not_take_is_named() {
    let model = import(vec![linear("x", "y")]).expect("a model");
    let known = samples(2, Targets::None);
    assert_eq!(model.data_notes(&known), Vec::<String>::new());
    let mut inputs = known.inputs().to_vec();
    inputs.push(InputTensor { name: "z".into(), ..inputs[0].clone() });
    let more = Dataset::new(inputs, Targets::None, Normalization::none(), "test").expect("a data set");
    assert_eq!(model.data_notes(&more), ["the network does not take the data set's `z`"]);
}
