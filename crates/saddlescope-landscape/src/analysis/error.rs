//! Why an analysis stops.

use crate::risk::RiskError;
use saddlescope_data::weights::WeightsError;
use saddlescope_krylov::{DensityError, LanczosError, ProductError, SnapshotError};

use super::folder_error::FolderError;
use super::memory::Saving;
use crate::curvature_fit::CurvatureFitError;
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
    /// The risk could not be evaluated, or a product failed.
    #[error(transparent)]
    Risk(RiskError),
    /// The eigenvalue solve was asked for something impossible.
    #[error(transparent)]
    Lanczos(LanczosError),
    /// The spectral density was asked for something impossible.
    #[error(transparent)]
    Density(DensityError),
    /// The curvature fits cannot be made.
    #[error(transparent)]
    Fit(CurvatureFitError),
    /// The state of a solve cannot be saved.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Vectors cannot be saved or read.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A direction cannot be used.
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
        "the analysis needs about {needed_mib} MiB, but {allowed_mib} MiB are allowed; fewer threads, fewer samples, single precision or less that is asked for need less"
    )]
    Memory {
        /// What is needed.
        needed_mib: usize,
        /// What is allowed.
        allowed_mib: usize,
        /// What can be left out or made smaller, and the MiB that are enough with that alone.
        savings: Vec<(Saving, usize)>,
        /// The MiB that are enough with all of it, where there are several.
        together_mib: Option<usize>,
    },
    /// A file that was given, or one of an earlier run, does not fit.
    #[error("{path}: {problem}")]
    Given {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The network cannot be rescaled.
    #[error(transparent)]
    Rescale(#[from] crate::sharpness::rescale::RescaleError),
    /// The weights given cannot be compared or joined.
    #[error(transparent)]
    Between(#[from] crate::between::BetweenError),
    /// Something else, in words.
    #[error("{0}")]
    Other(String),
}

impl AnalysisError {
    /// Whether it says that something cannot be made at this very point, rather than that something failed.
    pub(crate) fn is_of_the_point(&self) -> bool {
        matches!(self, Self::Direction(_) | Self::Plane(_) | Self::Fit(_))
    }
}

impl From<RiskError> for AnalysisError {
    fn from(error: RiskError) -> Self {
        match error {
            RiskError::Cancelled => Self::Cancelled,
            other => Self::Risk(other),
        }
    }
}

/// A product that failed or was cancelled.
impl From<ProductError> for AnalysisError {
    fn from(error: ProductError) -> Self {
        RiskError::from(error).into()
    }
}

impl From<LanczosError> for AnalysisError {
    fn from(error: LanczosError) -> Self {
        match error {
            LanczosError::Product(error) => error.into(),
            other => Self::Lanczos(other),
        }
    }
}

impl From<DensityError> for AnalysisError {
    fn from(error: DensityError) -> Self {
        match error {
            DensityError::Product(error) => error.into(),
            other => Self::Density(other),
        }
    }
}

impl From<CurvatureFitError> for AnalysisError {
    fn from(error: CurvatureFitError) -> Self {
        match error {
            CurvatureFitError::Risk(error) => error.into(),
            other => Self::Fit(other),
        }
    }
}
