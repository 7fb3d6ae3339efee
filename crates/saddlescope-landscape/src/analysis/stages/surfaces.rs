//! Surfaces: the loss over two directions, on one set of samples.

use serde::Serialize;

use super::super::directions::NamedDirection;
use super::super::error::AnalysisError;
use super::super::folder_error::FolderError;
use super::super::found::Found;
use super::super::found::NamedSurface;
use super::super::plan::Forecast;
use super::super::requests::DirectionRequest;
use super::super::rows::{Contents, ROWS, RowLog, evaluate_rows, fingerprint};
use super::super::selection::RandomDirectionOptions;
use super::super::stage::{At, Env, Keys, Samples, Stage};
use super::super::store::{Dependencies, Slot};
use super::super::subject::Split;
use super::cuts::KEPT;
use super::lines::{Reach, curvature, direction_dependencies, have_eigenpairs};
use super::reach::{radius, shown_change, symmetric_axis};
use crate::adaptive::{Value, evaluate_adaptively, measure};
use crate::axis::Axis;
use crate::plane::Plane;
use crate::risk::{Evaluation, Risk};
use crate::sampling_error::{PointErrors, has_parts};
use crate::surface::{SurfaceError, SurfaceRow};

/// How far both axes of a plane reach.
#[derive(Clone, Debug, Serialize)]
pub(super) enum Axes {
    /// Each by itself.
    Each([Reach; 2]),
    /// The plane of the extreme eigenvectors: half-widths or `None` (from the curvatures and the escape), and points.
    Hessian(Option<[f64; 2]>, usize),
    /// Its neighbourhood of θ, where both axes change the quadratic model by the same small amount.
    Neighbourhood(usize),
}

/// One surface on one set of samples.
pub(super) struct SurfaceStage {
    pub(super) plane: String,
    pub(super) heading: String,
    pub(super) directions: [DirectionRequest; 2],
    pub(super) axes: Axes,
    /// Axis labels instead of those of the directions.
    pub(super) labels: Option<String>,
    pub(super) other: bool,
    pub(super) split: String,
    pub(super) random: RandomDirectionOptions,
    /// Whether it is one of the usual ones rather than one that was asked for by its directions.
    pub(super) usual: bool,
    /// Whether only points are evaluated where interpolation is wrong.
    pub(super) adaptive: bool,
}

impl SurfaceStage {
    fn split<'a>(&self, env: &Env<'a>) -> Result<Split<'a>, AnalysisError> {
        if !self.other {
            return Ok(env.subject.slice_split());
        }
        env.subject.other.ok_or_else(|| AnalysisError::Other("there are no other samples".into()))
    }

    fn axes(&self, at: &At<'_, '_>, directions: [&NamedDirection; 2]) -> Result<[Axis; 2], AnalysisError> {
        let change = shown_change(at.found.point()?.loss);
        let around = |at: &At<'_, '_>, change: f64| -> Result<[f64; 2], AnalysisError> {
            let [u, v] = directions;
            Ok([radius(change, curvature(at, u)?), radius(change, curvature(at, v)?)])
        };
        let (radii, grid) = match &self.axes {
            Axes::Each([a, b]) => return Ok([a.axis(at, directions[0])?, b.axis(at, directions[1])?]),
            Axes::Hessian(Some(radii), grid) => (*radii, *grid),
            Axes::Hessian(None, grid) => {
                let mut radii = around(at, change)?;
                if let Some(e) = &at.found.escape {
                    // The smallest loss along negative curvature should lie well inside the picture.
                    radii[1] = radii[1].max(1.6 * e.step.abs());
                }
                (radii, *grid)
            }
            Axes::Neighbourhood(grid) => (around(at, 0.05 * change)?, *grid),
        };
        Ok([symmetric_axis(radii[0], grid)?, symmetric_axis(radii[1], grid)?])
    }
}

impl Stage for SurfaceStage {
    type Output = NamedSurface;

    fn name(&self) -> String {
        format!("surface-{}-{}", self.plane, self.split)
    }

    fn title(&self) -> String {
        format!("surface {}-{}", self.plane, self.split)
    }

    fn dependencies(&self, keys: &Keys) -> Dependencies {
        let mut of = direction_dependencies(&self.directions, &self.random, keys);
        of.insert("axes".into(), serde_json::to_value(&self.axes).unwrap_or_default());
        of.insert("kept".into(), KEPT.into());
        of.insert("samples".into(), if self.other { keys.other.clone() } else { keys.slices.clone() });
        if self.adaptive {
            of.insert("adaptive".into(), true.into());
        }
        if matches!(self.axes, Axes::Hessian(None, _)) {
            of.insert("stage.escape".into(), keys.escape.clone().into());
        }
        of
    }

    fn forecast(&self, _env: &Env<'_>) -> Forecast {
        let points = match &self.axes {
            Axes::Each([a, b]) => a.points() * b.points(),
            Axes::Hessian(_, grid) | Axes::Neighbourhood(grid) => (grid | 1) * (grid | 1),
        };
        Forecast { products: 0, evaluations: points }
    }

    fn may_be_left_out(&self) -> bool {
        self.usual
    }

    fn applies(&self, found: &Found) -> bool {
        have_eigenpairs(&self.directions, found)
    }

    fn compute(&self, at: &mut At<'_, '_>, _: Option<NamedSurface>) -> Result<NamedSurface, AnalysisError> {
        let env = at.env;
        let [u, v] = &self.directions;
        let found = at.found.eigenpairs.as_ref();
        let (u, v) =
            (u.resolve(env.subject, found, env.selection)?, v.resolve(env.subject, found, env.selection)?);
        let axes = self.axes(at, [&u, &v])?;
        let label = |own: &str| self.labels.clone().unwrap_or_else(|| own.to_string());
        let labels = [format!("$\\alpha$ ({})", label(&u.label)), format!("$\\beta$ ({})", label(&v.label))];
        let words = [u.words, v.words];
        let plane = Plane::new(env.subject.theta().to_vec(), u.direction, v.direction)?;
        let split = self.split(env)?;
        // Without parts there is nothing to learn from another evaluation at θ.
        let center = match (at.found.point()?, split.risk.offers().chunks) {
            (_, true) => {
                let samples = if self.other { Samples::Other } else { Samples::Slices };
                env.here(samples)?.clone()
            }
            (point, false) if self.other => Evaluation::of_loss(point.other.map_or(f64::NAN, |o| o.0)),
            (point, false) => Evaluation::of_loss(point.slices.0),
        };
        let here = (split.risk, &center);
        let surface = if self.adaptive {
            evaluate_some(at, &self.title(), here, &plane, axes)?
        } else {
            evaluate(at, &self.title(), here, &plane, axes)?
        };
        Ok(NamedSurface {
            name: format!("{}-{}", self.plane, self.split),
            split: self.split.clone(),
            directions: words,
            labels,
            heading: self.heading.clone(),
            zoom: matches!(self.axes, Axes::Neighbourhood(_)),
            samples: split.risk.samples(),
            surface,
        })
    }

    fn file(&self, output: NamedSurface, slot: &Slot, found: &mut Found) -> Result<(), AnalysisError> {
        slot.remove(ROWS)?;
        found.surfaces.push(output);
        Ok(())
    }
}

/// Evaluates a surface row by row, going on from the rows that are on disk.
fn evaluate(
    at: &mut At<'_, '_>,
    title: &str,
    (risk, center): (&dyn Risk, &Evaluation),
    plane: &Plane,
    axes: [Axis; 2],
) -> Result<crate::surface::Surface, AnalysisError> {
    let env = at.env;
    let mut count = |evaluations: usize| env.count_evaluations(evaluations);
    evaluate_rows(at.slot, &mut *at.monitor, &mut count, title, (risk, Some(center)), plane, axes)
}

/// Evaluates a surface where interpolation is wrong by more than the errors, going on from the points that are on disk.
fn evaluate_some(
    at: &mut At<'_, '_>,
    title: &str,
    (risk, center): (&dyn Risk, &Evaluation),
    plane: &Plane,
    axes: [Axis; 2],
) -> Result<crate::surface::Surface, AnalysisError> {
    let path = at.slot.file(ROWS);
    let with = Contents { accuracy: risk.offers().accuracy, errors: has_parts(center) };
    // One point a row. They come in an order that depends on their values alone.
    let [a, b] = axes;
    let (mut log, finished) = RowLog::open(&path, 1, with, fingerprint(plane, [&a, &b]))?;
    let (env, monitor) = (at.env, &mut *at.monitor);
    monitor.begin(title, None);
    let (mut theta, mut known) = (vec![0.0; plane.center().len()], 0);
    let surface = evaluate_adaptively(center, axes, &mut |i, j| {
        let place = known;
        known += 1;
        if let Some(&loss) = finished.loss.get(place) {
            let accuracy = finished.accuracy.as_ref().map(|a| a[place]);
            let errors = finished.errors.as_ref().map(|e| [e.loss[place], e.difference[place]]);
            return Ok(Value { loss, accuracy, errors });
        }
        if monitor.cancelled() {
            return Err(AnalysisError::Cancelled);
        }
        let point = [a.value(i), b.value(j)];
        env.count_evaluations(1);
        let value = measure(risk, plane, center, point, &mut theta).map_err(SurfaceError::from)?;
        let errors = value
            .errors
            .map(|[loss, difference]| PointErrors { loss: vec![loss], difference: vec![difference] });
        let accuracy = value.accuracy.map(|a| [a]);
        let row = SurfaceRow {
            index: place,
            total: a.count() * b.count(),
            alpha: point[0],
            loss: &[value.loss],
            accuracy: accuracy.as_ref().map(|a| &a[..]),
            errors: errors.as_ref(),
        };
        log.push(&row).map_err(|reason| FolderError::Io { path: path.clone(), reason })?;
        monitor.advance(place as u64 + 1, "");
        Ok::<_, AnalysisError>(value)
    })?;
    monitor.end(&format!("{} of {} points evaluated", surface.evaluated_points(), surface.loss.len()));
    Ok(surface)
}
