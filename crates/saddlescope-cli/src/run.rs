//! What all verbs that compute share: a subject, a folder, a seed; and how their numbers are printed.

use std::path::PathBuf;

use clap::Args;
use saddlescope::analysis::{
    Analysis, AnalysisError, Estimate, Folder, FolderError, PlanesResult, Results, RoundingFloor, Saving,
    Selection, analyze,
};

use saddlescope::NetworkSubject;
use saddlescope::krylov::LanczosError;

use crate::failure::Failure;
use crate::progress::Progress;
use crate::ranks;
use crate::subject::SubjectArguments;
use crate::terminal::{self, significant};

/// Arguments of every verb that computes.
#[derive(Debug, Args)]
pub struct RunArguments {
    #[command(flatten)]
    pub subject: SubjectArguments,

    /// Folder for results; running the same command again continues from what is there.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    /// Start over: delete what earlier commands kept in the folder.
    #[arg(long)]
    pub force: bool,

    /// Seed of every random number.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

impl RunArguments {
    /// Loads model and data and says what a user should know of them. `other`: the other split too, as many samples as slices are made
    /// of.
    pub fn load(&self, other: bool) -> Result<NetworkSubject, Failure> {
        self.loaded(self.subject.subject(other))
    }

    /// The same with as many samples of the other split as of the one that is analysed.
    pub fn load_both_splits(&self) -> Result<NetworkSubject, Failure> {
        self.loaded(self.subject.subject_both_splits().map(|(subject, _)| subject))
    }

    fn loaded(&self, subject: Result<NetworkSubject, Failure>) -> Result<NetworkSubject, Failure> {
        let subject = ranks::meet(subject)?;
        for line in &subject.about {
            terminal::note(line)?;
        }
        for note in &subject.model.notes {
            terminal::note(format!("note: {note}"))?;
        }
        Ok(subject)
    }

    /// Computes what the selection asks for, shows progress, and says where the results are.
    pub fn carry_out(&self, subject: &NetworkSubject, selection: &Selection) -> Result<Analysis, Failure> {
        let memory = self.subject.memory.map(|mib| mib << 20);
        if self.force {
            Folder::start_over(&self.out).map_err(|e| failure(e.into()))?;
        }
        let mut selection = selection.clone();
        if selection.cuts.is_some() || selection.surfaces.is_some() || !selection.slices.requests.is_empty() {
            selection.slice_samples = self.subject.auto_samples();
        }
        ranks::together(subject, |subject| {
            analyze(subject, &selection, memory, &self.out, &mut Progress::new())
                .map_err(|error| failure_of(error, &selection.verb))
        })
    }

    /// Says where the results are.
    pub fn print_places(&self) -> Result<(), Failure> {
        terminal::print(format!("\nReport: {}", self.out.join("report.html").display()))?;
        terminal::print(format!("Numbers: {}", self.out.join("results.json").display()))?;
        Ok(())
    }
}

/// The exit code of a run that stopped, of a verb whose stages are fixed.
pub fn failure(error: AnalysisError) -> Failure {
    failure_of(error, "")
}

/// The option with which a verb needs less memory; `None` where it has none.
fn option(saving: Saving, verb: &str) -> Option<&'static str> {
    match (saving, verb) {
        (Saving::NoSplit, "analyze") => Some("--no-split"),
        (Saving::OneDensityProbe, "analyze" | "project") => Some("--density-probes 1"),
        (Saving::OneDensityProbe, "density") => Some("--probes 1"),
        (Saving::NoDensity, "analyze" | "project") => Some("--density-probes 0"),
        (Saving::OnePair, "analyze" | "eigs") => Some("--largest 1 --smallest 1"),
        (Saving::FreeBasis, "analyze" | "eigs") => Some("no --basis-vectors"),
        _ => None,
    }
}

/// What a refusal says of the options that lower the need of a verb.
fn with_options(savings: &[(Saving, usize)], together: Option<usize>, verb: &str) -> String {
    let mut options: Vec<String> = (savings.iter())
        .filter_map(|&(saving, mib)| Some(format!("with {}: {mib} MiB", option(saving, verb)?)))
        .collect();
    if options.is_empty() {
        return String::new();
    }
    if let Some(mib) = together.filter(|_| options.len() == savings.len()) {
        options.push(format!("with all of these: {mib} MiB"));
    }
    format!("; enough {}", options.join("; "))
}

/// The exit code of a run of a verb that stopped.
fn failure_of(error: AnalysisError, verb: &str) -> Failure {
    match error {
        AnalysisError::Folder(FolderError::Changed { .. }) => {
            Failure::bad_input(format!("{error} with --force"))
        }
        AnalysisError::Memory { needed_mib, allowed_mib, savings, together_mib } => {
            Failure::bad_input(format!(
                "the analysis needs --memory {needed_mib}, but {allowed_mib} MiB are allowed; fewer --threads, fewer --samples, and --dtype \
                 f32 in place of f64 need less{}",
                with_options(&savings, together_mib, verb)
            ))
        }
        AnalysisError::Lanczos(LanczosError::BasisTooSmall { given, needed, .. }) => {
            Failure::bad_input(format!(
                "--basis-vectors: a basis of {given} vectors is too small for these eigenvalues, which need {needed} or more; --largest and --smallest ask for fewer"
            ))
        }
        AnalysisError::Cancelled => Failure::Interrupted("the same command continues where it stopped"),
        AnalysisError::Folder(_)
        | AnalysisError::Between(_)
        | AnalysisError::Lanczos(_)
        | AnalysisError::Given { .. }
        | AnalysisError::Direction(_)
        | AnalysisError::Plane(_)
        | AnalysisError::Rescale(_) => Failure::BadInput(anyhow::Error::new(error)),
        other => Failure::Failed(anyhow::Error::new(other).context("the analysis stopped")),
    }
}

/// A positive, finite number.
pub fn positive(name: &str, x: f64) -> Result<f64, Failure> {
    if x.is_finite() && x > 0.0 {
        Ok(x)
    } else {
        Err(Failure::bad_input(format!("{name} {x}: expected a positive number")))
    }
}

/// A number of things within bounds.
pub fn between(name: &str, value: usize, low: usize, high: usize) -> Result<usize, Failure> {
    if (low..=high).contains(&value) {
        Ok(value)
    } else {
        Err(Failure::bad_input(format!("{name} {value}: expected {low} to {high}")))
    }
}

/// A number of random vectors, at least `least`. They are used in pairs, each of which spans a plane: an odd number becomes the next even
/// one, and the user is told.
pub fn pairs_of_probes(given: usize, least: usize) -> Result<usize, Failure> {
    let probes = between("--probes", given, least, 100_000)?;
    if !probes.is_multiple_of(2) {
        terminal::note(format!(
            "--probes {probes}: {} are used, since two together span a random plane",
            probes + 1
        ))?;
    }
    Ok(probes.next_multiple_of(2))
}

/// The verdict in sentences.
pub fn print_verdict(results: &Results) -> Result<(), Failure> {
    terminal::print("")?;
    for sentence in &results.verdict {
        terminal::print(sentence)?;
    }
    Ok(())
}

/// The extreme eigenvalues with residuals and standard errors.
pub fn print_eigenpairs(results: &Results) -> Result<(), Failure> {
    terminal::print("\n  end        λ                residual     ± over data")?;
    for p in &results.eigenpairs {
        terminal::print(format!(
            "  {:<9} {:>14} {:>12} {:>12}{}",
            format!("{:?}", p.end).to_lowercase(),
            significant(p.value, 7),
            significant(p.residual, 3),
            p.std_error.map_or("unknown".into(), |e| significant(e, 3)),
            match p.converged {
                true if p.at_rounding_floor() => "  AT THE ROUNDING FLOOR",
                true => "",
                false => "  NOT CONVERGED",
            }
        ))?;
    }
    if let Some(floor) = results.eigen.as_ref().and_then(|e| e.rounding_floor.as_ref()) {
        terminal::print(format!("\n  {} ({})", floor.sentence(), remedy(floor)))?;
    }
    Ok(())
}

/// The options that help where pairs stopped at the rounding floor.
fn remedy(floor: &RoundingFloor) -> String {
    let mut options = Vec::new();
    if floor.is_single() {
        options.push("--dtype f64".to_string());
    }
    // With one digit, rounded up, and a tenth more: another run may end a little higher.
    let enough = 1.1 * floor.relative;
    let unit = 10_f64.powf(enough.log10().floor());
    if unit.is_finite() && unit > 0.0 {
        options.push(format!("--tol {:.0e}", (enough / unit).ceil() * unit));
    }
    if options.is_empty() { "λ is 0 to rounding".into() } else { options.join(" or ") }
}

/// A quantity with its standard error.
pub fn print_estimate(name: &str, e: &Estimate) -> Result<(), Failure> {
    Ok(terminal::print(format!(
        "  {name:<44} {:>14} ± {}   (n = {})",
        significant(e.value, 7),
        e.known_error().map_or("unknown".into(), |error| significant(error, 2)),
        e.samples
    ))?)
}

/// What random planes show.
pub fn print_planes(name: &str, planes: &PlanesResult) -> Result<(), Failure> {
    let [low, high] = planes.saddle_interval;
    terminal::print(format!(
        "  {name}: {} look like a minimum, {} show a saddle, {} look like a maximum (of {}); chance of a saddle {:.2} to {:.2} % (95 %)",
        planes.minima,
        planes.saddles,
        planes.maxima,
        planes.curvatures.len(),
        100.0 * low,
        100.0 * high
    ))?;
    print_estimate("  mean κ₋", &planes.kappa_minus)?;
    print_estimate("  mean κ₊", &planes.kappa_plus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tolerance_that_is_named_is_reached() {
        let floor = |precision: &str, relative| RoundingFloor {
            precision: precision.into(),
            pairs: 1,
            of: 1,
            residual: relative,
            relative,
            tolerance: 1e-12,
        };
        assert_eq!(remedy(&floor("f32", 3.1e-7)), "--dtype f64 or --tol 4e-7");
        assert_eq!(remedy(&floor("f32", 9.5e-7)), "--dtype f64 or --tol 2e-6");
        assert_eq!(remedy(&floor("f64", 1e-14)), "--tol 2e-14");
        assert_eq!(remedy(&floor("f32", f64::INFINITY)), "--dtype f64");
        assert_eq!(remedy(&floor("f64", f64::INFINITY)), "λ is 0 to rounding");
    }

    #[test]
    fn a_refusal_names_the_options_of_the_verb() {
        let savings = [(Saving::NoSplit, 300), (Saving::OnePair, 310)];
        let text = with_options(&savings, Some(250), "analyze");
        assert_eq!(
            text,
            "; enough with --no-split: 300 MiB; with --largest 1 --smallest 1: 310 MiB; with all of these: 250 MiB"
        );
        // What the verb cannot change is not named, nor what it would bring.
        let text = with_options(&savings, Some(250), "eigs");
        assert_eq!(text, "; enough with --largest 1 --smallest 1: 310 MiB");
        assert_eq!(with_options(&savings, Some(250), "compare"), "");
    }
}
