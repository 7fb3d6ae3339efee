//! What an operation sees and writes during a pass.

use std::any::Any;

use crate::scalar::Scalar;

/// A form of a parameter that an operation prepares once per product and all threads share (for example a
/// filter rearranged for the convolution kernels).
pub(crate) type Packed = Box<dyn Any + Send + Sync>;

/// One input of an operation during a pass.
#[derive(Clone, Copy)]
pub struct Operand<'a, T> {
    /// Shape, row-major; for values that depend on the data the first axis is the micro-batch.
    pub shape: &'a [usize],
    /// Elements of the input.
    pub value: &'a [T],
    /// Tangents of the input (k · len), or `None` where the input does not depend on the parameters.
    pub tangent: Option<&'a [T]>,
    /// What [`Op::pack`](super::Op::pack) made of the value, if anything.
    pub packed: Option<&'a Packed>,
    /// What [`Op::pack`](super::Op::pack) made of each tangent; empty, or of length k.
    pub packed_tangents: &'a [Packed],
}

impl<'a, T> Operand<'a, T> {
    /// Tangent j of the input, or `None` where it is zero.
    pub fn tangent(&self, j: usize) -> Option<&'a [T]> {
        let len = self.value.len();
        self.tangent.map(|t| &t[j * len..(j + 1) * len])
    }
}

/// What an operation sees during a pass. Slices that a pass does not define are empty.
#[derive(Clone, Copy)]
pub struct Context<'a, T> {
    /// The inputs, in order.
    pub inputs: &'a [Operand<'a, T>],
    /// Shape of the output.
    pub shape: &'a [usize],
    /// k, the number of tangents carried.
    pub tangents: usize,
    /// y; defined in every pass but forward.
    pub y: &'a [T],
    /// ẏ (k · len); defined in the adjoint's tangent.
    pub dy: &'a [T],
    /// ȳ; defined in the adjoint and in the adjoint's tangent.
    pub gy: &'a [T],
    /// ȳ˙ (k · len); defined in the adjoint's tangent.
    pub dgy: &'a [T],
}

impl<'a, T> Context<'a, T> {
    /// Number of elements of the output.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the output has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Elements of input `i`.
    pub fn x(&self, i: usize) -> &'a [T] {
        self.inputs[i].value
    }

    /// Tangent `j` of input `i`, or `None` where it is zero.
    pub fn dx(&self, i: usize, j: usize) -> Option<&'a [T]> {
        self.inputs[i].tangent(j)
    }

    /// ẏ of tangent `j`.
    pub fn dy(&self, j: usize) -> &'a [T] {
        let len = self.len();
        &self.dy[j * len..(j + 1) * len]
    }

    /// ȳ˙ of tangent `j`.
    pub fn dgy(&self, j: usize) -> &'a [T] {
        let len = self.len();
        &self.dgy[j * len..(j + 1) * len]
    }
}

/// Where an adjoint goes. A fresh slot is uninitialised and must be overwritten; any other is added to.
pub struct Slot<'a, T> {
    data: &'a mut [T],
    fresh: bool,
}

impl<'a, T: Scalar> Slot<'a, T> {
    /// A slot over `data`; `fresh` if it is uninitialised.
    pub fn new(data: &'a mut [T], fresh: bool) -> Self {
        Self { data, fresh }
    }

    /// The buffer to add to: a fresh one is zeroed first.
    pub fn add(&mut self) -> &mut [T] {
        if self.fresh {
            self.data.fill(T::ZERO);
            self.fresh = false;
        }
        self.data
    }

    /// The buffer and whether to add to it (`true`) or to overwrite every element of it (`false`).
    /// After this call the slot counts as written.
    pub fn write(&mut self) -> (&mut [T], bool) {
        let accumulate = !self.fresh;
        self.fresh = false;
        (self.data, accumulate)
    }

    /// Part `j` of `k` equal parts, for the tangents of an adjoint. A fresh slot gives fresh parts; the caller
    /// must go through all of them.
    pub fn part(&mut self, j: usize, k: usize) -> Slot<'_, T> {
        let len = self.data.len() / k;
        Slot { data: &mut self.data[j * len..(j + 1) * len], fresh: self.fresh }
    }

    /// Says that all parts were written (see [`Slot::part`]).
    pub fn set_written(&mut self) {
        self.fresh = false;
    }

    /// Whether the slot holds an adjoint.
    pub fn is_written(&self) -> bool {
        !self.fresh
    }

    /// Adds `f(i)` to (or stores it in) every element.
    pub fn write_each(&mut self, mut f: impl FnMut(usize) -> T) {
        let (data, accumulate) = self.write();
        if accumulate {
            for (i, g) in data.iter_mut().enumerate() {
                *g += f(i);
            }
        } else {
            for (i, g) in data.iter_mut().enumerate() {
                *g = f(i);
            }
        }
    }
}

/// The adjoints of an operation's inputs: `None` where an input's adjoint is not wanted.
/// In the adjoint a slot has `len` elements, in the adjoint's tangent k · len.
pub(crate) type Slots<'a, T> = [Option<Slot<'a, T>>];

/// Implements [`Op`](super::Op) by the functions `forward`, `tangent`, `adjoint` and `adjoint_tangent` of a module.
macro_rules! passes_from {
    ($op:ty, $($module:ident)::+ $(, $($more:tt)+)?) => {
        impl<T: $crate::scalar::Scalar> $crate::op::Op<T> for $op {
            fn forward(
                &self,
                c: &$crate::op::Context<'_, T>,
                y: &mut [T],
                scratch: &mut $crate::scratch::Scratch<T>,
            ) {
                $($module)::+::forward(self, c, y, scratch);
            }

            fn tangent(
                &self,
                c: &$crate::op::Context<'_, T>,
                dy: &mut [T],
                scratch: &mut $crate::scratch::Scratch<T>,
            ) {
                $($module)::+::tangent(self, c, dy, scratch);
            }

            fn adjoint(
                &self,
                c: &$crate::op::Context<'_, T>,
                gx: &mut $crate::op::Slots<'_, T>,
                scratch: &mut $crate::scratch::Scratch<T>,
            ) {
                $($module)::+::adjoint(self, c, gx, scratch);
            }

            fn adjoint_tangent(
                &self,
                c: &$crate::op::Context<'_, T>,
                dgx: &mut $crate::op::Slots<'_, T>,
                scratch: &mut $crate::scratch::Scratch<T>,
            ) {
                $($module)::+::adjoint_tangent(self, c, dgx, scratch);
            }

            $($($more)+)?
        }
    };
}
pub(crate) use passes_from;
