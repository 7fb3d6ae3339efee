//! Measures of sharpness, each by its definition, with its error and its cost.
//!
//! They do not measure the same thing: a network can be rescaled without changing its function so that one measure grows
//! a thousandfold and another does not move (Dinh et al. 2017; [`rescale`]). So every number here carries the name of
//! its measure, and nothing is called flat without it. [`docs`](MeasureKind) has formulas and sources;
//! [`measures`] computes all that a risk offers.
//!
//! ```
//! use saddlescope_landscape::analytic::Quadratic;
//! use saddlescope_landscape::sharpness::{MeasureKind, SharpnessOptions, measures};
//!
//! let risk = Quadratic::diagonal(vec![4.0, 1.0, -2.0])?;
//! let found = measures(&risk, &[0.0; 3], &SharpnessOptions::default(), 0)?;
//! let top = found.measured.iter().find(|m| m.kind == MeasureKind::LargestEigenvalue).ok_or("none")?;
//! assert!((top.value - 4.0).abs() < 1e-9);
//! // At a critical point a gradient step has no direction: critical sharpness is left out, with the reason.
//! assert!(found.left_out.iter().any(|(kind, _)| *kind == MeasureKind::Critical));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ascent;
mod compute;
mod critical;
mod kinds;
mod measure;
mod metric;
pub mod rescale;

pub use ascent::{Around, Ascent, AscentOptions, climb};
pub use compute::{Sharpness, measures};
pub use critical::{CriticalSharpness, critical_sharpness};
pub use kinds::MeasureKind;
pub use measure::{Measure, Measures, NotDefined, SharpnessOptions};
pub use metric::{FlatnessProbes, Form, RescaledHessian, form};
