//! Fully connected layer.

use super::contraction::{Contraction, Strides};
use super::{bilinear, rows};
use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slots, numel};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// y = x Wᵀ + b on the last axis, as PyTorch's `nn.Linear`.
///
/// Inputs: x `[…, in]`, W `[out, in]`, and b `[out]`, which may be left out. Output `[…, out]`. For weights stored
/// as `[in, out]` use [`MatMul`](super::MatMul).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linear;

fn contraction(x: &[usize], w: &[usize]) -> Contraction {
    let (out, k) = (w[0], w[1]);
    let m = numel(&x[..x.len() - 1]);
    Contraction::single(m, k, out, Strides::row_major(k), Strides::row_major(k).transposed())
}

fn of<T: Scalar>(c: &Context<'_, T>) -> Contraction {
    contraction(c.inputs[0].shape, c.inputs[1].shape)
}

impl OpInfo for Linear {
    fn name(&self) -> &'static str {
        "Linear"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let (x, w, b) = match *inputs {
            [x, w] => (x, w, None),
            [x, w, b] => (x, w, Some(b)),
            _ => {
                let message = format!("takes 2 or 3 inputs (x, W, b), found {}", inputs.len());
                return Err(ShapeError::new("Linear", message));
            }
        };
        let (&[out, k], Some((&last, rows))) = (w, x.split_last()) else {
            let message = format!("needs x […, in] and W [out, in], found {x:?} and {w:?}");
            return Err(ShapeError::new("Linear", message));
        };
        if k != last {
            let message = format!("x {x:?} has {last} features, W {w:?} expects {k}");
            return Err(ShapeError::new("Linear", message));
        }
        if let Some(b) = b.filter(|b| **b != [out]) {
            return Err(ShapeError::new("Linear", format!("bias must be [{out}], found {b:?}")));
        }
        Ok([rows, &[out]].concat())
    }

    fn reads(&self) -> Reads {
        Reads { inputs: 0b11, output: false }
    }

    fn flops(&self, inputs: &[&[usize]], _output: &[usize]) -> u64 {
        contraction(inputs[0], inputs[1]).flops()
    }
}

impl<T: Scalar> Op<T> for Linear {
    fn forward(&self, c: &Context<'_, T>, y: &mut [T], scratch: &mut Scratch<T>) {
        let bias = c.inputs.get(2).map_or(&[][..], |b| b.value);
        bilinear::forward(&of(c), c, bias, y, scratch);
    }

    fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], scratch: &mut Scratch<T>) {
        let bias = |j| c.inputs.get(2).and_then(|b| b.tangent(j)).unwrap_or(&[]);
        bilinear::tangent(&of(c), c, bias, dy, scratch);
    }

    fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, scratch: &mut Scratch<T>) {
        bilinear::adjoint(&of(c), c, gx, scratch);
        if let Some(Some(slot)) = gx.get_mut(2) {
            rows::add_sum(c.gy, slot.add());
        }
    }

    fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, scratch: &mut Scratch<T>) {
        bilinear::adjoint_tangent(&of(c), c, dgx, scratch);
        if let Some(Some(slot)) = dgx.get_mut(2) {
            let out = c.inputs[2].shape[0];
            let sums = slot.add();
            for j in 0..c.tangents {
                rows::add_sum(c.dgy(j), &mut sums[j * out..(j + 1) * out]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{OpCheck, check_op};

    #[test]
    fn derivatives_match_finite_differences() {
        check_op(&Linear, &[&[3, 5], &[7, 5], &[7]]).unwrap();
        check_op(&Linear, &[&[2, 3, 5], &[1, 5]]).unwrap();
        check_op(&Linear, &[&[4], &[3, 4], &[3]]).unwrap();
        OpCheck::new(&Linear, &[&[3, 5], &[7, 5], &[7]]).constant(0).run().unwrap();
        OpCheck::new(&Linear, &[&[3, 5], &[7, 5], &[7]]).constant(1).constant(2).run().unwrap();
    }

    #[test]
    fn shapes_are_checked() {
        assert_eq!(Linear.infer(&[&[2, 9, 5], &[7, 5]]).unwrap(), [2, 9, 7]);
        assert!(Linear.infer(&[&[2, 5], &[5, 7]]).is_err());
        assert!(Linear.infer(&[&[2, 5], &[7, 5], &[5]]).is_err());
        assert!(Linear.infer(&[&[], &[7, 5]]).is_err());
        assert!(Linear.infer(&[&[2, 5]]).is_err());
    }
}
