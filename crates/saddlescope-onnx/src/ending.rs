//! How a model ends: whether its output is probabilities, and of what.

use super::error::OnnxError;
use super::graph::{Node, checked_axis};
use super::interpret::failed;
use super::translate::{Symbol, Walker, channels_last, identity};

/// What the model's last operation says about its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing: logits or values of a regression.
    Plain,
    /// Class probabilities; [`OnnxModel::network`](super::OnnxModel::network) ends before the softmax.
    Softmax,
    /// Logarithms of class probabilities; [`OnnxModel::network`](super::OnnxModel::network) ends before the log-softmax.
    LogSoftmax,
    /// Probabilities of independent events; [`OnnxModel::network`](super::OnnxModel::network) ends before the sigmoid.
    Sigmoid,
    /// A single number: the model's own loss, a mean over the batch.
    Loss,
}

/// The order in which the classes come last: images as the engine has them, everything else as it is.
pub(super) fn classes_last(order: &[usize]) -> Vec<usize> {
    let rank = order.len();
    if order == channels_last(rank) || rank == 4 { channels_last(rank) } else { identity(rank) }
}

/// How the model ends, and the name of the value before the last operation where that is to be left to the loss.
pub(super) fn ending(
    walker: &Walker,
    nodes: &[Node],
    output: &str,
) -> Result<(Ending, Option<String>), OnnxError> {
    let plain = Ok((Ending::Plain, None));
    let Some(node) = origin(nodes, output, &["Identity"]) else { return plain };
    let Some(input) = node.inputs.first() else { return plain };
    let ending = match node.op_type.as_str() {
        "Softmax" => Ending::Softmax,
        "LogSoftmax" => Ending::LogSoftmax,
        "Sigmoid" => Ending::Sigmoid,
        "Div" => {
            let logits = written_out_softmax(walker, nodes, node);
            return Ok(logits.map_or((Ending::Plain, None), |z| (Ending::Softmax, Some(z))));
        }
        _ => return plain,
    };
    let Some(Symbol::Engine(tensor)) = walker.symbols.get(input) else { return plain };
    if ending != Ending::Sigmoid {
        let rank = tensor.order.len();
        let default = if node.opset < 13 { 1 } else { -1 };
        let axis =
            node.int_or("axis", default).and_then(|a| checked_axis(a, rank)).map_err(|e| failed(node, e))?;
        // The loss takes the last engine axis for the classes; before operator set 13 the axes from `axis` on are one.
        if classes_last(&tensor.order).last() != Some(&axis) {
            return plain;
        }
    }
    Ok((ending, Some(input.clone())))
}

/// The node that computes a value.
fn producer<'a>(nodes: &'a [Node], value: &str) -> Option<&'a Node> {
    nodes.iter().find(|n| n.outputs.iter().any(|o| o == value))
}

/// The node that computes a value, but for at most eight operators that only hand it on.
fn origin<'a>(nodes: &'a [Node], value: &str, handing_on: &[&str]) -> Option<&'a Node> {
    let mut node = producer(nodes, value)?;
    for _ in 0..8 {
        if !handing_on.contains(&node.op_type.as_str()) {
            break;
        }
        node = producer(nodes, node.inputs.first()?)?;
    }
    Some(node)
}

/// `z` where `node` is the division of `exp z / Σ exp z` over the classes, as exporters from other frameworks write a softmax.
fn written_out_softmax(walker: &Walker, nodes: &[Node], node: &Node) -> Option<String> {
    let [exponential, sum] = node.inputs.as_slice() else { return None };
    let exp = producer(nodes, exponential).filter(|n| n.op_type == "Exp")?;
    let logits = exp.inputs.first()?;
    let sum = origin(nodes, sum, &["Reshape", "Unsqueeze", "Squeeze", "Identity", "Expand"])?;
    if sum.op_type != "ReduceSum" || sum.inputs.first() != Some(exponential) {
        return None;
    }
    let axes = match (sum.ints("axes").ok()?, sum.inputs.get(1)) {
        (Some(axes), _) => axes.to_vec(),
        (None, Some(name)) => match walker.symbols.get(name)? {
            Symbol::Known(known) => known.fixed()?.to_i64s().ok()?,
            _ => return None,
        },
        (None, None) => return None,
    };
    let Symbol::Engine(tensor) = walker.symbols.get(logits)? else { return None };
    let [axis] = axes[..] else { return None };
    let axis = checked_axis(axis, tensor.order.len()).ok()?;
    (classes_last(&tensor.order).last() == Some(&axis)).then(|| logits.clone())
}
