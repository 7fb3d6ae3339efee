//! Shapes of a two-dimensional convolution, checked once, and the loops its three passes run.

use super::plan::Correlation;
use super::shape::ConvShape;

/// Why a convolution's shape is not possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GeometryError {
    /// A size, stride, dilation or group count is 0.
    #[error("convolution: {what} is 0; it must be at least 1")]
    Zero {
        /// Name of the parameter.
        what: &'static str,
    },
    /// Channels cannot be split evenly into groups.
    #[error("convolution: {channels} {what} cannot be split into {groups} groups")]
    Groups {
        /// Input or output channels.
        what: &'static str,
        /// Number of channels found.
        channels: usize,
        /// Number of groups asked for.
        groups: usize,
    },
    /// The dilated kernel is larger than the padded input.
    #[error(
        "convolution: along {axis} the dilated kernel covers {kernel} pixels, the padded input has only {input}"
    )]
    KernelTooLarge {
        /// Height or width.
        axis: &'static str,
        /// Extent of the dilated kernel, pixels.
        kernel: usize,
        /// Extent of the padded input, pixels.
        input: usize,
    },
    /// A product or sum of sizes does not fit the address space.
    #[error("convolution: sizes are too large for this machine (overflow in {what})")]
    Overflow {
        /// Quantity that overflowed.
        what: &'static str,
    },
}

/// Shape of a two-dimensional convolution: activations NHWC, filters HWIO.
///
/// y\[n, oy, ox, co\] = Σ x\[n, oy·sy − top + ky·dy, ox·sx − left + kx·dx, ci\] · w\[ky, kx, ci, co\], with zeros
/// outside the image.
#[derive(Clone, Debug)]
pub struct ConvGeometry {
    n: usize,
    pub(super) h: usize,
    pub(super) w: usize,
    pub(super) c_in: usize,
    pub(super) c_out: usize,
    pub(super) kh: usize,
    pub(super) kw: usize,
    pub(super) stride: [usize; 2],
    pub(super) pad: [usize; 4],
    pub(super) dilation: [usize; 2],
    pub(super) groups: usize,
    pub(super) ho: usize,
    pub(super) wo: usize,
    pub(super) forward: Correlation,
    pub(super) adjoint: Correlation,
}

impl ConvGeometry {
    /// Checks a shape and derives the output size.
    ///
    /// # Errors
    /// [`GeometryError`] if a size is 0, channels do not divide into groups, the kernel does not fit the padded image,
    /// or a size overflows.
    pub fn new(shape: ConvShape) -> Result<Self, GeometryError> {
        let ConvShape { n, input: [h, w], c_in, c_out, kernel: [kh, kw], stride, pad, dilation, groups } =
            shape;
        for (what, value) in [
            ("number of images", n),
            ("input height", h),
            ("input width", w),
            ("number of input channels", c_in),
            ("number of output channels", c_out),
            ("kernel height", kh),
            ("kernel width", kw),
            ("vertical stride", stride[0]),
            ("horizontal stride", stride[1]),
            ("vertical dilation", dilation[0]),
            ("horizontal dilation", dilation[1]),
            ("number of groups", groups),
        ] {
            if value == 0 {
                return Err(GeometryError::Zero { what });
            }
        }
        for (what, channels) in [("input channels", c_in), ("output channels", c_out)] {
            if channels % groups != 0 {
                return Err(GeometryError::Groups { what, channels, groups });
            }
        }
        let ho = output_extent("the height", h, kh, stride[0], dilation[0], pad[0], pad[2])?;
        let wo = output_extent("the width", w, kw, stride[1], dilation[1], pad[1], pad[3])?;
        // Every array the kernels index, with the vector padding and slack they add, must fit isize bytes.
        let limit = (isize::MAX as usize) / 1024;
        for (what, sizes) in [
            ("the padded input", [n, h + pad[0] + pad[2], w + pad[1] + pad[3], c_in]),
            ("the output", [n, ho, wo, c_out]),
            ("the filter", [kh, kw, c_in, c_out]),
            ("the padded output", [n, h + kh * dilation[0] + ho, w + kw * dilation[1] + wo, c_out]),
        ] {
            let size = sizes.iter().try_fold(1_usize, |product, &s| product.checked_mul(s));
            if size.is_none_or(|size| size > limit) {
                return Err(GeometryError::Overflow { what });
            }
        }
        Ok(ConvGeometry {
            n,
            h,
            w,
            c_in,
            c_out,
            kh,
            kw,
            stride,
            pad,
            dilation,
            groups,
            ho,
            wo,
            forward: Correlation::forward(&shape, [ho, wo]),
            adjoint: Correlation::adjoint(&shape, [ho, wo]),
        })
    }

    /// The same convolution on `n` images (`n` ≥ 1).
    ///
    /// # Errors
    /// [`GeometryError`] if `n` is 0 or a size overflows.
    pub fn with_batch(&self, n: usize) -> Result<Self, GeometryError> {
        ConvGeometry::new(ConvShape { n, ..self.shape() })
    }

    /// The parameters this geometry was made from.
    #[must_use]
    pub fn shape(&self) -> ConvShape {
        ConvShape {
            n: self.n,
            input: [self.h, self.w],
            c_in: self.c_in,
            c_out: self.c_out,
            kernel: [self.kh, self.kw],
            stride: self.stride,
            pad: self.pad,
            dilation: self.dilation,
            groups: self.groups,
        }
    }

    /// Images.
    #[must_use]
    pub fn n(&self) -> usize {
        self.n
    }

    /// Output height and width, pixels.
    #[must_use]
    pub fn output(&self) -> [usize; 2] {
        [self.ho, self.wo]
    }

    /// Numbers in the input: n·h·w·c_in.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.n * self.h * self.w * self.c_in
    }

    /// Numbers in the output: n·ho·wo·c_out.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.n * self.ho * self.wo * self.c_out
    }

    /// Numbers in the filter: kh·kw·(c_in/groups)·c_out.
    #[must_use]
    pub fn filter_len(&self) -> usize {
        self.kh * self.kw * (self.c_in / self.groups) * self.c_out
    }

    /// Floating-point operations of one pass, multiplications and additions counted separately, padding included.
    #[must_use]
    pub fn flops(&self) -> f64 {
        2.0 * self.output_len() as f64 * (self.kh * self.kw * (self.c_in / self.groups)) as f64
    }

    /// One input and one output channel per group.
    pub(super) fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.c_in && self.groups == self.c_out
    }
}

fn output_extent(
    axis: &'static str,
    input: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    before: usize,
    after: usize,
) -> Result<usize, GeometryError> {
    let overflow = GeometryError::Overflow { what: axis };
    let padded = input.checked_add(before).and_then(|s| s.checked_add(after)).ok_or(overflow.clone())?;
    let extent = (kernel - 1).checked_mul(dilation).and_then(|s| s.checked_add(1)).ok_or(overflow.clone())?;
    // Signed index arithmetic below needs headroom.
    if padded > isize::MAX as usize / 8
        || extent > isize::MAX as usize / 8
        || stride > isize::MAX as usize / 8
    {
        return Err(overflow);
    }
    if extent > padded {
        return Err(GeometryError::KernelTooLarge { axis, kernel: extent, input: padded });
    }
    Ok((padded - extent) / stride + 1)
}
