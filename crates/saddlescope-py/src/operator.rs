//! A Python callable as a symmetric operator.

use std::sync::Arc;

use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use saddlescope_krylov::{FnOperator, ProductError};

use crate::raised::Raised;

/// The operator on ℝⁿ whose block products are `product(block)`: an array k × n to an array k × n, one vector a row. Python's
/// lock is taken for the call only; signals are looked at before it, so that Ctrl-C stops at the next product.
pub fn operator(product: Py<PyAny>, n: usize, raised: &Arc<Raised>) -> FnOperator<'static> {
    let raised = Arc::clone(raised);
    FnOperator::fallible_block(n, move |xs: &[f64], ys: &mut [f64]| {
        Python::attach(|py| multiply(product.bind(py), n, xs, ys))
            .map_err(|error| ProductError::failed(raised.keep(error)))
    })
}

fn multiply(product: &Bound<'_, PyAny>, n: usize, xs: &[f64], ys: &mut [f64]) -> PyResult<()> {
    let py = product.py();
    py.check_signals()?;
    let rows = xs.len() / n;
    let block = PyArray1::from_slice(py, xs).reshape([rows, n])?;
    copy_block(&product.call1((block,))?, rows, n, ys)
}

/// Copies a k × n array of doubles that Python returned.
pub fn copy_block(images: &Bound<'_, PyAny>, rows: usize, n: usize, out: &mut [f64]) -> PyResult<()> {
    let images: PyReadonlyArray2<'_, f64> = images.extract()?;
    if images.shape() != [rows, n] {
        return Err(PyValueError::new_err(format!(
            "the products have shape {:?}; expected [{rows}, {n}]",
            images.shape()
        )));
    }
    match images.as_slice() {
        Ok(values) => out.copy_from_slice(values),
        Err(_) => out.iter_mut().zip(images.as_array().iter()).for_each(|(o, x)| *o = *x),
    }
    Ok(())
}
