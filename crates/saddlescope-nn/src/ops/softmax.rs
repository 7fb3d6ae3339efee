//! Softmax and its logarithm along one axis.

use super::axes::{accepted_axis, around, resolve_axis, single};
use super::rows::sum_lanes;
use super::unary::times;
use crate::kernels::Isa;
use crate::kernels::loops::{largest as largest_of, sum, vectorised};
use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slots};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// yᵢ = exp xᵢ / Σₖ exp xₖ along `axis` (−1 is the last), as in PyTorch and ONNX (from version 13 on).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Softmax {
    /// The axis whose entries sum to 1.
    pub axis: i64,
}

/// yᵢ = xᵢ − log Σₖ exp xₖ along `axis` (−1 is the last), as in PyTorch and ONNX (from version 13 on).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSoftmax {
    /// The axis whose exponentials sum to 1.
    pub axis: i64,
}

/// Calls `visit(first, stride)` for every line along an axis; entry i of a line lies at `first + i * stride`.
#[inline(always)]
fn each_line([outer, n, inner]: [usize; 3], mut visit: impl FnMut(usize, usize)) {
    if inner == 1 {
        // The constant stride lets the compiler vectorise.
        (0..outer).for_each(|o| visit(o * n, 1));
    } else {
        (0..outer).for_each(|o| (0..inner).for_each(|t| visit(o * n * inner + t, inner)));
    }
}

fn lines<T: Scalar>(axis: i64, c: &Context<'_, T>) -> [usize; 3] {
    around(c.shape, accepted_axis(axis, c.shape.len()))
}

fn infer(name: &'static str, axis: i64, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
    let x = single(name, inputs)?;
    resolve_axis(name, axis, x.len())?;
    Ok(x.to_vec())
}

/// The largest entry of a line.
#[inline(always)]
fn largest<T: Scalar>(x: &[T], n: usize, first: usize, stride: usize) -> T {
    (0..n).map(|i| x[first + i * stride]).fold(T::from_f64(f64::NEG_INFINITY), T::max)
}

/// Whether the adjoint of a whole line is 0: a line of NaN (all entries −∞) that a `Where` does not take contributes nothing.
fn all_zero<T: Scalar>(g: &[T], n: usize, first: usize, stride: usize) -> bool {
    (0..n).all(|i| g[first + i * stride] == T::ZERO)
}

#[inline(always)]
fn put<T: Scalar>(out: &mut T, accumulate: bool, value: T) {
    *out = if accumulate { *out + value } else { value };
}

vectorised! {
    /// y = softmax(x) of every line of `n`.
    fn softmax_lines['a, T](n: usize, x: &'a [T], y: &'a mut [T]) {
        for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
            let largest = largest_of(x);
            for (y, &x) in y.iter_mut().zip(x) {
                *y = (x - largest).exp();
            }
            let scale = T::ONE / sum([&*y], |[y]| y);
            for y in y {
                *y *= scale;
            }
        }
    }
}

vectorised! {
    /// out (+)= y (v − Σ y v) of every line of `n`.
    fn project_lines['a, T](n: usize, y: &'a [T], v: &'a [T], out: &'a mut [T], add: bool) {
        let lines = y.chunks_exact(n).zip(v.chunks_exact(n));
        for ((y, v), out) in lines.zip(out.chunks_exact_mut(n)) {
            let mean = sum([y, v], |[y, v]| y * v);
            if mean.is_nan() && v.iter().all(|&v| v == T::ZERO) {
                // A line that is not taken: its values may be NaN, it contributes nothing.
                if !add {
                    out.fill(T::ZERO);
                }
            } else if add {
                for ((out, &y), &v) in out.iter_mut().zip(y).zip(v) {
                    *out += y * (v - mean);
                }
            } else {
                for ((out, &y), &v) in out.iter_mut().zip(y).zip(v) {
                    *out = y * (v - mean);
                }
            }
        }
    }
}

vectorised! {
    /// x̄˙ (+)= ẏ (ȳ − Σ y ȳ) + y (ȳ˙ − Σ (ẏ ȳ + y ȳ˙)) of every line of `n`; `of` holds y, ẏ, ȳ and ȳ˙.
    fn second_lines['a, T](n: usize, of: [&'a [T]; 4], out: &'a mut [T], add: bool) {
        for (i, out) in out.chunks_exact_mut(n).enumerate() {
            let [y, dy, gy, dgy] = of.map(|x| &x[i * n..(i + 1) * n]);
            let mean = sum([y, gy], |[y, g]| y * g);
            let dmean = sum([y, dy, gy, dgy], |[y, dy, g, dg]| dy * g + y * dg);
            if (mean.is_nan() || dmean.is_nan()) && gy.iter().chain(dgy).all(|&g| g == T::ZERO) {
                if !add {
                    out.fill(T::ZERO);
                }
                continue;
            }
            for (i, out) in out.iter_mut().enumerate() {
                let g = dy[i] * (gy[i] - mean) + y[i] * (dgy[i] - dmean);
                *out = if add { *out + g } else { g };
            }
        }
    }
}

impl OpInfo for Softmax {
    fn name(&self) -> &'static str {
        "Softmax"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        infer("Softmax", self.axis, inputs)
    }

    fn reads(&self) -> Reads {
        Reads::OUTPUT
    }
}

impl<T: Scalar> Op<T> for Softmax {
    fn forward(&self, c: &Context<'_, T>, y: &mut [T], _scratch: &mut Scratch<T>) {
        let (shape, x) = (lines(self.axis, c), c.x(0));
        if shape[1] == 0 {
            return;
        }
        if shape[2] == 1 {
            softmax_lines(Isa::detect(), shape[1], x, y);
            return;
        }
        each_line(shape, |first, stride| {
            let largest = largest(x, shape[1], first, stride);
            for i in 0..shape[1] {
                let at = first + i * stride;
                y[at] = (x[at] - largest).exp();
            }
            let scale = T::ONE / sum_lanes(shape[1], |i| y[first + i * stride]);
            for i in 0..shape[1] {
                y[first + i * stride] *= scale;
            }
        });
    }

    /// ẏ = y (ẋ − Σ y ẋ).
    fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], _scratch: &mut Scratch<T>) {
        let (shape, y) = (lines(self.axis, c), c.y);
        for (j, dy) in dy.chunks_exact_mut(c.len().max(1)).enumerate() {
            let Some(dx) = c.dx(0, j) else {
                dy.fill(T::ZERO);
                continue;
            };
            if shape[2] == 1 {
                project_lines(Isa::detect(), shape[1].max(1), y, dx, dy, false);
                continue;
            }
            each_line(shape, |first, stride| {
                let mean = sum_lanes(shape[1], |i| y[first + i * stride] * dx[first + i * stride]);
                for i in 0..shape[1] {
                    let at = first + i * stride;
                    dy[at] = y[at] * (dx[at] - mean);
                }
            });
        }
    }

    /// x̄ += y (ȳ − Σ y ȳ).
    fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        let Some(slot) = &mut gx[0] else { return };
        let (shape, y, gy) = (lines(self.axis, c), c.y, c.gy);
        let (gx, accumulate) = slot.write();
        if shape[2] == 1 {
            project_lines(Isa::detect(), shape[1].max(1), y, gy, gx, accumulate);
            return;
        }
        each_line(shape, |first, stride| {
            let mean = sum_lanes(shape[1], |i| y[first + i * stride] * gy[first + i * stride]);
            let untaken = mean.is_nan() && all_zero(gy, shape[1], first, stride);
            for i in 0..shape[1] {
                let at = first + i * stride;
                put(&mut gx[at], accumulate, if untaken { T::ZERO } else { y[at] * (gy[at] - mean) });
            }
        });
    }

    /// x̄˙ += ẏ (ȳ − Σ y ȳ) + y (ȳ˙ − Σ (ẏ ȳ + y ȳ˙)).
    fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        let Some(slot) = &mut dgx[0] else { return };
        let (shape, y, gy) = (lines(self.axis, c), c.y, c.gy);
        let (dgx, accumulate) = slot.write();
        for (j, dgx) in dgx.chunks_exact_mut(c.len().max(1)).enumerate() {
            let (dy, dgy) = (c.dy(j), c.dgy(j));
            if shape[2] == 1 {
                second_lines(Isa::detect(), shape[1].max(1), [y, dy, gy, dgy], dgx, accumulate);
                continue;
            }
            each_line(shape, |first, stride| {
                let mean = sum_lanes(shape[1], |i| y[first + i * stride] * gy[first + i * stride]);
                let dmean = sum_lanes(shape[1], |i| {
                    let at = first + i * stride;
                    dy[at] * gy[at] + y[at] * dgy[at]
                });
                let untaken = (mean.is_nan() || dmean.is_nan())
                    && all_zero(gy, shape[1], first, stride)
                    && all_zero(dgy, shape[1], first, stride);
                for i in 0..shape[1] {
                    let at = first + i * stride;
                    let g =
                        if untaken { T::ZERO } else { dy[at] * (gy[at] - mean) + y[at] * (dgy[at] - dmean) };
                    put(&mut dgx[at], accumulate, g);
                }
            });
        }
    }
}

impl OpInfo for LogSoftmax {
    fn name(&self) -> &'static str {
        "LogSoftmax"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        infer("LogSoftmax", self.axis, inputs)
    }

    fn reads(&self) -> Reads {
        Reads::OUTPUT
    }
}

impl<T: Scalar> Op<T> for LogSoftmax {
    fn forward(&self, c: &Context<'_, T>, y: &mut [T], _scratch: &mut Scratch<T>) {
        let (shape, x) = (lines(self.axis, c), c.x(0));
        each_line(shape, |first, stride| {
            let largest = largest(x, shape[1], first, stride);
            let log = sum_lanes(shape[1], |i| (x[first + i * stride] - largest).exp()).ln();
            for i in 0..shape[1] {
                let at = first + i * stride;
                y[at] = x[at] - largest - log;
            }
        });
    }

    /// ẏ = ẋ − Σ p ẋ, p = exp y.
    fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], scratch: &mut Scratch<T>) {
        let shape = lines(self.axis, c);
        let mut p = scratch.take(c.len());
        exponentials(c.y, &mut p);
        for (j, dy) in dy.chunks_exact_mut(c.len().max(1)).enumerate() {
            let Some(dx) = c.dx(0, j) else {
                dy.fill(T::ZERO);
                continue;
            };
            each_line(shape, |first, stride| {
                let mean = sum_lanes(shape[1], |i| p[first + i * stride] * dx[first + i * stride]);
                for i in 0..shape[1] {
                    let at = first + i * stride;
                    dy[at] = dx[at] - mean;
                }
            });
        }
        scratch.give(p);
    }

    /// x̄ += ȳ − p Σ ȳ.
    fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        let Some(slot) = &mut gx[0] else { return };
        let (shape, y, gy) = (lines(self.axis, c), c.y, c.gy);
        let (gx, accumulate) = slot.write();
        each_line(shape, |first, stride| {
            let sum = sum_lanes(shape[1], |i| gy[first + i * stride]);
            for i in 0..shape[1] {
                let at = first + i * stride;
                put(&mut gx[at], accumulate, gy[at] - times(y[at].exp(), sum));
            }
        });
    }

    /// x̄˙ += ȳ˙ − p (Σ ȳ˙ + ẏ Σ ȳ).
    fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, scratch: &mut Scratch<T>) {
        let Some(slot) = &mut dgx[0] else { return };
        let (shape, gy) = (lines(self.axis, c), c.gy);
        let mut p = scratch.take(c.len());
        exponentials(c.y, &mut p);
        let (dgx, accumulate) = slot.write();
        for (j, dgx) in dgx.chunks_exact_mut(c.len().max(1)).enumerate() {
            let (dy, dgy) = (c.dy(j), c.dgy(j));
            each_line(shape, |first, stride| {
                let sum = sum_lanes(shape[1], |i| gy[first + i * stride]);
                let dsum = sum_lanes(shape[1], |i| dgy[first + i * stride]);
                for i in 0..shape[1] {
                    let at = first + i * stride;
                    // A probability of 0 belongs to an entry of −∞, whose tangent may be anything.
                    let weight =
                        if p[at] == T::ZERO { T::ZERO } else { times(p[at], dsum + times(dy[at], sum)) };
                    put(&mut dgx[at], accumulate, dgy[at] - weight);
                }
            });
        }
        scratch.give(p);
    }
}

fn exponentials<T: Scalar>(y: &[T], p: &mut [T]) {
    for (p, &y) in p.iter_mut().zip(y) {
        *p = y.exp();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Operand;
    use crate::testkit::check_op;

    #[test]
    fn derivatives_match_finite_differences() {
        for (shape, axis) in [(&[3, 11][..], -1), (&[2, 3, 5], 1), (&[4, 3], 0), (&[2, 17], 1), (&[3, 1], 1)]
        {
            check_op(&Softmax { axis }, &[shape]).unwrap();
            check_op(&LogSoftmax { axis }, &[shape]).unwrap();
        }
    }

    fn forward(op: &dyn Op<f32>, x: &[f32]) -> Vec<f32> {
        let shape = [1, x.len()];
        let inputs = [Operand { shape: &shape, value: x, tangent: None, packed: None, packed_tangents: &[] }];
        let c = Context { inputs: &inputs, shape: &shape, tangents: 0, y: &[], dy: &[], gy: &[], dgy: &[] };
        let mut y = vec![0.0; x.len()];
        op.forward(&c, &mut y, &mut Scratch::new());
        y
    }

    #[test]
    fn large_and_masked_entries_are_no_trouble() {
        let y = forward(&Softmax { axis: -1 }, &[1000.0, 1000.0, f32::NEG_INFINITY]);
        assert_eq!(y, [0.5, 0.5, 0.0]);
        let y = forward(&LogSoftmax { axis: -1 }, &[1000.0, 0.0]);
        assert_eq!(y, [0.0, -1000.0]);
        assert!(forward(&Softmax { axis: -1 }, &[f32::NAN, 0.0]).iter().all(|y| y.is_nan()));
    }

    #[test]
    fn axes_are_checked() {
        assert!(Softmax { axis: 2 }.infer(&[&[3, 4]]).is_err());
        assert!(LogSoftmax { axis: -3 }.infer(&[&[3, 4]]).is_err());
    }
}
