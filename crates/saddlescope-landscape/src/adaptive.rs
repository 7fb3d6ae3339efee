//! A surface on a regular grid of which only some points are evaluated: a coarse grid, refined where interpolation is wrong by
//! more than the errors over the samples.
//!
//! Cells of the coarse grid are tested at their middle: where the loss there differs from a cubic interpolation (Catmull and Rom,
//! along both axes) by more than the standard error of its difference from the centre, the cell is cut into four, its edges
//! are evaluated, and the parts are tested in turn. Points that are not evaluated get the interpolated value. The smallest value of
//! the grid is always one that was evaluated. What is evaluated in which order depends on the values alone, so that a run that
//! was stopped goes on to the same bits from the points that it has.

use crate::axis::Axis;
use crate::evaluation::RowError;
use crate::plane::Plane;
use crate::risk::{Evaluation, Risk};
use crate::sampling_error::{PointErrors, has_parts, loss_std_error, paired_difference};
use crate::surface::{LARGEST_GRID, Surface, SurfaceError, smallest};

/// Cells along each side of the coarsest grid, at least.
const FEWEST_CELLS: usize = 8;

/// What one point is: loss, accuracy, standard errors of loss and difference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Value {
    pub loss: f64,
    pub accuracy: Option<f64>,
    pub errors: Option<[f64; 2]>,
}

/// Steps between the points of the coarsest grid: the largest power of two that divides both axes and leaves them at least
/// [`FEWEST_CELLS`] cells; 1 where there is none.
pub(crate) fn coarsest(axes: [Axis; 2]) -> usize {
    let fits = |step: usize| {
        axes.iter().all(|a| (a.count() - 1).is_multiple_of(step) && (a.count() - 1) / step >= FEWEST_CELLS)
    };
    let mut step = 1;
    while fits(2 * step) {
        step *= 2;
    }
    step
}

/// The smallest number of points, at least `points`, that can be halved down to the coarsest grid: 9, 17, 33, 65, …
pub fn adaptive_points(points: usize) -> usize {
    let mut cells = FEWEST_CELLS;
    while cells + 1 < points {
        cells *= 2;
    }
    cells + 1
}

/// Evaluates a risk at one point of a plane.
pub(crate) fn measure(
    risk: &dyn Risk,
    plane: &Plane,
    center: &Evaluation,
    at: [f64; 2],
    theta: &mut [f64],
) -> Result<Value, RowError> {
    plane.point(at[0], at[1], theta);
    let found = risk.evaluate(theta)?;
    let errors = has_parts(center).then(|| {
        let difference = paired_difference(center, &found).std_error;
        [loss_std_error(&found).unwrap_or(f64::NAN), difference.unwrap_or(f64::NAN)]
    });
    Ok(Value { loss: found.loss, accuracy: found.accuracy(), errors })
}

/// The grid in the making.
struct Grid<'a, E> {
    shape: [usize; 2],
    loss: Vec<f64>,
    accuracy: Option<Vec<f64>>,
    errors: Option<[Vec<f64>; 2]>,
    evaluated: Vec<bool>,
    evaluate: &'a mut dyn FnMut(usize, usize) -> Result<Value, E>,
}

impl<E: From<SurfaceError>> Grid<'_, E> {
    fn place(&self, i: usize, j: usize) -> usize {
        i * self.shape[1] + j
    }

    /// Evaluates a point that has not been.
    fn take(&mut self, i: usize, j: usize) -> Result<(), E> {
        let at = self.place(i, j);
        if self.evaluated[at] {
            return Ok(());
        }
        let value = (self.evaluate)(i, j)?;
        let cells = self.loss.len();
        if !self.evaluated.contains(&true) {
            self.accuracy = value.accuracy.map(|_| vec![f64::NAN; cells]);
            self.errors = value.errors.map(|_| [vec![f64::NAN; cells], vec![f64::NAN; cells]]);
        }
        self.loss[at] = value.loss;
        match (&mut self.accuracy, value.accuracy) {
            (Some(all), Some(new)) => all[at] = new,
            (None, None) => {}
            _ => return Err(SurfaceError::Row(RowError::SomeAccuracies).into()),
        }
        match (&mut self.errors, value.errors) {
            (Some(all), Some(new)) => (all[0][at], all[1][at]) = (new[0], new[1]),
            (None, None) => {}
            _ => return Err(SurfaceError::SomeErrors.into()),
        }
        self.evaluated[at] = true;
        Ok(())
    }

    /// Fills in what was not evaluated on the grid of half the step: losses as expected, the others linearly.
    fn fill(&mut self, step: usize, expected: &[f64]) {
        let shape = self.shape;
        let keep = |known: &mut [f64], new: &[f64], evaluated: &[bool]| {
            for ((known, new), evaluated) in known.iter_mut().zip(new).zip(evaluated) {
                if known.is_nan() && !evaluated {
                    *known = *new;
                }
            }
        };
        keep(&mut self.loss, expected, &self.evaluated);
        for values in self.accuracy.iter_mut().chain(self.errors.iter_mut().flatten()) {
            let linear = between(values, shape, step, mean);
            keep(values, &linear, &self.evaluated);
        }
    }

    /// Whether the value at a point is that of its interpolation to within its error. Without errors, and where either is not
    /// finite, it is not.
    fn as_expected(&self, i: usize, j: usize, expected: f64) -> bool {
        let at = self.place(i, j);
        let error = self.errors.as_ref().map_or(0.0, |e| e[1][at]);
        (self.loss[at] - expected).abs() <= error
    }
}

/// Values on the grid of half the step, from those on the grid of points `step` apart: `halfway` along rows, along columns, and
/// along rows and then columns in the middle of a cell. NaN elsewhere.
fn between(values: &[f64], [rows, columns]: [usize; 2], step: usize, halfway: Halfway) -> Vec<f64> {
    let half = step / 2;
    let mut found = vec![f64::NAN; values.len()];
    for i in (0..rows).step_by(step) {
        for j in (half..columns).step_by(step) {
            found[i * columns + j] = halfway(&|j| values[i * columns + j], j, step, columns);
        }
    }
    for i in (half..rows).step_by(step) {
        for j in (0..columns).step_by(step) {
            found[i * columns + j] = halfway(&|i| values[i * columns + j], i, step, rows);
        }
        for j in (half..columns).step_by(step) {
            found[i * columns + j] = halfway(&|j| found[i * columns + j], j, step, columns);
        }
    }
    found
}

/// A value halfway between two points of a line: its values, the place, the step between points, and their number.
type Halfway = fn(&dyn Fn(usize) -> f64, usize, usize, usize) -> f64;

/// The mean of both neighbours.
fn mean(value: &dyn Fn(usize) -> f64, at: usize, step: usize, _count: usize) -> f64 {
    0.5 * (value(at - step / 2) + value(at + step / 2))
}

/// Interpolation halfway between grid points `step` apart, along a line of `count` values: cubic where there are two points on
/// each side, quadratic beside the ends.
fn halfway(value: &dyn Fn(usize) -> f64, at: usize, step: usize, count: usize) -> f64 {
    let (left, right) = (at - step / 2, at + step / 2);
    let (a, b) = (value(left), value(right));
    match (left.checked_sub(step), (right + step < count).then_some(right + step)) {
        (Some(before), Some(after)) => (9.0 * (a + b) - value(before) - value(after)) / 16.0,
        (None, Some(after)) => (3.0 * a + 6.0 * b - value(after)) / 8.0,
        (Some(before), None) => (6.0 * a + 3.0 * b - value(before)) / 8.0,
        (None, None) => 0.5 * (a + b),
    }
}

/// Evaluates some points of the grid of `axes` and interpolates the others. `evaluate(i, j)` gives the value at row i and
/// column j; it is asked for each point at most once, in an order that depends on the values alone.
///
/// # Errors
/// A grid beyond [`LARGEST_GRID`]; points with and without accuracy or errors; whatever `evaluate` reports.
pub(crate) fn evaluate_adaptively<E: From<SurfaceError>>(
    center: &Evaluation,
    axes: [Axis; 2],
    evaluate: &mut dyn FnMut(usize, usize) -> Result<Value, E>,
) -> Result<Surface, E> {
    let [a, b] = axes;
    let shape = axes.map(|axis| axis.count());
    let cells = shape[0].saturating_mul(shape[1]);
    if cells > LARGEST_GRID {
        let [rows, columns] = shape;
        return Err(SurfaceError::TooLarge { rows, columns, limit: LARGEST_GRID }.into());
    }
    let mut step = coarsest(axes);
    let (loss, evaluated) = (vec![f64::NAN; cells], vec![false; cells]);
    let mut grid = Grid { shape, loss, accuracy: None, errors: None, evaluated, evaluate };
    for i in (0..shape[0]).step_by(step) {
        for j in (0..shape[1]).step_by(step) {
            grid.take(i, j)?;
        }
    }
    // Lower corners of the cells that are tested at this size.
    let lower = |n: usize| (0..n - 1).step_by(step);
    let mut tested: Vec<(usize, usize)> =
        lower(shape[0]).flat_map(|i| lower(shape[1]).map(move |j| (i, j))).collect();
    while step > 1 {
        let half = step / 2;
        let expected = between(&grid.loss, shape, step, halfway);
        let mut next = Vec::new();
        for &(i, j) in &tested {
            let (ci, cj) = (i + half, j + half);
            grid.take(ci, cj)?;
            if !grid.as_expected(ci, cj, expected[grid.place(ci, cj)]) {
                next.push((i, j));
            }
        }
        let mut parts = Vec::with_capacity(4 * next.len());
        for (i, j) in next {
            for (ei, ej) in [(i + half, j), (i, j + half), (i + half, j + step), (i + step, j + half)] {
                grid.take(ei, ej)?;
            }
            parts.extend([(i, j), (i, j + half), (i + half, j), (i + half, j + half)]);
        }
        grid.fill(step, &expected);
        (tested, step) = (parts, half);
    }
    // The smallest value must be a measured one.
    while let Some(at) = smallest(&grid.loss).filter(|&at| !grid.evaluated[at]) {
        grid.take(at / shape[1], at % shape[1])?;
    }
    let Grid { loss, accuracy, errors, evaluated, .. } = grid;
    let whole = evaluated.iter().all(|&e| e);
    Ok(Surface {
        a,
        b,
        loss,
        accuracy,
        center: center.loss,
        center_std_error: loss_std_error(center),
        errors: errors.map(|[loss, difference]| PointErrors { loss, difference }),
        evaluated: (!whole).then_some(evaluated),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Direction, FnRisk, Origin};

    fn plane() -> Plane {
        let unit = |v: &[f64]| Direction::new(v.to_vec(), Origin::Given).unwrap();
        Plane::new(vec![0.0, 0.0], unit(&[1.0, 0.0]), unit(&[0.0, 1.0])).unwrap()
    }

    /// The surface of a risk, and the points in the order in which they were evaluated.
    fn run(risk: &dyn Risk, points: usize) -> (Surface, Vec<(usize, usize)>) {
        let (plane, axis) = (plane(), Axis::symmetric(1.0, points).unwrap());
        let center = risk.evaluate(&[0.0, 0.0]).unwrap();
        let (mut theta, mut order) = (vec![0.0; 2], Vec::new());
        let surface = evaluate_adaptively::<SurfaceError>(&center, [axis, axis], &mut |i, j| {
            order.push((i, j));
            Ok(measure(risk, &plane, &center, [axis.value(i), axis.value(j)], &mut theta)?)
        });
        (surface.unwrap(), order)
    }

    #[test]
    fn numbers_of_points_that_can_be_halved() {
        assert_eq!([2, 9, 10, 25, 33, 34].map(adaptive_points), [9, 9, 17, 33, 33, 65]);
        let step = |n: usize| coarsest([Axis::symmetric(1.0, n).unwrap(); 2]);
        assert_eq!([9, 17, 33, 65, 25, 10].map(step), [1, 2, 4, 8, 2, 1]);
    }

    #[test]
    fn a_cubic_takes_the_coarse_grid_and_the_middles_alone() {
        // Two samples whose difference from the centre differs: the error is 0.1 |x| at every point, and rounding is far below.
        // Interpolation is exact for cubics away from the edges; beside them it is quadratic and wrong by |c| h³/16 · 6 or less.
        let risk = FnRisk::mean(2, 2, |t, losses| {
            let common = t[0] * t[0] - 2.0 * t[1] * t[0] + 0.5 * t[1] * t[1] + 0.01 * t[0].powi(3);
            losses.copy_from_slice(&[common + 0.1 * (t[0] + 2.0), common - 0.1 * (t[0] + 2.0)]);
        });
        let (surface, order) = run(&risk, 33);
        let evaluated = surface.evaluated.clone().unwrap();
        assert_eq!(evaluated.iter().filter(|&&e| e).count(), order.len());
        assert!(order.len() < 33 * 33 / 4, "{}", order.len());
        let (errors, mut theta) = (surface.errors.as_ref().unwrap(), vec![0.0; 2]);
        for i in 0..33 {
            for j in 0..33 {
                plane().point(surface.a.value(i), surface.b.value(j), &mut theta);
                let exact = risk.evaluate(&theta).unwrap().loss;
                let at = 33 * i + j;
                assert!((surface.loss[at] - exact).abs() <= errors.difference[at] + 1e-12, "({i}, {j})");
                assert!(!evaluated[at] || surface.loss[at] == exact);
                assert!((errors.difference[at] - 0.1 * theta[0].abs()).abs() < 1e-12);
            }
        }
        let minimum = surface.minimum().unwrap();
        assert!(evaluated[33 * minimum.cell.0 + minimum.cell.1]);
    }

    #[test]
    fn a_kink_is_refined_and_flat_ground_is_not() {
        let risk = FnRisk::mean(2, 2, |t, losses| {
            let common = (t[0] - 0.3).abs();
            losses.copy_from_slice(&[common + 0.003 * t[1], common - 0.003 * t[1]]);
        });
        let (surface, _) = run(&risk, 65);
        let evaluated = surface.evaluated.unwrap();
        let share = |from: f64, to: f64| {
            let inside = |i: &usize| (from..to).contains(&surface.a.value(*i));
            let rows: Vec<usize> = (0..65).filter(inside).collect();
            let seen = rows.iter().flat_map(|i| &evaluated[65 * i..65 * (i + 1)]).filter(|&&e| e).count();
            seen as f64 / (65 * rows.len()) as f64
        };
        assert!(share(0.25, 0.35) > 0.9, "{}", share(0.25, 0.35));
        assert!(share(-0.9, -0.3) < 0.2, "{}", share(-0.9, -0.3));
    }

    #[test]
    fn without_errors_everything_is_evaluated() {
        let (surface, order) = run(&FnRisk::new(2, |t| t[0].exp() * t[1].cos()), 17);
        assert_eq!(order.len(), 17 * 17);
        assert_eq!((surface.evaluated, surface.errors), (None, None));
    }
}
