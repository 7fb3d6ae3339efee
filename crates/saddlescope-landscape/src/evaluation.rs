//! Evaluating a loss at many points: one after the other or spread over threads, with the same bits.

use crate::risk::{Evaluation, Risk, RiskError};
use rayon::prelude::*;
use std::ops::ControlFlow;

/// How the points of a row are evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threading {
    /// Points are spread over the threads of the current rayon pool. For a measure that is itself single-threaded.
    Spread,
    /// One point after the other. For a measure that uses the threads itself.
    Sequential,
}

/// Why a row of points cannot be evaluated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// Some points came with an accuracy, others without.
    #[error("some points of the grid have an accuracy and others have none")]
    SomeAccuracies,
    /// The risk could not be evaluated.
    #[error(transparent)]
    Risk(#[from] RiskError),
}

/// The values of one row.
pub(crate) struct MeasuredRow {
    pub loss: Vec<f64>,
    pub accuracy: Option<Vec<f64>>,
}

/// Measures `count` points of dimension `n`; `place(j, theta)` writes the j-th point.
pub(crate) fn measure_row(
    n: usize,
    count: usize,
    threading: Threading,
    has_accuracy: Option<bool>,
    risk: &dyn Risk,
    place: &(dyn Fn(usize, &mut [f64]) + Sync),
) -> Result<MeasuredRow, RowError> {
    let one = |theta: &mut Vec<f64>, j: usize| {
        place(j, theta);
        risk.evaluate(theta)
    };
    let values: Result<Vec<Evaluation>, RiskError> = match threading {
        Threading::Spread => (0..count).into_par_iter().map_init(|| vec![0.0; n], one).collect(),
        Threading::Sequential => {
            let mut theta = vec![0.0; n];
            (0..count).map(|j| one(&mut theta, j)).collect()
        }
    };
    let values = values?;
    let accuracy: Vec<f64> = values.iter().filter_map(Evaluation::accuracy).collect();
    let with = !accuracy.is_empty();
    if (with && accuracy.len() != count) || has_accuracy.is_some_and(|before| before != with) {
        return Err(RowError::SomeAccuracies);
    }
    Ok(MeasuredRow { loss: values.iter().map(|m| m.loss).collect(), accuracy: with.then_some(accuracy) })
}

/// Computes `work(scratch, i)` for i in 0..count, in order, and gives the results to `keep` batch by batch until it
/// breaks. A batch is one item without threads and a few dozen per thread with them: often enough to stop, seldom
/// enough to cost nothing. Results do not depend on the number of threads, only how many are kept after a break may.
pub(crate) fn in_batches<S, T: Send>(
    count: usize,
    threading: Threading,
    scratch: impl Fn() -> S + Sync + Send,
    work: impl Fn(&mut S, usize) -> T + Sync + Send,
    keep: &mut dyn FnMut(Vec<T>) -> ControlFlow<()>,
) {
    let batch = match threading {
        Threading::Spread => 64 * rayon::current_num_threads(),
        Threading::Sequential => 1,
    };
    let mut own = scratch();
    for start in (0..count).step_by(batch) {
        let range = start..(start + batch).min(count);
        let results = match threading {
            Threading::Spread => range.into_par_iter().map_init(&scratch, &work).collect(),
            Threading::Sequential => range.map(|i| work(&mut own, i)).collect(),
        };
        if keep(results).is_break() {
            return;
        }
    }
}
