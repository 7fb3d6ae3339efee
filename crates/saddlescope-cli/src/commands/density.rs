//! `saddlescope density`: the spectral density of the Hessian.

use clap::Args;
use saddlescope::analysis::{DensityStageOptions, Selection};

use crate::failure::Failure;
use crate::run::{RunArguments, between};
use crate::terminal;

/// Arguments as given.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    run: RunArguments,

    /// Random vectors to start from.
    #[arg(long, default_value_t = 4)]
    probes: usize,

    /// Lanczos steps for each probe: one product a step.
    #[arg(long, default_value_t = 48)]
    steps: usize,
}

/// Checks the arguments, estimates, and prints.
pub fn run(a: Arguments) -> Result<(), Failure> {
    let selection = Selection {
        density: Some(DensityStageOptions {
            probes: between("--probes", a.probes, 1, 10_000)?,
            steps: between("--steps", a.steps, 2, 10_000)?,
        }),
        seed: a.run.seed,
        ..Selection::nothing("density")
    };
    let subject = a.run.load(true)?;
    let analysis = a.run.carry_out(&subject, &selection)?;
    terminal::print("")?;
    if let Some(d) = &analysis.results.density {
        let low = d.nodes.iter().copied().fold(f64::INFINITY, f64::min);
        let high = d.nodes.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        terminal::print(format!(
            "  nodes of the quadrature from {low:.6e} to {high:.6e}; {} products",
            d.products
        ))?;
        terminal::print(format!("  negative eigenvalues (index): {}", d.index_text()))?;
        let threshold = format!("{:.1e}", d.threshold);
        terminal::print(format!("  eigenvalues below -{threshold}: {}", d.clearly_negative_text()))?;
        terminal::print(
            "  (between: what so many steps of Lanczos can tell, whatever the number of probes)",
        )?;
    }
    a.run.print_places()
}
