//! Activation functions with a kink or a corner, and clipping. Each says which derivative it has there.

use super::unary::{Unary, unary_function, unary_op};
use crate::scalar::Scalar;

/// A function with parameters as an operation; see `unary_function` for the parts.
macro_rules! kinked {
    ($op:ident, $name:literal, |$s:ident, $x:ident| $value:expr, |$t:ident, $at:ident| $derivatives:expr,
     curved: $curved:literal, flops: $flops:literal) => {
        impl Unary for $op {
            const FROM_OUTPUT: bool = false;
            const CURVED: bool = $curved;

            #[inline(always)]
            fn value<T: Scalar>(&self, $x: T) -> T {
                let $s = self;
                $value
            }

            #[inline(always)]
            fn derivatives<T: Scalar>(&self, $at: T) -> (T, T) {
                let $t = self;
                $derivatives
            }
        }

        unary_op!($op, $name, $flops);
    };
}

/// y = x where x > 0, else αx; the derivative at 0 is α (ONNX `LeakyRelu`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeakyRelu {
    alpha: f64,
}

impl LeakyRelu {
    /// With slope `alpha` for negative inputs; PyTorch and ONNX use 0.01 if nothing is said.
    pub fn new(alpha: f64) -> Self {
        Self { alpha }
    }
}

kinked!(
    LeakyRelu,
    "LeakyRelu",
    |s, x| if x > T::ZERO { x } else { T::from_f64(s.alpha) * x },
    |s, x| (if x > T::ZERO { T::ONE } else { T::from_f64(s.alpha) }, T::ZERO),
    curved: false, flops: 1
);

/// y = x where x > α, else 0; the derivative at α is 0 (ONNX `ThresholdedRelu`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ThresholdedRelu {
    alpha: f64,
}

impl ThresholdedRelu {
    /// With threshold `alpha`; ONNX uses 1 if nothing is said.
    pub fn new(alpha: f64) -> Self {
        Self { alpha }
    }
}

kinked!(
    ThresholdedRelu,
    "ThresholdedRelu",
    |s, x| if x <= T::from_f64(s.alpha) { T::ZERO } else { x },
    |s, x| (if x > T::from_f64(s.alpha) { T::ONE } else { T::ZERO }, T::ZERO),
    curved: false, flops: 1
);

/// Scaled exponential linear unit: y = γx where x > 0, else γα(e^(x/τ) − 1). The derivatives at 0 are those of the
/// exponential branch, as in PyTorch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Elu {
    name: &'static str,
    alpha: f64,
    gamma: f64,
    tau: f64,
}

impl Elu {
    /// y = x where x > 0, else α(eˣ − 1) (ONNX `Elu`; α = 1 if nothing is said).
    pub fn new(alpha: f64) -> Self {
        Self { name: "Elu", alpha, gamma: 1.0, tau: 1.0 }
    }

    /// y = γx where x > 0, else γα(eˣ − 1) (ONNX `Selu`).
    pub fn selu(alpha: f64, gamma: f64) -> Self {
        Self { name: "Selu", alpha, gamma, tau: 1.0 }
    }

    /// `selu` with the constants of Klambauer et al. 2017, the ones of PyTorch and ONNX.
    pub fn selu_default() -> Self {
        Self::selu(1.673_263_242_354_377_2, 1.050_700_987_355_480_5)
    }

    /// y = x where x > 0, else α(e^(x/α) − 1) (ONNX `Celu`; α = 1 if nothing is said).
    pub fn celu(alpha: f64) -> Self {
        Self { name: "Celu", alpha, gamma: 1.0, tau: alpha }
    }
}

impl Unary for Elu {
    const FROM_OUTPUT: bool = false;
    const CURVED: bool = true;

    #[inline(always)]
    fn value<T: Scalar>(&self, x: T) -> T {
        if x > T::ZERO {
            T::from_f64(self.gamma) * x
        } else {
            T::from_f64(self.gamma * self.alpha) * (x / T::from_f64(self.tau)).exp_m1()
        }
    }

    #[inline(always)]
    fn derivatives<T: Scalar>(&self, x: T) -> (T, T) {
        if x > T::ZERO {
            (T::from_f64(self.gamma), T::ZERO)
        } else {
            let first = T::from_f64(self.gamma * self.alpha / self.tau) * (x / T::from_f64(self.tau)).exp();
            (first, first / T::from_f64(self.tau))
        }
    }
}

unary_op!(Elu, |elu| elu.name, 4);

/// y = min(max(αx + β, 0), 1); the derivative at both corners is 0 (ONNX `HardSigmoid`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HardSigmoid {
    alpha: f64,
    beta: f64,
}

impl HardSigmoid {
    /// PyTorch: α = 1/6, β = 1/2. ONNX, if nothing is said: α = 0.2, β = 0.5.
    pub fn new(alpha: f64, beta: f64) -> Self {
        Self { alpha, beta }
    }
}

kinked!(
    HardSigmoid,
    "HardSigmoid",
    |s, x| (T::from_f64(s.alpha) * x + T::from_f64(s.beta)).max(T::ZERO).min(T::ONE),
    |s, x| {
        let y = T::from_f64(s.alpha) * x + T::from_f64(s.beta);
        (if y > T::ZERO && y < T::ONE { T::from_f64(s.alpha) } else { T::ZERO }, T::ZERO)
    },
    curved: false, flops: 4
);

unary_function! {
    /// y = x min(max(x/6 + 1/2, 0), 1); the derivative is 0 at −3 and 1 at 3 (ONNX `HardSwish`).
    HardSwish, "HardSwish",
    |x| x * (x * T::from_f64(1.0 / 6.0) + T::from_f64(0.5)).max(T::ZERO).min(T::ONE),
    from_input |x| {
        let three = T::from_f64(3.0);
        if x <= -three {
            (T::ZERO, T::ZERO)
        } else if x < three {
            (x * T::from_f64(1.0 / 3.0) + T::from_f64(0.5), T::from_f64(1.0 / 3.0))
        } else {
            (T::ONE, T::ZERO)
        }
    },
    curved: true, flops: 5
}

/// y = min(max(x, low), high) (ONNX `Clip` with constant bounds).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clip {
    low: f64,
    high: f64,
    open: bool,
}

impl Clip {
    /// Clipping whose derivative at both bounds is 1, as that of PyTorch's `clamp`. Infinite bounds are none.
    pub fn new(low: f64, high: f64) -> Self {
        Self { low, high, open: false }
    }

    /// Clipping whose derivative at both bounds is 0, as that of PyTorch's `hardtanh` and `relu6`.
    pub fn hardtanh(low: f64, high: f64) -> Self {
        Self { low, high, open: true }
    }
}

kinked!(
    Clip,
    "Clip",
    |s, x| x.max(T::from_f64(s.low)).min(T::from_f64(s.high)),
    |s, x| {
        let (low, high) = (T::from_f64(s.low), T::from_f64(s.high));
        let inside = if s.open { low < x && x < high } else { low <= x && x <= high };
        (if inside { T::ONE } else { T::ZERO }, T::ZERO)
    },
    curved: false, flops: 2
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{AnyOp, OpInfo};
    use crate::ops::unary::tests::check_on;

    #[test]
    fn derivatives_match_finite_differences() {
        for op in [
            &LeakyRelu::new(0.1) as &dyn AnyOp,
            &ThresholdedRelu::new(0.7),
            &Elu::new(1.3),
            &Elu::selu_default(),
            &Elu::celu(0.7),
            &HardSigmoid::new(0.2, 0.5),
            &HardSwish,
            &Clip::new(-1.5, 2.0),
            &Clip::hardtanh(0.0, 6.0),
        ] {
            // The interval's ends are chosen so that no test point lies within the difference step of a kink.
            check_on(op, -4.003, 4.071);
        }
    }

    #[test]
    fn derivatives_at_kinks_are_pytorchs() {
        assert_eq!(LeakyRelu::new(0.25).derivatives(0.0).0, 0.25);
        assert_eq!(ThresholdedRelu::new(1.0).derivatives(1.0).0, 0.0);
        assert_eq!(Elu::new(0.5).derivatives(0.0), (0.5, 0.5));
        assert_eq!(HardSigmoid::new(0.5, 0.5).derivatives(1.0).0, 0.0);
        assert_eq!(HardSwish.derivatives(-3.0).0, 0.0);
        assert_eq!(HardSwish.derivatives(3.0).0, 1.0);
        assert_eq!(Clip::new(0.0, 6.0).derivatives(0.0).0, 1.0);
        assert_eq!(Clip::hardtanh(0.0, 6.0).derivatives(6.0).0, 0.0);
    }

    #[test]
    fn nan_stays_nan() {
        assert!(LeakyRelu::new(0.1).value(f64::NAN).is_nan());
        assert!(ThresholdedRelu::new(1.0).value(f64::NAN).is_nan());
        assert!(Clip::new(0.0, 1.0).value(f64::NAN).is_nan());
        assert!(HardSwish.value(f64::NAN).is_nan());
        assert_eq!(Elu::celu(1.0).name(), "Celu");
    }
}
