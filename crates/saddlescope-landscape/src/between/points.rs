//! Each of several points by itself: an analysis folder of its own for every set of samples, and its loss chunk by chunk.

use std::path::{Path, PathBuf};

use saddlescope_figure::floats;
use serde::{Deserialize, Serialize};

use super::desk::{Desk, Inner, Part};
use super::weights::{Bound, ModelLosses, TrainingPosition, Weights};
use crate::analysis::{
    Analysis, AnalysisError, Dependencies, EigenpairResult, Estimate, Fate, Forecast, MeasureResult,
    MemoryLimit, PlannedStage, Selection, Spent, Split, analyze, compute, identity_at, kept_selection,
    memory_of, plan_of, weighted_std_error,
};
use crate::risk::{Evaluation, Risk, RiskError};

/// A number with its standard error over the data; `None` where it is not known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The number.
    #[serde(with = "floats::scalar")]
    pub value: f64,
    /// Its standard error.
    #[serde(default, with = "floats::known")]
    pub std_error: Option<f64>,
}

/// Loss and right answers at one point on one set of samples, chunk by chunk where the risk offers chunks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Values {
    /// L(θ).
    pub loss: f64,
    /// Right answers, and how many were counted.
    pub correct: Option<(u64, u64)>,
    /// Mean loss of each chunk.
    pub chunk_losses: Vec<f64>,
    /// Samples of each chunk.
    pub chunk_samples: Vec<usize>,
}

impl From<Evaluation> for Values {
    fn from(e: Evaluation) -> Self {
        Self {
            loss: e.loss,
            correct: e.correct,
            chunk_losses: e.chunk_losses,
            chunk_samples: e.chunk_samples,
        }
    }
}

impl Values {
    /// The loss, with its standard error over the chunks.
    pub fn loss(&self) -> Measured {
        let std_error = weighted_std_error(&self.chunk_losses, &self.chunk_samples);
        Measured { value: self.loss, std_error }
    }

    /// Share of right answers, with its binomial standard error. Where all answers are right, or none, that would be 0, which says
    /// nothing of other samples: it is not known.
    pub fn accuracy(&self) -> Option<Measured> {
        let (right, all) = self.correct.filter(|(_, all)| *all > 0)?;
        let p = right as f64 / all as f64;
        let std_error = (0 < right && right < all).then(|| (p * (1.0 - p) / all as f64).sqrt());
        Some(Measured { value: p, std_error })
    }

    /// L − L' on the same samples, with the standard error of the difference: what both losses share cancels.
    pub fn minus(&self, other: &Self) -> Measured {
        let value = self.loss - other.loss;
        if self.chunk_samples != other.chunk_samples {
            return Measured { value, std_error: None };
        }
        let differences: Vec<f64> =
            self.chunk_losses.iter().zip(&other.chunk_losses).map(|(a, b)| a - b).collect();
        Measured { value, std_error: weighted_std_error(&differences, &self.chunk_samples) }
    }
}

/// A point on one set of samples, in numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SideResult {
    /// Which samples.
    pub split: String,
    /// How many.
    pub samples: usize,
    /// L(θ).
    pub loss: Measured,
    /// Share of right answers.
    pub accuracy: Option<Measured>,
    /// ‖∇L(θ)‖₂.
    #[serde(default, with = "floats::optional_scalar", skip_serializing_if = "Option::is_none")]
    pub gradient_norm: Option<f64>,
    /// Pair of the largest eigenvalue.
    pub lambda_max: Option<EigenpairResult>,
    /// Pair of the smallest eigenvalue.
    pub lambda_min: Option<EigenpairResult>,
    /// tr H, with its standard error over the probes.
    pub trace: Option<Estimate>,
    /// Standard error of tr H over the data, the probes held fixed.
    #[serde(default, with = "floats::known")]
    pub trace_over_data: Option<f64>,
    /// Measures of sharpness, where they were asked for.
    #[serde(default)]
    pub sharpness: Vec<MeasureResult>,
    /// Folder of its analysis, relative to the outer folder.
    pub folder: String,
}

/// A point in numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointResult {
    /// Its name.
    pub name: String,
    /// Where the weights come from.
    pub origin: String,
    /// The model.
    pub model: String,
    /// N.
    pub parameters: usize,
    /// ‖θ‖₂.
    #[serde(with = "floats::scalar")]
    pub norm: f64,
    /// Where in a training the weights were written, as far as the file says.
    pub position: TrainingPosition,
    /// On the samples of the analysis, then on the other samples if there are any.
    pub sides: Vec<SideResult>,
}

impl PointResult {
    /// The side of the analysis.
    pub fn main(&self) -> Option<&SideResult> {
        self.sides.first()
    }
}

/// The analysis of a point on one set of samples.
pub(crate) struct PointJob<'a> {
    pub losses: &'a ModelLosses<'a>,
    pub weights: &'a Weights,
    pub split: Split<'a>,
    pub selection: Selection,
    /// What it is called in tables and on the progress line, where that is not the name of its folder.
    pub label: Option<String>,
}

impl PointJob<'_> {
    /// Its name in tables.
    pub fn name(&self) -> String {
        format!("{} {}", self.label(), self.split.name)
    }

    /// What the point is called.
    pub fn label(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.weights.name)
    }

    /// Its folder, relative to the outer one.
    pub fn folder(&self) -> String {
        format!("points/{}/{}", self.weights.name, self.split.name)
    }

    fn dir(&self, out: &Path) -> PathBuf {
        out.join("points").join(&self.weights.name).join(self.split.name)
    }

    /// The selection, with eigenpairs that an earlier command kept in the folder where those will do.
    fn selection(&self, out: &Path) -> Result<Selection, AnalysisError> {
        kept_selection(&self.dir(out), &self.selection)
    }

    /// What will happen to it: reused where all its stages are.
    pub fn planned(&self, out: &Path, memory: MemoryLimit) -> Result<PlannedStage, AnalysisError> {
        let selection = self.selection(out)?;
        let stages = self.losses.with_subject(self.weights, self.split, |subject| {
            plan_of(subject, &selection, memory, &self.dir(out))
        })?;
        let fate = if stages.iter().all(|s| s.fate == Fate::Reused) {
            Fate::Reused
        } else if stages.iter().any(|s| s.fate != Fate::ToDo) {
            Fate::Continued
        } else {
            Fate::ToDo
        };
        let (mut forecast, mut spent) = (Forecast::default(), Spent::default());
        for stage in stages.iter().filter(|s| fate == Fate::Reused || s.fate != Fate::Reused) {
            forecast.products += stage.forecast.products;
            forecast.evaluations += stage.forecast.evaluations;
            spent.seconds += stage.spent.seconds;
        }
        Ok(PlannedStage { name: self.name(), fate, forecast, spent, dense_seconds: 0.0 })
    }

    /// Bytes of memory that it needs at most, beside the weights of that many points.
    pub fn memory(&self, out: &Path, points: usize, memory: MemoryLimit) -> Result<usize, AnalysisError> {
        let selection = self.selection(out)?;
        let own = self
            .losses
            .with_subject(self.weights, self.split, |subject| memory_of(subject, &selection, memory))?;
        Ok(own + points * size_of_val(self.weights.theta.as_slice()))
    }

    /// Analyses it; with `pages` also figures and report are written.
    pub fn run(
        &self,
        desk: &mut Desk<'_>,
        memory: MemoryLimit,
        pages: bool,
    ) -> Result<Analysis, AnalysisError> {
        let dir = self.dir(desk.folder.dir());
        let selection = self.selection(desk.folder.dir())?;
        let mut monitor = Inner { outer: &mut *desk.monitor, name: self.name() };
        let analysis = self.losses.with_subject(self.weights, self.split, |subject| {
            let work = if pages { analyze } else { compute };
            work(subject, &selection, memory, &dir, &mut monitor)
        })?;
        desk.monitor.finished(&self.name());
        Ok(analysis)
    }

    /// Its loss chunk by chunk.
    pub fn values(&self, desk: &mut Desk<'_>) -> Result<Values, AnalysisError> {
        desk.part(&self.values_part()?, |work, _| {
            let risk = Bound::new(self.split.risk, &self.weights.buffers)?;
            Ok(work.evaluate(risk.risk(), &self.weights.theta)?.into())
        })
    }

    fn values_part(&self) -> Result<Part, RiskError> {
        let mut of = risk_identity(self.split.risk, &self.weights.theta)?;
        of.insert("weights.sha256".into(), self.weights.sha256.clone().into());
        Ok(Part {
            name: format!("values-{}-{}", self.weights.name, self.split.name),
            title: format!("{}: loss", self.name()),
            of,
            forecast: Forecast { products: 0, evaluations: 1 },
        })
    }

    /// Everything about it in numbers.
    pub fn side(&self, analysis: &Analysis, values: &Values) -> SideResult {
        let results = &analysis.results;
        SideResult {
            gradient_norm: results.gradient_norm,
            lambda_max: crate::analysis::largest(&results.eigenpairs).cloned(),
            lambda_min: crate::analysis::smallest(&results.eigenpairs).cloned(),
            trace: results.trace.as_ref().map(|t| t.hutchinson),
            trace_over_data: results.trace.as_ref().and_then(|t| t.over_data),
            sharpness: results.sharpness.as_ref().map_or(Vec::new(), |s| s.measures.clone()),
            ..self.side_of_values(values)
        }
    }
}

impl PointJob<'_> {
    /// Loss and accuracy alone.
    pub fn side_of_values(&self, values: &Values) -> SideResult {
        SideResult {
            split: self.split.name.into(),
            samples: self.split.risk.samples(),
            loss: values.loss(),
            accuracy: values.accuracy(),
            gradient_norm: None,
            lambda_max: None,
            lambda_min: None,
            trace: None,
            trace_over_data: None,
            sharpness: Vec::new(),
            folder: self.folder(),
        }
    }
}

/// What results on a risk depend on besides the points; `theta` is one of these.
pub(crate) fn risk_identity(risk: &dyn Risk, theta: &[f64]) -> Result<Dependencies, RiskError> {
    let mut of = identity_at(risk, theta)?;
    of.insert("samples".into(), risk.samples().into());
    Ok(of)
}
