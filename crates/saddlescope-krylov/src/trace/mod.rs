//! Trace estimators: Hutchinson, Hutch++ and XTrace.
//!
//! All three need only products, return their standard error, and stop when it is small enough or the budget is
//! used up. Hutchinson has variance 2(‖A‖²_F − Σ Aᵢᵢ²) a probe with signs and 2‖A‖²_F with normal numbers. Hutch++
//! (Meyer, Musco, Musco and Woodruff 2021) and XTrace (Epperly, Tropp and Webber 2024) first take the dominant part
//! of A out exactly, which pays when eigenvalues decay fast.
//!
//! ```
//! use saddlescope_krylov::{Probes, TraceOptions, hutchinson, testkit::PrescribedSpectrum, xtrace};
//!
//! let a = PrescribedSpectrum::new((0..300).map(|i| 0.7f64.powi(i)).collect(), 1);
//! let exact = 1.0 / 0.3;
//! let options = TraceOptions { max_products: 120, ..TraceOptions::default() };
//! let h = hutchinson(&a, Probes::Rademacher, &options, &mut ())?;
//! let x = xtrace(&a, &options, &mut ())?;
//! assert!((h.trace.value - exact).abs() < 4.0 * h.trace.std_error);
//! assert!((x.trace.value - exact).abs() < 1e-6);
//! # Ok::<(), saddlescope_krylov::TraceError>(())
//! ```

mod hutch_plus_plus;
mod hutchinson;
mod xtrace;

pub use hutch_plus_plus::hutch_plus_plus;
pub use hutchinson::hutchinson;
pub use xtrace::xtrace;

use serde::{Deserialize, Serialize};

use crate::{Estimate, Forecast, LinearOperator, Observer, ProductError, Progress, Status};

/// The random vectors of an estimator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Probes<'a> {
    /// Independent signs ±1: the smallest variance; exact on diagonal matrices.
    Rademacher,
    /// Independent standard normal numbers.
    Gaussian,
    /// These vectors, with E\[zzᵀ\] = I for the estimate to mean anything.
    Given(&'a [Vec<f64>]),
}

/// Options of the trace estimators.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TraceOptions {
    /// Most operator products.
    pub max_products: usize,
    /// Stop when the standard error is no larger. It is looked at after each block of probes and believed from
    /// eight probes on. Stopping on a small sample error makes that error slightly too small on average.
    pub target_std_error: Option<f64>,
    /// Probes multiplied at a time.
    pub block_size: usize,
    /// Seed of the probes.
    pub seed: u64,
}

impl Default for TraceOptions {
    fn default() -> Self {
        Self { max_products: 100, target_std_error: None, block_size: 8, seed: 0 }
    }
}

/// A trace with its standard error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceEstimate {
    /// tr A.
    pub trace: Estimate,
    /// ‖A‖²_F = tr A² from the same probes, for an estimator that gives it.
    pub frobenius_squared: Option<Estimate>,
    /// The estimate of each probe: zᵀAz for Hutchinson.
    pub per_probe: Vec<f64>,
    /// ‖Az‖² of each probe for Hutchinson, otherwise empty.
    pub per_probe_squared: Vec<f64>,
    /// Operator products used.
    pub products: usize,
    /// `Converged` when the target was reached, or when none was set and the budget was used.
    pub status: Status,
}

/// Smallest sample whose standard error is believed.
const MIN_SAMPLES: usize = 8;

/// A request that a trace estimator cannot carry out, or a product that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The operator is not square.
    #[error("the trace needs a square operator, found {rows} × {cols}")]
    NotSquare {
        /// Rows found.
        rows: usize,
        /// Columns found.
        cols: usize,
    },
    /// The budget or the block allows no product.
    #[error("{what} must be at least {needed}, found {found}")]
    TooSmall {
        /// Which number.
        what: &'static str,
        /// The smallest allowed.
        needed: usize,
        /// The number found.
        found: usize,
    },
    /// The target is no standard error.
    #[error("the target standard error must be finite and not negative, found {found}")]
    Target {
        /// The number found.
        found: f64,
    },
    /// A given probe does not fit.
    #[error("probe {index} has {found} entries, the operator has dimension {expected}")]
    ProbeLength {
        /// Which probe.
        index: usize,
        /// Its length.
        found: usize,
        /// The dimension.
        expected: usize,
    },
    /// The operator could not make a product.
    #[error(transparent)]
    Product(#[from] ProductError),
}

impl TraceOptions {
    fn validate(&self, operator: &dyn LinearOperator, needed: usize) -> Result<usize, TraceError> {
        let (rows, cols) = (operator.nrows(), operator.ncols());
        if rows != cols {
            return Err(TraceError::NotSquare { rows, cols });
        }
        if self.block_size == 0 {
            return Err(TraceError::TooSmall { what: "the block size", needed: 1, found: 0 });
        }
        if self.max_products < needed {
            let found = self.max_products;
            return Err(TraceError::TooSmall { what: "the budget of products", needed, found });
        }
        match self.target_std_error {
            Some(found) if !(found.is_finite() && found >= 0.0) => Err(TraceError::Target { found }),
            _ => Ok(cols),
        }
    }

    fn reached(&self, estimate: &Estimate) -> bool {
        estimate.samples >= MIN_SAMPLES && self.target_std_error.is_some_and(|t| estimate.std_error <= t)
    }

    /// The status at the end of the budget.
    fn at_budget(&self, estimate: &Estimate) -> Status {
        match self.target_std_error {
            Some(t) if estimate.std_error > t => Status::MaxMatvecs,
            _ => Status::Converged,
        }
    }
}

/// The trace on a space of dimension zero.
fn empty_trace() -> TraceEstimate {
    TraceEstimate {
        trace: Estimate { value: 0.0, std_error: 0.0, samples: 0 },
        frobenius_squared: Some(Estimate { value: 0.0, std_error: 0.0, samples: 0 }),
        per_probe: Vec::new(),
        per_probe_squared: Vec::new(),
        products: 0,
        status: Status::Converged,
    }
}

/// Whether a product was made: false when it was cancelled, which is a status and no error.
fn made(product: Result<(), ProductError>) -> Result<bool, TraceError> {
    match product {
        Ok(()) => Ok(true),
        Err(ProductError::Cancelled) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Tells the observer; true when it wants to stop.
fn cancelled(observer: &mut dyn Observer, stage: &str, products: usize, max: usize, e: Estimate) -> bool {
    let progress = Progress {
        stage,
        products,
        max_products: max,
        ritz: &[],
        wanted: &[],
        forecast: Forecast::Unknown,
        estimate: Some(e),
    };
    observer.progress(&progress).is_break()
}
