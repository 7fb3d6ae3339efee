//! cA.

use crate::{BasisStore, LinearOperator, Precision, ProductError, SymmetricOperator};

/// The operator cA.
#[derive(Clone, Debug)]
pub struct Scaled<A> {
    inner: A,
    factor: f64,
}

impl<A: LinearOperator> Scaled<A> {
    /// `factor`·A.
    pub fn new(inner: A, factor: f64) -> Self {
        Self { inner, factor }
    }

    /// c.
    pub fn factor(&self) -> f64 {
        self.factor
    }
}

impl<A: LinearOperator> LinearOperator for Scaled<A> {
    fn nrows(&self) -> usize {
        self.inner.nrows()
    }

    fn ncols(&self) -> usize {
        self.inner.ncols()
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) -> Result<(), ProductError> {
        self.inner.apply(x, y)?;
        y.iter_mut().for_each(|y| *y *= self.factor);
        Ok(())
    }

    fn apply_block(&self, xs: &[f64], ys: &mut [f64]) -> Result<(), ProductError> {
        self.inner.apply_block(xs, ys)?;
        ys.iter_mut().for_each(|y| *y *= self.factor);
        Ok(())
    }
}

impl<A: SymmetricOperator> SymmetricOperator for Scaled<A> {
    fn new_basis(&self, precision: Precision) -> Result<Box<dyn BasisStore>, ProductError> {
        self.inner.new_basis(precision)
    }
}
