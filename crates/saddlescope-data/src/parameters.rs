//! What engines and analyses say alike of a network's parameters.

/// What a tensor of parameters is, as far as directions and normalisation care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParameterKind {
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

/// An axis of a tensor, stretched out: unit u owns the elements `start + (o · units + u) · inner + i` for o < outer, i < inner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitAxis {
    /// Whether the tensor lies among the buffers rather than in θ.
    pub buffer: bool,
    /// Where the tensor begins there.
    pub start: usize,
    /// Elements before the axis.
    pub outer: usize,
    /// Elements behind the axis.
    pub inner: usize,
}

impl UnitAxis {
    /// Where the elements of a unit lie; the axis has `units` of them.
    pub fn indices(&self, units: usize, unit: usize) -> impl Iterator<Item = usize> + use<> {
        let Self { start, outer, inner, .. } = *self;
        (0..outer).flat_map(move |o| (0..inner).map(move |i| start + (o * units + unit) * inner + i))
    }

    /// Puts unit `order[i]` at place i, for every i.
    ///
    /// # Panics
    /// If the axis reaches past the values, or `order` names a unit that is not there.
    pub fn permute(&self, values: &mut [f64], order: &[usize]) {
        let units = order.len();
        let length = self.outer * units * self.inner;
        let before = values[self.start..self.start + length].to_vec();
        for (to, &from) in order.iter().enumerate() {
            let pairs = self.indices(units, to).zip(self.indices(units, from));
            for (to, from) in pairs {
                values[to] = before[from - self.start];
            }
        }
    }

    /// Whether both are axes of one tensor.
    pub fn same_tensor(&self, other: &Self) -> bool {
        self.buffer == other.buffer && self.start == other.start
    }
}

/// Hidden units that can be permuted without changing the function, all axes alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitGroup {
    /// Its name: the layer that makes the units.
    pub name: String,
    /// How many units.
    pub units: usize,
    /// Everything that is permuted with them.
    pub axes: Vec<UnitAxis>,
}
