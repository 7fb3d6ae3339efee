//! Broadcasting as in NumPy: shapes are aligned at their last axes, and an axis of length 1 is repeated.

use super::strided::{Axis, View, nest, row_major};
use crate::op::ShapeError;

/// Shape of the result of an elementwise operation on inputs of the given shapes.
pub(crate) fn broadcast_shape(op: &'static str, shapes: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
    let rank = shapes.iter().map(|s| s.len()).max().unwrap_or(0);
    let mut out = vec![1; rank];
    for shape in shapes {
        let skipped = rank - shape.len();
        for (o, &n) in out[skipped..].iter_mut().zip(shape.iter()) {
            if *o == 1 {
                *o = n;
            } else if n != 1 && n != *o {
                let message = format!("shapes {shapes:?} do not broadcast: {n} meets {o}");
                return Err(ShapeError::new(op, message));
            }
        }
    }
    Ok(out)
}

/// Shape of the result, after a check of the number of inputs.
pub(crate) fn broadcast_inputs<const M: usize>(
    op: &'static str,
    inputs: &[&[usize]],
) -> Result<Vec<usize>, ShapeError> {
    if inputs.len() != M {
        return Err(ShapeError::new(op, format!("takes {M} inputs, found {}", inputs.len())));
    }
    broadcast_shape(op, inputs)
}

/// Strides with which a row-major array of shape `shape` is read as one of shape `out`: 0 along repeated axes.
pub(crate) fn broadcast_strides(shape: &[usize], out: &[usize]) -> Vec<isize> {
    let mut strides = vec![0; out.len()];
    let skipped = out.len() - shape.len();
    for ((stride, own), (&n, &m)) in
        strides[skipped..].iter_mut().zip(row_major(shape)).zip(shape.iter().zip(&out[skipped..]))
    {
        *stride = if n == m { own } else { 0 };
    }
    strides
}

/// The view of an array of shape `shape` as one of shape `out`.
pub(crate) fn broadcast_view(shape: &[usize], out: &[usize]) -> View {
    View { offset: 0, strides: broadcast_strides(shape, out) }
}

/// The loops of an elementwise operation with `M` broadcast inputs: outer loops, and an innermost run along which
/// every input moves by 0 or 1. The output is row-major: run r starts at element r · `len` of it.
#[derive(Debug)]
pub(crate) struct Runs<const M: usize> {
    /// Outer loops.
    pub outer: Vec<Axis<M>>,
    /// Length of a run.
    pub len: usize,
    /// Steps of the inputs along a run, each 0 or 1.
    pub steps: [isize; M],
}

impl<const M: usize> Runs<M> {
    /// The loops over `out`; `None` if it has no elements.
    pub(super) fn new(out: &[usize], inputs: [&[usize]; M]) -> Option<Self> {
        let strides = inputs.map(|shape| broadcast_strides(shape, out));
        let mut outer = nest(out, std::array::from_fn(|m| strides[m].as_slice()))?;
        let inner = outer.pop().unwrap_or(Axis { len: 1, steps: [0; M] });
        Some(Self { outer, len: inner.len, steps: inner.steps })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_broadcast_as_in_numpy() {
        let shape = |s: &[&[usize]]| broadcast_shape("Add", s);
        assert_eq!(shape(&[&[2, 1, 3], &[4, 1]]), Ok(vec![2, 4, 3]));
        assert_eq!(shape(&[&[], &[4, 1]]), Ok(vec![4, 1]));
        assert_eq!(shape(&[&[0, 1], &[1, 3]]), Ok(vec![0, 3]));
        assert!(shape(&[&[2], &[3]]).is_err());
        assert!(shape(&[&[0], &[3]]).is_err());
    }

    #[test]
    fn runs_are_long() {
        // Equal shapes: one run. A bias over the last axis: runs of its length. A scalar: one run.
        let runs = Runs::new(&[5, 4, 3], [&[5, 4, 3], &[5, 4, 3]]).unwrap();
        assert_eq!((runs.outer.len(), runs.len, runs.steps), (0, 60, [1, 1]));
        let runs = Runs::new(&[5, 4, 3], [&[5, 4, 3], &[3]]).unwrap();
        assert_eq!((runs.outer.len(), runs.len, runs.steps), (1, 3, [1, 1]));
        let runs = Runs::new(&[5, 4, 3], [&[5, 4, 3], &[1, 1]]).unwrap();
        assert_eq!((runs.outer.len(), runs.len, runs.steps), (0, 60, [1, 0]));
    }
}
