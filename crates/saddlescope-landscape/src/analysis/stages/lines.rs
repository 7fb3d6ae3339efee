//! The directions of cuts and surfaces, and how far their axes reach.

use serde::Serialize;

use super::super::directions::NamedDirection;
use super::super::error::AnalysisError;
use super::super::found::Found;
use super::super::requests::DirectionRequest;
use super::super::selection::{RandomDirectionOptions, Selection};
use super::super::stage::{At, Keys, of};
use super::super::store::Dependencies;
use super::reach::{radius, shown_change, symmetric_axis};
use crate::axis::Axis;
use crate::direction::Origin;
use crate::numeric::dot;
use crate::risk::Curvature;
use saddlescope_krylov::SpectrumEnd;

pub(super) const LARGEST: DirectionRequest =
    DirectionRequest::Eigenvector { end: SpectrumEnd::Largest, index: 1 };
pub(super) const SMALLEST: DirectionRequest =
    DirectionRequest::Eigenvector { end: SpectrumEnd::Smallest, index: 1 };

/// Curvature vᵀHv along a direction: λ where the direction is an eigenvector, one product otherwise; NaN without products.
pub(super) fn curvature(at: &At<'_, '_>, direction: &NamedDirection) -> Result<f64, AnalysisError> {
    if let Origin::Eigenvector { value, .. } = direction.direction.origin() {
        return Ok(*value);
    }
    if !at.env.subject.risk().offers().product(Curvature::Hessian) {
        return Ok(f64::NAN);
    }
    let v = direction.direction.vector();
    let mut hv = vec![0.0; v.len()];
    at.env.product(Curvature::Hessian, v, &mut hv)?;
    Ok(dot(v, &hv))
}

/// How far an axis reaches.
#[derive(Clone, Debug, Serialize)]
pub(super) enum Reach {
    /// As given.
    Given(Axis),
    /// A half-width and a number of points.
    Radius(f64, usize),
    /// So far that the quadratic model changes the loss visibly, with a number of points.
    FromCurvature(usize),
    /// A random direction reaches a given half-width, any other as far as its curvature says.
    ByKind { random: f64, points: usize },
}

impl Reach {
    pub(super) fn points(&self) -> usize {
        match self {
            Self::Given(axis) => axis.count(),
            Self::Radius(_, points) | Self::FromCurvature(points) | Self::ByKind { points, .. } => points | 1,
        }
    }

    pub(super) fn axis(&self, at: &At<'_, '_>, direction: &NamedDirection) -> Result<Axis, AnalysisError> {
        match *self {
            Self::Given(axis) => Ok(axis),
            Self::Radius(r, points) => symmetric_axis(r, points),
            Self::ByKind { random, points } if direction.filtered => symmetric_axis(random, points),
            Self::FromCurvature(points) | Self::ByKind { points, .. } => {
                let change = shown_change(at.found.point()?.loss);
                symmetric_axis(radius(change, curvature(at, direction)?), points)
            }
        }
    }
}

/// Whether any of the directions is an eigenvector of this run.
pub(super) fn uses_eigenpairs(directions: &[DirectionRequest]) -> bool {
    directions.iter().any(|d| matches!(d, DirectionRequest::Eigenvector { .. }))
}

/// Whether the eigenvectors that these directions name were found.
pub(super) fn have_eigenpairs(directions: &[DirectionRequest], found: &Found) -> bool {
    directions.iter().all(|d| match d {
        DirectionRequest::Eigenvector { end, index } => {
            found.eigenpairs.as_ref().is_some_and(|e| e.pair(*end, *index).is_some())
        }
        _ => true,
    })
}

/// What slices along these directions depend on.
pub(super) fn direction_dependencies(
    directions: &[DirectionRequest],
    random: &RandomDirectionOptions,
    keys: &Keys,
) -> Dependencies {
    let mut of = of([
        ("directions", serde_json::to_value(directions).unwrap_or_default()),
        ("keep_biases", random.keep_biases.into()),
    ]);
    if uses_eigenpairs(directions) {
        keys.put_eigenpairs(&mut of);
    }
    of
}

pub(super) fn reach_of(selection: &Selection, given: Option<Axis>) -> Reach {
    match given {
        Some(axis) => Reach::Given(axis),
        None => Reach::ByKind { random: selection.random.radius, points: selection.slices.grid },
    }
}

/// The lines along which cuts and surfaces of a selection run, each once.
pub(super) fn lines(selection: &Selection) -> Vec<(DirectionRequest, Reach)> {
    let mut lines: Vec<(DirectionRequest, Reach)> = Vec::new();
    let usual = selection.cuts.is_some() || selection.surfaces.is_some();
    let points = 9;
    if let Some(pairs) = selection.eigenpairs.as_ref().filter(|_| usual) {
        let ends = [(pairs.largest > 0, LARGEST), (pairs.smallest > 0, SMALLEST)];
        lines.extend(ends.into_iter().filter(|e| e.0).map(|e| (e.1, Reach::FromCurvature(points))));
    }
    if usual {
        let filtered = DirectionRequest::Filtered { stream: 0 };
        lines.push((filtered, Reach::Radius(selection.random.radius, points)));
    }
    for request in &selection.slices.requests {
        for (i, direction) in request.directions.iter().enumerate() {
            if lines.iter().all(|(known, _)| known != direction) {
                let axis = request.axes.get(i).copied().flatten();
                lines.push((direction.clone(), reach_of(selection, axis)));
            }
        }
    }
    lines
}

/// How many lines that are.
pub(crate) fn line_count(selection: &Selection) -> usize {
    lines(selection).len()
}
