//! The main job: what does the landscape around this network really look like?
//!
//! [`analyze`] goes through the stages in order: self-check, extreme eigenpairs, random probes, spectral density, the
//! two parts of the Hessian, random planes, cuts and surfaces, the escape along negative curvature. Each stage keeps its
//! result in the run's folder, so that the same call continues where an earlier one was stopped, to the same bits. What
//! the options do not ask for is left out: the smaller verbs are analyses of one part.

mod checks;
mod density;
mod drawing;
mod eigen;
mod error;
mod escape;
mod figures;
mod files;
mod folder;
mod journal;
mod memory;
mod monitor;
mod options;
mod page;
mod probes;
mod results;
mod rows;
mod run;
mod self_check;
pub mod slice_request;
pub mod slices;
mod split;
mod subject;
mod verdict;

pub use eigen::{EigenStage, eigenpairs, weighted_std_error};
pub use error::AnalysisError;
pub use escape::{escaped_weights, moved, search as escape_search};
pub use folder::{FolderError, Identity, RunFolder};
pub use memory::MemoryPlan;
pub use monitor::Monitor;
pub use options::{AnalysisOptions, EigenMethod};
pub use page::rebuild_report;
pub use results::*;
pub use run::{Analysis, analyze};
pub use saddlescope_krylov::Estimate;
pub use slice_request::{DirectionRequest, GivenDirection, SliceRequest};
pub use slices::{Cut, NamedSurface};
pub use subject::{Split, Subject, WeightsHash};
