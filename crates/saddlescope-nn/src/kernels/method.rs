//! The algorithms that a pass of a convolution can be computed with.

/// Algorithm of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Sums of products as written.
    Direct,
    /// F(2×2, 3×3), where possible.
    Winograd2,
    /// F(4×4, 3×3), where possible.
    Winograd4,
}

impl Method {
    /// Outputs of a tile of Winograd's algorithm along an axis.
    pub(super) fn tile(self) -> Option<usize> {
        match self {
            Method::Direct => None,
            Method::Winograd2 => Some(2),
            Method::Winograd4 => Some(4),
        }
    }
}
