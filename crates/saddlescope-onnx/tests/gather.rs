//! GatherND with indices known at import, as newer exporters write adaptive pooling.

mod builder;

use builder::{import, linear, node, samples};
use saddlescope_data::Targets;
use saddlescope_nn::network::LossKind;
use saddlescope_nn::risk::{Risk, RiskOptions};
use saddlescope_onnx::proto::NodeProto;

/// Loss and gradient of the squared error with the column doubled by `pick`, which makes `p` [n] of `z` [n, 2].
fn squared_error(pick: Vec<NodeProto>) -> (f64, [f64; 4]) {
    let mut nodes = vec![linear("x", "z")];
    nodes.extend(pick);
    nodes.push(node("Unsqueeze", "", &["p"], "column", &[("axes", 1)]));
    nodes.push(node("Concat", "", &["column", "column"], "y", &[("axis", 1)]));
    let model = import(nodes).expect("a model");
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

fn gather_nd(index: i64) -> Vec<NodeProto> {
    vec![
        node("Transpose", "", &["z"], "zt", &[]),
        node("Constant", "", &[], "i", &[("value_ints", index)]),
        node("GatherND", "", &["zt", "i"], "p", &[]),
    ]
}

#[test]
fn it_picks_what_a_sum_of_the_other_column_leaves() {
    // The second column is the sum of both less the first.
    let sum = |name: &str| node("ReduceSum", "", &["z"], name, &[("axes", 1), ("keepdims", 0)]);
    let mut other = gather_nd(0);
    other[2].output = vec!["first".into()];
    other.push(sum("s"));
    other.push(node("Sub", "", &["s", "first"], "p", &[]));
    let (loss, gradient) = squared_error(gather_nd(1));
    let (by_sum, gradient_by_sum) = squared_error(other);
    // Rounding of a few sums.
    assert!((loss - by_sum).abs() < 1e-13 * loss, "{loss} and {by_sum}");
    assert!(gradient.iter().zip(&gradient_by_sum).all(|(a, b)| (a - b).abs() < 1e-12), "{gradient:?}");
    assert_eq!((loss, gradient), squared_error(gather_nd(-1)));
    // Only the second column of the weight is used.
    assert_eq!([gradient[0], gradient[2]], [0.0, 0.0]);
}

/// The column `column` of `z`, picked out of the flattened batch by index 2 n + column, as PyTorch writes `as_strided`.
fn strided(column: i64) -> Vec<NodeProto> {
    let number = |name: &str, n: i64| node("Constant", "", &[], name, &[("value_int", n)]);
    vec![
        node("Shape", "", &["x"], "shape", &[]),
        node("Constant", "", &[], "first", &[("value_int", 0)]),
        node("Gather", "", &["shape", "first"], "n", &[("axis", 0)]),
        number("zero", 0),
        number("one", 1),
        number("two", 2),
        number("place", column),
        node("Range", "", &["zero", "n", "one"], "row", &[]),
        node("Mul", "", &["row", "two"], "start", &[]),
        node("Add", "", &["start", "place"], "i", &[]),
        node("Constant", "", &[], "all", &[("value_ints", -1)]),
        node("Reshape", "", &["z", "all"], "flat", &[]),
        node("Gather", "", &["flat", "i"], "p", &[("axis", 0)]),
    ]
}

#[test]
fn entries_of_a_flattened_batch_stay_with_their_samples() {
    assert_eq!(squared_error(strided(1)), squared_error(gather_nd(1)));
    assert_eq!(squared_error(strided(0)), squared_error(gather_nd(0)));
    // Index 2 n + 2 belongs to the next sample.
    let nodes = [vec![linear("x", "z")], strided(2)].concat();
    let mut nodes: Vec<NodeProto> = nodes;
    nodes[13].output = vec!["y".into()];
    assert!(import(nodes).expect_err("refused").contains("picks samples of the batch"));
}

#[test]
fn it_is_refused_outside_the_tensor_and_over_the_batch() {
    let refusal =
        |nodes: Vec<NodeProto>| import([vec![linear("x", "z")], nodes].concat()).expect_err("refused");
    let mut outside = gather_nd(2);
    outside[2].output = vec!["y".into()];
    assert!(refusal(outside).contains("index 2 into a dimension of length 2"));
    let mut samples = gather_nd(0);
    samples[2].input[0] = "z".into();
    samples[2].output = vec!["y".into()];
    assert!(refusal(samples).contains("picks samples of the batch"));
}
