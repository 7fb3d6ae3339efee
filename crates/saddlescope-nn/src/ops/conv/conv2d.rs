//! Convolution.

use super::{FILTER, Passes, X, check_bias, extent, image_shape, split};
use crate::kernels::{ConvGeometry, ConvShape, Filter};
use crate::op::{Context, Op, OpInfo, Packed, Reads, ShapeError, Slots};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

const NAME: &str = "Conv";

/// `y[n, i, j, o] = b[o] + Σ_{u, v, c} x[n, i s₀ + u d₀ − top, j s₁ + v d₁ − left, c] W[u, v, c, o]`, zero outside the
/// image: PyTorch's `conv2d` and ONNX `Conv` (a correlation), channels last.
///
/// Inputs: x `[n, h, w, in]`, W `[kh, kw, in/groups, out]`, and b `[out]`, which may be left out. Output
/// `[n, ho, wo, out]` with ho = ⌊(h + top + bottom − d₀ (kh − 1) − 1) / s₀⌋ + 1. A one-dimensional convolution has
/// x `[n, l, in]`, W `[k, in/groups, out]` and uses the second entry of each pair (left and right of `pad`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// Steps down and across.
    pub stride: [usize; 2],
    /// Zeros added: top, left, bottom, right.
    pub pad: [usize; 4],
    /// Distances between taps.
    pub dilation: [usize; 2],
    /// Groups of channels convolved apart.
    pub groups: usize,
}

impl Default for Conv2d {
    /// Stride 1, no padding, dense, one group.
    fn default() -> Self {
        Self { stride: [1; 2], pad: [0; 4], dilation: [1; 2], groups: 1 }
    }
}

impl Conv2d {
    fn shape(&self, x: &[usize], w: &[usize]) -> Result<ConvShape, ShapeError> {
        let (c_in, c_out, rank) = (x[x.len() - 1], w[w.len() - 1], x.len());
        if rank == 3 && (self.pad[0] != 0 || self.pad[2] != 0) {
            return Err(ShapeError::new(NAME, "a one-dimensional image has no top and bottom to pad"));
        }
        if self.groups == 0 || w[rank - 2].checked_mul(self.groups) != Some(c_in) {
            let message = format!(
                "filter {w:?} expects {} channels in each of {} groups, x {x:?} has {c_in} in all",
                w[rank - 2],
                self.groups
            );
            return Err(ShapeError::new(NAME, message));
        }
        let line = rank == 3;
        Ok(ConvShape {
            n: x[0],
            input: extent(x, 1),
            c_in,
            c_out,
            kernel: extent(w, 0),
            stride: if line { [1, self.stride[1]] } else { self.stride },
            pad: self.pad,
            dilation: if line { [1, self.dilation[1]] } else { self.dilation },
            groups: self.groups,
        })
    }

    fn geometry(&self, x: &[usize], w: &[usize]) -> Result<ConvGeometry, ShapeError> {
        ConvGeometry::new(self.shape(x, w)?).map_err(|e| ShapeError::new(NAME, e.to_string()))
    }

    fn passes<T: Scalar>(&self, c: &Context<'_, T>, scratch: &mut Scratch<T>) -> Passes {
        Passes::new(self.shape(c.inputs[X].shape, c.inputs[FILTER].shape), false, scratch)
    }
}

impl OpInfo for Conv2d {
    fn name(&self) -> &'static str {
        NAME
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let (x, w, b) = split(NAME, inputs)?;
        let channels = w[w.len() - 1];
        check_bias(NAME, b, channels)?;
        Ok(image_shape(x.len(), x[0], self.geometry(x, w)?.output(), channels))
    }

    fn reads(&self) -> Reads {
        Reads { inputs: 0b11, output: false }
    }

    fn flops(&self, inputs: &[&[usize]], _output: &[usize]) -> u64 {
        self.geometry(inputs[0], inputs[1]).map_or(0, |g| g.flops() as u64)
    }
}

impl<T: Scalar> Op<T> for Conv2d {
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
    use crate::testkit::{OpCheck, check_op};

    #[test]
    fn derivatives_match_finite_differences() {
        let plain = Conv2d::default();
        let cases: [(Conv2d, &[usize], &[usize]); 7] = [
            (plain, &[2, 4, 5, 3], &[1, 1, 3, 5]),
            (Conv2d { pad: [1; 4], ..plain }, &[2, 5, 4, 3], &[3, 3, 3, 7]),
            (Conv2d { stride: [2, 2], pad: [1; 4], ..plain }, &[2, 5, 6, 3], &[3, 3, 3, 4]),
            (
                Conv2d { stride: [2, 1], pad: [0, 1, 2, 3], dilation: [1, 2], ..plain },
                &[1, 5, 6, 2],
                &[2, 3, 2, 3],
            ),
            (Conv2d { pad: [1; 4], groups: 2, ..plain }, &[2, 4, 4, 4], &[3, 3, 2, 6]),
            (Conv2d { pad: [1; 4], groups: 5, ..plain }, &[2, 4, 4, 5], &[3, 3, 1, 5]),
            (Conv2d { stride: [1, 2], pad: [0, 2, 0, 1], ..plain }, &[2, 7, 3], &[3, 3, 4]),
        ];
        for (op, x, w) in cases {
            check_op(&op, &[x, w]).unwrap_or_else(|e| panic!("{op:?} {x:?} {w:?}: {e}"));
            let bias = &w[w.len() - 1..];
            check_op(&op, &[x, w, bias]).unwrap_or_else(|e| panic!("{op:?} {x:?} {w:?}: {e}"));
            OpCheck::new(&op, &[x, w]).constant(0).run().unwrap();
            OpCheck::new(&op, &[x, w]).constant(1).run().unwrap();
        }
    }

    #[test]
    fn is_a_correlation() {
        // One row 1 2 3 with taps 1 10 100: 1 + 20 + 300.
        let op = Conv2d::default();
        let geometry = op.geometry(&[1, 1, 3, 1], &[1, 3, 1, 1]).unwrap();
        let filter = Filter::pack(&geometry, &[1.0, 10.0, 100.0]);
        let mut y = [0.0];
        let passes = Passes { geometry: geometry.into(), transposed: false };
        passes.product((&[1.0, 2.0, 3.0], &filter), None, &mut y, false, &mut Scratch::new());
        assert_eq!(y, [321.0]);
    }

    #[test]
    fn shapes_are_checked() {
        let op = Conv2d { pad: [1; 4], ..Conv2d::default() };
        let x: &[usize] = &[2, 5, 5, 4];
        assert_eq!(op.infer(&[x, &[3, 3, 4, 8]]).unwrap(), [2, 5, 5, 8]);
        assert_eq!(op.flops(&[x, &[3, 3, 4, 8]], &[2, 5, 5, 8]), 2 * 2 * 25 * 9 * 4 * 8);
        assert!(op.infer(&[x, &[3, 3, 3, 8]]).is_err());
        assert!(op.infer(&[x, &[8, 8, 4, 8]]).is_err());
        assert!(op.infer(&[x, &[3, 3, 4, 8], &[7]]).is_err());
        assert!(op.infer(&[&[2, 5, 4], &[3, 4, 8]]).is_err(), "no top to pad");
        assert!(Conv2d { groups: 0, ..op }.infer(&[x, &[3, 3, 4, 8]]).is_err());
        assert!(Conv2d { groups: 2, ..op }.infer(&[x, &[3, 3, 2, 7]]).is_err());
        assert!(Conv2d { stride: [0, 1], ..op }.infer(&[x, &[3, 3, 4, 8]]).is_err());
    }
}
