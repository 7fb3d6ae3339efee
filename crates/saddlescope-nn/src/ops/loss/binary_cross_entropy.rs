//! Binary cross-entropy of logits.

use super::{SampleLoss, check_same, loss_op};
use crate::op::ShapeError;
use crate::scalar::Scalar;

/// ℓ = Σₖ (log(1 + exp fₖ) − yₖ fₖ), computed as max(f, 0) − y f + log1p(exp(−|f|)), with targets y from 0 to 1.
///
/// Output and target have the same shape `[b, …]`. PyTorch's `binary_cross_entropy_with_logits`, summed over the
/// components of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BinaryCrossEntropyWithLogits;

/// σ(x) = 1 / (1 + exp(−x)), to full relative accuracy on both sides.
fn sigmoid<T: Scalar>(x: T) -> T {
    if x >= T::ZERO {
        T::ONE / (T::ONE + (-x).exp())
    } else {
        let e = x.exp();
        e / (T::ONE + e)
    }
}

impl SampleLoss for BinaryCrossEntropyWithLogits {
    const NAME: &'static str = "BinaryCrossEntropyWithLogits";

    fn check(&self, output: &[usize], target: &[usize]) -> Result<(), ShapeError> {
        check_same(Self::NAME, output, target)
    }

    fn value<T: Scalar>(&self, f: &[T], target: &[T], _width: usize) -> T {
        f.iter().zip(target).map(|(&f, &y)| f.max(T::ZERO) - y * f + (-f.abs()).exp().ln_1p()).sum()
    }

    fn gradient<T: Scalar>(&self, f: &[T], target: &[T], _width: usize, _state: &[T], g: &mut [T]) {
        for ((g, &f), &y) in g.iter_mut().zip(f).zip(target) {
            // σ(f) − y = −σ(−f) + (1 − y): the second form does not cancel for y = 1.
            *g = if f > T::ZERO { (T::ONE - y) - sigmoid(-f) } else { sigmoid(f) - y };
        }
    }

    fn curvature<T: Scalar>(
        &self,
        f: &[T],
        _target: &[T],
        _width: usize,
        _state: &[T],
        v: &[T],
        h: &mut [T],
    ) {
        for ((h, &f), &v) in h.iter_mut().zip(f).zip(v) {
            *h = sigmoid(f) * sigmoid(-f) * v;
        }
    }
}

loss_op!(BinaryCrossEntropyWithLogits);

#[cfg(test)]
mod tests {
    use super::super::SampleLoss as _;
    use super::*;
    use crate::testkit::OpCheck;

    #[test]
    fn derivatives_match_finite_differences() {
        let targets = vec![0.0, 1.0, 0.25, 1.0, 0.0, 0.9];
        OpCheck::new(&BinaryCrossEntropyWithLogits, &[&[2, 3], &[2, 3]])
            .values(1, targets)
            .constant(1)
            .run()
            .unwrap();
        OpCheck::new(&BinaryCrossEntropyWithLogits, &[&[3, 1], &[3]])
            .values(1, vec![0.0, 1.0, 1.0])
            .constant(1)
            .run()
            .unwrap();
    }

    #[test]
    fn is_stable_far_out() {
        let loss = BinaryCrossEntropyWithLogits;
        assert_eq!(loss.value(&[1000.0_f32], &[1.0], 1), 0.0);
        assert_eq!(loss.value(&[-1000.0_f32], &[1.0], 1), 1000.0);
        assert!((loss.value(&[0.0_f64], &[0.3], 1) - 2.0_f64.ln()).abs() < 1e-15);
        let mut g = [0.0_f32];
        loss.gradient(&[30.0_f32], &[1.0], 1, &[], &mut g);
        assert!((f64::from(g[0]) / -(-30.0_f64).exp() - 1.0).abs() < 1e-6);
    }
}
