//! Options of solvers from a Python dictionary.

use numpy::PyReadonlyArray2;
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use saddlescope_krylov::{
    BasisLimit, DensityOptions, ExtremeEigen, Precision, ProbeKind, TraceOptions, Wanted,
};

/// A value that must be there: the Python half passes every option.
pub fn need<'py>(options: &Bound<'py, PyDict>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    options.get_item(name)?.ok_or_else(|| PyKeyError::new_err(name.to_owned()))
}

/// `f32` or `f64`.
pub fn precision(word: &str) -> PyResult<Precision> {
    match word {
        "f32" => Ok(Precision::F32),
        "f64" => Ok(Precision::F64),
        _ => Err(PyValueError::new_err(format!("precision {word:?}; expected \"f32\" or \"f64\""))),
    }
}

/// The options of an eigenvalue solve.
pub fn eigen(o: &Bound<'_, PyDict>) -> PyResult<ExtremeEigen> {
    let magnitude: Option<usize> = need(o, "magnitude")?.extract()?;
    let wanted = match magnitude {
        Some(count) => Wanted::LargestMagnitude(count),
        None => Wanted::Ends {
            largest: need(o, "largest")?.extract()?,
            smallest: need(o, "smallest")?.extract()?,
        },
    };
    let vectors: Option<usize> = need(o, "basis_vectors")?.extract()?;
    let bytes: Option<usize> = need(o, "memory")?.extract()?;
    let basis_limit = match (vectors, bytes) {
        (_, Some(bytes)) => BasisLimit::Bytes(bytes),
        (Some(vectors), None) => BasisLimit::Vectors(vectors),
        (None, None) => ExtremeEigen::default().basis_limit,
    };
    let start = match need(o, "start")? {
        none if none.is_none() => Vec::new(),
        given => {
            let rows: PyReadonlyArray2<'_, f64> = given.extract()?;
            rows.as_array().rows().into_iter().map(|row| row.to_vec()).collect()
        }
    };
    Ok(ExtremeEigen {
        product_precision: Precision::F64,
        wanted,
        tolerance: need(o, "tol")?.extract()?,
        absolute_tolerance: need(o, "absolute_tol")?.extract()?,
        max_products: need(o, "max_products")?.extract()?,
        basis_limit,
        precision: precision(&need(o, "precision")?.extract::<String>()?)?,
        block_size: need(o, "block_size")?.extract()?,
        seed: need(o, "seed")?.extract()?,
        start,
        check_every: None,
    })
}

/// The options of a trace estimate.
pub fn trace(o: &Bound<'_, PyDict>) -> PyResult<TraceOptions> {
    Ok(TraceOptions {
        max_products: need(o, "max_products")?.extract()?,
        target_std_error: need(o, "target_std_error")?.extract()?,
        block_size: need(o, "block_size")?.extract()?,
        seed: need(o, "seed")?.extract()?,
    })
}

/// The options of a spectral density.
pub fn density(o: &Bound<'_, PyDict>) -> PyResult<DensityOptions> {
    let kind: String = need(o, "kind")?.extract()?;
    Ok(DensityOptions {
        probes: need(o, "probes")?.extract()?,
        steps: need(o, "steps")?.extract()?,
        block_size: need(o, "block_size")?.extract()?,
        reorthogonalise: need(o, "reorthogonalise")?.extract()?,
        precision: precision(&need(o, "precision")?.extract::<String>()?)?,
        kind: match kind.as_str() {
            "sphere" => ProbeKind::Sphere,
            "rademacher" => ProbeKind::Rademacher,
            _ => {
                return Err(PyValueError::new_err(format!(
                    "probes of kind {kind:?}; expected \"sphere\" or \"rademacher\""
                )));
            }
        },
        seed: need(o, "seed")?.extract()?,
        first_probe: 0,
    })
}
