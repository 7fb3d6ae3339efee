//! `saddlescope analyze`: the main job.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use saddlescope::analysis::{AnalysisError, AnalysisOptions, EigenMethod, analyze};

use crate::failure::Failure;
use crate::progress::Progress;
use crate::subject::SubjectArguments;
use crate::terminal;

/// Arguments as given.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    subject: SubjectArguments,

    /// Folder for results; the same command continues what is there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Largest eigenvalues wanted.
    #[arg(long, default_value_t = 3)]
    largest: usize,

    /// Smallest (most negative) eigenvalues wanted.
    #[arg(long, default_value_t = 3)]
    smallest: usize,

    /// Residual allowed, relative to each |λ|.
    #[arg(long, default_value_t = 1e-3)]
    tol: f64,

    /// Most products of the eigenvalue solve.
    #[arg(long, default_value_t = 500)]
    max_products: usize,

    /// Eigenvalue method: lanczos (both ends at once) or algorithm1 (the paper's).
    #[arg(long, default_value = "lanczos", value_parser = ["lanczos", "algorithm1"])]
    method: String,

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

    /// Seed of every random number.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn options(a: &Arguments) -> Result<AnalysisOptions, Failure> {
    for (name, value) in [("--largest", a.largest), ("--smallest", a.smallest)] {
        if !(1..=100).contains(&value) {
            return Err(Failure::bad_input(format!("{name} {value}: expected 1 to 100")));
        }
    }
    if !(2..=100_000).contains(&a.probes) {
        return Err(Failure::bad_input(format!("--probes {}: expected at least 2", a.probes)));
    }
    if a.grid > 2001 {
        return Err(Failure::bad_input(format!("--grid {}: expected at most 2001", a.grid)));
    }
    let positive = |name: &str, x: f64| {
        if x.is_finite() && x > 0.0 {
            Ok(x)
        } else {
            Err(Failure::bad_input(format!("{name} {x}: expected a positive number")))
        }
    };
    let hessian_radius = match a.range.as_slice() {
        [] => None,
        [r] => Some([positive("--range", *r)?; 2]),
        [x, y] => Some([positive("--range", *x)?, positive("--range", *y)?]),
        more => {
            return Err(Failure::bad_input(format!("--range: {} numbers, expected one or two", more.len())));
        }
    };
    Ok(AnalysisOptions {
        largest: a.largest,
        smallest: a.smallest,
        tolerance: positive("--tol", a.tol)?,
        max_products: a.max_products,
        method: if a.method == "algorithm1" { EigenMethod::Algorithm1 } else { EigenMethod::Lanczos },
        probes: a.probes,
        density_probes: a.density_probes,
        density_steps: a.density_steps.max(2),
        split: !a.no_split,
        grid: a.grid,
        hessian_radius,
        random_radius: positive("--random-range", a.random_range)?,
        keep_biases: a.keep_biases,
        escape: !a.no_escape,
        seed: a.seed,
        ..AnalysisOptions::default()
    })
}

/// Checks the arguments and analyses.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let options = options(&arguments)?;
    let subject = arguments.subject.subject(true)?;
    for note in &subject.model.notes {
        terminal::note(format!("note: {note}"))?;
    }
    let memory = arguments.subject.memory.map(|mib| mib << 20);
    let analysis =
        analyze(&subject, &options, memory, &arguments.out, &mut Progress::new()).map_err(failure)?;
    let r = &analysis.results;
    terminal::print("")?;
    for sentence in &r.verdict {
        terminal::print(sentence)?;
    }
    terminal::print("\n  end        λ                residual     ± over data")?;
    for p in &r.eigenpairs {
        terminal::print(format!(
            "  {:<9} {:>14.6} {:>12.2e} {:>12.2e}{}",
            format!("{:?}", p.end).to_lowercase(),
            p.value,
            p.residual,
            p.std_error,
            if p.converged { "" } else { "  NOT CONVERGED" }
        ))?;
    }
    terminal::print(format!("\nReport: {}", arguments.out.join("report.html").display()))?;
    terminal::print(format!("Numbers: {}", arguments.out.join("results.json").display()))?;
    Ok(())
}

/// The exit code of an analysis that stopped.
pub fn failure(error: AnalysisError) -> Failure {
    match error {
        AnalysisError::Cancelled => Failure::Interrupted,
        AnalysisError::Folder(_) | AnalysisError::Memory { .. } | AnalysisError::Lanczos(_) => {
            Failure::BadInput(anyhow::Error::new(error))
        }
        other => Failure::Failed(anyhow::Error::new(other)).into_context(),
    }
}

impl Failure {
    fn into_context(self) -> Self {
        match self {
            Self::Failed(e) => Self::Failed(Err::<(), _>(e).context("the analysis stopped").unwrap_err()),
            other => other,
        }
    }
}
