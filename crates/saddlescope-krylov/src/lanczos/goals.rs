//! Where each wanted pair stands: the residual it has to reach, what the observer allows, and whether rounding errors
//! of the products keep it from there.

use super::LanczosError;
use super::candidate::{Candidate, WantedPair, ritz_vector};
use super::ritz::Ritz;
use super::solution::{Criterion, Status};
use super::solver::Solver;
use super::trail::SpectrumEnd;
use crate::observer::Observer;
use crate::{Precision, ProductError, Wanted, vector};

/// An end of the spectrum and a rank there.
pub(super) type Place = (SpectrumEnd, usize);

/// Where pair `i` of all (ascending) has its place.
pub(super) fn place(ritz: &[Ritz], i: usize, wanted: Wanted) -> Place {
    let from_top = ritz.len() - 1 - i;
    let upper = match wanted {
        Wanted::Ends { largest, .. } => from_top < largest,
        Wanted::LargestMagnitude(_) => ritz[i].value >= 0.0,
    };
    if upper { (SpectrumEnd::Largest, from_top) } else { (SpectrumEnd::Smallest, i) }
}

impl Solver<'_> {
    /// The residuals that count as converged for a Ritz value of the operator that is being solved, in the order of
    /// [`Criterion`].
    pub(super) fn goals(&self, value: f64, (end, rank): Place) -> [(Criterion, f64); 3] {
        [
            (Criterion::Relative, self.options.tolerance * (value + self.shift).abs()),
            (Criterion::Allowed, self.state.granted(end, rank).unwrap_or(0.0)),
            (Criterion::Floor, self.options.floor() * self.state.head.norm),
        ]
    }

    pub(super) fn goal(&self, value: f64, place: Place) -> f64 {
        self.goals(value, place).iter().fold(0.0, |goal, g| g.1.max(goal))
    }

    /// Which of the goals a residual has reached.
    pub(super) fn criterion(&self, residual: f64, value: f64, place: Place) -> Option<Criterion> {
        let smallest = |g: &&(Criterion, f64)| residual <= g.1;
        self.goals(value, place).iter().find(smallest).map(|g| g.0)
    }

    /// The wanted pairs as they stand, after the observer was asked what it allows.
    pub(super) fn follow(
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
                self.make_room();
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

    pub(super) fn stand(&self, r: &Ritz, (end, rank): Place) -> WantedPair {
        let goal = self.goal(r.value, (end, rank));
        let settled = r.locked.is_some() || r.estimate <= self.state.head.tighten * goal;
        let missing = if settled {
            Some(0)
        } else {
            self.state.head.trail.missing(end, rank, self.state.head.tighten * goal)
        };
        WantedPair { end, rank, value: r.value + self.shift, residual_estimate: r.estimate, goal, missing }
    }

    /// Whether rounding errors of the products keep a wanted pair from its goal, found by a product with its vector.
    ///
    /// The estimates do not know these errors: the true residual has them on top. Such a product is made when an
    /// estimate comes to where rounding may matter, and again each time it has halved since.
    pub(super) fn probe(&mut self, ritz: &[Ritz], indices: &[usize]) -> Result<Option<Status>, LanczosError> {
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
            self.make_room();
            let v = ritz_vector(&self.state, &ritz[i].coordinates)?;
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
}
