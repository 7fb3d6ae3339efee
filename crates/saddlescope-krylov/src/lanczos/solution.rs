//! Eigenpairs with their residuals, and how the solve ended.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{LanczosState, RitzValue};

/// How a computation ended. `Display` says what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Status {
    /// Everything asked for was reached.
    Converged,
    /// The budget of products was used up first.
    MaxMatvecs,
    /// The whole space was spanned: there are fewer eigenpairs than were asked for.
    InvariantSubspace,
    /// The operator returned a value that is not finite.
    NonFinite,
    /// The observer stopped the computation.
    Cancelled,
    /// The rounding errors of the products are larger than the tolerance of a pair.
    RoundingFloor,
    /// The recurrence has converged but the true residuals have not followed.
    Stagnated,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Converged => "converged",
            Status::MaxMatvecs => {
                "the limit on operator products was reached: raise it (what was found is gone on from) or loosen the tolerance"
            }
            Status::InvariantSubspace => {
                "the whole space was searched: it has fewer eigenpairs than were asked for, all of them are given"
            }
            Status::NonFinite => {
                "the operator returned a value that is not finite: look for NaN or overflow in the parameters, the data or the loss"
            }
            Status::Cancelled => "cancelled: the same solve goes on where it stopped",
            Status::RoundingFloor => {
                "the rounding errors of the products, which are relative to the largest |λ|, are larger than a tolerance: evaluate the operator in double precision or loosen the tolerance; more products do not help"
            }
            Status::Stagnated => {
                "the true residuals stay above the tolerance because of rounding: store the basis or evaluate the operator in double precision, or loosen the tolerance"
            }
        })
    }
}

/// Which test decided that a residual is small enough. Where several hold, the first of this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Criterion {
    /// The tolerance relative to |λ|.
    Relative,
    /// The residual that the observer allowed, see [`Observer::residual_allowed`](crate::Observer::residual_allowed).
    Allowed,
    /// The floor, a multiple of ‖A‖: λ is too small against ‖A‖ for the relative tolerance.
    Floor,
}

impl fmt::Display for Criterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Criterion::Relative => "the tolerance relative to |λ|",
            Criterion::Allowed => "the residual that the caller allowed",
            Criterion::Floor => "the floor relative to ‖A‖",
        })
    }
}

/// An approximate eigenpair with its true residual.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Eigenpair {
    /// The Rayleigh quotient λ = vᵀAv.
    pub value: f64,
    /// The unit vector v; its component of largest magnitude is positive.
    pub vector: Vec<f64>,
    /// ‖Av − λv‖₂ from a product with this very vector. Infinite when the budget left no product to check it.
    pub residual: f64,
    /// Whether the residual is within the tolerance that was asked for.
    pub converged: bool,
    /// What it was within; `None` when it has not converged.
    #[serde(default)]
    pub criterion: Option<Criterion>,
}

impl Eigenpair {
    /// [λ − r, λ + r]: holds at least one eigenvalue of A (r the residual), whatever A's other eigenvalues are.
    pub fn interval(&self) -> (f64, f64) {
        (self.value - self.residual, self.value + self.residual)
    }
}

/// What an eigensolver found.
#[derive(Clone, Debug)]
pub struct Eigensolution {
    /// The pairs: by descending value when ends were asked for, by descending |λ| for largest magnitude.
    pub pairs: Vec<Eigenpair>,
    pub(crate) n_largest: usize,
    pub(crate) n_smallest: usize,
    /// How the solve ended.
    pub status: Status,
    /// Operator products used, those for the residuals included.
    pub products: usize,
    /// How often the basis was full and had to be compressed.
    pub restarts: usize,
    /// The largest |λ| seen, a lower bound of ‖A‖₂ and close to it.
    pub norm_estimate: f64,
    /// The wanted Ritz values at the end, also when no pair could be checked.
    pub ritz: Vec<RitzValue>,
    /// The state of the solver, to save and to go on from.
    pub state: LanczosState,
}

impl Eigensolution {
    /// The pairs asked for at the upper end, largest first. Empty in largest-magnitude mode.
    pub fn largest(&self) -> &[Eigenpair] {
        &self.pairs[..self.n_largest.min(self.pairs.len())]
    }

    /// The pairs asked for at the lower end, smallest last (so that `last()` is λmin).
    ///
    /// When more pairs are asked for than there are, a pair can be in both lists.
    pub fn smallest(&self) -> &[Eigenpair] {
        &self.pairs[self.pairs.len() - self.n_smallest.min(self.pairs.len())..]
    }

    /// Whether every pair asked for is there and has converged.
    pub fn is_converged(&self) -> bool {
        self.status == Status::Converged
    }
}
