//! `saddlescope compare`: several weights side by side.

use clap::Args;
use saddlescope::between::{CompareOptions, CompareResults, compare};
use saddlescope::sharpness::SharpnessOptions;

use crate::eigen_arguments::EigenArguments;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::run::{RunArguments, between, failure};
use crate::several::{Several, WeightsArguments};
use crate::terminal;

/// Arguments as given.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    weights: WeightsArguments,

    #[command(flatten)]
    run: RunArguments,

    #[command(flatten)]
    eigen: EigenArguments,

    /// Random probes of the trace.
    #[arg(long, default_value_t = 16)]
    probes: usize,

    /// Points along each side of a surface; 0 leaves the surfaces out.
    #[arg(long, default_value_t = 21)]
    grid: usize,

    /// All measures of sharpness of every point (`saddlescope sharpness`), on both splits.
    #[arg(long)]
    sharpness: bool,
}

/// Checks the arguments and compares.
pub fn run(a: Arguments) -> Result<(), Failure> {
    let options = CompareOptions {
        seed: a.run.seed,
        eigenpairs: a.eigen.checked(1)?,
        probes: between("--probes", a.probes, 2, 100_000)?,
        grid: if a.grid == 0 { 0 } else { between("--grid", a.grid, 3, 1001)? },
        sharpness: a.sharpness.then(SharpnessOptions::default),
    };
    let several = Several::load(&a.run, &a.weights.given)?;
    let losses = several.losses();
    let members = several.members(&losses);
    let memory = a.run.subject.memory.map(|mib| mib << 20);
    let results = compare(&members, &options, memory, &a.run.out, &mut Progress::new()).map_err(failure)?;
    print(&results)?;
    terminal::print(format!("\nReport: {}", a.run.out.join("compare/report.html").display()))?;
    terminal::print(format!("Numbers: {}", a.run.out.join("compare/results.json").display()))?;
    Ok(())
}

fn print(results: &CompareResults) -> Result<(), Failure> {
    terminal::print("")?;
    for sentence in &results.verdict {
        terminal::print(sentence)?;
    }
    terminal::print(
        "\n  point                split       loss       ± data   accuracy    ‖∇L‖        λ_max     ± data      λ_min      trace",
    )?;
    for p in &results.points {
        for s in &p.sides {
            let error = |e: Option<f64>| e.map_or("unknown".into(), |e| format!("{e:.1e}"));
            let lambda = |p: &Option<saddlescope::analysis::EigenpairResult>| {
                p.as_ref().map_or("-".into(), |p| format!("{:.5}", p.value))
            };
            terminal::print(format!(
                "  {:<20} {:<6} {:>11.6} {:>10} {:>9} {:>9} {:>12} {:>9} {:>10} {:>10}",
                p.name,
                s.split,
                s.loss.value,
                error(s.loss.std_error),
                s.accuracy.map_or("-".into(), |a| format!("{:.2} %", 100.0 * a.value)),
                s.gradient_norm.map_or("-".into(), |g| format!("{g:.1e}")),
                lambda(&s.lambda_max),
                error(s.lambda_max.as_ref().and_then(|p| p.std_error)),
                lambda(&s.lambda_min),
                s.trace.map_or("-".into(), |t| format!("{:.4}", t.value)),
            ))?;
        }
    }
    Ok(())
}
