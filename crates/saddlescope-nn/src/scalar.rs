//! The two number types the engine computes in: `f32` and `f64`.

use std::fmt::{Debug, Display};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

/// Number type of a tensor, as a value that can be stored and printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 double precision.
    F64,
}

impl Dtype {
    /// Bytes of one number.
    pub const fn size(self) -> usize {
        match self {
            Dtype::F32 => 4,
            Dtype::F64 => 8,
        }
    }
}

impl Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Dtype::F32 => "f32",
            Dtype::F64 => "f64",
        })
    }
}

/// What keeps [`Scalar`] to the two types that the kernels are written for: their `unsafe` code relies on it.
pub(crate) mod sealed {
    /// Implemented for `f32` and `f64` only.
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// A real number: `f32` or `f64`; nothing else can implement it.
///
/// Methods mean what they mean on `f64`. `PartialOrd` follows IEEE 754, so every comparison with NaN is false;
/// [`Scalar::max`] and [`Scalar::min`] hand a NaN on, because a NaN in a loss must be seen.
pub trait Scalar:
    Copy
    + Send
    + Sync
    + 'static
    + Debug
    + Display
    + Default
    + PartialEq
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + Sum
    + crate::kernels::simd::Element
    + sealed::Sealed
{
    /// The number 0.
    const ZERO: Self;
    /// The number 1.
    const ONE: Self;
    /// Distance from 1 to the next larger number.
    const EPSILON: Self;
    /// Which of the two types this is.
    const DTYPE: Dtype;

    /// Nearest number of this type.
    fn from_f64(x: f64) -> Self;
    /// The same number in double precision (exact).
    fn to_f64(self) -> f64;
    /// Square root; NaN below zero.
    fn sqrt(self) -> Self;
    /// Exponential.
    fn exp(self) -> Self;
    /// exp(x) − 1, accurate near 0.
    fn exp_m1(self) -> Self;
    /// Natural logarithm; NaN below zero.
    fn ln(self) -> Self;
    /// ln(1 + x), accurate near 0.
    fn ln_1p(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// Sine.
    fn sin(self) -> Self;
    /// Cosine.
    fn cos(self) -> Self;
    /// Error function (2/√π) ∫₀ˣ exp(−t²) dt.
    fn erf(self) -> Self;
    /// Power with a real exponent.
    fn powf(self, exponent: Self) -> Self;
    /// Power with an integer exponent.
    fn powi(self, exponent: i32) -> Self;
    /// Absolute value.
    fn abs(self) -> Self;
    /// Larger of two numbers; NaN if either is NaN.
    fn max(self, other: Self) -> Self;
    /// Smaller of two numbers; NaN if either is NaN.
    fn min(self, other: Self) -> Self;
    /// Neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// Not a number.
    fn is_nan(self) -> bool;
}

macro_rules! scalar {
    ($t:ident, $dtype:expr, $functions:ident, $erf:path) => {
        impl Scalar for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const EPSILON: Self = $t::EPSILON;
            const DTYPE: Dtype = $dtype;

            #[inline(always)]
            fn from_f64(x: f64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                $t::sqrt(self)
            }
            #[inline(always)]
            fn exp(self) -> Self {
                crate::elementary::$functions::exp(self)
            }
            #[inline(always)]
            fn exp_m1(self) -> Self {
                $t::exp_m1(self)
            }
            #[inline(always)]
            fn ln(self) -> Self {
                $t::ln(self)
            }
            #[inline(always)]
            fn ln_1p(self) -> Self {
                $t::ln_1p(self)
            }
            #[inline(always)]
            fn tanh(self) -> Self {
                crate::elementary::$functions::tanh(self)
            }
            #[inline(always)]
            fn sin(self) -> Self {
                $t::sin(self)
            }
            #[inline(always)]
            fn cos(self) -> Self {
                $t::cos(self)
            }
            #[inline(always)]
            fn erf(self) -> Self {
                $erf(self)
            }
            #[inline(always)]
            fn powf(self, exponent: Self) -> Self {
                $t::powf(self, exponent)
            }
            #[inline(always)]
            fn powi(self, exponent: i32) -> Self {
                $t::powi(self, exponent)
            }
            #[inline(always)]
            fn abs(self) -> Self {
                $t::abs(self)
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                if self > other || self.is_nan() { self } else { other }
            }
            #[inline(always)]
            fn min(self, other: Self) -> Self {
                if self < other || self.is_nan() { self } else { other }
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                $t::is_finite(self)
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                $t::is_nan(self)
            }
        }
    };
}

scalar!(f32, Dtype::F32, single, crate::elementary::erf_f32);
scalar!(f64, Dtype::F64, double, libm::erf);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_and_min_hand_nan_on() {
        for (a, b) in [(f64::NAN, 1.0), (1.0, f64::NAN)] {
            assert!(Scalar::max(a, b).is_nan());
            assert!(Scalar::min(a, b).is_nan());
        }
        assert_eq!(Scalar::max(2.0_f32, 1.0), 2.0);
        assert_eq!(Scalar::min(2.0_f32, 1.0), 1.0);
    }

    #[test]
    fn erf_has_its_tabulated_value() {
        // Abramowitz and Stegun, table 7.1: erf(1) = 0.84270 07929 49714 9 (tolerance: rounding of each type).
        assert!((Scalar::erf(1.0_f64) - 0.842_700_792_949_714_9).abs() < 2e-16);
        assert!((Scalar::erf(1.0_f32) - 0.842_700_8).abs() < 1.2e-7);
    }

    #[test]
    fn dtype_is_written_in_lower_case() {
        assert_eq!(<f32 as Scalar>::DTYPE.to_string(), "f32");
        assert_eq!(serde_json::to_string(&Dtype::F64).ok().as_deref(), Some("\"f64\""));
    }
}
