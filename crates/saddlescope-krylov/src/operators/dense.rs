//! A symmetric matrix kept in memory.

use super::OperatorError;
use crate::{LinearOperator, ProductError, SymmetricOperator};

/// A symmetric matrix with all its entries, for tests and small problems.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseOperator {
    n: usize,
    entries: Vec<f64>,
}

impl DenseOperator {
    /// The n × n matrix with these entries, row by row. The entries are taken as they are: when they are not
    /// symmetric, the symmetric part (A + Aᵀ)/2 is stored.
    ///
    /// # Errors
    /// [`OperatorError::EntryCount`] unless there are n² entries.
    pub fn new(n: usize, entries: Vec<f64>) -> Result<Self, OperatorError> {
        if entries.len() != n * n {
            return Err(OperatorError::EntryCount { rows: n, cols: n, found: entries.len() });
        }
        let mut a = Self { n, entries };
        for i in 0..n {
            for j in 0..i {
                let mean = 0.5 * a.entries[i * n + j] + 0.5 * a.entries[j * n + i];
                a.entries[i * n + j] = mean;
                a.entries[j * n + i] = mean;
            }
        }
        Ok(a)
    }

    /// Entries known to be symmetric and of the right number.
    pub(crate) fn from_symmetric_entries(n: usize, entries: Vec<f64>) -> Self {
        Self { n, entries }
    }

    /// The diagonal matrix with these entries.
    pub fn from_diagonal(diagonal: &[f64]) -> Self {
        let n = diagonal.len();
        let mut entries = vec![0.0; n * n];
        for (i, &d) in diagonal.iter().enumerate() {
            entries[i * n + i] = d;
        }
        Self { n, entries }
    }

    /// The matrix of an operator, by applying it to the n unit vectors in one block.
    ///
    /// # Errors
    /// [`ProductError`] when the operator cannot make the products.
    pub fn from_operator(operator: &dyn SymmetricOperator) -> Result<Self, ProductError> {
        let n = operator.dim();
        let mut identity = vec![0.0; n * n];
        for i in 0..n {
            identity[i * n + i] = 1.0;
        }
        let mut entries = vec![0.0; n * n];
        operator.apply_block(&identity, &mut entries)?;
        Ok(Self { n, entries })
    }

    /// The n² entries, row by row.
    pub fn entries(&self) -> &[f64] {
        &self.entries
    }

    /// All eigenvalues in ascending order, by a dense solver. `None` when it does not converge (NaN entries).
    pub fn eigenvalues(&self) -> Option<Vec<f64>> {
        crate::projected::symmetric_eigen(self.n, &self.entries).map(|e| e.values)
    }
}

impl LinearOperator for DenseOperator {
    fn nrows(&self) -> usize {
        self.n
    }

    fn ncols(&self) -> usize {
        self.n
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) -> Result<(), ProductError> {
        if self.n == 0 {
            return Ok(());
        }
        for (y, row) in y.iter_mut().zip(self.entries.chunks_exact(self.n)) {
            *y = crate::vector::dot_chunk(row, x);
        }
        Ok(())
    }
}

impl SymmetricOperator for DenseOperator {}
