//! Reductions whose derivative by an element is a function of that element and of the result: sums, means, norms,
//! log-sum-exp. Extrema and products are in files of their own.

use super::broadcast::{Runs, broadcast_view};
use super::reduced::Reduced;
use super::strided::{View, copy, sum_blocks, walk};
use super::unary::times;
use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slots, numel};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// What a [`Reduce`] computes from the elements x it reduces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Σ x (ONNX `ReduceSum`).
    Sum,
    /// Mean of x (ONNX `ReduceMean`).
    Mean,
    /// Σ |x|, with derivative 0 at 0 (ONNX `ReduceL1`).
    L1,
    /// √Σ x², with all derivatives 0 where it is 0, as in PyTorch (ONNX `ReduceL2`).
    L2,
    /// Σ x² (ONNX `ReduceSumSquare`).
    SumSquare,
    /// ln Σ x (ONNX `ReduceLogSum`).
    LogSum,
    /// ln Σ eˣ without overflow (ONNX `ReduceLogSumExp`).
    LogSumExp,
}

/// A reduction over some axes.
///
/// A reduction over the first axis mixes the samples of a batch; the axis must then be named 0, not by a negative
/// number, because samples are known to mix only from that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reduce {
    reduction: Reduction,
    reduced: Reduced,
}

impl Reduce {
    /// Reduction over `axes`, which remain with length 1 if `keep`. No axes: no reduction.
    pub fn new(reduction: Reduction, axes: &[i64], keep: bool) -> Self {
        Self { reduction, reduced: Reduced::new(axes, keep) }
    }
}

impl OpInfo for Reduce {
    fn name(&self) -> &'static str {
        match self.reduction {
            Reduction::Sum => "ReduceSum",
            Reduction::Mean => "ReduceMean",
            Reduction::L1 => "ReduceL1",
            Reduction::L2 => "ReduceL2",
            Reduction::SumSquare => "ReduceSumSquare",
            Reduction::LogSum => "ReduceLogSum",
            Reduction::LogSumExp => "ReduceLogSumExp",
        }
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        self.reduced.infer(self.name(), inputs)
    }

    fn couples_samples(&self) -> bool {
        self.reduced.includes_first()
    }

    fn reads(&self) -> Reads {
        match self.reduction {
            Reduction::Sum | Reduction::Mean => Reads::NONE,
            Reduction::L1 | Reduction::SumSquare => Reads::INPUTS,
            Reduction::LogSum => Reads::OUTPUT,
            Reduction::L2 | Reduction::LogSumExp => Reads::ALL,
        }
    }

    fn flops(&self, inputs: &[&[usize]], _output: &[usize]) -> u64 {
        inputs.first().map_or(0, |x| numel(x) as u64)
    }
}

impl Reduction {
    /// The number added up for x; m is the shift of log-sum-exp.
    #[inline(always)]
    fn term<T: Scalar>(self, x: T, m: T) -> T {
        match self {
            Reduction::Sum | Reduction::Mean | Reduction::LogSum => x,
            Reduction::L1 => x.abs(),
            Reduction::L2 | Reduction::SumSquare => x * x,
            Reduction::LogSumExp => (x - m).exp(),
        }
    }

    /// The result from the sum.
    fn finish<T: Scalar>(self, sum: T, m: T, count: usize) -> T {
        match self {
            Reduction::Sum | Reduction::L1 | Reduction::SumSquare => sum,
            Reduction::Mean => sum / T::from_f64(count as f64),
            Reduction::L2 => sum.sqrt(),
            Reduction::LogSum => sum.ln(),
            Reduction::LogSumExp => sum.ln() + m,
        }
    }

    /// ∂y/∂x = u(y) v(x, y): the part u, computed once per result.
    fn outer_weight<T: Scalar>(self, y: T, count: usize) -> T {
        match self {
            Reduction::Mean => T::ONE / T::from_f64(count as f64),
            Reduction::L2 if y == T::ZERO => T::ZERO,
            Reduction::L2 => T::ONE / y,
            Reduction::LogSum => (-y).exp(),
            Reduction::Sum | Reduction::L1 | Reduction::SumSquare | Reduction::LogSumExp => T::ONE,
        }
    }

    /// u̇/u along ẏ.
    fn outer_rate<T: Scalar>(self, y: T, dy: T) -> T {
        match self {
            Reduction::L2 if y == T::ZERO => T::ZERO,
            Reduction::L2 => -dy / y,
            Reduction::LogSum => -dy,
            _ => T::ZERO,
        }
    }

    /// The part v(x, y).
    #[inline(always)]
    fn inner_weight<T: Scalar>(self, x: T, y: T) -> T {
        match self {
            Reduction::L1 if x == T::ZERO => T::ZERO,
            Reduction::L1 if x < T::ZERO => -T::ONE,
            Reduction::SumSquare => x + x,
            Reduction::L2 => x,
            Reduction::LogSumExp => (x - y).exp(),
            Reduction::Sum | Reduction::Mean | Reduction::L1 | Reduction::LogSum => T::ONE,
        }
    }

    /// v̇ along ẋ and ẏ, given v.
    #[inline(always)]
    fn inner_tangent<T: Scalar>(self, v: T, dx: T, dy: T) -> T {
        match self {
            Reduction::SumSquare => dx + dx,
            Reduction::L2 => dx,
            Reduction::LogSumExp => v * (dx - dy),
            Reduction::Sum | Reduction::Mean | Reduction::L1 | Reduction::LogSum => T::ZERO,
        }
    }

    /// Whether v is 1 throughout.
    fn uniform(self) -> bool {
        matches!(self, Reduction::Sum | Reduction::Mean | Reduction::LogSum)
    }
}

/// out[result of x] += f(element, result) for all elements.
fn gather<T: Scalar>(runs: &Runs<1>, out: &mut [T], f: impl Fn(usize, usize) -> T) {
    let len = runs.len;
    let mut start = 0;
    walk(&runs.outer, [0], &mut |[o]| {
        let o = o as usize;
        if runs.steps == [1] {
            for (i, out) in out[o..o + len].iter_mut().enumerate() {
                *out += f(start + i, o + i);
            }
        } else {
            out[o] += sum_blocks(len, |first, block| {
                for (i, value) in block.iter_mut().enumerate() {
                    *value = f(start + first + i, o);
                }
            });
        }
        start += len;
    });
}

/// out[element] (+)= f(element, result) for all elements.
fn scatter<T: Scalar>(runs: &Runs<1>, out: &mut [T], add: bool, f: impl Fn(usize, usize) -> T) {
    let len = runs.len;
    let mut rows = out.chunks_exact_mut(len);
    let mut start = 0;
    walk(&runs.outer, [0], &mut |[o]| {
        let (o, step) = (o as usize, runs.steps[0] as usize);
        for (i, out) in rows.next().into_iter().flatten().enumerate() {
            let g = f(start + i, o + i * step);
            *out = if add { *out + g } else { g };
        }
        start += len;
    });
}

impl Reduce {
    /// Shape of the result with the reduced axes kept, and the loops over the input.
    fn loops<T>(&self, c: &Context<'_, T>) -> (Vec<usize>, Option<Runs<1>>) {
        let x = c.inputs[0].shape;
        let kept = self.reduced.kept(x);
        let runs = Runs::new(x, [&kept]);
        (kept, runs)
    }

    fn count<T>(&self, c: &Context<'_, T>) -> usize {
        self.reduced.count(c.inputs[0].shape)
    }

    /// Σ over the reduced axes.
    fn sum<T: Scalar>(&self, shape: &[usize], kept: &[usize], x: &[T], out: &mut [T]) {
        out.fill(T::ZERO);
        copy(shape, x, &View::whole(shape), out, &broadcast_view(kept, shape), true);
    }
}

impl<T: Scalar> Op<T> for Reduce {
    fn forward(&self, c: &Context<'_, T>, y: &mut [T], scratch: &mut Scratch<T>) {
        let (kept, runs) = self.loops(c);
        let (x, r, count) = (c.x(0), self.reduction, self.count(c));
        let mut shift = scratch.take_zeroed(if r == Reduction::LogSumExp { y.len() } else { 0 });
        if r.uniform() {
            self.sum(c.inputs[0].shape, &kept, x, y);
        } else {
            y.fill(T::ZERO);
            if let Some(runs) = runs {
                if r == Reduction::LogSumExp {
                    super::reduced::extremum(&runs, x, &mut shift, |x, m| x > m);
                    // An infinite or undefined shift would make NaN of an infinite result.
                    shift.iter_mut().filter(|m| !m.is_finite()).for_each(|m| *m = T::ZERO);
                    gather(&runs, y, |i, o| r.term(x[i], shift[o]));
                } else {
                    gather(&runs, y, |i, _| r.term(x[i], T::ZERO));
                }
            }
        }
        for (o, y) in y.iter_mut().enumerate() {
            *y = r.finish(*y, shift.get(o).copied().unwrap_or(T::ZERO), count);
        }
        scratch.give(shift);
    }

    fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], _scratch: &mut Scratch<T>) {
        let (kept, runs) = self.loops(c);
        let (x, r, count) = (c.x(0), self.reduction, self.count(c));
        for (j, dy) in dy.chunks_exact_mut(c.len().max(1)).enumerate() {
            dy.fill(T::ZERO);
            let (Some(dx), Some(runs)) = (c.dx(0, j), &runs) else { continue };
            if r.uniform() {
                self.sum(c.inputs[0].shape, &kept, dx, dy);
            } else {
                gather(runs, dy, |i, o| r.inner_weight(x[i], c.y[o]) * dx[i]);
            }
            for (dy, &y) in dy.iter_mut().zip(c.y) {
                *dy *= r.outer_weight(y, count);
            }
        }
    }

    fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, scratch: &mut Scratch<T>) {
        let Some(slot) = &mut gx[0] else { return };
        let (gx, add) = slot.write();
        let (_, Some(runs)) = self.loops(c) else { return };
        let (x, r, count) = (c.x(0), self.reduction, self.count(c));
        let mut scaled = scratch.take(c.len());
        for (o, s) in scaled.iter_mut().enumerate() {
            *s = times(r.outer_weight(c.y.get(o).copied().unwrap_or(T::ONE), count), c.gy[o]);
        }
        if r.uniform() {
            scatter(&runs, gx, add, |_, o| scaled[o]);
        } else if self.reads().output {
            scatter(&runs, gx, add, |i, o| times(r.inner_weight(x[i], c.y[o]), scaled[o]));
        } else {
            scatter(&runs, gx, add, |i, o| r.inner_weight(x[i], T::ZERO) * scaled[o]);
        }
        scratch.give(scaled);
    }

    fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, scratch: &mut Scratch<T>) {
        let Some(slot) = &mut dgx[0] else { return };
        let runs = self.loops(c).1;
        let (x, r, count) = (c.x(0), self.reduction, self.count(c));
        let (reads_output, linear) = (self.reads().output, self.reads() == Reads::NONE);
        // x̄˙ = u v (ȳ˙ + (u̇/u) ȳ) + u v̇ ȳ
        let (mut first, mut second) = (scratch.take(c.len()), scratch.take(c.len()));
        for j in 0..c.tangents {
            let mut part = slot.part(j, c.tangents);
            let (dgx, add) = part.write();
            let Some(runs) = &runs else { continue };
            let dgy = c.dgy(j);
            for o in 0..c.len() {
                let (y, dy) = if reads_output { (c.y[o], c.dy(j)[o]) } else { (T::ONE, T::ZERO) };
                let u = r.outer_weight(y, count);
                if linear {
                    // ȳ may not be there.
                    first[o] = times(u, dgy[o]);
                    continue;
                }
                first[o] = times(u, dgy[o] + times(r.outer_rate(y, dy), c.gy[o]));
                second[o] = times(u, c.gy[o]);
            }
            if r.uniform() {
                scatter(runs, dgx, add, |_, o| first[o]);
                continue;
            }
            let value = |o: usize| if reads_output { c.y[o] } else { T::ZERO };
            match c.dx(0, j) {
                Some(dx) => {
                    let dy = |o: usize| if reads_output { c.dy(j)[o] } else { T::ZERO };
                    scatter(runs, dgx, add, |i, o| {
                        let v = r.inner_weight(x[i], value(o));
                        times(v, first[o]) + times(r.inner_tangent(v, dx[i], dy(o)), second[o])
                    });
                }
                None => scatter(runs, dgx, add, |i, o| times(r.inner_weight(x[i], value(o)), first[o])),
            }
        }
        slot.set_written();
        scratch.give(first);
        scratch.give(second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::reduced::tests::AXES;
    use crate::ops::unary::tests::filling;
    use crate::testkit::OpCheck;

    #[test]
    fn derivatives_match_finite_differences() {
        for reduction in [
            Reduction::Sum,
            Reduction::Mean,
            Reduction::L1,
            Reduction::L2,
            Reduction::SumSquare,
            Reduction::LogSumExp,
            Reduction::LogSum,
        ] {
            for (shape, axes) in AXES {
                for keep in [false, true] {
                    let op = Reduce::new(reduction, axes, keep);
                    let mut check = OpCheck::new(&op, &[shape]);
                    if reduction == Reduction::LogSum {
                        check = check.values(0, filling(numel(shape), 0.3, 2.0));
                    }
                    check.run().unwrap_or_else(|e| panic!("{op:?} on {shape:?}: {e}"));
                }
            }
        }
    }

    fn value(reduction: Reduction, x: &[f64]) -> f64 {
        let op = Reduce::new(reduction, &[0], false);
        super::super::reduced::tests::value(&op, x)
    }

    #[test]
    fn values_are_the_sums() {
        let x = [3.0, -4.0];
        assert_eq!(value(Reduction::Sum, &x), -1.0);
        assert_eq!(value(Reduction::Mean, &x), -0.5);
        assert_eq!(value(Reduction::L1, &x), 7.0);
        assert_eq!(value(Reduction::L2, &x), 5.0);
        assert_eq!(value(Reduction::SumSquare, &x), 25.0);
        assert_eq!(value(Reduction::LogSum, &[1.0, 0.0]), 0.0);
        // 1000 + ln 2, to rounding.
        let found = value(Reduction::LogSumExp, &[1000.0, 1000.0]);
        assert!((found - 1_000.693_147_180_56).abs() < 1e-10);
        assert_eq!(value(Reduction::LogSumExp, &[f64::NEG_INFINITY; 2]), f64::NEG_INFINITY);
        assert_eq!(value(Reduction::LogSumExp, &[f64::INFINITY, 0.0]), f64::INFINITY);
        assert!(value(Reduction::LogSumExp, &[f64::NAN, 0.0]).is_nan());
    }

    #[test]
    fn a_norm_of_zero_has_derivative_zero() {
        assert_eq!(Reduction::L2.outer_weight(0.0, 3) * Reduction::L2.inner_weight(0.0, 0.0), 0.0);
    }

    #[test]
    fn bad_axes_are_refused() {
        let infer = |axes: &[i64]| Reduce::new(Reduction::Sum, axes, false).infer(&[&[2, 3]]);
        assert!(infer(&[2]).is_err());
        assert!(infer(&[1, -1]).is_err());
        assert!(infer(&[-2]).is_err());
        assert!(Reduce::new(Reduction::Sum, &[0], false).couples_samples());
        assert!(!Reduce::new(Reduction::Sum, &[1, -1], false).couples_samples());
    }
}
