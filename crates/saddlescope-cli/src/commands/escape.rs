//! `saddlescope escape`: weights moved along negative curvature, from a finished analysis.

use std::path::PathBuf;

use clap::Args;
use saddlescope::analysis::escaped_weights;
use saddlescope::weights_fingerprint;

use crate::failure::Failure;
use crate::run::failure;
use crate::subject::SubjectArguments;
use crate::terminal;

/// Arguments as given.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    subject: SubjectArguments,

    /// Folder of a finished analysis of the same weights.
    #[arg(long, value_name = "DIR")]
    analysis: PathBuf,

    /// Where the improved weights go (safetensors).
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

/// Writes the weights.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let model = arguments.subject.whole_model(None)?;
    let (theta, result) =
        escaped_weights(&arguments.analysis, &weights_fingerprint(&model), &model.theta).map_err(failure)?;
    let tensors = model.network.to_tensors(&theta).map_err(|e| Failure::Failed(anyhow::Error::new(e)))?;
    tensors.write(&arguments.to).map_err(|e| Failure::BadInput(anyhow::Error::new(e)))?;
    terminal::print(format!(
        "loss {:.6} → {:.6}, step {:+.4e} along the eigenvector of the smallest eigenvalue",
        result.loss[0], result.loss[1], result.step
    ))?;
    terminal::print(format!("Weights: {}", arguments.to.display()))?;
    Ok(())
}
