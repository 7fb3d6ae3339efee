//! Spectral density by stochastic Lanczos quadrature.
//!
//! For a random unit vector z, the eigenvalues and first components of its Lanczos matrix are nodes and weights of
//! a Gauss quadrature of the measure Σ (zᵀuᵢ)² δ(λ − λᵢ), whose mean over z is the spectral density (Golub and Meurant
//! 1994; Ubaru, Chen and Saad 2017). Nodes and weights are kept for each probe; smoothing, moments, the index and
//! fractions are computed from them afterwards, each with its standard error over the probes.
//!
//! What the standard error does not show: eigenvalues closer together than the distance of neighbouring nodes are
//! one node. Quantities that jump, such as the index, need enough steps for nodes on both sides of the jump.
//!
//! ```
//! use saddlescope_krylov::{DensityOptions, spectral_density, testkit::PrescribedSpectrum};
//!
//! let a = PrescribedSpectrum::new((0..400).map(|i| if i < 100 { -1.0 } else { 2.0 }).collect(), 3);
//! let density = spectral_density(&a, &DensityOptions::default(), &mut ())?;
//! let index = density.index(1e-6);
//! assert!((index.value - 100.0).abs() < 4.0 * index.std_error);
//! let mean = density.moment(1);
//! assert!((mean.value - 1.25).abs() < 4.0 * mean.std_error);
//! # Ok::<(), saddlescope_krylov::DensityError>(())
//! ```

use crate::ProductError;

mod quadrature;
mod spectrum;

pub use quadrature::{DensityOptions, ProbeKind, spectral_density};
pub use spectrum::{Quadrature, SpectralDensity};

/// A request for a density that cannot be carried out, or a product that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DensityError {
    /// The operator is not square.
    #[error("a spectral density needs a square operator, found {rows} × {cols}")]
    NotSquare {
        /// Rows found.
        rows: usize,
        /// Columns found.
        cols: usize,
    },
    /// A number that must be at least one is zero.
    #[error("{what} must be at least 1, found 0")]
    Zero {
        /// Which number.
        what: &'static str,
    },
    /// The operator could not make a product.
    #[error(transparent)]
    Product(#[from] ProductError),
}
