//! `saddlescope status`: what a folder remembers.

use std::path::PathBuf;

use clap::Args;
use saddlescope::analysis::{Folder, State};

use crate::failure::Failure;
use crate::progress::duration;
use crate::run::failure;
use crate::terminal;

/// Arguments as given.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folder of an analysis.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// A value as it is written in the table: long ones (fingerprints, identities) are cut.
fn brief(value: &serde_json::Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_string);
    match text.char_indices().nth(24) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Prints the subject and every kept stage.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let identity = Folder::identity(&arguments.dir).map_err(|e| failure(e.into()))?;
    let records = Folder::records(&arguments.dir).map_err(|e| failure(e.into()))?;
    terminal::print(format!("{}: results of", arguments.dir.display()))?;
    for (name, value) in &identity {
        terminal::print(format!("  {name:<16} {}", brief(value)))?;
    }
    if records.is_empty() {
        terminal::print("No stage is finished yet.")?;
        return Ok(());
    }
    terminal::print("\n  stage                       state     products  evaluations       time  from")?;
    for (_, record) in &records {
        let state = match record.state {
            State::Complete => "complete",
            State::Partial => "begun",
        };
        let of: Vec<String> = record
            .of
            .iter()
            .filter(|(_, v)| !v.is_null())
            .map(|(k, v)| format!("{k} {}", brief(v)))
            .collect();
        terminal::print(format!(
            "  {:<27} {state:<9} {:>8} {:>12} {:>10}  {}",
            record.stage,
            record.spent.products,
            record.spent.evaluations,
            duration(record.spent.seconds),
            of.join(", ")
        ))?;
    }
    Ok(())
}
