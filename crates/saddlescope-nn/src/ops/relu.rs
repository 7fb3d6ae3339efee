//! Rectified linear unit.

use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slots};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// y = max(x, 0), with derivative 0 at 0 as in PyTorch. A NaN stays NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relu;

impl OpInfo for Relu {
    fn name(&self) -> &'static str {
        "Relu"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        match inputs {
            [x] => Ok(x.to_vec()),
            _ => Err(ShapeError::new("Relu", format!("takes 1 input, found {}", inputs.len()))),
        }
    }

    fn reads(&self) -> Reads {
        Reads::OUTPUT
    }
}

/// `g` where the output `y` is positive, else 0.
#[inline(always)]
fn gate<T: Scalar>(y: T, g: T) -> T {
    if y > T::ZERO { g } else { T::ZERO }
}

impl<T: Scalar> Op<T> for Relu {
    fn forward(&self, c: &Context<'_, T>, y: &mut [T], _scratch: &mut Scratch<T>) {
        for (y, &x) in y.iter_mut().zip(c.x(0)) {
            *y = if x <= T::ZERO { T::ZERO } else { x };
        }
    }

    fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], _scratch: &mut Scratch<T>) {
        for (j, dy) in dy.chunks_exact_mut(c.len().max(1)).enumerate() {
            match c.dx(0, j) {
                Some(dx) => {
                    for ((dy, &dx), &y) in dy.iter_mut().zip(dx).zip(c.y) {
                        *dy = gate(y, dx);
                    }
                }
                None => dy.fill(T::ZERO),
            }
        }
    }

    fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        if let Some(slot) = &mut gx[0] {
            slot.write_each(|i| gate(c.y[i], c.gy[i]));
        }
    }

    fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        if let Some(slot) = &mut dgx[0] {
            for j in 0..c.tangents {
                let dgy = c.dgy(j);
                slot.part(j, c.tangents).write_each(|i| gate(c.y[i], dgy[i]));
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
        check_op(&Relu, &[&[3, 5, 7]]).unwrap();
    }
}
