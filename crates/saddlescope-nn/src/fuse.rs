//! Operations that a file writes as a chain of small ones, put together: fewer passes over memory, fewer values to keep.
//!
//! Only the node at the end of a chain changes: it reads the chain's input. What is in between is no longer needed, and is left
//! out when the graph is compiled, unless something else reads it. Values keep their numbers.

mod norm;

use std::sync::Arc;

use crate::graph::{Graph, GraphError, Node, Source, ValueId};
use crate::op::{IntoOp, numel};
use crate::ops::{Gelu, GeluWith, Silu};

/// Longest chain of products that is followed.
const DEPTH: usize = 8;

/// The graph with all chains put together that are known: the Gaussian error linear unit, by error function or by tanh, x σ(x),
/// root-mean-square normalisation, and a fully connected layer with the bias that is added to it. `batch` is a number of samples that the graph takes, two where it may.
pub(crate) fn fused(graph: &Graph, batch: usize) -> Result<Graph, GraphError> {
    let shapes = graph.infer_shapes(batch)?;
    let mut fused = graph.clone();
    for (i, node) in graph.nodes().iter().enumerate() {
        if let Some((x, op)) = gelu(graph, node)
            && shapes[x.index()] == shapes[node.output.index()]
        {
            let node = &mut fused.nodes_mut()[i];
            (node.op, node.inputs) = (op.into_op(), vec![x]);
        }
        if let Some(x) = silu(graph, node) {
            let node = &mut fused.nodes_mut()[i];
            (node.op, node.inputs) = (Arc::new(Silu), vec![x]);
        }
        if let Some((inputs, op)) = norm::rms_norm(graph, &shapes, node) {
            let node = &mut fused.nodes_mut()[i];
            (node.op, node.inputs) = (Arc::new(op), inputs);
        }
        if let Some((layer, bias)) = with_bias(graph, &shapes, node) {
            let node = &mut fused.nodes_mut()[i];
            (node.op, node.inputs) = (layer.op.clone(), [&layer.inputs[..], &[bias]].concat());
        }
    }
    Ok(fused)
}

/// The node that makes a value, if it is an operation of this name with this many inputs.
fn made_by<'g>(graph: &'g Graph, value: ValueId, name: &str, inputs: usize) -> Option<&'g Node> {
    match graph.source(value) {
        Source::Node(i) => {
            Some(&graph.nodes()[i]).filter(|n| n.op.name() == name && n.inputs.len() == inputs)
        }
        _ => None,
    }
}

/// How many inputs of nodes a value is.
fn readers(graph: &Graph, value: ValueId) -> usize {
    graph.nodes().iter().flat_map(|n| &n.inputs).filter(|v| **v == value).count()
}

/// x, if the node is x σ(x).
fn silu(graph: &Graph, node: &Node) -> Option<ValueId> {
    let [a, b] = node.inputs[..] else { return None };
    if node.op.name() != "Mul" {
        return None;
    }
    [(a, b), (b, a)]
        .into_iter()
        .find_map(|(x, gate)| (made_by(graph, gate, "Sigmoid", 1)?.inputs[0] == x).then_some(x))
}

/// The fully connected layer without a bias, and the bias, whose sum the node is. Nothing else reads the layer: it would be computed
/// twice.
fn with_bias<'g>(graph: &'g Graph, shapes: &[Vec<usize>], node: &Node) -> Option<(&'g Node, ValueId)> {
    if !(node.op.name() == "Add" && node.inputs.len() == 2) {
        return None;
    }
    [(0, 1), (1, 0)].into_iter().find_map(|(x, b)| {
        let (x, bias) = (node.inputs[x], node.inputs[b]);
        let layer = made_by(graph, x, "Linear", 2)?;
        let fits = shapes[bias.index()] == [*shapes[x.index()].last()?]
            && matches!(graph.source(bias), Source::Parameter(_) | Source::Buffer(_));
        (fits && readers(graph, x) == 1).then_some((layer, bias))
    })
}

/// The number that a value is, if it is one constant number.
fn constant(graph: &Graph, value: ValueId) -> Option<f64> {
    match graph.source(value) {
        Source::Buffer(i) => {
            let buffer = &graph.buffers()[i];
            (numel(&buffer.shape) == 1).then(|| buffer.values[0])
        }
        _ => None,
    }
}

/// A value as a constant times a product of other values.
struct Product {
    factor: f64,
    values: Vec<ValueId>,
}

impl Product {
    fn of(graph: &Graph, value: ValueId) -> Self {
        let mut product = Self { factor: 1.0, values: Vec::new() };
        product.multiply(graph, value, DEPTH);
        product.values.sort_unstable();
        product
    }

    fn multiply(&mut self, graph: &Graph, value: ValueId, depth: usize) {
        if let Some(c) = constant(graph, value) {
            self.factor *= c;
        } else if depth == 0 {
            self.values.push(value);
        } else if let Some(node) = made_by(graph, value, "Mul", 2) {
            self.multiply(graph, node.inputs[0], depth - 1);
            self.multiply(graph, node.inputs[1], depth - 1);
        } else if let Some((node, c)) =
            made_by(graph, value, "Div", 2).and_then(|n| Some((n, constant(graph, n.inputs[1])?)))
        {
            self.factor /= c;
            self.multiply(graph, node.inputs[0], depth - 1);
        } else if let Some((node, times)) = power(graph, value) {
            for _ in 0..times {
                self.multiply(graph, node.inputs[0], depth - 1);
            }
        } else {
            self.values.push(value);
        }
    }
}

/// The node and exponent of a square or cube.
fn power(graph: &Graph, value: ValueId) -> Option<(&Node, usize)> {
    let Source::Node(i) = graph.source(value) else { return None };
    let node = &graph.nodes()[i];
    match node.op.exponent() {
        Some(2.0) => Some((node, 2)),
        Some(3.0) => Some((node, 3)),
        _ if node.op.name() == "Square" => Some((node, 2)),
        _ => None,
    }
}

/// Whether the node is the end of h x (1 + f(s (x + a x³))): x and the operation.
fn gelu(graph: &Graph, node: &Node) -> Option<(ValueId, GeluWith)> {
    if !(node.op.name() == "Mul" && node.inputs.len() == 2) {
        return None;
    }
    let all = Product::of(graph, node.output);
    let [first, second] = all.values[..] else { return None };
    [(first, second), (second, first)].into_iter().find_map(|(x, gate)| {
        let sum = made_by(graph, gate, "Add", 2)?;
        let inner = [(0, 1), (1, 0)].into_iter().find_map(|(one, other)| {
            (constant(graph, sum.inputs[one]) == Some(1.0)).then_some(sum.inputs[other])
        })?;
        let (form, inside) = match (made_by(graph, inner, "Tanh", 1), made_by(graph, inner, "Erf", 1)) {
            (Some(tanh), _) => (Gelu::Tanh, tanh.inputs[0]),
            (_, Some(erf)) => (Gelu::Exact, erf.inputs[0]),
            _ => return None,
        };
        let (scale, cubic) = argument(graph, inside, x)?;
        Some((x, GeluWith { form, half: all.factor, scale, cubic }))
    })
}

/// s and a with `value` = s (x + a x³).
fn argument(graph: &Graph, value: ValueId, x: ValueId) -> Option<(f64, f64)> {
    let outer = Product::of(graph, value);
    let [inside] = outer.values[..] else { return None };
    if inside == x {
        return Some((outer.factor, 0.0));
    }
    let sum = made_by(graph, inside, "Add", 2)?;
    let [a, b] = [0, 1].map(|i| Product::of(graph, sum.inputs[i]));
    let (linear, cubic) = if a.values.len() == 1 { (a, b) } else { (b, a) };
    let fits = linear.values == [x] && cubic.values == [x, x, x] && linear.factor != 0.0;
    fits.then(|| (outer.factor * linear.factor, cubic.factor / linear.factor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::DataInput;
    use crate::ops;

    fn graph() -> (Graph, ValueId) {
        let mut g = Graph::new();
        let x = g.data(DataInput { name: "x".into(), shape: vec![4], permutation: None });
        (g, x)
    }

    #[test]
    fn tanh_and_erf_chains_become_one_operation() {
        let (mut g, x) = graph();
        let [half, one, c, s, root] = [("h", 0.5), ("one", 1.0), ("c", 0.0447), ("s", 0.8), ("r", 1.25)]
            .map(|(n, v)| g.buffer(n, &[], vec![v]));
        let cube = g.node("cube", ops::PowConst::new(3.0), &[x]);
        let scaled = g.node("scaled", ops::Mul, &[cube, c]);
        let sum = g.node("sum", ops::Add, &[x, scaled]);
        let inside = g.node("inside", ops::Mul, &[sum, s]);
        let tanh = g.node("tanh", ops::Tanh, &[inside]);
        let gate = g.node("gate", ops::Add, &[one, tanh]);
        let halved = g.node("halved", ops::Mul, &[x, half]);
        let y = g.node("y", ops::Mul, &[halved, gate]);
        // What is itself a product is not told from the factors of the chain: here something else lies between the two.
        let x2 = g.node("between", ops::Abs, &[y]);
        let quotient = g.node("quotient", ops::Div, &[x2, root]);
        let erf = g.node("erf", ops::Erf, &[quotient]);
        let gate = g.node("gate", ops::Add, &[erf, one]);
        let product = g.node("product", ops::Mul, &[x2, gate]);
        let z = g.node("z", ops::Mul, &[product, half]);
        let f = fused(&g, 2).unwrap();
        let node = |v: ValueId| f.nodes().iter().find(|n| n.output == v).unwrap();
        assert_eq!((node(y).op.name(), &node(y).inputs[..]), ("Gelu", &[x][..]));
        let expected = GeluWith { form: Gelu::Tanh, half: 0.5, scale: 0.8, cubic: 0.0447 };
        assert_eq!(format!("{:?}", node(y).op), format!("{expected:?}"));
        let expected = GeluWith { form: Gelu::Exact, half: 0.5, scale: 0.8, cubic: 0.0 };
        assert_eq!((format!("{:?}", node(z).op), &node(z).inputs[..]), (format!("{expected:?}"), &[x2][..]));
        assert_eq!(node(halved).op.name(), "Mul", "what is in between stays as it is");
    }

    #[test]
    fn a_value_times_its_sigmoid_becomes_one_operation() {
        let (mut g, x) = graph();
        let other = g.node("other", ops::Abs, &[x]);
        let gate = g.node("gate", ops::Sigmoid, &[x]);
        let y = g.node("y", ops::Mul, &[gate, x]);
        let z = g.node("z", ops::Mul, &[gate, other]);
        let f = fused(&g, 2).unwrap();
        let node = |v: ValueId| f.nodes().iter().find(|n| n.output == v).unwrap();
        assert_eq!((node(y).op.name(), &node(y).inputs[..]), ("Swish", &[x][..]));
        assert_eq!(node(z).op.name(), "Mul");
    }

    #[test]
    fn a_bias_becomes_part_of_its_layer() {
        let mut g = Graph::new();
        let x = g.data(DataInput { name: "x".into(), shape: vec![4], permutation: None });
        let w = g.buffer("w", &[3, 4], vec![1.0; 12]);
        let b = g.buffer("b", &[3], vec![1.0; 3]);
        let scalar = g.buffer("s", &[1], vec![1.0]);
        let layers: Vec<ValueId> =
            (0..3).map(|i| g.node(format!("layer{i}"), ops::Linear, &[x, w])).collect();
        let y = g.node("y", ops::Add, &[b, layers[0]]);
        let one = g.node("one", ops::Add, &[layers[1], scalar]);
        let twice = g.node("twice", ops::Add, &[layers[2], b]);
        let again = g.node("again", ops::Relu, &[layers[2]]);
        g.node("sum", ops::Add, &[twice, again]);
        let f = fused(&g, 2).unwrap();
        let node = |v: ValueId| f.nodes().iter().find(|n| n.output == v).unwrap();
        assert_eq!((node(y).op.name(), &node(y).inputs[..]), ("Linear", &[x, w, b][..]));
        assert_eq!(node(one).op.name(), "Add", "not one number for every column");
        assert_eq!(node(twice).op.name(), "Add", "the layer is read by something else too");
    }

    #[test]
    fn what_only_looks_like_it_is_left_alone() {
        let (mut g, x) = graph();
        let [half, two, row] = [("h", vec![0.5]), ("two", vec![2.0]), ("row", vec![1.0; 4])]
            .map(|(n, v)| g.buffer(n, &[v.len()], v));
        let tanh = g.node("tanh", ops::Tanh, &[x]);
        let halved = g.node("halved", ops::Mul, &[x, half]);
        for gate in [two, row] {
            let gate = g.node("gate", ops::Add, &[tanh, gate]);
            g.node("y", ops::Mul, &[halved, gate]);
        }
        let f = fused(&g, 2).unwrap();
        assert!(f.nodes().iter().all(|n| n.op.name() != "Gelu"));
    }
}
