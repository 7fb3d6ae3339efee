//! Exchange of channels for space and back.

use super::axes::single;
use super::movement::{Move, Movement, Moves, movement_op};
use super::strided::{View, row_major};
use crate::op::{OpInfo, Reads, ShapeError};

/// Where an image's channels are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelAxis {
    /// `[batch, channels, height, width]`.
    First,
    /// `[batch, height, width, channels]`.
    Last,
}

/// How a block's places lie among the channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockOrder {
    /// Input channel (row · block + column) · C + c (ONNX mode `DCR`, its default, and `SpaceToDepth`).
    PlaceFirst,
    /// Input channel c · block² + row · block + column (ONNX mode `CRD`, PyTorch `pixel_shuffle`).
    ChannelFirst,
}

/// Blocks of channels become blocks of pixels: C·b² channels of h × w to C of hb × wb (ONNX `DepthToSpace`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepthToSpace {
    block: usize,
    order: BlockOrder,
    axis: ChannelAxis,
}

/// Blocks of pixels become channels, the inverse of [`DepthToSpace`] (ONNX `SpaceToDepth` with
/// [`BlockOrder::PlaceFirst`], PyTorch `pixel_unshuffle` with [`BlockOrder::ChannelFirst`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpaceToDepth {
    inverse: DepthToSpace,
}

impl DepthToSpace {
    /// With blocks of `block` × `block` pixels.
    pub fn new(block: usize, order: BlockOrder, axis: ChannelAxis) -> Self {
        Self { block, order, axis }
    }

    /// Batch, height, width and channels of an image shape.
    fn image(&self, shape: &[usize]) -> Option<[usize; 4]> {
        match (self.axis, shape) {
            (ChannelAxis::First, &[n, c, h, w]) | (ChannelAxis::Last, &[n, h, w, c]) => Some([n, h, w, c]),
            _ => None,
        }
    }

    fn shape(&self, [n, h, w, c]: [usize; 4]) -> Vec<usize> {
        match self.axis {
            ChannelAxis::First => vec![n, c, h, w],
            ChannelAxis::Last => vec![n, h, w, c],
        }
    }

    fn refuse(&self, op: &'static str, shape: &[usize]) -> ShapeError {
        let message =
            format!("{shape:?} is no image with channels {:?} that fits blocks of {}", self.axis, self.block);
        ShapeError::new(op, message)
    }

    /// The one copy, from shape `deep` with many channels to shape `wide` with many pixels: its extent
    /// [batch, height, row in block, width, column in block, channel], and both views.
    fn views(&self, deep: &[usize], wide: &[usize]) -> (Vec<usize>, View, View) {
        let image = |shape: &[usize]| self.image(shape).unwrap_or_default();
        let strides = |shape: &[usize]| {
            let s: Vec<usize> = row_major(shape).iter().map(|&s| s as usize).collect();
            image(&s)
        };
        let ([n, h, w, _], [.., c], b) = (image(deep), image(wide), self.block);
        let (d, s) = (strides(deep).map(|s| s as isize), strides(wide).map(|s| s as isize));
        let (block, channels) = (b as isize, c as isize);
        let (row, column, channel) = match self.order {
            BlockOrder::PlaceFirst => (block * channels * d[3], channels * d[3], d[3]),
            BlockOrder::ChannelFirst => (block * d[3], d[3], block * block * d[3]),
        };
        let from = View { offset: 0, strides: vec![d[0], d[1], row, d[2], column, channel] };
        let to = View { offset: 0, strides: vec![s[0], block * s[1], s[1], block * s[2], s[2], s[3]] };
        (vec![n, h, b, w, b, c], from, to)
    }
}

impl SpaceToDepth {
    /// With blocks of `block` × `block` pixels.
    pub fn new(block: usize, order: BlockOrder, axis: ChannelAxis) -> Self {
        Self { inverse: DepthToSpace::new(block, order, axis) }
    }
}

impl OpInfo for DepthToSpace {
    fn name(&self) -> &'static str {
        "DepthToSpace"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let x = single(self.name(), inputs)?;
        let error = || self.refuse("DepthToSpace", x);
        let [n, h, w, c] = self.image(x).ok_or_else(error)?;
        let area = self.block.checked_mul(self.block).filter(|&a| a > 0).ok_or_else(error)?;
        let sides = h.checked_mul(self.block).zip(w.checked_mul(self.block));
        match sides {
            Some((h, w)) if c.is_multiple_of(area) => Ok(self.shape([n, h, w, c / area])),
            _ => Err(error()),
        }
    }

    fn reads(&self) -> Reads {
        Reads::NONE
    }
}

impl OpInfo for SpaceToDepth {
    fn name(&self) -> &'static str {
        "SpaceToDepth"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let x = single(self.name(), inputs)?;
        let (op, b) = (self.inverse, self.inverse.block);
        let error = || op.refuse("SpaceToDepth", x);
        let [n, h, w, c] = op.image(x).ok_or_else(error)?;
        let deep = b.checked_mul(b).and_then(|area| c.checked_mul(area));
        match deep {
            Some(deep) if b > 0 && h.is_multiple_of(b) && w.is_multiple_of(b) => {
                Ok(op.shape([n, h / b, w / b, deep]))
            }
            _ => Err(error()),
        }
    }

    fn reads(&self) -> Reads {
        Reads::NONE
    }
}

impl Movement for DepthToSpace {
    fn moves(&self, x: &[usize], y: &[usize]) -> Moves {
        let (shape, x, y) = self.views(x, y);
        Moves { list: vec![Move { shape, x, y }], fill: None, bijective: true }
    }
}

impl Movement for SpaceToDepth {
    fn moves(&self, x: &[usize], y: &[usize]) -> Moves {
        let (shape, y, x) = self.inverse.views(y, x);
        Moves { list: vec![Move { shape, x, y }], fill: None, bijective: true }
    }
}

movement_op!(DepthToSpace);
movement_op!(SpaceToDepth);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::strided::copy;
    use crate::testkit::check_op;

    #[test]
    fn derivatives_match_finite_differences() {
        for order in [BlockOrder::PlaceFirst, BlockOrder::ChannelFirst] {
            let first = ChannelAxis::First;
            check_op(&DepthToSpace::new(2, order, first), &[&[3, 12, 5, 2]]).unwrap();
            check_op(&DepthToSpace::new(3, order, ChannelAxis::Last), &[&[2, 3, 5, 18]]).unwrap();
            check_op(&SpaceToDepth::new(2, order, first), &[&[3, 5, 4, 6]]).unwrap();
            check_op(&SpaceToDepth::new(3, order, ChannelAxis::Last), &[&[2, 3, 6, 5]]).unwrap();
        }
    }

    fn values(op: &impl Movement, shape: &[usize], x: &[f64]) -> Vec<f64> {
        let y = op.infer(&[shape]).unwrap();
        let mut out = vec![f64::NAN; x.len()];
        for m in &op.moves(shape, &y).list {
            copy(&m.shape, x, &m.x, &mut out, &m.y, false);
        }
        out
    }

    #[test]
    fn values_are_onnxs() {
        // One pixel of 8 channels, blocks of 2, two channels of 2 × 2: by the formulas of the ONNX operator,
        // reshape to [1, 2, 2, C, h, w] (DCR) or [1, C, 2, 2, h, w] (CRD) and transpose.
        let x: Vec<f64> = (0..8).map(f64::from).collect();
        let shuffle = |order| DepthToSpace::new(2, order, ChannelAxis::First);
        let dcr = values(&shuffle(BlockOrder::PlaceFirst), &[1, 8, 1, 1], &x);
        assert_eq!(dcr, [0.0, 2.0, 4.0, 6.0, 1.0, 3.0, 5.0, 7.0]);
        assert_eq!(values(&shuffle(BlockOrder::ChannelFirst), &[1, 8, 1, 1], &x), x);
        let back = SpaceToDepth::new(2, BlockOrder::PlaceFirst, ChannelAxis::First);
        assert_eq!(values(&back, &[1, 2, 2, 2], &dcr), x);
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let op = |block| DepthToSpace::new(block, BlockOrder::PlaceFirst, ChannelAxis::First);
        assert!(op(2).infer(&[&[1, 6, 2, 2]]).is_err());
        assert!(op(0).infer(&[&[1, 8, 2, 2]]).is_err());
        assert!(op(2).infer(&[&[8, 2, 2]]).is_err());
        assert!(op(usize::MAX).infer(&[&[1, 8, 2, 2]]).is_err());
        let back = SpaceToDepth::new(2, BlockOrder::PlaceFirst, ChannelAxis::Last);
        assert!(back.infer(&[&[1, 3, 2, 2]]).is_err());
    }
}
