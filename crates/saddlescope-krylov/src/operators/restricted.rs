//! PᵀAP for a set of coordinates.

use super::OperatorError;
use crate::{LinearOperator, ProductError, SymmetricOperator};

/// The principal submatrix of A on a set of coordinates: one layer's block of a Hessian, for example.
#[derive(Clone, Debug)]
pub struct Restricted<A> {
    inner: A,
    coordinates: Vec<usize>,
}

impl<A: LinearOperator> Restricted<A> {
    /// A restricted to `coordinates`, sorted and distinct. Vectors have one entry per coordinate.
    ///
    /// # Errors
    /// [`OperatorError`] when A is not square or the coordinates are out of range, unsorted or repeated.
    pub fn new(inner: A, coordinates: Vec<usize>) -> Result<Self, OperatorError> {
        let (rows, cols) = (inner.nrows(), inner.ncols());
        if rows != cols {
            return Err(OperatorError::NotSquare { rows, cols });
        }
        if let Some(w) = coordinates.windows(2).find(|w| w[0] >= w[1]) {
            return Err(OperatorError::CoordinatesNotSorted { first: w[0], second: w[1] });
        }
        match coordinates.last() {
            Some(&index) if index >= cols => Err(OperatorError::CoordinateOutOfRange { index, dim: cols }),
            _ => Ok(Self { inner, coordinates }),
        }
    }

    /// The coordinates, ascending.
    pub fn coordinates(&self) -> &[usize] {
        &self.coordinates
    }

    /// A vector of the restricted space as one of the whole space, zero elsewhere.
    pub fn embed(&self, x: &[f64]) -> Vec<f64> {
        let mut full = vec![0.0; self.inner.ncols()];
        for (&i, &x) in self.coordinates.iter().zip(x) {
            full[i] = x;
        }
        full
    }
}

impl<A: LinearOperator> LinearOperator for Restricted<A> {
    fn nrows(&self) -> usize {
        self.coordinates.len()
    }

    fn ncols(&self) -> usize {
        self.coordinates.len()
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) -> Result<(), ProductError> {
        self.apply_block(x, y)
    }

    fn apply_block(&self, xs: &[f64], ys: &mut [f64]) -> Result<(), ProductError> {
        let (k, n) = (self.coordinates.len(), self.inner.ncols());
        if k == 0 {
            return Ok(());
        }
        let full: Vec<f64> = xs.chunks_exact(k).flat_map(|x| self.embed(x)).collect();
        let mut image = vec![0.0; full.len()];
        self.inner.apply_block(&full, &mut image)?;
        for (y, image) in ys.chunks_exact_mut(k).zip(image.chunks_exact(n)) {
            for (y, &i) in y.iter_mut().zip(&self.coordinates) {
                *y = image[i];
            }
        }
        Ok(())
    }
}

impl<A: SymmetricOperator> SymmetricOperator for Restricted<A> {}
