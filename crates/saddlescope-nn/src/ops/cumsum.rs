//! Cumulative sums.

use super::axes::{accepted_axis, around, resolve_axis, single};
use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slots};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// Sums of the elements up to each place along an axis (ONNX `CumSum` with a constant axis).
///
/// Along the first axis it mixes the samples of a batch; that axis must be named 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CumSum {
    axis: i64,
    exclusive: bool,
    reverse: bool,
}

impl CumSum {
    /// Sums along `axis`; `exclusive`: without the element itself; `reverse`: from the end.
    pub fn new(axis: i64, exclusive: bool, reverse: bool) -> Self {
        Self { axis, exclusive, reverse }
    }

    /// Adds (or stores) the sums along the axis; `reverse` tells from which end.
    fn run<T: Scalar>(&self, shape: &[usize], x: &[T], y: &mut [T], reverse: bool, add: bool) {
        let [outer, n, inner] = around(shape, accepted_axis(self.axis, shape.len()));
        for o in 0..outer {
            for i in 0..inner {
                let mut sum = T::ZERO;
                for step in 0..n {
                    let place = if reverse { n - 1 - step } else { step };
                    let at = (o * n + place) * inner + i;
                    let with = sum + x[at];
                    let out = if self.exclusive { sum } else { with };
                    y[at] = if add { y[at] + out } else { out };
                    sum = with;
                }
            }
        }
    }
}

impl OpInfo for CumSum {
    fn name(&self) -> &'static str {
        "CumSum"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let x = single(self.name(), inputs)?;
        if resolve_axis(self.name(), self.axis, x.len())? == 0 && self.axis != 0 {
            return Err(ShapeError::new(self.name(), format!("the first axis of {x:?} must be named 0")));
        }
        Ok(x.to_vec())
    }

    fn couples_samples(&self) -> bool {
        self.axis == 0
    }

    fn reads(&self) -> Reads {
        Reads::NONE
    }
}

impl<T: Scalar> Op<T> for CumSum {
    fn forward(&self, c: &Context<'_, T>, y: &mut [T], _scratch: &mut Scratch<T>) {
        self.run(c.shape, c.x(0), y, self.reverse, false);
    }

    fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], _scratch: &mut Scratch<T>) {
        for (j, dy) in dy.chunks_exact_mut(c.len().max(1)).enumerate() {
            match c.dx(0, j) {
                Some(dx) => self.run(c.shape, dx, dy, self.reverse, false),
                None => dy.fill(T::ZERO),
            }
        }
    }

    fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        if let Some(slot) = &mut gx[0] {
            let (gx, add) = slot.write();
            self.run(c.shape, c.gy, gx, !self.reverse, add);
        }
    }

    fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        if let Some(slot) = &mut dgx[0] {
            for j in 0..c.tangents {
                let mut part = slot.part(j, c.tangents);
                let (dgx, add) = part.write();
                self.run(c.shape, c.dgy(j), dgx, !self.reverse, add);
            }
            slot.set_written();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::check_op;

    #[test]
    fn derivatives_match_finite_differences() {
        for (exclusive, reverse) in [(false, false), (true, false), (false, true), (true, true)] {
            check_op(&CumSum::new(1, exclusive, reverse), &[&[3, 5, 7]]).unwrap();
            check_op(&CumSum::new(-1, exclusive, reverse), &[&[3, 5]]).unwrap();
            check_op(&CumSum::new(0, exclusive, reverse), &[&[3, 0]]).unwrap();
        }
    }

    #[test]
    fn values_are_onnxs() {
        // The examples of the ONNX operator's page: [1, 2, 3, 4, 5].
        let sums = |exclusive, reverse| {
            let mut y = [0.0; 5];
            CumSum::new(0, exclusive, reverse).run(&[5], &[1.0, 2.0, 3.0, 4.0, 5.0], &mut y, reverse, false);
            y
        };
        assert_eq!(sums(false, false), [1.0, 3.0, 6.0, 10.0, 15.0]);
        assert_eq!(sums(true, false), [0.0, 1.0, 3.0, 6.0, 10.0]);
        assert_eq!(sums(false, true), [15.0, 14.0, 12.0, 9.0, 5.0]);
        assert_eq!(sums(true, true), [14.0, 12.0, 9.0, 5.0, 0.0]);
    }

    #[test]
    fn the_first_axis_must_be_named_zero() {
        assert!(CumSum::new(-2, false, false).infer(&[&[3, 5]]).is_err());
        assert!(CumSum::new(2, false, false).infer(&[&[3, 5]]).is_err());
        assert!(CumSum::new(0, false, false).couples_samples());
    }
}
