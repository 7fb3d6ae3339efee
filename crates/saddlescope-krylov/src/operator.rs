//! Linear operators known only through their action.

use crate::{BasisRows, BasisStore, Precision, ProductError};

/// A linear operator A: ℝⁿ → ℝᵐ, known only through its action on vectors.
///
/// Vectors are `f64` slices; a block of k vectors is stored one vector after the other
/// (`xs.len() == k * ncols`, `ys.len() == k * nrows`).
pub trait LinearOperator: Sync {
    /// Number of rows m, the length of `A x`.
    fn nrows(&self) -> usize;

    /// Number of columns n, the length of `x`.
    fn ncols(&self) -> usize;

    /// y ← A x, with `x.len() == ncols` and `y.len() == nrows`.
    ///
    /// # Errors
    /// [`ProductError`] when the product cannot be made; what `y` holds is then of no meaning.
    fn apply(&self, x: &[f64], y: &mut [f64]) -> Result<(), ProductError>;

    /// Y ← A X for a block of vectors stored one after the other.
    ///
    /// The default applies the operator to one vector at a time; operators whose vectors can share work
    /// override it. The result must be that of [`LinearOperator::apply`] up to rounding.
    ///
    /// # Errors
    /// [`ProductError`] when a product cannot be made; what `ys` holds is then of no meaning.
    fn apply_block(&self, xs: &[f64], ys: &mut [f64]) -> Result<(), ProductError> {
        let (n, m) = (self.ncols(), self.nrows());
        if n == 0 || m == 0 {
            return Ok(());
        }
        xs.chunks_exact(n).zip(ys.chunks_exact_mut(m)).try_for_each(|(x, y)| self.apply(x, y))
    }
}

/// A linear operator with A = Aᵀ (and therefore `nrows == ncols`).
///
/// Symmetry cannot be seen from outside: it is assumed by every solver of this crate and checked by
/// the conformance kit.
pub trait SymmetricOperator: LinearOperator {
    /// The dimension n of the space A acts on.
    fn dim(&self) -> usize {
        self.ncols()
    }

    /// A place for the vectors of a Krylov basis of this operator, none yet. In the memory of this process by default; an
    /// operator that is computed by several processes may split their rows over these. Results do not depend on it.
    ///
    /// # Errors
    /// [`ProductError`] where other processes are needed and cannot be reached.
    fn new_basis(&self, precision: Precision) -> Result<Box<dyn BasisStore>, ProductError> {
        Ok(Box::new(BasisRows::new(self.dim(), precision)))
    }
}

impl<T: LinearOperator + ?Sized> LinearOperator for &T {
    fn nrows(&self) -> usize {
        (**self).nrows()
    }

    fn ncols(&self) -> usize {
        (**self).ncols()
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) -> Result<(), ProductError> {
        (**self).apply(x, y)
    }

    fn apply_block(&self, xs: &[f64], ys: &mut [f64]) -> Result<(), ProductError> {
        (**self).apply_block(xs, ys)
    }
}

impl<T: SymmetricOperator + ?Sized> SymmetricOperator for &T {
    fn new_basis(&self, precision: Precision) -> Result<Box<dyn BasisStore>, ProductError> {
        (**self).new_basis(precision)
    }
}
