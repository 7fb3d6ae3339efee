//! Extreme eigenpairs from one Krylov space: thick-restart Lanczos.
//!
//! Both ends of the spectrum come from the same products, so a small negative eigenvalue beside large positive
//! ones costs no second solve. Method: block Lanczos with full reorthogonalisation, restarted with Ritz vectors
//! of both ends (Wu and Simon 2000; the block form is Krylov–Schur, Stewart 2002) when the basis is full, not
//! before. Converged pairs are locked. When the recurrence ends in an invariant subspace it goes on with a random
//! vector orthogonal to it, until no further copy of a wanted eigenvalue can be missing. Every pair returned
//! carries its residual from a product with that very vector.
//!
//! What residuals cannot show: a pair with a small residual is an eigenpair, but whether it is the outermost one
//! rests on the random start, which has a part in every eigenvector with probability one. An eigenvalue that is
//! repeated *exactly* in an otherwise generic spectrum is found once by a run of block size one, and at most
//! `block_size` times by a run that restarts and converges before its recurrence has ended: copies beyond these are
//! missed, and inner values stand in their place. Ask for a larger block or basis where that matters.
//!
//! ```
//! use saddlescope_krylov::{DenseOperator, ExtremeEigen, Status, extreme_eigenpairs};
//!
//! let diagonal: Vec<f64> = (0..200).map(|i| if i < 100 { 1.0 } else { -1.0 }).collect();
//! let a = DenseOperator::from_diagonal(&diagonal);
//! let solution = extreme_eigenpairs(&a, &ExtremeEigen::ends(2, 2), &mut ())?;
//! assert_eq!(solution.status, Status::Converged);
//! let values: Vec<f64> = solution.pairs.iter().map(|p| p.value.round()).collect();
//! assert_eq!(values, [1.0, 1.0, -1.0, -1.0]);
//! # Ok::<(), saddlescope_krylov::LanczosError>(())
//! ```

mod candidate;
mod continuation;
mod error;
mod goals;
mod options;
mod ritz;
mod select;
mod snapshot;
mod snapshot_reading;
mod solution;
mod solver;
mod state;
mod trail;
mod verify;

pub use candidate::{Candidate, Forecast, WantedPair, products_with_restarts};
pub use continuation::CannotContinue;
pub use error::LanczosError;
pub use options::{BasisLimit, ExtremeEigen, Wanted};
pub use snapshot::{SnapshotError, SnapshotWriter};
pub use snapshot_reading::{read_snapshot, read_snapshot_for};
pub use solution::{Criterion, Eigenpair, Eigensolution, Status};
pub use solver::{extreme_eigenpairs, resume_extreme_eigenpairs};
pub use state::LanczosState;
pub use trail::SpectrumEnd;
pub use verify::vectors_at_a_time;

pub(crate) use solver::solve_shifted;
