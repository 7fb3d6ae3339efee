//! Layer normalisation.

use super::{Normalization, normalization_op};
use crate::op::{ShapeError, numel};
use crate::ops::axes::resolve_axis;
use crate::ops::standardize::Standardize;

/// y = γ (x − μ) / √(σ² + ε) + β with mean and biased variance over the axes from `axis` to the last: PyTorch's
/// `layer_norm` and ONNX `LayerNormalization`.
///
/// Inputs: x, and optionally γ and β of the shape of the normalised axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerNorm {
    /// First normalised axis; −1 is the last. The sample axis cannot be normalised.
    pub axis: i64,
    /// ε, 1e-5 by default in PyTorch and ONNX.
    pub eps: f64,
}

/// Number of lines and the normalised axes, from `axis` on; the sample axis must stay outside.
pub(super) fn trailing<'a>(
    name: &'static str,
    axis: i64,
    x: &'a [usize],
) -> Result<(usize, &'a [usize]), ShapeError> {
    let axis = resolve_axis(name, axis, x.len())?;
    if axis == 0 {
        return Err(ShapeError::new(
            name,
            format!("axis 0 of {x:?} counts the samples; it cannot be normalised"),
        ));
    }
    Ok((numel(&x[..axis]), &x[axis..]))
}

impl Normalization for LayerNorm {
    const NAME: &'static str = "LayerNormalization";
    const PARAMETERS: &'static [&'static str] = &["γ", "β"];

    fn map(&self, x: &[usize]) -> Result<(Standardize, Vec<usize>), ShapeError> {
        let (outer, axes) = trailing(Self::NAME, self.axis, x)?;
        let width = numel(axes);
        let map = Standardize { outer, rows: 1, groups: 1, width, eps: self.eps, center: true };
        Ok((map, axes.to_vec()))
    }
}

normalization_op!(LayerNorm);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::OpInfo;
    use crate::testkit::{OpCheck, check_op};

    #[test]
    fn derivatives_match_finite_differences() {
        let op = LayerNorm { axis: -1, eps: 1e-3 };
        check_op(&op, &[&[3, 7]]).unwrap();
        check_op(&op, &[&[2, 3, 67], &[67], &[67]]).unwrap();
        check_op(&op, &[&[2, 5], &[5]]).unwrap();
        check_op(&LayerNorm { axis: 1, eps: 1e-5 }, &[&[2, 3, 5], &[3, 5], &[3, 5]]).unwrap();
        OpCheck::new(&op, &[&[3, 7], &[7], &[7]]).constant(0).run().unwrap();
        OpCheck::new(&op, &[&[3, 7], &[7], &[7]]).constant(1).constant(2).run().unwrap();
    }

    #[test]
    fn shapes_are_checked() {
        let op = LayerNorm { axis: -1, eps: 1e-5 };
        assert!(op.infer(&[&[2, 5], &[4]]).is_err());
        assert!(op.infer(&[&[2, 5], &[5], &[5], &[5]]).is_err());
        assert!(op.infer(&[&[5], &[5]]).is_err(), "the only axis counts the samples");
        assert!(LayerNorm { axis: 2, eps: 1e-5 }.infer(&[&[2, 5]]).is_err());
    }
}
