//! Surfaces and cuts, evaluated point by point and kept as they grow.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::error::AnalysisError;
use super::folder::{FolderError, RunFolder};
use super::monitor::Monitor;
use super::rows::{RowLog, fingerprint};
use super::subject::Subject;
use crate::axis::Axis;
use crate::direction::Direction;
use crate::evaluation::Threading;
use crate::plane::{Line, Plane};
use crate::presentation::{accuracy_grid, surface_grid};
use crate::risk::Risk;
use crate::surface::{Surface, SurfaceOutcome, evaluate_surface};
use saddlescope_figure::{Grid, floats};

/// A surface with what its axes are.
#[derive(Clone, Debug)]
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

/// Evaluates one surface, continuing from the rows that are on disk.
///
/// # Errors
/// Cancelled, or a folder that cannot be written.
pub fn surface(
    name: &str,
    risk: &dyn Risk,
    plane: &Plane,
    axes: [Axis; 2],
    folder: &RunFolder,
    monitor: &mut dyn Monitor,
) -> Result<Surface, AnalysisError> {
    let [a, b] = axes;
    let with_accuracy = risk.offers().accuracy;
    let path = folder.work(&format!("surface-{name}.rows"));
    let (mut log, finished) = RowLog::open(&path, b.count(), with_accuracy, fingerprint(plane, [&a, &b]))?;
    monitor.begin(&format!("surface {name}"), Some(a.count() as u64));
    monitor.advance((finished.loss.len() / b.count()) as u64, "");
    let mut failure: Option<AnalysisError> = None;
    let outcome = evaluate_surface(plane, a, b, finished, Threading::Sequential, risk, &mut |row| {
        if let Err(source) = log.push(row.loss, row.accuracy) {
            failure = Some(FolderError::Io { path: path.clone(), source }.into());
            return ControlFlow::Break(());
        }
        monitor.advance(row.index as u64 + 1, "");
        if monitor.cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if let Some(error) = failure {
        return Err(error);
    }
    match outcome {
        SurfaceOutcome::Complete(surface) => {
            monitor.end("");
            Ok(surface)
        }
        SurfaceOutcome::Stopped(_) => Err(AnalysisError::Cancelled),
    }
}

/// A cut to be evaluated.
pub struct CutRequest {
    /// Name, also of its file.
    pub name: String,
    /// The direction in words.
    pub words: String,
    /// The direction.
    pub direction: Direction,
    /// Curvature along the direction.
    pub curvature: f64,
    /// Slope along the direction.
    pub slope: f64,
    /// Where it is evaluated.
    pub axis: Axis,
}

/// Evaluates one cut through θ on both splits.
///
/// # Errors
/// Cancelled, or a folder that cannot be written.
pub fn cut(
    request: &CutRequest,
    subject: &Subject<'_>,
    folder: &RunFolder,
    monitor: &mut dyn Monitor,
) -> Result<Cut, AnalysisError> {
    let stage = format!("cut-{}", request.name);
    if let Some(cut) = folder.load::<Cut>(&stage)? {
        return Ok(cut);
    }
    let (risk, other) = (subject.slice_split().risk, subject.other.map(|s| s.risk));
    monitor.begin(&format!("cut {}", request.name), Some(request.axis.count() as u64));
    let line = Line::new(subject.theta().to_vec(), request.direction.clone())?;
    let mut moved = vec![0.0; subject.theta().len()];
    let (mut loss, mut other_loss) = (Vec::new(), other.map(|_| Vec::new()));
    for (i, alpha) in request.axis.values().into_iter().enumerate() {
        if monitor.cancelled() {
            return Err(AnalysisError::Cancelled);
        }
        line.point(alpha, &mut moved);
        loss.push(risk.evaluate(&moved)?.loss);
        if let (Some(risk), Some(values)) = (other, &mut other_loss) {
            values.push(risk.evaluate(&moved)?.loss);
        }
        monitor.advance(i as u64 + 1, "");
    }
    monitor.end("");
    let cut = Cut {
        name: request.name.clone(),
        direction: request.words.clone(),
        curvature: request.curvature,
        slope: request.slope,
        alpha: request.axis.values(),
        loss,
        other_loss,
    };
    folder.save(&stage, &cut)?;
    Ok(cut)
}
