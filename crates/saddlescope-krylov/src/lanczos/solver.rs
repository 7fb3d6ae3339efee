//! The loop: test, restart when full, expand.

use std::ops::ControlFlow;

use super::candidate::{Forecast, WantedPair, products_with_restarts};
use super::continuation::Made;
use super::ritz::Ritz;
use super::select::{copies_may_be_missing, kept_indices, wanted_indices};
use super::state::{LanczosState, Work};
use super::{Eigensolution, ExtremeEigen, LanczosError, Status, Wanted};
use crate::observer::{Observer, Progress, RitzValue};
use crate::{ProductError, SymmetricOperator};

/// Wanted pairs whose estimate is below this multiple of ε‖A‖, ε that of the basis, are locked at a restart.
const LOCK: f64 = 0.25;

/// Rounding errors of an ended recurrence may be so many times what is taken for zero at once.
const AMPLIFIED: f64 = 8.0;

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
/// products already made are used. [`LanczosState::continues`] tells whether the bits are then also those of a solve
/// made at once with these options.
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
    let mut state = state;
    state.head.made = Made::with(n, options);
    let solver = Solver {
        operator,
        options,
        n,
        shift: 0.0,
        state,
        last: Vec::new(),
        checks: 0,
        work: Work::default(),
    };
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
    let state = LanczosState::start(operator, options)?;
    Solver { operator, options, n, shift, state, last: Vec::new(), checks: 0, work: Work::default() }
        .run(observer)
}

fn check_shape(operator: &dyn SymmetricOperator) -> Result<usize, LanczosError> {
    let (rows, cols) = (operator.nrows(), operator.ncols());
    if rows == cols { Ok(cols) } else { Err(LanczosError::NotSquare { rows, cols }) }
}

pub(super) struct Solver<'a> {
    pub(super) operator: &'a dyn SymmetricOperator,
    pub(super) options: &'a ExtremeEigen,
    pub(super) n: usize,
    pub(super) shift: f64,
    pub(super) state: LanczosState,
    /// The wanted pairs at the last test.
    pub(super) last: Vec<WantedPair>,
    /// Products of checks of the residuals that are not counted in the state. A state that goes on is that of the
    /// search, as if the solve had not stopped to check.
    pub(super) checks: usize,
    pub(super) work: Work,
}

/// What the test of convergence says.
pub(super) enum Verdict {
    GoOn,
    /// No convergence: this status ends the search.
    Stop(Status),
    Converged(Vec<Ritz>),
    NonFinite,
}

impl Solver<'_> {
    fn run(mut self, observer: &mut dyn Observer) -> Result<Eigensolution, LanczosError> {
        let wanted = self.options.wanted_in(self.n);
        loop {
            let exhausted = self.state.pending() == 0;
            if exhausted || self.test_is_due() {
                match self.test(wanted, observer)? {
                    Verdict::GoOn => {}
                    Verdict::Stop(status) => return self.stop(status, wanted, observer),
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
        if pending == 0
            || self.state.head.products + self.checks + pending > self.options.search_budget(self.n)
        {
            return Ok(Some(Status::MaxMatvecs));
        }
        let next = pending.min(self.n - self.state.basis_len());
        if self.state.basis_len() + next > self.options.max_vectors(self.n) && !self.restart(wanted)? {
            return Ok(Some(Status::NonFinite));
        }
        match self.state.expand(self.operator, &mut self.work) {
            Ok(true) => {}
            Ok(false) => return Ok(Some(Status::NonFinite)),
            Err(ProductError::Cancelled) => return Ok(Some(Status::Cancelled)),
            Err(error) => return Err(error),
        }
        let cancelled = self.report(observer).is_break() || observer.snapshot(&self.state).is_break();
        Ok(cancelled.then_some(Status::Cancelled))
    }

    pub(super) fn report(&self, observer: &mut dyn Observer) -> ControlFlow<()> {
        observer.progress(&Progress {
            stage: "lanczos",
            products: self.state.head.products + self.checks,
            max_products: self.options.max_products,
            ritz: &ritz_values(&self.last),
            wanted: &self.last,
            forecast: self.forecast(),
            estimate: None,
        })
    }

    fn forecast(&self) -> Forecast {
        let missing = self.last.iter().map(|p| p.missing).collect::<Option<Vec<_>>>();
        match missing.as_deref().and_then(|m| m.iter().max()) {
            Some(most) => {
                let search = self.state.head.products + most;
                // The residuals do not know of restarts before there was one.
                let vectors = self.options.max_vectors(self.n);
                let search = match self.state.head.restarts {
                    0 if vectors < self.n => products_with_restarts(search, self.last.len(), vectors),
                    _ => search,
                };
                Forecast::Products(search + self.last.len())
            }
            None => Forecast::Unknown,
        }
    }

    fn test_is_due(&self) -> bool {
        let head = &self.state.head;
        if head.expanded == 0 {
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

    pub(super) fn test(
        &mut self,
        wanted: Wanted,
        observer: &mut dyn Observer,
    ) -> Result<Verdict, LanczosError> {
        let Some(ritz) = self.state.ritz() else { return Ok(Verdict::NonFinite) };
        let outermost = ritz.first().into_iter().chain(ritz.last()).map(|r| r.value.abs());
        self.state.head.norm = outermost.fold(self.state.head.norm, f64::max);
        let indices = wanted_indices(&ritz, wanted);
        self.follow(&ritz, &indices, observer)?;
        if self.state.pending() == 0 {
            return Ok(Verdict::Converged(ritz));
        }
        let enough = ritz.len() >= wanted.count().min(self.n);
        let converged = self.last.iter().all(WantedPair::is_settled);
        if enough && let Some(stop) = self.probe(&ritz, &indices)? {
            return Ok(Verdict::Stop(stop));
        }
        // Two Ritz values closer than their own errors are copies of one eigenvalue as far as we can tell.
        let error = self.last.iter().map(|r| r.residual_estimate).fold(0.0, f64::max);
        let same = (4.0 * self.options.floor() * self.state.head.norm).max(2.0 * error);
        // Where no Ritz pair at all has a residual worth speaking of, the recurrence has ended but for rounding errors
        // that were too large to be taken for zero.
        let rounding = same.max(AMPLIFIED * self.state.breakdown());
        let ended = !self.state.decoupled() && ritz.iter().all(|r| r.estimate <= rounding);
        let starts = self.state.head.invariant + if ended { self.options.block_size } else { 0 };
        if enough && converged && !copies_may_be_missing(&ritz, wanted, starts, same) {
            Ok(Verdict::Converged(ritz))
        } else {
            Ok(Verdict::GoOn)
        }
    }

    /// Compresses the basis to the wanted pairs and some more. False when the projected matrix is not finite.
    fn restart(&mut self, wanted: Wanted) -> Result<bool, ProductError> {
        let Some(ritz) = self.state.ritz() else { return Ok(false) };
        let (max, block) = (self.options.max_vectors(self.n), self.options.block_size);
        // Two fifths of the room left are refilled at once: more slows the growth of new directions, less throws
        // away what has been learnt about the neighbours of the wanted values.
        let free = max.saturating_sub(wanted.count() + 2 * block);
        let kept = kept_indices(&ritz, wanted, free * 2 / 5);
        let wanted_now = wanted_indices(&ritz, wanted);
        // What is locked must not depend on the tolerance, so that a finer one can go on from here.
        let settled = LOCK * self.options.precision.epsilon() * self.state.head.norm;
        let kept: Vec<(Ritz, bool)> = kept
            .into_iter()
            .map(|i| {
                let lock = ritz[i].estimate <= settled && wanted_now.contains(&i);
                (ritz[i].clone(), ritz[i].locked.is_some() || lock)
            })
            .collect();
        self.state.restart(&kept)?;
        Ok(true)
    }
}

pub(super) fn ritz_values(pairs: &[WantedPair]) -> Vec<RitzValue> {
    pairs.iter().map(|p| RitzValue { value: p.value, residual_estimate: p.residual_estimate }).collect()
}
