//! The compiled half of the Python package `saddlescope`.
//!
//! It turns Python objects into operators and risks and hands them to the Rust crates; it knows no mathematics. What users
//! call is in `python/saddlescope`, which checks arguments and wraps results; nothing here is documented for users.

mod analysis;
mod between;
mod linalg;
mod network_risk;
mod observer;
mod operator;
mod options;
mod python_risk;
mod raised;
mod spectral_density;
mod state;

use pyo3::prelude::*;

/// The command `saddlescope` with these arguments, its name first; returns the exit code.
#[pyfunction]
fn command(py: Python<'_>, arguments: Vec<std::ffi::OsString>) -> u8 {
    py.detach(|| saddlescope_cli::run(arguments))
}

/// The compiled half of `saddlescope`.
#[pymodule(name = "_native")]
fn native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    saddlescope::nn::Isa::requested().map_err(pyo3::exceptions::PyValueError::new_err)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(command, module)?)?;
    module.add_class::<state::State>()?;
    module.add_class::<spectral_density::SpectralDensity>()?;
    module.add_function(wrap_pyfunction!(linalg::eigsh, module)?)?;
    module.add_function(wrap_pyfunction!(linalg::algorithm1, module)?)?;
    module.add_function(wrap_pyfunction!(linalg::trace, module)?)?;
    module.add_function(wrap_pyfunction!(linalg::density, module)?)?;
    module.add_function(wrap_pyfunction!(linalg::check_operator, module)?)?;
    module.add_class::<network_risk::NetworkRisk>()?;
    module.add_function(wrap_pyfunction!(analysis::selections, module)?)?;
    module.add_function(wrap_pyfunction!(analysis::analyze, module)?)?;
    module.add_function(wrap_pyfunction!(between::between, module)?)?;
    module.add_function(wrap_pyfunction!(between::clean_name, module)?)?;
    module.add_function(wrap_pyfunction!(analysis::cut, module)?)?;
    module.add_function(wrap_pyfunction!(analysis::surface, module)?)?;
    module.add_function(wrap_pyfunction!(analysis::random_direction, module)?)?;
    Ok(())
}
