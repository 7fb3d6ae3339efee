//! The named tensors that make up the flat parameter vector θ.

use std::ops::Range;

use saddlescope_data::ParameterKind;

/// One named tensor of parameters inside the flat vector θ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterBlock {
    /// Name as in the model file, for example `layer1.0.conv1.weight`.
    pub name: String,
    /// Shape of the tensor, row-major; its product is the length of `range`.
    pub shape: Vec<usize>,
    /// Where the tensor lies in θ.
    pub range: Range<usize>,
    /// What it is.
    pub kind: ParameterKind,
}

/// The named blocks that make up θ, in order and without gaps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParameterLayout {
    /// The blocks, in the order in which they lie in θ.
    pub blocks: Vec<ParameterBlock>,
}

impl ParameterLayout {
    /// A layout of one unstructured block `theta` of `n` coordinates.
    pub fn flat(n: usize) -> Self {
        Self {
            blocks: vec![ParameterBlock {
                name: "theta".into(),
                shape: vec![n],
                range: 0..n,
                kind: ParameterKind::Other,
            }],
        }
    }

    /// N, the number of parameters.
    pub fn len(&self) -> usize {
        self.blocks.last().map_or(0, |b| b.range.end)
    }

    /// Whether there are no parameters at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
