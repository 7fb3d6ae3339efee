//! The loop: test, restart when full, expand; then check the result with true products.

use std::ops::ControlFlow;

use super::select::{copies_may_be_missing, kept_indices, wanted_indices};
use super::state::{LanczosState, Ritz};
use super::{Eigenpair, Eigensolution, ExtremeEigen, LanczosError, Status, Wanted};
use crate::observer::{Observer, Progress, RitzValue};
use crate::{ProductError, SymmetricOperator, vector};

/// Vectors checked at a time: bounds the memory of the final products.
const CHECK_BLOCK: usize = 4;

/// How often the tolerance of the estimates is tightened when true residuals fall short.
const MAX_SHORTFALLS: usize = 2;

/// Converged pairs whose estimate is this much below tolerance are locked at a restart.
const LOCK: f64 = 1e-2;

/// Extreme eigenpairs of `operator` by thick-restart Lanczos. See the module documentation for the method.
///
/// The same options give the same bits on any number of threads if the operator does.
///
/// # Errors
/// [`LanczosError`] when the request cannot be carried out or the operator fails. Running out of products, NaN and
/// cancellation (by the observer, or by a product that reports it) are no errors: see [`Eigensolution::status`].
pub fn extreme_eigenpairs(
    operator: &dyn SymmetricOperator,
    options: &ExtremeEigen,
    observer: &mut dyn Observer,
) -> Result<Eigensolution, LanczosError> {
    solve_shifted(operator, options, 0.0, observer)
}

/// As [`extreme_eigenpairs`], going on from a saved state. With the same options the result has the same bits as
/// that of a solve that was never interrupted; with others (a tighter tolerance, more pairs, more products) the
/// products already made are used.
///
/// # Errors
/// [`LanczosError`] when the request cannot be carried out, the state belongs to another problem or the operator fails.
pub fn resume_extreme_eigenpairs(
    operator: &dyn SymmetricOperator,
    options: &ExtremeEigen,
    state: LanczosState,
    observer: &mut dyn Observer,
) -> Result<Eigensolution, LanczosError> {
    let n = check_shape(operator)?;
    options.validate(n)?;
    let mismatch = |what, found: String, expected: String| {
        if found == expected { Ok(()) } else { Err(LanczosError::StateMismatch { what, found, expected }) }
    };
    mismatch("dimension", state.dim().to_string(), n.to_string())?;
    mismatch("precision", format!("{:?}", state.precision()), format!("{:?}", options.precision))?;
    mismatch("block size", state.head.block_size.to_string(), options.block_size.to_string())?;
    mismatch("seed", state.head.seed.to_string(), options.seed.to_string())?;
    let mut solver = Solver { operator, options, n, shift: 0.0, state, last: Vec::new(), discarded: 0 };
    let floor = options.floor() * solver.state.head.norm;
    solver.state.unlock_above(&|value| (options.tolerance * value.abs()).max(floor));
    solver.run(observer)
}

/// As [`extreme_eigenpairs`], for an operator B = A − σI: tolerances are relative to the eigenvalues of A, that is
/// to |θ + `shift`| with `shift` = σ.
pub(crate) fn solve_shifted(
    operator: &dyn SymmetricOperator,
    options: &ExtremeEigen,
    shift: f64,
    observer: &mut dyn Observer,
) -> Result<Eigensolution, LanczosError> {
    let n = check_shape(operator)?;
    options.validate(n)?;
    let state = LanczosState::start(n, options);
    Solver { operator, options, n, shift, state, last: Vec::new(), discarded: 0 }.run(observer)
}

fn check_shape(operator: &dyn SymmetricOperator) -> Result<usize, LanczosError> {
    let (rows, cols) = (operator.nrows(), operator.ncols());
    if rows == cols { Ok(cols) } else { Err(LanczosError::NotSquare { rows, cols }) }
}

struct Solver<'a> {
    operator: &'a dyn SymmetricOperator,
    options: &'a ExtremeEigen,
    n: usize,
    shift: f64,
    state: LanczosState,
    /// The wanted Ritz values at the last test.
    last: Vec<RitzValue>,
    /// Products of a check of the residuals that was cancelled: made, but not in the state that goes on.
    discarded: usize,
}

/// What the test of convergence says.
enum Verdict {
    GoOn,
    Converged(Vec<Ritz>),
    NonFinite,
}

/// What came of multiplying the wanted vectors once more.
enum Checked {
    Pairs(Vec<Eigenpair>),
    /// No pairs: a product was cancelled or is not finite.
    No(Status),
}

impl Solver<'_> {
    fn run(mut self, observer: &mut dyn Observer) -> Result<Eigensolution, LanczosError> {
        let wanted = self.options.wanted_in(self.n);
        loop {
            let exhausted = self.state.pending() == 0;
            if exhausted || self.test_is_due() {
                match self.test(wanted) {
                    Verdict::GoOn => {}
                    Verdict::NonFinite => return Ok(self.finish(Vec::new(), Status::NonFinite)),
                    Verdict::Converged(ritz) => {
                        if let Some(solution) = self.check_and_decide(&ritz, wanted, exhausted, observer)? {
                            return Ok(solution);
                        }
                        // The true residuals fell short: the state has a tighter goal now.
                    }
                }
            }
            if let Some(stop) = self.step(wanted, observer)? {
                return self.stop(stop, wanted, observer);
            }
        }
    }

    /// One product with the pending block, after a restart if there is no room. `Some` when the solve must stop.
    fn step(&mut self, wanted: Wanted, observer: &mut dyn Observer) -> Result<Option<Status>, ProductError> {
        let pending = self.state.pending();
        if pending == 0 || self.state.head.products + pending > self.search_budget(wanted) {
            return Ok(Some(Status::MaxMatvecs));
        }
        let next = pending.min(self.n - self.state.basis_len());
        if self.state.basis_len() + next > self.options.max_vectors(self.n) && !self.restart(wanted) {
            return Ok(Some(Status::NonFinite));
        }
        match self.state.expand(self.operator) {
            Ok(true) => {}
            Ok(false) => return Ok(Some(Status::NonFinite)),
            Err(ProductError::Cancelled) => return Ok(Some(Status::Cancelled)),
            Err(error) => return Err(error),
        }
        let cancelled = self.report(observer).is_break() || observer.snapshot(&self.state).is_break();
        Ok(cancelled.then_some(Status::Cancelled))
    }

    fn report(&self, observer: &mut dyn Observer) -> ControlFlow<()> {
        observer.progress(&Progress {
            stage: "lanczos",
            products: self.state.head.products,
            max_products: self.options.max_products,
            ritz: &self.last,
            estimate: None,
        })
    }

    /// Products for the search; the rest is kept for the residuals.
    fn search_budget(&self, wanted: Wanted) -> usize {
        let max = self.options.max_products;
        max - wanted.count().min(max / 2)
    }

    fn test_is_due(&self) -> bool {
        let head = &self.state.head;
        if head.expanded < self.options.wanted_in(self.n).count() {
            return false;
        }
        // A given start may lie in a few eigenvectors alone: let the others grow out of its random part first.
        const GROWTH: usize = 8;
        if !head.random_start && head.products < GROWTH * self.options.block_size && self.state.pending() > 0
        {
            return false;
        }
        let steps = head.products / self.options.block_size.max(1);
        self.state.decoupled() || steps.is_multiple_of(self.options.check_interval(self.n))
    }

    /// The residual that counts as converged for a Ritz value of the operator that is being solved.
    fn goal(&self, value: f64) -> f64 {
        let relative = self.options.tolerance * (value + self.shift).abs();
        relative.max(self.options.floor() * self.state.head.norm)
    }

    fn test(&mut self, wanted: Wanted) -> Verdict {
        let Some(ritz) = self.state.ritz() else { return Verdict::NonFinite };
        let outermost = ritz.first().into_iter().chain(ritz.last()).map(|r| r.value.abs());
        self.state.head.norm = outermost.fold(self.state.head.norm, f64::max);
        let indices = wanted_indices(&ritz, wanted);
        self.last = indices
            .iter()
            .map(|&i| RitzValue { value: ritz[i].value, residual_estimate: ritz[i].estimate })
            .collect();
        if self.state.pending() == 0 {
            return Verdict::Converged(ritz);
        }
        let enough = ritz.len() >= wanted.count().min(self.n);
        let converged = indices.iter().all(|&i| {
            ritz[i].locked.is_some() || ritz[i].estimate <= self.state.head.tighten * self.goal(ritz[i].value)
        });
        // Two Ritz values closer than their own errors are copies of one eigenvalue as far as we can tell.
        let error = self.last.iter().map(|r| r.residual_estimate).fold(0.0, f64::max);
        let same = (4.0 * self.options.floor() * self.state.head.norm).max(2.0 * error);
        if enough && converged && !copies_may_be_missing(&ritz, wanted, self.state.head.invariant, same) {
            Verdict::Converged(ritz)
        } else {
            Verdict::GoOn
        }
    }

    /// Compresses the basis to the wanted pairs and some more. False when the projected matrix is not finite.
    fn restart(&mut self, wanted: Wanted) -> bool {
        let Some(ritz) = self.state.ritz() else { return false };
        let (max, block) = (self.options.max_vectors(self.n), self.options.block_size);
        // Two fifths of the room left are refilled at once: more slows the growth of new directions, less throws
        // away what has been learnt about the neighbours of the wanted values.
        let free = max.saturating_sub(wanted.count() + 2 * block);
        let kept = kept_indices(&ritz, wanted, free * 2 / 5);
        let wanted_now = wanted_indices(&ritz, wanted);
        let tighten = self.state.head.tighten;
        let kept: Vec<(Ritz, bool)> = kept
            .into_iter()
            .map(|i| {
                let settled = ritz[i].estimate <= LOCK * tighten * self.goal(ritz[i].value);
                (ritz[i].clone(), ritz[i].locked.is_some() || (settled && wanted_now.contains(&i)))
            })
            .collect();
        self.state.restart(&kept);
        true
    }

    /// Multiplies the wanted Ritz vectors once more and decides. `None`: the true residuals fell short, go on.
    fn check_and_decide(
        &mut self,
        ritz: &[Ritz],
        wanted: Wanted,
        exhausted: bool,
        observer: &mut dyn Observer,
    ) -> Result<Option<Eigensolution>, ProductError> {
        let pairs = match self.check(ritz, wanted, observer)? {
            Checked::Pairs(pairs) => pairs,
            Checked::No(status) => return Ok(Some(self.take(Vec::new(), status))),
        };
        let fewer = self.options.wanted_in(self.n) != self.options.wanted;
        if pairs.iter().all(|p| p.converged) {
            return Ok(Some(
                self.take(pairs, if fewer { Status::InvariantSubspace } else { Status::Converged }),
            ));
        }
        let unchecked = pairs.iter().any(|p| p.residual.is_infinite());
        if unchecked || self.state.head.products >= self.search_budget(wanted) {
            return Ok(Some(self.take(pairs, Status::MaxMatvecs)));
        }
        if exhausted || self.state.head.shortfalls >= MAX_SHORTFALLS {
            return Ok(Some(self.take(pairs, Status::Stagnated)));
        }
        let worst =
            pairs.iter().map(|p| self.goal(p.value) / p.residual.max(f64::MIN_POSITIVE)).fold(1.0, f64::min);
        self.state.head.shortfalls += 1;
        self.state.head.tighten *= (0.5 * worst).clamp(0.05, 0.5);
        Ok(None)
    }

    /// The wanted pairs with true residuals, as far as the budget goes. A check that is cancelled leaves the state as
    /// it was before, so that it can be made again.
    fn check(
        &mut self,
        ritz: &[Ritz],
        wanted: Wanted,
        observer: &mut dyn Observer,
    ) -> Result<Checked, ProductError> {
        let (n, m) = (self.n, self.state.head.expanded);
        let before = self.state.head.products;
        let mut pairs = Vec::new();
        for group in wanted_indices(ritz, wanted).chunks(CHECK_BLOCK) {
            let s: Vec<f64> = group.iter().flat_map(|&i| ritz[i].coordinates.iter().copied()).collect();
            let mut vs = self.state.basis.combine(m, &s);
            for v in vs.chunks_exact_mut(n) {
                let norm = vector::norm(v);
                vector::scale(1.0 / norm, v);
                vector::fix_sign(v);
            }
            let left = self.options.max_products.saturating_sub(self.state.head.products);
            let count = group.len().min(left);
            let mut images = vec![0.0; count * n];
            if count > 0 {
                match self.operator.apply_block(&vs[..count * n], &mut images) {
                    Ok(()) => {}
                    Err(ProductError::Cancelled) => {
                        self.discarded += self.state.head.products - before;
                        self.state.head.products = before;
                        return Ok(Checked::No(Status::Cancelled));
                    }
                    Err(error) => return Err(error),
                }
                self.state.head.products += count;
                // The answer is complete or not: a request to stop is honoured by the caller after it.
                let _ = self.report(observer);
            }
            for (j, &i) in group.iter().enumerate() {
                let v = &vs[j * n..(j + 1) * n];
                let (value, residual) = match images.get(j * n..(j + 1) * n) {
                    Some(image) => {
                        let value = vector::dot(v, image);
                        (value, vector::residual_norm(image, value, v))
                    }
                    None => (ritz[i].value, f64::INFINITY),
                };
                if !value.is_finite() || residual.is_nan() {
                    return Ok(Checked::No(Status::NonFinite));
                }
                let converged = residual <= self.goal(value);
                pairs.push(Eigenpair { value, vector: v.to_vec(), residual, converged });
            }
        }
        sort_pairs(&mut pairs, wanted);
        Ok(Checked::Pairs(pairs))
    }

    /// The end without convergence: the best pairs so far are checked if products are left for that.
    fn stop(
        mut self,
        status: Status,
        wanted: Wanted,
        observer: &mut dyn Observer,
    ) -> Result<Eigensolution, LanczosError> {
        if status != Status::MaxMatvecs || self.state.head.expanded == 0 {
            return Ok(self.finish(Vec::new(), status));
        }
        let _ = self.test(wanted);
        let checked = match self.state.ritz() {
            Some(ritz) => self.check(&ritz, wanted, observer)?,
            None => Checked::No(Status::NonFinite),
        };
        Ok(match checked {
            Checked::Pairs(pairs) => self.finish(pairs, status),
            Checked::No(status) => self.finish(Vec::new(), status),
        })
    }

    fn take(&mut self, pairs: Vec<Eigenpair>, status: Status) -> Eigensolution {
        let empty = LanczosState::start(0, self.options);
        let state = std::mem::replace(&mut self.state, empty);
        let (n_largest, n_smallest) = match self.options.wanted {
            Wanted::Ends { largest, smallest } => (largest, smallest),
            Wanted::LargestMagnitude(_) => (0, 0),
        };
        Eigensolution {
            n_largest: n_largest.min(pairs.len()),
            n_smallest: n_smallest.min(pairs.len()),
            pairs,
            status,
            products: state.head.products + self.discarded,
            restarts: state.head.restarts,
            norm_estimate: state.head.norm,
            ritz: std::mem::take(&mut self.last),
            state,
        }
    }

    fn finish(mut self, pairs: Vec<Eigenpair>, status: Status) -> Eigensolution {
        self.take(pairs, status)
    }
}

fn sort_pairs(pairs: &mut [Eigenpair], wanted: Wanted) {
    match wanted {
        Wanted::Ends { .. } => pairs.sort_by(|a, b| b.value.total_cmp(&a.value)),
        Wanted::LargestMagnitude(_) => {
            pairs.sort_by(|a, b| b.value.abs().total_cmp(&a.value.abs()).then(b.value.total_cmp(&a.value)));
        }
    }
}
