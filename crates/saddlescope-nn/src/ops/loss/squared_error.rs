//! Squared error.

use super::{SampleLoss, check_same, loss_op};
use crate::op::ShapeError;
use crate::scalar::Scalar;

/// ℓ = ½ Σₖ (yₖ − fₖ)², the sample's share of equation (2.7) of the paper (with its ½, without its mean over samples).
///
/// Output and target have the same shape `[b, …]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SquaredError;

impl SampleLoss for SquaredError {
    const NAME: &'static str = "SquaredError";

    fn check(&self, output: &[usize], target: &[usize]) -> Result<(), ShapeError> {
        check_same(Self::NAME, output, target)
    }

    fn value<T: Scalar>(&self, f: &[T], target: &[T], _width: usize) -> T {
        let sum: T = f.iter().zip(target).map(|(&f, &y)| (f - y) * (f - y)).sum();
        sum * T::from_f64(0.5)
    }

    fn gradient<T: Scalar>(&self, f: &[T], target: &[T], _width: usize, _state: &[T], g: &mut [T]) {
        for ((g, &f), &y) in g.iter_mut().zip(f).zip(target) {
            *g = f - y;
        }
    }

    fn curvature<T: Scalar>(
        &self,
        _f: &[T],
        _target: &[T],
        _width: usize,
        _state: &[T],
        v: &[T],
        h: &mut [T],
    ) {
        h.copy_from_slice(v);
    }
}

loss_op!(SquaredError);

#[cfg(test)]
mod tests {
    use super::super::SampleLoss as _;
    use super::*;
    use crate::op::OpInfo;
    use crate::testkit::OpCheck;

    #[test]
    fn derivatives_match_finite_differences() {
        for shape in [&[3, 5][..], &[2, 3, 3], &[7]] {
            OpCheck::new(&SquaredError, &[shape, shape]).constant(1).run().unwrap();
        }
    }

    #[test]
    fn has_the_half() {
        assert_eq!(SquaredError.value(&[1.0, 3.0], &[0.0, 0.0], 2), 5.0);
    }

    #[test]
    fn trailing_unit_axes_may_be_left_out() {
        assert!(SquaredError.infer(&[&[4, 1], &[4]]).is_ok());
        assert!(SquaredError.infer(&[&[4, 2], &[4]]).is_err());
        assert!(SquaredError.infer(&[&[4, 2], &[4, 3]]).is_err());
    }
}
