//! Rectified linear unit with a learned slope.

use super::binary::{Binary, binary_op};
use crate::scalar::Scalar;

/// y = x where x > 0, else s x, for inputs x and s, broadcast (ONNX `PRelu`). At x = 0 the derivative by x is s, as in
/// PyTorch. The slopes of channels need trailing axes of length 1 where the channels are not the last axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PRelu;

impl Binary for PRelu {
    #[inline(always)]
    fn value<T: Scalar>(&self, x: T, s: T) -> T {
        if x > T::ZERO { x } else { s * x }
    }

    #[inline(always)]
    fn tangent<T: Scalar>(&self, x: T, s: T, dx: T, ds: T) -> T {
        if x > T::ZERO { dx } else { s * dx + ds * x }
    }

    #[inline(always)]
    fn adjoint_a<T: Scalar>(&self, x: T, s: T, g: T) -> T {
        if x > T::ZERO { g } else { s * g }
    }

    #[inline(always)]
    fn adjoint_b<T: Scalar>(&self, x: T, _s: T, g: T) -> T {
        if x > T::ZERO { T::ZERO } else { x * g }
    }

    #[inline(always)]
    fn adjoint_tangent_a<T: Scalar>(&self, x: T, s: T, _dx: T, ds: T, g: T, dg: T) -> T {
        if x > T::ZERO { dg } else { s * dg + ds * g }
    }

    #[inline(always)]
    fn adjoint_tangent_b<T: Scalar>(&self, x: T, _s: T, dx: T, _ds: T, g: T, dg: T) -> T {
        if x > T::ZERO { T::ZERO } else { x * dg + dx * g }
    }
}

binary_op!(PRelu, "PRelu");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::binary::tests::check_broadcast;

    #[test]
    fn derivatives_match_finite_differences() {
        check_broadcast(&PRelu, |_, _| None);
    }

    #[test]
    fn the_derivative_at_zero_is_the_slope() {
        assert_eq!(PRelu.adjoint_a(0.0, 0.25, 1.0), 0.25);
    }
}
