//! The numbers of an analysis: what `results.json` holds.
//!
//! Every eigenpair has its true residual, every estimate its standard error, and the whole its provenance.

use std::collections::BTreeMap;

use saddlescope_krylov::{Estimate, Status};
use serde::{Deserialize, Serialize};

use super::found::Prediction;
use super::settled::SettleResult;
use super::sharpness_result::SharpnessResult;
use crate::reading::CriticalKind;
use crate::sampling_error::LossDifference;
use saddlescope_figure::floats;
use saddlescope_krylov::SpectrumEnd;

/// Version of the layout of `results.json`.
pub const SCHEMA: u32 = 2;

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
    /// [λ − residual, λ + residual]: holds an eigenvalue of H.
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
    pub method: super::selection::EigenMethod,
    /// Algorithm 1 only: what was found about condition (B.1).
    pub condition_b1: Option<String>,
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

/// Two estimates of the trace on the same vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceResult {
    /// ⟨zᵀHz⟩ over Gaussian probes (2.22).
    pub hutchinson: Estimate,
    /// Least-squares curvature of one-dimensional slices along the same vectors (function values only).
    pub curvature_fit: Option<Estimate>,
    /// What was noticed about the fits.
    pub curvature_fit_warning: Option<String>,
    /// ‖Hz‖² averaged: tr H² = ‖H‖²_F.
    pub trace_of_square: Estimate,
    /// Running means after each probe: Hutchinson.
    #[serde(with = "floats")]
    pub running_hutchinson: Vec<f64>,
    /// Their standard errors (null for the first).
    #[serde(with = "floats")]
    pub running_hutchinson_error: Vec<f64>,
    /// Running means after each probe: curvature fits.
    #[serde(with = "floats")]
    pub running_fit: Vec<f64>,
}

/// Share of the trace that lies in one tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerTrace {
    /// Name of the tensor.
    pub name: String,
    /// Number of parameters.
    pub parameters: usize,
    /// Trace of the diagonal block of H.
    pub trace: Estimate,
}

/// What random planes show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanesResult {
    /// κ₋ and κ₊ of each plane, for unit coordinates along the directions as drawn.
    #[serde(with = "floats::pairs")]
    pub curvatures: Vec<[f64; 2]>,
    /// How many look like a minimum, a saddle, a maximum (exactly flat ones count as none).
    pub minima: usize,
    /// Saddles.
    pub saddles: usize,
    /// Maxima.
    pub maxima: usize,
    /// Mean of κ₋ over the planes.
    pub kappa_minus: Estimate,
    /// Mean of κ₊ over the planes.
    pub kappa_plus: Estimate,
    /// 95 % interval (Wilson) of the probability that such a plane shows a saddle.
    #[serde(with = "floats::pair")]
    pub saddle_interval: [f64; 2],
}

/// The spectral density.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DensityResult {
    /// Places λ.
    #[serde(with = "floats")]
    pub at: Vec<f64>,
    /// Density (mean over probes), per unit of λ, integrating to 1.
    #[serde(with = "floats")]
    pub density: Vec<f64>,
    /// Its standard error over probes; null with one probe.
    #[serde(with = "floats")]
    pub std_error: Vec<f64>,
    /// Width of the smoothing Gaussian.
    #[serde(with = "floats::scalar")]
    pub width: f64,
    /// Nodes of the quadrature, all probes together, and their weights (summing to 1).
    #[serde(with = "floats")]
    pub nodes: Vec<f64>,
    /// Weights of the nodes.
    #[serde(with = "floats")]
    pub weights: Vec<f64>,
    /// Estimated number of negative eigenvalues.
    pub index: Estimate,
    /// Estimated number of eigenvalues below −ε‖H‖ that are clearly negative, with that ε‖H‖.
    pub clearly_negative: Estimate,
    /// The threshold ε‖H‖.
    #[serde(with = "floats::scalar")]
    pub threshold: f64,
    /// Operator products used.
    pub products: usize,
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

/// Smallest loss of a surface and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MinimumResult {
    /// First coordinate.
    #[serde(with = "floats::scalar")]
    pub alpha: f64,
    /// Second coordinate.
    #[serde(with = "floats::scalar")]
    pub beta: f64,
    /// Loss there.
    #[serde(with = "floats::scalar")]
    pub loss: f64,
    /// That loss minus the loss at θ on the same samples: negative where it is lower.
    #[serde(with = "floats::scalar")]
    pub difference: f64,
    /// Standard error of the difference over the samples (paired); `None` where it is not known: one sample has none.
    #[serde(default, with = "floats::known")]
    pub difference_std_error: Option<f64>,
    /// Whether the difference is at least two of its standard errors from zero; `None` where the error is not known. The
    /// choice of the smallest among many points is not counted in.
    pub distinguishable: Option<bool>,
}

impl MinimumResult {
    /// The difference from the loss at θ.
    pub fn difference(&self) -> LossDifference {
        LossDifference { value: self.difference, std_error: self.difference_std_error }
    }
}

/// The smallest loss of a cut.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CutMinimum {
    /// Coordinate.
    #[serde(with = "floats::scalar")]
    pub alpha: f64,
    /// Loss there.
    #[serde(with = "floats::scalar")]
    pub loss: f64,
    /// That loss minus the loss at θ on the same samples.
    #[serde(with = "floats::scalar")]
    pub difference: f64,
    /// Standard error of the difference over the samples (paired); `None` where it is not known.
    #[serde(default, with = "floats::known")]
    pub difference_std_error: Option<f64>,
    /// As in [`MinimumResult`].
    pub distinguishable: Option<bool>,
}

/// One evaluated cut; its values are in `arrays/cut-NAME.npz`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CutResult {
    /// Name, also of its file.
    pub name: String,
    /// The direction in words.
    pub direction: String,
    /// vᵀHv along the direction v.
    #[serde(with = "floats::scalar")]
    pub curvature: f64,
    /// ∇Lᵀv.
    #[serde(with = "floats::scalar")]
    pub slope: f64,
    /// Slope and curvature at θ on the samples of the cut itself, which its quadratic prediction is made of; `None` where they
    /// are not known.
    pub prediction: Option<Prediction>,
    /// Range of its coordinate.
    #[serde(with = "floats::pair")]
    pub range: [f64; 2],
    /// Number of points.
    pub points: usize,
    /// Number of samples: the first so many of those analysed.
    pub samples: usize,
    /// Loss at θ on these samples.
    #[serde(with = "floats::scalar")]
    pub center_loss: f64,
    /// Its standard error over the samples; `None` where it is not known.
    #[serde(default, with = "floats::known")]
    pub center_std_error: Option<f64>,
    /// Smallest loss.
    pub minimum: Option<CutMinimum>,
    /// Number of samples of the other split; `None` where there is none.
    pub other_samples: Option<usize>,
    /// Smallest loss on the other split.
    pub other_minimum: Option<CutMinimum>,
}

/// One evaluated surface; its values are in `arrays/surface-NAME.npz`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SurfaceResult {
    /// Name, also of its files.
    pub name: String,
    /// Both directions, in words.
    pub directions: [String; 2],
    /// Which samples.
    pub split: String,
    /// Grid points along both axes.
    pub shape: [usize; 2],
    /// Grid points that were evaluated; the others are interpolated between them, to within their errors.
    pub evaluated: usize,
    /// Ranges of both axes.
    pub ranges: [[f64; 2]; 2],
    /// Smallest loss on the grid.
    pub minimum: Option<MinimumResult>,
    /// Number of samples.
    pub samples: usize,
    /// Loss at θ on these samples, on the grid or not.
    #[serde(with = "floats::scalar")]
    pub center_loss: f64,
    /// Its standard error over the samples; `None` where it is not known.
    #[serde(default, with = "floats::known")]
    pub center_std_error: Option<f64>,
    /// Grid points whose loss is not a number.
    pub not_finite: usize,
}

/// The line search along negative curvature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EscapeResult {
    /// Distance gone along the unit eigenvector of λmin (its sign says which way).
    #[serde(with = "floats::scalar")]
    pub step: f64,
    /// Loss before and after, on the samples of the analysis.
    #[serde(with = "floats::pair")]
    pub loss: [f64; 2],
    /// Loss before and after on the other split, if there is one.
    #[serde(default, with = "floats::optional_pair", skip_serializing_if = "Option::is_none")]
    pub other_loss: Option<[f64; 2]>,
    /// Accuracy before and after.
    #[serde(default, with = "floats::optional_pair", skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<[f64; 2]>,
    /// Accuracy on the other split.
    #[serde(default, with = "floats::optional_pair", skip_serializing_if = "Option::is_none")]
    pub other_accuracy: Option<[f64; 2]>,
    /// Standard error over the samples of the change of the loss (paired); `None` where it is not known.
    #[serde(default, with = "floats::known")]
    pub change_std_error: Option<f64>,
    /// The same on the other split.
    #[serde(default, with = "floats::known")]
    pub other_change_std_error: Option<f64>,
    /// Steps that were tried with their losses.
    #[serde(with = "floats::pairs")]
    pub tried: Vec<[f64; 2]>,
}

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
    /// Samples that cuts and surfaces are made of: the first so many of them.
    #[serde(default)]
    pub slice_samples: usize,
    /// How their number was chosen; `None` where it was given.
    #[serde(default)]
    pub slice_choice: Option<super::selection::SliceChoice>,
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
