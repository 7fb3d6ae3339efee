//! Python exceptions on their way through Rust.

use std::fmt;
use std::sync::Mutex;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Keeps the exception of a Python function while Rust code unwinds, so that the caller gets that very object back, with
/// its traceback, whatever the error types in between look like.
#[derive(Debug, Default)]
pub struct Raised(Mutex<Option<PyErr>>);

/// Stands for the exception in the error types of Rust.
#[derive(Debug)]
pub struct PythonRaised;

impl fmt::Display for PythonRaised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the Python function raised an exception")
    }
}

impl std::error::Error for PythonRaised {}

impl Raised {
    /// Keeps the first exception; later ones are consequences of it.
    pub fn keep(&self, error: PyErr) -> PythonRaised {
        let mut slot = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        slot.get_or_insert(error);
        PythonRaised
    }

    /// Whether an exception was kept.
    pub fn any(&self) -> bool {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).is_some()
    }

    /// The exception that was kept, if there is one.
    pub fn take(&self) -> Option<PyErr> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }

    /// The result, or the exception that was kept, or the error of Rust as a `ValueError`.
    pub fn finish<T, E: fmt::Display>(&self, result: Result<T, E>) -> PyResult<T> {
        match self.take() {
            Some(error) => Err(error),
            None => result.map_err(value_error),
        }
    }
}

/// An error of Rust that is about what was asked for.
pub fn value_error(error: impl fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}
