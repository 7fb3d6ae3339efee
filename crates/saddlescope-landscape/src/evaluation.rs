//! Evaluating a loss at many points: one after the other or spread over threads, with the same bits.

use crate::risk::{Evaluation, Risk, RiskError};
use crate::sampling_error::{PointErrors, has_parts, loss_std_error, paired_difference};
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
    pub errors: Option<PointErrors>,
}

/// Measures `count` points of dimension `n`; `place(j, theta)` writes the j-th point. Differences are from `center`, the loss
/// at θ; there are errors where that comes in parts.
pub(crate) fn measure_row(
    n: usize,
    count: usize,
    threading: Threading,
    has_accuracy: Option<bool>,
    risk: &dyn Risk,
    center: &Evaluation,
    place: &(dyn Fn(usize, &mut [f64]) + Sync),
) -> Result<MeasuredRow, RowError> {
    let known = has_parts(center);
    // The parts of a point are let go as soon as its errors are known: there may be one for every sample.
    let one = |theta: &mut Vec<f64>, j: usize| {
        place(j, theta);
        let mut found = risk.evaluate(theta)?;
        let errors = known.then(|| {
            let difference = paired_difference(center, &found).std_error;
            [loss_std_error(&found).unwrap_or(f64::NAN), difference.unwrap_or(f64::NAN)]
        });
        found.chunk_losses = Vec::new();
        found.chunk_samples = Vec::new();
        Ok((found, errors))
    };
    type Measured = (Evaluation, Option<[f64; 2]>);
    let values: Result<Vec<Measured>, RiskError> = match threading {
        Threading::Spread => (0..count).into_par_iter().map_init(|| vec![0.0; n], one).collect(),
        Threading::Sequential => {
            let mut theta = vec![0.0; n];
            (0..count).map(|j| one(&mut theta, j)).collect()
        }
    };
    let values = values?;
    let accuracy: Vec<f64> = values.iter().filter_map(|(e, _)| e.accuracy()).collect();
    let with = !accuracy.is_empty();
    if (with && accuracy.len() != count) || has_accuracy.is_some_and(|before| before != with) {
        return Err(RowError::SomeAccuracies);
    }
    let errors = known.then(|| {
        let of = |i: usize| values.iter().map(|(_, e)| e.map_or(f64::NAN, |e| e[i])).collect();
        PointErrors { loss: of(0), difference: of(1) }
    });
    Ok(MeasuredRow {
        loss: values.iter().map(|(m, _)| m.loss).collect(),
        accuracy: with.then_some(accuracy),
        errors,
    })
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
