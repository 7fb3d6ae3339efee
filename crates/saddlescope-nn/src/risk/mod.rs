//! The empirical risk L(θ) = (1/K) Σ ℓ(f(θ; xₛ), yₛ) of a network on a data set, and its exact derivatives.
//!
//! The samples are cut into micro-batches, and these into chunks. Chunks are spread over threads and summed in f64
//! in the fixed tree of [`tree`](crate::tree): the number of threads changes no bit of any result.

mod batches;
mod buffers;
mod empirical;
mod error;
mod evaluation;
mod numbers;
mod objective;
mod parts;
mod point;
mod sums;
mod tally;

pub use empirical::{Risk, RiskOptions};
pub use error::RiskError;
pub use evaluation::{Evaluation, MemoryEstimate};
pub use numbers::Numbers;
pub(crate) use numbers::check_data;
pub use objective::Objective;
pub use parts::Parts;
pub use point::{ProductReport, RiskPoint};
pub use saddlescope_data::Curvature;
pub use tally::{NodeSums, Tallies};
