//! Elementwise maximum and minimum of two inputs.

use super::binary::{Binary, binary_op};
use crate::scalar::Scalar;

/// y = max(a, b), broadcast (ONNX `Max` of two). Where both are equal each has derivative ½, as in PyTorch's
/// `maximum`; a NaN is handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Max;

/// y = min(a, b), broadcast (ONNX `Min` of two). Where both are equal each has derivative ½, as in PyTorch's
/// `minimum`; a NaN is handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Min;

/// `g` if `own` wins over `other` by `wins`, half of it if they are equal, else 0.
#[inline(always)]
fn share<T: Scalar>(wins: bool, own: T, other: T, g: T) -> T {
    if own == other {
        T::from_f64(0.5) * g
    } else if wins {
        g
    } else {
        T::ZERO
    }
}

macro_rules! extremum {
    ($op:ident, $name:literal, $method:ident, |$own:ident, $other:ident| $wins:expr) => {
        impl Binary for $op {
            #[inline(always)]
            fn value<T: Scalar>(&self, a: T, b: T) -> T {
                a.$method(b)
            }

            #[inline(always)]
            fn tangent<T: Scalar>(&self, a: T, b: T, da: T, db: T) -> T {
                self.adjoint_a(a, b, da) + self.adjoint_b(a, b, db)
            }

            #[inline(always)]
            fn adjoint_a<T: Scalar>(&self, $own: T, $other: T, g: T) -> T {
                share($wins, $own, $other, g)
            }

            #[inline(always)]
            fn adjoint_b<T: Scalar>(&self, $other: T, $own: T, g: T) -> T {
                share($wins, $own, $other, g)
            }

            #[inline(always)]
            fn adjoint_tangent_a<T: Scalar>(&self, a: T, b: T, _da: T, _db: T, _g: T, dg: T) -> T {
                self.adjoint_a(a, b, dg)
            }

            #[inline(always)]
            fn adjoint_tangent_b<T: Scalar>(&self, a: T, b: T, _da: T, _db: T, _g: T, dg: T) -> T {
                self.adjoint_b(a, b, dg)
            }
        }

        binary_op!($op, $name);
    };
}

extremum!(Max, "Max", max, |own, other| own > other);
extremum!(Min, "Min", min, |own, other| own < other);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::binary::tests::check_broadcast;

    #[test]
    fn derivatives_match_finite_differences() {
        check_broadcast(&Max, |_, _| None);
        check_broadcast(&Min, |_, _| None);
    }

    #[test]
    fn equal_inputs_share_the_adjoint() {
        assert_eq!((Max.adjoint_a(1.0, 1.0, 4.0), Max.adjoint_b(1.0, 1.0, 4.0)), (2.0, 2.0));
        assert_eq!((Min.adjoint_a(1.0, 2.0, 4.0), Min.adjoint_b(1.0, 2.0, 4.0)), (4.0, 0.0));
        assert_eq!((Max.adjoint_a(1.0, 2.0, 4.0), Max.adjoint_b(1.0, 2.0, 4.0)), (0.0, 4.0));
        assert!(Max.value(f64::NAN, 1.0).is_nan() && Min.value(1.0, f64::NAN).is_nan());
    }
}
