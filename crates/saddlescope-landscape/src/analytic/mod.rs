//! Losses whose Hessian is known in closed form: the paper's two losses, quadratics with a prescribed
//! spectrum, and classical test functions.

mod closed_form;
mod himmelblau;
mod monkey_saddle;
mod quadratic;
mod rosenbrock;
mod signed_squares;

pub use closed_form::ClosedForm;
pub use himmelblau::Himmelblau;
pub use monkey_saddle::MonkeySaddle;
pub use quadratic::Quadratic;
pub use rosenbrock::Rosenbrock;
pub use signed_squares::SignedSquares;

use crate::risk::Risk;

/// A loss with a critical point (∇L = 0) known in closed form.
pub trait KnownCriticalPoint: ClosedForm + Risk {
    /// θ* with ∇L(θ*) = 0, of length N.
    fn critical_point(&self) -> Vec<f64>;

    /// Eigenvalues of the Hessian at [`KnownCriticalPoint::critical_point`] with their multiplicities, in
    /// ascending order.
    fn curvatures(&self) -> Vec<(f64, usize)>;

    /// tr H at the critical point, Σ κᵢ.
    fn trace(&self) -> f64 {
        self.curvatures().iter().map(|&(value, count)| value * count as f64).sum()
    }

    /// tr H² at the critical point, Σ κᵢ².
    fn trace_of_square(&self) -> f64 {
        self.curvatures().iter().map(|&(value, count)| value * value * count as f64).sum()
    }

    /// Mean curvature 𝓗 = tr H / N at the critical point (2.20).
    fn mean_curvature(&self) -> f64 {
        self.trace() / self.dim() as f64
    }

    /// Number of negative curvatures at the critical point.
    fn index(&self) -> usize {
        self.curvatures().iter().filter(|(value, _)| *value < 0.0).map(|(_, count)| count).sum()
    }
}

/// Why an analytic loss cannot be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AnalyticError {
    /// The loss needs at least one pair of coordinates.
    #[error("n is {n}; the loss needs 1 ≤ n ≤ {largest}")]
    PairsOutOfRange {
        /// The n that was given.
        n: usize,
        /// The largest n that can be addressed.
        largest: usize,
    },
    /// More positive squares than coordinates.
    #[error("ñ is {n_tilde}; with n = {n} there are 2n = {coordinates} squares, so 0 ≤ ñ ≤ {coordinates}")]
    PositiveCountOutOfRange {
        /// n as given.
        n: usize,
        /// ñ as given.
        n_tilde: usize,
        /// 2n.
        coordinates: usize,
    },
    /// Too few coordinates for this function.
    #[error("{function} needs at least {least} coordinates, got {found}")]
    TooFewCoordinates {
        /// Name of the function.
        function: &'static str,
        /// Smallest dimension.
        least: usize,
        /// Dimension asked for.
        found: usize,
    },
    /// An eigenvalue or a coordinate of the center is NaN or infinite.
    #[error("{what} {index} is {value}; expected a finite number")]
    NotFinite {
        /// What the number is.
        what: &'static str,
        /// Its position.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// The center of a quadratic has another length than its spectrum.
    #[error("the center has {center} coordinates but there are {eigenvalues} eigenvalues")]
    CenterLength {
        /// Length of the center.
        center: usize,
        /// Number of eigenvalues.
        eigenvalues: usize,
    },
}

/// Groups equal values of a list: ascending, with multiplicities.
fn multiplicities(mut values: Vec<f64>) -> Vec<(f64, usize)> {
    values.sort_by(f64::total_cmp);
    let mut groups: Vec<(f64, usize)> = Vec::new();
    for value in values {
        match groups.last_mut() {
            Some((last, count)) if *last == value => *count += 1,
            _ => groups.push((value, 1)),
        }
    }
    groups
}

/// The Hessian of a function of few coordinates, applied by its dense matrix.
fn apply_dense<const N: usize>(hessian: &[[f64; N]; N], vs: &[f64], hvs: &mut [f64]) {
    for (v, hv) in vs.chunks_exact(N).zip(hvs.chunks_exact_mut(N)) {
        for (row, out) in hessian.iter().zip(hv) {
            *out = row.iter().zip(v).map(|(a, b)| a * b).sum();
        }
    }
}

#[cfg(test)]
mod tests;
