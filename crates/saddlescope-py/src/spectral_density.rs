//! The density of eigenvalues as a Python object.

use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use saddlescope_krylov::Quadrature;

use crate::raised::value_error;

type Numbers = Py<PyArray1<f64>>;

/// Dimension, products, status, quadratures.
type Fields = (usize, usize, String, Vec<(Numbers, Numbers)>);

/// The density of the eigenvalues of an operator, as the Gauss quadratures of its probes.
#[pyclass(frozen, module = "saddlescope._native", name = "SpectralDensity")]
pub struct SpectralDensity(pub saddlescope_krylov::SpectralDensity);

fn tuple(e: saddlescope_krylov::Estimate) -> (f64, f64, usize) {
    (e.value, e.std_error, e.samples)
}

#[pymethods]
impl SpectralDensity {
    /// The density of these fields, as `__reduce__` hands them over.
    #[staticmethod]
    fn from_fields(
        dim: usize,
        products: usize,
        status: String,
        quadratures: Vec<(PyReadonlyArray1<'_, f64>, PyReadonlyArray1<'_, f64>)>,
    ) -> PyResult<Self> {
        let status = serde_json::from_value(status.into()).map_err(value_error)?;
        let values = |array: &PyReadonlyArray1<'_, f64>| array.as_array().to_vec();
        let probes =
            quadratures.iter().map(|(x, w)| Quadrature { nodes: values(x), weights: values(w) }).collect();
        Ok(Self(saddlescope_krylov::SpectralDensity { n: dim, probes, products, status }))
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<(Py<PyAny>, Fields)> {
        let rebuild = slf.get_type().getattr("from_fields")?.unbind();
        let found = slf.get();
        Ok((rebuild, (found.dim(), found.products(), found.status(), found.quadratures(slf.py()))))
    }

    #[getter]
    fn dim(&self) -> usize {
        self.0.n
    }

    #[getter]
    fn products(&self) -> usize {
        self.0.products
    }

    #[getter]
    fn status(&self) -> String {
        format!("{:?}", self.0.status)
    }

    #[getter]
    fn message(&self) -> String {
        self.0.status.to_string()
    }

    /// Nodes and weights of every probe.
    #[getter]
    fn quadratures(&self, py: Python<'_>) -> Vec<(Numbers, Numbers)> {
        let array = |values: &[f64]| PyArray1::from_slice(py, values).unbind();
        self.0.probes.iter().map(|q| (array(&q.nodes), array(&q.weights))).collect()
    }

    /// Value, standard error, number of probes.
    fn moment(&self, k: i32) -> (f64, f64, usize) {
        tuple(self.0.moment(k))
    }

    fn trace(&self) -> (f64, f64, usize) {
        tuple(self.0.trace())
    }

    fn index(&self, zero: f64) -> (f64, f64, usize) {
        tuple(self.0.index(zero))
    }

    fn fraction_below(&self, threshold: f64) -> (f64, f64, usize) {
        tuple(self.0.fraction_below(threshold))
    }

    #[getter]
    fn support(&self) -> Option<(f64, f64)> {
        self.0.support()
    }

    #[getter]
    fn resolution(&self) -> Option<f64> {
        self.0.resolution()
    }

    /// Values and standard errors on a grid.
    fn density(
        &self,
        py: Python<'_>,
        grid: PyReadonlyArray1<'_, f64>,
        width: f64,
    ) -> PyResult<(Numbers, Numbers)> {
        let found = self.0.density(&grid.as_array().to_vec(), width);
        let (values, errors): (Vec<f64>, Vec<f64>) = found.iter().map(|e| (e.value, e.std_error)).unzip();
        Ok((PyArray1::from_vec(py, values).unbind(), PyArray1::from_vec(py, errors).unbind()))
    }
}
