//! The settled point.

use saddlescope_figure::floats;
use serde::{Deserialize, Serialize};

use super::eigen::PartEigenvalue;
use crate::number_text::short;
use crate::reading::CriticalKind;
use crate::settle::{SettleEnd, SettleStep};

/// The spectrum of the Hessian at the settled point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CriticalSpectrum {
    /// Whether every eigenvalue is known: then the counts are the index, the nullity and the rest. Else they count the
    /// extreme eigenvalues that were found, and are bounds from below.
    pub whole: bool,
    /// Eigenvalues that are certainly negative.
    pub negative: usize,
    /// Eigenvalues that cannot be told from zero; `None` where only the extreme ones are known.
    pub zero: Option<usize>,
    /// Eigenvalues that are certainly positive.
    pub positive: usize,
    /// What an eigenvalue must exceed to count: rounding (the asymmetry ‖H − Hᵀ‖_F/√2 of the products and N ε ‖H‖_F where all
    /// eigenvalues are known, else a share of the largest |λ|), the
    /// size of the gradient, by which symmetries miss zero, and by how much the Hessian changed over the last step, these two only where
    /// the way converged; beside it each extreme eigenvalue has its residual.
    #[serde(with = "floats::scalar")]
    pub threshold: f64,
    /// All eigenvalues in ascending order, where they are known.
    #[serde(with = "floats")]
    pub eigenvalues: Vec<f64>,
    /// The largest ones, where not all are known.
    pub largest: Vec<PartEigenvalue>,
    /// The smallest ones, largest first, where not all are known.
    pub smallest: Vec<PartEigenvalue>,
    /// Products with the Hessian.
    pub products: usize,
}

impl CriticalSpectrum {
    /// The counts in words.
    pub fn counts(&self) -> String {
        match self.zero {
            Some(zero) => format!(
                "{} negative, {zero} zero, {} positive eigenvalues (zero: |λ| ≤ {})",
                self.negative,
                self.positive,
                short(self.threshold)
            ),
            None => format!(
                "at least {} negative and {} positive eigenvalues, by their residuals",
                self.negative, self.positive
            ),
        }
    }

    /// Whether the Hessian is zero as far as can be told: no eigenvalue exceeds what is not known of it. Where only the extreme
    /// ones are known, all others lie between them.
    pub fn vanishes(&self) -> bool {
        if self.whole {
            return self.negative == 0 && self.positive == 0;
        }
        let zero = |p: &PartEigenvalue| p.converged && p.value.abs() <= p.residual + self.threshold;
        !self.largest.is_empty()
            && !self.smallest.is_empty()
            && self.largest.iter().chain(&self.smallest).all(zero)
    }

    /// The kind of critical point that these signs make.
    pub(crate) fn kind(&self) -> CriticalKind {
        match (self.negative, self.positive) {
            (1.., 1..) => CriticalKind::Saddle,
            _ if self.vanishes() => CriticalKind::Degenerate,
            _ if !self.whole => CriticalKind::Undecided,
            (0, _) if self.zero == Some(0) => CriticalKind::Minimum,
            (_, 0) if self.zero == Some(0) => CriticalKind::Maximum,
            _ => CriticalKind::Degenerate,
        }
    }
}

/// The way from θ* to a point with ∇L = 0, and what is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettleResult {
    /// Why it ended.
    pub end: SettleEnd,
    /// That in words.
    pub message: String,
    /// ‖∇L‖ asked for.
    #[serde(with = "floats::scalar")]
    pub tolerance: f64,
    /// ‖∇L‖ at θ* and at the end.
    #[serde(with = "floats::pair")]
    pub gradient_norm: [f64; 2],
    /// Loss at θ* and at the end.
    #[serde(with = "floats::pair")]
    pub loss: [f64; 2],
    /// Accuracy at both.
    #[serde(default, with = "floats::optional_pair", skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<[f64; 2]>,
    /// Loss on the other split at both.
    #[serde(default, with = "floats::optional_pair", skip_serializing_if = "Option::is_none")]
    pub other_loss: Option<[f64; 2]>,
    /// ‖θ − θ*‖.
    #[serde(with = "floats::scalar")]
    pub distance: f64,
    /// The same in units of ‖θ*‖.
    #[serde(with = "floats::scalar")]
    pub relative_distance: f64,
    /// Every step; the first is the start.
    pub steps: Vec<SettleStep>,
    /// Products and gradients of the way.
    pub products: usize,
    /// Gradients.
    pub gradients: usize,
    /// The spectrum at the end.
    pub spectrum: Option<CriticalSpectrum>,
    /// Kind of critical point; `None` where the end is not critical.
    pub kind: Option<CriticalKind>,
}
