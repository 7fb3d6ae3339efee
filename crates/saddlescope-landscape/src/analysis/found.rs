//! What the stages find, as later stages and the report see it.

use saddlescope_figure::{Grid, HeatMap, Scale, Surface3d, floats};
use serde::{Deserialize, Serialize};

use super::differences::below_center;
use super::error::AnalysisError;
use super::results::{
    CriticalSpectrum, EigenResult, EigenpairResult, EscapeResult, Prediction, RescaledResult, Results,
    SelfCheck, SplitResult,
};
use super::selection::SliceChoice;
use super::stages::eigenpairs::mean_over_chunks;
use crate::curvature_fit::CurvatureFit;
use crate::presentation::{accuracy_grid, heat_map, not_distinguishable, range_and_scale, surface_grid};
use crate::sampling_error::{LossDifference, PointErrors};
use crate::settle::Settling;
use crate::sharpness::Measures;
use crate::surface::{Surface, smallest};
use saddlescope_krylov::SpectrumEnd;

/// What an analysis leaves in memory besides the files.
pub struct Analysis {
    /// The numbers, as in `results.json`.
    pub results: Results,
    /// The cuts.
    pub cuts: Vec<Cut>,
    /// The surfaces.
    pub surfaces: Vec<NamedSurface>,
    /// The eigenvectors, in the order of `results.eigenpairs`.
    pub eigenvectors: Vec<Vec<f64>>,
    /// θ after settling, where that was asked for.
    pub settled: Option<Vec<f64>>,
}

/// What the stages found so far.
#[derive(Default)]
pub(crate) struct Found {
    pub self_check: Option<Checked>,
    pub point: Option<PointValues>,
    pub eigenpairs: Option<Eigenpairs>,
    pub probes: Option<Probes>,
    pub fits: Option<CurvatureFit>,
    pub density: Option<Quadratures>,
    pub split: Option<SplitResult>,
    pub filtered_planes: Option<Vec<[f64; 3]>>,
    pub escape: Option<EscapeResult>,
    pub slice_choice: Option<SliceChoice>,
    pub sharpness: Option<Measures>,
    pub rescaled: Vec<RescaledResult>,
    pub settled: Option<Settled>,
    pub critical_spectrum: Option<CriticalSpectrum>,
    pub cuts: Vec<Cut>,
    pub surfaces: Vec<NamedSurface>,
    /// Stages that cannot be made at this point, with the reason.
    pub left_out: Vec<String>,
}

impl Found {
    /// The point, which every other stage may use.
    ///
    /// # Errors
    /// Before the point was computed: a fault in the order of stages.
    pub fn point(&self) -> Result<&PointValues, AnalysisError> {
        self.point.as_ref().ok_or_else(|| AnalysisError::Other("the point was not computed first".into()))
    }
}

/// The self-check with the times that it measured on the way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Checked {
    pub check: SelfCheck,
    /// Seconds of one Hessian-vector product; 0 where none are offered.
    pub product_seconds: f64,
    /// Seconds of one evaluation on the samples of slices.
    pub evaluation_seconds: f64,
}

/// What is known of θ without a product.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct PointValues {
    /// L(θ).
    pub loss: f64,
    /// Share of correct predictions.
    pub accuracy: Option<f64>,
    /// Loss and accuracy on the samples of slices (those of the analysis, or the first of them).
    pub slices: (f64, Option<f64>),
    /// Loss and accuracy on the other samples, if there are any.
    pub other: Option<(f64, Option<f64>)>,
    /// Standard error of L(θ) over the samples, where it is known.
    pub std_error: Option<f64>,
    /// The same on the other samples.
    pub other_std_error: Option<f64>,
    /// ‖∇L(θ)‖, where a gradient is offered.
    pub gradient_norm: Option<f64>,
    /// ∇L(θ); empty where none is offered. Kept in a file of its own.
    #[serde(skip)]
    pub gradient: Vec<f64>,
}

/// The stage's numbers and the eigenvectors, in the order of the pairs.
#[derive(Clone, Debug)]
pub struct Eigenpairs {
    /// Numbers.
    pub result: EigenResult,
    /// Unit vectors.
    pub vectors: Vec<Vec<f64>>,
}

impl Eigenpairs {
    /// Number `index` (from 1, the extreme one) at one end, with its vector, if it was found.
    pub fn pair(&self, end: SpectrumEnd, index: usize) -> Option<(&EigenpairResult, &[f64])> {
        let mut places: Vec<usize> =
            (0..self.vectors.len()).filter(|&i| self.result.pairs[i].end == end).collect();
        if end == SpectrumEnd::Smallest {
            places.reverse();
        }
        let &i = places.get(index.checked_sub(1)?)?;
        Some((&self.result.pairs[i], &self.vectors[i]))
    }

    /// The pair of the largest eigenvalue, if it was asked for.
    pub fn largest(&self) -> Option<(&EigenpairResult, &[f64])> {
        self.pair(SpectrumEnd::Largest, 1)
    }

    /// The pair of the smallest eigenvalue, if it was asked for.
    pub fn smallest(&self) -> Option<(&EigenpairResult, &[f64])> {
        self.pair(SpectrumEnd::Smallest, 1)
    }
}

/// What was measured along the probes so far; saved after every block.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Probes {
    /// zᵀHz of each probe.
    pub quadratic: Vec<f64>,
    /// ‖Hz‖² of each probe.
    pub square: Vec<f64>,
    /// zᵀHz restricted to each tensor, one row a probe.
    pub layers: Vec<Vec<f64>>,
    /// z₂ᵢᵀHz₂ᵢ₊₁ of each pair.
    pub mixed: Vec<f64>,
    /// zᵀH_c z of each probe for every chunk c of the samples; empty where the risk offers none.
    #[serde(default)]
    pub chunks: Vec<Vec<f64>>,
    /// Samples of each chunk.
    #[serde(default)]
    pub chunk_samples: Vec<usize>,
}

impl Probes {
    /// Standard error of the trace over the data, these probes given.
    pub fn over_data(&self) -> Option<f64> {
        if self.chunks.len() != self.quadratic.len() {
            return None;
        }
        let parts: Vec<&[f64]> = self.chunks.iter().map(Vec::as_slice).collect();
        mean_over_chunks(&parts, &self.chunk_samples)
    }
}

/// Nodes and weights of each probe.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Quadratures {
    /// The nodes of each probe.
    pub nodes: Vec<Vec<f64>>,
    /// Their weights; each probe's sum to 1.
    pub weights: Vec<Vec<f64>>,
    /// Products used for each probe.
    pub products: Vec<usize>,
}

/// A surface with what its axes are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NamedSurface {
    /// Name, also of its files.
    pub name: String,
    /// Which samples.
    pub split: String,
    /// Both directions in words.
    pub directions: [String; 2],
    /// Labels of both axes (markup).
    pub labels: [String; 2],
    /// Which plane, as a heading.
    pub heading: String,
    /// Whether it is a neighbourhood of the point, in a plane shown elsewhere as a whole.
    pub zoom: bool,
    /// Number of samples.
    pub samples: usize,
    /// The values.
    pub surface: Surface,
}

impl NamedSurface {
    /// Which points cannot be told from θ, in the order of [`NamedSurface::grid`]; `None` where errors are not known.
    pub fn not_distinguishable(&self) -> Option<Vec<bool>> {
        not_distinguishable(&self.surface)
    }

    /// The losses with their labels.
    pub fn grid(&self) -> Grid {
        let [x, y] = self.labels.clone();
        surface_grid(&self.surface).labels(x, y, "loss")
    }

    /// The losses from above, in the range and on the scale that several maps share: hatched where they cannot be told from
    /// that at θ, whose level line is dashed; the cross says how far the smallest lies below it.
    pub fn heat_map(&self, range: ([f64; 2], Scale)) -> HeatMap {
        HeatMap {
            hatched: self.not_distinguishable(),
            reference_level: Some(self.surface.center),
            minimum_note: self.minimum_note(),
            ..heat_map(self.grid(), range)
        }
    }

    /// The losses in perspective, with a cross at the smallest.
    pub fn surface3d(&self) -> Surface3d {
        Surface3d {
            scale: range_and_scale(self.surface.loss.iter().copied()).1,
            mark_minimum: true,
            minimum_note: self.minimum_note(),
            ..Surface3d::new(self.grid())
        }
    }

    fn minimum_note(&self) -> String {
        self.surface.minimum().map_or_else(String::new, |m| below_center(&m.difference))
    }

    /// The accuracies with their labels; `None` without classes.
    pub fn accuracy_grid(&self) -> Option<Grid> {
        let [x, y] = self.labels.clone();
        accuracy_grid(&self.surface).map(|grid| grid.labels(x, y, "accuracy"))
    }
}

/// A cut along one direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cut {
    /// Name, also of its file.
    pub name: String,
    /// The direction in words.
    pub direction: String,
    /// Curvature along it on the samples of the analysis.
    #[serde(with = "floats::scalar")]
    pub curvature: f64,
    /// Slope along it on the samples of the analysis.
    #[serde(with = "floats::scalar")]
    pub slope: f64,
    /// Slope and curvature at θ on the samples of the cut itself, for the quadratic prediction; `None` where they are not known.
    #[serde(default)]
    pub prediction: Option<Prediction>,
    /// Coordinates.
    #[serde(with = "floats")]
    pub alpha: Vec<f64>,
    /// Loss on the samples of slices.
    pub measured: CutLosses,
    /// Loss on the other split, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<CutLosses>,
}

/// The losses of a cut on one set of samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CutLosses {
    /// Number of samples.
    pub samples: usize,
    /// L(θ) on them.
    #[serde(with = "floats::scalar")]
    pub center: f64,
    /// Its standard error over the samples, where it is known.
    #[serde(default, with = "floats::known")]
    pub center_std_error: Option<f64>,
    /// The losses in the order of the coordinates.
    #[serde(with = "floats")]
    pub loss: Vec<f64>,
    /// Their standard errors over the samples, where they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<PointErrors>,
}

impl CutLosses {
    /// Position of the smallest loss; `None` where all are NaN.
    pub fn smallest(&self) -> Option<usize> {
        smallest(&self.loss)
    }

    /// By how much the loss at a coordinate differs from the loss at θ.
    pub fn difference(&self, index: usize) -> LossDifference {
        let value = self.loss.get(index).copied().unwrap_or(f64::NAN) - self.center;
        let error = self.errors.as_ref().and_then(|e| e.difference.get(index).copied());
        LossDifference { value, std_error: error.filter(|e| !e.is_nan()) }
    }
}

/// What is known of the settled point. Its θ is in a file of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Settled {
    /// The way there.
    pub way: Settling,
    /// Share of correct predictions before and after.
    pub accuracy: Option<[f64; 2]>,
    /// Loss on the other samples before and after.
    pub other_loss: Option<[f64; 2]>,
    /// ‖θ‖ at the start.
    pub size: f64,
}
