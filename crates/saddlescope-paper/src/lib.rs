//! The figures and numbers of Böttcher & Wheeler, *Visualizing high-dimensional loss landscapes with Hessian
//! directions* (2022), with the paper's parameters.
//!
//! Figures 1 to 4 and the numbers of the text need no network: [`make_figure`], [`text_numbers`]. Each figure comes
//! as data ([`Figure`]) with its rows of the table "printed / exact / ours ± error" ([`NumberTable`]). Figures 5 to 7
//! need trained networks and images: [`network_landscape`], then [`network_figure`].
//!
//! ```
//! use std::sync::atomic::AtomicBool;
//! use saddlescope_paper::{PaperFigure, make_figure};
//!
//! // Figure 1: the loss (2.28) along eigenvectors and along random directions.
//! let made = make_figure(PaperFigure::Planes, 1, &AtomicBool::new(false))?;
//! assert!(!made.numbers.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod figure1;
mod figure2;
mod figure3;
mod figure4;
mod figures567;
mod network;
mod numbers;
mod output;
mod report;
mod text;

pub use network::{NetworkLandscape, NetworkSettings, PaperNetwork, network_landscape};
pub use numbers::{Comparison, Finding, Measured, NumberTable};
pub use output::PaperOutput;
pub use report::paper_report;
pub use text::text_numbers;

use saddlescope_figure::Figure;
use saddlescope_landscape::CurvatureFitError;
use saddlescope_landscape::analytic::AnalyticError;
use saddlescope_landscape::projection::{EnsembleError, HistogramError, PlaneEnsemble, SpectrumError};
use saddlescope_landscape::{AxisError, DirectionError, PlaneError, RiskError, SurfaceError};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

/// A figure of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PaperFigure {
    /// Planes of loss (2.28) along eigenvectors and along random directions.
    Planes,
    /// Ensemble averages of Hessian components and principal curvatures.
    Averages,
    /// Distributions of principal curvatures.
    Distributions,
    /// Trace estimates: Hutchinson and curvature fits.
    Traces,
    /// ResNet-56 along Hessian and random directions.
    ResNet56,
    /// DenseNet-121 along Hessian and random directions.
    DenseNet121,
    /// Heat maps of both networks on training and test data.
    HeatMaps,
}

impl PaperFigure {
    /// The figures that need no network, in order.
    pub const ANALYTIC: [Self; 4] = [Self::Planes, Self::Averages, Self::Distributions, Self::Traces];

    /// The figure of this number in the paper, 1 to 7.
    ///
    /// # Errors
    /// Another number.
    pub fn from_number(number: u32) -> Result<Self, PaperError> {
        Ok(match number {
            1 => Self::Planes,
            2 => Self::Averages,
            3 => Self::Distributions,
            4 => Self::Traces,
            5 => Self::ResNet56,
            6 => Self::DenseNet121,
            7 => Self::HeatMaps,
            _ => return Err(PaperError::UnknownFigure { number }),
        })
    }

    /// Its number in the paper.
    pub fn number(self) -> u32 {
        self as u32 + 1
    }

    /// Whether it needs trained weights and images.
    pub fn needs_network(self) -> bool {
        self.number() > 4
    }
}

impl fmt::Display for PaperFigure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Figure {}", self.number())
    }
}

/// Why a figure was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PaperError {
    /// The paper has no such figure.
    #[error("the paper has no Figure {number}; it has Figures 1 to 7")]
    UnknownFigure {
        /// The number asked for.
        number: u32,
    },
    /// The figure is made from a trained network.
    #[error("{figure} needs a trained network and its images")]
    NeedsNetwork {
        /// The figure asked for.
        figure: PaperFigure,
    },
    /// The caller asked to stop.
    #[error("stopped before {figure} was finished")]
    Stopped {
        /// The figure that was being made.
        figure: &'static str,
    },
    /// The analysis of a network stopped.
    #[error(transparent)]
    Analysis(#[from] saddlescope_landscape::analysis::AnalysisError),
    /// A computation refused its input.
    #[error("{0}")]
    Computation(Box<dyn std::error::Error + Send + Sync>),
}

macro_rules! from_computation {
    ($($error:ty),*) => {$(
        impl From<$error> for PaperError {
            fn from(error: $error) -> Self {
                Self::Computation(Box::new(error))
            }
        }
    )*};
}
from_computation!(
    AnalyticError,
    AxisError,
    CurvatureFitError,
    DirectionError,
    EnsembleError,
    HistogramError,
    PlaneError,
    SpectrumError,
    SurfaceError,
    RiskError,
    saddlescope_krylov::TraceError
);

/// A figure as data, with its rows of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct FigureResult {
    /// Which figure.
    pub number: u32,
    /// What it shows.
    pub figure: Figure,
    /// Numbers the paper gives for it, beside the exact ones and ours.
    pub numbers: Vec<Comparison>,
}

/// Makes one of the Figures 1 to 4. `seed` fixes every random direction; `stop` is looked at often.
///
/// # Errors
/// A figure that needs a network, or the wish to stop.
pub fn make_figure(figure: PaperFigure, seed: u64, stop: &AtomicBool) -> Result<FigureResult, PaperError> {
    match figure {
        PaperFigure::Planes => figure1::make(seed, stop),
        PaperFigure::Averages => figure2::make(seed, stop),
        PaperFigure::Distributions => figure3::make(seed, stop),
        PaperFigure::Traces => figure4::make(seed, stop),
        PaperFigure::ResNet56 | PaperFigure::DenseNet121 | PaperFigure::HeatMaps => {
            Err(PaperError::NeedsNetwork { figure })
        }
    }
}

/// Figure 5, 6 or 7 from the landscapes of its networks; `None` if that network is not among them.
pub fn network_figure(figure: PaperFigure, landscapes: &[NetworkLandscape]) -> Option<FigureResult> {
    match figure {
        PaperFigure::HeatMaps if !landscapes.is_empty() => Some(figures567::heat_maps(landscapes)),
        _ => landscapes.iter().find(|l| l.network.figure() == figure).map(figures567::surfaces),
    }
}

/// A seed of its own for each ensemble, so that no two of them share directions.
fn seed_of(seed: u64, figure: u64, part: u64) -> u64 {
    seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(16 * figure + part)
}

/// Progress that only looks at the wish to stop.
fn unless(stop: &AtomicBool) -> impl FnMut(usize) -> ControlFlow<()> + '_ {
    |_| if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// An error when the caller asked to stop.
fn check_stop(stop: &AtomicBool, figure: &'static str) -> Result<(), PaperError> {
    if stop.load(Ordering::Relaxed) { Err(PaperError::Stopped { figure }) } else { Ok(()) }
}

/// An ensemble of random planes at the critical point of an analytic loss.
fn ensemble(
    loss: &dyn saddlescope_landscape::analytic::KnownCriticalPoint,
    draws: usize,
    seed: u64,
    stop: &AtomicBool,
    figure: &'static str,
) -> Result<PlaneEnsemble, PaperError> {
    let point = loss.at(&loss.critical_point(), 0)?;
    let options = saddlescope_landscape::projection::EnsembleOptions {
        draws,
        seed,
        threading: saddlescope_landscape::Threading::Spread,
    };
    let ensemble =
        saddlescope_landscape::projection::sample_planes(&*point, loss.dim(), options, &mut unless(stop))?;
    check_stop(stop, figure)?;
    Ok(ensemble)
}

#[cfg(test)]
mod tests;
