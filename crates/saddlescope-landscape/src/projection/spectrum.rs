//! Random planes of a Hessian of which only the spectrum is known.

use super::{Fraction, PlaneHessian, PlaneShape, saddle_probability_closed_form};
use crate::random;
use rand::RngExt;
use rand_distr::{ChiSquared, Distribution, StandardNormal};
use rayon::prelude::*;

/// Curvatures with multiplicities: all that matters for the Hessian of a random Gaussian plane.
#[derive(Clone, Debug, PartialEq)]
pub struct Spectrum {
    /// Curvature and how many eigenvectors share it; the count of a density node need not be whole.
    levels: Vec<(f64, f64)>,
}

/// Why a list of numbers is no spectrum.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpectrumError {
    /// An eigenvalue or a node is NaN or infinite.
    #[error("eigenvalue {index} of the spectrum is {value}; expected a finite number")]
    Value {
        /// Its position.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// A weight is negative, NaN or infinite, or all are zero.
    #[error("weight {index} of the spectrum is {weight}; expected a finite number ≥ 0, not all of them 0")]
    Weight {
        /// Its position.
        index: usize,
        /// Its value.
        weight: f64,
    },
    /// Different numbers of nodes and weights.
    #[error("{nodes} nodes but {weights} weights")]
    Lengths {
        /// Number of nodes.
        nodes: usize,
        /// Number of weights.
        weights: usize,
    },
    /// More known eigenvalues than dimensions.
    #[error("{top} known eigenvalues in {dim} dimensions")]
    TooMany {
        /// Known eigenvalues.
        top: usize,
        /// Dimension.
        dim: usize,
    },
}

impl Spectrum {
    /// A spectrum from all N eigenvalues.
    ///
    /// # Errors
    /// An eigenvalue that is not finite.
    pub fn from_eigenvalues(values: &[f64]) -> Result<Self, SpectrumError> {
        Self::checked(values.iter().map(|&value| (value, 1.0)).collect())
    }

    /// A spectrum from eigenvalues with multiplicities.
    ///
    /// # Errors
    /// An eigenvalue that is not finite.
    pub fn from_multiplicities(levels: &[(f64, usize)]) -> Result<Self, SpectrumError> {
        Self::checked(levels.iter().map(|&(value, count)| (value, count as f64)).collect())
    }

    /// A spectrum in `dim` dimensions from known eigenvalues (`top`, either end) and a density of the rest: nodes with
    /// weights, rescaled to sum to the `dim − top.len()` eigenvalues that are left.
    ///
    /// # Errors
    /// Numbers that are not finite, negative weights, or more known eigenvalues than dimensions.
    pub fn from_density(
        top: &[f64],
        nodes: &[f64],
        weights: &[f64],
        dim: usize,
    ) -> Result<Self, SpectrumError> {
        if nodes.len() != weights.len() {
            return Err(SpectrumError::Lengths { nodes: nodes.len(), weights: weights.len() });
        }
        let left = dim.checked_sub(top.len()).ok_or(SpectrumError::TooMany { top: top.len(), dim })? as f64;
        if let Some(index) = weights.iter().position(|w| !(w.is_finite() && *w >= 0.0)) {
            return Err(SpectrumError::Weight { index, weight: weights[index] });
        }
        let total: f64 = weights.iter().sum();
        if left > 0.0 && !(total > 0.0 && total.is_finite()) {
            return Err(SpectrumError::Weight { index: 0, weight: total });
        }
        let bulk = nodes.iter().zip(weights).filter(|_| left > 0.0).map(|(&x, &w)| (x, w / total * left));
        Self::checked(top.iter().map(|&value| (value, 1.0)).chain(bulk).collect())
    }

    fn checked(levels: Vec<(f64, f64)>) -> Result<Self, SpectrumError> {
        if let Some(index) = levels.iter().position(|(value, _)| !value.is_finite()) {
            return Err(SpectrumError::Value { index, value: levels[index].0 });
        }
        Ok(Self { levels })
    }

    /// Curvatures with their (possibly fractional) multiplicities.
    pub fn levels(&self) -> &[(f64, f64)] {
        &self.levels
    }

    /// Number of eigenvalues, N.
    pub fn dim(&self) -> f64 {
        self.levels.iter().map(|(_, count)| count).sum()
    }

    /// tr H = Σ κᵢ.
    pub fn trace(&self) -> f64 {
        self.levels.iter().map(|(value, count)| value * count).sum()
    }

    /// tr H² = Σ κᵢ².
    pub fn trace_of_square(&self) -> f64 {
        self.levels.iter().map(|(value, count)| value * value * count).sum()
    }

    /// The closed form exp(−(tr H)²/(4 tr H²))/√2, good when no curvature dominates.
    pub fn saddle_probability_closed_form(&self) -> f64 {
        saddle_probability_closed_form(self.trace(), self.trace_of_square())
    }

    /// `draws` Hessians of random Gaussian planes, exactly distributed.
    ///
    /// A level of curvature κ and multiplicity m contributes κ W with a 2 × 2 Wishart matrix W of m degrees of freedom,
    /// drawn by its Bartlett factor: Ση² ~ χ²ₘ, and so on. A cost of three numbers a level instead of 2N. A fractional
    /// m ≥ 1 is a Wishart matrix of m degrees of freedom; m < 1 is a single direction that is there with probability m.
    /// Draws use their own streams of `seed`: the same bits on any number of threads.
    pub fn sample_planes(&self, draws: usize, seed: u64) -> Vec<PlaneHessian> {
        let levels: Vec<Level> = self
            .levels
            .iter()
            .filter(|&&(value, count)| value != 0.0 && count > 0.0)
            .filter_map(|&(value, count)| Level::new(value, count))
            .collect();
        const PER_BLOCK: usize = 256;
        (0..draws.div_ceil(PER_BLOCK))
            .into_par_iter()
            .flat_map_iter(|block| {
                let mut rng = random::generator(seed, block as u64);
                let count = PER_BLOCK.min(draws - block * PER_BLOCK);
                let planes: Vec<PlaneHessian> = (0..count).map(|_| draw(&levels, &mut rng)).collect();
                planes
            })
            .collect()
    }

    /// The fraction of `draws` random planes that show a saddle.
    pub fn saddle_probability(&self, draws: usize, seed: u64) -> Fraction {
        Fraction::count(self.sample_planes(draws, seed), |plane| {
            plane.curvatures().shape() == PlaneShape::Saddle
        })
    }
}

/// A level prepared for sampling.
struct Level {
    value: f64,
    /// Probability that the level is there at all.
    presence: f64,
    first: ChiSquared<f64>,
    /// χ² of one degree of freedom less; `None` when there is none left.
    second: Option<ChiSquared<f64>>,
}

impl Level {
    /// `None` when the count is too small for a χ² distribution, that is, negligible.
    fn new(value: f64, count: f64) -> Option<Self> {
        let dof = count.max(1.0);
        let first = ChiSquared::new(dof).ok()?;
        // Below 1e-9 the second χ² is zero to working precision.
        let second = (dof - 1.0 > 1e-9).then(|| ChiSquared::new(dof - 1.0).ok()).flatten();
        Some(Self { value, presence: count.min(1.0), first, second })
    }
}

fn draw(levels: &[Level], rng: &mut impl RngExt) -> PlaneHessian {
    let mut plane = PlaneHessian { a: 0.0, b: 0.0, c: 0.0 };
    for level in levels {
        if level.presence < 1.0 && rng.random::<f64>() >= level.presence {
            continue;
        }
        let first: f64 = level.first.sample(rng);
        let cross: f64 = StandardNormal.sample(rng);
        let second: f64 = level.second.as_ref().map_or(0.0, |chi| chi.sample(rng));
        plane.a += level.value * first;
        plane.b += level.value * first.sqrt() * cross;
        plane.c += level.value * (cross * cross + second);
    }
    plane
}
