//! The Gaussian error linear unit.

use std::fmt;
use std::sync::Arc;

use super::unary::{Unary, unary_op};
use crate::op::{AnyOp, IntoOp};
use crate::scalar::Scalar;

/// Gaussian error linear unit, y = x Φ(x) with the distribution function Φ of the normal distribution
/// (ONNX `Gelu`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gelu {
    /// Φ(x) = ½ (1 + erf(x / √2)).
    Exact,
    /// Φ(x) ≈ ½ (1 + tanh(√(2/π) (x + 0.044715 x³))).
    Tanh,
}

impl IntoOp for Gelu {
    #[inline(never)]
    fn into_op(self) -> Arc<dyn AnyOp> {
        match self {
            Gelu::Exact => Arc::new(Formed::<false>),
            Gelu::Tanh => Arc::new(Formed::<true>),
        }
    }
}

/// [`Gelu`] of one form, that of tanh or of erf. A type for each, because a loop with the choice inside computes both, and shows
/// them both to the compiler.
#[derive(Clone, Copy)]
pub(super) struct Formed<const TANH: bool>;

impl<const TANH: bool> fmt::Debug for Formed<TANH> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (if TANH { Gelu::Tanh } else { Gelu::Exact }).fmt(f)
    }
}

impl<const TANH: bool> Unary for Formed<TANH> {
    const FROM_OUTPUT: bool = false;
    const CURVED: bool = true;

    #[inline(always)]
    fn value<T: Scalar>(&self, x: T) -> T {
        let z = if TANH {
            tanh_argument(x).0.tanh()
        } else {
            (x * T::from_f64(std::f64::consts::FRAC_1_SQRT_2)).erf()
        };
        T::from_f64(0.5) * x * (T::ONE + z)
    }

    #[inline(always)]
    fn derivatives<T: Scalar>(&self, x: T) -> (T, T) {
        let (half, two) = (T::from_f64(0.5), T::from_f64(2.0));
        if TANH {
            let (u, du, ddu) = tanh_argument(x);
            let t = u.tanh();
            let slope = T::ONE - t * t;
            let first = half * (T::ONE + t) + half * x * slope * du;
            (first, slope * (du + half * x * (ddu - two * t * du * du)))
        } else {
            let distribution = half * (T::ONE + (x * T::from_f64(std::f64::consts::FRAC_1_SQRT_2)).erf());
            // Density (2π)^(−1/2) exp(−x²/2).
            let density = T::from_f64(0.398_942_280_401_432_7) * (-half * x * x).exp();
            (distribution + x * density, density * (two - x * x))
        }
    }
}

/// u = √(2/π) (x + 0.044715 x³) with its first two derivatives.
#[inline(always)]
fn tanh_argument<T: Scalar>(x: T) -> (T, T, T) {
    let c = T::from_f64(0.797_884_560_802_865_4);
    let a = T::from_f64(0.044_715);
    let ax = a * x;
    let axx = ax * x;
    (c * (x + axx * x), c * (T::ONE + T::from_f64(3.0) * axx), T::from_f64(6.0) * c * ax)
}

unary_op!(Formed<false>, "Gelu", 8);
unary_op!(Formed<true>, "Gelu", 8);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::unary::tests::check_on;

    #[test]
    fn derivatives_match_finite_differences() {
        check_on(&*Gelu::Exact.into_op(), -3.0, 3.01);
        check_on(&*Gelu::Tanh.into_op(), -3.0, 3.01);
    }

    #[test]
    fn extreme_inputs_stay_finite() {
        for x in [-1e4_f32, -90.0, 90.0, 1e4] {
            assert!(Formed::<false>.value(x).is_finite());
            assert!(Formed::<false>.derivatives(x).1.is_finite());
            assert!(Formed::<true>.derivatives(x).1.is_finite());
        }
    }

    #[test]
    fn values_are_known_ones() {
        // Φ(1) = 0.841344746068542948… (Abramowitz and Stegun, table 26.1). The tolerance is the rounding of a few operations.
        assert!((Formed::<false>.value(1.0_f64) - 0.841_344_746_068_543).abs() < 1e-15);
        // Φ(1) of the approximation by hand: u = 0.797884560802865 · 1.044715, ½(1 + tanh u).
        let u = (2.0 / std::f64::consts::PI).sqrt() * 1.044_715;
        assert!((Formed::<true>.value(1.0_f64) - 0.5 * (1.0 + u.tanh())).abs() < 1e-15);
    }

    #[test]
    fn single_precision_is_within_a_few_units_of_the_larger_of_value_and_input() {
        let steps = 100_000;
        for i in 0..=steps {
            let x = (-8.0 + 16.0 * f64::from(i) / f64::from(steps)) as f32;
            let wide = f64::from(x);
            let bound = 2.0 * f64::from(f32::EPSILON) * wide.abs();
            let error = f64::from(Formed::<false>.value(x)) - Formed::<false>.value(wide);
            assert!(error.abs() <= bound, "erf, {x}: {error:e}");
            let error = f64::from(Formed::<true>.value(x)) - Formed::<true>.value(wide);
            assert!(error.abs() <= bound, "tanh, {x}: {error:e}");
        }
    }
}
