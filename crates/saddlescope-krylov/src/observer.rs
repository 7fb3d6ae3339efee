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

use crate::{Candidate, Estimate, Forecast, LanczosState, ProductError, WantedPair};

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
    /// [`extreme_eigenpairs`](crate::extreme_eigenpairs): the same pairs, with their goals and what they still need.
    pub wanted: &'a [WantedPair],
    /// [`extreme_eigenpairs`](crate::extreme_eigenpairs): products at the end, from the residuals so far.
    pub forecast: Forecast,
    /// Estimators: the estimate so far.
    pub estimate: Option<Estimate>,
}

impl Progress<'_> {
    /// The wanted pair that keeps the solve going: the one that needs most products, one of which that is not known
    /// before all others. `None` when every pair has reached its goal.
    pub fn slowest(&self) -> Option<&WantedPair> {
        let open = self.wanted.iter().filter(|p| !p.is_settled());
        open.max_by(|a, b| {
            let key = |p: &WantedPair| (p.missing.unwrap_or(usize::MAX), p.residual_estimate / p.goal);
            key(a).0.cmp(&key(b).0).then(key(a).1.total_cmp(&key(b).1))
        })
    }
}

/// Told about progress; may cancel, and may widen tolerances.
pub trait Observer {
    /// Called after every product or block of products.
    fn progress(&mut self, progress: &Progress<'_>) -> ControlFlow<()>;

    /// Asked by [`extreme_eigenpairs`](crate::extreme_eigenpairs) at every test of convergence, for each wanted pair that
    /// has not converged: the residual that is small enough for it, if the caller knows. The pair then counts as
    /// converged at this residual or at what the options say, whichever comes first, and keeps what it was given for
    /// the rest of the solve, also in a saved state. An answer below what the pair has already changes nothing.
    ///
    /// Products of the observer's own are not counted. The answer should depend on the candidate alone, so that a
    /// resumed solve comes to the same bits.
    ///
    /// # Errors
    /// What the observer's own products report ends the solve, as an error of the operator would.
    fn residual_allowed(&mut self, _candidate: &Candidate<'_>) -> Result<Option<f64>, ProductError> {
        Ok(None)
    }

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
