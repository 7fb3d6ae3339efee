//! `saddlescope eigs`: extreme eigenvalues of the Hessian.

use clap::Args;
use saddlescope::analysis::Selection;
use saddlescope::krylov::Status;

use crate::eigen_arguments::EigenArguments;
use crate::failure::Failure;
use crate::growing::choose_samples;
use crate::run::{RunArguments, print_eigenpairs, print_verdict};
use crate::terminal;

/// Arguments as given.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    run: RunArguments,

    #[command(flatten)]
    eigen: EigenArguments,
}

/// Checks the arguments, solves, and prints the pairs.
pub fn run(mut a: Arguments) -> Result<(), Failure> {
    let mut pairs = a.eigen.checked(0)?;
    if pairs.largest + pairs.smallest == 0 {
        return Err(Failure::bad_input("--largest 0 --smallest 0: no eigenvalue is asked for"));
    }
    choose_samples(&mut a.run, &mut pairs)?;
    let selection = Selection { seed: a.run.seed, eigenpairs: Some(pairs), ..Selection::nothing("eigs") };
    let subject = a.run.load(true)?;
    let analysis = a.run.carry_out(&subject, &selection)?;
    let results = &analysis.results;
    print_verdict(results)?;
    print_eigenpairs(results)?;
    if let Some(eigen) = &results.eigen {
        let said_above = eigen.rounding_floor.is_some()
            && matches!(eigen.status, Status::Converged | Status::RoundingFloor);
        let ending = if said_above { "at the rounding floor" } else { &eigen.message };
        terminal::print(format!("\n  {} products; how the solve ended: {ending}", eigen.products))?;
        if let Some(condition) = &eigen.condition_b1 {
            terminal::print(format!("  condition (B.1): {condition}"))?;
        }
    }
    a.run.print_places()
}
