//! Powers with a tensor of exponents.

use super::binary::{Binary, binary_op};
use super::unary::times;
use crate::scalar::Scalar;

/// y = aᵇ, broadcast (ONNX `Pow`). For one constant exponent [`PowConst`](super::PowConst) is cheaper.
///
/// Derivatives follow PyTorch: a factor b or b(b − 1) of 0 gives 0 even where the power is infinite; the derivative
/// with respect to b is 0 at a = 0, b ≥ 0. Where the exponent has no tangent, a negative base is no obstacle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pow;

/// factor · aᵖ, 0 if the factor is.
#[inline(always)]
fn scaled<T: Scalar>(factor: T, a: T, p: T) -> T {
    if factor == T::ZERO { T::ZERO } else { factor * a.powf(p) }
}

/// ln a, or 0 where PyTorch counts the derivative by the exponent as 0.
#[inline(always)]
fn log_base<T: Scalar>(a: T, b: T) -> T {
    if a == T::ZERO && b >= T::ZERO { T::ZERO } else { a.ln() }
}

/// `direction` times what `factor` computes, 0 without computing it if the direction is 0.
#[inline(always)]
fn along<T: Scalar>(direction: T, factor: impl FnOnce() -> T) -> T {
    if direction == T::ZERO { T::ZERO } else { direction * factor() }
}

/// φ_ab = aᵇ⁻¹ (1 + b ln a).
#[inline(always)]
fn mixed<T: Scalar>(a: T, b: T) -> T {
    scaled(T::ONE + b * log_base(a, b), a, b - T::ONE)
}

impl Binary for Pow {
    #[inline(always)]
    fn value<T: Scalar>(&self, a: T, b: T) -> T {
        a.powf(b)
    }

    #[inline(always)]
    fn tangent<T: Scalar>(&self, a: T, b: T, da: T, db: T) -> T {
        scaled(b, a, b - T::ONE) * da + along(db, || scaled(log_base(a, b), a, b))
    }

    #[inline(always)]
    fn adjoint_a<T: Scalar>(&self, a: T, b: T, g: T) -> T {
        times(scaled(b, a, b - T::ONE), g)
    }

    #[inline(always)]
    fn adjoint_b<T: Scalar>(&self, a: T, b: T, g: T) -> T {
        times(scaled(log_base(a, b), a, b), g)
    }

    #[inline(always)]
    fn adjoint_tangent_a<T: Scalar>(&self, a: T, b: T, da: T, db: T, g: T, dg: T) -> T {
        let second = along(da, || scaled(b * (b - T::ONE), a, b - T::from_f64(2.0)));
        times(scaled(b, a, b - T::ONE), dg) + times(second + along(db, || mixed(a, b)), g)
    }

    #[inline(always)]
    fn adjoint_tangent_b<T: Scalar>(&self, a: T, b: T, da: T, db: T, g: T, dg: T) -> T {
        let log = log_base(a, b);
        let y = scaled(log, a, b);
        times(y, dg) + times(along(da, || mixed(a, b)) + along(db, || y * log), g)
    }
}

binary_op!(Pow, "Pow");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::binary::tests::check_broadcast;
    use crate::ops::unary::tests::filling;
    use crate::testkit::OpCheck;

    #[test]
    fn derivatives_match_finite_differences() {
        check_broadcast(&Pow, |i, n| Some(if i == 0 { filling(n, 0.5, 2.0) } else { filling(n, -2.0, 2.5) }));
    }

    #[test]
    fn a_constant_exponent_allows_negative_bases() {
        // The adjoint of the exponent is NaN there and not wanted; that of the base is checked.
        let check = OpCheck::new(&Pow, &[&[2, 3], &[1]]).values(1, vec![2.0]).constant(1);
        check.values(0, vec![-1.5, -0.5, 0.0, 0.5, 1.0, 2.0]).run().unwrap();
        for (a, b, da, expected) in [(-2.0, 3.0, 1.0, 12.0), (0.0, 2.0, 1.0, 0.0), (0.0, 1.0, 2.0, 2.0)] {
            assert_eq!(Pow.tangent(a, b, da, 0.0), expected);
        }
        assert_eq!(Pow.adjoint_b(0.0, 2.0, 1.0), 0.0);
        assert_eq!(Pow.adjoint_tangent_a(0.0, 1.0, 1.0, 0.0, 1.0, 1.0), 1.0);
    }
}
