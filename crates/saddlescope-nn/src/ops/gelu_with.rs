//! The Gaussian error linear unit written out, with the constants of the file it came from.

use std::fmt;
use std::sync::Arc;

use super::Gelu;
use super::unary::{Unary, unary_op};
use crate::op::{AnyOp, IntoOp};
use crate::scalar::Scalar;

/// y = h x (1 + f(s (x + a x³))) with f = erf ([`Gelu::Exact`]) or tanh ([`Gelu::Tanh`]): what exporters write as eight
/// operations or five. With h = ½, s = 1/√2 and a = 0, or s = √(2/π) and a = 0.044715, this is [`Gelu`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GeluWith {
    /// f.
    pub form: Gelu,
    /// h.
    pub half: f64,
    /// s.
    pub scale: f64,
    /// a.
    pub cubic: f64,
}

impl IntoOp for GeluWith {
    #[inline(never)]
    fn into_op(self) -> Arc<dyn AnyOp> {
        match self.form {
            Gelu::Exact => Arc::new(Formed::<false>(self)),
            Gelu::Tanh => Arc::new(Formed::<true>(self)),
        }
    }
}

impl GeluWith {
    /// u = s (x + a x³), u′ and u″.
    #[inline(always)]
    fn argument<T: Scalar>(&self, x: T) -> [T; 3] {
        let (s, a, three) = (T::from_f64(self.scale), T::from_f64(self.cubic), T::from_f64(3.0));
        let axx = a * x * x;
        [s * (x + axx * x), s * (T::ONE + three * axx), T::from_f64(6.0) * s * a * x]
    }
}

/// [`GeluWith`] whose form is tanh or erf: a type for each, as for [`Gelu`].
#[derive(Clone, Copy)]
struct Formed<const TANH: bool>(GeluWith);

impl<const TANH: bool> fmt::Debug for Formed<TANH> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<const TANH: bool> Unary for Formed<TANH> {
    const FROM_OUTPUT: bool = false;
    const CURVED: bool = true;

    #[inline(always)]
    fn value<T: Scalar>(&self, x: T) -> T {
        let [u, _, _] = self.0.argument(x);
        let z = if TANH { u.tanh() } else { u.erf() };
        T::from_f64(self.0.half) * x * (T::ONE + z)
    }

    #[inline(always)]
    fn derivatives<T: Scalar>(&self, x: T) -> (T, T) {
        let (h, two) = (T::from_f64(self.0.half), T::from_f64(2.0));
        let [u, du, ddu] = self.0.argument(x);
        // f, f′ and f″ = bend · f′.
        let (z, slope, bend) = if TANH {
            let t = u.tanh();
            (t, T::ONE - t * t, -two * t)
        } else {
            let slope = T::from_f64(std::f64::consts::FRAC_2_SQRT_PI) * (-u * u).exp();
            (u.erf(), slope, -two * u)
        };
        let first = h * (T::ONE + z) + h * x * slope * du;
        (first, h * slope * (two * du + x * (bend * du * du + ddu)))
    }
}

unary_op!(Formed<false>, "Gelu", 8);
unary_op!(Formed<true>, "Gelu", 8);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::gelu;
    use crate::ops::unary::tests::check_on;

    #[test]
    fn derivatives_match_finite_differences() {
        for form in [Gelu::Exact, Gelu::Tanh] {
            let op = GeluWith { form, half: 0.5, scale: 0.8, cubic: 0.044_715 };
            check_on(&*op.into_op(), -3.0, 3.0);
            check_on(&*GeluWith { half: 0.7, scale: 0.6, cubic: 0.0, ..op }.into_op(), -3.0, 3.0);
        }
    }

    #[test]
    fn with_the_usual_constants_it_is_gelu() {
        let exact =
            GeluWith { form: Gelu::Exact, half: 0.5, scale: std::f64::consts::FRAC_1_SQRT_2, cubic: 0.0 };
        let scale = (2.0 / std::f64::consts::PI).sqrt();
        let tanh = GeluWith { form: Gelu::Tanh, half: 0.5, scale, cubic: 0.044_715 };
        let (exact, tanh) = (Formed::<false>(exact), Formed::<true>(tanh));
        let (usual_exact, usual_tanh) = (gelu::Formed::<false>, gelu::Formed::<true>);
        for i in -40..40 {
            let x = f64::from(i) * 0.1;
            // Rounding of a few operations on numbers up to 4.
            assert!((exact.value(x) - usual_exact.value(x)).abs() < 2e-15);
            assert!((tanh.value(x) - usual_tanh.value(x)).abs() < 2e-15);
            assert!((tanh.derivatives(x).0 - usual_tanh.derivatives(x).0).abs() < 4e-15);
            assert!((tanh.derivatives(x).1 - usual_tanh.derivatives(x).1).abs() < 4e-15);
        }
    }
}
