//! Running a plan on one micro-batch: forward, tangents, and the reverse sweep on dual numbers.
//!
//! Everything here is single-threaded and depends only on its arguments; threads run different micro-batches.

mod execution;
mod permuted;
mod prepared;
mod reverse;
mod workspace;

pub(crate) use execution::Execution;
pub(crate) use permuted::{for_each_permuted, permute};
pub(crate) use prepared::{Prepared, PreparedLen, PreparedTangents};
pub(crate) use reverse::Sweep;
pub(crate) use workspace::{KeptPrimals, ParameterAdjoints, Workspace};
