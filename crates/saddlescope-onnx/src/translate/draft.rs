//! The engine graph while it is being put together.
//!
//! What a parameter is (filter, bias, …) and in which order of axes the engine wants it is known only when the node
//! that uses it has been read; and what the output does not need should not be there at all. So nodes are collected
//! here first, and [`Draft::finish`] writes a [`Graph`](saddlescope_nn::graph::Graph) with the parameters in the file's order.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::probes::{Both, PROBES};
use crate::error::OpError;
use crate::value::Value;
use saddlescope_nn::graph::{Buffer, DataInput, Graph, Parameter, ParameterKind, ValueId};
use saddlescope_nn::op::AnyOp;

/// Most numbers of one value of the engine for the larger probe batch.
const MAX_VALUE: usize = 1 << 32;

/// A value of the draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DraftId(usize);

#[derive(Debug)]
enum Origin {
    Parameter,
    Buffer(Buffer),
    Data(DataInput),
    Node { name: String, op: Arc<dyn AnyOp>, inputs: Vec<DraftId> },
}

/// A float initialiser that may become a parameter.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// Name in the file.
    pub(crate) name: String,
    /// Shape in the file.
    pub(crate) shape: Vec<usize>,
    /// Its numbers in the file.
    pub(crate) value: Rc<Value>,
    /// What it is, as far as its uses say.
    pub(crate) kind: Option<ParameterKind>,
    /// Axes of the engine's tensor in terms of the file's, and its value, once the engine uses it.
    pub(crate) realized: Option<(Vec<usize>, DraftId)>,
}

/// The engine graph while it is being put together.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    values: Vec<(Origin, Both<Vec<usize>>)>,
    pub(crate) candidates: Vec<Candidate>,
}

/// A finished graph.
pub(crate) struct Finished {
    pub(crate) graph: Graph,
    /// Where the wanted values went.
    pub(crate) outputs: Vec<ValueId>,
    /// For each parameter of the graph, which candidate it is.
    pub(crate) parameters: Vec<usize>,
}

impl Draft {
    fn push(&mut self, origin: Origin, shape: Both<Vec<usize>>) -> DraftId {
        self.values.push((origin, shape));
        DraftId(self.values.len() - 1)
    }

    /// Shape of a value at the two probe batch sizes, in the engine's order of axes.
    pub(crate) fn shape(&self, id: DraftId) -> &Both<Vec<usize>> {
        &self.values[id.0].1
    }

    /// Brings a candidate into the engine with the given order of axes (its first use decides).
    pub(crate) fn parameter(&mut self, candidate: usize, permutation: Vec<usize>) -> DraftId {
        let shape: Vec<usize> = permutation.iter().map(|&a| self.candidates[candidate].shape[a]).collect();
        let id = self.push(Origin::Parameter, [shape.clone(), shape]);
        self.candidates[candidate].realized = Some((permutation, id));
        id
    }

    /// A constant in the engine's own order of axes.
    pub(crate) fn buffer(&mut self, name: String, shape: Vec<usize>, values: Vec<f64>) -> DraftId {
        let both = [shape.clone(), shape.clone()];
        self.push(Origin::Buffer(Buffer { name, shape, values, permutation: None }), both)
    }

    /// A data input whose engine shapes (with the batch) are given.
    pub(crate) fn data(&mut self, input: DataInput, shape: Both<Vec<usize>>) -> DraftId {
        self.push(Origin::Data(input), shape)
    }

    /// An operation; its shapes are those the operation itself infers.
    pub(crate) fn node(
        &mut self,
        name: &str,
        op: Arc<dyn AnyOp>,
        inputs: Vec<DraftId>,
    ) -> Result<DraftId, OpError> {
        let infer = |batch: usize| {
            let shapes: Vec<&[usize]> = inputs.iter().map(|i| self.shape(*i)[batch].as_slice()).collect();
            op.infer(&shapes).map_err(|e| OpError::new(format!("{e} (engine shapes {shapes:?})")))
        };
        let shape = [infer(0)?, infer(1)?];
        let len = crate::value::numel(&shape[1]);
        if len.is_none_or(|n| n > MAX_VALUE) {
            return Err(OpError::new(format!(
                "a result of shape {:?}, more than {MAX_VALUE} numbers, for {} samples",
                shape[1], PROBES[1]
            )));
        }
        Ok(self.push(Origin::Node { name: name.to_string(), op, inputs }, shape))
    }

    /// The graph that computes `wanted`, without anything they do not need.
    pub(crate) fn finish(self, wanted: &[DraftId]) -> Finished {
        let mut needed = vec![false; self.values.len()];
        for id in wanted {
            needed[id.0] = true;
        }
        for i in (0..self.values.len()).rev() {
            if let (true, Origin::Node { inputs, .. }) = (needed[i], &self.values[i].0) {
                inputs.iter().for_each(|input| needed[input.0] = true);
            }
        }
        let mut graph = Graph::new();
        let mut place: BTreeMap<DraftId, ValueId> = BTreeMap::new();
        let mut parameters = Vec::new();
        for (c, candidate) in self.candidates.iter().enumerate() {
            if let Some((permutation, id)) = &candidate.realized
                && needed[id.0]
            {
                let identity = permutation.iter().enumerate().all(|(i, &a)| i == a);
                place.insert(
                    *id,
                    graph.parameter_permuted(Parameter {
                        name: candidate.name.clone(),
                        shape: candidate.shape.clone(),
                        kind: candidate.kind.unwrap_or(ParameterKind::Other),
                        permutation: (!identity).then(|| permutation.clone()),
                    }),
                );
                parameters.push(c);
            }
        }
        for (i, (origin, _)) in self.values.into_iter().enumerate() {
            if !needed[i] {
                continue;
            }
            let value = match origin {
                Origin::Parameter => continue,
                Origin::Buffer(buffer) => graph.buffer_permuted(buffer),
                Origin::Data(input) => graph.data(input),
                Origin::Node { name, op, inputs } => {
                    let inputs: Vec<ValueId> = inputs.iter().filter_map(|i| place.get(i).copied()).collect();
                    graph.node(name, op, &inputs)
                }
            };
            place.insert(DraftId(i), value);
        }
        let outputs = wanted.iter().filter_map(|id| place.get(id).copied()).collect();
        Finished { graph, outputs, parameters }
    }
}
