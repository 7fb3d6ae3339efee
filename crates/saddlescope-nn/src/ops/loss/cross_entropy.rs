//! Cross-entropy of logits.

use super::{Label, SampleLoss, check_labels, label, loss_op};
use crate::kernels::Isa;
use crate::kernels::loops::{LANES, largest, sum, vectorised};
use crate::op::ShapeError;
use crate::scalar::Scalar;

/// ℓ = Σ_positions (log Σᵢ exp fᵢ − f_label): softmax cross-entropy with integer labels.
///
/// Output: logits `[b, C]` or `[b, positions…, C]`, the class axis last. Target: labels `[b]` or `[b, positions…]`
/// as numbers; −100 leaves a position out, as in PyTorch's `cross_entropy`; any other number that is not a class
/// makes the sample's loss NaN. ONNX: `SoftmaxCrossEntropyLoss` before its reduction.
///
/// Small losses keep their relative accuracy: the largest logit is taken out of the sum (log1p), and so is the label
/// out of the gradient's entry p_label − 1 = −Σ_{i ≠ label} pᵢ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrossEntropy;

vectorised! {
    /// First index of the largest entry; 0 if there is a NaN.
    fn find_largest['a, T](f: &'a [T], at: &'a mut usize) {
        let top = largest(f);
        *at = f.iter().position(|&x| x == top).unwrap_or(0);
    }
}

fn argmax<T: Scalar>(f: &[T]) -> usize {
    let mut at = 0;
    find_largest(Isa::detect(), f, &mut at);
    at
}

vectorised! {
    /// p = softmax(f); `top` is the place of the largest entry.
    fn probabilities['a, T](f: &'a [T], top: usize, p: &'a mut [T]) {
        let largest = f[top];
        for (p, &x) in p.iter_mut().zip(f) {
            *p = (x - largest).exp();
        }
        let first = p[top];
        p[top] = T::ZERO;
        let scale = T::ONE / (first + sum([&*p], |[p]| p));
        p[top] = first;
        for p in p {
            *p *= scale;
        }
    }
}

vectorised! {
    /// Σ exp(fᵢ − f_top) over i ≠ top.
    fn sum_of_others['a, T](f: &'a [T], top: usize, out: &'a mut T) {
        let mut lanes = [T::ZERO; LANES];
        for (i, chunk) in f.chunks(LANES).enumerate() {
            let mut e = [T::ZERO; LANES];
            for (e, &x) in e.iter_mut().zip(chunk) {
                *e = (x - f[top]).exp();
            }
            if i == top / LANES {
                e[top % LANES] = T::ZERO;
            }
            for (lane, e) in lanes.iter_mut().zip(e) {
                *lane += e;
            }
        }
        *out = sum([&lanes], |[x]| x);
    }
}

vectorised! {
    /// g = p − e_class, with the entry of the class as the sum of the others.
    fn difference['a, T](p: &'a [T], class: usize, g: &'a mut [T]) {
        g.copy_from_slice(p);
        g[class] = T::ZERO;
        g[class] = -sum([&*g], |[g]| g);
    }
}

vectorised! {
    /// h = (diag p − ppᵀ) v. It does not change when v is shifted; the shift by the entry of the likeliest class avoids
    /// cancellation where one probability is close to 1.
    fn covariance['a, T](p: &'a [T], v: &'a [T], shift: T, h: &'a mut [T]) {
        let mean = sum([p, v], |[p, v]| p * (v - shift));
        for ((h, &p), &v) in h.iter_mut().zip(p).zip(v) {
            *h = p * (v - shift - mean);
        }
    }
}

impl SampleLoss for CrossEntropy {
    const NAME: &'static str = "SoftmaxCrossEntropyLoss";

    fn check(&self, output: &[usize], target: &[usize]) -> Result<(), ShapeError> {
        check_labels(Self::NAME, output, target)
    }

    fn prepare<T: Scalar>(&self, f: &[T], _target: &[T], width: usize, state: &mut [T]) {
        for (f, p) in f.chunks_exact(width).zip(state.chunks_exact_mut(width)) {
            probabilities(Isa::detect(), f, argmax(f), p);
        }
    }

    fn value<T: Scalar>(&self, f: &[T], target: &[T], width: usize) -> T {
        let mut total = T::ZERO;
        for (f, &t) in f.chunks_exact(width).zip(target) {
            match label(t, width) {
                Label::Class(class) => {
                    let top = argmax(f);
                    let mut others = T::ZERO;
                    sum_of_others(Isa::detect(), f, top, &mut others);
                    total += others.ln_1p() + (f[top] - f[class]);
                }
                Label::Ignored => {}
                Label::Invalid => total = T::from_f64(f64::NAN),
            }
        }
        total
    }

    fn gradient<T: Scalar>(&self, _f: &[T], target: &[T], width: usize, state: &[T], g: &mut [T]) {
        for ((p, g), &t) in state.chunks_exact(width).zip(g.chunks_exact_mut(width)).zip(target) {
            match label(t, width) {
                Label::Class(class) => difference(Isa::detect(), p, class, g),
                Label::Ignored => g.fill(T::ZERO),
                Label::Invalid => g.fill(T::from_f64(f64::NAN)),
            }
        }
    }

    fn curvature<T: Scalar>(&self, _f: &[T], target: &[T], width: usize, state: &[T], v: &[T], h: &mut [T]) {
        let rows = state.chunks_exact(width).zip(v.chunks_exact(width));
        for (((p, v), h), &t) in rows.zip(h.chunks_exact_mut(width)).zip(target) {
            match label(t, width) {
                Label::Class(_) => covariance(Isa::detect(), p, v, v[argmax(p)], h),
                Label::Ignored => h.fill(T::ZERO),
                Label::Invalid => h.fill(T::from_f64(f64::NAN)),
            }
        }
    }
}

loss_op!(CrossEntropy);

#[cfg(test)]
mod tests {
    use super::super::SampleLoss as _;
    use super::*;
    use crate::op::OpInfo;
    use crate::testkit::OpCheck;

    #[test]
    fn derivatives_match_finite_differences() {
        OpCheck::new(&CrossEntropy, &[&[3, 5], &[3]])
            .values(1, vec![4.0, 0.0, 2.0])
            .constant(1)
            .run()
            .unwrap();
        OpCheck::new(&CrossEntropy, &[&[2, 3, 7], &[2, 3]])
            .values(1, vec![6.0, -100.0, 1.0, 0.0, 0.0, 5.0])
            .constant(1)
            .run()
            .unwrap();
    }

    #[test]
    fn equal_logits_cost_the_logarithm_of_the_number_of_classes() {
        let loss = CrossEntropy.value(&[3.0; 10], &[7.0], 10);
        assert!((loss - 10.0_f64.ln()).abs() < 1e-15);
    }

    #[test]
    fn extreme_logits_neither_overflow_nor_lose_small_losses() {
        assert_eq!(CrossEntropy.value(&[1000.0_f32, -1000.0], &[1.0], 2), 2000.0);
        // ln(1 + e⁻³⁰) = e⁻³⁰ to far more digits than f32 has.
        let loss = CrossEntropy.value(&[30.0_f32, 0.0], &[0.0], 2);
        assert!((f64::from(loss) / (-30.0_f64).exp() - 1.0).abs() < 1e-6);
        let (mut p, mut g) = ([0.0_f32; 2], [0.0_f32; 2]);
        CrossEntropy.prepare(&[30.0, 0.0], &[0.0], 2, &mut p);
        CrossEntropy.gradient(&[30.0, 0.0], &[0.0], 2, &p, &mut g);
        assert!((f64::from(g[0]) / -(-30.0_f64).exp() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn impossible_labels_give_nan_and_shapes_are_checked() {
        for bad in [2.0, -1.0, 0.5, f64::NAN, f64::INFINITY] {
            assert!(CrossEntropy.value(&[1.0, 2.0], &[bad], 2).is_nan());
        }
        assert!(CrossEntropy.infer(&[&[4, 10], &[4, 1]]).is_err());
        assert!(CrossEntropy.infer(&[&[4, 10], &[3]]).is_err());
        assert!(CrossEntropy.infer(&[&[4, 0], &[4]]).is_err());
        assert!(CrossEntropy.infer(&[&[4], &[4]]).is_err());
        assert_eq!(CrossEntropy.infer(&[&[4, 10], &[4]]).unwrap(), [4]);
    }
}
