//! Ranks that are threads of one process.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::communicator::{CommunicationError, Communicator};

/// Ranks that are threads of one process, for tests.
#[derive(Debug)]
pub struct LocalRanks;

/// One of them; give each to a thread of its own.
#[derive(Debug)]
pub struct LocalRank {
    rank: usize,
    /// To each rank.
    to: Vec<Mutex<Sender<Vec<u8>>>>,
    /// From each rank.
    from: Vec<Mutex<Receiver<Vec<u8>>>>,
}

impl LocalRanks {
    /// Ranks 0 to `size` − 1.
    #[expect(clippy::new_ret_no_self, reason = "there is nothing beside the ranks")]
    pub fn new(size: usize) -> Vec<LocalRank> {
        let mut ranks: Vec<LocalRank> =
            (0..size).map(|rank| LocalRank { rank, to: Vec::new(), from: Vec::new() }).collect();
        for receiver in 0..size {
            for sender in 0..size {
                let (to, from) = channel();
                ranks[sender].to.push(Mutex::new(to));
                ranks[receiver].from.push(Mutex::new(from));
            }
        }
        ranks
    }
}

impl LocalRank {
    fn error(&self, problem: String) -> CommunicationError {
        CommunicationError { rank: self.rank, host: self.host().into(), problem }
    }
}

impl Communicator for LocalRank {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.to.len()
    }

    fn host(&self) -> &str {
        "this machine"
    }

    fn send(&self, bytes: &[u8], to: usize) -> Result<(), CommunicationError> {
        let channel = self.to[to].lock().unwrap_or_else(PoisonError::into_inner);
        channel.send(bytes.to_vec()).map_err(|_| self.error(format!("rank {to} is gone")))
    }

    fn receive(&self, bytes: &mut [u8], from: usize) -> Result<(), CommunicationError> {
        let channel = self.from[from].lock().unwrap_or_else(PoisonError::into_inner);
        let found = channel.recv().map_err(|_| self.error(format!("rank {from} is gone")))?;
        if found.len() != bytes.len() {
            return Err(self.error(format!(
                "rank {from} sent {} bytes, expected {}",
                found.len(),
                bytes.len()
            )));
        }
        bytes.copy_from_slice(&found);
        Ok(())
    }
}
