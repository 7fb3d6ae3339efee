//! Scratch memory of one thread, lent to operations while they run.

use std::collections::HashMap;
use std::sync::Arc;

use crate::aligned::AlignedVec;
use crate::kernels::{ConvGeometry, ConvShape, GeometryError};
use crate::scalar::Scalar;

/// Buffers that operations borrow and give back, so that passes do not allocate.
#[derive(Debug, Default)]
pub struct Scratch<T> {
    pool: Vec<AlignedVec<T>>,
    /// Buffers of the kernels.
    pub kernels: crate::kernels::Scratch<T>,
    geometries: HashMap<ConvShape, Arc<ConvGeometry>>,
}

impl<T: Scalar> Scratch<T> {
    /// No buffers yet.
    pub fn new() -> Self {
        Self { pool: Vec::new(), kernels: crate::kernels::Scratch::new(), geometries: HashMap::new() }
    }

    /// The geometry of a convolution of this shape, worked out at its first pass.
    ///
    /// # Errors
    /// Those of [`ConvGeometry::new`].
    pub fn geometry(&mut self, shape: ConvShape) -> Result<Arc<ConvGeometry>, GeometryError> {
        if let Some(geometry) = self.geometries.get(&shape) {
            return Ok(geometry.clone());
        }
        let geometry = Arc::new(ConvGeometry::new(shape)?);
        self.geometries.insert(shape, geometry.clone());
        Ok(geometry)
    }

    /// Lends a buffer of `len` zeros. Give it back with [`Scratch::give`].
    pub fn take_zeroed(&mut self, len: usize) -> AlignedVec<T> {
        let mut buffer = self.take(len);
        buffer.fill(T::ZERO);
        buffer
    }

    /// Lends a buffer of `len` numbers with unspecified contents. Give it back with [`Scratch::give`].
    ///
    /// It is the smallest one that is large enough, or the largest, made larger: so no more buffers grow than are large at a time.
    pub fn take(&mut self, len: usize) -> AlignedVec<T> {
        let room = |i: &usize| self.pool[*i].capacity();
        let fitting = (0..self.pool.len()).filter(|i| room(i) >= len).min_by_key(room);
        let chosen = fitting.or_else(|| (0..self.pool.len()).max_by_key(room));
        let mut buffer = chosen.map(|i| self.pool.swap_remove(i)).unwrap_or_default();
        buffer.set_len(len);
        buffer
    }

    /// Takes a buffer back.
    pub fn give(&mut self, buffer: AlignedVec<T>) {
        self.pool.push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_buffer_is_lent_again_for_what_is_large() {
        let mut scratch = Scratch::<f32>::new();
        for _ in 0..3 {
            let (large, small) = (scratch.take(1000), scratch.take(10));
            scratch.give(large);
            scratch.give(small);
            let small = scratch.take(10);
            scratch.give(small);
        }
        let mut sizes: Vec<usize> = scratch.pool.iter().map(AlignedVec::capacity).collect();
        sizes.sort_unstable();
        assert!(sizes.len() == 2 && sizes[0] < 100, "{sizes:?}");
    }
}
