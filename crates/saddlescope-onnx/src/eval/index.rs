//! Row-major index arithmetic shared by the operators that move elements.

use crate::error::OpError;

/// Elements between neighbours along each dimension of a contiguous tensor.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    for d in (1..shape.len()).rev() {
        // Cannot overflow for the shape of an existing tensor; an empty one is never indexed.
        strides[d - 1] = strides[d].saturating_mul(shape[d]);
    }
    strides
}

/// For every element of `shape` in row-major order, Σ index·stride: how an output element finds its source.
///
/// A stride of 0 repeats (broadcasting); the caller guarantees that `shape` has been budgeted.
pub(super) fn offsets(shape: &[usize], strides: &[usize], base: usize) -> Vec<usize> {
    let len = if shape.contains(&0) { 0 } else { shape.iter().product() };
    let mut out = Vec::with_capacity(len);
    let mut index = vec![0usize; shape.len()];
    let mut at = base;
    for _ in 0..len {
        out.push(at);
        for d in (0..shape.len()).rev() {
            index[d] += 1;
            if index[d] < shape[d] {
                at += strides[d];
                break;
            }
            at -= strides[d] * (shape[d] - 1);
            index[d] = 0;
        }
    }
    out
}

/// Product of these dimensions, which are part of an existing tensor's shape.
pub(super) fn product(shape: &[usize]) -> usize {
    shape.iter().fold(1usize, |n, &d| n.saturating_mul(d))
}

/// A shape seen from one axis: dimensions before it, its length, dimensions after it.
pub(super) fn around(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    (product(&shape[..axis]), shape[axis], product(&shape[axis + 1..]))
}

/// An index counted from the end if negative, checked against the length.
pub(super) fn checked_index(index: i128, len: usize) -> Result<usize, OpError> {
    let len_i = len as i128;
    let positive = if index < 0 { index + len_i } else { index };
    if (0..len_i).contains(&positive) {
        Ok(positive as usize)
    } else {
        Err(OpError::new(format!("index {index} into a dimension of length {len}")))
    }
}
