//! Maximum and minimum over axes.

use super::broadcast::Runs;
use super::reduced::{Reduced, extremum};
use super::strided::walk;
use crate::op::{Context, Op, OpInfo, ShapeError, Slots, numel};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// The largest or smallest element over some axes (ONNX `ReduceMax`, `ReduceMin`).
///
/// Elements that tie share the adjoint evenly, as in PyTorch's `amax` and `amin`. A NaN is handed on. The first axis
/// must be named 0, as for [`Reduce`](super::Reduce).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReduceExtremum {
    largest: bool,
    reduced: Reduced,
}

impl ReduceExtremum {
    /// The maximum over `axes`, which remain with length 1 if `keep`.
    pub fn max(axes: &[i64], keep: bool) -> Self {
        Self { largest: true, reduced: Reduced::new(axes, keep) }
    }

    /// The minimum over `axes`, which remain with length 1 if `keep`.
    pub fn min(axes: &[i64], keep: bool) -> Self {
        Self { largest: false, reduced: Reduced::new(axes, keep) }
    }

    fn runs<T>(&self, c: &Context<'_, T>) -> Option<Runs<1>> {
        let x = c.inputs[0].shape;
        Runs::new(x, [&self.reduced.kept(x)])
    }
}

impl OpInfo for ReduceExtremum {
    fn name(&self) -> &'static str {
        if self.largest { "ReduceMax" } else { "ReduceMin" }
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let shape = self.reduced.infer(self.name(), inputs)?;
        if self.reduced.is_void(inputs[0]) {
            return Err(ShapeError::new(self.name(), format!("nothing to choose from in {:?}", inputs[0])));
        }
        Ok(shape)
    }

    fn couples_samples(&self) -> bool {
        self.reduced.includes_first()
    }

    fn flops(&self, inputs: &[&[usize]], _output: &[usize]) -> u64 {
        inputs.first().map_or(0, |x| numel(x) as u64)
    }
}

/// Calls `f(element, result)` for every element that attains its result.
fn each_winner<T: Scalar>(runs: &Runs<1>, x: &[T], y: &[T], mut f: impl FnMut(usize, usize)) {
    let step = runs.steps[0] as usize;
    let mut e = 0;
    walk(&runs.outer, [0], &mut |[o]| {
        let mut o = o as usize;
        for _ in 0..runs.len {
            if x[e] == y[o] {
                f(e, o);
            }
            e += 1;
            o += step;
        }
    });
}

/// One over the number of elements that attain each result.
fn shares<T: Scalar>(
    runs: &Runs<1>,
    x: &[T],
    y: &[T],
    scratch: &mut Scratch<T>,
) -> crate::aligned::AlignedVec<T> {
    let mut shares = scratch.take_zeroed(y.len());
    each_winner(runs, x, y, |_, o| shares[o] += T::ONE);
    shares.iter_mut().for_each(|s| *s = T::ONE / *s);
    shares
}

impl<T: Scalar> Op<T> for ReduceExtremum {
    fn forward(&self, c: &Context<'_, T>, y: &mut [T], _scratch: &mut Scratch<T>) {
        if let Some(runs) = self.runs(c) {
            if self.largest {
                extremum(&runs, c.x(0), y, |x, m| x > m);
            } else {
                extremum(&runs, c.x(0), y, |x, m| x < m);
            }
        }
    }

    fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], scratch: &mut Scratch<T>) {
        dy.fill(T::ZERO);
        let Some(runs) = self.runs(c) else { return };
        let shares = shares(&runs, c.x(0), c.y, scratch);
        for (j, dy) in dy.chunks_exact_mut(c.len()).enumerate() {
            if let Some(dx) = c.dx(0, j) {
                each_winner(&runs, c.x(0), c.y, |e, o| dy[o] += shares[o] * dx[e]);
            }
        }
        scratch.give(shares);
    }

    fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, scratch: &mut Scratch<T>) {
        let Some(slot) = &mut gx[0] else { return };
        let gx = slot.add();
        let Some(runs) = self.runs(c) else { return };
        let shares = shares(&runs, c.x(0), c.y, scratch);
        each_winner(&runs, c.x(0), c.y, |e, o| gx[e] += shares[o] * c.gy[o]);
        scratch.give(shares);
    }

    fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, scratch: &mut Scratch<T>) {
        let Some(slot) = &mut dgx[0] else { return };
        let runs = self.runs(c);
        for j in 0..c.tangents {
            let mut part = slot.part(j, c.tangents);
            let dgx = part.add();
            let Some(runs) = &runs else { continue };
            let shares = shares(runs, c.x(0), c.y, scratch);
            let dgy = c.dgy(j);
            each_winner(runs, c.x(0), c.y, |e, o| dgx[e] += shares[o] * dgy[o]);
            scratch.give(shares);
        }
        slot.set_written();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::reduced::tests::{AXES, value};
    use crate::ops::unary::tests::filling;
    use crate::testkit::OpCheck;

    #[test]
    fn derivatives_match_finite_differences() {
        for (shape, axes) in AXES {
            for op in [ReduceExtremum::max(axes, false), ReduceExtremum::min(axes, true)] {
                // Different numbers: no ties, where finite differences mean nothing.
                let check = OpCheck::new(&op, &[shape]).values(0, filling(numel(shape), -1.0, 1.0));
                check.run().unwrap_or_else(|e| panic!("{op:?} on {shape:?}: {e}"));
            }
        }
    }

    #[test]
    fn values_are_extrema() {
        assert_eq!(value(&ReduceExtremum::max(&[0], false), &[1.0, 3.0, -2.0]), 3.0);
        assert_eq!(value(&ReduceExtremum::min(&[0], false), &[1.0, 3.0, -2.0]), -2.0);
        assert!(value(&ReduceExtremum::max(&[0], false), &[1.0, f64::NAN, 2.0]).is_nan());
        assert!(ReduceExtremum::max(&[1], false).infer(&[&[2, 0]]).is_err());
    }

    #[test]
    fn ties_share_the_adjoint() {
        // amax of [2, 5, 5, 1]: each 5 gets half.
        let (x, y, gy) = ([2.0, 5.0, 5.0, 1.0], [5.0], [3.0]);
        let operand =
            crate::op::Operand { shape: &[4], value: &x, tangent: None, packed: None, packed_tangents: &[] };
        let c = Context { inputs: &[operand], shape: &[], tangents: 0, y: &y, dy: &[], gy: &gy, dgy: &[] };
        let mut gx = [f64::NAN; 4];
        let mut slots = [Some(crate::op::Slot::new(&mut gx, true))];
        ReduceExtremum::max(&[0], false).adjoint(&c, &mut slots, &mut Scratch::new());
        assert_eq!(gx, [0.0, 1.5, 1.5, 0.0]);
    }
}
