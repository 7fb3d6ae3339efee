//! Buffers a thread reuses between kernel calls.

/// Reusable buffers of one thread; grows to the largest convolution it has seen.
#[derive(Clone, Debug)]
pub struct Scratch<T> {
    /// Padded sources of a chunk of images.
    pub(super) padded: [Vec<T>; 2],
    /// Output gradients with channels padded to whole vectors.
    pub(super) channels: [Vec<T>; 2],
    /// Source and output offset of every pixel of a chunk.
    pub(super) offsets: Vec<[usize; 2]>,
}

impl<T> Scratch<T> {
    /// Empty buffers.
    #[must_use]
    pub fn new() -> Self {
        Scratch { padded: [Vec::new(), Vec::new()], channels: [Vec::new(), Vec::new()], offsets: Vec::new() }
    }
}

impl<T> Default for Scratch<T> {
    fn default() -> Self {
        Scratch::new()
    }
}
