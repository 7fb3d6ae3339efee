//! What defines a training run: everything its bits depend on besides network, loss and data.

use super::{Schedule, TrainError};

/// Options of stochastic gradient descent. The number of threads is not among them: results do not depend on it.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainOptions {
    /// Passes over the data.
    pub epochs: usize,
    /// Samples of a mini-batch; the last one of an epoch may be smaller.
    pub batch: usize,
    /// η, the learning rate that the schedule multiplies.
    pub learning_rate: f64,
    /// μ, the momentum.
    pub momentum: f64,
    /// Whether the step looks ahead along the momentum (Nesterov).
    pub nesterov: bool,
    /// Coefficient of the L2 penalty's gradient, added to the gradient before the momentum, as in PyTorch's SGD.
    pub weight_decay: f64,
    /// Whether biases and the parameters of normalisation layers are decayed too.
    pub decay_biases: bool,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Epochs over which the rate grows linearly at the start.
    pub warm_up: usize,
    /// Random crops of images padded by this many pixels, and random horizontal flips; `None`: the images as they are.
    pub crop_flip: Option<usize>,
    /// Seed of the initial parameters, the order of samples and the augmentation.
    pub seed: u64,
    /// Number of equal parts that each mini-batch is cut into. Batch normalisation uses the statistics of each part.
    pub parts: usize,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            epochs: 30,
            batch: 64,
            learning_rate: 0.05,
            momentum: 0.9,
            nesterov: false,
            weight_decay: 0.0,
            decay_biases: true,
            schedule: Schedule::Cosine,
            warm_up: 0,
            crop_flip: None,
            seed: 1,
            parts: 4,
        }
    }
}

impl TrainOptions {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`TrainError::Option`] for the first such option.
    pub fn check(&self) -> Result<(), TrainError> {
        let refuse = |option, found: String, expected| Err(TrainError::Option { option, found, expected });
        let count = |n: usize| (1..=1 << 30).contains(&n);
        if !count(self.epochs) {
            return refuse("epochs", self.epochs.to_string(), "1 to 2^30");
        }
        if !count(self.batch) {
            return refuse("batch", self.batch.to_string(), "1 to 2^30");
        }
        if !(1..=1024).contains(&self.parts) {
            return refuse("parts", self.parts.to_string(), "1 to 1024");
        }
        if self.warm_up > self.epochs {
            return refuse("warm-up", self.warm_up.to_string(), "at most the number of epochs");
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return refuse("learning rate", self.learning_rate.to_string(), "a positive number");
        }
        if !(0.0..1.0).contains(&self.momentum) {
            return refuse("momentum", self.momentum.to_string(), "a number in [0, 1)");
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return refuse("weight decay", self.weight_decay.to_string(), "zero or a positive number");
        }
        if self.nesterov && self.momentum == 0.0 {
            return refuse("nesterov", "momentum 0".into(), "a positive momentum");
        }
        Ok(())
    }

    /// Names and values as text, for files and comparisons; equal texts mean equal bits.
    pub fn to_text(&self) -> Vec<(&'static str, String)> {
        let crop_flip = self.crop_flip.map_or("none".to_owned(), |p| format!("crop-flip, padding {p}"));
        vec![
            ("epochs", self.epochs.to_string()),
            ("batch", self.batch.to_string()),
            ("learning rate", self.learning_rate.to_string()),
            ("momentum", self.momentum.to_string()),
            ("nesterov", self.nesterov.to_string()),
            ("weight decay", self.weight_decay.to_string()),
            ("decay of biases", self.decay_biases.to_string()),
            ("schedule", self.schedule.to_string()),
            ("warm-up", self.warm_up.to_string()),
            ("augmentation", crop_flip),
            ("seed", self.seed.to_string()),
            ("parts", self.parts.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused_by_name() {
        let good = TrainOptions::default();
        assert!(good.check().is_ok());
        let bad = [
            ("epochs", TrainOptions { epochs: 0, ..good.clone() }),
            ("batch", TrainOptions { batch: 0, ..good.clone() }),
            ("parts", TrainOptions { parts: 0, ..good.clone() }),
            ("warm-up", TrainOptions { warm_up: 31, ..good.clone() }),
            ("learning rate", TrainOptions { learning_rate: f64::NAN, ..good.clone() }),
            ("learning rate", TrainOptions { learning_rate: -1.0, ..good.clone() }),
            ("momentum", TrainOptions { momentum: 1.0, ..good.clone() }),
            ("weight decay", TrainOptions { weight_decay: f64::INFINITY, ..good.clone() }),
            ("nesterov", TrainOptions { nesterov: true, momentum: 0.0, ..good }),
        ];
        for (name, options) in bad {
            let message = options.check().unwrap_err().to_string();
            assert!(message.starts_with(name), "{message}");
        }
    }
}
