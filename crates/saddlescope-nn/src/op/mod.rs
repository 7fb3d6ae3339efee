//! Operations as a graph sees them.
//!
//! [`OpInfo`] describes an operation: its name, its shape rule, what it reads, what it costs. The operations themselves are in
//! [`ops`](crate::ops). Their passes are internal to this crate, so [`AnyOp`] cannot be implemented outside it.

mod operation;
mod passes;

pub use operation::{AnyOp, Element, IntoOp, OpInfo, Reads, ShapeError, numel};
pub(crate) use operation::{Op, into_op};
pub(crate) use passes::{Context, Operand, Packed, Slot, Slots, passes_from};
