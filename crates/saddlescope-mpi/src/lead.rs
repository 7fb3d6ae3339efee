//! Rank 0's commands to the others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use saddlescope_landscape::{PartialSums, RiskError};

use crate::command::Command;
use crate::communicator::{CommunicationError, Communicator};
use crate::sums::reduce;

/// What rank 0 needs to lead the others.
pub(crate) struct Lead {
    ranks: Box<dyn Communicator + Send>,
    /// The number of the next point or basis.
    numbers: AtomicU64,
    /// Held from a command to its result, so that commands do not mix.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Why nothing more can be agreed upon, if that is so.
    ended: Option<&'static str>,
}

impl Lead {
    /// The lead over these ranks.
    pub fn new(ranks: impl Communicator + Send + 'static) -> Self {
        Self { ranks: Box::new(ranks), numbers: AtomicU64::new(0), state: Mutex::default() }
    }

    /// Tells the others to stop; nothing can be commanded after it.
    pub fn finish(&self) {
        self.forget(&Command::Finish);
        self.lock().ended.get_or_insert("the other ranks have finished");
    }

    /// Number of ranks.
    pub fn size(&self) -> usize {
        self.ranks.size()
    }

    /// A number that nothing else has.
    pub fn next(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells everybody what to do with `values`, and does what belongs to it here.
    pub fn command<R>(
        &self,
        command: &Command,
        values: &[f64],
        work: impl FnOnce(&dyn Communicator) -> Result<R, CommunicationError>,
    ) -> Result<R, RiskError> {
        let mut state = self.lock();
        if let Some(ended) = state.ended {
            return Err(RiskError::failed(ended));
        }
        let done = command.tell(&*self.ranks, values).and_then(|()| work(&*self.ranks));
        done.map_err(|e| {
            state.ended = Some("the other ranks cannot be reached any more");
            RiskError::failed(e)
        })
    }

    /// Tells everybody something without an answer. If they cannot be told, the next command says so.
    pub fn forget(&self, command: &Command) {
        let _ = self.command(command, &[], |_| Ok(()));
    }

    /// As [`Lead::command`], where all ranks contribute sums.
    pub fn together(
        &self,
        command: &Command,
        values: &[f64],
        own: impl FnOnce() -> Result<PartialSums, RiskError>,
    ) -> Result<PartialSums, RiskError> {
        let mut error = None;
        let collected = self.command(command, values, |ranks| {
            // Rank 0's own error stays what it is.
            let own = own().map_err(|e| {
                let text = e.to_string();
                error = Some(e);
                text
            });
            reduce(ranks, own)
        })?;
        match (error, collected) {
            (Some(error), _) => Err(error),
            (None, Some(Ok(sums))) => Ok(sums),
            (None, Some(Err(text))) => Err(RiskError::failed(text)),
            (None, None) => Err(RiskError::failed("only rank 0 can lead")),
        }
    }
}
