//! Losses of networks that end in a log-softmax or in a softmax.

use super::{Label, SampleLoss, check_labels, label, loss_op};
use crate::op::ShapeError;
use crate::scalar::Scalar;

/// ℓ = −Σ_positions f_label, where f are log-probabilities (the network ends in a log-softmax).
///
/// Shapes and labels as for [`CrossEntropy`](super::CrossEntropy). ONNX: `NegativeLogLikelihoodLoss` before its
/// reduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NegativeLogLikelihood;

/// ℓ = −Σ_positions log f_label, where f are probabilities (the network ends in a softmax).
///
/// Shapes and labels as for [`CrossEntropy`](super::CrossEntropy). Where the network can be cut before its softmax,
/// [`CrossEntropy`](super::CrossEntropy) is more accurate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrossEntropyOfProbabilities;

/// Adds up `value(f_label)` over positions.
fn sum<T: Scalar>(f: &[T], target: &[T], width: usize, value: impl Fn(T) -> T) -> T {
    let mut total = T::ZERO;
    for (f, &t) in f.chunks_exact(width).zip(target) {
        match label(t, width) {
            Label::Class(class) => total += value(f[class]),
            Label::Ignored => {}
            Label::Invalid => total = T::from_f64(f64::NAN),
        }
    }
    total
}

/// Puts `value(index)` at each label and 0 elsewhere; `index` counts the elements of `out`.
fn scatter<T: Scalar>(target: &[T], width: usize, out: &mut [T], value: impl Fn(usize) -> T) {
    out.fill(T::ZERO);
    for (position, &t) in target.iter().enumerate() {
        match label(t, width) {
            Label::Class(class) => out[position * width + class] = value(position * width + class),
            Label::Ignored => {}
            Label::Invalid => out[position * width..(position + 1) * width].fill(T::from_f64(f64::NAN)),
        }
    }
}

impl SampleLoss for NegativeLogLikelihood {
    const NAME: &'static str = "NegativeLogLikelihoodLoss";

    fn check(&self, output: &[usize], target: &[usize]) -> Result<(), ShapeError> {
        check_labels(Self::NAME, output, target)
    }

    fn value<T: Scalar>(&self, f: &[T], target: &[T], width: usize) -> T {
        sum(f, target, width, |x| -x)
    }

    fn gradient<T: Scalar>(&self, _f: &[T], target: &[T], width: usize, _state: &[T], g: &mut [T]) {
        scatter(target, width, g, |_| -T::ONE);
    }

    fn curvature<T: Scalar>(
        &self,
        _f: &[T],
        target: &[T],
        width: usize,
        _state: &[T],
        _v: &[T],
        h: &mut [T],
    ) {
        scatter(target, width, h, |_| T::ZERO);
    }
}

impl SampleLoss for CrossEntropyOfProbabilities {
    const NAME: &'static str = "CrossEntropyOfProbabilities";

    fn check(&self, output: &[usize], target: &[usize]) -> Result<(), ShapeError> {
        check_labels(Self::NAME, output, target)
    }

    fn value<T: Scalar>(&self, f: &[T], target: &[T], width: usize) -> T {
        sum(f, target, width, |x| -x.ln())
    }

    fn gradient<T: Scalar>(&self, f: &[T], target: &[T], width: usize, _state: &[T], g: &mut [T]) {
        scatter(target, width, g, |i| -T::ONE / f[i]);
    }

    fn curvature<T: Scalar>(&self, f: &[T], target: &[T], width: usize, _state: &[T], v: &[T], h: &mut [T]) {
        scatter(target, width, h, |i| v[i] / (f[i] * f[i]));
    }
}

loss_op!(NegativeLogLikelihood);
loss_op!(CrossEntropyOfProbabilities);

#[cfg(test)]
mod tests {
    use super::super::{CrossEntropy, SampleLoss as _};
    use super::*;
    use crate::testkit::OpCheck;

    #[test]
    fn derivatives_match_finite_differences() {
        let labels = vec![2.0, 0.0, -100.0, 1.0];
        OpCheck::new(&NegativeLogLikelihood, &[&[2, 2, 3], &[2, 2]])
            .values(1, labels.clone())
            .constant(1)
            .run()
            .unwrap();
        OpCheck::new(&CrossEntropyOfProbabilities, &[&[2, 2, 3], &[2, 2]])
            .values(0, vec![0.2, 0.3, 0.5, 0.7, 0.2, 0.1, 0.1, 0.8, 0.1, 0.4, 0.4, 0.2])
            .values(1, labels)
            .constant(1)
            .run()
            .unwrap();
    }

    #[test]
    fn agree_with_the_cross_entropy_of_logits() {
        let logits = [0.3, -1.2, 2.0_f64];
        let total: f64 = logits.iter().map(|x| x.exp()).sum();
        let p: Vec<f64> = logits.iter().map(|x| x.exp() / total).collect();
        let log_p: Vec<f64> = p.iter().map(|p| p.ln()).collect();
        let expected = CrossEntropy.value(&logits, &[1.0], 3);
        assert!((NegativeLogLikelihood.value(&log_p, &[1.0], 3) - expected).abs() < 1e-14);
        assert!((CrossEntropyOfProbabilities.value(&p, &[1.0], 3) - expected).abs() < 1e-14);
        assert!(NegativeLogLikelihood.value(&log_p, &[3.0], 3).is_nan());
    }
}
