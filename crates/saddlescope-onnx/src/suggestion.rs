//! Which loss suits a model and its data: read where the file says it, guessed (and called a guess) where the data leave little
//! choice, asked for where they do not.

use saddlescope_data::{Dataset, Targets};
use saddlescope_nn::network::{LossKind, Network};
use saddlescope_nn::op::numel;

use super::error::OnnxError;
use super::{Ending, OnnxModel};

/// A loss and how it was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LossSuggestion {
    /// The loss.
    pub loss: LossKind,
    /// Whether another loss would fit the file and the data as well.
    pub guess: bool,
    /// Why this one, as part of a sentence.
    pub reason: String,
}

/// What is seen in floating-point targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// Every row along the last axis holds weights that sum to 1.
    Distributions,
    /// Only 0 and 1.
    Binary,
    /// Numbers from 0 to 1.
    Unit,
    /// Anything.
    Numbers,
}

fn look(values: &[f32], shape: &[usize]) -> Seen {
    if values.iter().any(|v| !(0.0..=1.0).contains(v)) {
        return Seen::Numbers;
    }
    let width = shape.last().copied().unwrap_or(1);
    // Weights in f32 sum to 1 within a few units of the last place.
    let sums_to_one = |row: &[f32]| (row.iter().map(|&v| f64::from(v)).sum::<f64>() - 1.0).abs() < 1e-5;
    if width > 1 && values.chunks(width).all(sums_to_one) {
        return Seen::Distributions;
    }
    if values.iter().all(|&v| v == 0.0 || v == 1.0) { Seen::Binary } else { Seen::Unit }
}

/// Whether there is one number a sample.
fn has_one_output(network: &Network) -> bool {
    let output = network.output;
    network.graph.infer_shapes(1).is_ok_and(|shapes| numel(&shapes[output.index()]) == 1)
}

impl OnnxModel {
    /// The loss that suits the model's ending and the data's targets.
    ///
    /// # Errors
    /// Several losses are as likely; the text names them, and one must be chosen.
    pub fn suggest_loss(&self, dataset: &Dataset) -> Result<LossSuggestion, OnnxError> {
        if let Some(reference) = &self.reference {
            let reason = "the file names it".into();
            return Ok(LossSuggestion { loss: reference.loss_kind(), guess: false, reason });
        }
        suggest_loss(&self.network, self.ending, dataset)
    }
}

/// The loss that suits a network that ends in this way, and the data's targets.
///
/// # Errors
/// Several losses are as likely; the text names them, and one must be chosen.
pub fn suggest_loss(
    network: &Network,
    ending: Ending,
    dataset: &Dataset,
) -> Result<LossSuggestion, OnnxError> {
    let chosen =
        |loss: LossKind, guess: bool, reason: &str| Ok(LossSuggestion { loss, guess, reason: reason.into() });
    let ask = |text: &str| Err(OnnxError::Loss(text.into()));
    match (ending, dataset.targets()) {
        (Ending::Loss, _) => {
            chosen(LossKind::Own, false, "the model's output is one number, taken for its own loss")
        }
        (_, Targets::None) if !has_one_output(network) => ask(
            "the data have no targets (an array `y`, `targets` or `labels`), and the network has several outputs a sample, so that these are no loss",
        ),
        (_, Targets::None) => {
            chosen(LossKind::Own, false, "there are no targets: the model's output is taken for its own loss")
        }
        (_, Targets::Values { values, shape })
            if numel(shape) == 1
                && !has_one_output(network)
                && values.iter().all(|v| *v >= 0.0 && v.fract() == 0.0) =>
        {
            ask(
                "the targets are one whole number a sample, stored as floating point, and the network has several outputs; class labels \
                     are to be stored as integers",
            )
        }
        (ending, Targets::Values { values, shape }) => match (ending, look(values, shape)) {
            (Ending::Softmax | Ending::LogSoftmax, Seen::Distributions) => chosen(
                LossKind::SoftCrossEntropy,
                true,
                "the model ends in a softmax, and the targets are rows that sum to 1",
            ),
            (Ending::Plain, Seen::Distributions) => chosen(
                LossKind::SoftCrossEntropy,
                true,
                "the targets are rows that sum to 1 (one-hot labels or probabilities), and the outputs are taken for logits",
            ),
            (Ending::Sigmoid, Seen::Binary) => chosen(
                LossKind::BinaryCrossEntropyWithLogits,
                true,
                "the model ends in a sigmoid, and the targets are 0 or 1",
            ),
            (Ending::Sigmoid, Seen::Unit | Seen::Distributions) => ask(
                "the model ends in a sigmoid and the targets lie between 0 and 1, so that `bce` (binary cross-entropy), `mse` (½ Σ \
                     over the outputs) and `mse-mean` (PyTorch's MSELoss) would all fit",
            ),
            (Ending::Plain, Seen::Binary) => ask(
                "the targets are 0 or 1 and the outputs are not probabilities, so that `bce` (binary cross-entropy of logits), \
                     `mse` (½ Σ over the outputs) and `mse-mean` (PyTorch's MSELoss) would all fit",
            ),
            _ => chosen(
                LossKind::SquaredError,
                true,
                "the targets are numbers: ½ Σ over the outputs of a sample, mean over samples; PyTorch's MSELoss is `mse-mean`, \
                     2 / outputs times this",
            ),
        },
        (Ending::Sigmoid, Targets::Classes { classes: 0..=2, .. }) => chosen(
            LossKind::BinaryCrossEntropyWithLogits,
            true,
            "the model ends in a sigmoid, and the labels are 0 and 1",
        ),
        (Ending::Softmax | Ending::LogSoftmax, _) => {
            chosen(LossKind::CrossEntropy, false, "the model ends in a softmax, and the targets are labels")
        }
        (Ending::Sigmoid, _) => {
            ask("the model ends in a sigmoid and the targets are labels of several classes")
        }
        (Ending::Plain, Targets::Classes { classes: 0..=2, .. }) if has_one_output(network) => chosen(
            LossKind::BinaryCrossEntropyWithLogits,
            true,
            "the labels are 0 and 1, and the single output is taken for a logit",
        ),
        _ => chosen(
            LossKind::CrossEntropy,
            true,
            "the targets are labels, and the outputs are taken for logits",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_looked_at() {
        assert_eq!(look(&[0.0, 1.0, 1.0, 0.0], &[2]), Seen::Distributions);
        assert_eq!(look(&[0.0, 1.0, 1.0, 1.0], &[2]), Seen::Binary);
        assert_eq!(look(&[0.0, 1.0], &[]), Seen::Binary);
        assert_eq!(look(&[0.25, 1.0], &[1]), Seen::Unit);
        assert_eq!(look(&[0.5, 2.0], &[2]), Seen::Numbers);
        assert_eq!(look(&[f32::NAN, 0.0], &[2]), Seen::Numbers);
    }
}
