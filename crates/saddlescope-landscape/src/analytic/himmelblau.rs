//! Himmelblau's function: four minima, four saddles, one maximum.

use super::{ClosedForm, KnownCriticalPoint, apply_dense, multiplicities};
use crate::ParameterLayout;

/// L(x, y) = (x² + y − 11)² + (x + y² − 7)².
///
/// D. M. Himmelblau, *Applied Nonlinear Programming* (1972). Its minimum at (3, 2) is exact; the other three
/// minima, the saddles and the maximum near (−0.27, −0.92) have no simple closed form.
#[derive(Clone, Debug)]
pub struct Himmelblau {
    layout: ParameterLayout,
}

impl Himmelblau {
    /// The function of two coordinates.
    pub fn new() -> Self {
        Self { layout: ParameterLayout::flat(2) }
    }
}

impl Default for Himmelblau {
    fn default() -> Self {
        Self::new()
    }
}

impl ClosedForm for Himmelblau {
    fn theta_layout(&self) -> &ParameterLayout {
        &self.layout
    }

    fn value(&self, theta: &[f64]) -> f64 {
        let (x, y) = (theta[0], theta[1]);
        (x * x + y - 11.0).powi(2) + (x + y * y - 7.0).powi(2)
    }

    fn gradient_at(&self, theta: &[f64], grad: &mut [f64]) {
        let (x, y) = (theta[0], theta[1]);
        let (p, q) = (x * x + y - 11.0, x + y * y - 7.0);
        grad[0] = 4.0 * x * p + 2.0 * q;
        grad[1] = 2.0 * p + 4.0 * y * q;
    }

    fn hessian_product(&self, theta: &[f64], vs: &[f64], hvs: &mut [f64]) {
        let (x, y) = (theta[0], theta[1]);
        let mixed = 4.0 * (x + y);
        apply_dense(
            &[[12.0 * x * x + 4.0 * y - 42.0, mixed], [mixed, 12.0 * y * y + 4.0 * x - 26.0]],
            vs,
            hvs,
        );
    }
}

impl KnownCriticalPoint for Himmelblau {
    fn critical_point(&self) -> Vec<f64> {
        vec![3.0, 2.0]
    }

    fn curvatures(&self) -> Vec<(f64, usize)> {
        // The Hessian at (3, 2) is [[74, 20], [20, 34]]: eigenvalues 54 ± 20√2.
        let spread = 20.0 * std::f64::consts::SQRT_2;
        multiplicities(vec![54.0 - spread, 54.0 + spread])
    }
}
