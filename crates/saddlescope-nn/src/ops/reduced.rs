//! Which axes a reduction reduces, and what its result looks like.

use super::axes::{accepted_axis, resolve_axes, single};
use super::broadcast::Runs;
use super::strided::walk;
use crate::op::{ShapeError, numel};
use crate::scalar::Scalar;

/// Reduced axes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reduced {
    axes: Vec<i64>,
    keep: bool,
}

impl Reduced {
    /// Reduction of `axes`, which remain with length 1 if `keep`.
    pub(super) fn new(axes: &[i64], keep: bool) -> Self {
        Self { axes: axes.to_vec(), keep }
    }

    /// Shape of the result.
    pub(super) fn infer(&self, op: &'static str, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let x = single(op, inputs)?;
        let reduced = resolve_axes(op, &self.axes, x.len())?;
        if reduced.first() == Some(&true) && !self.includes_first() {
            let message = format!("the first axis of {x:?} must be named 0 among the axes {:?}", self.axes);
            return Err(ShapeError::new(op, message));
        }
        if self.keep {
            return Ok(self.kept(x));
        }
        Ok(x.iter().zip(reduced).filter(|(_, r)| !r).map(|(&n, _)| n).collect())
    }

    /// Whether the first axis, of samples if the input has any, is reduced.
    pub(super) fn includes_first(&self) -> bool {
        self.axes.contains(&0)
    }

    /// Shape of the result with the reduced axes kept; `infer` has accepted `x`.
    pub(super) fn kept(&self, x: &[usize]) -> Vec<usize> {
        let mut shape = x.to_vec();
        for &axis in &self.axes {
            shape[accepted_axis(axis, x.len())] = 1;
        }
        shape
    }

    /// Number of elements that make one result.
    pub(super) fn count(&self, x: &[usize]) -> usize {
        self.axes.iter().map(|&axis| x[accepted_axis(axis, x.len())]).product()
    }

    /// Whether a result would have nothing to choose from.
    pub(super) fn is_void(&self, x: &[usize]) -> bool {
        self.count(x) == 0 && numel(&self.kept(x)) > 0
    }
}

/// The extremum of the elements of each result, NaN if one of them is: `wins(x, m)` says that x replaces m.
pub(crate) fn extremum<T: Scalar>(runs: &Runs<1>, x: &[T], out: &mut [T], wins: impl Fn(T, T) -> bool) {
    // The first element of each result comes first, so that no infinity is needed to begin with.
    let mut seen = vec![false; out.len()];
    let step = runs.steps[0] as usize;
    let mut rows = x.chunks_exact(runs.len);
    walk(&runs.outer, [0], &mut |[o]| {
        let mut o = o as usize;
        for &x in rows.next().into_iter().flatten() {
            if !std::mem::replace(&mut seen[o], true) || wins(x, out[o]) || x.is_nan() {
                out[o] = x;
            }
            o += step;
        }
    });
}

#[cfg(test)]
pub(crate) mod tests {
    use crate::op::{Context, Op, Operand};
    use crate::scratch::Scratch;

    /// Shapes and reduced axes that reach every kind of loop.
    pub(crate) const AXES: [(&[usize], &[i64]); 11] = [
        (&[3, 5, 7], &[2]),
        (&[3, 5, 7], &[1]),
        (&[3, 5, 7], &[0]),
        (&[3, 5, 7], &[-2, -1]),
        (&[3, 5, 7], &[0, 2]),
        (&[3, 5, 7], &[0, 1, 2]),
        (&[3, 5], &[]),
        (&[2, 3, 1, 5], &[2]),
        (&[2, 3, 4, 5], &[1, 3]),
        (&[2, 17], &[1]),
        (&[0, 3], &[1]),
    ];

    /// The result of a reduction of a vector to a number.
    pub(crate) fn value(op: &dyn Op<f64>, x: &[f64]) -> f64 {
        let shape = [x.len()];
        let operand = Operand { shape: &shape, value: x, tangent: None, packed: None, packed_tangents: &[] };
        let c = Context { inputs: &[operand], shape: &[], tangents: 0, y: &[], dy: &[], gy: &[], dgy: &[] };
        let mut y = [f64::NAN];
        op.forward(&c, &mut y, &mut Scratch::new());
        y[0]
    }
}
