//! `saddlescope report`: the page again, from saved results; computes nothing.

use std::path::PathBuf;

use clap::Args;
use saddlescope::analysis::rebuild_report;
use saddlescope::between;

use crate::failure::Failure;
use crate::run::failure;
use crate::terminal;

/// Arguments as given.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folder of a finished analysis, or `compare/`, `path-A-B/` or `trajectory/` in the folder of these verbs.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Writes the page.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let page = match between::rebuild_report(&arguments.dir).map_err(failure)? {
        Some(page) => page,
        None => rebuild_report(&arguments.dir).map_err(failure)?,
    };
    terminal::print(format!("Report: {}", page.display()))?;
    Ok(())
}
