//! Cross-entropy of logits against probabilities.

use super::{SampleLoss, loss_op};
use crate::op::ShapeError;
use crate::scalar::Scalar;

/// ℓ = Σ_positions Σᵢ tᵢ (log Σₖ exp fₖ − fᵢ): softmax cross-entropy with a target weight for every class (one-hot rows,
/// smoothed labels), as PyTorch's `cross_entropy` with floating-point targets.
///
/// Output: logits `[b, …, C]`, the class axis last; target of the same shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoftCrossEntropy;

fn largest<T: Scalar>(f: &[T]) -> T {
    f.iter().copied().fold(T::from_f64(f64::NEG_INFINITY), T::max)
}

impl SampleLoss for SoftCrossEntropy {
    const NAME: &'static str = "SoftCrossEntropy";

    fn check(&self, output: &[usize], target: &[usize]) -> Result<(), ShapeError> {
        if output.len() > 1 && output == target && output.last() != Some(&0) {
            return Ok(());
        }
        let message = format!("output {output:?} and target {target:?} must both be [batch, …, classes]");
        Err(ShapeError::new(Self::NAME, message))
    }

    fn prepare<T: Scalar>(&self, f: &[T], _target: &[T], width: usize, state: &mut [T]) {
        for (f, p) in f.chunks_exact(width).zip(state.chunks_exact_mut(width)) {
            let top = largest(f);
            for (p, &x) in p.iter_mut().zip(f) {
                *p = (x - top).exp();
            }
            let scale = T::ONE / p.iter().copied().sum::<T>();
            for p in p {
                *p *= scale;
            }
        }
    }

    fn value<T: Scalar>(&self, f: &[T], target: &[T], width: usize) -> T {
        let mut total = T::ZERO;
        for (f, t) in f.chunks_exact(width).zip(target.chunks_exact(width)) {
            let top = largest(f);
            let log = f.iter().map(|&x| (x - top).exp()).sum::<T>().ln() + top;
            // A class of weight 0 costs nothing, even at a logit of −∞.
            for (&x, &t) in f.iter().zip(t) {
                if t != T::ZERO {
                    total += t * (log - x);
                }
            }
        }
        total
    }

    fn gradient<T: Scalar>(&self, _f: &[T], target: &[T], width: usize, state: &[T], g: &mut [T]) {
        let rows = state.chunks_exact(width).zip(target.chunks_exact(width));
        for (g, (p, t)) in g.chunks_exact_mut(width).zip(rows) {
            let weight: T = t.iter().copied().sum();
            for ((g, &p), &t) in g.iter_mut().zip(p).zip(t) {
                *g = weight * p - t;
            }
        }
    }

    fn curvature<T: Scalar>(&self, _f: &[T], target: &[T], width: usize, state: &[T], v: &[T], h: &mut [T]) {
        let rows = state.chunks_exact(width).zip(target.chunks_exact(width));
        let pairs = v.chunks_exact(width).zip(h.chunks_exact_mut(width));
        for ((p, t), (v, h)) in rows.zip(pairs) {
            let weight: T = t.iter().copied().sum();
            let mean: T = p.iter().zip(v).map(|(&p, &v)| p * v).sum();
            for ((h, &p), &v) in h.iter_mut().zip(p).zip(v) {
                *h = weight * p * (v - mean);
            }
        }
    }
}

loss_op!(SoftCrossEntropy);

#[cfg(test)]
mod tests {
    use super::super::{CrossEntropy, SampleLoss as _};
    use super::*;
    use crate::op::OpInfo;
    use crate::testkit::OpCheck;

    #[test]
    fn derivatives_match_finite_differences() {
        for shape in [&[3, 5][..], &[2, 3, 4], &[2, 1]] {
            OpCheck::new(&SoftCrossEntropy, &[shape, shape]).constant(1).run().unwrap();
        }
    }

    #[test]
    fn one_hot_targets_give_the_cross_entropy_of_their_labels() {
        let f = [0.3, -1.2, 2.0, 1.5, 0.0, -0.7];
        let soft = SoftCrossEntropy.value(&f, &[0.0, 0.0, 1.0, 0.0, 1.0, 0.0], 3);
        let hard = CrossEntropy.value(&f, &[2.0, 1.0], 3);
        assert!((soft - hard).abs() < 1e-14, "{soft} and {hard}");
        let masked = [0.0, f64::NEG_INFINITY];
        assert_eq!(SoftCrossEntropy.value(&masked, &[1.0, 0.0], 2), 0.0);
    }

    #[test]
    fn shapes_are_checked() {
        assert!(SoftCrossEntropy.infer(&[&[4, 3], &[4]]).is_err());
        assert!(SoftCrossEntropy.infer(&[&[4], &[4]]).is_err());
        assert_eq!(SoftCrossEntropy.infer(&[&[4, 3], &[4, 3]]).unwrap(), [4]);
    }
}
