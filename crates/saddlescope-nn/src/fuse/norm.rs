//! Root-mean-square normalisation written out: γ x / √(mean(x²) + ε) over the last axis.

use super::{constant, made_by, power, readers};
use crate::graph::{Graph, Node, Source, ValueId};
use crate::ops::RmsNorm;

/// Whether the node is the end of such a chain: x, γ if the node multiplies by it, and the operation.
pub(super) fn rms_norm(graph: &Graph, shapes: &[Vec<usize>], node: &Node) -> Option<(Vec<ValueId>, RmsNorm)> {
    if let Some((x, op)) = without_weight(graph, shapes, node) {
        return Some((vec![x], op));
    }
    let [a, b] = node.inputs[..] else { return None };
    if node.op.name() != "Mul" {
        return None;
    }
    [(a, b), (b, a)].into_iter().find_map(|(gamma, inner)| {
        let Source::Node(i) = graph.source(inner) else { return None };
        let (x, op) = without_weight(graph, shapes, &graph.nodes()[i])?;
        let fits = matches!(graph.source(gamma), Source::Parameter(_) | Source::Buffer(_))
            && shapes[gamma.index()] == [*shapes[x.index()].last()?]
            && readers(graph, inner) == 1;
        fits.then(|| (vec![x, gamma], op))
    })
}

/// x and the operation, if the node is x / √(mean(x²) + ε).
fn without_weight(graph: &Graph, shapes: &[Vec<usize>], node: &Node) -> Option<(ValueId, RmsNorm)> {
    let [a, b] = node.inputs[..] else { return None };
    let (choices, root): (&[(ValueId, ValueId)], _) = match node.op.name() {
        "Mul" => (&[(a, b), (b, a)], true),
        "Div" => (&[(a, b)], false),
        _ => return None,
    };
    choices.iter().find_map(|&(x, scale)| {
        let scale = if root { made_by(graph, scale, "Reciprocal", 1)?.inputs[0] } else { scale };
        let sum = made_by(graph, made_by(graph, scale, "Sqrt", 1)?.inputs[0], "Add", 2)?;
        let [p, q] = sum.inputs[..] else { return None };
        let (mean, eps) =
            constant(graph, q).map(|eps| (p, eps)).or_else(|| constant(graph, p).map(|eps| (q, eps)))?;
        let squares = made_by(graph, mean, "ReduceMean", 1)?.inputs[0];
        let (square, times) = power(graph, squares)?;
        // The last axis, which stays with one entry.
        let (&last, outer) = shapes[x.index()].split_last()?;
        let reduced = [outer, &[1]].concat();
        let fits = times == 2
            && square.inputs[0] == x
            && eps >= 0.0
            && !outer.is_empty()
            && last > 1
            && shapes[mean.index()] == reduced;
        fits.then_some((x, RmsNorm { axis: -1, eps }))
    })
}

#[cfg(test)]
mod tests {
    use super::super::fused;
    use super::*;
    use crate::graph::DataInput;
    use crate::ops::{self, Reduce, Reduction};

    /// The chain over one axis of `[batch, 3, 4]`, with a weight of `width` entries.
    fn chain(axis: i64, width: usize) -> (Graph, ValueId, ValueId, ValueId) {
        let mut g = Graph::new();
        let x = g.data(DataInput { name: "x".into(), shape: vec![3, 4], permutation: None });
        let eps = g.buffer("eps", &[], vec![1e-6]);
        let gamma = g.buffer("gamma", &[width], vec![2.0; width]);
        let square = g.node("square", ops::PowConst::new(2.0), &[x]);
        let mean = g.node("mean", Reduce::new(Reduction::Mean, &[axis], true), &[square]);
        let sum = g.node("sum", ops::Add, &[mean, eps]);
        let root = g.node("root", ops::Sqrt, &[sum]);
        let r = g.node("r", ops::Reciprocal, &[root]);
        let normal = g.node("normal", ops::Mul, &[x, r]);
        let y = g.node("y", ops::Mul, &[gamma, normal]);
        (g, x, gamma, y)
    }

    #[test]
    fn the_chain_becomes_one_operation() {
        let (g, x, gamma, y) = chain(-1, 4);
        let f = fused(&g, 2).unwrap();
        let node = f.nodes().iter().find(|n| n.output == y).unwrap();
        assert_eq!(format!("{:?}", node.op), format!("{:?}", RmsNorm { axis: -1, eps: 1e-6 }));
        assert_eq!(node.inputs, [x, gamma]);
    }

    #[test]
    fn other_axes_and_weights_are_left_alone() {
        for (axis, width) in [(1, 4), (-1, 1)] {
            let (g, _, _, y) = chain(axis, width);
            let f = fused(&g, 2).unwrap();
            let node = f.nodes().iter().find(|n| n.output == y).unwrap();
            assert_eq!(node.op.name(), "Mul", "axis {axis}, {width} weights");
        }
    }
}
