//! What to compute.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::slice_request::SliceRequest;

/// How the extreme eigenpairs are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EigenMethod {
    /// Both ends from one Krylov space (thick-restart Lanczos).
    Lanczos,
    /// The paper's Algorithm 1: largest magnitude, then the shifted operator.
    Algorithm1,
}

/// What an analysis computes. A part that is asked for zero times is left out; see [`AnalysisOptions::nothing`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AnalysisOptions {
    /// Name of the verb, for the record.
    pub verb: String,
    /// How many eigenpairs at the upper end.
    pub largest: usize,
    /// How many at the lower end.
    pub smallest: usize,
    /// Residual allowed, relative to each |λ|.
    pub tolerance: f64,
    /// Most products of the eigenvalue solve.
    pub max_products: usize,
    /// How the pairs are found.
    pub method: EigenMethod,
    /// Gaussian probes for trace, norm, layers and random planes.
    pub probes: usize,
    /// Points of each one-dimensional curvature fit.
    pub fit_points: usize,
    /// Half-width of the curvature fits; `None`: from the curvature.
    pub fit_radius: Option<f64>,
    /// Probes of the spectral density; 0 leaves it out.
    pub density_probes: usize,
    /// Lanczos steps of each.
    pub density_steps: usize,
    /// Whether to look at G and H − G separately.
    pub split: bool,
    /// Random filter-normalised planes whose curvature is measured.
    pub filtered_planes: usize,
    /// Points along each side of a surface; 0 leaves the surfaces out.
    pub grid: usize,
    /// Points of each one-dimensional cut.
    pub cut_points: usize,
    /// Half-width of the plane of Hessian directions; `None`: from the curvature.
    pub hessian_radius: Option<[f64; 2]>,
    /// Half-width of the random plane, in filter norms.
    pub random_radius: f64,
    /// Whether random directions keep their components at biases and normalisation parameters.
    pub keep_biases: bool,
    /// Whether to search along negative curvature.
    pub escape: bool,
    /// Planes and cuts along directions of the caller's choice.
    pub slices: Vec<SliceRequest>,
    /// Seed of every random number.
    pub seed: u64,
}

impl Default for AnalysisOptions {
    fn default() -> Self {
        Self {
            verb: "analyze".into(),
            largest: 3,
            smallest: 3,
            tolerance: 1e-3,
            max_products: 500,
            method: EigenMethod::Lanczos,
            probes: 16,
            fit_points: 7,
            fit_radius: None,
            density_probes: 2,
            density_steps: 32,
            split: true,
            filtered_planes: 4,
            grid: 25,
            cut_points: 41,
            hessian_radius: None,
            random_radius: 1.0,
            keep_biases: false,
            escape: true,
            slices: Vec::new(),
            seed: 0,
        }
    }
}

impl AnalysisOptions {
    /// No part at all: loss, gradient and self-check only. A verb adds what it is for.
    pub fn nothing(verb: &str) -> Self {
        Self {
            verb: verb.into(),
            largest: 0,
            smallest: 0,
            probes: 0,
            fit_points: 0,
            density_probes: 0,
            split: false,
            filtered_planes: 0,
            grid: 0,
            cut_points: 0,
            escape: false,
            ..Self::default()
        }
    }

    /// The options by name, for the record of what results depend on.
    pub fn identity(&self) -> BTreeMap<String, serde_json::Value> {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(map)) => {
                map.into_iter().map(|(k, v)| (format!("option.{k}"), v)).collect()
            }
            _ => BTreeMap::new(),
        }
    }
}
