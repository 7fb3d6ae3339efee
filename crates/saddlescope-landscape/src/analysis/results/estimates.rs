//! Estimates from probes: trace, random planes, spectral density.

use saddlescope_figure::floats;
use saddlescope_krylov::Estimate;
use serde::{Deserialize, Serialize};

/// Two estimates of the trace on the same vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceResult {
    /// ⟨zᵀHz⟩ over Gaussian probes (2.22).
    pub hutchinson: Estimate,
    /// Least-squares curvature of one-dimensional slices along the same vectors (function values only).
    pub curvature_fit: Option<Estimate>,
    /// Mean difference of the two along the same vectors, fits less products, with its paired standard error: what the fits
    /// miss because the loss is no parabola on their interval, or changes by less than its rounding. `None` without fits.
    #[serde(default)]
    pub curvature_fit_difference: Option<Estimate>,
    /// What was noticed about the fits.
    pub curvature_fit_warning: Option<String>,
    /// ‖Hz‖² averaged: tr H² = ‖H‖²_F.
    pub trace_of_square: Estimate,
    /// Standard error of the trace over the data, from zᵀH_b z of chunks of samples, the probes held fixed: what other samples from
    /// the same source would change. `None` where it is not known.
    #[serde(default, with = "floats::known")]
    pub over_data: Option<f64>,
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
    /// Between which numbers the index lies for what the quadratures can tell, beside the scatter over probes.
    #[serde(default = "unknown_pair", with = "floats::pair")]
    pub index_bounds: [f64; 2],
    /// The same of `clearly_negative`.
    #[serde(default = "unknown_pair", with = "floats::pair")]
    pub clearly_negative_bounds: [f64; 2],
    /// The threshold ε‖H‖.
    #[serde(with = "floats::scalar")]
    pub threshold: f64,
    /// Operator products used.
    pub products: usize,
}

fn unknown_pair() -> [f64; 2] {
    [f64::NAN; 2]
}

impl DensityResult {
    /// The number of negative eigenvalues with its bounds, in words.
    pub fn index_text(&self) -> String {
        counted(&self.index, self.index_bounds)
    }

    /// The number of clearly negative eigenvalues with its bounds, in words.
    pub fn clearly_negative_text(&self) -> String {
        counted(&self.clearly_negative, self.clearly_negative_bounds)
    }
}

fn counted(estimate: &Estimate, [low, high]: [f64; 2]) -> String {
    let over_probes = match estimate.known_error() {
        Some(error) => format!("± {error:.0} over the probes"),
        None => "one probe".into(),
    };
    format!("{:.0}, between {low:.0} and {high:.0} ({over_probes})", estimate.value)
}
