//! Slices selected by tuples of indices.

use super::gather::entry;
use super::strided::row_major;
use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slots, numel};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// y[b…, i…] = x[b…, indices[b…, i…, :]]: tuples of indices into the axes after the first `batch_dims`, which are shared (ONNX
/// `GatherND`). Inputs: x, indices `[b…, i…, depth]`; output `[b…, i…]` and the axes of x that no index names.
///
/// Indices are treated as in [`Gather`](super::Gather): not differentiated, and NaN comes of those that are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatherNd {
    batch_dims: usize,
}

impl GatherNd {
    /// Selection with this many leading axes in common.
    pub fn new(batch_dims: usize) -> Self {
        Self { batch_dims }
    }
}

/// Where the slice of every tuple begins in x, if its indices are some, and the length of a slice.
pub(super) fn tuple_starts<T: Scalar>(
    x: &[usize],
    indices: &[usize],
    values: &[T],
    batch_dims: usize,
) -> (Vec<Option<usize>>, usize) {
    let Some((&depth, lead)) = indices.split_last() else { return (vec![], 0) };
    let strides = row_major(x);
    let per_batch = numel(&lead[batch_dims..]);
    let batch_size = numel(&x[batch_dims..]);
    let starts = (0..numel(lead)).map(|t| {
        let mut at = t.checked_div(per_batch)? * batch_size;
        for k in 0..depth {
            at +=
                entry(values[t * depth + k].to_f64(), x[batch_dims + k])? * strides[batch_dims + k] as usize;
        }
        Some(at)
    });
    (starts.collect(), numel(&x[batch_dims + depth..]))
}

impl OpInfo for GatherNd {
    fn name(&self) -> &'static str {
        "GatherND"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let [x, indices] = *inputs else {
            return Err(ShapeError::new(self.name(), format!("takes 2 inputs, found {}", inputs.len())));
        };
        let b = self.batch_dims;
        match indices.split_last() {
            Some((&depth, lead)) if b <= lead.len() && b + depth <= x.len() && lead[..b] == x[..b] => {
                Ok([lead, &x[b + depth..]].concat())
            }
            _ => {
                let message = format!("indices {indices:?} do not fit {x:?} with {b} shared axes");
                Err(ShapeError::new(self.name(), message))
            }
        }
    }

    fn reads(&self) -> Reads {
        Reads { inputs: 0b10, output: false }
    }
}

impl GatherNd {
    fn starts<T: Scalar>(&self, c: &Context<'_, T>) -> (Vec<Option<usize>>, usize) {
        tuple_starts(c.inputs[0].shape, c.inputs[1].shape, c.x(1), self.batch_dims)
    }
}

fn select<T: Scalar>((starts, block): &(Vec<Option<usize>>, usize), x: &[T], y: &mut [T]) {
    for (y, start) in y.chunks_exact_mut((*block).max(1)).zip(starts) {
        match start {
            Some(s) => y.copy_from_slice(&x[*s..*s + block]),
            None => y.fill(T::from_f64(f64::NAN)),
        }
    }
}

fn deposit<T: Scalar>((starts, block): &(Vec<Option<usize>>, usize), gy: &[T], gx: &mut [T]) {
    for (gy, start) in gy.chunks_exact((*block).max(1)).zip(starts) {
        if let Some(s) = start {
            for (gx, &gy) in gx[*s..*s + block].iter_mut().zip(gy) {
                *gx += gy;
            }
        }
    }
}

impl<T: Scalar> Op<T> for GatherNd {
    fn forward(&self, c: &Context<'_, T>, y: &mut [T], _scratch: &mut Scratch<T>) {
        select(&self.starts(c), c.x(0), y);
    }

    fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], _scratch: &mut Scratch<T>) {
        let starts = self.starts(c);
        for (j, dy) in dy.chunks_exact_mut(c.len().max(1)).enumerate() {
            match c.dx(0, j) {
                Some(dx) => select(&starts, dx, dy),
                None => dy.fill(T::ZERO),
            }
        }
    }

    fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        if let Some(slot) = &mut gx[0] {
            deposit(&self.starts(c), c.gy, slot.add());
        }
    }

    fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        if let Some(slot) = &mut dgx[0] {
            let starts = self.starts(c);
            for j in 0..c.tangents {
                deposit(&starts, c.dgy(j), slot.part(j, c.tangents).add());
            }
            slot.set_written();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::OpCheck;

    #[test]
    fn derivatives_match_finite_differences() {
        let check = |batch_dims: usize, x: &[usize], shape: &[usize], values: &[f64]| {
            let op = GatherNd::new(batch_dims);
            OpCheck::new(&op, &[x, shape]).values(1, values.to_vec()).constant(1).run().unwrap();
        };
        check(0, &[3, 4, 2], &[3, 2], &[0.0, 1.0, 2.0, -1.0, 0.0, 1.0]);
        check(0, &[3, 4], &[2, 1, 1], &[2.0, 2.0]);
        check(1, &[2, 3, 4], &[2, 3, 1], &[0.0, 2.0, 2.0, 1.0, -1.0, 0.0]);
        check(2, &[2, 3, 4], &[2, 3, 1], &[0.0, 3.0, 2.0, 1.0, -1.0, 0.0]);
        check(0, &[3, 4], &[2, 0], &[]);
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        assert!(GatherNd::new(0).infer(&[&[3, 4], &[2, 3]]).is_err());
        assert!(GatherNd::new(1).infer(&[&[3, 4], &[2, 1]]).is_err());
        assert!(GatherNd::new(2).infer(&[&[3, 4], &[3, 1]]).is_err());
        assert_eq!(GatherNd::new(1).infer(&[&[3, 4, 5], &[3, 2, 1]]).unwrap(), [3, 2, 5]);
    }
}
