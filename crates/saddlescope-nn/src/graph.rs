//! A network as a static graph of operations: values, nodes, named parameters and buffers.
//!
//! The graph does not know the micro-batch size: shapes are inferred ([`Graph::infer_shapes`]) for each size that is needed.
//! Data inputs have the sample axis first; parameters and buffers have none.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

pub use saddlescope_data::ParameterKind;

use crate::op::{AnyOp, IntoOp, ShapeError, numel};

/// A value of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub(crate) usize);

impl ValueId {
    /// Position of the value among the graph's values, as in [`Graph::infer_shapes`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Data input number i.
    Data(usize),
    /// Parameter number i.
    Parameter(usize),
    /// Buffer number i.
    Buffer(usize),
    /// The output of node number i.
    Node(usize),
}

/// One operation of a graph.
#[derive(Clone, Debug)]
pub struct Node {
    /// Name for messages, for example `layer1.0.conv1`.
    pub name: String,
    /// The operation.
    pub op: Arc<dyn AnyOp>,
    /// Its inputs, in order.
    pub inputs: Vec<ValueId>,
    /// Its output.
    pub output: ValueId,
}

/// A named tensor that is differentiated.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Name as in the model file.
    pub name: String,
    /// Shape as in the model file; θ holds the tensor in this order.
    pub shape: Vec<usize>,
    /// What it is.
    pub kind: ParameterKind,
    /// Axes of the engine's tensor in terms of the file's: engine axis i is file axis `permutation[i]`.
    /// Convolution filters are OIHW in files and HWIO in the engine. `None`: the same order.
    pub permutation: Option<Vec<usize>>,
}

/// A named tensor that is not differentiated: running statistics, constants, frozen parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffer {
    /// Name as in the model file, or one of ours for constants.
    pub name: String,
    /// Shape as in the model file.
    pub shape: Vec<usize>,
    /// Elements in the file's order.
    pub values: Vec<f64>,
    /// As for parameters.
    pub permutation: Option<Vec<usize>>,
}

/// A tensor that comes with the data, one per sample.
#[derive(Clone, Debug, PartialEq)]
pub struct DataInput {
    /// Name, for example `x` or `input_ids`.
    pub name: String,
    /// Shape of one sample as in the data file (images: `[C, H, W]`).
    pub shape: Vec<usize>,
    /// Axes of the engine's sample in terms of the file's (images: `[1, 2, 0]`, channels last).
    pub permutation: Option<Vec<usize>>,
}

/// A network as a graph.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    values: Vec<Source>,
    nodes: Vec<Node>,
    parameters: Vec<Parameter>,
    buffers: Vec<Buffer>,
    data: Vec<DataInput>,
}

/// `shape` with its axes in the order `permutation`.
pub fn permuted(shape: &[usize], permutation: Option<&[usize]>) -> Vec<usize> {
    match permutation {
        Some(p) => p.iter().map(|&a| shape[a]).collect(),
        None => shape.to_vec(),
    }
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    fn push(&mut self, source: Source) -> ValueId {
        self.values.push(source);
        ValueId(self.values.len() - 1)
    }

    /// Adds a data input.
    pub fn data(&mut self, input: DataInput) -> ValueId {
        self.data.push(input);
        self.push(Source::Data(self.data.len() - 1))
    }

    /// Adds an image input of shape `[C, H, W]` per sample; its value is `[batch, H, W, C]`.
    pub fn image(&mut self, name: &str, shape: [usize; 3]) -> ValueId {
        self.data(DataInput { name: name.into(), shape: shape.to_vec(), permutation: Some(vec![1, 2, 0]) })
    }

    /// Adds a parameter in the file's own order of axes.
    pub fn parameter(&mut self, name: impl Into<String>, shape: &[usize], kind: ParameterKind) -> ValueId {
        self.parameter_permuted(Parameter {
            name: name.into(),
            shape: shape.to_vec(),
            kind,
            permutation: None,
        })
    }

    /// Adds the filter of a 2-D convolution: OIHW in the file, HWIO in the engine.
    pub fn conv_filter(&mut self, name: impl Into<String>, oihw: [usize; 4]) -> ValueId {
        self.parameter_permuted(Parameter {
            name: name.into(),
            shape: oihw.to_vec(),
            kind: ParameterKind::ConvFilter,
            permutation: Some(vec![2, 3, 1, 0]),
        })
    }

    /// Adds any parameter.
    pub fn parameter_permuted(&mut self, parameter: Parameter) -> ValueId {
        self.parameters.push(parameter);
        self.push(Source::Parameter(self.parameters.len() - 1))
    }

    /// Adds a buffer.
    pub fn buffer(&mut self, name: impl Into<String>, shape: &[usize], values: Vec<f64>) -> ValueId {
        debug_assert_eq!(numel(shape), values.len());
        self.buffer_permuted(Buffer { name: name.into(), shape: shape.to_vec(), values, permutation: None })
    }

    /// Adds any buffer.
    pub fn buffer_permuted(&mut self, buffer: Buffer) -> ValueId {
        self.buffers.push(buffer);
        self.push(Source::Buffer(self.buffers.len() - 1))
    }

    /// Adds an operation and returns its output.
    pub fn node(&mut self, name: impl Into<String>, op: impl IntoOp, inputs: &[ValueId]) -> ValueId {
        let op = op.into_op();
        let output = self.push(Source::Node(self.nodes.len()));
        self.nodes.push(Node { name: name.into(), op, inputs: inputs.to_vec(), output });
        output
    }

    /// Where a value comes from.
    pub fn source(&self, value: ValueId) -> Source {
        self.values[value.0]
    }

    /// Number of values.
    pub fn value_count(&self) -> usize {
        self.values.len()
    }

    /// The nodes, in an order in which inputs come before outputs.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The nodes, to replace operations (for example to switch batch-norm modes).
    pub fn nodes_mut(&mut self) -> &mut [Node] {
        &mut self.nodes
    }

    /// The parameters, in the order in which they lie in θ.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The buffers.
    pub fn buffers(&self) -> &[Buffer] {
        &self.buffers
    }

    /// The buffers, to load or update them.
    pub fn buffers_mut(&mut self) -> &mut [Buffer] {
        &mut self.buffers
    }

    /// The data inputs.
    pub fn data_inputs(&self) -> &[DataInput] {
        &self.data
    }

    /// N, the number of parameters.
    pub fn parameter_count(&self) -> usize {
        self.parameters.iter().map(|p| numel(&p.shape)).sum()
    }

    /// Where each parameter lies in θ.
    pub fn parameter_ranges(&self) -> Vec<Range<usize>> {
        let mut start = 0;
        self.parameters
            .iter()
            .map(|p| {
                let end = start + numel(&p.shape);
                let range = start..end;
                start = end;
                range
            })
            .collect()
    }

    /// Turns parameters into buffers that keep the given values: they are no longer differentiated.
    /// `freeze(parameter)` returns the values (file order) of those to freeze.
    pub fn freeze(&mut self, mut freeze: impl FnMut(&Parameter) -> Option<Vec<f64>>) {
        let old = std::mem::take(&mut self.parameters);
        let mut place = Vec::with_capacity(old.len());
        for parameter in old {
            if let Some(values) = freeze(&parameter) {
                place.push(Source::Buffer(self.buffers.len()));
                self.buffers.push(Buffer {
                    name: parameter.name,
                    shape: parameter.shape,
                    values,
                    permutation: parameter.permutation,
                });
            } else {
                place.push(Source::Parameter(self.parameters.len()));
                self.parameters.push(parameter);
            }
        }
        for value in &mut self.values {
            if let Source::Parameter(i) = *value {
                *value = place[i];
            }
        }
    }

    /// Indices of the parameters that `output` depends on.
    pub fn parameters_used_by(&self, output: ValueId) -> BTreeSet<usize> {
        let mut needed = vec![false; self.values.len()];
        needed[output.0] = true;
        for node in self.nodes.iter().rev() {
            if needed[node.output.0] {
                for input in &node.inputs {
                    needed[input.0] = true;
                }
            }
        }
        (self.values.iter().zip(needed))
            .filter_map(|(source, needed)| match source {
                Source::Parameter(i) if needed => Some(*i),
                _ => None,
            })
            .collect()
    }

    /// Shapes of all values for a micro-batch of `batch` samples, in the engine's order of axes.
    pub fn infer_shapes(&self, batch: usize) -> Result<Vec<Vec<usize>>, GraphError> {
        let mut shapes = vec![Vec::new(); self.values.len()];
        for (shape, source) in shapes.iter_mut().zip(&self.values) {
            match *source {
                Source::Data(i) => {
                    let input = &self.data[i];
                    *shape = permuted(&input.shape, input.permutation.as_deref());
                    shape.insert(0, batch);
                }
                Source::Parameter(i) => {
                    let p = &self.parameters[i];
                    *shape = permuted(&p.shape, p.permutation.as_deref());
                }
                Source::Buffer(i) => {
                    let b = &self.buffers[i];
                    *shape = permuted(&b.shape, b.permutation.as_deref());
                }
                Source::Node(_) => {}
            }
        }
        for node in &self.nodes {
            let inputs: Vec<&[usize]> = node.inputs.iter().map(|v| shapes[v.0].as_slice()).collect();
            let shape = node.op.infer(&inputs).map_err(|reason| GraphError::Shape {
                node: node.name.clone(),
                inputs: inputs.iter().map(|s| s.to_vec()).collect(),
                reason,
            })?;
            shapes[node.output.0] = shape;
        }
        Ok(shapes)
    }
}

/// Why a graph cannot be compiled.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// An operation refuses the shapes of its inputs.
    #[error("node `{node}` with inputs of shapes {inputs:?}: {reason}")]
    Shape {
        /// Name of the node.
        node: String,
        /// Shapes of its inputs.
        inputs: Vec<Vec<usize>>,
        /// What the operation says.
        reason: ShapeError,
    },
    /// The output is not of the form the loss or the caller needs.
    #[error("the output of the network has shape {found:?}; expected {expected}")]
    Output {
        /// Its shape.
        found: Vec<usize>,
        /// What is needed.
        expected: String,
    },
}
