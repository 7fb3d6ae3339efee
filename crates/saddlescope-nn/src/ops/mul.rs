//! Products and quotients.

use super::binary::{Binary, binary_op};
use super::unary::times;
use crate::scalar::Scalar;

/// y = a b, broadcast (ONNX `Mul`). An adjoint of 0 gives 0 even where the other factor is infinite or NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mul;

impl Binary for Mul {
    #[inline(always)]
    fn value<T: Scalar>(&self, a: T, b: T) -> T {
        a * b
    }

    #[inline(always)]
    fn tangent<T: Scalar>(&self, a: T, b: T, da: T, db: T) -> T {
        a * db + b * da
    }

    #[inline(always)]
    fn adjoint_a<T: Scalar>(&self, _a: T, b: T, g: T) -> T {
        times(b, g)
    }

    #[inline(always)]
    fn adjoint_b<T: Scalar>(&self, a: T, _b: T, g: T) -> T {
        times(a, g)
    }

    #[inline(always)]
    fn adjoint_tangent_a<T: Scalar>(&self, _a: T, b: T, _da: T, db: T, g: T, dg: T) -> T {
        times(b, dg) + times(db, g)
    }

    #[inline(always)]
    fn adjoint_tangent_b<T: Scalar>(&self, a: T, _b: T, da: T, _db: T, g: T, dg: T) -> T {
        times(a, dg) + times(da, g)
    }
}

binary_op!(Mul, "Mul");

/// y = a / b, broadcast (ONNX `Div`). An adjoint of 0 gives 0 even where the divisor is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Div;

impl Binary for Div {
    #[inline(always)]
    fn value<T: Scalar>(&self, a: T, b: T) -> T {
        a / b
    }

    #[inline(always)]
    fn tangent<T: Scalar>(&self, a: T, b: T, da: T, db: T) -> T {
        (da - a / b * db) / b
    }

    #[inline(always)]
    fn adjoint_a<T: Scalar>(&self, _a: T, b: T, g: T) -> T {
        if g == T::ZERO { T::ZERO } else { g / b }
    }

    #[inline(always)]
    fn adjoint_b<T: Scalar>(&self, a: T, b: T, g: T) -> T {
        if g == T::ZERO { T::ZERO } else { -(a / b) * (g / b) }
    }

    #[inline(always)]
    fn adjoint_tangent_a<T: Scalar>(&self, _a: T, b: T, _da: T, db: T, g: T, dg: T) -> T {
        if g == T::ZERO && dg == T::ZERO { T::ZERO } else { (dg - g / b * db) / b }
    }

    #[inline(always)]
    fn adjoint_tangent_b<T: Scalar>(&self, a: T, b: T, da: T, db: T, g: T, dg: T) -> T {
        // φ_b = −a/b², φ_ab = −1/b², φ_bb = 2a/b³.
        if g == T::ZERO && dg == T::ZERO {
            return T::ZERO;
        }
        let (r, q) = (T::ONE / b, a / b);
        -(q * dg + (da - (q + q) * db) * r * g) * r
    }
}

binary_op!(Div, "Div");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::OpInfo;
    use crate::ops::binary::tests::check_broadcast;
    use crate::ops::unary::tests::filling;

    #[test]
    fn derivatives_match_finite_differences() {
        check_broadcast(&Mul, |_, _| None);
        check_broadcast(&Div, |i, n| (i == 1).then(|| filling(n, 0.5, 2.0)));
    }

    #[test]
    fn shapes_that_do_not_broadcast_are_refused() {
        assert!(Mul.infer(&[&[3, 2], &[3]]).is_err());
        assert!(Div.infer(&[&[3], &[3], &[3]]).is_err());
    }
}
