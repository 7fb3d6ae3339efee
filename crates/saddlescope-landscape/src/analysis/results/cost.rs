//! What was checked, and what an analysis costs.

use saddlescope_figure::floats;
use saddlescope_krylov::Precision;
use serde::{Deserialize, Serialize};

/// What the tool checked about itself on this model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SelfCheck {
    /// Relative difference of H v to a central difference of gradients along a random v; `None` where products or
    /// gradients are not offered.
    #[serde(default, with = "floats::optional_scalar", skip_serializing_if = "Option::is_none")]
    pub finite_difference_error: Option<f64>,
    /// What is allowed there.
    #[serde(with = "floats::scalar")]
    pub finite_difference_allowed: f64,
    /// Number of samples it was checked on.
    pub finite_difference_samples: usize,
    /// Number type that it was computed in: f64 where the engine can.
    pub finite_difference_precision: String,
    /// The longest step along v at which the difference still agreed: beyond it kinks or third derivatives count.
    #[serde(default, with = "floats::known")]
    pub smooth_step: Option<f64>,
    /// Relative difference of a product in f32 to the same product in f64; `None` if the analysis is in f64, or only in f32.
    #[serde(default, with = "floats::optional_scalar", skip_serializing_if = "Option::is_none")]
    pub rounding_error: Option<f64>,
    /// |⟨u, Hv⟩ − ⟨v, Hu⟩| relative to ‖u‖‖Hv‖; `None` where no products are offered.
    #[serde(default, with = "floats::optional_scalar", skip_serializing_if = "Option::is_none")]
    pub asymmetry: Option<f64>,
    /// Whether two evaluations of loss and product gave the same bits.
    pub repeatable: bool,
    /// Warnings in words.
    pub warnings: Vec<String>,
}

/// A product in the number type's own rounding, where it was not compared with one in f64: some units of the last place.
const UNCOMPARED: f64 = 10.0;

impl SelfCheck {
    /// The rounding of eigenvalues, as a share of the largest |λ|. The relative difference that was found is of a random vector, whose
    /// image is short beside that of the leading eigenvector: it is on the safe side.
    pub(crate) fn rounding_share(&self, precision: Precision) -> f64 {
        self.rounding_error.filter(|e| e.is_finite()).unwrap_or(UNCOMPARED * precision.epsilon())
    }
}

/// What it costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Seconds of one Hessian-vector product.
    #[serde(with = "floats::scalar")]
    pub product_seconds: f64,
    /// Seconds of one evaluation of the loss.
    #[serde(with = "floats::scalar")]
    pub evaluation_seconds: f64,
    /// Products expected.
    pub products: usize,
    /// Evaluations expected.
    pub evaluations: usize,
    /// Seconds expected.
    #[serde(with = "floats::scalar")]
    pub seconds: f64,
    /// Bytes expected.
    pub bytes: usize,
}
