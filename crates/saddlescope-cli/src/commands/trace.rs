//! `saddlescope trace`: the trace of the Hessian, two ways on the same vectors.

use clap::Args;
use saddlescope::analysis::{FitOptions, Selection};

use crate::failure::Failure;
use crate::run::{RunArguments, between, pairs_of_probes, positive, print_estimate};
use crate::terminal;

/// Arguments as given.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    run: RunArguments,

    /// Random vectors: one product each.
    #[arg(long, default_value_t = 32)]
    probes: usize,

    /// Points of the one-dimensional curvature fit along each vector; 0 leaves the fits out.
    #[arg(long, default_value_t = 7)]
    fit_points: usize,

    /// Half-width of the fits; default: from the curvature.
    #[arg(long, value_name = "R")]
    fit_range: Option<f64>,
}

/// Checks the arguments, estimates, and prints.
pub fn run(a: Arguments) -> Result<(), Failure> {
    if a.fit_points != 0 {
        between("--fit-points", a.fit_points, 3, 10_001)?;
    }
    let radius = a.fit_range.map(|r| positive("--fit-range", r)).transpose()?;
    let selection = Selection {
        probes: Some(pairs_of_probes(a.probes, 1)?),
        fits: (a.fit_points > 0).then_some(FitOptions { points: a.fit_points, radius }),
        seed: a.run.seed,
        ..Selection::nothing("trace")
    };
    let subject = a.run.load(true)?;
    let analysis = a.run.carry_out(&subject, &selection)?;
    let results = &analysis.results;
    terminal::print("")?;
    if let Some(trace) = &results.trace {
        print_estimate("tr H, Hutchinson (2.22)", &trace.hutchinson)?;
        if let Some(fit) = &trace.curvature_fit {
            print_estimate("tr H, curvature fits (same vectors)", fit)?;
        }
        if let Some(difference) = &trace.curvature_fit_difference {
            print_estimate("fits less products (paired)", difference)?;
        }
        print_estimate("tr H² = ‖H‖²_F", &trace.trace_of_square)?;
        if let Some(warning) = &trace.curvature_fit_warning {
            terminal::print(format!("  warning: {warning}"))?;
        }
    }
    if let Some(mean) = &results.mean_curvature {
        print_estimate("mean curvature tr H / N (2.20)", mean)?;
    }
    if let Some(norm) = &results.frobenius_norm {
        print_estimate("‖H‖_F", norm)?;
    }
    terminal::print("\n  trace of the block of each tensor")?;
    for layer in &results.layers {
        print_estimate(&layer.name, &layer.trace)?;
    }
    a.run.print_places()
}
