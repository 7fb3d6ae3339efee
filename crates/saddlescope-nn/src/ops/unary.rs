//! Elementwise functions of one input, given by f, f′ and f″.
//!
//! The four passes are y = f(x), ẏ = f′ẋ, x̄ += f′ȳ and x̄˙ += f′ȳ˙ + f″ẋȳ. Derivatives are computed once for all
//! tangents, in blocks that stay in the first-level cache. Where an adjoint is 0 its product with f′ or f″ is 0, even if those
//! are infinite: a branch that a `Where` does not take contributes nothing.

use crate::kernels::Isa;
use crate::kernels::loops::{self, vectorised};
use crate::op::{Context, ShapeError, Slots};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// Elements whose derivatives are computed before they are used.
const BLOCK: usize = 1024;

/// An elementwise function. [`unary_op`] makes it an operation.
///
/// Copied before a loop, so that the compiler knows that its parameters stay as they are while the loop writes: otherwise it would load,
/// convert and branch on them for each vector of elements, which then has as many numbers as fit of the widest type loaded.
pub(crate) trait Unary: Copy {
    /// Whether derivatives are computed from the output, with ẏ in the place of ẋ; otherwise from the input.
    const FROM_OUTPUT: bool;
    /// Whether f″ is anything but 0.
    const CURVED: bool;

    /// f(x).
    fn value<T: Scalar>(&self, x: T) -> T;

    /// From the input: f′ and f″. From the output (see [`Unary::FROM_OUTPUT`]): f′ and f″/f′, because then
    /// f″ẋ = (f″/f′)ẏ needs nothing of the input.
    fn derivatives<T: Scalar>(&self, at: T) -> (T, T);
}

/// Shape of the output: that of the only input.
pub(crate) fn infer(op: &'static str, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
    Ok(super::axes::single(op, inputs)?.to_vec())
}

/// `factor` · `adjoint`, 0 where the adjoint is 0 even if the factor is infinite or NaN.
#[inline(always)]
pub(super) fn times<T: Scalar>(factor: T, adjoint: T) -> T {
    if adjoint == T::ZERO { T::ZERO } else { factor * adjoint }
}

/// Whether there is neither an infinity nor a NaN among the values: then 0 · x is 0 for all of them.
fn all_finite<T: Scalar>(values: &[T]) -> bool {
    let mut sum = T::ZERO;
    sum_of_zeros(Isa::detect(), values, &mut sum);
    sum == T::ZERO
}

vectorised! {
    /// sum = Σ 0 · xᵢ: 0 · x is 0 for finite x and NaN for all others.
    fn sum_of_zeros['a, T](values: &'a [T], sum: &'a mut T) {
        *sum = loops::sum([values], |[x]| T::ZERO * x);
    }
}

/// Where derivatives are computed from.
fn source<'a, O: Unary, T: Scalar>(c: &Context<'a, T>) -> &'a [T] {
    if O::FROM_OUTPUT { c.y } else { c.x(0) }
}

vectorised! {
    /// y = f(x).
    fn values['a, T, O: Unary](op: O, x: &'a [T], y: &'a mut [T]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = op.value(x);
        }
    }
}

vectorised! {
    /// slopes = f′.
    fn first['a, T, O: Unary](op: O, at: &'a [T], slopes: &'a mut [T]) {
        for (s, &at) in slopes.iter_mut().zip(at) {
            *s = op.derivatives(at).0;
        }
    }
}

vectorised! {
    /// slopes = f′, bends = f″ ȳ.
    fn both['a, T, O: Unary](op: O, at: &'a [T], gy: &'a [T], slopes: &'a mut [T], bends: &'a mut [T]) {
        for (((s, bend), &at), &gy) in slopes.iter_mut().zip(bends.iter_mut()).zip(at).zip(gy) {
            let (first, second) = op.derivatives(at);
            *s = first;
            *bend = second * gy;
        }
    }
}

vectorised! {
    /// out (+)= a b.
    fn multiply['a, T](a: &'a [T], b: &'a [T], out: &'a mut [T], add: bool) {
        if add {
            for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                *out += a * b;
            }
        } else {
            for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                *out = a * b;
            }
        }
    }
}

vectorised! {
    /// out (+)= a b + c d.
    fn multiply_two['a, T](a: &'a [T], b: &'a [T], c: &'a [T], d: &'a [T], out: &'a mut [T], add: bool) {
        let products = a.iter().zip(b).zip(c.iter().zip(d));
        if add {
            for (out, ((&a, &b), (&c, &d))) in out.iter_mut().zip(products) {
                *out += a * b + c * d;
            }
        } else {
            for (out, ((&a, &b), (&c, &d))) in out.iter_mut().zip(products) {
                *out = a * b + c * d;
            }
        }
    }
}

pub(crate) fn forward<O: Unary, T: Scalar>(op: &O, c: &Context<'_, T>, y: &mut [T], _: &mut Scratch<T>) {
    values(Isa::detect(), *op, c.x(0), y);
}

pub(crate) fn tangent<O: Unary, T: Scalar>(op: &O, c: &Context<'_, T>, dy: &mut [T], _: &mut Scratch<T>) {
    let Some(dx) = c.inputs[0].tangent else {
        dy.fill(T::ZERO);
        return;
    };
    let (len, isa) = (c.len(), Isa::detect());
    let mut slopes = [T::ZERO; BLOCK];
    for (b, at) in source::<O, T>(c).chunks(BLOCK).enumerate() {
        let slopes = &mut slopes[..at.len()];
        first(isa, *op, at, slopes);
        for j in 0..c.tangents {
            let range = j * len + b * BLOCK..j * len + b * BLOCK + at.len();
            multiply(isa, slopes, &dx[range.clone()], &mut dy[range], false);
        }
    }
}

pub(crate) fn adjoint<O: Unary, T: Scalar>(
    op: &O,
    c: &Context<'_, T>,
    gx: &mut Slots<'_, T>,
    _: &mut Scratch<T>,
) {
    let Some(slot) = &mut gx[0] else { return };
    let (gx, add) = slot.write();
    let isa = Isa::detect();
    let mut slopes = [T::ZERO; BLOCK];
    for (b, at) in source::<O, T>(c).chunks(BLOCK).enumerate() {
        let slopes = &mut slopes[..at.len()];
        first(isa, *op, at, slopes);
        let range = b * BLOCK..b * BLOCK + at.len();
        let (gy, gx) = (&c.gy[range.clone()], &mut gx[range]);
        if O::CURVED && !all_finite(slopes) {
            for ((gx, &gy), &slope) in gx.iter_mut().zip(gy).zip(&*slopes) {
                let g = times(slope, gy);
                *gx = if add { *gx + g } else { g };
            }
            continue;
        }
        multiply(isa, slopes, gy, gx, add);
    }
}

pub(crate) fn adjoint_tangent<O: Unary, T: Scalar>(
    op: &O,
    c: &Context<'_, T>,
    dgx: &mut Slots<'_, T>,
    _: &mut Scratch<T>,
) {
    let Some(slot) = &mut dgx[0] else { return };
    let (dgx, add) = slot.write();
    let (len, isa) = (c.len(), Isa::detect());
    let direction = if O::FROM_OUTPUT { Some(c.dy) } else { c.inputs[0].tangent };
    let direction = direction.filter(|_| O::CURVED);
    let (mut slopes, mut bends) = ([T::ZERO; BLOCK], [T::ZERO; BLOCK]);
    for (b, at) in source::<O, T>(c).chunks(BLOCK).enumerate() {
        let n = at.len();
        let (slopes, bends) = (&mut slopes[..n], &mut bends[..n]);
        let gy = &c.gy[b * BLOCK..b * BLOCK + n];
        if direction.is_some() {
            both(isa, *op, at, gy, slopes, bends);
        } else {
            first(isa, *op, at, slopes);
        }
        let plain = !O::CURVED || (all_finite(slopes) && (direction.is_none() || all_finite(bends)));
        if !plain && direction.is_some() {
            for ((bend, &at), &gy) in bends.iter_mut().zip(at).zip(gy) {
                *bend = times(op.derivatives(at).1, gy);
            }
        }
        for j in 0..c.tangents {
            let range = j * len + b * BLOCK..j * len + b * BLOCK + n;
            let (dgx, dgy) = (&mut dgx[range.clone()], &c.dgy[range.clone()]);
            match direction {
                Some(direction) if plain => {
                    multiply_two(isa, slopes, dgy, bends, &direction[range], dgx, add)
                }
                None if plain => multiply(isa, slopes, dgy, dgx, add),
                _ => {
                    for i in 0..n {
                        let bent = direction.map_or(T::ZERO, |d| times(d[range.start + i], bends[i]));
                        let g = times(slopes[i], dgy[i]) + bent;
                        dgx[i] = if add { dgx[i] + g } else { g };
                    }
                }
            }
        }
    }
}

/// x ← f′(x), ȳ ← f″(x) ȳ.
pub(crate) fn replace_by_derivatives<O: Unary, T: Scalar>(op: &O, x: &mut [T], gy: &mut [T]) {
    let isa = Isa::detect();
    let (mut slopes, mut bends) = ([T::ZERO; BLOCK], [T::ZERO; BLOCK]);
    for (x, gy) in x.chunks_mut(BLOCK).zip(gy.chunks_mut(BLOCK)) {
        let (slopes, bends) = (&mut slopes[..x.len()], &mut bends[..x.len()]);
        both(isa, *op, x, gy, slopes, bends);
        if !(all_finite(slopes) && all_finite(bends)) {
            for ((bend, &at), &gy) in bends.iter_mut().zip(&*x).zip(&*gy) {
                *bend = times(op.derivatives(at).1, gy);
            }
        }
        x.copy_from_slice(slopes);
        gy.copy_from_slice(bends);
    }
}

/// [`tangent`] with f′ in the place of x.
pub(crate) fn tangent_from_derivatives<T: Scalar>(c: &Context<'_, T>, dy: &mut [T]) {
    for (j, dy) in dy.chunks_exact_mut(c.len().max(1)).enumerate() {
        match c.dx(0, j) {
            Some(dx) => multiply(Isa::detect(), c.x(0), dx, dy, false),
            None => dy.fill(T::ZERO),
        }
    }
}

/// [`adjoint_tangent`] with f′ in the place of x and f″ ȳ in the place of ȳ.
pub(crate) fn adjoint_tangent_from_derivatives<T: Scalar>(c: &Context<'_, T>, dgx: &mut Slots<'_, T>) {
    let Some(slot) = &mut dgx[0] else { return };
    let (dgx, add) = slot.write();
    let (len, isa) = (c.len(), Isa::detect());
    for (b, (slopes, bends)) in c.x(0).chunks(BLOCK).zip(c.gy.chunks(BLOCK)).enumerate() {
        let plain = all_finite(slopes) && all_finite(bends);
        for j in 0..c.tangents {
            let range = j * len + b * BLOCK..j * len + b * BLOCK + slopes.len();
            let dx = c.inputs[0].tangent.map(|dx| &dx[range.clone()]);
            let (dgy, dgx) = (&c.dgy[range.clone()], &mut dgx[range]);
            match dx {
                Some(dx) if plain => multiply_two(isa, slopes, dgy, bends, dx, dgx, add),
                dx => {
                    for (i, out) in dgx.iter_mut().enumerate() {
                        let bent = dx.map_or(T::ZERO, |dx| times(dx[i], bends[i]));
                        let g = times(slopes[i], dgy[i]) + bent;
                        *out = if add { *out + g } else { g };
                    }
                }
            }
        }
    }
}

/// Implements [`OpInfo`](crate::op::OpInfo) and [`Op`](crate::op::Op) for a [`Unary`]: type, ONNX name, FLOPs per element.
macro_rules! unary_op {
    ($op:ty, $name:literal, $flops:literal $(, exponent: |$of:ident| $exponent:expr)?) => {
        $crate::ops::unary::unary_op!($op, |_op| $name, $flops $(, exponent: |$of| $exponent)?);
    };
    ($op:ty, |$self:ident| $name:expr, $flops:literal $(, exponent: |$of:ident| $exponent:expr)?) => {
        impl $crate::op::OpInfo for $op {
            fn name(&self) -> &'static str {
                let $self = self;
                $name
            }

            fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, $crate::op::ShapeError> {
                $crate::ops::unary::infer(self.name(), inputs)
            }

            $(fn exponent(&self) -> Option<f64> {
                let $of = self;
                Some($exponent)
            })?

            fn reads(&self) -> $crate::op::Reads {
                if <Self as $crate::ops::unary::Unary>::FROM_OUTPUT {
                    $crate::op::Reads::OUTPUT
                } else {
                    $crate::op::Reads::INPUTS
                }
            }

            fn keeps_derivatives(&self) -> bool {
                use $crate::ops::unary::Unary;
                <Self as Unary>::CURVED && !<Self as Unary>::FROM_OUTPUT
            }

            fn flops(&self, _inputs: &[&[usize]], output: &[usize]) -> u64 {
                $flops * $crate::op::numel(output) as u64
            }
        }

        $crate::op::passes_from!($op, crate::ops::unary,
            fn replace_by_derivatives(&self, x: &mut [T], gy: &mut [T]) {
                $crate::ops::unary::replace_by_derivatives(self, x, gy);
            }

            fn tangent_from_derivatives(&self, c: &$crate::op::Context<'_, T>, dy: &mut [T]) {
                $crate::ops::unary::tangent_from_derivatives(c, dy);
            }

            fn adjoint_tangent_from_derivatives(
                &self,
                c: &$crate::op::Context<'_, T>,
                dgx: &mut $crate::op::Slots<'_, T>,
            ) {
                $crate::ops::unary::adjoint_tangent_from_derivatives(c, dgx);
            }
        );
    };
}
pub(crate) use unary_op;

/// A function without parameters as an operation: documentation, type and ONNX name; f; then (f′, f″) from the input
/// or (f′, f″/f′) from the output; whether f″ is not 0; FLOPs per element.
macro_rules! unary_function {
    ($(#[$doc:meta])* $op:ident, $name:literal, |$x:ident| $value:expr,
     $from:ident |$at:ident| $derivatives:expr, curved: $curved:literal, flops: $flops:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $op;

        impl $crate::ops::unary::Unary for $op {
            const FROM_OUTPUT: bool = $crate::ops::unary::unary_function!(@$from);
            const CURVED: bool = $curved;

            #[inline(always)]
            fn value<T: $crate::scalar::Scalar>(&self, $x: T) -> T {
                $value
            }

            #[inline(always)]
            fn derivatives<T: $crate::scalar::Scalar>(&self, $at: T) -> (T, T) {
                $derivatives
            }
        }

        $crate::ops::unary::unary_op!($op, $name, $flops);
    };
    (@from_input) => { false };
    (@from_output) => { true };
}
pub(crate) use unary_function;

#[cfg(test)]
pub(crate) mod tests {
    use crate::op::AnyOp;
    use crate::testkit::OpCheck;

    /// `n` different numbers that fill the open interval (low, high).
    pub(crate) fn filling(n: usize, low: f64, high: f64) -> Vec<f64> {
        (0..n).map(|i| low + (high - low) * ((i * 37 % n) as f64 + 0.5) / n as f64).collect()
    }

    /// Checks a function on an interval, on more than one block of elements.
    pub(crate) fn check_on(op: &dyn AnyOp, low: f64, high: f64) {
        let check = |shape: &[usize]| {
            OpCheck::new(op, &[shape]).values(0, filling(shape.iter().product(), low, high)).run()
        };
        check(&[3, 5, 7]).unwrap_or_else(|e| panic!("{op:?} on ({low}, {high}): {e}"));
        check(&[3, 101]).unwrap_or_else(|e| panic!("{op:?} on ({low}, {high}): {e}"));
    }
}
