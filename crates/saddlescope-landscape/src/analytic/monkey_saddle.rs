//! The monkey saddle: a critical point whose Hessian says nothing.

use super::{KnownCriticalPoint, apply_dense};
use crate::{Objective, ParamLayout, Point};

/// L(x, y) = x³ − 3xy². At the critical point (0, 0) the Hessian is zero: degenerate, neither a minimum nor
/// a maximum, although no curvature shows it.
#[derive(Clone, Debug)]
pub struct MonkeySaddle {
    layout: ParamLayout,
}

impl MonkeySaddle {
    /// The function of two coordinates.
    pub fn new() -> Self {
        Self { layout: ParamLayout::flat(2) }
    }
}

impl Default for MonkeySaddle {
    fn default() -> Self {
        Self::new()
    }
}

impl Objective for MonkeySaddle {
    fn layout(&self) -> &ParamLayout {
        &self.layout
    }

    fn value(&self, theta: &[f64]) -> f64 {
        let (x, y) = (theta[0], theta[1]);
        x * (x * x - 3.0 * y * y)
    }

    fn at<'a>(&'a self, theta: &[f64]) -> Box<dyn Point + 'a> {
        Box::new(MonkeySaddlePoint { x: theta[0], y: theta[1] })
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

struct MonkeySaddlePoint {
    x: f64,
    y: f64,
}

impl Point for MonkeySaddlePoint {
    fn value(&self) -> f64 {
        self.x * (self.x * self.x - 3.0 * self.y * self.y)
    }

    fn gradient(&self, grad: &mut [f64]) {
        grad[0] = 3.0 * (self.x * self.x - self.y * self.y);
        grad[1] = -6.0 * self.x * self.y;
    }

    fn hvp(&self, vs: &[f64], hvs: &mut [f64]) {
        let (x, y) = (self.x, self.y);
        apply_dense(&[[6.0 * x, -6.0 * y], [-6.0 * y, -6.0 * x]], vs, hvs);
    }
}
