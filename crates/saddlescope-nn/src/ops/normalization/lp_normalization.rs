//! Division by the Euclidean length.

use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slots};
use crate::ops::axes::{accepted_axis, around, resolve_axis, single};
use crate::ops::standardize::{Adjoints, Affine, Standardize};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

const NAME: &str = "LpNormalization";

/// y = x / ‖x‖₂ along one axis: ONNX `LpNormalization` with p = 2. A line of zeros gives NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LpNormalization {
    /// The axis along which y has length 1; −1 is the last. Not the sample axis.
    pub axis: i64,
}

impl LpNormalization {
    /// x / ‖x‖ = γ x / √mean(x²) with γ = 1/√n: the map, and γ in a buffer.
    fn map<T: Scalar>(
        &self,
        c: &Context<'_, T>,
        scratch: &mut Scratch<T>,
    ) -> (Standardize, crate::aligned::AlignedVec<T>) {
        let [outer, n, inner] = around(c.shape, accepted_axis(self.axis, c.shape.len()));
        let mut gamma = scratch.take(inner);
        gamma.fill(T::from_f64(1.0 / (n as f64).sqrt()));
        (Standardize { outer, rows: n, groups: inner, width: 1, eps: 0.0, center: false }, gamma)
    }
}

impl OpInfo for LpNormalization {
    fn name(&self) -> &'static str {
        NAME
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let x = single(NAME, inputs)?;
        if resolve_axis(NAME, self.axis, x.len())? == 0 {
            return Err(ShapeError::new(NAME, format!("axis 0 of {x:?} counts the samples")));
        }
        Ok(x.to_vec())
    }

    fn reads(&self) -> Reads {
        Reads::INPUTS
    }
}

impl<T: Scalar> Op<T> for LpNormalization {
    fn forward(&self, c: &Context<'_, T>, y: &mut [T], scratch: &mut Scratch<T>) {
        let (map, gamma) = self.map(c, scratch);
        map.forward(c.x(0), Affine { gamma: Some(&gamma), beta: None }, y, scratch);
        scratch.give(gamma);
    }

    fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], scratch: &mut Scratch<T>) {
        let (map, gamma) = self.map(c, scratch);
        let (p, none) = (Affine { gamma: Some(&gamma), beta: None }, Affine { gamma: None, beta: None });
        for (j, dy) in dy.chunks_exact_mut(c.len().max(1)).enumerate() {
            map.tangent(c.x(0), c.dx(0, j), p, none, dy, scratch);
        }
        scratch.give(gamma);
    }

    fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, scratch: &mut Scratch<T>) {
        let (map, gamma) = self.map(c, scratch);
        let out = Adjoints { x: gx[0].as_mut(), gamma: None, beta: None };
        map.adjoint(c.x(0), Affine { gamma: Some(&gamma), beta: None }, c.gy, out, scratch);
        scratch.give(gamma);
    }

    fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, scratch: &mut Scratch<T>) {
        let Some(slot) = &mut dgx[0] else { return };
        let (map, gamma) = self.map(c, scratch);
        let (p, none) = (Affine { gamma: Some(&gamma), beta: None }, Affine { gamma: None, beta: None });
        for j in 0..c.tangents {
            let mut part = slot.part(j, c.tangents);
            let out = Adjoints { x: Some(&mut part), gamma: None, beta: None };
            map.adjoint_tangent(c.x(0), c.dx(0, j), p, none, [c.gy, c.dgy(j)], out, scratch);
        }
        slot.set_written();
        scratch.give(gamma);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::check_op;

    #[test]
    fn derivatives_match_finite_differences() {
        check_op(&LpNormalization { axis: -1 }, &[&[2, 3, 7]]).unwrap();
        check_op(&LpNormalization { axis: 1 }, &[&[2, 3, 5]]).unwrap();
        assert!(LpNormalization { axis: 0 }.infer(&[&[2, 3]]).is_err());
    }
}
