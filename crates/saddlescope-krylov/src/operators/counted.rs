//! An operator that counts its products.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{BasisStore, LinearOperator, Precision, ProductError, SymmetricOperator};

/// A, counting how often it was applied: a block of k vectors counts as k products. Products that fail do not count.
#[derive(Debug)]
pub struct Counted<A> {
    inner: A,
    products: AtomicUsize,
    calls: AtomicUsize,
}

impl<A: LinearOperator> Counted<A> {
    /// A with its counters at zero.
    pub fn new(inner: A) -> Self {
        Self { inner, products: AtomicUsize::new(0), calls: AtomicUsize::new(0) }
    }

    /// Matrix-vector products so far.
    pub fn products(&self) -> usize {
        self.products.load(Ordering::Relaxed)
    }

    /// Calls so far, a block counting once.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// Sets both counters to zero.
    pub fn reset(&self) {
        self.products.store(0, Ordering::Relaxed);
        self.calls.store(0, Ordering::Relaxed);
    }
}

impl<A: LinearOperator> LinearOperator for Counted<A> {
    fn nrows(&self) -> usize {
        self.inner.nrows()
    }

    fn ncols(&self) -> usize {
        self.inner.ncols()
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) -> Result<(), ProductError> {
        self.inner.apply(x, y)?;
        self.products.fetch_add(1, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn apply_block(&self, xs: &[f64], ys: &mut [f64]) -> Result<(), ProductError> {
        self.inner.apply_block(xs, ys)?;
        self.products.fetch_add(xs.len() / self.ncols().max(1), Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl<A: SymmetricOperator> SymmetricOperator for Counted<A> {
    fn new_basis(&self, precision: Precision) -> Result<Box<dyn BasisStore>, ProductError> {
        self.inner.new_basis(precision)
    }
}
