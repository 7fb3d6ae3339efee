//! `saddlescope sharpness`: every measure of sharpness by its definition.

use clap::Args;
use saddlescope::analysis::{EigenpairOptions, Selection};
use saddlescope::sharpness::SharpnessOptions;

use crate::eigen_arguments::eigen_tolerance;
use crate::failure::Failure;
use crate::run::{RunArguments, between, positive, print_verdict};
use crate::terminal;

/// Arguments as given.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    run: RunArguments,

    /// ρ, the radius of the ball of SAM sharpness.
    #[arg(long, default_value_t = 0.05, allow_hyphen_values = true)]
    rho: f64,

    /// ε of ε-sharpness: the box |zᵢ| ≤ ε(|θᵢ| + 1).
    #[arg(long, default_value_t = 1e-3, allow_hyphen_values = true)]
    epsilon: f64,

    /// Random probes of each trace: one product each.
    #[arg(long, default_value_t = 16)]
    probes: usize,

    /// Residual allowed, relative to each |λ|; `auto`: 1e-3, or a tenth of the error of λ over the data where that is more.
    #[arg(long, default_value = "auto", allow_hyphen_values = true)]
    tol: String,

    /// Maximum number of gradients for each climb.
    #[arg(long, default_value_t = 50)]
    gradients: usize,

    /// Also measure copies of a ReLU network with the same function: the first layer multiplied by up to this factor, the
    /// second divided by it (Dinh et al. 2017).
    #[arg(long, value_name = "FACTOR", allow_hyphen_values = true)]
    rescale: Option<f64>,
}

/// Checks the arguments, measures, and prints.
pub fn run(a: Arguments) -> Result<(), Failure> {
    let rescaling = match a.rescale {
        Some(factor) if positive("--rescale", factor)? <= 1.0 => {
            return Err(Failure::bad_input(format!("--rescale {factor}: expected a number above 1")));
        }
        other => other,
    };
    let probes = between("--probes", a.probes, 2, 100_000)?;
    let pairs = eigen_tolerance(&a.tol)?;
    let tolerance = pairs.tolerance;
    let selection = Selection {
        eigenpairs: Some(EigenpairOptions { largest: 1, smallest: 1, ..pairs }),
        earlier_eigenpairs: true,
        probes: Some(probes),
        sharpness: Some(SharpnessOptions {
            rho: positive("--rho", a.rho)?,
            epsilon: positive("--epsilon", a.epsilon)?,
            gradients: between("--gradients", a.gradients, 1, 1_000_000)?,
            probes,
            tolerance,
            ..SharpnessOptions::default()
        }),
        rescaling,
        seed: a.run.seed,
        ..Selection::nothing("sharpness")
    };
    let subject = a.run.load_both_splits()?;
    let analysis = a.run.carry_out(&subject, &selection)?;
    print_verdict(&analysis.results)?;
    let Some(result) = &analysis.results.sharpness else { return a.run.print_places() };
    terminal::print(
        "\n  measure                             value        ± error    ± over data   definition",
    )?;
    for m in &result.measures {
        let known = |x: Option<f64>| x.map_or("-".into(), |x| format!("{x:.1e}"));
        // What a climb has reached is a bound from below.
        let (value, error) = match m.measure.kind.is_lower_bound() {
            true => (format!("≥ {:.6e}", m.measure.value), None),
            false => (format!("{:.6e}", m.measure.value), m.measure.error),
        };
        terminal::print(format!(
            "  {:<32} {:>15} {:>9} {:>11}   {}{}",
            m.name,
            value,
            known(error),
            known(m.measure.std_error),
            m.formula,
            if m.measure.converged { "" } else { "  NOT CONVERGED" }
        ))?;
    }
    for left in &result.left_out {
        terminal::print(format!("  {} is left out: {}", left.name, left.reason))?;
    }
    if !result.rescaled.is_empty() {
        terminal::print(
            "\n  the same function with other weights: the measure relative to the network as it is",
        )?;
        for (name, here, there) in result.rescaling_rows() {
            let cells: Vec<String> = there
                .into_iter()
                .map(|t| {
                    t.map_or("-".into(), |(m, moves)| format!("{:.4} {}", m.value / here.value, moves.word()))
                })
                .collect();
            terminal::print(format!("  {name:<32} {}", cells.join("; ")))?;
        }
        for copy in &result.rescaled {
            terminal::print(format!("  {}: loss {:.9}", copy.name, copy.loss))?;
        }
    }
    a.run.print_places()
}
