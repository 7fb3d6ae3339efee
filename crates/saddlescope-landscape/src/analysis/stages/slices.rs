//! Surfaces and cuts as they are kept and drawn, and how far their axes reach.

use saddlescope_figure::{Grid, floats};
use serde::{Deserialize, Serialize};

use super::super::error::AnalysisError;
use crate::axis::Axis;
use crate::presentation::{accuracy_grid, surface_grid};
use crate::surface::Surface;

/// A surface with what its axes are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NamedSurface {
    /// Name, also of its files.
    pub name: String,
    /// Which samples.
    pub split: String,
    /// Both directions in words.
    pub directions: [String; 2],
    /// Labels of both axes (markup).
    pub labels: [String; 2],
    /// Which plane, as a heading.
    pub heading: String,
    /// Whether it is a neighbourhood of the point, in a plane shown elsewhere as a whole.
    pub zoom: bool,
    /// The values.
    pub surface: Surface,
}

impl NamedSurface {
    /// The losses with their labels.
    pub fn grid(&self) -> Grid {
        let [x, y] = self.labels.clone();
        surface_grid(&self.surface).labels(x, y, "loss")
    }

    /// The accuracies with their labels; `None` without classes.
    pub fn accuracy_grid(&self) -> Option<Grid> {
        let [x, y] = self.labels.clone();
        accuracy_grid(&self.surface).map(|grid| grid.labels(x, y, "accuracy"))
    }
}

/// A cut along one direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cut {
    /// Name, also of its file.
    pub name: String,
    /// The direction in words.
    pub direction: String,
    /// Curvature along it, for the quadratic prediction.
    #[serde(with = "floats::scalar")]
    pub curvature: f64,
    /// Slope along it.
    #[serde(with = "floats::scalar")]
    pub slope: f64,
    /// Coordinates.
    #[serde(with = "floats")]
    pub alpha: Vec<f64>,
    /// Loss on the samples of the analysis.
    #[serde(with = "floats")]
    pub loss: Vec<f64>,
    /// Loss on the other split, if there is one.
    #[serde(default, with = "floats::optional", skip_serializing_if = "Option::is_none")]
    pub other_loss: Option<Vec<f64>>,
}

/// Half-width at which the quadratic model changes the loss by `change`: √(2·change/|λ|).
pub fn radius(change: f64, curvature: f64) -> f64 {
    let r = (2.0 * change / curvature.abs()).sqrt();
    if r.is_finite() && r > 0.0 { r.min(1e3) } else { 1.0 }
}

/// Change of the loss that a surface should show: four times the loss itself.
pub fn shown_change(loss: f64) -> f64 {
    if loss.is_finite() { (4.0 * loss.abs()).max(1e-3) } else { 1.0 }
}

/// An axis symmetric about 0 with an odd number of points, so that the point studied is on the grid.
///
/// # Errors
/// If the radius is not positive.
pub fn symmetric_axis(radius: f64, points: usize) -> Result<Axis, AnalysisError> {
    let points = points | 1;
    Axis::new(-radius, radius, points).map_err(|e| AnalysisError::Other(e.to_string()))
}
