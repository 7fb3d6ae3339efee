//! `saddlescope status`: what a folder remembers.

use std::path::PathBuf;

use clap::Args;
use saddlescope::analysis::{Folder, State, read_results};

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

/// A value in words: names of an object with their values, fingerprints cut.
fn brief(value: &serde_json::Value) -> String {
    use serde_json::Value;
    let text = match value {
        Value::Null => return "none".into(),
        Value::String(text) => text.clone(),
        Value::Object(entries) => {
            // The samples of a split: what tells them apart is their number, name and fingerprint.
            let wanted = ["split", "samples", "data.sha256"];
            let shown: Vec<String> = match wanted.iter().all(|k| entries.contains_key(*k)) {
                true => wanted.iter().map(|k| brief(&entries[*k])).collect(),
                false => entries.iter().map(|(k, v)| format!("{k} {}", brief(v))).collect(),
            };
            return format!("({})", shown.join(" "));
        }
        Value::Array(items) => return format!("[{}]", items.iter().map(brief).collect::<Vec<_>>().join(" ")),
        other => other.to_string(),
    };
    let hexadecimal = text.len() >= 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    match text.char_indices().nth(if hexadecimal { 8 } else { 40 }) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Prints the subject and every kept stage.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let identity = Folder::identity(&arguments.dir).map_err(|e| failure(e.into()))?;
    let records = Folder::records(&arguments.dir).map_err(|e| failure(e.into()))?;
    // A folder in which no command has finished has no results yet.
    let shown = read_results(&arguments.dir).map(|r| r.stages).unwrap_or_default();
    terminal::print(format!("{}: results of", arguments.dir.display()))?;
    for (name, value) in &identity {
        terminal::print(format!("  {name:<16} {}", brief(value)))?;
    }
    if records.is_empty() {
        terminal::print("No stage is finished yet.")?;
        return Ok(());
    }
    terminal::print("\n  stage                        state     products  evaluations       time  from")?;
    for (file, record) in &records {
        let state = match record.state {
            State::Complete => "complete",
            State::Partial => "begun",
        };
        let of: Vec<String> = record
            .of
            .iter()
            .filter(|(name, v)| !v.is_null() && *name != "subject")
            .map(|(k, v)| format!("{k} {}", brief(v)))
            .collect();
        let in_report = shown.get(&record.stage).is_some_and(|key| file.ends_with(key.as_str()));
        terminal::print(format!(
            "{} {:<28} {state:<9} {:>8} {:>12} {:>10}  {}",
            if in_report { "*" } else { " " },
            record.stage,
            record.spent.products,
            record.spent.evaluations,
            duration(record.spent.seconds),
            of.join(", ")
        ))?;
    }
    terminal::print("* in the report")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::brief;
    use serde_json::json;

    #[test]
    fn values_are_words_not_json() {
        assert_eq!(brief(&json!(null)), "none");
        assert_eq!(brief(&json!(0.001)), "0.001");
        assert_eq!(brief(&json!("0123456789abcdef0123")), "01234567…");
        let split =
            json!({"split": "test", "samples": 256, "data.sha256": "00112233445566778899", "loss": "mse"});
        assert_eq!(brief(&split), "(test 256 00112233…)");
        assert_eq!(brief(&json!({"lo": -1, "points": [3, 4]})), "(lo -1 points [3 4])");
    }
}
