//! The functions of the two number types the engine computes in: `f32` and `f64`.

pub use crate::dtype::Dtype;
pub use crate::kernels::number::Scalar;

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
}
