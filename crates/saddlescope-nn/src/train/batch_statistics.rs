//! Statistics of batch normalisation, from the values that the parts of a mini-batch (or the batches of a data set) normalise.

use crate::execute::Execution;
use crate::graph::{Graph, Source, ValueId};
use crate::op::Element;

/// PyTorch's momentum of running statistics.
const MOMENTUM: f64 = 0.1;

/// A normalisation with batch statistics: what it normalises, and the buffers of its running statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    /// The value that is normalised, channels last.
    pub input: ValueId,
    mean: usize,
    variance: usize,
}

/// Mean and unbiased variance per channel of every layer, weighted by samples and summed over parts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Statistics {
    layers: Vec<[Vec<f64>; 2]>,
    weight: f64,
}

/// The normalisations of a graph that use batch statistics and have buffers for running ones.
pub(crate) fn layers(graph: &Graph) -> Vec<Layer> {
    (graph.nodes().iter())
        .filter(|node| node.op.couples_samples() && node.op.with_batch_statistics(false).is_some())
        .filter_map(|node| match node.inputs[..] {
            [input, _, _, mean, variance, ..] => match (graph.source(mean), graph.source(variance)) {
                (Source::Buffer(mean), Source::Buffer(variance)) => Some(Layer { input, mean, variance }),
                _ => None,
            },
            _ => None,
        })
        .collect()
}

impl Statistics {
    /// Those of one part of `samples` samples, after its forward pass.
    pub(crate) fn of_part<T: Element>(
        layers: &[Layer],
        graph: &Graph,
        execution: &Execution<'_, T>,
        samples: usize,
    ) -> Self {
        let of_layer = |layer: &Layer| {
            let channels = graph.buffers()[layer.mean].values.len();
            moments(execution.value(layer.input), channels).map(|mut values| {
                values.iter_mut().for_each(|v| *v *= samples as f64);
                values
            })
        };
        Self { layers: layers.iter().map(of_layer).collect(), weight: samples as f64 }
    }

    /// Adds those of the next part.
    pub(crate) fn add(&mut self, part: &Self) {
        if self.layers.is_empty() {
            self.layers.clone_from(&part.layers);
        } else {
            for (sum, part) in self.layers.iter_mut().flatten().zip(part.layers.iter().flatten()) {
                sum.iter_mut().zip(part).for_each(|(s, p)| *s += p);
            }
        }
        self.weight += part.weight;
    }

    /// running ← mean over the parts.
    pub(crate) fn replace(&self, layers: &[Layer], graph: &mut Graph) {
        for (layer, [mean, variance]) in layers.iter().zip(&self.layers) {
            for (buffer, sums) in [(layer.mean, mean), (layer.variance, variance)] {
                for (running, sum) in graph.buffers_mut()[buffer].values.iter_mut().zip(sums) {
                    *running = sum / self.weight;
                }
            }
        }
    }

    /// running ← 0.9 running + 0.1 mean over the parts, rounded to f32 as files hold it.
    pub(crate) fn update(&self, layers: &[Layer], graph: &mut Graph) {
        for (layer, [mean, variance]) in layers.iter().zip(&self.layers) {
            for (buffer, sums) in [(layer.mean, mean), (layer.variance, variance)] {
                for (running, sum) in graph.buffers_mut()[buffer].values.iter_mut().zip(sums) {
                    let new = (1.0 - MOMENTUM) * *running + MOMENTUM * (sum / self.weight);
                    *running = f64::from(new as f32);
                }
            }
        }
    }
}

/// Mean and unbiased variance of each channel of `[…, channels]`; the variance of a single row is 0.
fn moments<T: Element>(x: &[T], channels: usize) -> [Vec<f64>; 2] {
    let rows = x.len() / channels.max(1);
    let mut mean = vec![0.0; channels];
    for row in x.chunks_exact(channels.max(1)) {
        mean.iter_mut().zip(row).for_each(|(m, &x)| *m += x.to_f64());
    }
    mean.iter_mut().for_each(|m| *m /= rows.max(1) as f64);
    let mut variance = vec![0.0; channels];
    for row in x.chunks_exact(channels.max(1)) {
        for ((v, &x), m) in variance.iter_mut().zip(row).zip(&mean) {
            *v += (x.to_f64() - m).powi(2);
        }
    }
    variance.iter_mut().for_each(|v| *v /= rows.saturating_sub(1).max(1) as f64);
    [mean, variance]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_by_hand() {
        let [mean, variance] = moments(&[1.0_f32, 10.0, 3.0, 10.0, 5.0, 40.0], 2);
        assert_eq!(mean, [3.0, 20.0]);
        assert_eq!(variance, [4.0, 300.0]);
        assert_eq!(moments(&[7.0_f32], 1), [vec![7.0], vec![0.0]]);
    }
}
