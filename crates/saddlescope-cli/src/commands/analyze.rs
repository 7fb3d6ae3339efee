//! `saddlescope analyze`: the main job.

use clap::Args;
use saddlescope::analysis::AnalysisOptions;

use crate::eigen_arguments::EigenArguments;
use crate::failure::Failure;
use crate::run::{RunArguments, between, positive, print_eigenpairs, print_verdict};

/// Arguments as given.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    run: RunArguments,

    #[command(flatten)]
    eigen: EigenArguments,

    /// Random probes for trace, norm, layers and random planes.
    #[arg(long, default_value_t = 16)]
    probes: usize,

    /// Probes of the spectral density; 0 leaves it out.
    #[arg(long, default_value_t = 2)]
    density_probes: usize,

    /// Lanczos steps of each.
    #[arg(long, default_value_t = 32)]
    density_steps: usize,

    /// Leave out the eigenvalues of G and H − G.
    #[arg(long)]
    no_split: bool,

    /// Points along each side of a surface; 0 leaves the surfaces out.
    #[arg(long, default_value_t = 25)]
    grid: usize,

    /// Half-widths A,B of the Hessian plane; default: from the curvature.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    range: Vec<f64>,

    /// Half-width of the random plane, in filter norms.
    #[arg(long, value_name = "R", default_value_t = 1.0)]
    random_range: f64,

    /// Random directions keep their components at biases and normalisation parameters.
    #[arg(long)]
    keep_biases: bool,

    /// Leave out the search along negative curvature.
    #[arg(long)]
    no_escape: bool,
}

fn options(a: &Arguments) -> Result<AnalysisOptions, Failure> {
    let hessian_radius = match a.range.as_slice() {
        [] => None,
        [r] => Some([positive("--range", *r)?; 2]),
        [x, y] => Some([positive("--range", *x)?, positive("--range", *y)?]),
        more => {
            return Err(Failure::bad_input(format!("--range: {} numbers, expected one or two", more.len())));
        }
    };
    let others = AnalysisOptions {
        probes: between("--probes", a.probes, 2, 100_000)?,
        density_probes: a.density_probes,
        density_steps: between("--density-steps", a.density_steps, 2, 10_000)?,
        split: !a.no_split,
        grid: between("--grid", a.grid, 0, 2001)?,
        hessian_radius,
        random_radius: positive("--random-range", a.random_range)?,
        keep_biases: a.keep_biases,
        escape: !a.no_escape,
        seed: a.run.seed,
        ..AnalysisOptions::default()
    };
    a.eigen.put_in(others, 1)
}

/// Checks the arguments and analyses.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let options = options(&arguments)?;
    let subject = arguments.run.load(true)?;
    let analysis = arguments.run.carry_out(&subject, &options)?;
    print_verdict(&analysis.results)?;
    print_eigenpairs(&analysis.results)?;
    arguments.run.print_places()
}
