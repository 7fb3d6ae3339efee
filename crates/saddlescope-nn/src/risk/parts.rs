//! The losses of the parts of the data that are independent of each other: what errors over the data follow from.

use super::objective::Objective;

/// L(θ) as a weighted mean Σ wᵢ ℓᵢ / Σ wᵢ over independent parts of the data.
///
/// A part is one sample where the loss has one number a sample; a micro-batch where a model's own loss is a single number (a
/// mean); and all samples together where they influence each other (batch norm with batch statistics). The weight is a
/// sample's number of labelled positions where the loss is a mean over those (sequences of unequal length), else the
/// number of samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts {
    /// Mean loss of each part. NaN and infinities are kept.
    pub losses: Vec<f64>,
    /// Its weight; at least 1.
    pub weights: Vec<usize>,
}

impl Parts {
    /// One part: all samples.
    pub(super) fn whole(loss: f64, samples: usize) -> Self {
        Self { losses: vec![loss], weights: vec![samples] }
    }

    /// One part a sample, from the summed loss of each.
    pub(super) fn samples(mut losses: Vec<f64>, objective: &Objective) -> Self {
        if let Some(weights) = objective.labelled_positions() {
            for (loss, weight) in losses.iter_mut().zip(&weights) {
                // A sample without labels has no loss and does not count.
                *loss /= (*weight).max(1) as f64;
            }
            let counts = |w: &usize| *w > 0;
            let losses =
                losses.into_iter().zip(&weights).filter(|(_, w)| counts(w)).map(|(l, _)| l).collect();
            return Self { losses, weights: weights.into_iter().filter(counts).collect() };
        }
        // L = Σ ℓₛ / K is the mean of ℓₛ · samples / K.
        let scale = losses.len() as f64 / objective.normalizer;
        if scale != 1.0 {
            losses.iter_mut().for_each(|loss| *loss *= scale);
        }
        let weights = vec![1; losses.len()];
        Self { losses, weights }
    }

    /// One part a micro-batch of `micro` samples (the last may have fewer), from the mean loss of each.
    pub(super) fn micro_batches(mut losses: Vec<f64>, micro: usize, objective: &Objective) -> Self {
        let samples = objective.samples;
        let weights: Vec<usize> =
            (0..losses.len()).map(|i| samples.saturating_sub(i * micro).clamp(1, micro)).collect();
        let scale = samples as f64 / objective.normalizer;
        if scale != 1.0 {
            losses.iter_mut().for_each(|loss| *loss *= scale);
        }
        Self { losses, weights }
    }
}
