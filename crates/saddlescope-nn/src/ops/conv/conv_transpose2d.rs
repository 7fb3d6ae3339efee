//! Transposed convolution.

use super::{FILTER, Passes, X, check_bias, extent, image_shape, split};
use crate::kernels::{ConvGeometry, ConvShape, Filter};
use crate::op::{Context, Op, OpInfo, Packed, Reads, ShapeError, Slots};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

const NAME: &str = "ConvTranspose";

/// The adjoint, in the image, of a [`Conv2d`](super::Conv2d) from `out` to `in` channels: PyTorch's
/// `conv_transpose2d` and ONNX `ConvTranspose`, channels last.
///
/// Inputs: x `[n, h, w, in]`, W `[kh, kw, out/groups, in]` (PyTorch's `[in, out/groups, kh, kw]` with its axes in the
/// order 2, 3, 1, 0), and b `[out]`, which may be left out. Output `[n, ho, wo, out]` with
/// ho = (h − 1) s₀ − top − bottom + d₀ (kh − 1) + output_pad₀ + 1. One-dimensional images as for
/// [`Conv2d`](super::Conv2d).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvTranspose2d {
    /// Steps of the convolution whose adjoint this is, down and across.
    pub stride: [usize; 2],
    /// Its padding: top, left, bottom, right.
    pub pad: [usize; 4],
    /// Distances between taps.
    pub dilation: [usize; 2],
    /// Groups of channels kept apart.
    pub groups: usize,
    /// Rows and columns added at the bottom and the right, each less than the stride.
    pub output_pad: [usize; 2],
}

impl Default for ConvTranspose2d {
    /// Stride 1, no padding, dense, one group.
    fn default() -> Self {
        Self { stride: [1; 2], pad: [0; 4], dilation: [1; 2], groups: 1, output_pad: [0; 2] }
    }
}

impl ConvTranspose2d {
    /// Length of the output along one axis.
    fn length(&self, axis: usize, input: usize, kernel: usize) -> Option<usize> {
        let reach = self.dilation[axis].checked_mul(kernel.checked_sub(1)?)?;
        let full = input.checked_sub(1)?.checked_mul(self.stride[axis])?.checked_add(reach)?;
        let full = full.checked_add(self.output_pad[axis])?.checked_add(1)?;
        full.checked_sub(self.pad[axis].checked_add(self.pad[axis + 2])?)
    }

    /// The convolution whose adjoint this is.
    fn shape(&self, x: &[usize], w: &[usize]) -> Result<ConvShape, ShapeError> {
        let error = |message: String| ShapeError::new(NAME, message);
        let rank = x.len();
        let line = rank == 3;
        let op = if line {
            let mut op = *self;
            (op.stride[0], op.dilation[0]) = (1, 1);
            op
        } else {
            *self
        };
        if line && (op.pad[0] != 0 || op.pad[2] != 0 || op.output_pad[0] != 0) {
            return Err(error("a one-dimensional image has no top and bottom to pad".into()));
        }
        if w[rank - 1] != x[rank - 1] {
            return Err(error(format!("filter {w:?} expects {} channels, x {x:?} has others", w[rank - 1])));
        }
        let (small, kernel) = (extent(x, 1), extent(w, 0));
        let lengths = [0, 1].map(|a| op.length(a, small[a], kernel[a]));
        let ([Some(h), Some(width)], Some(c_out)) = (lengths, w[rank - 2].checked_mul(op.groups)) else {
            return Err(error(format!("the output of x {x:?} and filter {w:?} would have no size: {op:?}")));
        };
        Ok(ConvShape {
            n: x[0],
            input: [h, width],
            c_in: c_out,
            c_out: x[rank - 1],
            kernel,
            stride: op.stride,
            pad: op.pad,
            dilation: op.dilation,
            groups: op.groups,
        })
    }

    fn geometry(&self, x: &[usize], w: &[usize]) -> Result<ConvGeometry, ShapeError> {
        let error = |message: String| ShapeError::new(NAME, message);
        let geometry = ConvGeometry::new(self.shape(x, w)?).map_err(|e| error(e.to_string()))?;
        if geometry.output() != extent(x, 1) {
            return Err(error(format!(
                "output_pad {:?} must be less than the stride {:?}",
                self.output_pad, self.stride
            )));
        }
        Ok(geometry)
    }

    fn passes<T: Scalar>(&self, c: &Context<'_, T>, scratch: &mut Scratch<T>) -> Passes {
        Passes::new(self.shape(c.inputs[X].shape, c.inputs[FILTER].shape), true, scratch)
    }
}

impl OpInfo for ConvTranspose2d {
    fn name(&self) -> &'static str {
        NAME
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let (x, w, b) = split(NAME, inputs)?;
        let shape = self.geometry(x, w)?.shape();
        check_bias(NAME, b, shape.c_in)?;
        Ok(image_shape(x.len(), x[0], shape.input, shape.c_in))
    }

    fn reads(&self) -> Reads {
        Reads { inputs: 0b11, output: false }
    }

    fn flops(&self, inputs: &[&[usize]], _output: &[usize]) -> u64 {
        self.geometry(inputs[0], inputs[1]).map_or(0, |g| g.flops() as u64)
    }
}

impl<T: Scalar> Op<T> for ConvTranspose2d {
    fn pack(&self, shapes: &[&[usize]], i: usize, value: &[T]) -> Option<Packed> {
        if i != FILTER {
            return None;
        }
        let geometry = self.geometry(shapes[0], shapes[1]).ok()?;
        Some(Box::new(Filter::pack(&geometry, value)))
    }

    fn packed_len(&self, shapes: &[&[usize]], i: usize) -> usize {
        let geometry = self.geometry(shapes[0], shapes[1]);
        if i == FILTER { geometry.map_or(0, |g| Filter::<T>::packed_len(&g)) } else { 0 }
    }

    fn sums_len(&self, shapes: &[&[usize]]) -> usize {
        self.geometry(shapes[0], shapes[1]).map_or(0, |g| Filter::<T>::adjoint_sums_len(&g))
    }

    fn forward(&self, c: &Context<'_, T>, y: &mut [T], scratch: &mut Scratch<T>) {
        super::forward(&self.passes(c, scratch), c, y, scratch);
    }

    fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], scratch: &mut Scratch<T>) {
        super::tangent(&self.passes(c, scratch), c, dy, scratch);
    }

    fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, scratch: &mut Scratch<T>) {
        super::adjoint(&self.passes(c, scratch), c, gx, scratch);
    }

    fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, scratch: &mut Scratch<T>) {
        super::adjoint_tangent(&self.passes(c, scratch), c, dgx, scratch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::check_op;

    #[test]
    fn derivatives_match_finite_differences() {
        let plain = ConvTranspose2d::default();
        let cases: [(ConvTranspose2d, &[usize], &[usize]); 4] = [
            (plain, &[2, 2, 3, 3], &[3, 2, 4, 3]),
            (
                ConvTranspose2d { stride: [2, 3], pad: [1, 0, 0, 1], output_pad: [1, 2], ..plain },
                &[2, 3, 2, 4],
                &[3, 3, 5, 4],
            ),
            (ConvTranspose2d { groups: 2, dilation: [2, 1], ..plain }, &[1, 3, 2, 4], &[2, 3, 3, 4]),
            (ConvTranspose2d { stride: [1, 2], pad: [0, 1, 0, 1], ..plain }, &[2, 4, 3], &[4, 2, 3]),
        ];
        for (op, x, w) in cases {
            check_op(&op, &[x, w]).unwrap_or_else(|e| panic!("{op:?} {x:?} {w:?}: {e}"));
            let bias = [w[w.len() - 2] * op.groups];
            check_op(&op, &[x, w, &bias]).unwrap_or_else(|e| panic!("{op:?} {x:?} {w:?}: {e}"));
        }
    }

    #[test]
    fn shapes_are_pytorchs() {
        // nn.ConvTranspose2d(16, 8, 3, stride=2, padding=1, output_padding=1) doubles the image.
        let op = ConvTranspose2d { stride: [2; 2], pad: [1; 4], output_pad: [1; 2], ..Default::default() };
        assert_eq!(op.infer(&[&[1, 7, 5, 16], &[3, 3, 8, 16]]).unwrap(), [1, 14, 10, 8]);
        assert!(op.infer(&[&[1, 7, 5, 15], &[3, 3, 8, 16]]).is_err());
        assert!(
            ConvTranspose2d { output_pad: [2; 2], ..op }.infer(&[&[1, 7, 5, 16], &[3, 3, 8, 16]]).is_err()
        );
        assert!(ConvTranspose2d { pad: [9; 4], ..op }.infer(&[&[1, 2, 2, 16], &[3, 3, 8, 16]]).is_err());
    }
}
