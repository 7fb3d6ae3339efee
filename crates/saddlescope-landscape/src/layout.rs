//! The named tensors that make up the flat parameter vector θ.

use std::ops::Range;

/// What a block of parameters is, as far as directions and normalisation care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParamKind {
    /// Convolution filters, shape `[out, in, ...]`: one filter per index of the first axis.
    ConvFilter,
    /// Weights of a linear map, shape `[out, in]`: one neuron per index of the first axis.
    LinearWeight,
    /// Weights of a linear map stored transposed, shape `[in, out]`: one neuron per index of the last axis.
    LinearWeightTransposed,
    /// An additive bias.
    Bias,
    /// Scale or shift of a normalisation layer.
    Normalization,
    /// Embedding table, shape `[entries, width]`.
    Embedding,
    /// Anything else: coordinates without a structure we know of.
    Other,
}

/// One named tensor of parameters inside the flat vector θ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamBlock {
    /// Name as in the model file, for example `layer1.0.conv1.weight`.
    pub name: String,
    /// Shape of the tensor, row-major; its product is the length of `range`.
    pub shape: Vec<usize>,
    /// Where the tensor lies in θ.
    pub range: Range<usize>,
    /// What it is.
    pub kind: ParamKind,
}

/// The named blocks that make up θ, in order and without gaps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParamLayout {
    /// The blocks, in the order in which they lie in θ.
    pub blocks: Vec<ParamBlock>,
}

impl ParamLayout {
    /// A layout of one unstructured block `theta` of `n` coordinates.
    pub fn flat(n: usize) -> Self {
        Self {
            blocks: vec![ParamBlock {
                name: "theta".into(),
                shape: vec![n],
                range: 0..n,
                kind: ParamKind::Other,
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
