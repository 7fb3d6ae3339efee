//! Operations that only move elements: every output element is an input element or a constant.
//!
//! Such an operation is a list of strided copies ([`Moves`]). It is affine, so that the tangent is the same copies
//! of the tangents (the constant becomes 0), and both backward passes run them the other way, adding.

use super::strided::{View, copy};
use crate::op::{Context, OpInfo, Slot, Slots, numel};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// One strided copy from the input to the output.
#[derive(Clone, Debug)]
pub(crate) struct Move {
    /// Extent of the copied block; may have more axes than input or output.
    pub shape: Vec<usize>,
    /// The block in the input.
    pub x: View,
    /// The block in the output; no element twice.
    pub y: View,
}

/// The copies that make up an operation.
#[derive(Clone, Debug)]
pub(crate) struct Moves {
    /// The copies.
    pub list: Vec<Move>,
    /// What the output holds where no copy reaches; `None` if copies reach everywhere.
    pub fill: Option<f64>,
    /// Whether every input element is copied exactly once.
    pub bijective: bool,
}

/// An operation on one input that only moves elements. [`movement_op`] makes it an operation.
pub(crate) trait Movement: OpInfo {
    /// The copies from an input of shape `x` to the output of shape `y`, which `infer` has accepted.
    fn moves(&self, x: &[usize], y: &[usize]) -> Moves;
}

impl Moves {
    fn apply<T: Scalar>(&self, x: &[T], y: &mut [T], with_constant: bool) {
        if let Some(fill) = self.fill {
            y.fill(if with_constant { T::from_f64(fill) } else { T::ZERO });
        }
        for m in &self.list {
            copy(&m.shape, x, &m.x, y, &m.y, false);
        }
    }

    fn transposed<T: Scalar>(&self, gy: &[T], slot: &mut Slot<'_, T>) {
        let (gx, add) = if self.bijective { slot.write() } else { (slot.add(), true) };
        for m in &self.list {
            copy(&m.shape, gy, &m.y, gx, &m.x, add);
        }
    }
}

pub(crate) fn forward<T: Scalar>(op: &impl Movement, c: &Context<'_, T>, y: &mut [T], _: &mut Scratch<T>) {
    op.moves(c.inputs[0].shape, c.shape).apply(c.x(0), y, true);
}

pub(crate) fn tangent<T: Scalar>(op: &impl Movement, c: &Context<'_, T>, dy: &mut [T], _: &mut Scratch<T>) {
    let moves = op.moves(c.inputs[0].shape, c.shape);
    for (j, dy) in dy.chunks_exact_mut(c.len().max(1)).enumerate() {
        match c.dx(0, j) {
            Some(dx) => moves.apply(dx, dy, false),
            None => dy.fill(T::ZERO),
        }
    }
}

pub(crate) fn adjoint<T: Scalar>(
    op: &impl Movement,
    c: &Context<'_, T>,
    gx: &mut Slots<'_, T>,
    _: &mut Scratch<T>,
) {
    if let Some(slot) = &mut gx[0] {
        op.moves(c.inputs[0].shape, c.shape).transposed(c.gy, slot);
    }
}

pub(crate) fn adjoint_tangent<T: Scalar>(
    op: &impl Movement,
    c: &Context<'_, T>,
    dgx: &mut Slots<'_, T>,
    _: &mut Scratch<T>,
) {
    if let Some(slot) = &mut dgx[0] {
        let moves = op.moves(c.inputs[0].shape, c.shape);
        for j in 0..c.tangents {
            moves.transposed(c.dgy(j), &mut slot.part(j, c.tangents));
        }
        slot.set_written();
    }
}

/// Implements [`Op`](crate::op::Op) for a [`Movement`].
macro_rules! movement_op {
    ($op:ty) => {
        $crate::op::passes_from!($op, crate::ops::movement);
    };
}
pub(crate) use movement_op;

/// A block of a row-major array: starts and steps along each axis.
pub(crate) fn block(shape: &[usize], starts: &[usize], steps: &[isize]) -> View {
    let own = super::strided::row_major(shape);
    View {
        // An empty array has no valid start; nothing is read through its view.
        offset: if numel(shape) == 0 {
            0
        } else {
            starts.iter().zip(&own).map(|(&s, &o)| s * o as usize).sum()
        },
        strides: own.iter().zip(steps).map(|(&o, &s)| o * s).collect(),
    }
}
