//! What the importer knows about a value of the ONNX graph.
//!
//! Shapes with a free batch dimension are found without symbolic algebra: the graph is followed at two batch sizes at
//! once ([`PROBES`]), and what differs between them depends on the batch.

use std::rc::Rc;

use super::draft::DraftId;
pub(crate) use super::probes::{Both, PROBES};
use crate::element::ElementType;
use crate::value::Value;

/// A value in the engine, perhaps with its axes in another order than ONNX has them.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    /// The engine's value.
    pub(crate) id: DraftId,
    /// Engine axis i is ONNX axis `order[i]`: images are kept channels last without ONNX noticing.
    pub(crate) order: Vec<usize>,
    /// Element type that ONNX gives the value.
    pub(crate) element: ElementType,
    /// The candidate of which this is a reshaped view, for naming biases and the like.
    pub(crate) weight: Option<usize>,
}

/// What the importer knows about a value.
#[derive(Clone, Debug)]
pub(crate) enum Symbol {
    /// Known at import: depends on constants only, and perhaps on the batch size.
    Known(Known),
    /// Depends on the data (but not on parameters): computed by the interpreter once per data set. The values here
    /// were computed from zeros; their shapes and types are true.
    Data(Known),
    /// A float initialiser that is a parameter if the engine uses it; ONNX axis i is axis `view[i]` of the file.
    Weight {
        /// Index of the candidate.
        candidate: usize,
        /// Order of axes.
        view: Vec<usize>,
        /// The tensor in the file.
        value: Rc<Value>,
    },
    /// In the engine.
    Engine(Tensor),
}

/// A value that the interpreter computed, with its name in the environment.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) name: String,
    pub(crate) values: Both<Rc<Value>>,
}

impl Known {
    /// The value, if it is the same for every batch size.
    pub(crate) fn fixed(&self) -> Option<&Rc<Value>> {
        let [a, b] = &self.values;
        (Rc::ptr_eq(a, b) || a == b).then_some(a)
    }

    pub(crate) fn shapes(&self) -> Both<Vec<usize>> {
        [self.values[0].shape().to_vec(), self.values[1].shape().to_vec()]
    }
}

/// `shape` with its axes in this order.
pub(crate) fn reorder<T: Clone>(shape: &[T], order: &[usize]) -> Vec<T> {
    order.iter().map(|&a| shape[a].clone()).collect()
}

/// The inverse permutation.
pub(crate) fn inverse(order: &[usize]) -> Vec<usize> {
    let mut out = vec![0; order.len()];
    for (i, &a) in order.iter().enumerate() {
        out[a] = i;
    }
    out
}

/// 0, 1, …, rank − 1.
pub(crate) fn identity(rank: usize) -> Vec<usize> {
    (0..rank).collect()
}

/// [0, 2, …, rank − 1, 1]: channels moved from second to last place.
pub(crate) fn channels_last(rank: usize) -> Vec<usize> {
    if rank < 2 {
        return identity(rank);
    }
    std::iter::once(0).chain(2..rank).chain([1]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutations() {
        let order = channels_last(4);
        assert_eq!(order, [0, 2, 3, 1]);
        assert_eq!(reorder(&[10, 11, 12, 13], &order), [10, 12, 13, 11]);
        assert_eq!(reorder(&reorder(&[10, 11, 12, 13], &order), &inverse(&order)), [10, 11, 12, 13]);
    }
}
