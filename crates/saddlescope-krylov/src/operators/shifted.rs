//! A + σI.

use crate::{BasisStore, LinearOperator, Precision, ProductError, SymmetricOperator};

/// The square operator A + σI.
#[derive(Clone, Debug)]
pub struct Shifted<A> {
    inner: A,
    shift: f64,
}

impl<A: LinearOperator> Shifted<A> {
    /// A + `shift`·I. The eigenvalues of a symmetric A move by `shift`, the eigenvectors stay.
    ///
    /// The operator must be square; one that is not acts as the rectangular identity on the common coordinates.
    pub fn new(inner: A, shift: f64) -> Self {
        Self { inner, shift }
    }

    /// σ.
    pub fn shift(&self) -> f64 {
        self.shift
    }
}

fn add_shift(shift: f64, x: &[f64], y: &mut [f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += shift * x;
    }
}

impl<A: LinearOperator> LinearOperator for Shifted<A> {
    fn nrows(&self) -> usize {
        self.inner.nrows()
    }

    fn ncols(&self) -> usize {
        self.inner.ncols()
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) -> Result<(), ProductError> {
        self.inner.apply(x, y)?;
        add_shift(self.shift, x, y);
        Ok(())
    }

    fn apply_block(&self, xs: &[f64], ys: &mut [f64]) -> Result<(), ProductError> {
        self.inner.apply_block(xs, ys)?;
        let (n, m) = (self.ncols(), self.nrows());
        if n == 0 || m == 0 {
            return Ok(());
        }
        for (x, y) in xs.chunks_exact(n).zip(ys.chunks_exact_mut(m)) {
            add_shift(self.shift, x, y);
        }
        Ok(())
    }
}

impl<A: SymmetricOperator> SymmetricOperator for Shifted<A> {
    fn new_basis(&self, precision: Precision) -> Result<Box<dyn BasisStore>, ProductError> {
        self.inner.new_basis(precision)
    }
}
