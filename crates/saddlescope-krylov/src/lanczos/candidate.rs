//! A wanted pair on its way: what an observer sees of it.

use std::fmt;

use super::trail::SpectrumEnd;
use crate::{LanczosState, ProductError, vector};

/// A wanted pair as it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WantedPair {
    /// The end of the spectrum it belongs to; in largest-magnitude mode that of its sign.
    pub end: SpectrumEnd,
    /// Its number at that end; 0 is the extreme one.
    pub rank: usize,
    /// The Ritz value θ, an eigenvalue of the operator up to its residual.
    pub value: f64,
    /// ‖Aq − θq‖₂ as the recurrence predicts it, without a product.
    pub residual_estimate: f64,
    /// The residual that counts as converged.
    pub goal: f64,
    /// More products until the estimate reaches the goal, from how fast it fell so far: 0 when it has, `None` when that
    /// cannot be told.
    pub missing: Option<usize>,
}

impl WantedPair {
    /// Whether the estimate has reached the goal.
    pub fn is_settled(&self) -> bool {
        self.missing == Some(0)
    }
}

/// How many products a solve will have used at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forecast {
    /// About this many, including those that check the residuals.
    Products(usize),
    /// At least one pair does not yet converge in a way that tells.
    Unknown,
}

/// About how many products a solve takes with room for `vectors` basis vectors that takes `products` with room for all.
///
/// What a restart throws away has to be found again: P (1 + 2P/r²) products, with r the room beside the wanted pairs, is within a
/// factor of two of what was measured (`docs/solvers.md`).
pub fn products_with_restarts(products: usize, wanted: usize, vectors: usize) -> usize {
    if products <= vectors {
        return products;
    }
    let (p, room) = (products as f64, vectors.saturating_sub(wanted).max(1) as f64);
    (p * (1.0 + 2.0 * p / (room * room))).round() as usize
}

impl fmt::Display for Forecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Forecast::Products(count) => write!(f, "about {count} products"),
            Forecast::Unknown => f.write_str("number of products not known yet"),
        }
    }
}

/// A wanted pair that has not converged yet, shown to
/// [`Observer::residual_allowed`](crate::Observer::residual_allowed).
pub struct Candidate<'a> {
    /// Where it stands.
    pub pair: WantedPair,
    /// The residual that the observer has allowed for it before, in this solve or in the one it was resumed from.
    pub allowed: Option<f64>,
    pub(crate) state: &'a LanczosState,
    pub(crate) coordinates: &'a [f64],
}

impl Candidate<'_> {
    /// The Ritz vector, of norm 1. It is made on demand: that reads the whole basis once.
    ///
    /// # Errors
    /// [`ProductError`] where the rows of the basis are elsewhere and cannot be reached.
    pub fn vector(&self) -> Result<Vec<f64>, ProductError> {
        ritz_vector(self.state, self.coordinates)
    }
}

/// The unit vector with these coordinates in the expanded basis.
pub(crate) fn ritz_vector(state: &LanczosState, coordinates: &[f64]) -> Result<Vec<f64>, ProductError> {
    let mut v = state.basis.combine(coordinates.len(), coordinates)?;
    let norm = vector::norm(&v);
    vector::scale(1.0 / norm, &mut v);
    vector::fix_sign(&mut v);
    Ok(v)
}
