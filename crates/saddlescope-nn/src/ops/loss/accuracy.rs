//! Whether a classifier is right.

use crate::scalar::Scalar;

/// Whether `row` (logits, probabilities or log-probabilities of one position) predicts `class`: its first largest entry
/// is the class's. A single entry is the logit of class 1 against class 0. A row with a NaN is never right.
pub fn is_right<T: Scalar>(row: &[T], class: usize) -> bool {
    let Some(&x) = row.get(if row.len() == 1 { 0 } else { class }) else { return false };
    if row.len() == 1 {
        return if class == 1 { x > T::ZERO } else { class == 0 && x <= T::ZERO };
    }
    row[..class].iter().all(|&other| other < x) && row[class..].iter().all(|&other| other <= x)
}

#[cfg(test)]
mod tests {
    use super::is_right;

    #[test]
    fn the_first_maximum_counts_and_nan_never_does() {
        assert!(is_right(&[1.0, 1.0, 0.0], 0));
        assert!(!is_right(&[1.0, 1.0, 0.0], 1), "of equals the first counts");
        assert!(!is_right(&[f64::NAN, 2.0, 0.0], 1));
        assert!(!is_right(&[f64::NAN, 2.0, 0.0], 0));
        assert!(is_right(&[f32::NEG_INFINITY, f32::INFINITY], 1));
        assert!(!is_right(&[1.0, 2.0], 9), "a class that the network does not have");
        assert!(!is_right::<f32>(&[], 0));
    }

    #[test]
    fn one_logit_decides_between_two_classes() {
        assert!(is_right(&[0.5], 1) && !is_right(&[0.5], 0));
        assert!(is_right(&[-0.5], 0) && !is_right(&[-0.5], 1));
        assert!(!is_right(&[f64::NAN], 0) && !is_right(&[f64::NAN], 1));
    }
}
