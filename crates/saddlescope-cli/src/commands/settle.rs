//! `saddlescope settle`: the critical point nearby, its weights and its spectrum.

use clap::Args;
use saddlescope::analysis::{CriticalSpectrumOptions, Selection};
use saddlescope::{SettleEnd, SettleOptions};

use crate::choices::DtypeChoice;
use crate::failure::Failure;
use crate::run::{RunArguments, between, positive, print_verdict};
use crate::terminal;

/// Largest norm of the gradient that counts as none.
const LARGEST_TOLERANCE: f64 = 1e-3;

/// Arguments as given.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    run: RunArguments,

    /// ‖∇L‖ at which a point counts as critical.
    #[arg(long, default_value_t = 1e-10, allow_hyphen_values = true)]
    tol: f64,

    /// Maximum number of Hessian-vector products.
    #[arg(long, default_value_t = 20_000)]
    max_products: usize,

    /// Maximum number of products for one step, which is the dimension of its Krylov space (less if its vectors
    /// would take more than 2 GiB).
    #[arg(long, default_value_t = 400)]
    max_dimension: usize,

    /// Length of the first step at most; default: a twentieth of ‖θ‖.
    #[arg(long, value_name = "R", allow_hyphen_values = true)]
    radius: Option<f64>,

    /// Go downhill to a minimum instead, also along negative curvature; for points from which no critical point
    /// is reached otherwise.
    #[arg(long)]
    downhill: bool,

    /// Compute every eigenvalue at the critical point for networks of at most this many parameters, and only
    /// the extreme ones for larger networks.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    whole_up_to: usize,

    /// Number of largest eigenvalues of a larger network.
    #[arg(long, default_value_t = 3)]
    largest: usize,

    /// Number of smallest (most negative) eigenvalues of a larger network.
    #[arg(long, default_value_t = 10)]
    smallest: usize,
}

/// A norm of the gradient at which a point may be called critical.
fn tolerance(given: f64) -> Result<f64, Failure> {
    match positive("--tol", given)? {
        tolerance if tolerance <= LARGEST_TOLERANCE => Ok(tolerance),
        _ => Err(Failure::bad_input(format!(
            "--tol {given}: expected at most {LARGEST_TOLERANCE}; where the gradient is larger, no point is known to be critical"
        ))),
    }
}

/// Checks the arguments, settles, and prints what was found.
pub fn run(mut a: Arguments) -> Result<(), Failure> {
    match a.run.subject.dtype {
        None => a.run.subject.dtype = Some(DtypeChoice::F64),
        Some(DtypeChoice::F64) => {}
        Some(DtypeChoice::F32) => {
            return Err(Failure::bad_input(
                "--dtype f32: settling needs f64, since in f32 a gradient cannot be told from zero",
            ));
        }
    }
    let settle = SettleOptions {
        tolerance: tolerance(a.tol)?,
        max_products: between("--max-products", a.max_products, 1, 100_000_000)?,
        max_dimension: between("--max-dimension", a.max_dimension, 2, 100_000)?,
        radius: a.radius.map(|r| positive("--radius", r)).transpose()?,
        downhill: a.downhill,
    };
    let spectrum = CriticalSpectrumOptions {
        whole_up_to: between("--whole-up-to", a.whole_up_to, 0, 40_000)?,
        largest: between("--largest", a.largest, 1, 100)?,
        smallest: between("--smallest", a.smallest, 1, 100)?,
        ..CriticalSpectrumOptions::default()
    };
    let selection = Selection {
        settle: Some(settle),
        critical_spectrum: Some(spectrum),
        seed: a.run.seed,
        ..Selection::nothing("settle")
    };
    let subject = a.run.load_both_splits()?;
    let analysis = a.run.carry_out(&subject, &selection)?;
    print_verdict(&analysis.results)?;
    if let Some(settle) = &analysis.results.settle {
        let stuck =
            matches!(settle.end, SettleEnd::GradientFlat | SettleEnd::HessianVanishes | SettleEnd::Stalled);
        if !a.downhill && stuck {
            terminal::print("With --downhill the way may lead to a minimum instead, in the same folder.")?;
        }
        terminal::print(
            "\n  step  products     ‖∇L‖         loss           distance   model off by  refused",
        )?;
        for (i, s) in settle.steps.iter().enumerate() {
            terminal::print(format!(
                "  {i:>4} {:>9} {:>12.3e} {:>14.8e} {:>12.4e} {:>10.1e} {:>8}",
                s.products, s.gradient_norm, s.loss, s.distance, s.model_error, s.refused
            ))?;
        }
    }
    if let Some(theta) = &analysis.settled {
        let path = a.run.out.join("settled.safetensors");
        let tensors = subject
            .model
            .network
            .to_f64_tensors(theta)
            .map_err(|e| Failure::Failed(anyhow::Error::new(e)))?;
        tensors.write(&path).map_err(|e| Failure::Failed(anyhow::Error::new(e)))?;
        terminal::print(format!("\nWeights (f64): {}", path.display()))?;
    }
    a.run.print_places()
}
