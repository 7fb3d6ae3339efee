//! The loss along a line: raw values, evaluated point by point or in batches.

use crate::evaluation::{RowError, Threading, measure_row};
use crate::risk::Risk;
use crate::sampling_error::PointErrors;
use crate::surface::smallest;
use crate::{Axis, Line};
use serde::{Deserialize, Serialize};

/// ℓ(α) = L(θ* + αη) along an axis. Values are raw: NaN and infinities stay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// α.
    pub a: Axis,
    /// The losses in the order of the axis.
    pub loss: Vec<f64>,
    /// Accuracies in the same order, when the measure gives them.
    pub accuracy: Option<Vec<f64>>,
    /// L(θ*) on the same samples.
    pub center: f64,
    /// Standard errors in the same order, where the risk gives the parts that they follow from.
    pub errors: Option<PointErrors>,
}

impl Slice {
    /// α and value of the smallest loss (the first of equals), leaving NaN out; `None` when all are NaN.
    pub fn minimum(&self) -> Option<(f64, f64)> {
        smallest(&self.loss).map(|i| (self.a.value(i), self.loss[i]))
    }
}

/// Evaluates a risk at every point of `a` along `line`.
///
/// Threading is as in [`evaluate_surface`](crate::evaluate_surface).
///
/// # Errors
/// Points with and without an accuracy, a risk that fails.
pub fn evaluate_slice(
    line: &Line,
    a: Axis,
    threading: Threading,
    risk: &dyn Risk,
) -> Result<Slice, RowError> {
    let center = risk.evaluate(line.center())?;
    let row = measure_row(line.center().len(), a.count(), threading, None, risk, &center, &|i, theta| {
        line.point(a.value(i), theta)
    })?;
    Ok(Slice { a, loss: row.loss, accuracy: row.accuracy, center: center.loss, errors: row.errors })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analytic::{KnownCriticalPoint, Quadratic};
    use crate::{Direction, Origin};

    #[test]
    fn a_slice_of_a_quadratic_is_its_parabola() {
        let quadratic = Quadratic::diagonal(vec![3.0, -1.0]).unwrap();
        let u = Direction::new(vec![1.0, 1.0], Origin::Given).unwrap();
        let line = Line::new(quadratic.critical_point(), u).unwrap();
        let axis = Axis::parse("-1:2:7").unwrap();
        let slice = evaluate_slice(&line, axis, Threading::Spread, &quadratic).unwrap();
        for (alpha, loss) in axis.values().iter().zip(&slice.loss) {
            // ½ (3 − 1) α², exact in binary for these α.
            assert_eq!(*loss, alpha * alpha);
        }
        assert_eq!(slice.minimum(), Some((0.0, 0.0)));
    }
}
