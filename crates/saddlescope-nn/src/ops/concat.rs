//! Concatenation.

use super::axes::{accepted_axis, around, resolve_axis};
use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slots, numel};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// The inputs one after the other along an axis (ONNX `Concat`, PyTorch `cat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concat {
    axis: i64,
}

impl Concat {
    /// Concatenation along `axis`; −1 is the last.
    pub fn new(axis: i64) -> Self {
        Self { axis }
    }

    /// Row length of the output (the axis and those after it), and row lengths of the inputs.
    fn rows<T>(&self, c: &Context<'_, T>) -> (usize, Vec<usize>) {
        let axis = accepted_axis(self.axis, c.shape.len());
        let [_, n, inner] = around(c.shape, axis);
        (n * inner, c.inputs.iter().map(|x| x.shape[axis] * inner).collect())
    }
}

impl OpInfo for Concat {
    fn name(&self) -> &'static str {
        "Concat"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let Some((first, rest)) = inputs.split_first() else {
            return Err(ShapeError::new(self.name(), "takes at least 1 input, found none"));
        };
        let axis = resolve_axis(self.name(), self.axis, first.len())?;
        let mut shape = first.to_vec();
        for x in rest {
            let fits = x.len() == first.len() && (0..x.len()).all(|a| a == axis || x[a] == first[a]);
            if !fits {
                let message = format!("shapes {inputs:?} differ in another axis than {axis}");
                return Err(ShapeError::new(self.name(), message));
            }
            shape[axis] += x[axis];
        }
        Ok(shape)
    }

    fn reads(&self) -> Reads {
        Reads::NONE
    }
}

impl<T: Scalar> Op<T> for Concat {
    fn forward(&self, c: &Context<'_, T>, y: &mut [T], _scratch: &mut Scratch<T>) {
        let (row, widths) = self.rows(c);
        let mut start = 0;
        for (x, &width) in c.inputs.iter().zip(&widths) {
            join(x.value, y, start, width, row);
            start += width;
        }
    }

    fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], _scratch: &mut Scratch<T>) {
        let (row, widths) = self.rows(c);
        for (j, dy) in dy.chunks_exact_mut(c.len().max(1)).enumerate() {
            let mut start = 0;
            for (i, &width) in widths.iter().enumerate() {
                match c.dx(i, j) {
                    Some(dx) => join(dx, dy, start, width, row),
                    None if width > 0 => {
                        for dy in dy.chunks_exact_mut(row) {
                            dy[start..start + width].fill(T::ZERO);
                        }
                    }
                    None => {}
                }
                start += width;
            }
        }
    }

    fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        self.cut(c, gx, 1, |_| c.gy);
    }

    fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        self.cut(c, dgx, c.tangents, |j| c.dgy(j));
    }
}

impl Concat {
    /// Hands each input its part of `k` adjoints of the output.
    fn cut<'g, T: Scalar>(
        &self,
        c: &Context<'_, T>,
        slots: &mut Slots<'_, T>,
        k: usize,
        gy: impl Fn(usize) -> &'g [T],
    ) {
        let (row, widths) = self.rows(c);
        let mut start = 0;
        for ((slot, &width), x) in slots.iter_mut().zip(&widths).zip(c.inputs) {
            if let Some(slot) = slot {
                let (gx, add) = slot.write();
                let len = numel(x.shape);
                for (j, gx) in gx.chunks_exact_mut(len.max(1)).enumerate().take(k) {
                    for (gx, gy) in gx.chunks_exact_mut(width.max(1)).zip(gy(j).chunks_exact(row.max(1))) {
                        let gy = &gy[start..start + width];
                        if add {
                            for (gx, &gy) in gx.iter_mut().zip(gy) {
                                *gx += gy;
                            }
                        } else {
                            gx.copy_from_slice(gy);
                        }
                    }
                }
            }
            start += width;
        }
    }
}

/// Copies rows of length `width` to column `start` of rows of length `row`.
fn join<T: Scalar>(x: &[T], y: &mut [T], start: usize, width: usize, row: usize) {
    if width == 0 {
        return;
    }
    for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(row)) {
        y[start..start + width].copy_from_slice(x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{OpCheck, check_op};

    #[test]
    fn derivatives_match_finite_differences() {
        check_op(&Concat::new(1), &[&[3, 2, 5], &[3, 1, 5], &[3, 4, 5]]).unwrap();
        check_op(&Concat::new(-1), &[&[3, 2, 5], &[3, 2, 1]]).unwrap();
        check_op(&Concat::new(0), &[&[3, 2], &[1, 2]]).unwrap();
        check_op(&Concat::new(1), &[&[3, 0], &[3, 2]]).unwrap();
        check_op(&Concat::new(1), &[&[0, 2], &[0, 2]]).unwrap();
        OpCheck::new(&Concat::new(1), &[&[3, 2], &[3, 3]]).constant(0).run().unwrap();
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        assert!(Concat::new(1).infer(&[&[3, 2], &[4, 2]]).is_err());
        assert!(Concat::new(1).infer(&[&[3, 2], &[3]]).is_err());
        assert!(Concat::new(2).infer(&[&[3, 2]]).is_err());
        assert!(Concat::new(0).infer(&[]).is_err());
    }
}
