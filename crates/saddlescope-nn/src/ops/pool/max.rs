//! Max pooling.

use super::window::{Window, Windows};
use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slots};
use crate::ops::axes::single;
use crate::scalar::Scalar;
use crate::scratch::Scratch;

const NAME: &str = "MaxPool";

/// y = the largest x in each window, per channel: PyTorch's `max_pool2d` and ONNX `MaxPool`, channels last. Padding
/// never wins; a NaN does. The adjoint goes to the first place (row by row) where the maximum is attained.
///
/// Input `[n, h, w, c]`, or `[n, l, c]` with the second entry of each pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool {
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// Steps down and across.
    pub stride: [usize; 2],
    /// Padding: top, left, bottom, right.
    pub pad: [usize; 4],
    /// Distances between taps.
    pub dilation: [usize; 2],
    /// Whether the output length is rounded up.
    pub ceil_mode: bool,
}

impl MaxPool {
    /// Square windows side by side, without padding.
    pub fn square(size: usize) -> Self {
        Self { kernel: [size; 2], stride: [size; 2], pad: [0; 4], dilation: [1; 2], ceil_mode: false }
    }

    fn on(&self, x: &[usize]) -> Result<(Windows, Vec<usize>), ShapeError> {
        let Self { kernel, stride, pad, dilation, ceil_mode } = *self;
        Window { kernel, stride, pad, dilation, ceil_mode }.on(NAME, x)
    }

    fn windows<T: Scalar>(&self, c: &Context<'_, T>) -> Windows {
        match self.on(c.inputs[0].shape) {
            Ok((windows, _)) => windows,
            Err(_) => unreachable!("infer refuses these shapes"),
        }
    }

    /// Visits every pair of an output pixel and an input pixel of its window: `visit(output, input, wins)`, with
    /// `wins[channel]` = 1 where the input is the first maximum.
    fn winners<T: Scalar>(
        &self,
        c: &Context<'_, T>,
        scratch: &mut Scratch<T>,
        mut visit: impl FnMut(usize, usize, &[T]),
    ) {
        let windows = self.windows(c);
        let n = windows.channels;
        let (mut open, mut wins) = (scratch.take(n), scratch.take(n));
        let images = c.x(0).chunks_exact(windows.image_len().max(1));
        for (image, (x, y)) in images.zip(c.y.chunks_exact(windows.output_len().max(1))).enumerate() {
            windows.each(|_, _, output, inputs| {
                let y = &y[output..output + n];
                open.fill(T::ONE);
                for input in inputs {
                    let x = &x[input..input + n];
                    for i in 0..n {
                        let largest = x[i] == y[i] || (x[i].is_nan() && y[i].is_nan());
                        wins[i] = if largest { open[i] } else { T::ZERO };
                        open[i] = if largest { T::ZERO } else { open[i] };
                    }
                    visit(image * windows.output_len() + output, image * windows.image_len() + input, &wins);
                }
            });
        }
        scratch.give(open);
        scratch.give(wins);
    }
}

/// Adds `from` to `to` where `wins` is not 0.
#[inline(always)]
fn add_where<T: Scalar>(wins: &[T], from: &[T], to: &mut [T]) {
    for ((to, &from), &w) in to.iter_mut().zip(from).zip(wins) {
        *to += if w == T::ZERO { T::ZERO } else { from };
    }
}

impl OpInfo for MaxPool {
    fn name(&self) -> &'static str {
        NAME
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        Ok(self.on(single(NAME, inputs)?)?.1)
    }

    fn reads(&self) -> Reads {
        Reads { inputs: 1, output: true }
    }
}

impl<T: Scalar> Op<T> for MaxPool {
    fn forward(&self, c: &Context<'_, T>, y: &mut [T], _scratch: &mut Scratch<T>) {
        let windows = self.windows(c);
        let n = windows.channels;
        let images = c.x(0).chunks_exact(windows.image_len().max(1));
        for (x, y) in images.zip(y.chunks_exact_mut(windows.output_len().max(1))) {
            windows.each(|_, _, output, inputs| {
                let y = &mut y[output..output + n];
                y.fill(T::from_f64(f64::NEG_INFINITY));
                for input in inputs {
                    for (y, &x) in y.iter_mut().zip(&x[input..input + n]) {
                        *y = if x > *y || x.is_nan() { x } else { *y };
                    }
                }
            });
        }
    }

    fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], scratch: &mut Scratch<T>) {
        dy.fill(T::ZERO);
        let Some(dx) = c.inputs[0].tangent else { return };
        let (n, len, x_len) = (c.shape[c.shape.len() - 1], c.len(), c.x(0).len());
        self.winners(c, scratch, |output, input, wins| {
            for j in 0..c.tangents {
                add_where(wins, &dx[j * x_len + input..][..n], &mut dy[j * len + output..][..n]);
            }
        });
    }

    fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, scratch: &mut Scratch<T>) {
        let Some(slot) = &mut gx[0] else { return };
        let (n, gx) = (c.shape[c.shape.len() - 1], slot.add());
        self.winners(c, scratch, |output, input, wins| {
            add_where(wins, &c.gy[output..output + n], &mut gx[input..input + n]);
        });
    }

    fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, scratch: &mut Scratch<T>) {
        let Some(slot) = &mut dgx[0] else { return };
        let (n, len, x_len) = (c.shape[c.shape.len() - 1], c.len(), c.x(0).len());
        let dgx = slot.add();
        self.winners(c, scratch, |output, input, wins| {
            for j in 0..c.tangents {
                add_where(wins, &c.dgy[j * len + output..][..n], &mut dgx[j * x_len + input..][..n]);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Operand, Slot};
    use crate::testkit::check_op;

    #[test]
    fn derivatives_match_finite_differences() {
        let op =
            MaxPool { kernel: [3, 2], stride: [2, 1], pad: [1, 0, 1, 1], dilation: [1, 2], ceil_mode: true };
        check_op(&op, &[&[2, 6, 5, 3]]).unwrap();
        check_op(&MaxPool::square(2), &[&[2, 4, 5, 3]]).unwrap();
        check_op(&MaxPool { ceil_mode: true, ..MaxPool::square(2) }, &[&[2, 5, 3, 2]]).unwrap();
        check_op(&MaxPool { stride: [1; 2], ..MaxPool::square(3) }, &[&[2, 7, 3]]).unwrap();
    }

    #[test]
    fn the_first_maximum_gets_the_adjoint_and_nan_wins() {
        let op = MaxPool::square(2);
        let x = [1.0, 3.0, 3.0, 3.0, f64::NAN, 1.0, 2.0, 5.0];
        let inputs =
            [Operand { shape: &[2, 2, 2, 1], value: &x, tangent: None, packed: None, packed_tangents: &[] }];
        let mut c = Context {
            inputs: &inputs,
            shape: &[2, 1, 1, 1],
            tangents: 0,
            y: &[],
            dy: &[],
            gy: &[],
            dgy: &[],
        };
        let (mut y, mut scratch) = ([0.0; 2], Scratch::new());
        op.forward(&c, &mut y, &mut scratch);
        assert!(y[0] == 3.0 && y[1].is_nan());
        (c.y, c.gy) = (&y, &[7.0, 9.0]);
        let mut gx = [0.0; 8];
        op.adjoint(&c, &mut [Some(Slot::new(&mut gx, true))], &mut scratch);
        assert_eq!(gx, [0.0, 7.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0]);
    }
}
