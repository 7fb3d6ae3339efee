//! Why training cannot start, continue or go on.

use crate::graph::GraphError;
use crate::network::NetworkError;
use saddlescope_data::DataError;
use saddlescope_data::weights::WeightsError;

/// Why training cannot start, continue or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// An option has a value that makes no sense.
    #[error("{option}: found {found}, expected {expected}")]
    Option {
        /// The option.
        option: &'static str,
        /// What was given.
        found: String,
        /// What would be right.
        expected: &'static str,
    },
    /// Network, loss and data do not fit.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The graph does not compile.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The data cannot be used, or not be augmented.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file of weights or a checkpoint cannot be read or written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A file is no checkpoint, or damaged.
    #[error("{file}: {what}: found {found}, expected {expected}")]
    Checkpoint {
        /// The file.
        file: String,
        /// The entry.
        what: String,
        /// What is there.
        found: String,
        /// What should be.
        expected: String,
    },
    /// The checkpoint was made by a run with other options, data or network.
    #[error("{file}: cannot resume, because the options have changed: {}", differences.join("; "))]
    Changed {
        /// The file.
        file: String,
        /// Every difference, in words.
        differences: Vec<String>,
    },
    /// The loss became NaN or infinite.
    #[error(
        "training diverged: the loss is {loss} at step {step} of epoch {epoch} (learning rate {rate:e}); \
         try a smaller learning rate or some warm-up"
    )]
    Diverged {
        /// The loss of the mini-batch.
        loss: f64,
        /// The epoch, from 1.
        epoch: usize,
        /// The step of the epoch, from 1.
        step: usize,
        /// The learning rate of that step.
        rate: f64,
    },
}
