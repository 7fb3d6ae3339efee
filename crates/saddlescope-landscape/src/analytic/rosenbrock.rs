//! Rosenbrock's curved valley.

use super::{AnalyticError, ClosedForm, KnownCriticalPoint, multiplicities};
use crate::ParameterLayout;
use nalgebra::DMatrix;

/// L(θ) = Σᵢ 100 (θᵢ₊₁ − θᵢ²)² + (1 − θᵢ)², minimum 0 at (1, …, 1).
///
/// H. H. Rosenbrock, *The Computer Journal* 3 (1960) 175–184, in its chained form.
#[derive(Clone, Debug)]
pub struct Rosenbrock {
    layout: ParameterLayout,
}

impl Rosenbrock {
    /// The function of `n` coordinates.
    ///
    /// # Errors
    /// n < 2.
    pub fn new(n: usize) -> Result<Self, AnalyticError> {
        if n < 2 {
            return Err(AnalyticError::TooFewCoordinates {
                function: "Rosenbrock's function",
                least: 2,
                found: n,
            });
        }
        Ok(Self { layout: ParameterLayout::flat(n) })
    }

    /// Diagonal and first off-diagonal of the tridiagonal Hessian at θ.
    fn hessian(theta: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let n = theta.len();
        let mut diagonal = vec![0.0; n];
        let mut off = vec![0.0; n - 1];
        for i in 0..n - 1 {
            diagonal[i] += 1200.0 * theta[i] * theta[i] - 400.0 * theta[i + 1] + 2.0;
            diagonal[i + 1] += 200.0;
            off[i] = -400.0 * theta[i];
        }
        (diagonal, off)
    }
}

impl ClosedForm for Rosenbrock {
    fn theta_layout(&self) -> &ParameterLayout {
        &self.layout
    }

    fn value(&self, theta: &[f64]) -> f64 {
        theta.windows(2).map(|w| 100.0 * (w[1] - w[0] * w[0]).powi(2) + (1.0 - w[0]).powi(2)).sum()
    }

    fn gradient_at(&self, theta: &[f64], grad: &mut [f64]) {
        grad.fill(0.0);
        for i in 0..theta.len() - 1 {
            let gap = theta[i + 1] - theta[i] * theta[i];
            grad[i] += -400.0 * theta[i] * gap - 2.0 * (1.0 - theta[i]);
            grad[i + 1] += 200.0 * gap;
        }
    }

    fn hessian_product(&self, theta: &[f64], vs: &[f64], hvs: &mut [f64]) {
        let n = theta.len();
        let (diagonal, off) = Self::hessian(theta);
        for (v, hv) in vs.chunks_exact(n).zip(hvs.chunks_exact_mut(n)) {
            for i in 0..n {
                hv[i] = diagonal[i] * v[i];
            }
            for i in 0..n - 1 {
                hv[i] += off[i] * v[i + 1];
                hv[i + 1] += off[i] * v[i];
            }
        }
    }
}

impl KnownCriticalPoint for Rosenbrock {
    fn critical_point(&self) -> Vec<f64> {
        vec![1.0; self.layout.len()]
    }

    fn curvatures(&self) -> Vec<(f64, usize)> {
        let n = self.layout.len();
        let (diagonal, off) = Self::hessian(&self.critical_point());
        let mut matrix = DMatrix::zeros(n, n);
        for i in 0..n {
            matrix[(i, i)] = diagonal[i];
        }
        for i in 0..n - 1 {
            matrix[(i, i + 1)] = off[i];
            matrix[(i + 1, i)] = off[i];
        }
        multiplicities(matrix.symmetric_eigenvalues().iter().copied().collect())
    }
}
