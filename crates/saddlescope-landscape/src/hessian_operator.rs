//! The Hessian at a point as a symmetric operator, for every solver of `saddlescope-krylov`.

use crate::{Objective, Point};
use saddlescope_krylov::{LinearOperator, ProductError, SymmetricOperator};

/// H = ∇∇L(θ), known through Hessian-vector products.
pub struct HessianOperator<'a> {
    point: Box<dyn Point + 'a>,
    dim: usize,
}

impl<'a> HessianOperator<'a> {
    /// The Hessian of `objective` at `theta`.
    ///
    /// # Errors
    /// `theta` has another length than the objective has parameters.
    pub fn new(objective: &'a dyn Objective, theta: &[f64]) -> Result<Self, ThetaLength> {
        check_theta(objective, theta)?;
        Ok(Self { point: objective.at(theta), dim: objective.dim() })
    }

    /// The objective near the point.
    pub fn point(&self) -> &dyn Point {
        self.point.as_ref()
    }
}

/// θ has the wrong length.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("θ has {found} coordinates, but the objective has {expected} parameters")]
pub struct ThetaLength {
    /// Length of θ.
    pub found: usize,
    /// Number of parameters.
    pub expected: usize,
}

/// Whether θ belongs to the objective.
pub(crate) fn check_theta(objective: &dyn Objective, theta: &[f64]) -> Result<(), ThetaLength> {
    if theta.len() == objective.dim() {
        return Ok(());
    }
    Err(ThetaLength { found: theta.len(), expected: objective.dim() })
}

impl LinearOperator for HessianOperator<'_> {
    fn nrows(&self) -> usize {
        self.dim
    }

    fn ncols(&self) -> usize {
        self.dim
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) -> Result<(), ProductError> {
        self.point.hvp(x, y);
        Ok(())
    }

    fn apply_block(&self, xs: &[f64], ys: &mut [f64]) -> Result<(), ProductError> {
        self.point.hvp(xs, ys);
        Ok(())
    }
}

impl SymmetricOperator for HessianOperator<'_> {}
