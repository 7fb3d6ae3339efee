//! Progress, cancellation and snapshots of long computations.
//!
//! An observer is asked after every product. It may return `ControlFlow::Break(())`, and the computation then
//! stops with what it has.
//!
//! ```
//! use std::ops::ControlFlow;
//! use saddlescope_krylov::{DenseOperator, ExtremeEigen, Progress, Status, extreme_eigenpairs};
//!
//! let a = DenseOperator::from_diagonal(&(0..50).map(f64::from).collect::<Vec<_>>());
//! let mut stop_early =
//!     |p: &Progress<'_>| if p.products >= 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
//! let solution = extreme_eigenpairs(&a, &ExtremeEigen::ends(1, 1), &mut stop_early)?;
//! assert_eq!(solution.status, Status::Cancelled);
//! assert_eq!(solution.products, 5);
//! # Ok::<(), saddlescope_krylov::LanczosError>(())
//! ```

use std::ops::ControlFlow;

use crate::{Estimate, LanczosState};

/// An approximate eigenvalue with the cheap estimate of its residual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RitzValue {
    /// The Ritz value θ.
    pub value: f64,
    /// ‖Aq − θq‖₂ as the Krylov recurrence predicts it, without a product.
    pub residual_estimate: f64,
}

/// Where a computation stands.
#[derive(Clone, Debug)]
pub struct Progress<'a> {
    /// What is being computed, for example `lanczos` or `hutchinson`.
    pub stage: &'a str,
    /// Operator products so far.
    pub products: usize,
    /// The largest number of products this computation may use.
    pub max_products: usize,
    /// Eigensolvers: the wanted Ritz values at the last test of convergence.
    pub ritz: &'a [RitzValue],
    /// Estimators: the estimate so far.
    pub estimate: Option<Estimate>,
}

/// Told about progress; may cancel.
pub trait Observer {
    /// Called after every product or block of products.
    fn progress(&mut self, progress: &Progress<'_>) -> ControlFlow<()>;

    /// Called after every step of the eigensolver, when its state may be saved. See
    /// [`SnapshotWriter`](crate::SnapshotWriter).
    fn snapshot(&mut self, _state: &LanczosState) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Watches nothing and never cancels.
impl Observer for () {
    fn progress(&mut self, _progress: &Progress<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<F: FnMut(&Progress<'_>) -> ControlFlow<()>> Observer for F {
    fn progress(&mut self, progress: &Progress<'_>) -> ControlFlow<()> {
        self(progress)
    }
}
