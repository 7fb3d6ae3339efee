//! Solvers and estimators for operators given by a Python callable. Python's lock is free while Rust computes.

use std::path::PathBuf;
use std::sync::Arc;

use numpy::{PyArray1, PyReadonlyArray2};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use saddlescope::analysis::{FolderError, Journal};
use saddlescope_krylov::{
    Eigenpair, Estimate, Probes, Status, SymmetricOperator, TraceEstimate, extreme_eigenpairs,
    hutch_plus_plus, hutchinson, resume_extreme_eigenpairs, spectral_density, testkit, xtrace,
};

use crate::observer::Watch;
use crate::operator::operator;
use crate::options;
use crate::raised::Raised;
use crate::spectral_density::SpectralDensity;
use crate::state::{self, State};

/// Value, vector, residual, converged.
type PairTuple = (f64, Py<PyArray1<f64>>, f64, bool);

fn pair_tuple(py: Python<'_>, pair: Eigenpair) -> PairTuple {
    (pair.value, PyArray1::from_vec(py, pair.vector).unbind(), pair.residual, pair.converged)
}

fn put_status(found: &Bound<'_, PyDict>, status: Status) -> PyResult<()> {
    found.set_item("status", format!("{status:?}"))?;
    found.set_item("message", status.to_string())
}

/// Extreme eigenpairs by thick-restart Lanczos.
#[pyfunction]
#[pyo3(signature = (product, n, options, state, state_path, progress))]
pub fn eigsh<'py>(
    py: Python<'py>,
    product: Py<PyAny>,
    n: usize,
    options: &Bound<'py, PyDict>,
    state: Option<PyRef<'py, State>>,
    state_path: Option<PathBuf>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let options = options::eigen(options)?;
    let from = match (&state, &state_path) {
        (Some(state), _) => Some(state.0.clone()),
        (None, Some(path)) => state::read(path)?,
        (None, None) => None,
    };
    drop(state);
    let raised = Arc::new(Raised::default());
    let operator = operator(product, n, &raised);
    let result = py.detach(|| {
        let mut watch = Watch::new(progress, state_path, &raised);
        match from {
            Some(state) => {
                state::check(&state, &operator)?;
                resume_extreme_eigenpairs(&operator, &options, state, &mut watch)
            }
            None => extreme_eigenpairs(&operator, &options, &mut watch),
        }
    });
    let solution = raised.finish(result)?;
    let found = PyDict::new(py);
    put_status(&found, solution.status)?;
    found.set_item("n_largest", solution.largest().len())?;
    found.set_item("n_smallest", solution.smallest().len())?;
    found.set_item("products", solution.products)?;
    found.set_item("restarts", solution.restarts)?;
    found.set_item("norm_estimate", solution.norm_estimate)?;
    let ritz: Vec<(f64, f64)> = solution.ritz.iter().map(|r| (r.value, r.residual_estimate)).collect();
    found.set_item("ritz", ritz)?;
    let pairs: Vec<PairTuple> = solution.pairs.into_iter().map(|p| pair_tuple(py, p)).collect();
    found.set_item("pairs", pairs)?;
    found.set_item("state", Py::new(py, State(solution.state))?)?;
    Ok(found)
}

/// Runs a solver on the operator; with a file, every product is kept there, and those that are there already are read.
fn with_journal<R>(
    operator: &dyn SymmetricOperator,
    file: Option<PathBuf>,
    run: impl FnOnce(&dyn SymmetricOperator) -> R,
) -> PyResult<R> {
    let Some(file) = file else { return Ok(run(operator)) };
    let wrong = |error: FolderError| PyOSError::new_err(error.to_string());
    let journal = Journal::open_checked(operator, &file).map_err(wrong)?;
    let result = run(&journal);
    journal.finish().map_err(wrong)?;
    Ok(result)
}

/// The paper's Algorithm 1.
#[pyfunction]
#[pyo3(signature = (product, n, options, journal, progress))]
pub fn algorithm1<'py>(
    py: Python<'py>,
    product: Py<PyAny>,
    n: usize,
    options: &Bound<'py, PyDict>,
    journal: Option<PathBuf>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let options = options::eigen(options)?;
    let raised = Arc::new(Raised::default());
    let operator = operator(product, n, &raised);
    let result = py.detach(|| {
        with_journal(&operator, journal, |operator| {
            saddlescope_krylov::algorithm1(operator, &options, &mut Watch::new(progress, None, &raised))
        })
    })?;
    let solution = raised.finish(result)?;
    let found = PyDict::new(py);
    put_status(&found, solution.status)?;
    found.set_item("condition", solution.condition.map(|c| c.to_string()))?;
    found.set_item("condition_holds", solution.condition.map(|c| format!("{c:?}") == "Holds"))?;
    found.set_item("products_first", solution.products_first)?;
    found.set_item("products", solution.products)?;
    found.set_item("first", solution.first.map(|p| pair_tuple(py, p)))?;
    found.set_item("second", solution.second.map(|p| pair_tuple(py, p)))?;
    Ok(found)
}

fn estimate_tuple(e: Estimate) -> (f64, f64, usize) {
    (e.value, e.std_error, e.samples)
}

/// tr A by one of three estimators.
#[pyfunction]
#[pyo3(signature = (product, n, method, probes, options, journal, progress))]
pub fn trace<'py>(
    py: Python<'py>,
    product: Py<PyAny>,
    n: usize,
    method: &str,
    probes: &Bound<'py, PyAny>,
    options: &Bound<'py, PyDict>,
    journal: Option<PathBuf>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let options = options::trace(options)?;
    let given: Vec<Vec<f64>>;
    let probes = if let Ok(word) = probes.extract::<String>() {
        match word.as_str() {
            "rademacher" => Probes::Rademacher,
            "gaussian" => Probes::Gaussian,
            _ => {
                return Err(PyValueError::new_err(format!(
                    "probes {word:?}; expected \"rademacher\", \"gaussian\" or an array of vectors"
                )));
            }
        }
    } else {
        let rows: PyReadonlyArray2<'_, f64> = probes.extract()?;
        given = rows.as_array().rows().into_iter().map(|row| row.to_vec()).collect();
        Probes::Given(&given)
    };
    let raised = Arc::new(Raised::default());
    let operator = operator(product, n, &raised);
    let mut watch = Watch::new(progress, None, &raised);
    let run = |operator: &dyn SymmetricOperator| match method {
        "hutchinson" => Ok(hutchinson(operator, probes, &options, &mut watch)),
        "hutch++" => Ok(hutch_plus_plus(operator, &options, &mut watch)),
        "xtrace" => Ok(xtrace(operator, &options, &mut watch)),
        _ => Err(PyValueError::new_err(format!(
            "method {method:?}; expected \"hutchinson\", \"hutch++\" or \"xtrace\""
        ))),
    };
    let result = py.detach(|| with_journal(&operator, journal, run))??;
    trace_dict(py, raised.finish(result)?)
}

fn trace_dict(py: Python<'_>, found: TraceEstimate) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    put_status(&dict, found.status)?;
    dict.set_item("trace", estimate_tuple(found.trace))?;
    dict.set_item("frobenius_squared", found.frobenius_squared.map(estimate_tuple))?;
    dict.set_item("per_probe", PyArray1::from_vec(py, found.per_probe))?;
    dict.set_item("products", found.products)?;
    Ok(dict)
}

/// The density of eigenvalues by stochastic Lanczos quadrature.
#[pyfunction]
#[pyo3(signature = (product, n, options, journal, progress))]
pub fn density(
    py: Python<'_>,
    product: Py<PyAny>,
    n: usize,
    options: &Bound<'_, PyDict>,
    journal: Option<PathBuf>,
    progress: Option<Py<PyAny>>,
) -> PyResult<SpectralDensity> {
    let options = options::density(options)?;
    let raised = Arc::new(Raised::default());
    let operator = operator(product, n, &raised);
    let result = py.detach(|| {
        with_journal(&operator, journal, |operator| {
            spectral_density(operator, &options, &mut Watch::new(progress, None, &raised))
        })
    })?;
    raised.finish(result).map(SpectralDensity)
}

/// Whether an operator is linear, symmetric, and the same each time; `None`, or what is wrong in words.
#[pyfunction]
pub fn check_operator(
    py: Python<'_>,
    product: Py<PyAny>,
    n: usize,
    tolerance: f64,
) -> PyResult<Option<String>> {
    let raised = Arc::new(Raised::default());
    let operator = operator(product, n, &raised);
    let result = py.detach(|| testkit::check_operator(&operator, None, tolerance));
    match raised.take() {
        Some(error) => Err(error),
        None => Ok(result.err().map(|e| e.to_string())),
    }
}
