//! Runs a whole graph in the reference interpreter, node after node.

use std::collections::BTreeMap;

use super::error::{OnnxError, OpError};
use super::eval::{self, Budget, Call};
use super::graph::{Graph, Node};
use super::value::Value;

mod repeat;

/// Values by name.
pub type Environment = BTreeMap<String, Value>;

/// Evaluates one node.
///
/// # Errors
/// The operator is unknown ([`OnnxError::Unsupported`]) or fails.
pub fn node(node: &Node, inputs: &[Option<&Value>], budget: &Budget) -> Result<Vec<Value>, OnnxError> {
    let known = if node.domain.is_empty() { eval::find(&node.op_type) } else { None };
    let Some(evaluate) = known else {
        return Err(unsupported(node));
    };
    evaluate(&Call { node, inputs, budget }).map_err(|reason| failed(node, reason))
}

pub(crate) fn failed(node: &Node, reason: OpError) -> OnnxError {
    OnnxError::Node { node: node.name.clone(), operator: node.operator(), reason }
}

pub(crate) fn unsupported(node: &Node) -> OnnxError {
    let supported: Vec<&str> = eval::OPERATORS.iter().map(|o| o.0).collect();
    OnnxError::Unsupported {
        node: node.name.clone(),
        operator: node.operator(),
        supported: supported.join(", "),
    }
}

/// How a graph's nodes are evaluated: a node and its inputs to its outputs.
pub type EvaluateNode<'a> = dyn Fn(&Node, &[Option<&Value>]) -> Result<Vec<Value>, OnnxError> + 'a;

/// Evaluates a graph whose inputs (and, for a branch, outer values) are in `environment`; returns its outputs.
///
/// # Errors
/// An input is missing, or a node fails or is not supported.
pub fn graph(
    graph: &Graph,
    environment: &mut Environment,
    evaluate: &EvaluateNode<'_>,
) -> Result<Vec<Value>, OnnxError> {
    let missing = |name: &str| OnnxError::Invalid(format!("no value for `{name}`"));
    for input in &graph.inputs {
        if !environment.contains_key(&input.name) {
            return Err(missing(&input.name));
        }
    }
    for (name, value) in &graph.initializers {
        environment.insert(name.clone(), value.clone());
    }
    for node in &graph.nodes {
        let standard = node.domain.is_empty();
        let outputs = if node.op_type == "If" && standard {
            branch(node, environment, evaluate)?
        } else if node.op_type == "Loop" && standard {
            repeat::turns(node, environment, evaluate)?
        } else if node.op_type == "Scan" && standard && node.opset > 8 {
            repeat::scan(node, environment, evaluate)?
        } else {
            let mut inputs = Vec::with_capacity(node.inputs.len());
            for name in &node.inputs {
                let value = if name.is_empty() {
                    None
                } else {
                    Some(environment.get(name).ok_or_else(|| missing(name))?)
                };
                inputs.push(value);
            }
            evaluate(node, &inputs)?
        };
        if outputs.len() < node.outputs.len() {
            let text = format!("{} outputs are wanted, {} exist", node.outputs.len(), outputs.len());
            return Err(failed(node, OpError::new(text)));
        }
        for (name, value) in node.outputs.iter().zip(outputs) {
            environment.insert(name.clone(), value);
        }
    }
    graph.outputs.iter().map(|o| environment.get(&o.name).cloned().ok_or_else(|| missing(&o.name))).collect()
}

fn branch(
    node: &Node,
    environment: &mut Environment,
    evaluate: &EvaluateNode<'_>,
) -> Result<Vec<Value>, OnnxError> {
    let name = node.inputs.first().map(String::as_str).unwrap_or_default();
    let condition = environment.get(name).ok_or_else(|| failed(node, OpError::new("no condition")))?;
    let chosen = taken_branch(node, condition).map_err(|e| failed(node, e))?;
    graph(chosen, environment, evaluate)
}

/// The branch of an `If` node that this condition takes.
pub(crate) fn taken_branch<'a>(node: &'a Node, condition: &Value) -> Result<&'a Graph, OpError> {
    match condition.as_bools()? {
        [yes] => node.graph(if *yes { "then_branch" } else { "else_branch" }),
        other => Err(OpError::new(format!("a condition of {} values", other.len()))),
    }
}
