//! Buffers a thread reuses between kernel calls.

use super::winograd::Segment;

/// Reusable buffers of one thread; grows to the largest convolution it has seen.
#[derive(Clone, Debug)]
pub struct Scratch<T> {
    /// Padded sources of a chunk of images.
    pub(super) padded: [Vec<T>; 2],
    /// Output gradients with channels padded to whole vectors, or products of Winograd's algorithm.
    pub(super) channels: [Vec<T>; 2],
    /// One row of zeros, for rows outside an image.
    pub(super) zeros: Vec<T>,
    /// Sums in Winograd's domain.
    pub(super) sums: Vec<T>,
    /// Tiles of the current block of Winograd's algorithm.
    pub(super) segments: Vec<Segment>,
    /// Source and output offset of every pixel of a chunk.
    pub(super) offsets: Vec<[usize; 2]>,
}

impl<T> Scratch<T> {
    /// Empty buffers.
    #[must_use]
    pub fn new() -> Self {
        Scratch {
            padded: [Vec::new(), Vec::new()],
            channels: [Vec::new(), Vec::new()],
            zeros: Vec::new(),
            sums: Vec::new(),
            segments: Vec::new(),
            offsets: Vec::new(),
        }
    }
}

impl<T> Default for Scratch<T> {
    fn default() -> Self {
        Scratch::new()
    }
}
