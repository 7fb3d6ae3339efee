//! What an operation is: forward, tangent, adjoint, and the tangent of the adjoint.
//!
//! A network y = f(x) is differentiated twice by carrying dual numbers through one reverse sweep (Pearlmutter's
//! R-operator). For one operation with inputs xᵢ and output y = φ(x₁, …, x_m):
//!
//! | pass | computes |
//! | --- | --- |
//! | forward | y = φ(x) |
//! | tangent | ẏ = Σᵢ Jᵢ ẋᵢ |
//! | adjoint | x̄ᵢ += Jᵢᵀ ȳ |
//! | adjoint's tangent | x̄˙ᵢ += Jᵢᵀ ȳ˙ + (d/dε Jᵢ(x + εẋ))ᵀ ȳ |
//!
//! k tangents are carried at once; they share everything primal. A tangent buffer of a value with `len` elements
//! holds k · len numbers, one tangent after the other.

use std::fmt::Debug;
use std::sync::Arc;

use super::passes::{Context, Packed, Slots};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// What an operation reads again in the backward passes (adjoint and its tangent); what nobody reads is freed. Its tangent
/// reads no other values, and ȳ is read in the adjoint's tangent only if anything else is: where primal values are kept
/// between products, the rest is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reads {
    /// Inputs (bit i: input i, values and tangents).
    pub inputs: u32,
    /// The output (values and tangents).
    pub output: bool,
}

impl Reads {
    /// Everything: always right.
    pub const ALL: Reads = Reads { inputs: u32::MAX, output: true };
    /// Nothing: linear operations without weights.
    pub const NONE: Reads = Reads { inputs: 0, output: false };
    /// All inputs, not the output.
    pub const INPUTS: Reads = Reads { inputs: u32::MAX, output: false };
    /// The output, no input.
    pub const OUTPUT: Reads = Reads { inputs: 0, output: true };
}

/// Why shapes do not fit an operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{op}: {message}")]
pub struct ShapeError {
    /// Name of the operation.
    pub op: &'static str,
    /// What was found and what was expected.
    pub message: String,
}

impl ShapeError {
    /// A shape error of operation `op`.
    pub fn new(op: &'static str, message: impl Into<String>) -> Self {
        Self { op, message: message.into() }
    }
}

/// The part of an operation that does not depend on the element type.
pub trait OpInfo: Debug + Send + Sync {
    /// Name, as ONNX spells it where ONNX has it.
    fn name(&self) -> &'static str;

    /// Shape of the output from the shapes of the inputs. Called once per micro-batch size; it must refuse what
    /// the passes could not compute, so that they need not check.
    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError>;

    /// The same normalisation with the statistics of the batch (`true`) or running ones (`false`); `None` for every
    /// operation without such a choice.
    fn with_batch_statistics(&self, _on: bool) -> Option<Arc<dyn AnyOp>> {
        None
    }

    /// Whether the output is the first input under another shape: such an operation costs nothing and its passes
    /// are never called.
    fn is_reshape(&self) -> bool {
        false
    }

    /// The constant p, if the operation is x ↦ xᵖ.
    fn exponent(&self) -> Option<f64> {
        None
    }

    /// Whether samples of the micro-batch influence each other (batch statistics): the micro-batch must then be
    /// the whole batch.
    fn couples_samples(&self) -> bool {
        false
    }

    /// Whether the output is a function of the only input, element by element, whose derivatives cost more than reading them:
    /// the derivatives can then take the place of x and ȳ where nothing else reads those.
    fn keeps_derivatives(&self) -> bool {
        false
    }

    /// What the backward passes read.
    fn reads(&self) -> Reads {
        Reads::ALL
    }

    /// Floating-point operations of one forward pass; 0 for what is only memory traffic.
    fn flops(&self, _inputs: &[&[usize]], _output: &[usize]) -> u64 {
        0
    }
}

/// An operation on elements of type `T`.
pub trait Op<T: Scalar>: OpInfo {
    /// Prepares input `i`, a parameter or a buffer of shape `shapes[i]`, once per product.
    fn pack(&self, _shapes: &[&[usize]], _i: usize, _value: &[T]) -> Option<Packed> {
        None
    }

    /// Numbers that [`Op::pack`] makes of input `i`.
    fn packed_len(&self, _shapes: &[&[usize]], _i: usize) -> usize {
        0
    }

    /// Numbers of a buffer that a pass takes beside tensors as large as its values.
    fn sums_len(&self, _shapes: &[&[usize]]) -> usize {
        0
    }

    /// y = φ(x): overwrites `y`.
    fn forward(&self, c: &Context<'_, T>, y: &mut [T], scratch: &mut Scratch<T>);

    /// ẏ = Σᵢ Jᵢ ẋᵢ for each tangent: overwrites `dy` (k · len).
    fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], scratch: &mut Scratch<T>);

    /// x̄ᵢ += Jᵢᵀ ȳ.
    fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, scratch: &mut Scratch<T>);

    /// x ← φ′(x) and ȳ ← φ″(x) ȳ, for operations that [keep derivatives](OpInfo::keeps_derivatives): all that products after the
    /// first one at the same θ need of x and ȳ.
    fn replace_by_derivatives(&self, _x: &mut [T], _gy: &mut [T]) {}

    /// [`Op::tangent`] with φ′(x) in the place of x. Part of the operation, although it is the same for all that have it: functions with a
    /// type parameter that the executor calls are compiled in the crate that uses it, with that crate's optimisation.
    fn tangent_from_derivatives(&self, _c: &Context<'_, T>, _dy: &mut [T]) {}

    /// [`Op::adjoint_tangent`] with φ′(x) in the place of x and φ″(x) ȳ in the place of ȳ.
    fn adjoint_tangent_from_derivatives(&self, _c: &Context<'_, T>, _dgx: &mut Slots<'_, T>) {}

    /// x̄˙ᵢ += Jᵢᵀ ȳ˙ + (d/dε Jᵢ)ᵀ ȳ for each tangent.
    fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, scratch: &mut Scratch<T>);
}

/// An operation for every element type; implemented for all that are both.
pub trait AnyOp: Op<f32> + Op<f64> {}

impl<O: Op<f32> + Op<f64>> AnyOp for O {}

/// What can be a node of a graph: every operation, shared or not.
///
/// The implementations are not generic, so that the passes of an operation are compiled in this crate, once, and not again
/// in each crate that makes one.
pub trait IntoOp {
    /// The operation, shared.
    fn into_op(self) -> Arc<dyn AnyOp>;
}

impl IntoOp for Arc<dyn AnyOp> {
    fn into_op(self) -> Arc<dyn AnyOp> {
        self
    }
}

/// Implements [`IntoOp`] for operations.
macro_rules! into_op {
    ($($op:ty),* $(,)?) => {
        $(impl $crate::op::IntoOp for $op {
            // Inlined elsewhere it would be compiled there, with all passes.
            #[inline(never)]
            fn into_op(self) -> std::sync::Arc<dyn $crate::op::AnyOp> {
                std::sync::Arc::new(self)
            }
        })*
    };
}
pub(crate) use into_op;

/// Number of elements of a shape.
pub fn numel(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// A number type that operations exist for; finds an operation's code for the type.
pub trait Element: Scalar {
    /// The operation on elements of this type.
    fn op(op: &dyn AnyOp) -> &dyn Op<Self>;
}

impl Element for f32 {
    fn op(op: &dyn AnyOp) -> &dyn Op<f32> {
        op
    }
}

impl Element for f64 {
    fn op(op: &dyn AnyOp) -> &dyn Op<f64> {
        op
    }
}
