//! The numbers that describe a two-dimensional convolution.

/// Shape parameters of [`ConvGeometry::new`](super::ConvGeometry::new).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Images.
    pub n: usize,
    /// Input height and width, pixels.
    pub input: [usize; 2],
    /// Input channels.
    pub c_in: usize,
    /// Output channels.
    pub c_out: usize,
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Strides down and across.
    pub stride: [usize; 2],
    /// Zero padding: top, left, bottom, right.
    pub pad: [usize; 4],
    /// Dilations down and across (1 = dense kernel).
    pub dilation: [usize; 2],
    /// Groups; `c_in` for a depthwise convolution.
    pub groups: usize,
}
