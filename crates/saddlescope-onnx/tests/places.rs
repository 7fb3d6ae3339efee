//! The places of maxima that MaxPool returns are counted within a sample: what would see the difference is refused.

mod builder;

use builder::{import, linear, node};
use saddlescope_onnx::proto::{AttributeProto, NodeProto};

/// z [n, 2] → the larger of both [n, 1, 1] and where it is.
fn pool() -> Vec<NodeProto> {
    let size = AttributeProto { name: "kernel_shape".into(), ints: vec![2], kind: 7, ..Default::default() };
    let mut pool = node("MaxPool", "pool", &["z1"], "m", &[]);
    pool.output.push("places".into());
    pool.attribute.push(size);
    vec![linear("x", "z"), node("Unsqueeze", "", &["z"], "z1", &[("axes", 1)]), pool]
}

fn with(more: Vec<NodeProto>) -> Result<(), String> {
    import(pool().into_iter().chain(more).collect()).map(|_| ())
}

#[test]
fn places_are_not_mixed_with_other_numbers() {
    let cast = node("Cast", "cast", &["places"], "y", &[("to", 1)]);
    let through_a_view = vec![
        node("Squeeze", "", &["places"], "p", &[("axes", 1)]),
        node("Cast", "cast", &["p"], "y", &[("to", 1)]),
    ];
    let joined = node("Concat", "joined", &["places", "places"], "y", &[("axis", 1)]);
    for nodes in [vec![cast], through_a_view, vec![joined]] {
        let name = nodes[nodes.len() - 1].name.clone();
        let refused = with(nodes).expect_err("refused");
        assert!(refused.contains("counts through the whole batch") && refused.contains(&name), "{refused}");
    }
    let output = node("Identity", "", &["places"], "y", &[]);
    let refused = with(vec![output]).expect_err("refused");
    assert!(refused.contains("counts through the whole batch"), "{refused}");
}

#[test]
fn places_that_nothing_takes_do_no_harm() {
    assert_eq!(with(vec![node("Squeeze", "", &["m"], "y", &[("axes", 1)])]), Ok(()));
}
