//! The end of a solve: the wanted vectors are multiplied once more, and their true residuals decide.

use super::goals::{Place, place};
use super::ritz::Ritz;
use super::select::wanted_indices;
use super::solver::{Solver, ritz_values};
use super::state::Work;
use super::{Eigenpair, Eigensolution, LanczosError, LanczosState, Status, Wanted};
use crate::observer::Observer;
use crate::{ProductError, vector};

/// Vectors of length n that are multiplied at a time where nothing else decides: four, or as many as 64 MiB hold with their images
/// in double precision. Where it is one, a solve does not hold the vectors of a step beside a Ritz vector and its image.
pub fn vectors_at_a_time(n: usize) -> usize {
    const MOST: usize = 4;
    const BYTES: usize = 64 << 20;
    (BYTES / (16 * n.max(1))).clamp(1, MOST)
}

/// How often the tolerance of the estimates is tightened when true residuals fall short.
const MAX_SHORTFALLS: usize = 2;

/// What came of multiplying the wanted vectors once more.
pub(super) enum Checked {
    Pairs(Vec<Eigenpair>, Vec<Place>),
    /// No pairs: a product was cancelled or is not finite.
    No(Status),
}

impl Solver<'_> {
    /// Gives the vectors of a step back where they are long: a Ritz vector and its image are about to take their place.
    pub(super) fn make_room(&mut self) {
        if vectors_at_a_time(self.n) == 1 {
            self.work = Work::default();
        }
    }

    /// Multiplies the wanted Ritz vectors once more and decides. `None`: the true residuals fell short, go on.
    pub(super) fn check_and_decide(
        &mut self,
        ritz: &[Ritz],
        wanted: Wanted,
        exhausted: bool,
        observer: &mut dyn Observer,
    ) -> Result<Option<Eigensolution>, ProductError> {
        let (pairs, places) = match self.check(ritz, wanted, observer)? {
            Checked::Pairs(pairs, places) => (pairs, places),
            Checked::No(status) => return Ok(Some(self.take(Vec::new(), status))),
        };
        let fewer = self.options.wanted_in(self.n) != self.options.wanted;
        if pairs.iter().all(|p| p.converged) {
            return Ok(Some(
                self.take(pairs, if fewer { Status::InvariantSubspace } else { Status::Converged }),
            ));
        }
        let unchecked = pairs.iter().any(|p| p.residual.is_infinite());
        if unchecked || self.state.head.products >= self.options.search_budget(self.n) {
            return Ok(Some(self.take(pairs, Status::MaxMatvecs)));
        }
        if exhausted || self.state.head.shortfalls >= MAX_SHORTFALLS {
            return Ok(Some(self.take(pairs, Status::Stagnated)));
        }
        let share =
            |(p, &place): (&Eigenpair, &Place)| self.goal(p.value, place) / p.residual.max(f64::MIN_POSITIVE);
        let worst = pairs.iter().zip(&places).map(share).fold(1.0, f64::min);
        // From here on the path depends on the tolerance: these products are part of it.
        self.state.head.products += std::mem::take(&mut self.checks);
        self.state.head.shortfalls += 1;
        self.state.head.tighten *= (0.5 * worst).clamp(0.05, 0.5);
        Ok(None)
    }

    /// The wanted pairs with true residuals, as far as the budget goes. A check that is cancelled leaves the state as
    /// it was before, so that it can be made again.
    pub(super) fn check(
        &mut self,
        ritz: &[Ritz],
        wanted: Wanted,
        observer: &mut dyn Observer,
    ) -> Result<Checked, ProductError> {
        let (n, m) = (self.n, self.state.head.expanded);
        // The room is needed for the vectors to be checked.
        self.work = Work::default();
        let mut pairs = Vec::new();
        let block = vectors_at_a_time(n);
        for group in wanted_indices(ritz, wanted).chunks(block) {
            let s: Vec<f64> = group.iter().flat_map(|&i| ritz[i].coordinates.iter().copied()).collect();
            let mut vs = self.state.basis.combine(m, &s)?;
            for v in vs.chunks_exact_mut(n) {
                let norm = vector::norm(v);
                vector::scale(1.0 / norm, v);
                vector::fix_sign(v);
            }
            let made = self.state.head.products + self.checks;
            let left = self.options.max_products.saturating_sub(made);
            let count = group.len().min(left);
            let mut images = vec![0.0; count * n];
            if count > 0 {
                match self.operator.apply_block(&vs[..count * n], &mut images) {
                    Ok(()) => {}
                    Err(ProductError::Cancelled) => return Ok(Checked::No(Status::Cancelled)),
                    Err(error) => return Err(error),
                }
                self.checks += count;
                // The answer is complete or not: a request to stop is honoured by the caller after it.
                let _ = self.report(observer);
            }
            for (j, &i) in group.iter().enumerate().rev() {
                // Long vectors come one at a time and are not copied.
                let v = if group.len() == 1 { std::mem::take(&mut vs) } else { vs.split_off(j * n) };
                let (value, residual) = match images.get(j * n..(j + 1) * n) {
                    Some(image) => {
                        let value = vector::dot(&v, image);
                        (value, vector::residual_norm(image, value, &v))
                    }
                    None => (ritz[i].value, f64::INFINITY),
                };
                if !value.is_finite() || residual.is_nan() {
                    return Ok(Checked::No(Status::NonFinite));
                }
                let place = place(ritz, i, self.options.wanted);
                let criterion = self.criterion(residual, value, place);
                let converged = criterion.is_some();
                pairs.push((Eigenpair { value, vector: v, residual, converged, criterion }, place));
            }
        }
        sort_pairs(&mut pairs, wanted);
        let (pairs, places) = pairs.into_iter().unzip();
        Ok(Checked::Pairs(pairs, places))
    }

    /// The end without convergence: the best pairs so far are checked if products are left for that.
    pub(super) fn stop(
        mut self,
        status: Status,
        wanted: Wanted,
        observer: &mut dyn Observer,
    ) -> Result<Eigensolution, LanczosError> {
        let checked = matches!(status, Status::MaxMatvecs | Status::RoundingFloor);
        if !checked || self.state.head.expanded == 0 {
            return Ok(self.finish(Vec::new(), status));
        }
        let _ = self.test(wanted, observer)?;
        let checked = match self.state.ritz() {
            Some(ritz) => self.check(&ritz, wanted, observer)?,
            None => Checked::No(Status::NonFinite),
        };
        Ok(match checked {
            // The residuals may be better than their estimates.
            Checked::Pairs(pairs, _)
                if status == Status::RoundingFloor && pairs.iter().all(|p| p.converged) =>
            {
                self.finish(pairs, Status::Converged)
            }
            Checked::Pairs(pairs, _) => self.finish(pairs, status),
            Checked::No(status) => self.finish(Vec::new(), status),
        })
    }

    pub(super) fn take(&mut self, pairs: Vec<Eigenpair>, status: Status) -> Eigensolution {
        let state = std::mem::replace(&mut self.state, LanczosState::nothing(self.options));
        let (n_largest, n_smallest) = match self.options.wanted {
            Wanted::Ends { largest, smallest } => (largest, smallest),
            Wanted::LargestMagnitude(_) => (0, 0),
        };
        Eigensolution {
            n_largest: n_largest.min(pairs.len()),
            n_smallest: n_smallest.min(pairs.len()),
            pairs,
            status,
            products: state.head.products + self.checks,
            restarts: state.head.restarts,
            norm_estimate: state.head.norm,
            ritz: ritz_values(&self.last),
            state,
        }
    }

    pub(super) fn finish(mut self, pairs: Vec<Eigenpair>, status: Status) -> Eigensolution {
        self.take(pairs, status)
    }
}

fn sort_pairs(pairs: &mut [(Eigenpair, Place)], wanted: Wanted) {
    match wanted {
        Wanted::Ends { .. } => pairs.sort_by(|(a, _), (b, _)| b.value.total_cmp(&a.value)),
        Wanted::LargestMagnitude(_) => {
            pairs.sort_by(|(a, _), (b, _)| {
                b.value.abs().total_cmp(&a.value.abs()).then(b.value.total_cmp(&a.value))
            });
        }
    }
}
