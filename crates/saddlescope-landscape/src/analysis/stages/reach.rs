//! How far the axes of cuts and surfaces reach.

use super::super::error::AnalysisError;
use crate::axis::Axis;

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
