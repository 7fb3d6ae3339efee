//! One loss computed by many processes.
//!
//! The chunks of samples of a [`ChunkedRisk`](saddlescope_landscape::ChunkedRisk) are split over the ranks of a
//! [`Communicator`]. Rank 0 runs the analysis with [`DistributedRisk`]s, which are risks like any other; the other ranks
//! [`serve`]: they wait for a command with θ or a block of vectors, compute the sums of the whole nodes of their chunks, and
//! send these towards rank 0, which adds them up along the fixed tree. **Results are bitwise identical to those of one process, for any number of
//! ranks.**
//!
//! Before anything is computed the ranks [`agree`]: an error on any of them, or another binary, data or weights, ends the run
//! on all.
//!
//! With the feature `mpi`, `MpiSession` has the ranks of an MPI job; without it MPI is not needed, and [`LocalRanks`]
//! are threads.
//!
//! ```
//! use saddlescope_mpi::{Communicator, LocalRanks, chunks_of_ranks};
//!
//! let ranks = LocalRanks::new(3);
//! assert_eq!(ranks.iter().map(|r| r.rank()).collect::<Vec<_>>(), [0, 1, 2]);
//! assert_eq!(chunks_of_ranks(32, 3), [0..10, 10..21, 21..32]);
//! ```

mod agreement;
mod basis_part;
mod basis_step;
mod command;
mod communicator;
mod distributed;
mod lead;
mod local;
#[cfg(feature = "mpi")]
mod session;
mod split;
mod split_basis;
mod sums;
mod worker;

pub use agreement::{ARGUMENTS, Disagreement, Outcome, agree, binary_fingerprint};
pub use communicator::{CommunicationError, Communicator};
pub use distributed::{DistributedRisk, Root};
pub use local::{LocalRank, LocalRanks};
#[cfg(feature = "mpi")]
pub use session::{MpiRank, MpiSession};
pub use split::chunks_of_ranks;
pub use worker::serve;
