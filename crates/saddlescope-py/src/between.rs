//! Several weights of one risk: side by side, on the way from one to another, and along a training.

use std::path::PathBuf;
use std::sync::Arc;

use numpy::PyReadonlyArray1;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use saddlescope::Risk;
use saddlescope::analysis::{AnalysisError, EigenpairOptions, Split, WeightsHash};
use saddlescope::between::{
    CompareOptions, CurveOptions, Member, ModelLosses, PathOptions, TrainingPosition, TrajectoryOptions,
    Weights, compare, path, trajectory,
};
use saddlescope::sharpness::SharpnessOptions;

use crate::analysis::{AnyRisk, PythonMonitor, analysis_error};
use crate::options::need;
use crate::raised::{Raised, value_error};

/// Weights as Python hands them over.
#[derive(FromPyObject)]
pub struct GivenWeights<'py> {
    /// Short name.
    #[pyo3(item)]
    name: String,
    /// Where they come from, for messages.
    #[pyo3(item)]
    origin: String,
    /// θ.
    #[pyo3(item)]
    theta: PyReadonlyArray1<'py, f64>,
    /// Buffers; `None`: those of the risk.
    #[pyo3(item)]
    buffers: Option<PyReadonlyArray1<'py, f64>>,
    /// SHA-256 of everything, where the engine has its own.
    #[pyo3(item)]
    sha256: Option<String>,
    /// What belongs to the weights besides θ and buffers.
    #[pyo3(item)]
    rest: String,
    /// Epoch, learning rate and momentum.
    #[pyo3(item)]
    position: (Option<f64>, Option<f64>, Option<f64>),
}

impl GivenWeights<'_> {
    fn weights(&self, risk: &dyn Risk) -> Weights {
        let theta = self.theta.as_array().to_vec();
        let buffers = self.buffers.as_ref().map_or_else(|| risk.buffers(), |b| b.as_array().to_vec());
        let mut weights = Weights::with_buffers(&self.name, self.origin.clone(), theta, buffers, risk);
        if let Some(sha256) = &self.sha256 {
            weights.sha256.clone_from(sha256);
        } else if !self.rest.is_empty() {
            let mut hash = WeightsHash::new(risk.layout());
            hash.values(&weights.theta);
            hash.values(&weights.buffers);
            hash.name(&self.rest);
            weights.sha256 = hash.finish();
        }
        let (epoch, learning_rate, momentum) = self.position;
        weights.position = TrainingPosition { epoch, learning_rate, momentum };
        weights
    }
}

fn eigenpairs(o: &Bound<'_, PyDict>) -> PyResult<EigenpairOptions> {
    let tolerance: Option<f64> = need(o, "tol")?.extract()?;
    Ok(EigenpairOptions {
        largest: need(o, "largest")?.extract()?,
        smallest: need(o, "smallest")?.extract()?,
        max_products: need(o, "max_products")?.extract()?,
        ..tolerance.map_or_else(EigenpairOptions::default, EigenpairOptions::within)
    })
}

/// What to do, with its options.
enum Verb {
    Compare(CompareOptions),
    Path(PathOptions),
    Trajectory(TrajectoryOptions),
}

impl Verb {
    fn new(word: &str, o: &Bound<'_, PyDict>) -> PyResult<Self> {
        let seed = need(o, "seed")?.extract()?;
        let probes = need(o, "probes")?.extract()?;
        match word {
            "compare" => {
                let sharpness: bool = need(o, "sharpness")?.extract()?;
                Ok(Self::Compare(CompareOptions {
                    seed,
                    probes,
                    eigenpairs: eigenpairs(o)?,
                    grid: need(o, "grid")?.extract()?,
                    sharpness: sharpness.then(SharpnessOptions::default),
                }))
            }
            "path" => {
                let eigenvalues: bool = need(o, "eigenvalues")?.extract()?;
                let curve: Option<(usize, f64)> = need(o, "curve")?.extract()?;
                Ok(Self::Path(PathOptions {
                    seed,
                    probes,
                    points: need(o, "points")?.extract()?,
                    eigenpairs: if eigenvalues { Some(eigenpairs(o)?) } else { None },
                    statistics_anew: need(o, "statistics_anew")?.extract()?,
                    align: need(o, "align")?.extract()?,
                    curve: curve.map(|(steps, rate)| CurveOptions { steps, rate }),
                }))
            }
            "trajectory" => Ok(Self::Trajectory(TrajectoryOptions {
                seed,
                probes,
                eigenpairs: eigenpairs(o)?,
                grid: need(o, "grid")?.extract()?,
                learning_rate: need(o, "learning_rate")?.extract()?,
                momentum: need(o, "momentum")?.extract()?,
            })),
            _ => Err(PyValueError::new_err(format!("{word:?} is no verb of several weights"))),
        }
    }

    fn run(
        &self,
        members: Vec<Member<'_>>,
        memory: Option<usize>,
        out: &std::path::Path,
        monitor: &mut PythonMonitor,
    ) -> Result<String, AnalysisError> {
        let json = |found: serde_json::Result<String>| found.map_err(|e| AnalysisError::Other(e.to_string()));
        match self {
            Self::Compare(options) => {
                json(serde_json::to_string(&compare(&members, options, memory, out, monitor)?))
            }
            Self::Path(options) => {
                let count = members.len();
                let ends: [Member<'_>; 2] = members.try_into().map_err(|_| {
                    AnalysisError::Other(format!(
                        "{count} weights are given; expected the two ends of the path"
                    ))
                })?;
                json(serde_json::to_string(&path(&ends, options, memory, out, monitor)?))
            }
            Self::Trajectory(options) => {
                json(serde_json::to_string(&trajectory(&members, options, memory, out, monitor)?))
            }
        }
    }
}

/// Compares weights, goes from one to another, or follows a training; returns `results.json` as a string. `other`: the name and the
/// risk of other samples.
#[pyfunction]
#[pyo3(signature = (verb, risk, model, split, other, weights, options, memory, out, monitor))]
pub fn between<'py>(
    py: Python<'py>,
    verb: &str,
    risk: &Bound<'py, PyAny>,
    model: String,
    split: String,
    other: Option<(String, Bound<'py, PyAny>)>,
    weights: Vec<GivenWeights<'py>>,
    options: &Bound<'py, PyDict>,
    memory: Option<usize>,
    out: PathBuf,
    monitor: Option<Py<PyAny>>,
) -> PyResult<String> {
    let verb = Verb::new(verb, options)?;
    let raised = Arc::new(Raised::default());
    let main = AnyRisk::new(risk, &raised)?;
    let other = match other {
        Some((name, risk)) => Some((name, AnyRisk::new(&risk, &raised)?)),
        None => None,
    };
    let weights: Vec<Weights> = weights.iter().map(|w| w.weights(main.risk())).collect();
    let mut monitor = PythonMonitor::new(monitor, &raised);
    let result = py.detach(|| {
        let losses = ModelLosses {
            main: Split { name: &split, risk: main.risk() },
            other: other.as_ref().map(|(name, risk)| Split { name, risk: risk.risk() }),
            ..ModelLosses::new(model, main.risk())
        };
        let members = weights.into_iter().map(|weights| Member { losses: &losses, weights }).collect();
        verb.run(members, memory, &out, &mut monitor)
    });
    match raised.take() {
        Some(error) => Err(error),
        None => result.map_err(analysis_error),
    }
}

/// A name as it appears in file names.
#[pyfunction]
pub fn clean_name(name: &str) -> PyResult<String> {
    let cleaned = saddlescope::between::clean(name);
    if name.is_empty() { Err(value_error("a name is empty")) } else { Ok(cleaned) }
}
