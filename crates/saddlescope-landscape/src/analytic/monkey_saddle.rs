//! The monkey saddle: a critical point whose Hessian says nothing.

use super::{ClosedForm, KnownCriticalPoint, apply_dense};
use crate::ParameterLayout;

/// L(x, y) = x³ − 3xy². At the critical point (0, 0) the Hessian is zero: degenerate, neither a minimum nor
/// a maximum, although no curvature shows it.
#[derive(Clone, Debug)]
pub struct MonkeySaddle {
    layout: ParameterLayout,
}

impl MonkeySaddle {
    /// The function of two coordinates.
    pub fn new() -> Self {
        Self { layout: ParameterLayout::flat(2) }
    }
}

impl Default for MonkeySaddle {
    fn default() -> Self {
        Self::new()
    }
}

impl ClosedForm for MonkeySaddle {
    fn theta_layout(&self) -> &ParameterLayout {
        &self.layout
    }

    fn value(&self, theta: &[f64]) -> f64 {
        let (x, y) = (theta[0], theta[1]);
        x * (x * x - 3.0 * y * y)
    }

    fn gradient_at(&self, theta: &[f64], grad: &mut [f64]) {
        grad[0] = 3.0 * (theta[0] * theta[0] - theta[1] * theta[1]);
        grad[1] = -6.0 * theta[0] * theta[1];
    }

    fn hessian_product(&self, theta: &[f64], vs: &[f64], hvs: &mut [f64]) {
        let (x, y) = (theta[0], theta[1]);
        apply_dense(&[[6.0 * x, -6.0 * y], [-6.0 * y, -6.0 * x]], vs, hvs);
    }
}

impl KnownCriticalPoint for MonkeySaddle {
    fn critical_point(&self) -> Vec<f64> {
        vec![0.0, 0.0]
    }

    fn curvatures(&self) -> Vec<(f64, usize)> {
        vec![(0.0, 2)]
    }
}
