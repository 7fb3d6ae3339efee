//! What is needed of a group of processes: messages of bytes from one to another.

use std::fmt;

/// A message could not be sent or received.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rank {rank} on {host}: {problem}")]
pub struct CommunicationError {
    /// The rank that noticed it.
    pub rank: usize,
    /// Its host.
    pub host: String,
    /// What happened, in words.
    pub problem: String,
}

/// A group of processes that all run the same program, numbered from 0. Messages between two of them arrive in order.
pub trait Communicator: Sync {
    /// The number of this process.
    fn rank(&self) -> usize;

    /// Number of processes.
    fn size(&self) -> usize;

    /// Name of the machine that this process runs on.
    fn host(&self) -> &str;

    /// Sends bytes to another rank, which receives as many. May wait until it does.
    ///
    /// # Errors
    /// If the other rank cannot be reached.
    fn send(&self, bytes: &[u8], to: usize) -> Result<(), CommunicationError>;

    /// Receives as many bytes as were sent. Waits without keeping a core busy.
    ///
    /// # Errors
    /// If the other rank cannot be reached, or sent another number of bytes.
    fn receive(&self, bytes: &mut [u8], from: usize) -> Result<(), CommunicationError>;

    /// Sends bytes from rank 0 to all: every rank calls it with as many bytes.
    ///
    /// # Errors
    /// If a rank cannot be reached.
    fn broadcast(&self, bytes: &mut [u8]) -> Result<(), CommunicationError> {
        spread(self, bytes)
    }
}

/// What is lent is as good as the group itself.
impl<C: Communicator + ?Sized> Communicator for &C {
    fn rank(&self) -> usize {
        (**self).rank()
    }

    fn size(&self) -> usize {
        (**self).size()
    }

    fn host(&self) -> &str {
        (**self).host()
    }

    fn send(&self, bytes: &[u8], to: usize) -> Result<(), CommunicationError> {
        (**self).send(bytes, to)
    }

    fn receive(&self, bytes: &mut [u8], from: usize) -> Result<(), CommunicationError> {
        (**self).receive(bytes, from)
    }

    fn broadcast(&self, bytes: &mut [u8]) -> Result<(), CommunicationError> {
        (**self).broadcast(bytes)
    }
}

impl fmt::Debug for dyn Communicator + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {} on {}", self.rank(), self.size(), self.host())
    }
}

/// Sends bytes from rank 0 to all along a binomial tree, in messages: those that wait do so without keeping a core busy.
pub(crate) fn spread<C: Communicator + ?Sized>(
    ranks: &C,
    bytes: &mut [u8],
) -> Result<(), CommunicationError> {
    let (rank, size) = (ranks.rank(), ranks.size());
    let mut step = if rank == 0 {
        size.next_power_of_two()
    } else {
        let lowest = rank & rank.wrapping_neg();
        ranks.receive(bytes, rank - lowest)?;
        lowest
    };
    while step > 1 {
        step /= 2;
        if rank + step < size {
            ranks.send(bytes, rank + step)?;
        }
    }
    Ok(())
}

/// Sends a text of any length.
pub(crate) fn send_text(ranks: &dyn Communicator, text: &str, to: usize) -> Result<(), CommunicationError> {
    ranks.send(&(text.len() as u64).to_le_bytes(), to)?;
    ranks.send(text.as_bytes(), to)
}

/// Receives a text of any length.
pub(crate) fn receive_text(ranks: &dyn Communicator, from: usize) -> Result<String, CommunicationError> {
    let mut length = [0; 8];
    ranks.receive(&mut length, from)?;
    let mut bytes = vec![0; u64::from_le_bytes(length) as usize];
    ranks.receive(&mut bytes, from)?;
    // Texts are sent as they are here; a damaged one is still worth reading.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Sends a text of any length from rank 0 to all.
pub(crate) fn spread_text(ranks: &dyn Communicator, text: &mut String) -> Result<(), CommunicationError> {
    let mut length = (text.len() as u64).to_le_bytes();
    spread(ranks, &mut length)?;
    let mut bytes = std::mem::take(text).into_bytes();
    bytes.resize(u64::from_le_bytes(length) as usize, 0);
    spread(ranks, &mut bytes)?;
    *text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(())
}
