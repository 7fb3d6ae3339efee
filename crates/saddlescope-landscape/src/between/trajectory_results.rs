//! What a trajectory of checkpoints finds: its `results.json`.

use std::collections::BTreeMap;

use saddlescope_figure::floats;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::compare_results::PlaneResult;
use super::points::PointResult;

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrajectoryResults {
    /// Version of this layout.
    pub schema: u32,
    /// `trajectory`.
    pub verb: String,
    /// The finding in sentences.
    pub verdict: Vec<String>,
    /// What was analysed, in sentences.
    pub about: Vec<String>,
    /// The checkpoints, in order.
    pub points: Vec<PointResult>,
    /// ‖θᵢ − θᵢ₋₁‖₂ for every checkpoint but the first.
    #[serde(with = "floats")]
    pub steps: Vec<f64>,
    /// ‖θ_last − θ_first‖₂.
    #[serde(with = "floats::scalar")]
    pub distance: f64,
    /// Share of the variance of the checkpoints along every principal component, largest first.
    #[serde(with = "floats")]
    pub shares: Vec<f64>,
    /// What the first two shares are for a random walk of as many points in many dimensions.
    #[serde(with = "floats::pair")]
    pub random_walk_shares: [f64; 2],
    /// 2/η at every checkpoint: gradient descent is unstable where λ_max is above it; `None` where η is not known.
    #[serde(default, with = "floats::optional", skip_serializing_if = "Option::is_none")]
    pub stability_limit: Option<Vec<f64>>,
    /// 2(1 + μ)/η: the same for gradient descent with momentum μ.
    #[serde(default, with = "floats::optional", skip_serializing_if = "Option::is_none")]
    pub momentum_limit: Option<Vec<f64>>,
    /// The plane of the first two principal components, through the last checkpoint.
    pub principal_plane: Option<PlaneResult>,
    /// The plane of the extreme eigenvectors of the last checkpoint.
    pub hessian_plane: Option<PlaneResult>,
    /// What cannot be made of these checkpoints, with the reason.
    pub left_out: Vec<String>,
    /// Everything needed to run it again.
    pub provenance: BTreeMap<String, Value>,
}
