//! The state of an eigenvalue solve as a Python object.

use std::path::Path;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use saddlescope_krylov::{LanczosState, ProductError, SymmetricOperator, read_snapshot};

use crate::raised::value_error;

/// The Krylov space of an eigenvalue solve: what it takes to go on from there.
#[pyclass(frozen, module = "saddlescope", name = "State")]
pub struct State(pub LanczosState);

#[pymethods]
impl State {
    /// The state that `to_bytes` wrote.
    #[staticmethod]
    fn from_bytes(bytes: &[u8]) -> PyResult<Self> {
        LanczosState::from_bytes(bytes).map(Self).map_err(value_error)
    }

    /// The whole state as bytes, with checksums.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.0.to_bytes().map_err(value_error)?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// The dimension of the space.
    #[getter]
    fn dim(&self) -> usize {
        self.0.dim()
    }

    /// Products made so far.
    #[getter]
    fn products(&self) -> usize {
        self.0.products()
    }

    /// Basis vectors held.
    #[getter]
    fn basis_len(&self) -> usize {
        self.0.basis_len()
    }

    fn __repr__(&self) -> String {
        format!(
            "<State: {} products, {} basis vectors of dimension {}>",
            self.0.products(),
            self.0.basis_len(),
            self.0.dim()
        )
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<(Py<PyAny>, (Py<PyBytes>,))> {
        let rebuild = slf.get_type().getattr("from_bytes")?.unbind();
        Ok((rebuild, (slf.get().to_bytes(slf.py())?.unbind(),)))
    }
}

/// The state in a file, if the file exists.
pub fn read(path: &Path) -> PyResult<Option<LanczosState>> {
    match std::fs::File::open(path) {
        Ok(file) => read_snapshot(std::io::BufReader::new(file))
            .map(Some)
            .map_err(|error| value_error(format!("{}: {error}", path.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(PyOSError::new_err(format!("{}: {error}", path.display()))),
    }
}

/// Makes one product to see whether the state is one of this operator: for a basis vector q, A q is a combination of the basis
/// that the state knows.
///
/// # Errors
/// Where the two differ by more than 1e-4 of the largest number of the projected operator: products of one operator differ by
/// rounding alone.
pub fn check(state: &LanczosState, operator: &dyn SymmetricOperator) -> Result<(), ProductError> {
    let (m, h) = state.projected();
    // A state of another dimension is refused by the solver.
    if m == 0 || state.dim() != operator.dim() {
        return Ok(());
    }
    let last = m - 1;
    let Some(q) = state.basis_vector(last)? else { return Ok(()) };
    let mut rest = vec![0.0; q.len()];
    operator.apply(&q, &mut rest)?;
    let coefficients = h.chunks_exact(m).chain(state.coupling().chunks_exact(m)).map(|row| row[last]);
    for (i, c) in coefficients.enumerate().filter(|(_, c)| *c != 0.0) {
        let Some(q) = state.basis_vector(i)? else { continue };
        rest.iter_mut().zip(&q).for_each(|(r, q)| *r -= c * q);
    }
    let difference = rest.iter().map(|r| r * r).sum::<f64>().sqrt();
    let size = h.iter().fold(0.0_f64, |size, x| size.max(x.abs()));
    // Not finite products are for the solver to report.
    if difference > 1e-4 * size {
        return Err(ProductError::failed(format!(
            "the state is that of another operator: a product differs from the one that was made by {:.2} % of the largest; start without it",
            100.0 * difference / size
        )));
    }
    Ok(())
}
