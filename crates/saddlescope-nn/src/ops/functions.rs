//! Elementary functions, elementwise.

use super::unary::{Unary, unary_function, unary_op};
use crate::scalar::Scalar;

/// A function that the number types lack, by way of double precision.
#[inline(always)]
fn wide<T: Scalar>(x: T, f: impl Fn(f64) -> f64) -> T {
    T::from_f64(f(x.to_f64()))
}

unary_function! {
    /// y = eˣ (ONNX `Exp`).
    Exp, "Exp", |x| x.exp(), from_output |y| (y, T::ONE), curved: true, flops: 1
}
unary_function! {
    /// y = ln x; NaN below 0 (ONNX `Log`).
    Log, "Log", |x| x.ln(),
    from_input |x| {
        let r = T::ONE / x;
        (r, -r * r)
    },
    curved: true, flops: 1
}
unary_function! {
    /// y = √x; NaN below 0, derivative ∞ at 0 (ONNX `Sqrt`).
    Sqrt, "Sqrt", |x| x.sqrt(),
    from_output |y| {
        let half = T::from_f64(0.5);
        (half / y, -half / (y * y))
    },
    curved: true, flops: 1
}
unary_function! {
    /// y = 1 / x (ONNX `Reciprocal`).
    Reciprocal, "Reciprocal", |x| T::ONE / x,
    from_output |y| (-y * y, -(y + y)),
    curved: true, flops: 1
}
unary_function! {
    /// y = −x (ONNX `Neg`).
    Neg, "Neg", |x| -x, from_output |_y| (-T::ONE, T::ZERO), curved: false, flops: 1
}
unary_function! {
    /// y = |x|, with derivative 0 at 0 (ONNX `Abs`).
    Abs, "Abs", |x| x.abs(),
    from_input |x| {
        let sign = if x > T::ZERO { T::ONE } else if x < T::ZERO { -T::ONE } else { T::ZERO };
        (sign, T::ZERO)
    },
    curved: false, flops: 1
}
unary_function! {
    /// y = x² (ONNX `Pow` with exponent 2, or `Mul` of x with itself).
    Square, "Square", |x| x * x,
    from_input |x| (x + x, T::from_f64(2.0)),
    curved: true, flops: 1
}
unary_function! {
    /// y = erf x = (2/√π) ∫₀ˣ exp(−t²) dt (ONNX `Erf`).
    Erf, "Erf", |x| x.erf(),
    from_input |x| {
        let slope = T::from_f64(std::f64::consts::FRAC_2_SQRT_PI) * (-x * x).exp();
        (slope, -(x + x) * slope)
    },
    curved: true, flops: 1
}
unary_function! {
    /// y = sin x (ONNX `Sin`).
    Sin, "Sin", |x| x.sin(), from_input |x| (x.cos(), -x.sin()), curved: true, flops: 1
}
unary_function! {
    /// y = cos x (ONNX `Cos`).
    Cos, "Cos", |x| x.cos(), from_input |x| (-x.sin(), -x.cos()), curved: true, flops: 1
}
unary_function! {
    /// y = tan x (ONNX `Tan`).
    Tan, "Tan", |x| wide(x, f64::tan),
    from_output |y| (T::ONE + y * y, y + y),
    curved: true, flops: 1
}
unary_function! {
    /// y = sinh x (ONNX `Sinh`).
    Sinh, "Sinh", |x| wide(x, f64::sinh),
    from_input |x| (wide(x, f64::cosh), wide(x, f64::sinh)),
    curved: true, flops: 1
}
unary_function! {
    /// y = cosh x (ONNX `Cosh`).
    Cosh, "Cosh", |x| wide(x, f64::cosh),
    from_input |x| (wide(x, f64::sinh), wide(x, f64::cosh)),
    curved: true, flops: 1
}
unary_function! {
    /// y = arcsin x; NaN outside [−1, 1] (ONNX `Asin`).
    Asin, "Asin", |x| wide(x, f64::asin),
    from_input |x| {
        let r = T::ONE / (T::ONE - x * x);
        (r.sqrt(), x * r * r.sqrt())
    },
    curved: true, flops: 1
}
unary_function! {
    /// y = arccos x; NaN outside [−1, 1] (ONNX `Acos`).
    Acos, "Acos", |x| wide(x, f64::acos),
    from_input |x| {
        let r = T::ONE / (T::ONE - x * x);
        (-r.sqrt(), -x * r * r.sqrt())
    },
    curved: true, flops: 1
}
unary_function! {
    /// y = arctan x (ONNX `Atan`).
    Atan, "Atan", |x| wide(x, f64::atan),
    from_input |x| {
        let r = T::ONE / (T::ONE + x * x);
        (r, -(x + x) * r * r)
    },
    curved: true, flops: 1
}
unary_function! {
    /// y = arsinh x (ONNX `Asinh`).
    Asinh, "Asinh", |x| wide(x, f64::asinh),
    from_input |x| {
        let r = T::ONE / (T::ONE + x * x);
        (r.sqrt(), -x * r * r.sqrt())
    },
    curved: true, flops: 1
}
unary_function! {
    /// y = arcosh x; NaN below 1 (ONNX `Acosh`).
    Acosh, "Acosh", |x| wide(x, f64::acosh),
    from_input |x| {
        let r = T::ONE / (x * x - T::ONE);
        (r.sqrt(), -x * r * r.sqrt())
    },
    curved: true, flops: 1
}
unary_function! {
    /// y = artanh x; NaN outside [−1, 1] (ONNX `Atanh`).
    Atanh, "Atanh", |x| wide(x, f64::atanh),
    from_input |x| {
        let r = T::ONE / (T::ONE - x * x);
        (r, (x + x) * r * r)
    },
    curved: true, flops: 1
}

/// y = xᵖ for a constant exponent p (ONNX `Pow` with a constant second input of one element).
///
/// A derivative whose factor p or p(p − 1) is 0 is 0 even where the power is infinite, as in PyTorch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PowConst {
    exponent: f64,
}

impl PowConst {
    /// The function x ↦ x^`exponent`.
    pub fn new(exponent: f64) -> Self {
        Self { exponent }
    }
}

/// xᵖ, by multiplications where that is exact enough and cheaper.
#[inline(always)]
fn power<T: Scalar>(x: T, p: f64) -> T {
    if p == 0.0 {
        T::ONE
    } else if p == 1.0 {
        x
    } else if p == 2.0 {
        x * x
    } else if p == 3.0 {
        x * x * x
    } else if p == 0.5 {
        x.sqrt()
    } else if p == -1.0 {
        T::ONE / x
    } else {
        x.powf(T::from_f64(p))
    }
}

impl Unary for PowConst {
    const FROM_OUTPUT: bool = false;
    const CURVED: bool = true;

    #[inline(always)]
    fn value<T: Scalar>(&self, x: T) -> T {
        power(x, self.exponent)
    }

    #[inline(always)]
    fn derivatives<T: Scalar>(&self, x: T) -> (T, T) {
        let p = self.exponent;
        let scaled = |factor: f64, exponent: f64| {
            if factor == 0.0 { T::ZERO } else { T::from_f64(factor) * power(x, exponent) }
        };
        (scaled(p, p - 1.0), scaled(p * (p - 1.0), p - 2.0))
    }
}

unary_op!(PowConst, "Pow", 1, exponent: |op| op.exponent);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::AnyOp;
    use crate::ops::unary::tests::check_on;

    #[test]
    fn derivatives_match_finite_differences() {
        for op in [&Exp as &dyn AnyOp, &Neg, &Abs, &Square, &Erf, &Sin, &Cos, &Sinh, &Cosh, &Atan, &Asinh] {
            check_on(op, -2.0, 2.01);
        }
        for op in [&Log as &dyn AnyOp, &Sqrt, &Reciprocal, &PowConst::new(1.7), &PowConst::new(-0.5)] {
            check_on(op, 0.5, 3.0);
        }
        for p in [0.0, 1.0, 2.0, 3.0, 4.0] {
            check_on(&PowConst::new(p), -2.0, 2.0);
        }
        for op in [&Reciprocal as &dyn AnyOp, &PowConst::new(-1.0), &PowConst::new(-2.0)] {
            check_on(op, -3.0, -0.5);
        }
        for op in [&Tan as &dyn AnyOp, &Asin, &Acos, &Atanh] {
            check_on(op, -0.8, 0.8);
        }
        check_on(&Acosh, 1.3, 3.0);
    }

    #[test]
    fn powers_at_zero_have_pytorchs_derivatives() {
        assert_eq!(PowConst::new(2.0).derivatives(0.0), (0.0, 2.0));
        assert_eq!(PowConst::new(1.0).derivatives(0.0), (1.0, 0.0));
        assert_eq!(PowConst::new(0.0).derivatives(0.0), (0.0, 0.0));
        assert_eq!(Abs.derivatives(0.0).0, 0.0);
    }
}
