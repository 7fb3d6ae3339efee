//! What a measure of sharpness is, and what the measures depend on.

use saddlescope_figure::floats;
use saddlescope_krylov::Estimate;
use serde::{Deserialize, Serialize};

use super::kinds::MeasureKind;

/// What the measures depend on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SharpnessOptions {
    /// ρ, the radius of SAM's ball.
    pub rho: f64,
    /// ε of Keskar et al.'s box: |zᵢ| ≤ ε (|θᵢ| + 1).
    pub epsilon: f64,
    /// Gradients of each climb at most.
    pub gradients: usize,
    /// A climb ends when the linear model promises no more than this share of what was gained.
    pub climb_tolerance: f64,
    /// Random probes of each trace.
    pub probes: usize,
    /// Residual allowed of eigenvalues, relative to each.
    pub tolerance: f64,
    /// Products of each eigenvalue at most.
    pub max_products: usize,
}

impl Default for SharpnessOptions {
    /// ρ of Foret et al. (2021), ε of Keskar et al. (2017).
    fn default() -> Self {
        Self {
            rho: 0.05,
            epsilon: 1e-3,
            gradients: 50,
            climb_tolerance: 1e-2,
            probes: 16,
            tolerance: 1e-3,
            max_products: 300,
        }
    }
}

/// Why a measure has no meaning at a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotDefined(pub String);

/// One measure at one point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Which one: its name, formula and source are known by it.
    pub kind: MeasureKind,
    /// Its value.
    #[serde(with = "floats::scalar")]
    pub value: f64,
    /// How far the value may be from that of the definition on these very samples; what kind of error that is,
    /// [`MeasureKind::error`] says. `None` where it is not known.
    #[serde(default, with = "floats::known")]
    pub error: Option<f64>,
    /// Standard error over the data: what other samples from the same source would change. `None` where it is not known.
    #[serde(default, with = "floats::known")]
    pub std_error: Option<f64>,
    /// Whether it was computed as closely as asked for.
    pub converged: bool,
    /// What it is of, where that is not the whole network: the name of a layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Products with a curvature matrix.
    pub products: usize,
    /// Losses and gradients, a gradient counted as three losses.
    pub evaluations: usize,
}

/// All measures at a point.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// Those that were computed.
    pub measured: Vec<Measure>,
    /// Those that were not, with the reason.
    pub left_out: Vec<(MeasureKind, String)>,
}

impl Measures {
    /// One of them.
    pub fn get(&self, kind: MeasureKind) -> Option<&Measure> {
        self.measured.iter().find(|m| m.kind == kind)
    }
}

impl Measure {
    /// A measure without a value yet.
    pub(super) fn of(kind: MeasureKind) -> Self {
        Self {
            kind,
            value: f64::NAN,
            error: None,
            std_error: None,
            converged: true,
            of: None,
            products: 0,
            evaluations: 0,
        }
    }

    /// λ_max as another solve found it; `error` is its residual and the rounding of the products.
    pub fn largest(value: f64, error: f64, std_error: Option<f64>, converged: bool) -> Self {
        let kind = MeasureKind::LargestEigenvalue;
        Self { value, error: Some(error), std_error, converged, ..Self::of(kind) }
    }

    pub(super) fn estimated(kind: MeasureKind, estimate: Estimate) -> Self {
        Self { value: estimate.value, error: estimate.known_error(), ..Self::of(kind) }
    }
}
