//! What a path between two points finds: its `results.json`.

use std::collections::BTreeMap;

use saddlescope_figure::floats;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::points::{Measured, PointResult};

/// How batch-norm statistics are had between two weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistics {
    /// There are none.
    None,
    /// Interpolated like the weights.
    Interpolated,
    /// Computed anew from the samples of the analysis.
    Anew,
}

impl Statistics {
    /// What it adds to the name of a way's part.
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Interpolated => "-interpolated",
            Self::Anew => "-anew",
        }
    }
}

/// The barrier of a way: the largest loss on it over the larger loss of its ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Barrier {
    /// max L − max(L(A), L(B)); 0 where the ends are highest.
    #[serde(with = "floats::scalar")]
    pub height: f64,
    /// Its standard error over the data, from differences on the same samples.
    #[serde(default, with = "floats::known")]
    pub std_error: Option<f64>,
    /// Where on the way the largest loss is.
    #[serde(with = "floats::scalar")]
    pub at: f64,
}

/// Loss and accuracy along a way on one set of samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WaySide {
    /// Which samples.
    pub split: String,
    /// How many.
    pub samples: usize,
    /// Loss at every t.
    pub loss: Vec<Measured>,
    /// L(t) − L of the higher end: by the same samples.
    pub above_ends: Vec<Measured>,
    /// Accuracy at every t; empty without classes.
    pub accuracy: Vec<Measured>,
    /// The barrier.
    pub barrier: Barrier,
}

/// A way from A to B.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Way {
    /// `line`, `aligned-line` or `curve`.
    pub name: String,
    /// Batch-norm statistics on it.
    pub statistics: Statistics,
    /// Its parameter, from 0 at A to 1 at B.
    #[serde(with = "floats")]
    pub t: Vec<f64>,
    /// Length of the way in θ.
    #[serde(with = "floats::scalar")]
    pub length: f64,
    /// On the samples of the analysis, then on the other samples if there are any.
    pub sides: Vec<WaySide>,
}

/// What an alignment by permutations did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlignmentResult {
    /// Groups of hidden units that can change places.
    pub groups: usize,
    /// Units in them.
    pub units: usize,
    /// Units that have another place than before.
    pub moved: usize,
    /// ‖B' − A‖₂ with B' the aligned B.
    #[serde(with = "floats::scalar")]
    pub distance: f64,
}

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PathResults {
    /// Version of this layout.
    pub schema: u32,
    /// `path`.
    pub verb: String,
    /// The finding in sentences.
    pub verdict: Vec<String>,
    /// What was analysed, in sentences.
    pub about: Vec<String>,
    /// The names of A and B.
    pub names: [String; 2],
    /// ‖B − A‖₂.
    #[serde(with = "floats::scalar")]
    pub distance: f64,
    /// Cosine of the angle between A and B, seen from the origin.
    #[serde(with = "floats::scalar")]
    pub cosine: f64,
    /// What the alignment did, where it was asked for and possible.
    pub alignment: Option<AlignmentResult>,
    /// What could not be done, with the reason.
    pub left_out: Vec<String>,
    /// Line and curve.
    pub ways: Vec<Way>,
    /// Both ends and the highest point of the line.
    pub points: Vec<PointResult>,
    /// Everything needed to run it again.
    pub provenance: BTreeMap<String, Value>,
}
