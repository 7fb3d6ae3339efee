//! A training run: its state, its epochs, and what it reports.

use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};

use super::batch_statistics::layers;
use super::minibatch::{Augmentation, MiniBatches, Tally};
use super::{SgdStep, TrainError, TrainOptions};
use crate::graph::ParameterKind;
use crate::network::{LossKind, Network};
use crate::op::numel;
use crate::risk::{Evaluation, Numbers, Risk, RiskError, RiskOptions};
use saddlescope_data::weights::TensorMap;
use saddlescope_data::{CropFlip, Dataset, epoch_order};

/// A training run in f32.
pub struct Trainer {
    pub(super) network: Network,
    pub(super) options: TrainOptions,
    pub(super) loss: LossKind,
    pub(super) fingerprint: String,
    /// The SHA-256 of the parameters and buffers it starts from, or that they are random.
    pub(super) start: String,
    pub(super) theta: Vec<f32>,
    pub(super) velocity: Vec<f32>,
    /// Whole epochs done.
    pub(super) epoch: usize,
    /// Steps done of the current epoch.
    pub(super) step: usize,
    /// Sums over the current epoch's steps so far.
    pub(super) tally: Tally,
    batches: MiniBatches,
    threads: usize,
}

/// What is known after a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// The epoch, from 0.
    pub epoch: usize,
    /// The step of the epoch, from 0.
    pub step: usize,
    /// Steps of an epoch.
    pub steps: usize,
    /// Mean loss over the epoch so far; parameters change meanwhile.
    pub loss: f64,
    /// Share of correct answers over the epoch so far, for classifications.
    pub accuracy: Option<f64>,
    /// Learning rate of the step.
    pub learning_rate: f64,
}

/// What is known after an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpochReport {
    /// The epoch, from 0.
    pub epoch: usize,
    /// Mean loss over the epoch's steps; parameters changed meanwhile.
    pub loss: f64,
    /// Share of correct answers over the epoch's steps, for classifications.
    pub accuracy: Option<f64>,
}

/// How an epoch ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EpochOutcome {
    /// It is complete.
    Finished(EpochReport),
    /// It was stopped between two steps; a checkpoint continues there.
    Interrupted,
}

impl Trainer {
    /// A run from the network's random initial parameters.
    ///
    /// # Errors
    /// Options that make no sense; a network, loss and data set that do not fit.
    pub fn new(
        network: Network,
        loss: LossKind,
        dataset: &Dataset,
        options: TrainOptions,
        threads: usize,
    ) -> Result<Self, TrainError> {
        options.check()?;
        let mut training = network.clone();
        training.use_batch_statistics(true);
        let mut objective = training.objective(loss, dataset)?;
        // Every epoch reads every sample, in another order.
        for numbers in &mut objective.data {
            if let Numbers::F32(values) = numbers {
                *values = values.load()?;
            }
        }
        let augmentation = match options.crop_flip {
            Some(padding) => {
                let how = CropFlip::new(dataset, padding, true)?;
                // A network with a single input takes the data set's whatever its name.
                let name = &dataset.inputs()[0].name;
                let inputs = network.graph.data_inputs();
                let input = inputs.iter().position(|i| &i.name == name).unwrap_or(0);
                Some(Augmentation { input, how, seed: options.seed })
            }
            None => None,
        };
        let layers = layers(&objective.graph);
        let batches = MiniBatches::new(objective, layers, options.parts, threads, augmentation)?;
        let theta: Vec<f32> = network.initialise(options.seed).iter().map(|&t| t as f32).collect();
        let velocity = vec![0.0; theta.len()];
        let fingerprint = dataset.fingerprint()?;
        let tally = Tally::default();
        Ok(Self {
            network,
            options,
            loss,
            fingerprint,
            start: "random".into(),
            theta,
            velocity,
            epoch: 0,
            step: 0,
            tally,
            batches,
            threads,
        })
    }

    /// Starts the run at θ (length N, file order, rounded to f32) instead of the random parameters, with zero momentum. The
    /// buffers are those of the network that the run was made with.
    ///
    /// # Errors
    /// Another length than N, values that are not finite, a run that has begun.
    pub fn start_at(&mut self, theta: &[f64]) -> Result<(), TrainError> {
        let wrong =
            |found: String, expected| TrainError::Option { option: "initial parameters", found, expected };
        if self.position() != (0, 0) {
            return Err(wrong("a run that has begun".into(), "one before its first step"));
        }
        if theta.len() != self.theta.len() {
            return Err(wrong(format!("{} numbers", theta.len()), "one for each parameter of the network"));
        }
        if let Some((i, value)) = theta.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            return Err(wrong(format!("{value} at position {i}"), "finite numbers"));
        }
        self.theta = theta.iter().map(|&t| t as f32).collect();
        let mut hash = Sha256::new();
        self.theta.iter().for_each(|t| hash.update(t.to_le_bytes()));
        let buffers = self.network.graph.buffers().iter().flat_map(|b| &b.values);
        buffers.for_each(|value| hash.update(value.to_le_bytes()));
        self.start = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(())
    }

    /// The network, with the running statistics reached so far.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The options.
    pub fn options(&self) -> &TrainOptions {
        &self.options
    }

    /// θ, in file order.
    pub fn theta(&self) -> Vec<f64> {
        self.theta.iter().map(|&t| f64::from(t)).collect()
    }

    /// Whole epochs done, and steps of the current one.
    pub fn position(&self) -> (usize, usize) {
        (self.epoch, self.step)
    }

    /// Whether all epochs are done.
    pub fn is_finished(&self) -> bool {
        self.epoch >= self.options.epochs
    }

    /// Steps of one epoch.
    pub fn steps_per_epoch(&self) -> usize {
        self.batches.objective.samples.div_ceil(self.options.batch)
    }

    /// Learning rate of a step of an epoch (both from 0).
    pub fn learning_rate(&self, epoch: usize, step: usize) -> f64 {
        let each = self.steps_per_epoch();
        let (warm_up, total) = (self.options.warm_up * each, self.options.epochs * each);
        self.options.learning_rate * self.options.schedule.factor(epoch * each + step, each, warm_up, total)
    }

    /// Trains to the end of the current epoch, or until `stop` is set; `observe` is told after each step.
    ///
    /// # Errors
    /// [`TrainError::Diverged`] if the loss is no longer finite; the state is then that before the step.
    pub fn run_epoch(
        &mut self,
        stop: &AtomicBool,
        mut observe: impl FnMut(&StepReport),
    ) -> Result<EpochOutcome, TrainError> {
        let samples = self.batches.objective.samples;
        let order = epoch_order(samples, self.options.seed, self.epoch as u64);
        let steps = self.steps_per_epoch();
        let mut gradient = vec![0.0; self.theta.len()];
        while self.step < steps {
            if stop.load(Ordering::Relaxed) {
                return Ok(EpochOutcome::Interrupted);
            }
            let start = self.step * self.options.batch;
            let indices = &order[start..(start + self.options.batch).min(samples)];
            let learning_rate = self.learning_rate(self.epoch, self.step);
            self.train_on(indices, learning_rate, &mut gradient)?;
            let (loss, accuracy) = means(&self.tally);
            observe(&StepReport { epoch: self.epoch, step: self.step, steps, loss, accuracy, learning_rate });
            self.step += 1;
        }
        let (loss, accuracy) = means(&self.tally);
        let report = EpochReport { epoch: self.epoch, loss, accuracy };
        self.epoch += 1;
        self.step = 0;
        self.tally = Tally::default();
        Ok(EpochOutcome::Finished(report))
    }

    fn train_on(&mut self, indices: &[usize], rate: f64, gradient: &mut [f64]) -> Result<(), TrainError> {
        let theta = self.theta();
        let (tally, statistics) = self.batches.gradient(&theta, indices, self.epoch as u64, gradient)?;
        if !tally.loss.is_finite() || gradient.iter().any(|g| !g.is_finite()) {
            return Err(TrainError::Diverged {
                loss: tally.loss / tally.weight.max(1.0),
                epoch: self.epoch + 1,
                step: self.step + 1,
                rate,
            });
        }
        let o = &self.options;
        let step = SgdStep { learning_rate: rate as f32, momentum: o.momentum as f32, nesterov: o.nesterov };
        let graph = &self.network.graph;
        for (p, range) in graph.parameters().iter().zip(graph.parameter_ranges()) {
            let spared =
                matches!(p.kind, ParameterKind::Bias | ParameterKind::Normalization) && !o.decay_biases;
            let decay = if spared { 0.0 } else { o.weight_decay as f32 };
            let (theta, velocity) = (&mut self.theta[range.clone()], &mut self.velocity[range.clone()]);
            step.apply(theta, velocity, &gradient[range], decay);
        }
        statistics.update(&self.batches.layers, &mut self.network.graph);
        self.tally.add(&tally);
        Ok(())
    }

    /// Loss and accuracy on a data set, with running statistics.
    ///
    /// # Errors
    /// If network, loss and data do not fit.
    pub fn evaluate(&self, dataset: &Dataset) -> Result<Evaluation, TrainError> {
        let objective = self.network.objective(self.loss, dataset)?;
        let options = RiskOptions { threads: self.threads, ..RiskOptions::default() };
        match Risk::<f32>::new(objective, options) {
            Ok(risk) => Ok(risk.evaluate(&self.theta())),
            Err(RiskError::Graph(error)) => Err(error.into()),
            Err(other) => Err(TrainError::Option {
                option: "data",
                found: other.to_string(),
                expected: "data that fits the network",
            }),
        }
    }

    /// The trained weights as a state dict, with model, loss, options and data named in the metadata.
    ///
    /// # Errors
    /// If two tensors of the network have the same name.
    pub fn weights(&self) -> Result<TensorMap, TrainError> {
        let mut map = self.network.to_tensors(&self.theta())?;
        map.metadata.extend(self.description());
        map.metadata.insert("epochs done".into(), self.epoch.to_string());
        // Of the last step made; before the first one, of the first.
        let (epoch, step) = match (self.epoch, self.step) {
            (0, 0) => (0, 0),
            (epoch, 0) => (epoch - 1, self.steps_per_epoch() - 1),
            (epoch, step) => (epoch, step - 1),
        };
        map.metadata.insert("learning rate reached".into(), self.learning_rate(epoch, step).to_string());
        Ok(map)
    }

    /// Everything that the bits of the run depend on, as text.
    pub(super) fn description(&self) -> Vec<(String, String)> {
        let own = [
            ("model", self.network.name.clone()),
            ("loss", self.loss.name().to_owned()),
            ("data fingerprint", self.fingerprint.clone()),
            ("start", self.start.clone()),
        ];
        own.into_iter().chain(self.options.to_text()).map(|(k, v)| (k.to_owned(), v)).collect()
    }

    /// Number of elements of every buffer, for checks of files.
    pub(super) fn buffer_sizes(&self) -> impl Iterator<Item = usize> + '_ {
        self.network.graph.buffers().iter().map(|b| numel(&b.shape))
    }
}

fn means(tally: &Tally) -> (f64, Option<f64>) {
    let accuracy = (tally.counted > 0).then(|| tally.correct as f64 / tally.counted as f64);
    (tally.loss / tally.weight.max(1.0), accuracy)
}
