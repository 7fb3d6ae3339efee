//! The main job: what does the landscape around this point really look like?
//!
//! [`analyze`] runs a [`Selection`] of stages: self-check, point, extreme eigenpairs, random probes, curvature fits,
//! spectral density, the two parts of the Hessian, random planes, the escape along negative curvature, cuts and surfaces.
//! Each stage keeps its result in the folder under a key of exactly what it depends on; what is there already is read, what
//! was begun is continued, and a resumed run is bitwise identical to an uninterrupted one.

mod checksum;
mod differences;
mod directions;
mod error;
mod figures;
mod files;
mod folder_error;
mod found;
mod journal;
mod memory;
mod monitor;
mod order;
mod page;
mod plan;
mod remembered;
mod requests;
mod results;
mod rows;
mod run;
mod selection;
mod settled;
mod sharpness_result;
mod stage;
mod stages;
mod store;
mod subject;
mod summary;
mod vectors;
mod verdict;

pub use crate::number_text::{
    fixed, number, or_unknown, percent_with_error, plus_minus, scientific, short, with_error,
};
pub use crate::weights_hash::WeightsHash;
pub use differences::{from_center, samples_of, smallest_sentence};
pub use directions::read_results;
pub use error::AnalysisError;
pub use folder_error::FolderError;
pub use found::{Analysis, Cut, CutLosses, NamedSurface};
pub use journal::Journal;
pub use memory::{MemoryPlan, Saving};
pub use monitor::Monitor;
pub use page::rebuild_report;
pub use plan::{Fate, Forecast, PlannedStage};
pub use requests::{DirectionRequest, GivenDirection, SliceRequest};
pub use results::*;
pub use run::{MemoryLimit, analyze, compute};
pub use saddlescope_krylov::Estimate;
pub use saddlescope_krylov::SpectrumEnd;
pub use selection::*;
pub(crate) use stages::eigenpairs::mean_over_chunks;
pub use stages::eigenpairs::weighted_std_error;
pub use stages::escape::{escaped_weights, moved};
pub use stages::reach::radius;
pub use stages::self_check::{ALLOWED as DERIVATIVE_TOLERANCE, Difference, product_against_difference};
pub use store::{Dependencies, Folder, Record, Spent, State};
pub(crate) use subject::identity_at;
pub use subject::{Split, Subject};
pub use verdict::CRITICAL_SHARE;
pub(crate) use verdict::{capitalised, vanishes};

pub(crate) use remembered::kept_selection;
pub(crate) use rows::{ROWS, evaluate_rows};
pub(crate) use run::{memory_of, plan as plan_of};
pub(crate) use stages::reach::{shown_change, symmetric_axis};
pub(crate) use store::Slot;
