//! The loop: test, restart when full, expand; then check the result with true products.

use std::ops::ControlFlow;

use super::candidate::{Candidate, Forecast, WantedPair};
use super::continuation::Made;
use super::select::{copies_may_be_missing, kept_indices, wanted_indices};
use super::solution::Criterion;
use super::state::{LanczosState, Ritz};
use super::trail::SpectrumEnd;
use super::{Eigenpair, Eigensolution, ExtremeEigen, LanczosError, Status, Wanted};
use crate::observer::{Observer, Progress, RitzValue};
use crate::{Precision, ProductError, SymmetricOperator, vector};

/// Vectors checked at a time, and bytes that these and their images may take: bounds the memory of the final products.
const CHECK_BLOCK: usize = 4;
const CHECK_BYTES: usize = 256 << 20;

/// How often the tolerance of the estimates is tightened when true residuals fall short.
const MAX_SHORTFALLS: usize = 2;

/// Wanted pairs whose estimate is below this multiple of ε‖A‖, ε that of the basis, are locked at a restart.
const LOCK: f64 = 0.25;

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
    let solver = Solver { operator, options, n, shift: 0.0, state, last: Vec::new(), checks: 0 };
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
    Solver { operator, options, n, shift, state, last: Vec::new(), checks: 0 }.run(observer)
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
    /// The wanted pairs at the last test.
    last: Vec<WantedPair>,
    /// Products of checks of the residuals that are not counted in the state. A state that goes on is that of the
    /// search, as if the solve had not stopped to check.
    checks: usize,
}

/// What the test of convergence says.
enum Verdict {
    GoOn,
    /// No convergence: this status ends the search.
    Stop(Status),
    Converged(Vec<Ritz>),
    NonFinite,
}

/// What came of multiplying the wanted vectors once more.
enum Checked {
    Pairs(Vec<Eigenpair>, Vec<Place>),
    /// No pairs: a product was cancelled or is not finite.
    No(Status),
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
            Some(most) => Forecast::Products(self.state.head.products + most + self.last.len()),
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

    /// The residuals that count as converged for a Ritz value of the operator that is being solved, in the order of
    /// [`Criterion`].
    fn goals(&self, value: f64, (end, rank): Place) -> [(Criterion, f64); 3] {
        [
            (Criterion::Relative, self.options.tolerance * (value + self.shift).abs()),
            (Criterion::Allowed, self.state.granted(end, rank).unwrap_or(0.0)),
            (Criterion::Floor, self.options.floor() * self.state.head.norm),
        ]
    }

    fn goal(&self, value: f64, place: Place) -> f64 {
        self.goals(value, place).iter().fold(0.0, |goal, g| g.1.max(goal))
    }

    /// Which of the goals a residual has reached.
    fn criterion(&self, residual: f64, value: f64, place: Place) -> Option<Criterion> {
        let smallest = |g: &&(Criterion, f64)| residual <= g.1;
        self.goals(value, place).iter().find(smallest).map(|g| g.0)
    }

    /// The wanted pairs as they stand, after the observer was asked what it allows.
    fn follow(
        &mut self,
        ritz: &[Ritz],
        indices: &[usize],
        observer: &mut dyn Observer,
    ) -> Result<(), LanczosError> {
        self.state.head.trail.add(self.state.head.products, ritz);
        self.last.clear();
        for &i in indices {
            let (r, place) = (&ritz[i], place(ritz, i, self.options.wanted));
            let mut pair = self.stand(r, place);
            if !pair.is_settled() {
                let allowed = self.state.granted(place.0, place.1);
                let candidate = Candidate { pair, allowed, state: &self.state, coordinates: &r.coordinates };
                if let Some(residual) = observer.residual_allowed(&candidate)? {
                    if !(residual.is_finite() && residual >= 0.0) {
                        return Err(LanczosError::Tolerance { found: residual });
                    }
                    self.state.grant(place.0, place.1, residual);
                    pair = self.stand(r, place);
                }
            }
            self.last.push(pair);
        }
        Ok(())
    }

    fn stand(&self, r: &Ritz, (end, rank): Place) -> WantedPair {
        let goal = self.goal(r.value, (end, rank));
        let settled = r.locked.is_some() || r.estimate <= self.state.head.tighten * goal;
        let missing = if settled {
            Some(0)
        } else {
            self.state.head.trail.missing(end, rank, self.state.head.tighten * goal)
        };
        WantedPair { end, rank, value: r.value + self.shift, residual_estimate: r.estimate, goal, missing }
    }

    fn test(&mut self, wanted: Wanted, observer: &mut dyn Observer) -> Result<Verdict, LanczosError> {
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
        if enough && converged && !copies_may_be_missing(&ritz, wanted, self.state.head.invariant, same) {
            Ok(Verdict::Converged(ritz))
        } else {
            Ok(Verdict::GoOn)
        }
    }

    /// Whether rounding errors of the products keep a wanted pair from its goal, found by a product with its vector.
    ///
    /// The estimates do not know these errors: the true residual has them on top. Such a product is made when an
    /// estimate comes to where rounding may matter, and again each time it has halved since.
    fn probe(&mut self, ritz: &[Ritz], indices: &[usize]) -> Result<Option<Status>, LanczosError> {
        if self.options.product_precision == Precision::F64 {
            return Ok(None);
        }
        let rounding = self.options.rounding() * self.state.head.norm;
        for (k, &i) in indices.iter().enumerate() {
            let pair = self.last[k];
            let before = self.state.probed(pair.end, pair.rank);
            let due = pair.residual_estimate <= rounding && pair.residual_estimate <= 0.5 * before;
            if pair.is_settled() || !due {
                continue;
            }
            let left = self.options.max_products.saturating_sub(self.state.head.products + self.checks);
            if left <= self.options.wanted_in(self.n).count() {
                return Ok(None);
            }
            let v = super::candidate::ritz_vector(&self.state, &ritz[i].coordinates);
            let mut image = vec![0.0; self.n];
            match self.operator.apply(&v, &mut image) {
                Ok(()) => {}
                Err(ProductError::Cancelled) => return Ok(Some(Status::Cancelled)),
                Err(error) => return Err(error.into()),
            }
            self.checks += 1;
            self.state.note_probe(pair.end, pair.rank, pair.residual_estimate);
            let residual = vector::residual_norm(&image, vector::dot(&v, &image), &v);
            if !residual.is_finite() {
                return Ok(Some(Status::NonFinite));
            }
            let errors = (residual.powi(2) - pair.residual_estimate.powi(2)).max(0.0).sqrt();
            if errors > pair.goal && errors > pair.residual_estimate {
                return Ok(Some(Status::RoundingFloor));
            }
        }
        Ok(None)
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
        // What is locked must not depend on the tolerance, so that a finer one can go on from here.
        let settled = LOCK * self.options.precision.epsilon() * self.state.head.norm;
        let kept: Vec<(Ritz, bool)> = kept
            .into_iter()
            .map(|i| {
                let lock = ritz[i].estimate <= settled && wanted_now.contains(&i);
                (ritz[i].clone(), ritz[i].locked.is_some() || lock)
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
    fn check(
        &mut self,
        ritz: &[Ritz],
        wanted: Wanted,
        observer: &mut dyn Observer,
    ) -> Result<Checked, ProductError> {
        let (n, m) = (self.n, self.state.head.expanded);
        let mut pairs = Vec::new();
        let block = (CHECK_BYTES / (16 * n.max(1))).clamp(1, CHECK_BLOCK);
        for group in wanted_indices(ritz, wanted).chunks(block) {
            let s: Vec<f64> = group.iter().flat_map(|&i| ritz[i].coordinates.iter().copied()).collect();
            let mut vs = self.state.basis.combine(m, &s);
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
                let v = vs.split_off(j * n);
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
    fn stop(
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
            products: state.head.products + self.checks,
            restarts: state.head.restarts,
            norm_estimate: state.head.norm,
            ritz: ritz_values(&self.last),
            state,
        }
    }

    fn finish(mut self, pairs: Vec<Eigenpair>, status: Status) -> Eigensolution {
        self.take(pairs, status)
    }
}

/// An end of the spectrum and a rank there.
type Place = (SpectrumEnd, usize);

/// Where pair `i` of all (ascending) has its place.
fn place(ritz: &[Ritz], i: usize, wanted: Wanted) -> Place {
    let from_top = ritz.len() - 1 - i;
    let upper = match wanted {
        Wanted::Ends { largest, .. } => from_top < largest,
        Wanted::LargestMagnitude(_) => ritz[i].value >= 0.0,
    };
    if upper { (SpectrumEnd::Largest, from_top) } else { (SpectrumEnd::Smallest, i) }
}

fn ritz_values(pairs: &[WantedPair]) -> Vec<RitzValue> {
    pairs.iter().map(|p| RitzValue { value: p.value, residual_estimate: p.residual_estimate }).collect()
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
