//! Which Ritz pairs are wanted, which are kept at a restart, and whether copies may still be missing.

use super::ritz::Ritz;
use crate::Wanted;

/// Indices of the wanted pairs among ascending Ritz values: by descending value, or by descending |θ|.
pub(crate) fn wanted_indices(ritz: &[Ritz], wanted: Wanted) -> Vec<usize> {
    let m = ritz.len();
    match wanted {
        Wanted::Ends { largest, smallest } => {
            (0..m).rev().filter(|&i| i < smallest || i + largest >= m).collect()
        }
        Wanted::LargestMagnitude(k) => {
            let mut order = by_magnitude(ritz);
            order.truncate(k);
            order
        }
    }
}

fn by_magnitude(ritz: &[Ritz]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..ritz.len()).collect();
    order.sort_by(|&i, &j| ritz[j].value.abs().total_cmp(&ritz[i].value.abs()).then(j.cmp(&i)));
    order
}

/// Indices of the pairs to keep at a restart: the wanted ones and up to `extra` neighbours further inside.
pub(crate) fn kept_indices(ritz: &[Ritz], wanted: Wanted, extra: usize) -> Vec<usize> {
    let grown = match wanted {
        Wanted::Ends { largest, smallest } => {
            let (up, down) = match (largest, smallest) {
                (0, _) => (0, extra),
                (_, 0) => (extra, 0),
                _ => (extra.div_ceil(2), extra / 2),
            };
            Wanted::Ends { largest: largest + up, smallest: smallest + down }
        }
        Wanted::LargestMagnitude(k) => Wanted::LargestMagnitude(k + extra),
    };
    let mut kept = wanted_indices(ritz, grown);
    kept.sort_unstable();
    kept
}

/// Whether, after recurrences from `starts` vectors have ended, copies of a wanted eigenvalue may still be hidden.
///
/// Each start vector of an ended recurrence has found one copy of every eigenvalue of the space then left, so an
/// eigenvalue of which there are fewer copies than starts is complete. One that lies further out than the
/// innermost wanted value and has as many copies as starts may have more of them, and these would push the
/// innermost value out.
pub(crate) fn copies_may_be_missing(ritz: &[Ritz], wanted: Wanted, starts: usize, same: f64) -> bool {
    if starts == 0 {
        return false;
    }
    let crowded = |outer: &[f64], inner: f64| {
        outer
            .iter()
            .any(|&v| v - inner > same && outer.iter().filter(|&&u| (u - v).abs() <= same).count() >= starts)
    };
    match wanted {
        Wanted::Ends { largest, smallest } => {
            let up: Vec<f64> = ritz.iter().rev().take(largest).map(|r| r.value).collect();
            let down: Vec<f64> = ritz.iter().take(smallest).map(|r| -r.value).collect();
            [up, down].iter().any(|side| side.last().is_some_and(|&inner| crowded(side, inner)))
        }
        Wanted::LargestMagnitude(k) => {
            let outer: Vec<f64> = by_magnitude(ritz).into_iter().take(k).map(|i| ritz[i].value).collect();
            let inner = outer.last().map_or(0.0, |v| v.abs());
            outer.iter().any(|&v| {
                v.abs() - inner > same && outer.iter().filter(|&&u| (u - v).abs() <= same).count() >= starts
            })
        }
    }
}
