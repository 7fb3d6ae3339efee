//! `saddlescope path`: from one point to another.

use clap::Args;
use saddlescope::analysis::EigenpairOptions;
use saddlescope::between::{CurveOptions, PathOptions, path};

use crate::eigen_arguments::eigen_tolerance;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::run::{RunArguments, between, failure, positive};
use crate::several::{Several, WeightsArguments};
use crate::terminal;

/// Arguments as given.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    weights: WeightsArguments,

    #[command(flatten)]
    run: RunArguments,

    /// Points on the line and on the curve, both ends included.
    #[arg(long, default_value_t = 25)]
    points: usize,

    /// Leave out the eigenvalues at both ends and at the highest point of the line.
    #[arg(long)]
    no_eigenvalues: bool,

    /// Residual allowed, relative to each |λ|; `auto`: 1e-3, or a tenth of the error of λ over the data where that is more.
    #[arg(long, default_value = "auto", allow_hyphen_values = true)]
    tol: String,

    /// Maximum number of Hessian-vector products for each eigenvalue solve.
    #[arg(long, default_value_t = 500)]
    max_products: usize,

    /// Random probes of the trace at the same points.
    #[arg(long, default_value_t = 16)]
    probes: usize,

    /// Leave out the line on which batch-norm statistics are computed anew at every point.
    #[arg(long)]
    no_new_statistics: bool,

    /// Leave out the line to weights whose hidden units are put in the order of the first ones'.
    #[arg(long)]
    no_align: bool,

    /// Leave out the low-loss curve.
    #[arg(long)]
    no_curve: bool,

    /// Steps of the curve's training.
    #[arg(long, default_value_t = 200)]
    curve_steps: usize,

    /// Length of its first steps, as a share of the distance between the ends.
    #[arg(long, default_value_t = 0.02)]
    curve_rate: f64,
}

/// Checks the arguments and goes from one point to the other.
pub fn run(a: Arguments) -> Result<(), Failure> {
    if a.weights.given.len() != 2 {
        return Err(Failure::bad_input(format!(
            "{} weights are given; expected two, the ends of the path",
            a.weights.given.len()
        )));
    }
    let curve = CurveOptions {
        steps: between("--curve-steps", a.curve_steps, 1, 1_000_000)?,
        rate: positive("--curve-rate", a.curve_rate)?,
    };
    let eigenpairs = EigenpairOptions {
        largest: 1,
        smallest: 1,
        max_products: between("--max-products", a.max_products, 1, 10_000_000)?,
        ..eigen_tolerance(&a.tol)?
    };
    let options = PathOptions {
        seed: a.run.seed,
        points: between("--points", a.points, 3, 100_000)?,
        eigenpairs: (!a.no_eigenvalues).then_some(eigenpairs),
        probes: between("--probes", a.probes, 2, 100_000)?,
        statistics_anew: !a.no_new_statistics,
        align: !a.no_align,
        curve: (!a.no_curve).then_some(curve),
    };
    let several = Several::load(&a.run, &a.weights.given)?;
    let losses = several.losses();
    let members: [_; 2] = several
        .members(&losses)
        .try_into()
        .map_err(|_| Failure::bad_input("expected two weights, the ends of the path"))?;
    let memory = a.run.subject.memory.map(|mib| mib << 20);
    let results = path(&members, &options, memory, &a.run.out, &mut Progress::new()).map_err(failure)?;
    terminal::print("")?;
    for sentence in &results.verdict {
        terminal::print(sentence)?;
    }
    let dir = a.run.out.join(format!("path-{}-{}", members[0].weights.name, members[1].weights.name));
    terminal::print(format!("\nReport: {}", dir.join("report.html").display()))?;
    terminal::print(format!("Numbers: {}", dir.join("results.json").display()))?;
    Ok(())
}
