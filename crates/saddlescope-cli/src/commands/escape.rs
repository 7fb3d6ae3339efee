//! `saddlescope escape`: weights moved along negative curvature, from a finished analysis.

use std::path::PathBuf;

use clap::Args;
use saddlescope::analysis::escaped_weights;

use crate::failure::Failure;
use crate::run::failure;
use crate::subject::SubjectArguments;
use crate::terminal;

/// Arguments as given.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    subject: SubjectArguments,

    /// Folder of a finished analysis of the same weights on the same samples.
    #[arg(long, value_name = "DIR")]
    analysis: PathBuf,

    /// File for the weights after the step (safetensors).
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

/// Writes the weights.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let subject = arguments.subject.subject(false)?;
    let identity = subject.subject().identity().map_err(|e| failure(e.into()))?;
    let theta = &subject.model.theta;
    let (theta, result) = escaped_weights(&arguments.analysis, &identity, theta).map_err(failure)?;
    let tensors =
        subject.model.network.to_tensors(&theta).map_err(|e| Failure::Failed(anyhow::Error::new(e)))?;
    tensors.write(&arguments.to).map_err(|e| Failure::BadInput(anyhow::Error::new(e)))?;
    terminal::print(format!(
        "loss {:.6} → {:.6}, step {:+.4e} along the eigenvector of the smallest eigenvalue",
        result.loss[0], result.loss[1], result.step
    ))?;
    terminal::print(format!("Weights: {}", arguments.to.display()))?;
    Ok(())
}
