//! Ranks of an MPI job.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ferrompi::{Mpi, ThreadLevel};

use crate::communicator::{CommunicationError, Communicator};

/// MPI counts elements in 32 bits; longer messages are sent in pieces.
const PIECE: usize = 1 << 30;
/// How long a rank that waits keeps asking before it sleeps in between, and how long it then sleeps.
const EAGER: Duration = Duration::from_micros(200);
const NAP: Duration = Duration::from_micros(100);

/// MPI, from its beginning to its end in this process. Dropped when everything has been sent; after an error in communication,
/// or a panic, it ends all ranks instead.
pub struct MpiSession {
    rank: &'static MpiRank,
    mpi: Option<Mpi>,
}

/// This process in the group of all.
pub struct MpiRank {
    world: ferrompi::Communicator,
    host: String,
    broken: AtomicBool,
}

impl MpiSession {
    /// Begins. To be called once.
    ///
    /// # Errors
    /// If MPI cannot be initialised, or not for calls from several threads one after the other.
    pub fn start() -> Result<Self, CommunicationError> {
        let fail = |problem: String| CommunicationError { rank: 0, host: "this machine".into(), problem };
        let mpi = Mpi::init_thread(ThreadLevel::Serialized).map_err(|e| fail(e.to_string()))?;
        if mpi.thread_level() < ThreadLevel::Serialized {
            return Err(fail(format!(
                "this MPI library offers {:?}, expected at least Serialized: calls from one thread at a time",
                mpi.thread_level()
            )));
        }
        let world = mpi.world();
        let host = world.processor_name().map_err(|e| fail(e.to_string()))?;
        // Lives as long as the process: the analysis borrows it from everywhere.
        let rank = Box::leak(Box::new(MpiRank { world, host, broken: AtomicBool::new(false) }));
        Ok(Self { rank, mpi: Some(mpi) })
    }

    /// This process.
    pub fn rank(&self) -> &'static MpiRank {
        self.rank
    }

    /// The library, for the record.
    pub fn library() -> String {
        Mpi::library_version().unwrap_or_default()
    }
}

impl Drop for MpiSession {
    fn drop(&mut self) {
        if self.rank.broken.load(Ordering::Relaxed) || std::thread::panicking() {
            self.rank.abort(1);
        }
        drop(self.mpi.take());
    }
}

impl MpiRank {
    /// Ends all ranks at once.
    pub fn abort(&self, code: i32) -> ! {
        self.world.abort(code)
    }

    fn checked<T>(&self, what: &str, result: ferrompi::Result<T>) -> Result<T, CommunicationError> {
        result.map_err(|e| {
            self.broken.store(true, Ordering::Relaxed);
            CommunicationError { rank: self.rank(), host: self.host.clone(), problem: format!("{what}: {e}") }
        })
    }

    /// Waits for a message without keeping a core busy: MPI's own waiting does.
    fn wait(&self, from: i32) -> Result<(), CommunicationError> {
        let begin = Instant::now();
        loop {
            let found = self.world.iprobe::<u8>(from, 0);
            if self.checked(&format!("waiting for rank {from}"), found)?.is_some() {
                return Ok(());
            }
            if begin.elapsed() > EAGER {
                std::thread::sleep(NAP);
            } else {
                std::hint::spin_loop();
            }
        }
    }
}

impl Communicator for MpiRank {
    fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    fn size(&self) -> usize {
        self.world.size() as usize
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn send(&self, bytes: &[u8], to: usize) -> Result<(), CommunicationError> {
        for piece in pieces(bytes) {
            self.checked(&format!("sending to rank {to}"), self.world.send(piece, to as i32, 0))?;
        }
        Ok(())
    }

    fn receive(&self, bytes: &mut [u8], from: usize) -> Result<(), CommunicationError> {
        let received = |piece: &mut [u8]| {
            self.wait(from as i32)?;
            let what = format!("receiving from rank {from}");
            let status = self.checked(&what, self.world.recv(piece, from as i32, 0))?;
            if status.count == Some(piece.len()) {
                return Ok(());
            }
            self.broken.store(true, Ordering::Relaxed);
            Err(CommunicationError {
                rank: self.rank(),
                host: self.host.clone(),
                problem: format!("{what}: {:?} bytes, expected {}", status.count, piece.len()),
            })
        };
        if bytes.is_empty() {
            return received(bytes);
        }
        bytes.chunks_mut(PIECE).try_for_each(received)
    }

    fn broadcast(&self, bytes: &mut [u8]) -> Result<(), CommunicationError> {
        for piece in bytes.chunks_mut(PIECE) {
            self.checked("receiving from rank 0", self.world.broadcast(piece, 0))?;
        }
        Ok(())
    }
}

/// The pieces of a message; nothing is one empty piece.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let empty = bytes.is_empty().then_some(bytes);
    empty.into_iter().chain(bytes.chunks(PIECE))
}
