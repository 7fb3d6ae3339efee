//! Several ranks that carry out one command (`mpirun -n 8 saddlescope …`): rank 0 runs the analysis and prints, the others
//! compute their share.
//!
//! All ranks run the same command. They meet once a model and its data are loaded ([`meet`]): there a rank that has failed, or has something else
//! than the others, ends the command on all of them. From then on the other ranks do what rank 0 asks for.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use saddlescope::analysis::Subject;
use saddlescope::{ChunkedRisk, NetworkSubject, Risk};
use saddlescope_mpi::{
    ARGUMENTS, Communicator, Disagreement, Outcome, Root, agree, binary_fingerprint, serve,
};

use crate::failure::Failure;

static RANKS: OnceLock<&'static dyn Communicator> = OnceLock::new();
/// Whether the other ranks are waiting for commands.
static SERVED: AtomicBool = AtomicBool::new(false);
/// Whether the ranks have met, so that none waits for another's outcome.
static MET: AtomicBool = AtomicBool::new(false);

/// Variables that launchers set, with the number of ranks.
const SIZES: [&str; 4] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS", "PALS_SIZE"];
/// Variables that launchers set without it.
#[cfg(feature = "mpi")]
const OTHERS: [&str; 3] = ["PMIX_RANK", "PMI_RANK", "PMI_FD"];

/// MPI for the time that the command runs, where it was started by `mpirun` or the like.
pub struct Session {
    #[cfg(feature = "mpi")]
    _mpi: Option<saddlescope_mpi::MpiSession>,
}

/// The ranks of this command, if there are several.
fn ranks() -> Option<&'static dyn Communicator> {
    RANKS.get().copied().filter(|ranks| ranks.size() > 1)
}

/// How many processes the launcher has started, where it says that there are several, and the variable that says so.
fn started() -> Option<(&'static str, usize)> {
    SIZES.iter().find_map(|name| {
        let ranks = std::env::var(name).ok()?.parse().ok().filter(|ranks| *ranks > 1)?;
        Some((*name, ranks))
    })
}

impl Session {
    /// Begins. A command that was not started by `mpirun` or the like does not touch MPI.
    #[cfg(feature = "mpi")]
    pub fn start() -> Result<Self, Failure> {
        let launched = SIZES.iter().chain(&OTHERS).any(|name| std::env::var_os(name).is_some());
        if !launched {
            return Ok(Self { _mpi: None });
        }
        let session = saddlescope_mpi::MpiSession::start()
            .map_err(|e| Failure::Failed(anyhow::Error::new(e).context("MPI")))?;
        let rank = session.rank();
        // Each of them would do the whole work, into the same folder.
        if let Some((name, started)) = started().filter(|(_, started)| *started > rank.size()) {
            return Err(Failure::bad_input(format!(
                "the launcher has started {started} processes ({name} is set), but MPI finds {} here: this program was built for another MPI library ({}) than the launcher's; build it with MPICC set to the compiler wrapper that belongs to the launcher, see docs/cluster.md",
                rank.size(),
                saddlescope_mpi::MpiSession::library()
            )));
        }
        RANKS.get_or_init(|| rank);
        if rank.size() > 1 && rank.rank() > 0 {
            crate::terminal::silence();
        }
        // A rank that panics would leave the others waiting.
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            report(panic);
            crate::terminal::error_of_rank(format!("rank {} on {} has panicked", rank.rank(), rank.host()));
            rank.abort(1);
        }));
        Ok(Self { _mpi: Some(session) })
    }

    /// Begins. This program was built without MPI: several processes would each do the whole work.
    #[cfg(not(feature = "mpi"))]
    pub fn start() -> Result<Self, Failure> {
        match started() {
            None => Ok(Self {}),
            Some((name, _)) => Err(Failure::bad_input(format!(
                "started as one of several processes ({name} is set), but this program was built without MPI; build it with --features mpi, see docs/cluster.md"
            ))),
        }
    }

    /// Ends the command on all ranks. What it came to: on rank 0 also what stopped another rank.
    pub fn end(&self, outcome: Result<(), Failure>) -> Result<(), Failure> {
        let Some(ranks) = ranks() else { return outcome };
        if !MET.load(Ordering::Relaxed) {
            // Nothing was computed together: the others may be about to wait for this rank.
            let own = match &outcome {
                Ok(()) => Outcome::Ready([].into()),
                Err(failure) => failure.outcome(),
            };
            let verdict = agree(ranks, &own);
            return outcome.and(verdict.map_err(Failure::from));
        }
        if ranks.rank() == 0 && SERVED.swap(false, Ordering::Relaxed) {
            drop(Root::new(ranks));
        }
        outcome
    }
}

/// Refuses several ranks for a verb that makes no use of them.
pub fn refuse(verb: &str) -> Result<(), Failure> {
    one_process(&format!("`{verb}` runs"), "start it without mpirun")
}

/// Refuses several ranks for an option that one process carries out.
pub fn refuse_option(option: &str, instead: &str) -> Result<(), Failure> {
    one_process(&format!("{option} works"), instead)
}

fn one_process(what: &str, instead: &str) -> Result<(), Failure> {
    match ranks() {
        None => Ok(()),
        Some(ranks) => {
            Err(Failure::bad_input(format!("{what} in one process, not in {}: {instead}", ranks.size())))
        }
    }
}

/// Where all ranks meet: each has loaded model and data, or failed. Rank 0 goes on; the others compute what it asks for until it has
/// finished, and then have nothing more to do ([`Failure::Served`]).
pub fn meet(loaded: Result<NetworkSubject, Failure>) -> Result<NetworkSubject, Failure> {
    let Some(ranks) = ranks() else { return loaded };
    let own = match &loaded {
        Ok(loaded) => fingerprints(&loaded.subject()),
        Err(failure) => failure.outcome(),
    };
    MET.store(true, Ordering::Relaxed);
    let verdict = agree(ranks, &own);
    // An error of this very rank says more than what the others were told of it.
    let loaded = loaded?;
    verdict?;
    if ranks.rank() == 0 {
        SERVED.store(true, Ordering::Relaxed);
        return Ok(loaded);
    }
    serve(ranks, &risks(&loaded)).map_err(Disagreement::from)?;
    Err(Failure::Served)
}

/// The risks of a subject, in the order in which they are served.
fn risks(subject: &NetworkSubject) -> Vec<&dyn ChunkedRisk> {
    let others = [subject.slices.as_ref(), subject.other.as_ref().map(|(_, risk)| risk)];
    std::iter::once(&subject.risk)
        .chain(others.into_iter().flatten())
        .map(|r| r as &dyn ChunkedRisk)
        .collect()
}

/// Everything that the results depend on, by name.
fn fingerprints(subject: &Subject<'_>) -> Outcome {
    let identity = match subject.identity() {
        Ok(identity) => identity,
        Err(error) => return Outcome::Failed(1, error.to_string()),
    };
    let mut found: std::collections::BTreeMap<String, String> =
        identity.into_iter().map(|(name, value)| (name, value.to_string())).collect();
    let others = [("slices", subject.slices), ("other", subject.other.map(|split| split.risk))];
    for (name, risk) in others {
        let identity = risk.map(|risk| (risk.samples(), risk.identity()));
        found.insert(name.into(), format!("{identity:?}"));
    }
    found.insert(ARGUMENTS.into(), arguments(std::env::args().skip(1)));
    match binary_fingerprint() {
        Ok(binary) => {
            found.insert("binary".into(), binary);
            Outcome::Ready(found)
        }
        Err(error) => Outcome::Failed(1, format!("the running program cannot be read: {error}")),
    }
}

/// The arguments of the command, but for those that may differ from machine to machine.
fn arguments(mut all: impl Iterator<Item = String>) -> String {
    const OWN: [&str; 2] = ["--threads", "--memory"];
    let mut kept = Vec::new();
    while let Some(argument) = all.next() {
        if OWN.contains(&argument.as_str()) {
            all.next();
        } else if !OWN.iter().any(|own| argument.strip_prefix(own).is_some_and(|rest| rest.starts_with('=')))
        {
            kept.push(argument);
        }
    }
    kept.join(" ")
}

/// Calls `work` with a subject whose risks all ranks compute; then the other ranks are done.
pub fn together<R>(loaded: &NetworkSubject, work: impl FnOnce(&Subject<'_>) -> R) -> R {
    let Some(ranks) = ranks() else { return work(&loaded.subject()) };
    let root = Root::new(ranks);
    SERVED.store(false, Ordering::Relaxed);
    let distributed: Vec<_> =
        risks(loaded).into_iter().enumerate().map(|(i, own)| root.risk(i, own)).collect();
    let mut next = distributed.iter();
    let mut subject = loaded.subject();
    // In the order of `risks`.
    if let Some(risk) = next.next() {
        subject.main.risk = risk;
    }
    if subject.slices.is_some() {
        subject.slices = next.next().map(|risk| risk as &dyn Risk);
    }
    if let (Some(split), Some(risk)) = (&mut subject.other, next.next()) {
        split.risk = risk;
    }
    work(&subject)
}
