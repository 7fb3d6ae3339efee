//! Eigenpairs and what they say about the point.

use saddlescope_figure::floats;
use saddlescope_krylov::{SpectrumEnd, Status};
use serde::{Deserialize, Serialize};

use super::super::selection::EigenMethod;

/// An eigenpair without its vector (that is in `directions.safetensors`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EigenpairResult {
    /// Which end it was asked for at.
    pub end: SpectrumEnd,
    /// λ, the Rayleigh quotient of the unit vector.
    #[serde(with = "floats::scalar")]
    pub value: f64,
    /// ‖Hv − λv‖₂ from a product with this very vector.
    #[serde(with = "floats::scalar")]
    pub residual: f64,
    /// How far rounding moves a product with a unit vector, estimated from what the self-check found: the distance of a product in f32
    /// from the same in f64, as a share of the largest |λ|.
    #[serde(default, with = "floats::scalar")]
    pub rounding: f64,
    /// λ ± (residual + rounding): holds an eigenvalue of H.
    #[serde(with = "floats::pair")]
    pub interval: [f64; 2],
    /// Standard error of λ over the data: what other samples from the same source would change, from the Rayleigh
    /// quotients vᵀH_b v of chunks of samples; `None` where it is not known (fewer than two chunks).
    #[serde(default, with = "floats::known")]
    pub std_error: Option<f64>,
    /// Whether the residual is within the tolerance asked for.
    pub converged: bool,
    /// Which test decided that, in words: the relative tolerance, the error over the data, or the rounding floor.
    #[serde(default)]
    pub criterion: Option<String>,
    /// Name of the vector in `directions.safetensors`.
    pub direction: String,
}

/// The eigenvalue stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EigenResult {
    /// The pairs, largest first.
    pub pairs: Vec<EigenpairResult>,
    /// How the solve ended.
    pub status: Status,
    /// That in words, with what to do next.
    pub message: String,
    /// Operator products used.
    pub products: usize,
    /// The limit on them.
    pub max_products: usize,
    /// Which method.
    pub method: EigenMethod,
    /// Algorithm 1 only: what was found about condition (B.1).
    pub condition_b1: Option<String>,
    /// Where the rest of the spectrum begins below the largest pairs and above the smallest, as far as the Krylov space shows it: the
    /// next Ritz values, each nearer by its residual estimate. `None` where they are not known.
    #[serde(default, with = "floats::optional_pair", skip_serializing_if = "Option::is_none")]
    pub rest: Option<[f64; 2]>,
}

impl EigenResult {
    /// The largest |λ| among the pairs.
    pub(crate) fn largest_magnitude(&self) -> f64 {
        self.pairs.iter().map(|p| p.value.abs()).fold(0.0, f64::max)
    }
}

/// The signs of the Hessian, as far as certified eigenvalues tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HessianSigns {
    /// Certainly eigenvalues of both signs.
    Indefinite,
    /// All eigenvalues certainly positive.
    Positive,
    /// All eigenvalues certainly negative.
    Negative,
    /// An extreme eigenvalue cannot be told from zero.
    Degenerate,
    /// The solve did not converge.
    Undecided,
}

/// How far from critical (∇L = 0) a point is, by what steps would change the loss to second order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Criticality {
    /// ‖∇L‖²/(2 max|λ|): what a gradient step of length 1/max|λ| lowers the loss by (descent lemma), in units of the loss.
    #[serde(with = "floats::scalar")]
    pub gradient_change: f64,
    /// Signed Newton steps −gᵀv/λ along the unit eigenvectors of λ_max and λ_min, in units of θ: where the quadratic model
    /// is stationary.
    #[serde(with = "floats::pair")]
    pub newton_steps: [f64; 2],
    /// ½ (gᵀv)²/|λ| along both: by how much those steps change the quadratic model, in units of the loss.
    #[serde(with = "floats::pair")]
    pub newton_changes: [f64; 2],
    /// Distance to the smallest loss found along the eigenvector of λ_min, if it was looked for.
    #[serde(default, with = "floats::known")]
    pub escape_distance: Option<f64>,
    /// Largest change with which the point counts as critical: 1e-4 of the loss.
    #[serde(with = "floats::scalar")]
    pub allowed: f64,
    /// Whether all changes are within that.
    pub critical: bool,
}

/// The pair of the largest eigenvalue among `pairs` (largest first).
pub fn largest(pairs: &[EigenpairResult]) -> Option<&EigenpairResult> {
    pairs.iter().find(|p| p.end == SpectrumEnd::Largest)
}

/// The pair of the smallest eigenvalue among `pairs` (largest first).
pub fn smallest(pairs: &[EigenpairResult]) -> Option<&EigenpairResult> {
    pairs.iter().rev().find(|p| p.end == SpectrumEnd::Smallest)
}

/// Extreme eigenvalues of the two parts of H = G + R.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitResult {
    /// Largest eigenvalue of the generalised Gauss–Newton matrix G (it has no negative ones).
    pub gauss_newton_largest: PartEigenvalue,
    /// Largest eigenvalue of R = H − G.
    pub residual_largest: PartEigenvalue,
    /// Smallest eigenvalue of R.
    pub residual_smallest: PartEigenvalue,
    /// vᵀGv and vᵀRv for v the Hessian's eigenvector of λmin.
    #[serde(with = "floats::pair")]
    pub at_lambda_min: [f64; 2],
    /// The same for λmax.
    #[serde(with = "floats::pair")]
    pub at_lambda_max: [f64; 2],
    /// Operator products used.
    pub products: usize,
}

/// An eigenvalue with its residual.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartEigenvalue {
    /// λ.
    #[serde(with = "floats::scalar")]
    pub value: f64,
    /// True residual.
    #[serde(with = "floats::scalar")]
    pub residual: f64,
    /// Whether it converged.
    pub converged: bool,
}
