//! Matrix-free curvature for any symmetric operator known only by its action.
//!
//! This crate knows slices of numbers and operators; it knows nothing of networks, files or plots.
//!
//! - [`LinearOperator`] and [`SymmetricOperator`]: what every method works on, and ways to combine operators.
//! - [`extreme_eigenpairs`]: both ends of the spectrum from one Krylov space, with true residuals.

mod basis;
mod estimate;
mod lanczos;
mod observer;
mod operator;
mod operators;
mod projected;
mod rng;
pub mod testkit;
mod vector;

pub use basis::Precision;
pub use estimate::Estimate;
pub use lanczos::{
    BasisLimit, Eigenpair, Eigensolution, ExtremeEigen, LanczosError, LanczosState, SnapshotError,
    SnapshotWriter, Status, Wanted, extreme_eigenpairs, read_snapshot, resume_extreme_eigenpairs,
};
pub use observer::{Observer, Progress, RitzValue};
pub use operator::{LinearOperator, SymmetricOperator};
pub use operators::{Counted, DenseOperator, FnOperator, OperatorError, Restricted, Scaled, Shifted, Sum};
pub use rng::Stream;
