//! What a model may ask for: limits on everything that grows when functions are called again and again.

use super::error::{OnnxError, OpError};
use super::graph::Attribute;

/// Largest model file that is read (the limit of protobuf itself); larger weights belong in external data.
pub const MAX_MODEL_BYTES: u64 = 1 << 31;
/// Most numbers in all initialisers and constants together.
pub const MAX_ELEMENTS: usize = 1 << 28;

/// Most parts of a graph (nodes, their inputs, outputs and attributes) after functions have been replaced by their bodies.
const MAX_PARTS: usize = 1 << 22;
/// Most bytes of all names and attribute lists of a graph after functions have been replaced by their bodies.
const MAX_TEXT_BYTES: usize = 1 << 27;

/// What has been read so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    parts_read: usize,
    text_read: usize,
    elements_read: usize,
}

impl Tally {
    /// More nodes, inputs, outputs or attributes.
    pub(super) fn parts(&mut self, parts: usize) -> Result<(), OnnxError> {
        self.parts_read = self.parts_read.saturating_add(parts);
        if self.parts_read > MAX_PARTS {
            return Err(OnnxError::Invalid(format!(
                "more than {MAX_PARTS} nodes, inputs, outputs and attributes"
            )));
        }
        Ok(())
    }

    /// More bytes of names or attribute lists.
    pub(super) fn text(&mut self, bytes: usize) -> Result<(), OpError> {
        self.text_read = self.text_read.saturating_add(bytes);
        if self.text_read > MAX_TEXT_BYTES {
            return Err(OpError::new(format!(
                "more than {MAX_TEXT_BYTES} bytes of names and lists in the graph"
            )));
        }
        Ok(())
    }

    /// More numbers of tensors.
    pub(super) fn elements(&mut self, len: usize) -> Result<(), OpError> {
        self.elements_read = self.elements_read.saturating_add(len);
        if self.elements_read > MAX_ELEMENTS {
            return Err(OpError::new(format!("more than {MAX_ELEMENTS} numbers in the model")));
        }
        Ok(())
    }

    /// The cost of one more copy of an attribute, where a function's body refers to one of its caller.
    pub(super) fn copy(&mut self, attribute: &Attribute) -> Result<(), OpError> {
        match attribute {
            Attribute::Tensor(t) => self.elements(t.len()),
            Attribute::Ints(v) => self.text(8 * v.len()),
            Attribute::Floats(v) => self.text(8 * v.len()),
            Attribute::Text(s) => self.text(s.len()),
            Attribute::Texts(v) => self.text(v.iter().map(|s| s.len() + 24).sum()),
            Attribute::Graph(g) => {
                for (_, tensor) in &g.initializers {
                    self.elements(tensor.len())?;
                }
                for node in &g.nodes {
                    let names = node.inputs.iter().chain(&node.outputs).map(|n| n.len() + 24).sum::<usize>();
                    self.text(256 + names)?;
                    for attribute in node.attributes.values() {
                        self.copy(attribute)?;
                    }
                }
                Ok(())
            }
            Attribute::Int(_) | Attribute::Float(_) => Ok(()),
        }
    }
}
