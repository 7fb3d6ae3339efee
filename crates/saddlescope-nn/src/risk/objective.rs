//! A network with its loss, bound to data.

use std::ops::Range;
use std::sync::Arc;

use super::numbers::Numbers;
use crate::graph::{Graph, ValueId};
use crate::op::numel;

/// A network with its loss, bound to data.
#[derive(Clone, Debug)]
pub struct Objective {
    /// The graph up to and including the loss.
    pub graph: Graph,
    /// The output of the network (logits, predictions); the loss node's first input.
    pub output: ValueId,
    /// The loss: `[batch]`, one number a sample; or a single number, the mean over the micro-batch.
    pub loss: ValueId,
    /// Values of the data inputs, sample after sample, in the file's order of axes.
    pub data: Vec<Numbers>,
    /// Number of samples.
    pub samples: usize,
    /// K, what the sum of the losses is divided by: the number of samples, or of positions with a label.
    pub normalizer: f64,
    /// Labels for the accuracy, if the loss is a classification: `positions` labels a sample, negative ones ignored.
    pub labels: Option<Arc<Vec<i64>>>,
}

impl Objective {
    /// The same loss on the first `samples` samples only (all of them if there are fewer).
    pub fn first_samples(&self, samples: usize) -> Self {
        let samples = samples.min(self.samples);
        let mut first = self.clone();
        for (input, numbers) in self.graph.data_inputs().iter().zip(&mut first.data) {
            *numbers = numbers.first(samples * numel(&input.shape));
        }
        if self.samples > 0 {
            first.normalizer *= samples as f64 / self.samples as f64;
            first.labels = (self.labels.as_ref())
                .map(|labels| Arc::new(labels[..labels.len() / self.samples * samples].to_vec()));
        }
        first.samples = samples;
        first
    }

    /// The same loss on some of its samples; `samples` within them. K is their own number of labelled positions where it was that of all
    /// samples, else their share of it.
    pub fn samples_in(&self, samples: Range<usize>) -> Self {
        let weights = self.labelled_positions().map(|w| w[samples.clone()].iter().sum::<usize>());
        let mut part = self.clone();
        for (input, numbers) in self.graph.data_inputs().iter().zip(&mut part.data) {
            let len = numel(&input.shape);
            *numbers = numbers.part(samples.start * len..samples.end * len);
        }
        part.normalizer = match weights {
            Some(weights) => weights.max(1) as f64,
            None => self.normalizer * samples.len() as f64 / self.samples as f64,
        };
        part.labels = self.labels.as_ref().map(|labels| {
            let positions = labels.len() / self.samples;
            Arc::new(labels[samples.start * positions..samples.end * positions].to_vec())
        });
        part.samples = samples.len();
        part
    }

    /// The number of labelled positions of each sample, where the loss is the mean over those and not over samples.
    pub(super) fn labelled_positions(&self) -> Option<Vec<usize>> {
        let labels = self.labels.as_ref()?;
        let positions = labels.len() / self.samples.max(1);
        if positions == 0 || self.normalizer == self.samples as f64 {
            return None;
        }
        let weights: Vec<usize> =
            labels.chunks_exact(positions).map(|sample| sample.iter().filter(|&&l| l >= 0).count()).collect();
        (weights.iter().sum::<usize>() as f64 == self.normalizer).then_some(weights)
    }
}
