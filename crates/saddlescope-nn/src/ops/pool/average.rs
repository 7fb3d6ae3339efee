//! Average pooling.

use super::window::{Spans, Taps, Window, Windows, block, block_mut, in_blocks};
use crate::kernels::Isa;
use crate::kernels::loops::vectorised;
use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slot, Slots};
use crate::ops::axes::single;
use crate::scalar::Scalar;
use crate::scratch::Scratch;

const NAME: &str = "AveragePool";

/// y = the mean of x in each window, per channel: PyTorch's `avg_pool2d` and ONNX `AveragePool`, channels last.
///
/// Input `[n, h, w, c]`, or `[n, l, c]` with the second entry of each pair. With `ceil_mode`, what hangs over the
/// padded image does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AveragePool {
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
    /// Whether padding counts in the mean (PyTorch: yes by default; ONNX: no by default).
    pub count_include_pad: bool,
}

impl AveragePool {
    /// Square windows side by side, without padding.
    pub fn square(size: usize) -> Self {
        Self {
            kernel: [size; 2],
            stride: [size; 2],
            pad: [0; 4],
            dilation: [1; 2],
            ceil_mode: false,
            count_include_pad: true,
        }
    }

    fn on(&self, x: &[usize]) -> Result<(Windows, Vec<usize>), ShapeError> {
        let Self { kernel, stride, pad, dilation, ceil_mode, .. } = *self;
        Window { kernel, stride, pad, dilation, ceil_mode }.on(NAME, x)
    }

    fn windows<T: Scalar>(&self, c: &Context<'_, T>) -> Windows {
        match self.on(c.inputs[0].shape) {
            Ok((windows, _)) => windows,
            Err(_) => unreachable!("infer refuses these shapes"),
        }
    }

    /// y = means of x; x may hold any number of images.
    fn gather<T: Scalar>(&self, windows: &Windows, x: &[T], y: &mut [T]) {
        let (spans, isa) = (windows.spans(), Isa::detect());
        for (x, y) in spans.images(x).zip(spans.outputs_mut(y)) {
            means(isa, &spans, self.count_include_pad, x, y);
        }
    }

    /// x̄ += the adjoint of [`Self::gather`].
    fn scatter<T: Scalar>(&self, windows: &Windows, gy: &[T], slot: &mut Slot<'_, T>) {
        let (spans, isa) = (windows.spans(), Isa::detect());
        let (gx, add) = slot.write();
        for (gy, gx) in spans.outputs(gy).zip(spans.images_mut(gx)) {
            if !add && !spans.tiles {
                gx.fill(T::ZERO);
            }
            shares(isa, &spans, self.count_include_pad, gy, gx, add || !spans.tiles);
        }
    }
}

/// One over the number of pixels that a mean is taken of.
#[inline(always)]
fn scale<T: Scalar>(taps: &Taps, with_padding: bool) -> T {
    let count = if with_padding { taps.padded } else { taps.counts[0] * taps.counts[1] };
    T::from_f64(1.0 / count as f64)
}

/// y = scale · the sum of one window, for B channels from `at` on.
#[inline(always)]
fn mean_in<T: Scalar, const B: usize>(taps: &Taps, scale: T, x: &[T], y: &mut [T], at: usize) {
    let mut sum = [T::ZERO; B];
    for u in 0..taps.counts[0] {
        for v in 0..taps.counts[1] {
            let x = block::<T, B>(x, taps.offset(u, v) + at);
            for l in 0..B {
                sum[l] += x[l];
            }
        }
    }
    *block_mut(y, at) = sum.map(|sum| sum * scale);
}

/// x̄ (+)= scale · ȳ in one window, for B channels from `at` on.
#[inline(always)]
fn share_in<T: Scalar, const B: usize>(taps: &Taps, scale: T, gy: &[T], gx: &mut [T], add: bool, at: usize) {
    let share = block::<T, B>(gy, at).map(|gy| gy * scale);
    for u in 0..taps.counts[0] {
        for v in 0..taps.counts[1] {
            let gx = block_mut::<T, B>(gx, taps.offset(u, v) + at);
            let before = if add { *gx } else { [T::ZERO; B] };
            for l in 0..B {
                gx[l] = before[l] + share[l];
            }
        }
    }
}

vectorised! {
    /// y = the mean of each window, for one image.
    fn means['a, T](spans: &'a Spans, with_padding: bool, x: &'a [T], y: &'a mut [T]) {
        let ([rows, columns], c) = (spans.output(), spans.channels);
        for i in 0..rows {
            for j in 0..columns {
                let (taps, pixel) = (spans.taps(i, j), (i * columns + j) * c);
                let (scale, y) = (scale::<T>(&taps, with_padding), &mut y[pixel..pixel + c]);
                in_blocks!(c, mean_in::<T>(&taps, scale, x, y));
            }
        }
    }
}

vectorised! {
    /// x̄ (+)= the adjoint of [`means`], for one image.
    fn shares['a, T](spans: &'a Spans, with_padding: bool, gy: &'a [T], gx: &'a mut [T], add: bool) {
        let ([rows, columns], c) = (spans.output(), spans.channels);
        for i in 0..rows {
            for j in 0..columns {
                let (taps, pixel) = (spans.taps(i, j), (i * columns + j) * c);
                let (scale, gy) = (scale::<T>(&taps, with_padding), &gy[pixel..pixel + c]);
                in_blocks!(c, share_in::<T>(&taps, scale, gy, gx, add));
            }
        }
    }
}

impl OpInfo for AveragePool {
    fn name(&self) -> &'static str {
        NAME
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        Ok(self.on(single(NAME, inputs)?)?.1)
    }

    fn reads(&self) -> Reads {
        Reads::NONE
    }
}

impl<T: Scalar> Op<T> for AveragePool {
    fn forward(&self, c: &Context<'_, T>, y: &mut [T], _scratch: &mut Scratch<T>) {
        self.gather(&self.windows(c), c.x(0), y);
    }

    fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], _scratch: &mut Scratch<T>) {
        match c.inputs[0].tangent {
            // The tangents lie one after the other, like more images.
            Some(dx) => self.gather(&self.windows(c), dx, dy),
            None => dy.fill(T::ZERO),
        }
    }

    fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        if let Some(slot) = &mut gx[0] {
            self.scatter(&self.windows(c), c.gy, slot);
        }
    }

    fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        if let Some(slot) = &mut dgx[0] {
            self.scatter(&self.windows(c), c.dgy, slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::check_op;

    #[test]
    fn derivatives_match_finite_differences() {
        for count_include_pad in [false, true] {
            let op = AveragePool {
                kernel: [3, 2],
                stride: [2, 1],
                pad: [1, 0, 1, 1],
                dilation: [1, 2],
                ceil_mode: true,
                count_include_pad,
            };
            check_op(&op, &[&[2, 6, 5, 3]]).unwrap();
            check_op(&AveragePool { count_include_pad, ..AveragePool::square(2) }, &[&[2, 4, 5, 3]]).unwrap();
            check_op(&AveragePool { count_include_pad, ..AveragePool::square(3) }, &[&[2, 7, 3]]).unwrap();
        }
    }

    #[test]
    fn padding_counts_only_if_asked_for() {
        // One row 1 2 3 4 5, windows of 2, stride 2, padding 1 on both sides, rounded up: PyTorch gives
        // [0.5, 2.5, 4.5] with padding counted and [1, 2.5, 4.5] without.
        let op = AveragePool {
            kernel: [1, 2],
            stride: [1, 2],
            pad: [0, 1, 0, 1],
            ceil_mode: true,
            ..AveragePool::square(1)
        };
        let x = [1.0, 2.0, 3.0, 4.0, 5.0];
        for (count_include_pad, expected) in [(true, [0.5, 2.5, 4.5]), (false, [1.0, 2.5, 4.5])] {
            let op = AveragePool { count_include_pad, ..op };
            let (windows, shape) = op.on(&[1, 1, 5, 1]).unwrap();
            let mut y = vec![0.0; shape.iter().product()];
            op.gather(&windows, &x, &mut y);
            assert_eq!(y, expected);
        }
    }
}
