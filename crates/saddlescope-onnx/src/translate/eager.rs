//! Evaluates a graph node by node on given values, floats through the engine's own operations.
//!
//! This is how the conformance cases test the engine: a node whose float inputs are taken for parameters is translated,
//! compiled and run forward by itself. What has no translation is left to the interpreter.

use std::rc::Rc;

use super::symbol::{Known, Symbol, inverse};
use super::walk::{Walker, find};
use crate::element::ElementType;
use crate::error::{OnnxError, OpError};
use crate::eval::{self, Budget};
use crate::graph::Node;
use crate::interpret::{self, Environment, failed};
use crate::model::Model;
use crate::value::Value;
use saddlescope_nn::graph::{Graph, ValueId};
use saddlescope_nn::op::Element;

/// Outputs of a model for these inputs, in the order in which they are declared. Floats of 64 bits are computed in
/// `f64`, all others in `f32`. `through_engine` counts the nodes that the engine computed.
///
/// # Errors
/// A node fails or is not supported.
pub fn evaluate(
    model: &Model,
    inputs: Vec<Value>,
    budget: &Budget,
    through_engine: &std::cell::Cell<usize>,
) -> Result<Vec<Value>, OnnxError> {
    let mut environment = Environment::new();
    for (declared, value) in model.graph.inputs.iter().zip(inputs) {
        environment.insert(declared.name.clone(), value);
    }
    interpret::graph(&model.graph, &mut environment, &|node, inputs| {
        let floats = inputs.iter().flatten().any(|v| v.element().is_float());
        // The engine has no empty tensors.
        let empty = inputs.iter().flatten().any(|v| v.is_empty()) && eval::find(&node.op_type).is_some();
        if floats && !empty && find(node).is_some() && !matches!(node.op_type.as_str(), "Shape" | "Size") {
            through_engine.set(through_engine.get() + 1);
            engine(node, inputs, budget)
        } else {
            interpret::node(node, inputs, budget)
        }
    })
}

fn engine(node: &Node, inputs: &[Option<&Value>], budget: &Budget) -> Result<Vec<Value>, OnnxError> {
    let mut walker = Walker::single();
    let mut theta: Vec<&Value> = Vec::new();
    let symbols: Vec<Option<Symbol>> = (inputs.iter().enumerate())
        .map(|(i, value)| {
            value.map(|value| {
                if value.element().is_float() && !value.is_empty() {
                    theta.push(value);
                    walker.candidate(&format!("input {i}"), Rc::new(value.clone()))
                } else {
                    Walker::known(&node.inputs[i], value.clone())
                }
            })
        })
        .collect();
    let outputs = walker.translate(node, &symbols)?;
    let mut values = Vec::with_capacity(outputs.len());
    let mut wanted = Vec::new();
    for symbol in &outputs {
        values.push(match symbol {
            Symbol::Known(Known { values, .. }) | Symbol::Data(Known { values, .. }) => {
                Some(values[0].as_ref().clone())
            }
            Symbol::Weight { view, value, .. } => {
                Some(eval::permuted(value, view).map_err(|e| failed(node, e))?)
            }
            Symbol::Engine(tensor) => {
                wanted.push(tensor.clone());
                None
            }
        });
    }
    let ids: Vec<_> = wanted.iter().map(|t| t.id).collect();
    let done = std::mem::take(&mut walker.builder.draft).finish(&ids);
    let mut flat = Vec::new();
    for &c in &done.parameters {
        flat.extend(theta[c].to_f64s().map_err(|e| failed(node, e))?);
    }
    let wide = theta.iter().any(|v| v.element() == ElementType::F64);
    let run = if wide { forward::<f64> } else { forward::<f32> };
    let computed = run(&done.graph, &done.outputs, &flat, budget).map_err(|e| failed(node, e))?;
    let mut computed = wanted.iter().zip(computed);
    values
        .into_iter()
        .map(|value| match value {
            Some(value) => Ok(value),
            None => {
                let (tensor, (shape, numbers)) =
                    computed.next().ok_or_else(|| failed(node, OpError::new("an output was lost")))?;
                let value = Value::floats(ElementType::F64, shape, numbers)
                    .and_then(|v| eval::permuted(&v, &inverse(&tensor.order)))
                    .and_then(|v| eval::convert(&v, tensor.element));
                value.map_err(|e| failed(node, e))
            }
        })
        .collect()
}

type Computed = Vec<(Vec<usize>, Vec<f64>)>;

/// Shapes and elements of the wanted values, in the engine's order.
fn forward<T: Element>(
    graph: &Graph,
    wanted: &[ValueId],
    theta: &[f64],
    budget: &Budget,
) -> Result<Computed, OpError> {
    let shapes = graph.infer_shapes(1).map_err(|e| OpError::new(e.to_string()))?;
    for value in graph.nodes().iter().map(|n| n.output) {
        budget.take(&shapes[value.index()])?;
    }
    let computed = saddlescope_nn::forward::<T>(graph, wanted, theta, &[], 1);
    let computed = computed.map_err(|e| OpError::new(e.to_string()))?;
    Ok(computed.into_iter().map(|c| (c.shape, c.elements)).collect())
}
