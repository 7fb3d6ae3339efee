//! `saddlescope trajectory`: the way that a training went.

use std::path::{Path, PathBuf};

use clap::Args;
use saddlescope::analysis::EigenpairOptions;
use saddlescope::between::{TrajectoryOptions, trajectory};
use wildmatch::WildMatchPattern;

use crate::eigen_arguments::eigen_tolerance;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::run::{RunArguments, between, failure, positive};
use crate::several::Several;
use crate::terminal;

/// Arguments as given.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    run: RunArguments,

    /// Checkpoints: files, or a pattern with * in the file name; put in order by the numbers in their names.
    #[arg(long, value_name = "FILES", required = true, num_args = 1..)]
    checkpoints: Vec<String>,

    /// Learning rate η, for the line 2/η; default: what the checkpoints say.
    #[arg(long)]
    lr: Option<f64>,

    /// Momentum μ, for the line 2(1 + μ)/η; default: what the checkpoints say.
    #[arg(long)]
    momentum: Option<f64>,

    /// Residual allowed, relative to each |λ|; `auto`: 1e-3, or a tenth of the error of λ over the data where that is more.
    #[arg(long, default_value = "auto", allow_hyphen_values = true)]
    tol: String,

    /// Maximum number of Hessian-vector products for each eigenvalue solve.
    #[arg(long, default_value_t = 500)]
    max_products: usize,

    /// Random probes of the trace at every checkpoint.
    #[arg(long, default_value_t = 16)]
    probes: usize,

    /// Points along each side of a surface; 0 leaves the surfaces out.
    #[arg(long, default_value_t = 25)]
    grid: usize,
}

/// The files of a pattern: those in its folder whose names fit.
fn files(pattern: &str) -> Result<Vec<PathBuf>, Failure> {
    let path = Path::new(pattern);
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if !name.contains('*') {
        return Ok(vec![path.to_path_buf()]);
    }
    let folder = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    let unreadable =
        |e: std::io::Error| Failure::bad_input(format!("--checkpoints {pattern}: {}: {e}", folder.display()));
    let wanted = WildMatchPattern::<'*', '\0'>::new(&name);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if wanted.matches(&entry.file_name().to_string_lossy()) {
            found.push(entry.path());
        }
    }
    if found.is_empty() {
        return Err(Failure::bad_input(format!(
            "--checkpoints {pattern}: no file in {} fits",
            folder.display()
        )));
    }
    Ok(found)
}

/// A name cut into text and numbers, so that 9 comes before 10.
fn key(path: &Path) -> Vec<(String, u64)> {
    let name = path.to_string_lossy();
    let mut parts = vec![(String::new(), 0_u64)];
    let mut digits = String::new();
    for c in name.chars().chain(['\0']) {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        if !digits.is_empty() {
            if let Some(last) = parts.last_mut() {
                last.1 = digits.parse().unwrap_or(u64::MAX);
            }
            parts.push((String::new(), 0));
            digits.clear();
        }
        if let Some(last) = parts.last_mut() {
            last.0.push(c);
        }
    }
    parts
}

/// Checks the arguments and follows the training.
pub fn run(a: Arguments) -> Result<(), Failure> {
    let mut found = Vec::new();
    for pattern in &a.checkpoints {
        found.extend(files(pattern)?);
    }
    found.sort_by_cached_key(|p| key(p));
    found.dedup();
    let options = TrajectoryOptions {
        seed: a.run.seed,
        eigenpairs: EigenpairOptions {
            largest: 1,
            smallest: 1,
            max_products: between("--max-products", a.max_products, 1, 10_000_000)?,
            ..eigen_tolerance(&a.tol)?
        },
        probes: between("--probes", a.probes, 2, 100_000)?,
        grid: if a.grid == 0 { 0 } else { between("--grid", a.grid, 3, 1001)? },
        learning_rate: a.lr.map(|x| positive("--lr", x)).transpose()?,
        momentum: a.momentum,
    };
    if let Some(m) = options.momentum.filter(|m| !(0.0..1.0).contains(m)) {
        return Err(Failure::bad_input(format!("--momentum {m}: expected at least 0 and below 1")));
    }
    let given: Vec<String> = found.iter().map(|p| p.display().to_string()).collect();
    let several = Several::load(&a.run, &given)?;
    let losses = several.losses();
    let mut members = several.members(&losses);
    // The files know better than their names.
    if members.iter().all(|m| m.weights.position.epoch.is_some()) {
        members.sort_by(|x, y| {
            let epoch = |m: &saddlescope::between::Member<'_>| m.weights.position.epoch.unwrap_or(0.0);
            epoch(x).total_cmp(&epoch(y))
        });
    }
    let memory = a.run.subject.memory.map(|mib| mib << 20);
    let results =
        trajectory(&members, &options, memory, &a.run.out, &mut Progress::new()).map_err(failure)?;
    terminal::print("")?;
    for sentence in &results.verdict {
        terminal::print(sentence)?;
    }
    let dir = a.run.out.join("trajectory");
    terminal::print(format!("\nReport: {}", dir.join("report.html").display()))?;
    terminal::print(format!("Numbers: {}", dir.join("results.json").display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_are_numbers() {
        let mut names: Vec<PathBuf> =
            ["run/e-10.st", "run/e-9.st", "run/e-2.st"].iter().map(PathBuf::from).collect();
        names.sort_by_cached_key(|p| key(p));
        assert_eq!(names, ["run/e-2.st", "run/e-9.st", "run/e-10.st"].map(PathBuf::from));
    }
}
