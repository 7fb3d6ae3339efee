//! Errors over samples: how much a loss, and its difference from the loss at another point, would change with other samples
//! from the same source.
//!
//! The loss is a weighted mean L = Σ wᵢ ℓᵢ / W of independent parts of the data (samples, or chunks of them), W = Σ wᵢ. Its
//! standard error follows from the spread of the parts,
//!
//! ```text
//! s² = Σ wᵢ² (ℓᵢ − L)² / (W² − Σ wᵢ²),
//! ```
//!
//! which is exactly unbiased where parts are means of wᵢ independent samples of one variance (chunks of unequal size), holds to
//! first order in 1/n whatever the variances of the parts are (sequences whose positions depend on each other), and is the usual
//! s²/n for equal weights. The difference of two losses on the same samples is the mean of the differences part by part: what the
//! parts have in common cancels, so that its error is far below those of the losses themselves.

use crate::risk::Evaluation;
use saddlescope_figure::floats;
use serde::{Deserialize, Serialize};

/// Standard errors over samples of the losses at some points.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PointErrors {
    /// Standard error of the loss at each point; NaN where it is not known.
    #[serde(with = "floats")]
    pub loss: Vec<f64>,
    /// Standard error of the difference of the loss at each point from the loss at θ, on the same samples; NaN where it is not
    /// known, 0 at θ itself.
    #[serde(with = "floats")]
    pub difference: Vec<f64>,
}

impl PointErrors {
    /// Appends the errors of more points.
    pub fn extend(&mut self, more: &PointErrors) {
        self.loss.extend_from_slice(&more.loss);
        self.difference.extend_from_slice(&more.difference);
    }
}

/// A difference counts as significant from this many of its standard errors on.
pub const SIGNIFICANT: f64 = 2.0;

/// The difference of a loss from the loss at θ on the same samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossDifference {
    /// L − L(θ): negative where the loss is lower.
    #[serde(with = "floats::scalar")]
    pub value: f64,
    /// Its standard error over the samples; `None` where it is not known (one sample, or a loss without parts).
    #[serde(default, with = "floats::known")]
    pub std_error: Option<f64>,
}

impl LossDifference {
    /// Whether it is at least [`SIGNIFICANT`] standard errors from zero; `None` where the error is not known.
    pub fn significant(&self) -> Option<bool> {
        self.std_error.map(|error| self.value.abs() >= SIGNIFICANT * error && self.value != 0.0)
    }
}

/// Standard error of a weighted mean of independent values (see above); `None` for fewer than two, or where a value is not finite.
pub fn mean_std_error(values: impl Iterator<Item = f64> + Clone, weights: &[usize]) -> Option<f64> {
    if weights.len() < 2 || values.clone().count() != weights.len() {
        return None;
    }
    let weights = || weights.iter().map(|&w| w as f64);
    let total: f64 = weights().sum();
    let squares: f64 = weights().map(|w| w * w).sum();
    let mean = values.clone().zip(weights()).map(|(v, w)| v * w).sum::<f64>() / total;
    let spread: f64 = values.zip(weights()).map(|(v, w)| (w * (v - mean)).powi(2)).sum();
    let free = total * total - squares;
    (free > 0.0).then(|| (spread / free).sqrt()).filter(|error| !error.is_nan())
}

/// Whether an evaluation has the parts that errors follow from: at least two.
pub(crate) fn has_parts(evaluation: &Evaluation) -> bool {
    evaluation.chunk_losses.len() >= 2 && evaluation.chunk_losses.len() == evaluation.chunk_samples.len()
}

/// Standard error of a loss over its samples; `None` where it is not known.
pub fn loss_std_error(evaluation: &Evaluation) -> Option<f64> {
    mean_std_error(evaluation.chunk_losses.iter().copied(), &evaluation.chunk_samples)
}

/// The difference of two losses on the same samples, `there` − `here`. The error is known where both have the same parts.
pub fn paired_difference(here: &Evaluation, there: &Evaluation) -> LossDifference {
    let same =
        here.chunk_samples == there.chunk_samples && here.chunk_losses.len() == there.chunk_losses.len();
    let parts = there.chunk_losses.iter().zip(&here.chunk_losses).map(|(there, here)| there - here);
    let std_error = if same { mean_std_error(parts, &here.chunk_samples) } else { None };
    LossDifference { value: there.loss - here.loss, std_error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use saddlescope_krylov::Stream;

    fn of(losses: &[f64], weights: &[usize]) -> Evaluation {
        let total: f64 = weights.iter().map(|&w| w as f64).sum();
        let loss = losses.iter().zip(weights).map(|(l, &w)| l * w as f64).sum::<f64>() / total;
        Evaluation { loss, correct: None, chunk_losses: losses.to_vec(), chunk_samples: weights.to_vec() }
    }

    #[test]
    fn equal_weights_give_the_usual_standard_error() {
        // Mean of 1, 2, 3, 4: s² = 5/3, standard error √(5/12).
        let found = loss_std_error(&of(&[1.0, 2.0, 3.0, 4.0], &[5, 5, 5, 5])).unwrap();
        assert!((found - (5.0_f64 / 12.0).sqrt()).abs() < 1e-15);
        assert_eq!(loss_std_error(&of(&[1.0], &[5])), None);
        assert_eq!(loss_std_error(&Evaluation::of_loss(1.0)), None);
        assert_eq!(loss_std_error(&of(&[1.0, f64::NAN], &[1, 1])), None);
        assert_eq!(loss_std_error(&of(&[1.0, f64::INFINITY], &[1, 1])), None);
    }

    #[test]
    fn what_samples_have_in_common_cancels() {
        let here = of(&[1.0, 5.0, 9.0], &[1, 1, 1]);
        let there = of(&[0.5, 4.5, 8.5], &[1, 1, 1]);
        let d = paired_difference(&here, &there);
        assert_eq!((d.value, d.std_error, d.significant()), (-0.5, Some(0.0), Some(true)));
        let none = paired_difference(&here, &here);
        assert_eq!((none.value, none.std_error, none.significant()), (0.0, Some(0.0), Some(false)));
        let other = of(&[0.5, 4.5, 8.5], &[1, 2, 1]);
        assert_eq!(paired_difference(&here, &other).std_error, None);
    }

    #[test]
    fn the_estimate_is_unbiased_for_chunks_of_unequal_size() {
        // 13 normal numbers in chunks of 1, 2, 3 and 7: the mean's variance is 1/13. Over 20,000 sets of data the mean of s² has a
        // relative standard error of about √(2/3 / 20,000) = 0.6 %; the formula for weights inverse to variances would do as
        // well here, that for equal weights is off by half.
        let sizes = [1_usize, 2, 3, 7];
        let mut stream = Stream::new(3, "unequal", 0);
        let (mut sum, count) = (0.0, 20_000);
        for _ in 0..count {
            let chunks: Vec<f64> = sizes
                .iter()
                .map(|&n| {
                    let mut x = vec![0.0; n];
                    stream.fill_normal(&mut x);
                    x.iter().sum::<f64>() / n as f64
                })
                .collect();
            sum += mean_std_error(chunks.iter().copied(), &sizes).unwrap().powi(2);
        }
        let ratio = 13.0 * sum / f64::from(count);
        assert!((ratio - 1.0).abs() < 0.03, "{ratio}");
    }
}
