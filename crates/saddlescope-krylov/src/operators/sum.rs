//! A + B.

use super::OperatorError;
use crate::{BasisStore, LinearOperator, Precision, ProductError, SymmetricOperator};

/// The operator A + B.
#[derive(Clone, Debug)]
pub struct Sum<A, B> {
    first: A,
    second: B,
}

impl<A: LinearOperator, B: LinearOperator> Sum<A, B> {
    /// A + B.
    ///
    /// # Errors
    /// [`OperatorError::ShapeMismatch`] when the shapes differ.
    pub fn new(first: A, second: B) -> Result<Self, OperatorError> {
        if (first.nrows(), first.ncols()) != (second.nrows(), second.ncols()) {
            return Err(OperatorError::ShapeMismatch {
                rows: first.nrows(),
                cols: first.ncols(),
                other_rows: second.nrows(),
                other_cols: second.ncols(),
            });
        }
        Ok(Self { first, second })
    }
}

fn add(y: &mut [f64], z: &[f64]) {
    for (y, z) in y.iter_mut().zip(z) {
        *y += z;
    }
}

impl<A: LinearOperator, B: LinearOperator> LinearOperator for Sum<A, B> {
    fn nrows(&self) -> usize {
        self.first.nrows()
    }

    fn ncols(&self) -> usize {
        self.first.ncols()
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) -> Result<(), ProductError> {
        let mut z = vec![0.0; y.len()];
        self.first.apply(x, y)?;
        self.second.apply(x, &mut z)?;
        add(y, &z);
        Ok(())
    }

    fn apply_block(&self, xs: &[f64], ys: &mut [f64]) -> Result<(), ProductError> {
        let mut zs = vec![0.0; ys.len()];
        self.first.apply_block(xs, ys)?;
        self.second.apply_block(xs, &mut zs)?;
        add(ys, &zs);
        Ok(())
    }
}

impl<A: SymmetricOperator, B: SymmetricOperator> SymmetricOperator for Sum<A, B> {
    fn new_basis(&self, precision: Precision) -> Result<Box<dyn BasisStore>, ProductError> {
        self.first.new_basis(precision)
    }
}
