//! Mean over all positions.

use super::rows::{add_sum, add_to_each};
use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slots, numel};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// y = mean of x over all axes between the first and the last.
///
/// Input `[n, positions…, c]` (images NHWC); output `[n, c]`. ONNX `GlobalAveragePool` keeps the pooled axes with
/// length 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GlobalAveragePool;

/// Samples, positions and channels.
fn sizes(x: &[usize]) -> (usize, usize, usize) {
    (x[0], numel(&x[1..x.len() - 1]), x[x.len() - 1])
}

/// y = mean of each sample of x.
fn mean<T: Scalar>(shape: &[usize], x: &[T], y: &mut [T]) {
    let (_, positions, c) = sizes(shape);
    let scale = T::from_f64(1.0 / positions as f64);
    y.fill(T::ZERO);
    for (x, y) in x.chunks_exact((positions * c).max(1)).zip(y.chunks_exact_mut(c.max(1))) {
        add_sum(x, y);
        for y in y {
            *y *= scale;
        }
    }
}

/// x̄ += ȳ / positions at every position; overwrites where `accumulate` is false.
fn spread<T: Scalar>(shape: &[usize], gy: &[T], gx: &mut [T], accumulate: bool, row: &mut [T]) {
    let (_, positions, c) = sizes(shape);
    let scale = T::from_f64(1.0 / positions as f64);
    for (gy, gx) in gy.chunks_exact(c.max(1)).zip(gx.chunks_exact_mut((positions * c).max(1))) {
        for (r, &g) in row.iter_mut().zip(gy) {
            *r = g * scale;
        }
        if accumulate {
            add_to_each(gx, row);
        } else {
            for gx in gx.chunks_exact_mut(c.max(1)) {
                gx.copy_from_slice(row);
            }
        }
    }
}

impl OpInfo for GlobalAveragePool {
    fn name(&self) -> &'static str {
        "GlobalAveragePool"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let [x] = inputs else {
            let message = format!("takes 1 input, found {}", inputs.len());
            return Err(ShapeError::new("GlobalAveragePool", message));
        };
        if x.len() < 3 || numel(&x[1..x.len() - 1]) == 0 {
            let message = format!("needs [n, positions…, channels] with at least one position, found {x:?}");
            return Err(ShapeError::new("GlobalAveragePool", message));
        }
        Ok(vec![x[0], x[x.len() - 1]])
    }

    fn reads(&self) -> Reads {
        Reads::NONE
    }
}

impl<T: Scalar> Op<T> for GlobalAveragePool {
    fn forward(&self, c: &Context<'_, T>, y: &mut [T], _scratch: &mut Scratch<T>) {
        mean(c.inputs[0].shape, c.x(0), y);
    }

    fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], _scratch: &mut Scratch<T>) {
        match c.inputs[0].tangent {
            // The tangents lie one after the other, like more samples.
            Some(dx) => mean(c.inputs[0].shape, dx, dy),
            None => dy.fill(T::ZERO),
        }
    }

    fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, scratch: &mut Scratch<T>) {
        if let Some(slot) = &mut gx[0] {
            let mut row = scratch.take(sizes(c.inputs[0].shape).2);
            let (gx, accumulate) = slot.write();
            spread(c.inputs[0].shape, c.gy, gx, accumulate, &mut row);
            scratch.give(row);
        }
    }

    fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, scratch: &mut Scratch<T>) {
        if let Some(slot) = &mut dgx[0] {
            let mut row = scratch.take(sizes(c.inputs[0].shape).2);
            let (dgx, accumulate) = slot.write();
            spread(c.inputs[0].shape, c.dgy, dgx, accumulate, &mut row);
            scratch.give(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::check_op;

    #[test]
    fn derivatives_match_finite_differences() {
        check_op(&GlobalAveragePool, &[&[2, 3, 5, 7]]).unwrap();
        check_op(&GlobalAveragePool, &[&[3, 37, 2]]).unwrap();
    }

    #[test]
    fn shapes_are_checked() {
        assert_eq!(GlobalAveragePool.infer(&[&[2, 3, 5, 7]]).unwrap(), [2, 7]);
        assert!(GlobalAveragePool.infer(&[&[2, 7]]).is_err());
        assert!(GlobalAveragePool.infer(&[&[2, 0, 7]]).is_err());
    }
}
