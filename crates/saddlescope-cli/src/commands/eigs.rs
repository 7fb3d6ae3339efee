//! `saddlescope eigs`: extreme eigenvalues of the Hessian.

use clap::Args;
use saddlescope::analysis::AnalysisOptions;

use super::analyze::method;
use crate::failure::Failure;
use crate::run::{RunArguments, between, positive, print_eigenpairs, print_verdict};
use crate::terminal;

/// Arguments as given.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    run: RunArguments,

    /// Largest eigenvalues wanted.
    #[arg(long, default_value_t = 3)]
    largest: usize,

    /// Smallest (most negative) eigenvalues wanted.
    #[arg(long, default_value_t = 3)]
    smallest: usize,

    /// Residual allowed, relative to each |λ|.
    #[arg(long, default_value_t = 1e-3)]
    tol: f64,

    /// Most products.
    #[arg(long, default_value_t = 500)]
    max_products: usize,

    /// lanczos (both ends from one Krylov space) or algorithm1 (the paper's: one pair at each end).
    #[arg(long, default_value = "lanczos", value_parser = ["lanczos", "algorithm1"])]
    method: String,
}

/// Checks the arguments, solves, and prints the pairs.
pub fn run(a: Arguments) -> Result<(), Failure> {
    let options = AnalysisOptions {
        largest: between("--largest", a.largest, 0, 100)?,
        smallest: between("--smallest", a.smallest, 0, 100)?,
        tolerance: positive("--tol", a.tol)?,
        max_products: a.max_products,
        method: method(&a.method),
        seed: a.run.seed,
        ..AnalysisOptions::nothing("eigs")
    };
    if options.largest + options.smallest == 0 {
        return Err(Failure::bad_input("--largest 0 --smallest 0: no eigenvalue is asked for"));
    }
    let subject = a.run.load(false)?;
    let analysis = a.run.carry_out(&subject, &options)?;
    let results = &analysis.results;
    print_verdict(results)?;
    print_eigenpairs(results)?;
    if let Some(eigen) = &results.eigen {
        terminal::print(format!("\n  {} products; the solve {}", eigen.products, eigen.message))?;
        if let Some(condition) = &eigen.condition_b1 {
            terminal::print(format!("  condition (B.1): {condition}"))?;
        }
    }
    a.run.print_places()
}
