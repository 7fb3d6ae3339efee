//! What RoiAlign and ReverseSequence must not take from other samples.
#![allow(clippy::unwrap_used)]

mod builder;

use builder::{import, linear, node};
use saddlescope_onnx::proto::NodeProto;

/// Why a model whose nodes after the layer `z` make `y` is refused.
fn refused(nodes: Vec<NodeProto>) -> String {
    import([vec![linear("x", "z")], nodes].concat()).err().unwrap_or_default()
}

#[test]
fn regions_lie_in_the_images_of_their_own_samples() {
    let picture = |indices: Vec<NodeProto>| {
        let mut nodes = vec![
            node("Unsqueeze", "", &["z"], "z3", &[("axes", 1)]),
            node("Unsqueeze", "", &["z3"], "z4", &[("axes", 1)]),
            node("Concat", "", &["x", "x"], "regions", &[("axis", 1)]),
        ];
        nodes.extend(indices);
        let size = [("output_height", 1), ("output_width", 2), ("sampling_ratio", 1)];
        nodes.push(node("RoiAlign", "regions", &["z4", "regions", "i"], "p", &size));
        nodes.push(node("Squeeze", "", &["p"], "p3", &[("axes", 1)]));
        nodes.push(node("Squeeze", "", &["p3"], "y", &[("axes", 1)]));
        nodes
    };
    let constant = |name: &str, n: i64| node("Constant", "", &[], name, &[("value_int", n)]);
    let range = |start: i64, step: i64| {
        vec![
            node("Shape", "", &["x"], "shape", &[]),
            constant("zero", 0),
            constant("start", start),
            constant("step", step),
            node("Gather", "", &["shape", "zero"], "n", &[("axis", 0)]),
            node("Mul", "", &["n", "step"], "span", &[]),
            node("Add", "", &["span", "start"], "end", &[]),
            node("Range", "", &["start", "end", "step"], "i", &[]),
        ]
    };
    assert_eq!(refused(picture(range(0, 1))), "");
    // Another sample's, and one that nobody knows before the data are there.
    let of_data = vec![
        node("ReduceSum", "", &["x"], "sum", &[("axes", 1), ("keepdims", 0)]),
        node("Cast", "", &["sum"], "i", &[("to", 7)]),
    ];
    for indices in [range(1, 1), range(0, 2), of_data] {
        let found = refused(picture(indices));
        assert!(found.contains("RoiAlign") && found.contains("--one-sample"), "{found}");
    }
}

#[test]
fn samples_are_not_reversed() {
    let reversed = |lengths: i64, time: i64| {
        vec![
            node("Constant", "", &[], "one", &[("value_ints", lengths)]),
            node("Concat", "", &["one", "one"], "two", &[("axis", 0)]),
            node(
                "ReverseSequence",
                "turn",
                &["z", "two"],
                "y",
                &[("time_axis", time), ("batch_axis", 1 - time)],
            ),
        ]
    };
    let found = refused(reversed(1, 0));
    assert!(found.contains("reverses the order of samples"), "{found}");
    let found = refused(reversed(1, 1));
    assert!(found.contains("lengths of shape [2] for"), "{found}");
}
