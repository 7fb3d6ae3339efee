//! Arrays that begin at a cache line.

use std::ops::{Deref, DerefMut};

use crate::scalar::Scalar;

/// Bytes of a cache line, and of the widest vector.
const LINE: usize = 64;

/// An array whose first number lies at the beginning of a cache line. Purely for speed: a full-width access that
/// straddles cache lines costs double, and the allocator aligns to 16 bytes only.
#[derive(Debug)]
pub struct AlignedVec<T> {
    /// The numbers, after a gap to the next cache line.
    data: Vec<T>,
    origin: usize,
    len: usize,
}

impl<T> AlignedVec<T> {
    /// No numbers.
    #[must_use]
    pub const fn new() -> Self {
        Self { data: Vec::new(), origin: 0, len: 0 }
    }
}

impl<T> Default for AlignedVec<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Scalar> AlignedVec<T> {
    /// `len` zeros.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        let data = vec![T::ZERO; len + LINE / size_of::<T>()];
        let origin = gap(&data);
        Self { data, origin, len }
    }

    /// How long it can be made without new memory.
    pub fn capacity(&self) -> usize {
        self.data.len() - self.origin
    }

    /// Makes the array `len` long. Its contents are then unspecified.
    pub fn set_len(&mut self, len: usize) {
        if self.origin + len > self.data.len() {
            *self = Self::zeroed(len);
        }
        self.len = len;
    }

    /// Makes the array at least `len` long. If it was shorter, its contents are then unspecified.
    pub fn grow(&mut self, len: usize) {
        if self.len < len {
            self.set_len(len);
        }
    }
}

impl<T> Deref for AlignedVec<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        &self.data[self.origin..self.origin + self.len]
    }
}

impl<T> DerefMut for AlignedVec<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.data[self.origin..self.origin + self.len]
    }
}

impl<'a, T> IntoIterator for &'a AlignedVec<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut AlignedVec<T> {
    type Item = &'a mut T;
    type IntoIter = std::slice::IterMut<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl<T: Clone> Clone for AlignedVec<T> {
    fn clone(&self) -> Self {
        let mut data = self.data.clone();
        let origin = gap(&data);
        // The copy may lie differently on its cache lines; there is always room for the gap.
        if origin >= self.origin {
            data.rotate_right(origin - self.origin);
        } else {
            data.rotate_left(self.origin - origin);
        }
        Self { data, origin, len: self.len }
    }
}

/// Numbers before the first one that lies at the beginning of a cache line. A platform that cannot say where that is gets a
/// slower array, not a wrong one.
fn gap<T>(data: &[T]) -> usize {
    data.as_ptr().align_offset(LINE).min(LINE / size_of::<T>()).min(data.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begins_at_a_cache_line_at_every_length() {
        let mut v: AlignedVec<f32> = AlignedVec::new();
        assert!(v.is_empty());
        for len in [1, 3, 1000, 17, 100_000] {
            v.set_len(len);
            v.fill(1.0);
            assert_eq!((v.len(), v.as_ptr() as usize % LINE), (len, 0));
            let copy = v.clone();
            assert_eq!((copy.as_ptr() as usize % LINE, &*copy), (0, &*v));
            v.grow(len / 2);
            assert_eq!(v.len(), len);
        }
        let zeros = AlignedVec::<f64>::zeroed(9);
        assert_eq!(*zeros, [0.0; 9]);
    }
}
