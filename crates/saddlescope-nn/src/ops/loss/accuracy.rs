//! How many labels a classifier gets right.

use super::{Label, label};
use crate::scalar::Scalar;

/// Counts of a classifier's right answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accuracy {
    /// Positions whose largest entry is the label's.
    pub correct: usize,
    /// Positions with a label that is not ignored.
    pub counted: usize,
}

/// Counts the rows of `output` (logits, probabilities or log-probabilities; rows of `classes`) whose first largest
/// entry is the row's label. Ignored labels (−100) are not counted; a row with a NaN is never right.
pub fn correct<T: Scalar>(output: &[T], labels: &[T], classes: usize) -> Accuracy {
    let mut accuracy = Accuracy::default();
    if classes == 0 {
        return accuracy;
    }
    for (row, &t) in output.chunks_exact(classes).zip(labels) {
        match label(t, classes) {
            Label::Ignored => {}
            Label::Invalid => accuracy.counted += 1,
            Label::Class(class) => {
                accuracy.counted += 1;
                let x = row[class];
                let first = row[..class].iter().all(|&other| other < x);
                let largest = row[class..].iter().all(|&other| other <= x);
                accuracy.correct += usize::from(first && largest);
            }
        }
    }
    accuracy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_maximum_counts_and_nan_never_does() {
        let output = [1.0, 1.0, 0.0, f64::NAN, 2.0, 0.0, 0.0, 5.0, 5.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0];
        let labels = [0.0, 1.0, 2.0, -100.0, 9.0];
        assert_eq!(correct(&output, &labels, 3), Accuracy { correct: 1, counted: 4 });
        assert_eq!(correct(&[1.0, 2.0], &[1.0], 2), Accuracy { correct: 1, counted: 1 });
        assert_eq!(correct::<f32>(&[], &[], 0), Accuracy::default());
    }
}
