//! Training by stochastic gradient descent, so that there is a network to analyse.
//!
//! [`Trainer`] holds a network, its loss, its data and the state of a run. Each mini-batch is cut into a fixed number of
//! parts; threads work on parts, and their gradients are added up in f64 in the parts' order. The bits of a run
//! depend on [`TrainOptions`], network, loss and data alone, not on threads, interruptions or resumptions.
//!
//! Batch normalisation uses the mean and variance of each *part*, not of the whole mini-batch, as data-parallel training
//! on several devices does. The running statistics that evaluation uses follow the mean of the parts' statistics with
//! PyTorch's momentum 0.1 and unbiased variance.

pub(crate) mod batch_statistics;
mod checkpoint;
mod error;
mod minibatch;
mod options;
mod schedule;
mod sgd;
mod trainer;

pub use error::TrainError;
pub use options::TrainOptions;
pub use schedule::Schedule;
pub use sgd::SgdStep;
pub use trainer::{EpochOutcome, EpochReport, StepReport, Trainer};
