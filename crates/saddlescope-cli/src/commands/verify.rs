//! `saddlescope verify`: the program's own oracles on this machine.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use saddlescope::verify::{Verification, verify};

use crate::failure::Failure;
use crate::terminal;

/// Arguments as given.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Also write every number as JSON, for a bug report.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Makes every comparison, prints a table, and fails if one fails.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    // A file that cannot be written is said at once, not after a minute.
    let file = match &arguments.json {
        Some(path) => Some(
            std::fs::File::create(path)
                .with_context(|| format!("--json {}", path.display()))
                .map_err(Failure::BadInput)?,
        ),
        None => None,
    };
    terminal::print(
        "        what                   of                                                 error   allowed",
    )?;
    let mut printed = Ok(());
    let found = verify(&mut |check| {
        if printed.is_ok() {
            printed = terminal::print(check.line());
        }
    });
    printed?;
    if let Some(mut file) = file {
        let mut json = serde_json::to_vec_pretty(&found).context("the numbers as JSON")?;
        json.push(b'\n');
        file.write_all(&json).context("--json")?;
    }
    terminal::print(format!(
        "\n{} checks in {:.1} s on {} ({}; {} threads)",
        found.checks.len(),
        found.seconds,
        found.system,
        found.instruction_sets.join(", "),
        found.threads
    ))?;
    outcome(&found)
}

/// Exit code 1 and the failed checks by name, if there are any.
fn outcome(found: &Verification) -> Result<(), Failure> {
    let failures = found.failures();
    if failures.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = failures.iter().map(|c| format!("{}: {}", c.group, c.name)).collect();
    Err(Failure::Failed(anyhow::anyhow!(
        "{} of {} checks failed ({}); please report it with the file that --json writes",
        failures.len(),
        found.checks.len(),
        names.join("; ")
    )))
}
