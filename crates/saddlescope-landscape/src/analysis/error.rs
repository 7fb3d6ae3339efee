//! Why an analysis stops.

use crate::risk::RiskError;
use saddlescope_data::weights::WeightsError;
use saddlescope_krylov::{LanczosError, SnapshotError};

use super::folder::FolderError;
use crate::direction::DirectionError;
use crate::plane::PlaneError;
use crate::surface::SurfaceError;
use saddlescope_figure::FigureError;

/// Why an analysis stops.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnalysisError {
    /// Stopped by whoever watches; what was finished is saved.
    #[error("interrupted: the same command continues where it stopped")]
    Cancelled,
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The model and the data do not fit.
    #[error(transparent)]
    Risk(#[from] RiskError),
    /// The eigenvalue solve was asked for something impossible.
    #[error(transparent)]
    Lanczos(#[from] LanczosError),
    /// The state of a solve cannot be saved.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Vectors cannot be saved or read.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A direction is of no use.
    #[error(transparent)]
    Direction(#[from] DirectionError),
    /// Directions do not span a plane.
    #[error(transparent)]
    Plane(#[from] PlaneError),
    /// A grid cannot be evaluated.
    #[error(transparent)]
    Surface(#[from] SurfaceError),
    /// A figure cannot be drawn or written.
    #[error(transparent)]
    Figure(#[from] FigureError),
    /// The model does not pass its own checks.
    #[error("{0}")]
    SelfCheck(String),
    /// The memory given is not enough.
    #[error(
        "the analysis needs about {needed_mib} MiB, but --memory allows {allowed_mib} MiB; fewer eigenpairs, fewer --threads, fewer samples or --dtype f32 need less"
    )]
    Memory {
        /// What is needed.
        needed_mib: usize,
        /// What is allowed.
        allowed_mib: usize,
    },
    /// A file that was given, or one of an earlier run, does not fit.
    #[error("{path}: {problem}")]
    Given {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Something else, in words.
    #[error("{0}")]
    Other(String),
}
