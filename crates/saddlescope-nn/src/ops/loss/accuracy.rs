//! Whether a classifier is right.

use crate::scalar::Scalar;

/// Whether `row` (logits, probabilities or log-probabilities of one position) predicts `class`: its first largest entry
/// is the class's. A single entry is the logit of class 1 against class 0. A row with a NaN is never right.
fn is_right<T: Scalar>(row: &[T], class: usize) -> bool {
    let Some(&x) = row.get(if row.len() == 1 { 0 } else { class }) else { return false };
    if row.len() == 1 {
        return if class == 1 { x > T::ZERO } else { class == 0 && x <= T::ZERO };
    }
    row[..class].iter().all(|&other| other < x) && row[class..].iter().all(|&other| other <= x)
}

/// How many of `labels` (negative ones are ignored) their row of `outputs` predicts, and how many were counted; there are
/// `positions` labels, one a row.
pub(crate) fn count_right<'l, T: Scalar>(
    outputs: &[T],
    positions: usize,
    labels: impl Iterator<Item = &'l i64>,
) -> (u64, u64) {
    let classes = (outputs.len() / positions.max(1)).max(1);
    let (mut right, mut counted) = (0, 0);
    for (row, &label) in outputs.chunks_exact(classes).zip(labels) {
        if let Ok(label) = usize::try_from(label) {
            counted += 1;
            right += u64::from(is_right(row, label));
        }
    }
    (right, counted)
}

#[cfg(test)]
mod tests {
    use super::{count_right, is_right};

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
    fn negative_labels_do_not_count() {
        let outputs = [0.0, 1.0, 1.0, 0.0, 0.0, 1.0];
        assert_eq!(count_right(&outputs, 3, [1, 1, -100].iter()), (1, 2));
        assert_eq!(count_right::<f64>(&[], 0, [].iter()), (0, 0));
    }

    #[test]
    fn one_logit_decides_between_two_classes() {
        assert!(is_right(&[0.5], 1) && !is_right(&[0.5], 0));
        assert!(is_right(&[-0.5], 0) && !is_right(&[-0.5], 1));
        assert!(!is_right(&[f64::NAN], 0) && !is_right(&[f64::NAN], 1));
    }
}
