//! The two batch sizes that everything is translated at.

/// One thing for each of the two probe batch sizes.
pub(crate) type Both<T> = [T; 2];

/// The two batch sizes. Neither is 1, which would broadcast.
pub(crate) const PROBES: Both<usize> = [2, 3];
