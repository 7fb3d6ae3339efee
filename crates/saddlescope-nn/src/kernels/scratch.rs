//! Buffers a thread reuses between kernel calls.

use super::winograd::Segment;
use crate::aligned::AlignedVec;

/// Reusable buffers of one thread; grows to the largest convolution it has seen.
#[derive(Clone, Debug)]
pub struct Scratch<T> {
    /// Padded sources of a chunk of images.
    pub(super) padded: [AlignedVec<T>; 2],
    /// Output gradients with channels padded to whole vectors, or products of Winograd's algorithm.
    pub(super) channels: [AlignedVec<T>; 2],
    /// One row of zeros, for rows outside an image.
    pub(super) zeros: AlignedVec<T>,
    /// Sums in Winograd's domain.
    pub(super) sums: AlignedVec<T>,
    /// A strip of the left factor of a matrix product.
    pub(super) left: AlignedVec<T>,
    /// Panels of the right factor.
    pub(super) panels: AlignedVec<T>,
    /// A strip of the left factor and panels of the right one in pieces of 16 bits, for the matrix instructions.
    pub(super) tiles: [AlignedVec<f32>; 2],
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
            padded: [AlignedVec::new(), AlignedVec::new()],
            channels: [AlignedVec::new(), AlignedVec::new()],
            zeros: AlignedVec::new(),
            sums: AlignedVec::new(),
            left: AlignedVec::new(),
            panels: AlignedVec::new(),
            tiles: [AlignedVec::new(), AlignedVec::new()],
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
