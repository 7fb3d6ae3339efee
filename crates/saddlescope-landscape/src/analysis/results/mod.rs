//! The numbers of an analysis: what `results.json` holds.
//!
//! Every eigenpair has its true residual, every estimate its standard error, and the whole its provenance.

mod cost;
mod eigen;
mod estimates;
mod settle;
mod sharpness;
mod slices;

use std::collections::BTreeMap;

use saddlescope_figure::floats;
use saddlescope_krylov::{Estimate, Status};
use serde::{Deserialize, Serialize};

pub use cost::{Cost, SelfCheck};
pub use eigen::{
    Criticality, EigenResult, EigenpairResult, HessianSigns, PartEigenvalue, RoundingFloor, SplitResult,
    largest, smallest,
};
pub use estimates::{DensityResult, LayerTrace, PlanesResult, TraceResult};
pub use settle::{CriticalSpectrum, SettleResult};
pub use sharpness::{MeasureLeftOut, MeasureResult, Moves, RescaledResult, RescalingRow, SharpnessResult};
pub use slices::{CutMinimum, CutResult, EscapeResult, MinimumResult, Prediction, SurfaceResult};

use super::selection::SliceChoice;
use crate::reading::CriticalKind;

/// Version of the layout of `results.json`.
pub const SCHEMA: u32 = 2;

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Version of this layout.
    pub schema: u32,
    /// The verb that made it: what it did not compute is absent, null or empty.
    pub verb: String,
    /// Name of the model.
    pub model: String,
    /// L(θ) on the samples.
    #[serde(with = "floats::scalar")]
    pub loss: f64,
    /// Share of correct answers.
    #[serde(default, with = "floats::known")]
    pub accuracy: Option<f64>,
    /// The same on the other split.
    #[serde(default, with = "floats::optional_scalar", skip_serializing_if = "Option::is_none")]
    pub other_loss: Option<f64>,
    /// The same on the other split.
    #[serde(default, with = "floats::known")]
    pub other_accuracy: Option<f64>,
    /// Standard error of the loss over the samples; `None` where it is not known.
    #[serde(default, with = "floats::known")]
    pub loss_std_error: Option<f64>,
    /// The same on the other split.
    #[serde(default, with = "floats::known")]
    pub other_loss_std_error: Option<f64>,
    /// ‖∇L(θ)‖₂; `None` where no gradient is offered.
    #[serde(default, with = "floats::optional_scalar", skip_serializing_if = "Option::is_none")]
    pub gradient_norm: Option<f64>,
    /// N.
    pub parameters: usize,
    /// Samples the loss is a mean over.
    pub samples: usize,
    /// Number of samples of cuts and surfaces, from the start of those analysed.
    #[serde(default)]
    pub slice_samples: usize,
    /// How their number was chosen; `None` where it was given.
    #[serde(default)]
    pub slice_choice: Option<SliceChoice>,
    /// Samples of the other split; `None` where there is none.
    #[serde(default)]
    pub other_samples: Option<usize>,
    /// Name of the samples, and of the other ones.
    #[serde(default)]
    pub splits: Vec<String>,
    /// Signs of the Hessian at θ, where both ends of the spectrum are known.
    #[serde(default)]
    pub hessian_signs: Option<HessianSigns>,
    /// How far from critical θ is, in units of the loss.
    #[serde(default)]
    pub criticality: Option<Criticality>,
    /// Kind of critical point; `None` where θ is not critical to within the stated tolerance.
    pub kind: Option<CriticalKind>,
    /// What was analysed, in sentences.
    #[serde(default)]
    pub about: Vec<String>,
    /// The verdict in sentences.
    pub verdict: Vec<String>,
    /// Status of the eigenvalue solve.
    pub status: Option<Status>,
    /// Operator products of the eigenvalue solve.
    pub matvecs: usize,
    /// Extreme eigenpairs.
    pub eigenpairs: Vec<EigenpairResult>,
    /// The eigenvalue stage in full.
    pub eigen: Option<EigenResult>,
    /// Trace estimates.
    pub trace: Option<TraceResult>,
    /// tr(H)/N.
    pub mean_curvature: Option<Estimate>,
    /// ‖H‖_F.
    pub frobenius_norm: Option<Estimate>,
    /// Trace by tensor.
    pub layers: Vec<LayerTrace>,
    /// Random planes with Gaussian directions.
    pub random_planes: Option<PlanesResult>,
    /// Random planes with filter-normalised directions.
    pub filtered_planes: Option<PlanesResult>,
    /// Probability that a random Gaussian plane shows a saddle, sampled from top eigenvalues and density.
    pub saddle_probability: Option<Estimate>,
    /// The same by the closed form exp(−(tr H)²/(4 tr H²))/√2.
    #[serde(default, with = "floats::optional_scalar", skip_serializing_if = "Option::is_none")]
    pub saddle_probability_closed_form: Option<f64>,
    /// Spectral density.
    pub density: Option<DensityResult>,
    /// The two parts of H.
    pub split: Option<SplitResult>,
    /// Cuts.
    pub cuts: Vec<CutResult>,
    /// Surfaces.
    pub surfaces: Vec<SurfaceResult>,
    /// Search along negative curvature.
    pub escape: Option<EscapeResult>,
    /// Measures of sharpness.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharpness: Option<SharpnessResult>,
    /// The critical point nearby.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle: Option<SettleResult>,
    /// What was checked.
    pub self_check: SelfCheck,
    /// What was expected to be needed.
    pub cost: Cost,
    /// What the risk does not offer, so that it was left out, in words.
    #[serde(default)]
    pub not_offered: Vec<String>,
    /// What cannot be made at this very point, with the reason.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// Key of each stage's kept result (`kept/STAGE-KEY.msgpack`).
    #[serde(default)]
    pub stages: BTreeMap<String, String>,
    /// Everything needed to run it again.
    pub provenance: BTreeMap<String, serde_json::Value>,
}
