//! What a comparison of several points finds: its `results.json`.

use std::collections::BTreeMap;

use saddlescope_figure::floats;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::points::{Measured, PointResult};
use super::subspace::Overlap;
use crate::analysis::NamedSurface;
use crate::surface::Surface;

/// Version of the layout of the results.
pub const SCHEMA: u32 = 1;

/// Two of the points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairResult {
    /// Their names.
    pub names: [String; 2],
    /// ‖θ − θ'‖₂.
    #[serde(with = "floats::scalar")]
    pub distance: f64,
    /// Cosine of the angle between θ and θ', seen from the origin.
    #[serde(with = "floats::scalar")]
    pub cosine: f64,
    /// L − L' on each set of samples: by the same samples, so that its error is that of the difference.
    pub loss_differences: BTreeMap<String, Measured>,
    /// The eigenvectors of the largest eigenvalues of both, on the samples of the analysis.
    pub largest: Option<Overlap>,
    /// The eigenvectors of the smallest eigenvalues of both.
    pub smallest: Option<Overlap>,
}

/// Where a point lies in a plane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlacedPoint {
    /// Its name.
    pub name: String,
    /// Its coordinates.
    #[serde(with = "floats::pair")]
    pub at: [f64; 2],
    /// Its distance from the plane.
    #[serde(with = "floats::scalar")]
    pub off_plane: f64,
}

/// The loss over a plane through the points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlaneResult {
    /// Both directions in words.
    pub directions: [String; 2],
    /// Which samples.
    pub split: String,
    /// How many.
    pub samples: usize,
    /// The points in it.
    pub points: Vec<PlacedPoint>,
    /// Share of the points' variance along both directions, where they are principal components.
    #[serde(default, with = "floats::optional_pair", skip_serializing_if = "Option::is_none")]
    pub shares: Option<[f64; 2]>,
    /// The loss.
    pub surface: Surface,
}

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompareResults {
    /// Version of this layout.
    pub schema: u32,
    /// `compare`.
    pub verb: String,
    /// The finding in sentences.
    pub verdict: Vec<String>,
    /// What was analysed, in sentences.
    pub about: Vec<String>,
    /// The points.
    pub points: Vec<PointResult>,
    /// Every two of them that are of one model.
    pub pairs: Vec<PairResult>,
    /// The loss over a plane through the points.
    pub plane: Option<PlaneResult>,
    /// What cannot be compared, with the reason.
    pub left_out: Vec<String>,
    /// Everything needed to run it again.
    pub provenance: BTreeMap<String, Value>,
}

/// What the figures are made of.
pub(crate) struct Compared {
    pub results: CompareResults,
    /// Surfaces around every point, on common axes.
    pub surfaces: Vec<(String, Vec<NamedSurface>)>,
}
