//! `saddlescope project`: what random planes through the point would say.

use clap::Args;
use saddlescope::analysis::{
    DensityStageOptions, EigenpairOptions, RandomDirectionOptions, Selection, or_unknown,
};

use crate::eigen_arguments::eigen_tolerance;
use crate::failure::Failure;
use crate::run::{RunArguments, between, print_eigenpairs, print_planes, print_verdict};
use crate::terminal;

/// Arguments as given.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    run: RunArguments,

    /// Random planes with Gaussian directions: two products each.
    #[arg(long, default_value_t = 32)]
    planes: usize,

    /// Random planes with filter-normalised directions: two products each; 0 leaves them out.
    #[arg(long, default_value_t = 8)]
    filtered_planes: usize,

    /// Random directions keep their components at biases and normalisation parameters.
    #[arg(long)]
    keep_biases: bool,

    /// Probes of the spectral density, from which the chance of a saddle is sampled; 0 leaves it out.
    #[arg(long, default_value_t = 2)]
    density_probes: usize,

    /// Lanczos steps for each probe.
    #[arg(long, default_value_t = 32)]
    density_steps: usize,

    /// Leave out the extreme eigenvalues: what the planes are compared with.
    #[arg(long)]
    no_truth: bool,

    /// Residual allowed, relative to each |λ|; `auto`: 1e-3, or a tenth of the error of λ over the data where that is more.
    #[arg(long, default_value = "auto", allow_hyphen_values = true)]
    tol: String,
}

/// Checks the arguments, projects, and prints.
pub fn run(a: Arguments) -> Result<(), Failure> {
    if a.filtered_planes != 0 {
        between("--filtered-planes", a.filtered_planes, 2, 50_000)?;
    }
    let tolerance = eigen_tolerance(&a.tol)?;
    let steps = between("--density-steps", a.density_steps, 2, 10_000)?;
    between("--density-probes", a.density_probes, 0, 10_000)?;
    let selection = Selection {
        eigenpairs: (!a.no_truth).then_some(EigenpairOptions { largest: 1, smallest: 1, ..tolerance }),
        earlier_eigenpairs: true,
        probes: Some(2 * between("--planes", a.planes, 2, 50_000)?),
        filtered_planes: (a.filtered_planes > 0).then_some(a.filtered_planes),
        random: RandomDirectionOptions { keep_biases: a.keep_biases, ..RandomDirectionOptions::default() },
        density: (a.density_probes > 0).then_some(DensityStageOptions { probes: a.density_probes, steps }),
        seed: a.run.seed,
        ..Selection::nothing("project")
    };
    let subject = a.run.load(true)?;
    let analysis = a.run.carry_out(&subject, &selection)?;
    let r = &analysis.results;
    print_verdict(r)?;
    if !r.eigenpairs.is_empty() {
        print_eigenpairs(r)?;
    }
    terminal::print("")?;
    if let Some(planes) = &r.random_planes {
        print_planes("Gaussian planes", planes)?;
    }
    if let Some(planes) = &r.filtered_planes {
        print_planes("filter-normalised planes", planes)?;
    }
    if let Some(p) = &r.saddle_probability {
        terminal::print(format!(
            "  chance that a Gaussian plane shows a saddle, from the spectrum: {:.4} ± {} % ({} planes sampled)",
            100.0 * p.value,
            or_unknown(p.known_error().map(|e| 100.0 * e)),
            p.samples
        ))?;
    }
    if let Some(p) = r.saddle_probability_closed_form {
        terminal::print(format!(
            "  the same by exp(−(tr H)²/(4 tr H²))/√2, which assumes that no eigenvalue dominates: {:.4} %",
            100.0 * p
        ))?;
    }
    a.run.print_places()
}
