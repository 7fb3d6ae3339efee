//! Smooth activation functions.

use super::unary::unary_function;
use crate::scalar::Scalar;

/// 1 / (1 + e⁻ˣ).
#[inline(always)]
fn logistic<T: Scalar>(x: T) -> T {
    T::ONE / (T::ONE + (-x).exp())
}

/// ln(1 + eˣ) without overflow.
#[inline(always)]
fn softplus<T: Scalar>(x: T) -> T {
    x.max(T::ZERO) + (-x.abs()).exp().ln_1p()
}

unary_function! {
    /// y = σ(x) = 1 / (1 + e⁻ˣ) (ONNX `Sigmoid`).
    Sigmoid, "Sigmoid", |x| logistic(x),
    from_output |y| {
        let rest = T::ONE - y;
        (y * rest, rest - y)
    },
    curved: true, flops: 4
}
unary_function! {
    /// y = tanh x (ONNX `Tanh`).
    Tanh, "Tanh", |x| x.tanh(),
    from_output |y| (T::ONE - y * y, -(y + y)),
    curved: true, flops: 4
}
unary_function! {
    /// y = ln(1 + eˣ) (ONNX `Softplus`, PyTorch `softplus` with β = 1). PyTorch returns x itself above its threshold
    /// of 20, which differs by at most e⁻²⁰ ≈ 2 · 10⁻⁹.
    Softplus, "Softplus", |x| softplus(x),
    from_input |x| {
        let s = logistic(x);
        (s, s * logistic(-x))
    },
    curved: true, flops: 5
}
unary_function! {
    /// y = x σ(x), also called swish (PyTorch `silu`; ONNX `Mul` of x and `Sigmoid`, or `Swish`).
    Silu, "Swish", |x| x * logistic(x),
    from_input |x| {
        let s = logistic(x);
        let rest = logistic(-x);
        let two = T::from_f64(2.0);
        (s * (T::ONE + x * rest), s * rest * (two + x * (rest - s)))
    },
    curved: true, flops: 5
}
unary_function! {
    /// y = x tanh(ln(1 + eˣ)) (ONNX `Mish`).
    Mish, "Mish", |x| x * softplus(x).tanh(),
    from_input |x| {
        let two = T::from_f64(2.0);
        let t = softplus(x).tanh();
        let (s, rest) = (logistic(x), logistic(-x));
        let slope = (T::ONE - t * t) * s;
        (t + x * slope, slope * (two + x * (rest - two * t * s)))
    },
    curved: true, flops: 9
}
unary_function! {
    /// y = x / (1 + |x|) (ONNX `Softsign`).
    Softsign, "Softsign", |x| x / (T::ONE + x.abs()),
    from_input |x| {
        let r = T::ONE / (T::ONE + x.abs());
        let two = T::from_f64(if x < T::ZERO { 2.0 } else { -2.0 });
        (r * r, if x == T::ZERO { T::ZERO } else { two * r * r * r })
    },
    curved: true, flops: 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::AnyOp;
    use crate::ops::unary::Unary;
    use crate::ops::unary::tests::check_on;

    #[test]
    fn derivatives_match_finite_differences() {
        for op in [&Sigmoid as &dyn AnyOp, &Tanh, &Softplus, &Silu, &Mish, &Softsign] {
            // Not symmetric, because Softsign″ has a jump at 0.
            check_on(op, -3.0, 3.01);
        }
    }

    #[test]
    fn extreme_inputs_stay_finite() {
        for x in [-1e4_f32, -90.0, 90.0, 1e4] {
            for value in [
                Sigmoid.value(x),
                Softplus.value(x),
                Silu.value(x),
                Mish.value(x),
                Silu.derivatives(x).0,
                Silu.derivatives(x).1,
                Mish.derivatives(x).1,
                Softplus.derivatives(x).1,
            ] {
                assert!(value.is_finite(), "{value} at {x}");
            }
        }
    }

    #[test]
    fn values_are_known_ones() {
        // σ(0) = ½, softplus(0) = ln 2. The tolerance is the rounding of a few operations.
        assert_eq!(Sigmoid.value(0.0), 0.5);
        assert!((Softplus.value(0.0_f64) - std::f64::consts::LN_2).abs() < 1e-15);
    }
}
