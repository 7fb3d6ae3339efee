//! Options of the verbs that solve for extreme eigenvalues.

use clap::Args;
use saddlescope::analysis::EigenpairOptions;

use crate::choices::Method;
use crate::failure::Failure;
use crate::run::{between, positive};

/// Which eigenvalues, how exactly, and how.
#[derive(Debug, Args)]
pub struct EigenArguments {
    /// Number of largest eigenvalues.
    #[arg(long, default_value_t = 3)]
    largest: usize,

    /// Number of smallest (most negative) eigenvalues.
    #[arg(long, default_value_t = 3)]
    smallest: usize,

    /// Residual allowed, relative to each |λ|; `auto`: 1e-3, or a tenth of the error of λ over the data where that is more.
    #[arg(long, default_value = "auto", allow_hyphen_values = true)]
    tol: String,

    /// Maximum number of Hessian-vector products for the eigenvalue solve.
    #[arg(long, default_value_t = 500)]
    max_products: usize,

    /// Eigenvalue method: lanczos (both ends from one Krylov space) or algorithm1 (the paper's: one pair at each end).
    #[arg(long, value_enum, default_value_t = Method::Lanczos)]
    method: Method,

    /// Maximum number of vectors in a Krylov basis; the last digits depend on it [default: up to 128, as many as
    /// a third of --memory holds, or without it 1.25 GiB, but at least 48].
    #[arg(long, value_name = "K")]
    basis_vectors: Option<usize>,
}

/// The options of the stage with what `--tol` says: `auto` or a positive number.
pub fn eigen_tolerance(text: &str) -> Result<EigenpairOptions, Failure> {
    if text == "auto" {
        return Ok(EigenpairOptions::default());
    }
    let Ok(tolerance) = text.parse() else {
        return Err(Failure::bad_input(format!("--tol {text}: expected a positive number or auto")));
    };
    Ok(EigenpairOptions::within(positive("--tol", tolerance)?))
}

impl EigenArguments {
    /// The options of the stage. `least`: the fewest eigenvalues allowed at each end.
    pub fn checked(&self, least: usize) -> Result<EigenpairOptions, Failure> {
        Ok(EigenpairOptions {
            largest: between("--largest", self.largest, least, 100)?,
            smallest: between("--smallest", self.smallest, least, 100)?,
            max_products: between("--max-products", self.max_products, 1, 10_000_000)?,
            method: self.method.into(),
            basis_vectors: (self.basis_vectors)
                .map(|vectors| between("--basis-vectors", vectors, 4, 100_000))
                .transpose()?,
            ..eigen_tolerance(&self.tol)?
        })
    }
}
