//! Max pooling.

use std::array::from_fn;

use super::window::{Spans, Taps, Window, Windows, block, block_mut, in_blocks};
use crate::kernels::Isa;
use crate::kernels::loops::vectorised;
use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slot, Slots};
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

    /// x̄ += the adjoints at the first maxima; `gy` and the slot may hold several of them, one after the other.
    fn spread_all<T: Scalar>(&self, c: &Context<'_, T>, gy: &[T], slot: &mut Slot<'_, T>) {
        let (spans, isa) = (self.windows(c).spans(), Isa::detect());
        let (gx, add) = slot.write();
        let (len, x_len) = (c.len().max(1), c.x(0).len().max(1));
        for (gy, gx) in gy.chunks_exact(len).zip(gx.chunks_exact_mut(x_len)) {
            let images = spans.images(c.x(0)).zip(spans.outputs(c.y));
            for ((x, y), (gy, gx)) in images.zip(spans.outputs(gy).zip(spans.images_mut(gx))) {
                if !add && !spans.tiles {
                    gx.fill(T::ZERO);
                }
                spread(isa, &spans, x, y, gy, gx, add || !spans.tiles);
            }
        }
    }
}

/// The larger of the largest number so far and one more, NaN if either is.
#[inline(always)]
fn larger<T: Scalar>(largest: T, x: T) -> T {
    if (x > largest) | x.is_nan() { x } else { largest }
}

/// Whether x attains the maximum y of its window: any NaN does, because y is then one.
#[inline(always)]
fn attains<T: Scalar>(x: T, y: T) -> bool {
    (x == y) | x.is_nan()
}

/// y = the largest x of one window, for B channels from `at` on.
#[inline(always)]
fn largest_in<T: Scalar, const B: usize>(taps: &Taps, x: &[T], y: &mut [T], at: usize) {
    let mut largest = [T::from_f64(f64::NEG_INFINITY); B];
    for u in 0..taps.counts[0] {
        for v in 0..taps.counts[1] {
            let x = block::<T, B>(x, taps.offset(u, v) + at);
            largest = from_fn(|l| larger(largest[l], x[l]));
        }
    }
    *block_mut(y, at) = largest;
}

/// ẏ = ẋ where the first maximum is, for B channels from `at` on.
#[inline(always)]
fn select_in<T: Scalar, const B: usize>(taps: &Taps, x: &[T], y: &[T], dx: &[T], dy: &mut [T], at: usize) {
    let y = *block::<T, B>(y, at);
    let mut chosen = [T::ZERO; B];
    // From the last tap to the first, so that the first maximum has the last word.
    for u in (0..taps.counts[0]).rev() {
        for v in (0..taps.counts[1]).rev() {
            let offset = taps.offset(u, v) + at;
            // Loaded whole: a load under a condition would become a branch.
            let (x, dx) = (*block::<T, B>(x, offset), *block::<T, B>(dx, offset));
            let largest: [bool; B] = from_fn(|l| attains(x[l], y[l]));
            chosen = from_fn(|l| if largest[l] { dx[l] } else { chosen[l] });
        }
    }
    *block_mut(dy, at) = chosen;
}

/// x̄ (+)= ȳ where the first maximum is and 0 elsewhere, for B channels from `at` on.
#[inline(always)]
fn spread_in<T: Scalar, const B: usize>(
    taps: &Taps,
    x: &[T],
    y: &[T],
    gy: &[T],
    gx: &mut [T],
    add: bool,
    at: usize,
) {
    let y = *block::<T, B>(y, at);
    // What no tap has taken yet.
    let mut left = *block::<T, B>(gy, at);
    for u in 0..taps.counts[0] {
        for v in 0..taps.counts[1] {
            let offset = taps.offset(u, v) + at;
            let (x, gx) = (*block::<T, B>(x, offset), block_mut::<T, B>(gx, offset));
            let before = if add { *gx } else { [T::ZERO; B] };
            let largest: [bool; B] = from_fn(|l| attains(x[l], y[l]));
            *gx = from_fn(|l| before[l] + if largest[l] { left[l] } else { T::ZERO });
            left = from_fn(|l| if largest[l] { T::ZERO } else { left[l] });
        }
    }
}

vectorised! {
    /// y = the largest x of each window, for one image.
    fn largest['a, T](spans: &'a Spans, x: &'a [T], y: &'a mut [T]) {
        let ([rows, columns], c) = (spans.output(), spans.channels);
        for i in 0..rows {
            for j in 0..columns {
                let (taps, pixel) = (spans.taps(i, j), (i * columns + j) * c);
                let y = &mut y[pixel..pixel + c];
                in_blocks!(c, largest_in::<T>(&taps, x, y));
            }
        }
    }
}

vectorised! {
    /// ẏ = ẋ at the first maximum of each window, for one image.
    fn select['a, T](spans: &'a Spans, x: &'a [T], y: &'a [T], dx: &'a [T], dy: &'a mut [T]) {
        let ([rows, columns], c) = (spans.output(), spans.channels);
        for i in 0..rows {
            for j in 0..columns {
                let (taps, pixel) = (spans.taps(i, j), (i * columns + j) * c);
                let (y, dy) = (&y[pixel..pixel + c], &mut dy[pixel..pixel + c]);
                in_blocks!(c, select_in::<T>(&taps, x, y, dx, dy));
            }
        }
    }
}

vectorised! {
    /// x̄ (+)= ȳ at the first maximum of each window, for one image.
    fn spread['a, T](spans: &'a Spans, x: &'a [T], y: &'a [T], gy: &'a [T], gx: &'a mut [T], add: bool) {
        let ([rows, columns], c) = (spans.output(), spans.channels);
        for i in 0..rows {
            for j in 0..columns {
                let (taps, pixel) = (spans.taps(i, j), (i * columns + j) * c);
                let (y, gy) = (&y[pixel..pixel + c], &gy[pixel..pixel + c]);
                in_blocks!(c, spread_in::<T>(&taps, x, y, gy, gx, add));
            }
        }
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
        let (spans, isa) = (self.windows(c).spans(), Isa::detect());
        for (x, y) in spans.images(c.x(0)).zip(spans.outputs_mut(y)) {
            largest(isa, &spans, x, y);
        }
    }

    fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], _scratch: &mut Scratch<T>) {
        let (spans, isa) = (self.windows(c).spans(), Isa::detect());
        for (j, dy) in dy.chunks_exact_mut(c.len().max(1)).enumerate() {
            let Some(dx) = c.dx(0, j) else {
                dy.fill(T::ZERO);
                continue;
            };
            let images = spans.images(c.x(0)).zip(spans.outputs(c.y));
            for ((x, y), (dx, dy)) in images.zip(spans.images(dx).zip(spans.outputs_mut(dy))) {
                select(isa, &spans, x, y, dx, dy);
            }
        }
    }

    fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        if let Some(slot) = &mut gx[0] {
            self.spread_all(c, c.gy, slot);
        }
    }

    fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        if let Some(slot) = &mut dgx[0] {
            self.spread_all(c, c.dgy, slot);
        }
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

    /// All four passes by their definition, number by number: y, ẏ, x̄, x̄˙, of which the last three start from `before`.
    fn by_definition(
        op: &MaxPool,
        [n, h, w, c]: [usize; 4],
        x: &[f32],
        [dx, gy, dgy]: [&[f32]; 3],
        before: f32,
    ) -> [Vec<f32>; 4] {
        let shape = op.infer(&[&[n, h, w, c]]).unwrap();
        let len: usize = shape.iter().product();
        let k = dgy.len() / len;
        let (mut y, mut dy) = (vec![0.0; len], vec![0.0; k * len]);
        let (mut gx, mut dgx) = (vec![before; x.len()], vec![before; k * x.len()]);
        for o in 0..len {
            let (channel, j) = (o % c, o / c % shape[2]);
            let (i, image) = (o / c / shape[2] % shape[1], o / c / shape[2] / shape[1]);
            let mut places = Vec::new();
            for u in 0..op.kernel[0] {
                for v in 0..op.kernel[1] {
                    let row = (i * op.stride[0] + u * op.dilation[0]).checked_sub(op.pad[0]);
                    let column = (j * op.stride[1] + v * op.dilation[1]).checked_sub(op.pad[1]);
                    if let (Some(row), Some(column)) = (row.filter(|&r| r < h), column.filter(|&l| l < w)) {
                        places.push(((image * h + row) * w + column) * c + channel);
                    }
                }
            }
            let largest = places.iter().map(|&p| x[p]).fold(f32::NEG_INFINITY, Scalar::max);
            let first = *places.iter().find(|&&p| x[p] == largest || x[p].is_nan()).unwrap();
            y[o] = largest;
            gx[first] += gy[o];
            for t in 0..k {
                dy[t * len + o] = dx[t * x.len() + first];
                dgx[t * x.len() + first] += dgy[t * len + o];
            }
        }
        [y, dy, gx, dgx]
    }

    #[test]
    fn vector_loops_do_what_the_definition_says() {
        let general =
            MaxPool { kernel: [3, 2], stride: [2, 1], pad: [1, 0, 1, 1], dilation: [1, 2], ceil_mode: true };
        let ops = [
            MaxPool::square(2),
            MaxPool { ceil_mode: true, ..MaxPool::square(2) },
            MaxPool { stride: [2; 2], pad: [1; 4], ..MaxPool::square(3) },
            MaxPool { stride: [3; 2], ..MaxPool::square(2) },
            general,
        ];
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32
        };
        // Channels that fill vectors, fill some and a part of one, and fill none.
        for c in [1, 3, 4, 15, 16, 23, 32, 53] {
            for (op, [h, w]) in ops.iter().zip([[6, 4], [5, 7], [7, 8], [8, 9], [6, 5]]) {
                let shape = [2, h, w, c];
                let out = op.infer(&[&shape]).unwrap();
                let (x_len, len, k) = (2 * h * w * c, out.iter().product::<usize>(), 2);
                // Five different numbers, so that there are many ties, and NaN.
                let values = [f32::NAN, f32::NEG_INFINITY, -1.0, 0.0, 2.0];
                let x: Vec<f32> = (0..x_len).map(|_| values[next() as usize % 5]).collect();
                let mut small = |n: usize| (0..n).map(|_| (next() % 64) as f32 - 31.5).collect::<Vec<_>>();
                let (dx, gy, dgy) = (small(k * x_len), small(len), small(k * len));
                let inputs = [Operand {
                    shape: &shape,
                    value: &x,
                    tangent: Some(&dx),
                    packed: None,
                    packed_tangents: &[],
                }];
                let mut scratch = Scratch::new();
                let mut context = Context {
                    inputs: &inputs,
                    shape: &out,
                    tangents: k,
                    y: &[],
                    dy: &[],
                    gy: &gy,
                    dgy: &dgy,
                };
                let (mut y, mut dy) = (vec![9.0; len], vec![9.0; k * len]);
                op.forward(&context, &mut y, &mut scratch);
                context.y = &y;
                op.tangent(&context, &mut dy, &mut scratch);
                for fresh in [true, false] {
                    let (mut gx, mut dgx) = (vec![0.5; x_len], vec![0.5; k * x_len]);
                    op.adjoint(&context, &mut [Some(Slot::new(&mut gx, fresh))], &mut scratch);
                    op.adjoint_tangent(&context, &mut [Some(Slot::new(&mut dgx, fresh))], &mut scratch);
                    let before = if fresh { 0.0 } else { 0.5 };
                    let want = by_definition(op, shape, &x, [&dx, &gy, &dgy], before);
                    for (got, want) in [&y, &dy, &gx, &dgx].into_iter().zip(&want) {
                        let same = got.iter().zip(want).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()));
                        assert!(same && got.len() == want.len(), "{op:?} on {shape:?}, fresh: {fresh}");
                    }
                }
            }
        }
    }
}
