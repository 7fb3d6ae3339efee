//! The analysis of a Python object or of a network of our engine.

use std::path::PathBuf;
use std::sync::Arc;

use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use saddlescope::analysis::{
    Analysis, AnalysisError, Cost, CriticalSpectrumOptions, Cut, Monitor, NamedSurface, PlannedStage,
    Selection, Split, Subject, WeightsHash, analyze as run_analysis, compute as run_compute,
};
use saddlescope::sharpness::SharpnessOptions;
use saddlescope::{
    Axis, Direction, Line, Origin, Plane, Risk, RiskError, SettleOptions, Threading, Unfiltered,
    evaluate_slice, evaluate_surface, filter_normalize, layer_normalize,
};

use crate::network_risk::NetworkRisk;
use crate::python_risk::PythonRisk;
use crate::raised::{Raised, value_error};

/// A risk of either kind, borrowed from Python.
pub enum AnyRisk {
    /// Computed by Python.
    Python(PythonRisk),
    /// Computed by our engine.
    Network(Py<NetworkRisk>),
}

impl AnyRisk {
    /// The risk behind a Python object.
    pub fn new(object: &Bound<'_, PyAny>, raised: &Arc<Raised>) -> PyResult<Self> {
        let native = object.getattr("_native")?;
        if let Ok(network) = native.cast::<NetworkRisk>() {
            return Ok(Self::Network(network.clone().unbind()));
        }
        Ok(Self::Python(PythonRisk::new(object, raised)?))
    }

    /// The risk.
    pub fn risk(&self) -> &dyn Risk {
        match self {
            Self::Python(risk) => risk,
            Self::Network(network) => &network.get().risk,
        }
    }
}

/// Passes progress to a Python object, and looks for signals.
pub struct PythonMonitor {
    object: Option<Py<PyAny>>,
    raised: Arc<Raised>,
}

impl PythonMonitor {
    /// `object`: what is told; `None`: signals are looked at, nothing is told.
    pub fn new(object: Option<Py<PyAny>>, raised: &Arc<Raised>) -> Self {
        Self { object, raised: Arc::clone(raised) }
    }

    fn call(&self, f: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<()>) {
        if let Some(object) = &self.object
            && let Err(error) = Python::attach(|py| f(object.bind(py)))
        {
            self.raised.keep(error);
        }
    }
}

impl Monitor for PythonMonitor {
    fn begin(&mut self, stage: &str, steps: Option<u64>) {
        self.call(|m| m.call_method1("begin", (stage, steps)).map(drop));
    }

    fn advance(&mut self, done: u64, note: &str) {
        self.call(|m| m.call_method1("advance", (done, note)).map(drop));
    }

    fn end(&mut self, note: &str) {
        self.call(|m| m.call_method1("end", (note,)).map(drop));
    }

    fn note(&mut self, text: &str) {
        self.call(|m| m.call_method1("note", (text,)).map(drop));
    }

    fn plan(&mut self, stages: &[PlannedStage], cost: &Cost) {
        let seconds = stages.iter().map(|stage| stage.seconds(cost)).sum::<f64>();
        let left = stages.iter().filter(|stage| stage.is_left());
        let products = left.map(|stage| stage.forecast.products).sum::<usize>();
        self.call(|m| m.call_method1("plan", (seconds, products, cost.bytes)).map(drop));
    }

    fn cancelled(&self) -> bool {
        if let Err(error) = Python::attach(|py| py.check_signals()) {
            self.raised.keep(error);
        }
        self.raised.any()
    }
}

fn array(py: Python<'_>, values: &[f64]) -> Py<PyArray1<f64>> {
    PyArray1::from_slice(py, values).unbind()
}

fn cut_dict<'py>(py: Python<'py>, cut: &Cut) -> PyResult<Bound<'py, PyDict>> {
    let d = PyDict::new(py);
    d.set_item("name", &cut.name)?;
    d.set_item("direction", &cut.direction)?;
    d.set_item("curvature", cut.curvature)?;
    d.set_item("slope", cut.slope)?;
    d.set_item("alpha", array(py, &cut.alpha))?;
    d.set_item("loss", array(py, &cut.measured.loss))?;
    put_errors(py, &d, cut.measured.center, cut.measured.errors.as_ref())?;
    Ok(d)
}

/// The loss at θ, and standard errors over the samples of the losses and of their differences from it.
fn put_errors(
    py: Python<'_>,
    d: &Bound<'_, PyDict>,
    center: f64,
    errors: Option<&saddlescope::PointErrors>,
) -> PyResult<()> {
    d.set_item("center_loss", center)?;
    d.set_item("std_error", errors.map(|e| array(py, &e.loss)))?;
    d.set_item("difference_std_error", errors.map(|e| array(py, &e.difference)))
}

fn surface_dict<'py>(py: Python<'py>, named: &NamedSurface) -> PyResult<Bound<'py, PyDict>> {
    let d = PyDict::new(py);
    d.set_item("name", &named.name)?;
    d.set_item("split", &named.split)?;
    d.set_item("directions", &named.directions)?;
    put_surface(py, &d, &named.surface)?;
    Ok(d)
}

fn put_surface(py: Python<'_>, d: &Bound<'_, PyDict>, surface: &saddlescope::Surface) -> PyResult<()> {
    d.set_item("alpha", array(py, &surface.a.values()))?;
    d.set_item("beta", array(py, &surface.b.values()))?;
    d.set_item("loss", array(py, &surface.loss))?;
    d.set_item("accuracy", surface.accuracy.as_ref().map(|a| array(py, a)))?;
    put_errors(py, d, surface.center, surface.errors.as_ref())
}

fn analysis_dict(py: Python<'_>, analysis: Analysis) -> PyResult<Bound<'_, PyDict>> {
    let d = PyDict::new(py);
    d.set_item("results", serde_json::to_string(&analysis.results).map_err(value_error)?)?;
    let vectors: Vec<_> =
        analysis.eigenvectors.into_iter().map(|v| PyArray1::from_vec(py, v).unbind()).collect();
    d.set_item("eigenvectors", vectors)?;
    let cuts: Vec<_> = analysis.cuts.iter().map(|c| cut_dict(py, c)).collect::<PyResult<_>>()?;
    d.set_item("cuts", cuts)?;
    let surfaces: Vec<_> = analysis.surfaces.iter().map(|s| surface_dict(py, s)).collect::<PyResult<_>>()?;
    d.set_item("surfaces", surfaces)?;
    d.set_item("settled", analysis.settled.map(|theta| PyArray1::from_vec(py, theta)))?;
    Ok(d)
}

/// Requests that cannot be carried out are `ValueError`s, what fails on the way is a `RuntimeError`.
pub fn analysis_error(error: AnalysisError) -> PyErr {
    match error {
        AnalysisError::SelfCheck(_) | AnalysisError::Risk(_) | AnalysisError::Other(_) => {
            PyRuntimeError::new_err(error.to_string())
        }
        other => PyValueError::new_err(other.to_string()),
    }
}

/// As JSON: the default selection, that of no stages, and the options of stages that are not in the default one.
#[pyfunction]
pub fn selections() -> PyResult<(String, String, String)> {
    let json = |selection: &Selection| serde_json::to_string(selection).map_err(value_error);
    let more = serde_json::json!({
        "settle": SettleOptions::default(),
        "critical_spectrum": CriticalSpectrumOptions::default(),
        "sharpness": SharpnessOptions::default(),
    });
    Ok((json(&Selection::default())?, json(&Selection::nothing("analyze"))?, more.to_string()))
}

/// Runs an analysis. `other`: the name and the risk of other samples; `fingerprint`: what belongs to the weights besides θ;
/// `weights`: their SHA-256 where the engine has its own; `pages`: whether results, figures and report are written; `slice_samples`:
/// how many samples cuts and surfaces are drawn on; `about`: what a reader should know.
#[pyfunction]
#[pyo3(signature = (risk, theta, model, split, other, selection, memory, out, monitor, fingerprint, weights, pages, slice_samples, about))]
pub fn analyze<'py>(
    py: Python<'py>,
    risk: &Bound<'py, PyAny>,
    theta: PyReadonlyArray1<'py, f64>,
    model: String,
    split: String,
    other: Option<(String, Bound<'py, PyAny>)>,
    selection: &str,
    memory: Option<usize>,
    out: PathBuf,
    monitor: Option<Py<PyAny>>,
    fingerprint: Option<String>,
    weights: Option<String>,
    pages: bool,
    slice_samples: Option<usize>,
    about: Vec<String>,
) -> PyResult<Bound<'py, PyDict>> {
    let selection: Selection = serde_json::from_str(selection).map_err(value_error)?;
    let raised = Arc::new(Raised::default());
    let main = AnyRisk::new(risk, &raised)?;
    let other = match other {
        Some((name, risk)) => Some((name, AnyRisk::new(&risk, &raised)?)),
        None => None,
    };
    let theta = theta.as_array().to_vec();
    let mut monitor = PythonMonitor::new(monitor, &raised);
    let result = py.detach(|| {
        let slices = match slice_samples {
            Some(count) if count < main.risk().samples() => {
                let few = main.risk().samples_in(0..count).map_err(AnalysisError::from)?;
                Some(few.ok_or_else(|| RiskError::NotOffered {
                    what: "its loss on some of its samples".into(),
                })?)
            }
            _ => None,
        };
        let mut subject = Subject::new(model, theta, main.risk());
        subject.slices = slices.as_deref();
        subject.about = about;
        subject.main = Split { name: &split, risk: main.risk() };
        subject.other = other.as_ref().map(|(name, risk)| Split { name, risk: risk.risk() });
        if let Some(weights) = weights {
            subject.weights = weights;
        } else if let Some(rest) = fingerprint {
            let mut hash = WeightsHash::new(main.risk().layout());
            hash.values(&subject.theta);
            hash.name(&rest);
            subject.weights = hash.finish();
        }
        let run = if pages { run_analysis } else { run_compute };
        run(&subject, &selection, memory, &out, &mut monitor)
    });
    match raised.take() {
        Some(error) => Err(error),
        None => analysis_dict(py, result.map_err(analysis_error)?),
    }
}

fn axis((lo, hi, count): (f64, f64, usize)) -> PyResult<Axis> {
    Axis::new(lo, hi, count).map_err(value_error)
}

fn direction(values: &PyReadonlyArray1<'_, f64>) -> PyResult<Direction> {
    Direction::new(values.as_array().to_vec(), Origin::Given).map_err(value_error)
}

/// Losses along a line through θ.
#[pyfunction]
pub fn cut<'py>(
    py: Python<'py>,
    risk: &Bound<'py, PyAny>,
    theta: PyReadonlyArray1<'py, f64>,
    along: PyReadonlyArray1<'py, f64>,
    alpha: (f64, f64, usize),
) -> PyResult<Bound<'py, PyDict>> {
    let raised = Arc::new(Raised::default());
    let risk = AnyRisk::new(risk, &raised)?;
    let line = Line::new(theta.as_array().to_vec(), direction(&along)?).map_err(value_error)?;
    let alpha = axis(alpha)?;
    let result = py.detach(|| evaluate_slice(&line, alpha, Threading::Sequential, risk.risk()));
    let slice = raised.finish(result)?;
    let d = PyDict::new(py);
    d.set_item("alpha", array(py, &slice.a.values()))?;
    d.set_item("loss", array(py, &slice.loss))?;
    d.set_item("accuracy", slice.accuracy.as_ref().map(|a| array(py, a)))?;
    put_errors(py, &d, slice.center, slice.errors.as_ref())?;
    Ok(d)
}

/// Losses over a plane through θ.
#[pyfunction]
pub fn surface<'py>(
    py: Python<'py>,
    risk: &Bound<'py, PyAny>,
    theta: PyReadonlyArray1<'py, f64>,
    directions: (PyReadonlyArray1<'py, f64>, PyReadonlyArray1<'py, f64>),
    axes: ((f64, f64, usize), (f64, f64, usize)),
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let raised = Arc::new(Raised::default());
    let risk = AnyRisk::new(risk, &raised)?;
    let (eta, delta) = (direction(&directions.0)?, direction(&directions.1)?);
    let plane = Plane::new(theta.as_array().to_vec(), eta, delta).map_err(value_error)?;
    let (a, b) = (axis(axes.0)?, axis(axes.1)?);
    let result = py.detach(|| {
        evaluate_surface(
            &plane,
            a,
            b,
            saddlescope::FinishedRows::default(),
            Threading::Sequential,
            risk.risk(),
            &mut |row| {
                let told = progress.as_ref().map_or(Ok(()), |p| {
                    Python::attach(|py| p.call1(py, (row.index + 1, row.total)).map(drop))
                });
                match told {
                    Ok(()) => std::ops::ControlFlow::Continue(()),
                    Err(error) => {
                        raised.keep(error);
                        std::ops::ControlFlow::Break(())
                    }
                }
            },
        )
    });
    let d = PyDict::new(py);
    match raised.finish(result)? {
        saddlescope::SurfaceOutcome::Complete(surface) => put_surface(py, &d, &surface)?,
        saddlescope::SurfaceOutcome::Stopped(_) => {
            return Err(PyRuntimeError::new_err("the surface was stopped"));
        }
    }
    Ok(d)
}

/// A direction of N(0, 1) numbers, filter-normalised (Li et al. 2018) where asked.
#[pyfunction]
pub fn random_direction<'py>(
    py: Python<'py>,
    blocks: Vec<(String, Vec<usize>, String)>,
    theta: PyReadonlyArray1<'py, f64>,
    normalization: Option<&str>,
    keep_biases: bool,
    seed: u64,
    index: u64,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let layout = crate::python_risk::layout(blocks)?;
    let theta = theta.as_array().to_vec();
    let drawn = Direction::random(theta.len(), seed, index).map_err(value_error)?;
    let unfiltered = if keep_biases { Unfiltered::Keep } else { Unfiltered::Zero };
    let direction = match normalization {
        None => Ok(drawn),
        Some("unit") => Ok(drawn.unit()),
        Some("filter") => filter_normalize(drawn, &theta, &layout, unfiltered),
        Some("layer") => layer_normalize(drawn, &theta, &layout, unfiltered),
        Some(word) => {
            return Err(PyValueError::new_err(format!(
                "normalize {word:?}; expected \"filter\", \"layer\", \"unit\" or None"
            )));
        }
    };
    Ok(PyArray1::from_vec(py, direction.map_err(value_error)?.into_vector()))
}
