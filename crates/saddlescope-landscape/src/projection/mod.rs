//! What random planes show of a Hessian: principal curvatures of random projections, their averages and
//! distributions, and how often a saddle looks like one.
//!
//! Numbers in parentheses are equations of Böttcher & Wheeler, *Visualizing high-dimensional loss landscapes with
//! Hessian directions* (2022).

mod concentration;
mod ensemble;
mod fraction;
mod histogram;
mod normal;
mod plane_hessian;
mod running;
mod saddle_probability;
mod spectrum;
mod subspace;

pub use concentration::{
    bound_corrected, bound_printed_2_14, bound_printed_a5, overlap_probability, simulate_overlap,
};
pub use ensemble::{EnsembleError, EnsembleOptions, PlaneEnsemble, sample_planes};
pub use fraction::Fraction;
pub use histogram::{Histogram, HistogramError};
pub use normal::{Normal, normal_cdf};
pub use plane_hessian::{PlaneHessian, PlaneShape, PrincipalCurvatures};
pub use running::{RunningMeans, log_spaced, running_estimates, running_means};
pub use saddle_probability::{
    product_of_normals, saddle_probability_closed_form, saddle_probability_of_two_levels,
};
pub use spectrum::{Spectrum, SpectrumError};
pub use subspace::{SubspaceHessian, sample_subspaces};

#[cfg(test)]
mod tests;
