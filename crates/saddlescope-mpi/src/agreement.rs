//! What the ranks tell each other before anything is computed: that all are ready, and about to compute the same.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::communicator::{CommunicationError, Communicator, receive_text, send_text, spread_text};

/// The name under which ranks compare the arguments of their commands.
pub const ARGUMENTS: &str = "arguments";

/// How far a rank has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Outcome {
    /// It is ready; what the results depend on, by name.
    Ready(BTreeMap<String, String>),
    /// It failed with this exit code and message.
    Failed(u8, String),
}

/// Why the ranks do not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disagreement {
    /// A rank has failed, or has something else than rank 0.
    #[error("{message}")]
    Stopped {
        /// The exit code.
        code: u8,
        /// Which rank on which host, and why.
        message: String,
    },
    /// The ranks cannot reach each other.
    #[error(transparent)]
    Communication(#[from] CommunicationError),
}

/// All ranks say how far they have come. If one has failed, or its fingerprints are not those of rank 0, no rank goes on.
///
/// # Errors
/// The first rank that has failed or has something else, by number.
pub fn agree(ranks: &dyn Communicator, own: &Outcome) -> Result<(), Disagreement> {
    let mut verdict = String::new();
    if ranks.rank() == 0 {
        let mut stopped = stopped(ranks, 0, ranks.host(), own, own);
        for rank in 1..ranks.size() {
            let (host, outcome) = (receive_text(ranks, rank)?, receive_text(ranks, rank)?);
            let outcome = serde_json::from_str(&outcome)
                .unwrap_or_else(|e| Outcome::Failed(1, format!("its message cannot be read: {e}")));
            stopped = stopped.or_else(|| self::stopped(ranks, rank, &host, &outcome, own));
        }
        if let Some((code, message)) = stopped {
            verdict = format!("{code} {message}");
        }
    } else {
        send_text(ranks, ranks.host(), 0)?;
        // A map of texts can always be written.
        send_text(ranks, &serde_json::to_string(own).unwrap_or_default(), 0)?;
    }
    spread_text(ranks, &mut verdict)?;
    match verdict.split_once(' ') {
        None => Ok(()),
        Some((code, message)) => {
            Err(Disagreement::Stopped { code: code.parse().unwrap_or(1), message: message.into() })
        }
    }
}

/// Why a rank cannot go on: exit code and message.
fn stopped(
    ranks: &dyn Communicator,
    rank: usize,
    host: &str,
    outcome: &Outcome,
    root: &Outcome,
) -> Option<(u8, String)> {
    match (outcome, root) {
        (Outcome::Failed(code, message), _) => Some((*code, format!("rank {rank} on {host}: {message}"))),
        (Outcome::Ready(found), Outcome::Ready(expected)) => {
            let names: BTreeSet<&String> = found.keys().chain(expected.keys()).collect();
            let value = |of: &BTreeMap<String, String>, name: &String| {
                of.get(name).cloned().unwrap_or_else(|| "none".into())
            };
            let mut differing: Vec<&String> =
                names.into_iter().filter(|&name| found.get(name) != expected.get(name)).collect();
            // The arguments say nothing more where what came of them differs.
            if differing.len() > 1 {
                differing.retain(|name| *name != ARGUMENTS);
            }
            let said: Vec<String> = differing
                .iter()
                .map(|name| format!("{name} is {}, expected {}", value(found, name), value(expected, name)))
                .collect();
            (!said.is_empty()).then(|| {
                let message = format!(
                    "rank {rank} on {host} differs from rank 0 on {}: {}",
                    ranks.host(),
                    said.join("; ")
                );
                (2, message)
            })
        }
        // Rank 0 has said already why it stops.
        (Outcome::Ready(_), Outcome::Failed(..)) => None,
    }
}

/// SHA-256 of the program that is running, and its version.
///
/// # Errors
/// If its file cannot be read.
pub fn binary_fingerprint() -> std::io::Result<String> {
    let mut file = std::fs::File::open(std::env::current_exe()?)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = std::io::Read::read(&mut file, &mut buffer)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
    }
    let digits: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    Ok(format!("{} {digits}", env!("CARGO_PKG_VERSION")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::LocalRanks;

    fn ready(data: &str) -> Outcome {
        Outcome::Ready([("binary".into(), "1".into()), ("data".into(), data.into())].into())
    }

    /// What each rank is told.
    fn told(outcomes: &[Outcome]) -> Vec<Result<(), Disagreement>> {
        std::thread::scope(|scope| {
            let handles: Vec<_> = (LocalRanks::new(outcomes.len()).into_iter().zip(outcomes))
                .map(|(rank, own)| scope.spawn(move || agree(&rank, own)))
                .collect();
            handles.into_iter().map(|h| h.join().unwrap()).collect()
        })
    }

    fn all_stop(outcomes: &[Outcome], code: u8, message: &str) {
        for told in told(outcomes) {
            assert_eq!(told, Err(Disagreement::Stopped { code, message: message.into() }));
        }
    }

    #[test]
    fn ranks_with_the_same_go_on() {
        assert!(told(&[ready("a"), ready("a"), ready("a")]).iter().all(Result::is_ok));
    }

    #[test]
    fn other_data_are_named_with_rank_and_host() {
        all_stop(
            &[ready("a"), ready("a"), ready("b"), ready("c")],
            2,
            "rank 2 on this machine differs from rank 0 on this machine: data is b, expected a",
        );
    }

    #[test]
    fn an_error_of_one_rank_stops_all() {
        let failed = |text: &str| Outcome::Failed(1, text.into());
        all_stop(&[ready("a"), failed("no such file")], 1, "rank 1 on this machine: no such file");
        all_stop(&[failed("x y"), ready("b"), failed("z")], 1, "rank 0 on this machine: x y");
    }
}
