//! Scratch memory of one thread, lent to operations while they run.

use crate::aligned::AlignedVec;
use crate::scalar::Scalar;

/// Buffers that operations borrow and give back, so that passes do not allocate.
#[derive(Debug, Default)]
pub struct Scratch<T> {
    pool: Vec<AlignedVec<T>>,
    /// Buffers of the kernels.
    pub kernels: crate::kernels::Scratch<T>,
}

impl<T: Scalar> Scratch<T> {
    /// No buffers yet.
    pub fn new() -> Self {
        Self { pool: Vec::new(), kernels: crate::kernels::Scratch::new() }
    }

    /// Lends a buffer of `len` zeros. Give it back with [`Scratch::give`].
    pub fn take_zeroed(&mut self, len: usize) -> AlignedVec<T> {
        let mut buffer = self.take(len);
        buffer.fill(T::ZERO);
        buffer
    }

    /// Lends a buffer of `len` numbers with unspecified contents. Give it back with [`Scratch::give`].
    pub fn take(&mut self, len: usize) -> AlignedVec<T> {
        let mut buffer = self.pool.pop().unwrap_or_default();
        buffer.set_len(len);
        buffer
    }

    /// Takes a buffer back.
    pub fn give(&mut self, buffer: AlignedVec<T>) {
        self.pool.push(buffer);
    }
}
