//! Reference interpreter for the operators that shape arithmetic, masks, indices and constants need.
//!
//! It is never differentiated. Every operator is a function from a [`Call`] to its outputs, in a file named after it or
//! its family, registered by a line in [`OPERATORS`]. Outputs are checked against a [`Budget`] before memory is taken.

mod arithmetic;
mod bits;
mod broadcast;
mod cast;
mod compare;
mod concat;
mod cumulative;
mod functions;
mod gather;
mod generate;
mod index;
mod one_hot;
mod order;
mod pad;
mod quantize;
mod rearrange;
mod reduce;
mod scatter;
mod select;
mod shape;
mod slice;
mod split;

use std::cell::Cell;

pub(crate) use broadcast::common_shape;
pub(crate) use cast::convert;
pub(crate) use one_hot::{IN_RANGE, LEFT_OUT};
pub(crate) use pad::amounts as pad_amounts;
pub(crate) use quantize::dequantized;
pub(crate) use rearrange::{permutation, permuted};
pub(crate) use reduce::axes as reduce_axes;
pub(crate) use shape::{reshape_target, shape_range, sizes, squeezed, unsqueezed};
pub(crate) use slice::{Span, spans};
pub(crate) use split::piece_sizes;

use super::error::OpError;
use super::graph::Node;
use super::value::{Value, numel};

/// How many elements an interpretation may still produce.
///
/// Hostile models multiply sizes (`Expand`, `Tile`, `ConstantOfShape`); the budget bounds their sum over all nodes.
#[derive(Debug, Default)]
pub struct Budget(Cell<usize>);

impl Budget {
    /// A budget of this many elements.
    pub fn new(elements: usize) -> Self {
        Self(Cell::new(elements))
    }

    /// What may be computed at import: a share that does not depend on the file, and one that grows with the numbers in
    /// it. A file of a few kilobytes cannot ask for more than half a gigabyte.
    pub(crate) fn for_import(numbers: usize) -> Self {
        Self::new((1 << 25) + numbers.saturating_mul(64).min(1 << 28))
    }

    /// Takes what looking at these inputs costs: an eighth of an element each.
    pub(crate) fn look_at(&self, inputs: &[Option<&Value>]) -> Result<(), OpError> {
        let len = inputs.iter().flatten().map(|v| v.len()).fold(0usize, usize::saturating_add);
        self.take(&[len / 8]).map(|_| ())
    }

    /// Takes the elements of a tensor of this shape.
    pub(crate) fn take(&self, shape: &[usize]) -> Result<usize, OpError> {
        let len = numel(shape).ok_or_else(|| OpError::too_much(format!("shape {shape:?} overflows")))?;
        let left = self.0.get().checked_sub(len).ok_or_else(|| {
            OpError::too_much(format!(
                "{len} elements of shape {shape:?} are more than may be computed here ({} left)",
                self.0.get()
            ))
        })?;
        self.0.set(left);
        Ok(len)
    }
}

/// One evaluation of a node.
pub struct Call<'a> {
    /// The node.
    pub node: &'a Node,
    /// Its inputs; `None` where the node leaves one out.
    pub inputs: &'a [Option<&'a Value>],
    /// What it may still produce.
    pub budget: &'a Budget,
}

impl<'a> Call<'a> {
    /// An input that must be there.
    pub(crate) fn input(&self, i: usize) -> Result<&'a Value, OpError> {
        self.optional(i).ok_or_else(|| OpError::new(format!("input {i} is missing")))
    }

    /// An input that may be left out.
    pub(crate) fn optional(&self, i: usize) -> Option<&'a Value> {
        self.inputs.get(i).copied().flatten()
    }

    /// All inputs, none left out.
    pub(crate) fn all_inputs(&self) -> Result<Vec<&'a Value>, OpError> {
        (0..self.inputs.len()).map(|i| self.input(i)).collect()
    }

    /// A list of integers that older operator sets have as an attribute and newer ones as an input.
    pub(crate) fn ints_or_input(&self, attribute: &str, input: usize) -> Result<Option<Vec<i64>>, OpError> {
        match (self.node.ints(attribute)?, self.optional(input)) {
            (Some(list), _) => Ok(Some(list.to_vec())),
            (None, Some(value)) => value.to_i64s().map(Some),
            (None, None) => Ok(None),
        }
    }
}

/// Evaluates one operator.
pub type Eval = fn(&Call<'_>) -> Result<Vec<Value>, OpError>;

/// Every operator of the standard domain that the interpreter knows, in alphabetical order.
pub const OPERATORS: &[(&str, Eval)] = &[
    ("Abs", arithmetic::abs),
    ("Acos", functions::acos),
    ("Acosh", functions::acosh),
    ("Add", arithmetic::add),
    ("And", compare::and),
    ("ArgMax", order::arg_max),
    ("ArgMin", order::arg_min),
    ("Asin", functions::asin),
    ("Asinh", functions::asinh),
    ("Atan", functions::atan),
    ("Atanh", functions::atanh),
    ("BitShift", bits::shift),
    ("BitwiseAnd", bits::and),
    ("BitwiseNot", bits::not),
    ("BitwiseOr", bits::or),
    ("BitwiseXor", bits::xor),
    ("BlackmanWindow", generate::blackman_window),
    ("Cast", cast::cast),
    ("CastLike", cast::cast_like),
    ("Ceil", functions::ceil),
    ("Clip", arithmetic::clip),
    ("Compress", select::compress),
    ("Concat", concat::concat),
    ("Constant", generate::constant),
    ("ConstantOfShape", generate::constant_of_shape),
    ("Cos", functions::cos),
    ("Cosh", functions::cosh),
    ("CumProd", cumulative::product),
    ("CumSum", cumulative::sum),
    ("DepthToSpace", rearrange::depth_to_space),
    ("DequantizeLinear", quantize::dequantize),
    ("Div", arithmetic::div),
    ("Equal", compare::equal),
    ("Erf", functions::erf),
    ("Exp", functions::exp),
    ("Expand", shape::expand),
    ("EyeLike", generate::eye_like),
    ("Flatten", shape::flatten),
    ("Floor", functions::floor),
    ("Gather", gather::gather),
    ("GatherElements", gather::elements),
    ("GatherND", gather::nd),
    ("Greater", compare::greater),
    ("GreaterOrEqual", compare::greater_or_equal),
    ("HammingWindow", generate::hamming_window),
    ("HannWindow", generate::hann_window),
    ("Identity", shape::identity),
    ("IsInf", compare::is_inf),
    ("IsNaN", compare::is_nan),
    ("Less", compare::less),
    ("LessOrEqual", compare::less_or_equal),
    ("Log", functions::log),
    ("Max", arithmetic::max),
    ("Mean", arithmetic::mean),
    ("Min", arithmetic::min),
    ("Mod", arithmetic::modulo),
    ("Mul", arithmetic::mul),
    ("Neg", arithmetic::neg),
    ("NonZero", select::non_zero),
    ("Not", compare::not),
    ("OneHot", one_hot::one_hot),
    ("Or", compare::or),
    ("Pad", pad::pad),
    ("Pow", arithmetic::pow),
    ("QuantizeLinear", quantize::quantize),
    ("Range", generate::range),
    ("Reciprocal", functions::reciprocal),
    ("ReduceL1", reduce::l1),
    ("ReduceL2", reduce::l2),
    ("ReduceLogSum", reduce::log_sum),
    ("ReduceLogSumExp", reduce::log_sum_exp),
    ("ReduceMax", reduce::max),
    ("ReduceMean", reduce::mean),
    ("ReduceMin", reduce::min),
    ("ReduceProd", reduce::prod),
    ("ReduceSum", reduce::sum),
    ("ReduceSumSquare", reduce::sum_square),
    ("Reshape", shape::reshape),
    ("ReverseSequence", rearrange::reverse_sequence),
    ("Round", functions::round),
    ("Scatter", scatter::elements),
    ("ScatterElements", scatter::elements),
    ("ScatterND", scatter::nd),
    ("Shape", shape::shape),
    ("Sign", arithmetic::sign),
    ("Sin", functions::sin),
    ("Sinh", functions::sinh),
    ("Size", shape::size),
    ("Slice", slice::slice),
    ("SpaceToDepth", rearrange::space_to_depth),
    ("Split", split::split),
    ("Sqrt", functions::sqrt),
    ("Squeeze", shape::squeeze),
    ("Sub", arithmetic::sub),
    ("Sum", arithmetic::sum),
    ("Tan", functions::tan),
    ("Tile", shape::tile),
    ("TopK", order::top_k),
    ("Transpose", rearrange::transpose),
    ("Trilu", select::trilu),
    ("Unsqueeze", shape::unsqueeze),
    ("Where", select::select),
    ("Xor", compare::xor),
];

/// The evaluation of this operator of the standard domain, if the interpreter knows it.
pub fn find(op_type: &str) -> Option<Eval> {
    OPERATORS.binary_search_by(|(name, _)| (*name).cmp(op_type)).ok().map(|i| OPERATORS[i].1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::OnnxError;

    #[test]
    fn the_registry_is_sorted() {
        assert!(OPERATORS.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn the_budget_is_a_sum_over_all_tensors() {
        let budget = Budget::new(10);
        assert_eq!(budget.take(&[2, 3]).ok(), Some(6));
        assert!(budget.take(&[5]).is_err());
        assert_eq!(budget.take(&[4]).ok(), Some(4));
        assert!(budget.take(&[usize::MAX, usize::MAX]).is_err());
    }

    #[test]
    fn only_the_budget_says_that_it_was_too_much() {
        let at = |reason: OpError| OnnxError::Tensor { name: "mask".into(), reason };
        for shape in [[100, 1], [usize::MAX, usize::MAX]] {
            let error = Budget::new(10).take(&shape).unwrap_err();
            assert!(error.is_too_much() && at(error.clone()).is_too_much(), "{error}");
        }
        // Smaller parts would not help against any other error.
        let error = OpError::new("axis 7 of a tensor with 2 axes");
        assert!(!error.is_too_much() && !at(error.clone()).is_too_much());
        assert!(!OnnxError::Invalid("more than may be computed".into()).is_too_much());
    }
}
