//! Matrix-free curvature for any symmetric operator known only by its action.
//!
//! This crate works with slices of numbers and operators; it knows nothing about networks, files or plots.
//!
//! | to know | use |
//! | --- | --- |
//! | the largest and smallest eigenpairs, with true residuals | [`extreme_eigenpairs`] |
//! | what the paper's two-step method gives and costs | [`algorithm1`](fn@algorithm1), [`power_iteration`] |
//! | tr A and ‖A‖²_F with standard errors | [`hutchinson`], [`hutch_plus_plus`], [`xtrace`] |
//! | the density of all eigenvalues, how many are negative | [`spectral_density`] |
//! | the x of bounded length with the smallest ‖b − A x‖, A indefinite or singular | [`ResidualSpace`] |
//! | whether an operator is linear and symmetric | [`testkit::check_operator`] |
//!
//! An operator implements [`LinearOperator`] and [`SymmetricOperator`], or is built from a closure
//! ([`FnOperator`]), a matrix ([`DenseOperator`]) or other operators ([`Shifted`], [`Scaled`], [`Sum`],
//! [`Restricted`], [`Counted`]). Vectors are `f64` slices, blocks of vectors are stored one after the other. An
//! operator may say where the vectors of its Krylov bases are kept ([`BasisStore`]).
//!
//! Three things hold throughout. Every eigenpair carries a residual from a product with that very vector, and every
//! estimate its standard error. Every product is counted. The same seed gives the same bits on any number of
//! threads, as long as the operator does.
//!
//! An operator may fail ([`ProductError`]): every solver returns its error unchanged, and stops when a product was
//! cancelled.
//!
//! ```
//! use saddlescope_krylov::{ExtremeEigen, FnOperator, extreme_eigenpairs};
//!
//! // The second difference on a line: eigenvalues 2 − 2 cos(kπ/(n+1)).
//! let n = 100;
//! let a = FnOperator::new(n, |x: &[f64], y: &mut [f64]| {
//!     for i in 0..n {
//!         let left = if i > 0 { x[i - 1] } else { 0.0 };
//!         let right = if i + 1 < n { x[i + 1] } else { 0.0 };
//!         y[i] = 2.0 * x[i] - left - right;
//!     }
//! });
//! let options = ExtremeEigen { tolerance: 1e-8, ..ExtremeEigen::ends(1, 1) };
//! let solution = extreme_eigenpairs(&a, &options, &mut ())?;
//! assert!(solution.is_converged(), "{}", solution.status);
//! let exact = |k: f64| 2.0 - 2.0 * (k * std::f64::consts::PI / 101.0).cos();
//! assert!((solution.largest()[0].value - exact(100.0)).abs() <= 1e-7);
//! assert!((solution.smallest()[0].value - exact(1.0)).abs() <= 1e-10);
//! # Ok::<(), saddlescope_krylov::LanczosError>(())
//! ```

mod algorithm1;
mod basis;
mod basis_rows;
mod basis_store;
mod bounded_residual;
mod density;
mod estimate;
mod kernels;
mod lanczos;
mod observer;
mod operator;
mod operators;
mod power;
mod product_error;
mod projected;
mod rng;
mod sweep;
pub mod testkit;
mod trace;
mod vector;

pub use algorithm1::{ConditionB1, DominantDirections, algorithm1};
pub use basis::Precision;
pub use basis_rows::BasisRows;
pub use basis_store::{BasisStore, Block, Sweep};
pub use bounded_residual::{BoundedSolution, ResidualSpace};
pub use density::{DensityError, DensityOptions, ProbeKind, Quadrature, SpectralDensity, spectral_density};
pub use estimate::Estimate;
pub use lanczos::{
    BasisLimit, Candidate, CannotContinue, Criterion, Eigenpair, Eigensolution, ExtremeEigen, Forecast,
    LanczosError, LanczosState, SnapshotError, SnapshotWriter, SpectrumEnd, Status, Wanted, WantedPair,
    extreme_eigenpairs, products_with_restarts, read_snapshot, read_snapshot_for, resume_extreme_eigenpairs,
    vectors_at_a_time,
};
pub use observer::{Observer, Progress, RitzValue};
pub use operator::{LinearOperator, SymmetricOperator};
pub use operators::{Counted, DenseOperator, FnOperator, OperatorError, Restricted, Scaled, Shifted, Sum};
pub use power::{PowerIteration, PowerSolution, power_iteration};
pub use product_error::ProductError;
pub use rng::Stream;
pub use trace::{Probes, TraceError, TraceEstimate, TraceOptions, hutch_plus_plus, hutchinson, xtrace};
pub use vector::DOT_BLOCK;
