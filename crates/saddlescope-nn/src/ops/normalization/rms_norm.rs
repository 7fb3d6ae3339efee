//! Root-mean-square normalisation.

use super::layer_norm::trailing;
use super::{Normalization, normalization_op};
use crate::op::{ShapeError, numel};
use crate::ops::standardize::Standardize;

/// y = γ x / √(mean(x²) + ε) over the axes from `axis` to the last: PyTorch's `rms_norm` and ONNX `RMSNormalization`.
///
/// Inputs: x, and optionally γ of the shape of the normalised axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsNorm {
    /// First normalised axis; −1 is the last. The sample axis cannot be normalised.
    pub axis: i64,
    /// ε.
    pub eps: f64,
}

impl Normalization for RmsNorm {
    const NAME: &'static str = "RMSNormalization";
    const PARAMETERS: &'static [&'static str] = &["γ"];

    fn map(&self, x: &[usize]) -> Result<(Standardize, Vec<usize>), ShapeError> {
        let (outer, axes) = trailing(Self::NAME, self.axis, x)?;
        let width = numel(axes);
        let map = Standardize { outer, rows: 1, groups: 1, width, eps: self.eps, center: false };
        Ok((map, axes.to_vec()))
    }
}

normalization_op!(RmsNorm);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::check_op;

    #[test]
    fn derivatives_match_finite_differences() {
        check_op(&RmsNorm { axis: -1, eps: 1e-5 }, &[&[2, 3, 7], &[7]]).unwrap();
        check_op(&RmsNorm { axis: 1, eps: 1e-2 }, &[&[2, 3, 5]]).unwrap();
    }
}
