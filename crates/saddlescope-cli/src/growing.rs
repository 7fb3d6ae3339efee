//! `--samples auto`: more and more samples, until λ_min is known well enough over the data. Every solve starts from the eigenvectors of
//! the smaller set.

use saddlescope::analysis::{EigenpairOptions, Folder, Selection, StartVectors, compute, short, smallest};

use crate::failure::Failure;
use crate::progress::Progress;
use crate::run::{RunArguments, failure};
use crate::terminal;

/// Samples of the first round.
const FIRST: usize = 64;

/// Chooses the number of samples where that is asked for: afterwards the arguments say how many, and the solve starts from the
/// eigenvectors found on them. Each round keeps its results in `OUT/samples/N`.
///
/// # Errors
/// No smallest eigenvalue asked for; whatever a solve reports.
pub fn choose_samples(run: &mut RunArguments, options: &mut EigenpairOptions) -> Result<(), Failure> {
    let Some(share) = run.subject.auto_share()? else { return Ok(()) };
    crate::ranks::refuse_option(
        "--samples auto",
        "find the number of samples without mpirun, then give it to the ranks as --samples 0..N",
    )?;
    if options.smallest == 0 {
        return Err(Failure::bad_input(
            "--samples auto: --smallest 0, but it is λ_min that says how many are enough",
        ));
    }
    let memory = run.subject.memory.map(|mib| mib << 20);
    let mut wanted = FIRST;
    loop {
        let (subject, samples) = run.subject.first_samples(wanted)?;
        let few = samples < wanted;
        let bound = subject.subject(false)?;
        let dir = run.out.join("samples").join(samples.to_string());
        if run.force {
            Folder::start_over(&dir).map_err(|e| failure(e.into()))?;
        }
        let selection =
            Selection { seed: run.seed, eigenpairs: Some(options.clone()), ..Selection::nothing("eigs") };
        let found =
            compute(&bound.subject(), &selection, memory, &dir, &mut Progress::new()).map_err(failure)?;
        let pair = smallest(&found.results.eigenpairs);
        let known = pair.and_then(|p| Some((p.value, p.std_error?)));
        let products = found.results.matvecs;
        let enough = known.is_some_and(|(value, error)| error <= share * value.abs());
        let text = match known {
            Some((value, error)) => format!("λ_min = {value:.4} ± {} over the data", short(error)),
            None => "the error of λ_min over the data is not known".into(),
        };
        terminal::note(format!("--samples auto: {samples} samples, {products} products: {text}"))?;
        if enough || few {
            if !enough {
                terminal::note(format!(
                    "--samples auto: these are all samples, and λ_min is not known to {} % of it",
                    short(100.0 * share)
                ))?;
            }
            options.start = Some(StartVectors::new(found.eigenvectors));
            run.subject = subject;
            return Ok(());
        }
        options.start = Some(StartVectors::new(found.eigenvectors));
        wanted = 2 * samples;
    }
}
