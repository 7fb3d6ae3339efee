//! A curvature matrix at a point as a symmetric operator, for every solver of `saddlescope-krylov`.

use saddlescope_krylov::{BasisStore, LinearOperator, Precision, ProductError, SymmetricOperator};

use crate::risk::{Curvature, Point};

/// One of the curvature matrices at a point, known through its products.
#[derive(Clone, Copy)]
pub struct CurvatureOperator<'a> {
    point: &'a dyn Point,
    curvature: Curvature,
}

impl<'a> CurvatureOperator<'a> {
    /// The matrix `curvature` at `point`.
    pub fn new(point: &'a dyn Point, curvature: Curvature) -> Self {
        Self { point, curvature }
    }

    /// The Hessian at `point`.
    pub fn hessian(point: &'a dyn Point) -> Self {
        Self::new(point, Curvature::Hessian)
    }
}

impl LinearOperator for CurvatureOperator<'_> {
    fn nrows(&self) -> usize {
        self.point.dim()
    }

    fn ncols(&self) -> usize {
        self.point.dim()
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) -> Result<(), ProductError> {
        self.apply_block(x, y)
    }

    fn apply_block(&self, xs: &[f64], ys: &mut [f64]) -> Result<(), ProductError> {
        self.point.product(self.curvature, xs, ys)?;
        Ok(())
    }
}

impl SymmetricOperator for CurvatureOperator<'_> {
    fn new_basis(&self, precision: Precision) -> Result<Box<dyn BasisStore>, ProductError> {
        Ok(self.point.new_basis(precision)?)
    }
}
