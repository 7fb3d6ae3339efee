//! Cuts, surfaces and the escape.

use saddlescope_figure::floats;
use serde::{Deserialize, Serialize};

use crate::sampling_error::LossDifference;

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
    /// Number of samples, from the start of those analysed.
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

/// The quadratic model of the loss along a direction, L + slope · α + ½ curvature · α².
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// ∇Lᵀv.
    #[serde(with = "floats::scalar")]
    pub slope: f64,
    /// vᵀHv.
    #[serde(with = "floats::scalar")]
    pub curvature: f64,
}
