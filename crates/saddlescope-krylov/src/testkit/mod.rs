//! For tests of operators and solvers: a conformance check and operators with known spectra.
//!
//! ```
//! use saddlescope_krylov::testkit::{PrescribedSpectrum, check_operator};
//!
//! let a = PrescribedSpectrum::new(vec![-16.4, 0.0, 0.1, 5007.9], 7);
//! check_operator(&a, Some(a.dense().entries()), 1e-12)?;
//! # Ok::<(), saddlescope_krylov::testkit::ConformanceError>(())
//! ```

mod conformance;
mod spectrum;

pub use conformance::{ConformanceError, check_operator};
pub use spectrum::{PrescribedSpectrum, wishart_spikes};
