//! Group and instance normalisation, channels last.

use super::{Normalization, normalization_op};
use crate::op::{ShapeError, numel};
use crate::ops::standardize::Standardize;

/// y = γ (x − μ) / √(σ² + ε) + β with mean and biased variance over all positions of one sample and the channels of
/// one group: PyTorch's `group_norm` and ONNX `GroupNormalization` (version 21), channels last.
///
/// Inputs: x `[n, positions…, c]`, and optionally γ and β `[c]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNorm {
    /// Number of groups of neighbouring channels.
    pub groups: usize,
    /// ε, 1e-5 by default in PyTorch and ONNX.
    pub eps: f64,
}

/// [`GroupNorm`] with one group per channel: PyTorch's `instance_norm` and ONNX `InstanceNormalization`, channels
/// last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InstanceNorm {
    /// ε, 1e-5 by default in PyTorch and ONNX.
    pub eps: f64,
}

fn map(
    name: &'static str,
    groups: Option<usize>,
    eps: f64,
    x: &[usize],
) -> Result<(Standardize, Vec<usize>), ShapeError> {
    let &[n, ref positions @ .., c] = x else {
        return Err(ShapeError::new(name, format!("needs [n, positions…, c], found {x:?}")));
    };
    let groups = groups.unwrap_or(c);
    if groups == 0 || c % groups != 0 {
        return Err(ShapeError::new(name, format!("{c} channels do not divide into {groups} groups")));
    }
    let map = Standardize { outer: n, rows: numel(positions), groups, width: c / groups, eps, center: true };
    Ok((map, vec![c]))
}

impl Normalization for GroupNorm {
    const NAME: &'static str = "GroupNormalization";
    const PARAMETERS: &'static [&'static str] = &["γ", "β"];

    fn map(&self, x: &[usize]) -> Result<(Standardize, Vec<usize>), ShapeError> {
        map(Self::NAME, Some(self.groups), self.eps, x)
    }
}

impl Normalization for InstanceNorm {
    const NAME: &'static str = "InstanceNormalization";
    const PARAMETERS: &'static [&'static str] = &["γ", "β"];

    fn map(&self, x: &[usize]) -> Result<(Standardize, Vec<usize>), ShapeError> {
        map(Self::NAME, None, self.eps, x)
    }
}

normalization_op!(GroupNorm);
normalization_op!(InstanceNorm);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::OpInfo;
    use crate::testkit::check_op;

    #[test]
    fn derivatives_match_finite_differences() {
        let op = GroupNorm { groups: 2, eps: 1e-3 };
        check_op(&op, &[&[2, 3, 5, 6], &[6], &[6]]).unwrap();
        check_op(&op, &[&[2, 6], &[6]]).unwrap();
        check_op(&GroupNorm { groups: 1, eps: 1e-3 }, &[&[2, 5, 3]]).unwrap();
        check_op(&InstanceNorm { eps: 1e-3 }, &[&[2, 3, 3, 4], &[4], &[4]]).unwrap();
    }

    #[test]
    fn channels_must_divide() {
        assert!(GroupNorm { groups: 4, eps: 1e-5 }.infer(&[&[2, 3, 6]]).is_err());
        assert!(GroupNorm { groups: 0, eps: 1e-5 }.infer(&[&[2, 3, 6]]).is_err());
        assert!(InstanceNorm { eps: 1e-5 }.infer(&[&[6]]).is_err());
    }
}
