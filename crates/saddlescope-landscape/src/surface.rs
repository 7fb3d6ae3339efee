//! The loss over a plane: a grid of raw values, evaluated row by row.

use crate::evaluation::{RowError, Threading, measure_row};
use crate::risk::{Evaluation, Risk};
use crate::sampling_error::{LossDifference, PointErrors, loss_std_error};
use crate::{Axis, Plane};
use saddlescope_figure::floats;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// ℓ(α, β) = L(θ* + αη + βδ) on a grid (2.9).
///
/// Values are raw: NaN and infinities stay where they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Surface {
    /// α, along the plane's first direction: the rows.
    pub a: Axis,
    /// β, along the plane's second direction: the columns.
    pub b: Axis,
    /// Row-major losses: the one at (αᵢ, βⱼ) is `loss[i * b.count() + j]`.
    #[serde(with = "floats")]
    pub loss: Vec<f64>,
    /// Accuracies in the same order, when the measure gives them.
    #[serde(default, with = "floats::optional", skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Vec<f64>>,
    /// L(θ*) on the same samples, which need not be on the grid.
    #[serde(with = "floats::scalar")]
    pub center: f64,
    /// Its standard error over the samples, where it is known.
    #[serde(default, with = "floats::known")]
    pub center_std_error: Option<f64>,
    /// Standard errors over the samples in the same order, where the risk gives the parts that they follow from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<PointErrors>,
    /// Which points were evaluated, in the same order; the others are interpolated between them, to within their errors. `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluated: Option<Vec<bool>>,
}

/// The smallest value of a grid and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GridMinimum {
    /// α of the smallest loss.
    pub alpha: f64,
    /// β of the smallest loss.
    pub beta: f64,
    /// The smallest loss.
    pub loss: f64,
    /// Row and column.
    pub cell: (usize, usize),
    /// By how much it differs from the loss at θ*, on the same samples.
    pub difference: LossDifference,
}

/// Rows of a surface that are already known, from the first row on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FinishedRows {
    /// Row-major losses, whole rows.
    pub loss: Vec<f64>,
    /// Accuracies in the same order, when there are any.
    pub accuracy: Option<Vec<f64>>,
    /// Standard errors in the same order, when there are any.
    #[serde(default)]
    pub errors: Option<PointErrors>,
}

/// One new row of a surface.
#[derive(Clone, Copy, Debug)]
pub struct SurfaceRow<'a> {
    /// Its number, from 0.
    pub index: usize,
    /// How many rows the surface has.
    pub total: usize,
    /// α of this row.
    pub alpha: f64,
    /// Losses over β.
    pub loss: &'a [f64],
    /// Accuracies over β, when there are any.
    pub accuracy: Option<&'a [f64]>,
    /// Standard errors over β, when there are any.
    pub errors: Option<&'a PointErrors>,
}

/// What came of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub enum SurfaceOutcome {
    /// The whole grid.
    Complete(Surface),
    /// The caller stopped it; these rows are finished and can be given to a later call.
    Stopped(FinishedRows),
}

/// Why a surface cannot be evaluated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SurfaceError {
    /// Rows to continue from that do not fit the grid.
    #[error("the rows to continue from hold {found} {what}; expected a multiple of {columns} up to {cells}")]
    FinishedRows {
        /// Losses, accuracies or errors.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// Length of a row.
        columns: usize,
        /// Size of the whole grid.
        cells: usize,
    },
    /// The grid cannot be held in memory.
    #[error("a grid of {rows} × {columns} points is too large; the limit is {limit} points")]
    TooLarge {
        /// Number of rows.
        rows: usize,
        /// Number of columns.
        columns: usize,
        /// Largest number of points.
        limit: usize,
    },
    /// Finished rows with errors where the risk gives none, or without where it does.
    #[error("some rows of the grid have errors over the samples and others have none")]
    SomeErrors,
    /// A row cannot be evaluated.
    #[error(transparent)]
    Row(#[from] RowError),
}

/// Most points of a grid.
pub const LARGEST_GRID: usize = 100_000_000;

impl Surface {
    /// The loss at row `row` (α) and column `column` (β).
    pub fn loss_at(&self, row: usize, column: usize) -> Option<f64> {
        (column < self.b.count()).then(|| self.loss.get(row * self.b.count() + column).copied()).flatten()
    }

    /// Where the loss is smallest (the first of equals), leaving NaN out; `None` when all are NaN.
    pub fn minimum(&self) -> Option<GridMinimum> {
        let columns = self.b.count();
        let best = smallest(&self.loss)?;
        let (row, column) = (best / columns, best % columns);
        Some(GridMinimum {
            alpha: self.a.value(row),
            beta: self.b.value(column),
            loss: self.loss[best],
            cell: (row, column),
            difference: self.difference(best),
        })
    }

    /// By how much the loss at grid point `index` (row-major) differs from the loss at θ*.
    pub fn difference(&self, index: usize) -> LossDifference {
        let value = self.loss.get(index).copied().unwrap_or(f64::NAN) - self.center;
        let error = self.errors.as_ref().and_then(|e| e.difference.get(index).copied());
        LossDifference { value, std_error: error.filter(|e| !e.is_nan()) }
    }

    /// Number of points that were evaluated.
    pub fn evaluated_points(&self) -> usize {
        self.evaluated.as_ref().map_or(self.loss.len(), |e| e.iter().filter(|&&e| e).count())
    }

    /// Number of NaN losses.
    pub fn nan_count(&self) -> usize {
        self.loss.iter().filter(|x| x.is_nan()).count()
    }
}

/// Position of the smallest value that is not NaN.
pub(crate) fn smallest(values: &[f64]) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (i, value) in values.iter().enumerate() {
        if !value.is_nan() && best.is_none_or(|b| *value < values[b]) {
            best = Some(i);
        }
    }
    best
}

/// Evaluates a risk over the grid of `a` and `b` in `plane`, row by row, after its value at θ*.
///
/// `finished` holds rows from an
/// earlier call; they are not computed again. `on_row` sees every new row as soon as it is ready and may stop the
/// evaluation. With [`Threading::Spread`] the points of a row are spread over the threads of the current rayon
/// pool; use it only when the risk itself is single-threaded. The values do not depend on it.
///
/// # Errors
/// A grid beyond [`LARGEST_GRID`], finished rows that do not fit, points with and without an accuracy, a risk that fails.
pub fn evaluate_surface(
    plane: &Plane,
    a: Axis,
    b: Axis,
    finished: FinishedRows,
    threading: Threading,
    risk: &dyn Risk,
    on_row: &mut dyn FnMut(SurfaceRow<'_>) -> ControlFlow<()>,
) -> Result<SurfaceOutcome, SurfaceError> {
    let cells = a.count().saturating_mul(b.count());
    check_finished(&finished, b.count(), cells)?;
    let center = risk.evaluate(plane.center()).map_err(RowError::from)?;
    evaluate_around(&center, plane, [a, b], finished, threading, risk, on_row)
}

/// [`evaluate_surface`] with the value at θ* known.
pub(crate) fn evaluate_around(
    center: &Evaluation,
    plane: &Plane,
    [a, b]: [Axis; 2],
    finished: FinishedRows,
    threading: Threading,
    risk: &dyn Risk,
    on_row: &mut dyn FnMut(SurfaceRow<'_>) -> ControlFlow<()>,
) -> Result<SurfaceOutcome, SurfaceError> {
    let (rows, columns) = (a.count(), b.count());
    let cells = rows.saturating_mul(columns);
    if cells > LARGEST_GRID {
        return Err(SurfaceError::TooLarge { rows, columns, limit: LARGEST_GRID });
    }
    check_finished(&finished, columns, cells)?;
    let start = finished.loss.len() / columns;
    let FinishedRows { mut loss, mut accuracy, mut errors } = finished;
    if start == 0 {
        (accuracy, errors) = (None, None);
    }
    loss.reserve_exact(cells - loss.len());
    for index in start..rows {
        let alpha = a.value(index);
        let has_accuracy = (index > 0).then_some(accuracy.is_some());
        let row = measure_row(
            plane.center().len(),
            columns,
            threading,
            has_accuracy,
            risk,
            center,
            &|j, theta| plane.point(alpha, b.value(j), theta),
        )?;
        if index > 0 && errors.is_some() != row.errors.is_some() {
            return Err(SurfaceError::SomeErrors);
        }
        let control = on_row(SurfaceRow {
            index,
            total: rows,
            alpha,
            loss: &row.loss,
            accuracy: row.accuracy.as_deref(),
            errors: row.errors.as_ref(),
        });
        loss.extend_from_slice(&row.loss);
        if let Some(new) = row.accuracy {
            accuracy.get_or_insert_default().extend_from_slice(&new);
        }
        if let Some(new) = row.errors {
            errors.get_or_insert_default().extend(&new);
        }
        if control.is_break() && index + 1 < rows {
            return Ok(SurfaceOutcome::Stopped(FinishedRows { loss, accuracy, errors }));
        }
    }
    let center_std_error = loss_std_error(center);
    Ok(SurfaceOutcome::Complete(Surface {
        a,
        b,
        loss,
        accuracy,
        center: center.loss,
        center_std_error,
        errors,
        evaluated: None,
    }))
}

fn check_finished(finished: &FinishedRows, columns: usize, cells: usize) -> Result<(), SurfaceError> {
    let losses = finished.loss.len();
    if !losses.is_multiple_of(columns) || losses > cells {
        return Err(SurfaceError::FinishedRows { what: "losses", found: losses, columns, cells });
    }
    let wrong = |what, found| Err(SurfaceError::FinishedRows { what, found, columns, cells: losses });
    match (&finished.accuracy, &finished.errors) {
        (Some(accuracy), _) if accuracy.len() != losses => wrong("accuracies", accuracy.len()),
        (_, Some(e)) if e.loss.len() != losses => wrong("errors", e.loss.len()),
        (_, Some(e)) if e.difference.len() != losses => wrong("errors of differences", e.difference.len()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
