//! What to compute: a selection of stages with their options. `None` means that a stage is not asked for.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::requests::SliceRequest;
use crate::settle::SettleOptions;
use crate::sharpness::SharpnessOptions;
use crate::weights_hash::hex;
use saddlescope_figure::floats;

/// How the extreme eigenpairs are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EigenMethod {
    /// Both ends from one Krylov space (thick-restart Lanczos).
    Lanczos,
    /// The paper's Algorithm 1: largest magnitude, then the shifted operator.
    Algorithm1,
}

/// Options of the eigenpairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EigenpairOptions {
    /// How many at the upper end.
    pub largest: usize,
    /// How many at the lower end.
    pub smallest: usize,
    /// Residual allowed, relative to each |λ|.
    pub tolerance: f64,
    /// A residual of this share of the standard error of λ over the data is small enough too (by default a tenth: more
    /// digits would say nothing about the loss that the data stand for); `None`: the tolerance alone decides.
    pub data_share: Option<f64>,
    /// At most this many products.
    pub max_products: usize,
    /// How the pairs are found.
    pub method: EigenMethod,
    /// Where the solve starts; `None`: at a random vector.
    #[serde(default)]
    pub start: Option<StartVectors>,
    /// Most vectors of a Krylov basis, of all solves of the run; `None`: up to 128, as many as a third of the memory allowed holds, or
    /// 1.25 GiB (but at least 48) where memory is not limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis_vectors: Option<usize>,
}

/// Vectors at which a solve starts: the eigenvectors on fewer samples, say. The record keeps their fingerprint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StartVectors {
    /// SHA-256 of their components.
    pub sha256: String,
    /// The vectors.
    #[serde(skip)]
    pub vectors: Vec<Vec<f64>>,
}

impl StartVectors {
    /// These vectors with their fingerprint.
    pub fn new(vectors: Vec<Vec<f64>>) -> Self {
        let mut hash = Sha256::new();
        vectors.iter().flatten().for_each(|x| hash.update(x.to_le_bytes()));
        Self { sha256: hex(&hash.finalize()), vectors }
    }
}

impl EigenpairOptions {
    /// The default with a residual of at most `tolerance`·|λ|, whatever the error of λ over the data is.
    pub fn within(tolerance: f64) -> Self {
        Self { tolerance, data_share: None, ..Self::default() }
    }
}

impl Default for EigenpairOptions {
    fn default() -> Self {
        Self {
            largest: 3,
            smallest: 3,
            tolerance: 1e-3,
            data_share: Some(0.1),
            max_products: 500,
            method: EigenMethod::Lanczos,
            start: None,
            basis_vectors: None,
        }
    }
}

/// Options of the curvature fits along the probes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FitOptions {
    /// Points on each line, at least 3.
    pub points: usize,
    /// Half-width of the lines; `None`: from the curvature.
    pub radius: Option<f64>,
}

/// Options of the spectral density.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DensityStageOptions {
    /// Number of random probes.
    pub probes: usize,
    /// Lanczos steps of each.
    pub steps: usize,
}

/// Options of the split H = G + R.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitOptions {
    /// Residual allowed, relative to each |λ|.
    pub tolerance: f64,
    /// At most this many products for each part.
    pub max_products: usize,
}

impl Default for SplitOptions {
    fn default() -> Self {
        Self { tolerance: 1e-2, max_products: 500 }
    }
}

/// How filter-normalised random directions are made, and how far planes and lines along them reach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RandomDirectionOptions {
    /// Whether they keep their components at biases and normalisation parameters.
    pub keep_biases: bool,
    /// Half-width of axes along them, in filter norms.
    pub radius: f64,
}

impl Default for RandomDirectionOptions {
    fn default() -> Self {
        Self { keep_biases: false, radius: 1.0 }
    }
}

/// Options of the usual cuts: along both extreme eigenvectors and along a random direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CutOptions {
    /// Points of each cut.
    pub points: usize,
    /// Half-widths along λ_max and λ_min; `None`: from the curvature.
    pub hessian_radius: Option<[f64; 2]>,
}

/// Options of the usual surfaces: the plane of the extreme eigenvectors, a random plane, and a neighbourhood.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SurfaceOptions {
    /// Points along each side.
    pub grid: usize,
    /// Half-widths along λ_max and λ_min; `None`: from the curvature.
    pub hessian_radius: Option<[f64; 2]>,
}

/// Options of the spectrum at the settled point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CriticalSpectrumOptions {
    /// Every eigenvalue of networks of at most this many parameters; otherwise only the extreme ones.
    pub whole_up_to: usize,
    /// How many extreme ones at the upper end.
    pub largest: usize,
    /// How many at the lower end.
    pub smallest: usize,
    /// Residual allowed, relative to each |λ|.
    pub tolerance: f64,
    /// At most this many products for them.
    pub max_products: usize,
}

impl Default for CriticalSpectrumOptions {
    fn default() -> Self {
        Self { whole_up_to: 10_000, largest: 3, smallest: 10, tolerance: 1e-3, max_products: 500 }
    }
}

/// Cuts and surfaces along directions of the caller's choice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SliceOptions {
    /// The slices.
    pub requests: Vec<SliceRequest>,
    /// Points along axes that are not given.
    pub grid: usize,
}

/// How the number of samples of cuts and surfaces is chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AutoSamples {
    /// Samples are added until the standard errors of differences near the centre are at most this share of their range.
    pub share: f64,
}

/// How many samples cuts and surfaces got, and how well differences near the centre are known with them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SliceChoice {
    /// The share that was asked for.
    #[serde(with = "floats::scalar")]
    pub share: f64,
    /// Number of samples used, from the start.
    pub samples: usize,
    /// The largest standard error of a difference, as a share of the range of differences along its line.
    #[serde(with = "floats::scalar")]
    pub known_to: f64,
    /// The line where that is.
    pub worst: String,
    /// Whether that is the share asked for; else there were no more samples.
    pub reached: bool,
    /// Samples of each round and what was known then.
    #[serde(with = "floats::pairs")]
    pub rounds: Vec<[f64; 2]>,
    /// Evaluations of single samples that the choice took.
    pub sample_evaluations: usize,
}

impl SliceChoice {
    /// What was chosen and why; `all` is the number of samples that there are.
    pub fn sentence(&self, all: usize) -> String {
        let known = format!(
            "near the centre, differences from it are known to {:.1} % of their range (asked for: {:.1} %)",
            100.0 * self.known_to,
            100.0 * self.share
        );
        let at = if self.worst.is_empty() {
            String::new()
        } else {
            format!("; least well along the {}", self.worst)
        };
        match self.reached {
            true => format!("{} of {all} samples are enough: {known}{at}.", self.samples),
            false => format!("All {all} samples are used, and they are not enough: {known}{at}."),
        }
    }
}

/// A selection of stages with their options. Self-check and point (loss, accuracy, gradient) belong to every selection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    /// Name of the verb, for the record.
    pub verb: String,
    /// Seed of every random number.
    pub seed: u64,
    /// Extreme eigenpairs of the Hessian.
    pub eigenpairs: Option<EigenpairOptions>,
    /// Number of Gaussian probes for trace, norm, layers and random planes (even; rounded up).
    pub probes: Option<usize>,
    /// Curvature fits along the probes; nothing without probes.
    pub fits: Option<FitOptions>,
    /// Spectral density.
    pub density: Option<DensityStageOptions>,
    /// Extreme eigenvalues of G and H − G; needs both ends of the spectrum.
    pub split: Option<SplitOptions>,
    /// Number of filter-normalised random planes whose curvature is measured.
    pub filtered_planes: Option<usize>,
    /// The search along negative curvature; needs λ_min.
    pub escape: bool,
    /// Measures of sharpness. λ_max and the traces are those of the eigenpairs and probes, where these are asked for too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharpness: Option<SharpnessOptions>,
    /// The same measures at copies of a ReLU network that are rescaled by up to this factor (Dinh et al. 2017); nothing
    /// without the measures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rescaling: Option<f64>,
    /// A critical point nearby.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle: Option<SettleOptions>,
    /// The spectrum there; nothing without the point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical_spectrum: Option<CriticalSpectrumOptions>,
    /// Whether eigenpairs that an earlier command kept will do, if there are at least as many and as exact.
    #[serde(default)]
    pub earlier_eigenpairs: bool,
    /// The usual cuts.
    pub cuts: Option<CutOptions>,
    /// The usual surfaces.
    pub surfaces: Option<SurfaceOptions>,
    /// Slices along chosen directions.
    pub slices: SliceOptions,
    /// How random directions are made.
    pub random: RandomDirectionOptions,
    /// Whether surfaces are evaluated on a coarse grid that is refined where interpolation is wrong by more than the errors.
    #[serde(default)]
    pub adaptive: bool,
    /// Whether the number of samples of cuts and surfaces is chosen, and how; `None`: those of the subject.
    #[serde(default)]
    pub slice_samples: Option<AutoSamples>,
    /// What was chosen.
    #[serde(default)]
    pub slice_choice: Option<SliceChoice>,
}

impl Default for Selection {
    /// The main job: every stage with its default options.
    fn default() -> Self {
        Self {
            verb: "analyze".into(),
            seed: 0,
            eigenpairs: Some(EigenpairOptions::default()),
            probes: Some(16),
            fits: Some(FitOptions { points: 7, radius: None }),
            density: Some(DensityStageOptions { probes: 2, steps: 32 }),
            split: Some(SplitOptions::default()),
            filtered_planes: Some(4),
            escape: true,
            sharpness: None,
            rescaling: None,
            settle: None,
            critical_spectrum: None,
            earlier_eigenpairs: false,
            cuts: Some(CutOptions { points: 41, hessian_radius: None }),
            surfaces: Some(SurfaceOptions { grid: 25, hessian_radius: None }),
            slices: SliceOptions::default(),
            random: RandomDirectionOptions::default(),
            adaptive: false,
            slice_samples: None,
            slice_choice: None,
        }
    }
}

impl Selection {
    /// No stage but self-check and point. A verb adds what it is for.
    pub fn nothing(verb: &str) -> Self {
        Self {
            verb: verb.into(),
            eigenpairs: None,
            probes: None,
            fits: None,
            density: None,
            split: None,
            filtered_planes: None,
            escape: false,
            cuts: None,
            surfaces: None,
            ..Self::default()
        }
    }

    /// Number of probes asked for: even, since two make a random plane.
    pub fn probe_count(&self) -> usize {
        self.probes.unwrap_or(0).next_multiple_of(2)
    }

    /// How many eigenpairs are asked for at both ends together.
    pub fn pairs(&self) -> usize {
        self.eigenpairs.as_ref().map_or(0, |e| e.largest + e.smallest)
    }

    /// This selection with the eigenpairs of an earlier one where those will do.
    #[must_use]
    pub(crate) fn with_kept_eigenpairs(&self, earlier: &Self) -> Self {
        let mut selection = self.clone();
        if let (true, Some(mine), Some(kept)) =
            (self.earlier_eigenpairs && self.seed == earlier.seed, &self.eigenpairs, &earlier.eigenpairs)
            && kept.largest >= mine.largest
            && kept.smallest >= mine.smallest
            && kept.tolerance <= mine.tolerance
            && kept.data_share.is_none_or(|kept| mine.data_share.is_some_and(|mine| kept <= mine))
        {
            selection.eigenpairs = Some(kept.clone());
        }
        // Measures of sharpness take λ_max and the traces from these stages wherever the folder has them.
        if self.sharpness.is_some() && self.seed == earlier.seed {
            selection.eigenpairs = selection.eigenpairs.or_else(|| earlier.eigenpairs.clone());
            selection.probes = selection.probes.or(earlier.probes);
        }
        selection
    }

    /// This selection with the stages of an earlier one where it asks for nothing itself. The folder's report shows both.
    #[must_use]
    pub fn with_earlier(&self, earlier: &Self) -> Self {
        let mut all = self.clone();
        if earlier.seed != self.seed {
            return all;
        }
        all.eigenpairs = all.eigenpairs.or_else(|| earlier.eigenpairs.clone());
        all.probes = all.probes.or(earlier.probes);
        all.fits = all.fits.or_else(|| earlier.fits.clone());
        all.density = all.density.or_else(|| earlier.density.clone());
        all.split = all.split.or_else(|| earlier.split.clone());
        all.filtered_planes = all.filtered_planes.or(earlier.filtered_planes);
        all.escape |= earlier.escape;
        if all.sharpness.is_none() {
            all.sharpness = earlier.sharpness.clone();
            all.rescaling = earlier.rescaling;
        }
        if all.settle.is_none() {
            all.settle = earlier.settle.clone();
            all.critical_spectrum = earlier.critical_spectrum.clone();
        }
        all.cuts = all.cuts.or_else(|| earlier.cuts.clone());
        all.surfaces = all.surfaces.or_else(|| earlier.surfaces.clone());
        let draws = self.cuts.is_some()
            || self.surfaces.is_some()
            || self.filtered_planes.is_some()
            || !self.slices.requests.is_empty();
        if !draws {
            all.random = earlier.random.clone();
            all.adaptive = earlier.adaptive;
            all.slice_choice = earlier.slice_choice.clone();
        }
        if all.slices.requests.is_empty() {
            all.slices = earlier.slices.clone();
        }
        all
    }
}
