//! Elementwise functions of two broadcast inputs, given by the formulas of the four passes for one element.

use super::broadcast::{Runs, broadcast_inputs};
use super::strided::{BLOCK, sum_blocks, walk};
use crate::kernels::Isa;
use crate::kernels::loops::vectorised;
use crate::op::{Context, OpInfo, ShapeError, Slot, Slots, numel};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// An elementwise function y = φ(a, b). [`binary_op`] makes it an operation.
pub(crate) trait Binary: OpInfo {
    /// φ(a, b).
    fn value<T: Scalar>(&self, a: T, b: T) -> T;

    /// φ_a ȧ + φ_b ḃ.
    fn tangent<T: Scalar>(&self, a: T, b: T, da: T, db: T) -> T;

    /// φ_a ȳ.
    fn adjoint_a<T: Scalar>(&self, a: T, b: T, g: T) -> T;

    /// φ_b ȳ.
    fn adjoint_b<T: Scalar>(&self, a: T, b: T, g: T) -> T;

    /// φ_a ȳ˙ + (φ_aa ȧ + φ_ab ḃ) ȳ.
    fn adjoint_tangent_a<T: Scalar>(&self, a: T, b: T, da: T, db: T, g: T, dg: T) -> T;

    /// φ_b ȳ˙ + (φ_ab ȧ + φ_bb ḃ) ȳ.
    fn adjoint_tangent_b<T: Scalar>(&self, a: T, b: T, da: T, db: T, g: T, dg: T) -> T;
}

/// A run of an operand: its elements if `S` is 1, one element throughout if `S` is 0.
#[derive(Clone, Copy)]
struct Lane<'a, T, const S: usize> {
    elements: &'a [T],
    first: T,
}

impl<'a, T: Scalar, const S: usize> Lane<'a, T, S> {
    #[inline(always)]
    fn new(data: &'a [T], start: isize, len: usize) -> Self {
        let data = &data[start as usize..];
        Self { elements: &data[..if S == 1 { len } else { 0 }], first: data[0] }
    }

    #[inline(always)]
    fn at(&self, i: usize) -> T {
        if S == 1 { self.elements[i] } else { self.first }
    }

    /// Part of the run.
    #[inline(always)]
    fn part(&self, start: usize, len: usize) -> Self {
        let elements = if S == 1 { &self.elements[start..start + len] } else { self.elements };
        Self { elements, first: self.first }
    }
}

/// Calls a function for the steps of a run; both 0 is a run of one element. Short runs are not worth a choice of
/// instructions.
macro_rules! by_steps {
    ($runs:expr, $function:ident($($argument:expr),*)) => {{
        let isa = if $runs.len < 32 { Isa::Portable } else { Isa::detect() };
        match $runs.steps {
            [1, 1] => $function::<_, _, 1, 1>(isa, $($argument),*),
            [1, _] => $function::<_, _, 1, 0>(isa, $($argument),*),
            [_, 1] => $function::<_, _, 0, 1>(isa, $($argument),*),
            _ => $function::<_, _, 0, 0>(isa, $($argument),*),
        }
    }};
}

vectorised! {
fn value_run['a, T, O: Binary; A, B](
    op: &'a O,
    x: [&'a [T]; 2],
    at: [isize; 2],
    y: &'a mut [T],
) {
    let [a, b] = x;
    let [p, q] = at;
    let (a, b) = (Lane::<T, A>::new(a, p, y.len()), Lane::<T, B>::new(b, q, y.len()));
    for (i, y) in y.iter_mut().enumerate() {
        *y = op.value(a.at(i), b.at(i));
    }
}
}

vectorised! {
fn tangent_run['a, T, O: Binary; A, B](
    op: &'a O,
    x: [&'a [T]; 2],
    dx: [&'a [T]; 2],
    at: [isize; 2],
    dy: &'a mut [T],
) {
    let [a, b] = x;
    let [da, db] = dx;
    let [p, q] = at;
    let n = dy.len();
    let (a, b) = (Lane::<T, A>::new(a, p, n), Lane::<T, B>::new(b, q, n));
    let (da, db) = (Lane::<T, A>::new(da, p, n), Lane::<T, B>::new(db, q, n));
    for (i, dy) in dy.iter_mut().enumerate() {
        *dy = op.tangent(a.at(i), b.at(i), da.at(i), db.at(i));
    }
}
}

/// Adds values of a run to its elements of an adjoint, or their sum to its only element if `S` is 0; overwrites unless `add`.
/// `values(start, out)` computes some of them.
#[inline(always)]
fn store<T: Scalar, const S: usize>(
    out: &mut [T],
    start: isize,
    len: usize,
    add: bool,
    mut values: impl FnMut(usize, &mut [T]),
) {
    let out = &mut out[start as usize..];
    if S == 0 {
        let sum = sum_blocks(len, values);
        out[0] = if add { out[0] + sum } else { sum };
    } else if add {
        let mut block = [T::ZERO; BLOCK];
        for (i, out) in out[..len].chunks_mut(BLOCK).enumerate() {
            let block = &mut block[..out.len()];
            values(i * BLOCK, block);
            for (out, x) in out.iter_mut().zip(block) {
                *out += *x;
            }
        }
    } else {
        values(0, &mut out[..len]);
    }
}

vectorised! {
fn adjoint_run['a, T, O: Binary; A, B](
    op: &'a O,
    which: usize,
    x: [&'a [T]; 2],
    at: [isize; 2],
    g: &'a [T],
    out: &'a mut [T],
    add: bool,
) {
    let [a, b] = x;
    let [p, q] = at;
    let n = g.len();
    let (a, b) = (Lane::<T, A>::new(a, p, n), Lane::<T, B>::new(b, q, n));
    if which == 0 {
        store::<T, A>(out, p, n, add, |start, out| {
            let (a, b, g) = (a.part(start, out.len()), b.part(start, out.len()), &g[start..start + out.len()]);
            for (i, out) in out.iter_mut().enumerate() {
                *out = op.adjoint_a(a.at(i), b.at(i), g[i]);
            }
        });
    } else {
        store::<T, B>(out, q, n, add, |start, out| {
            let (a, b, g) = (a.part(start, out.len()), b.part(start, out.len()), &g[start..start + out.len()]);
            for (i, out) in out.iter_mut().enumerate() {
                *out = op.adjoint_b(a.at(i), b.at(i), g[i]);
            }
        });
    }
}
}

vectorised! {
fn adjoint_tangent_run['a, T, O: Binary; A, B](
    op: &'a O,
    which: usize,
    x: [&'a [T]; 2],
    dx: [&'a [T]; 2],
    at: [isize; 2],
    gs: [&'a [T]; 2],
    out: &'a mut [T],
    add: bool,
) {
    let [a, b] = x;
    let [da, db] = dx;
    let [p, q] = at;
    let [g, dg] = gs;
    let n = g.len();
    let dg = &dg[..n];
    let (a, b) = (Lane::<T, A>::new(a, p, n), Lane::<T, B>::new(b, q, n));
    let (da, db) = (Lane::<T, A>::new(da, p, n), Lane::<T, B>::new(db, q, n));
    if which == 0 {
        store::<T, A>(out, p, n, add, |start, out| {
            let len = out.len();
            let (a, b, g) = (a.part(start, len), b.part(start, len), &g[start..start + len]);
            let (da, db, dg) = (da.part(start, len), db.part(start, len), &dg[start..start + len]);
            for (i, out) in out.iter_mut().enumerate() {
                *out = op.adjoint_tangent_a(a.at(i), b.at(i), da.at(i), db.at(i), g[i], dg[i]);
            }
        });
    } else {
        store::<T, B>(out, q, n, add, |start, out| {
            let len = out.len();
            let (a, b, g) = (a.part(start, len), b.part(start, len), &g[start..start + len]);
            let (da, db, dg) = (da.part(start, len), db.part(start, len), &dg[start..start + len]);
            for (i, out) in out.iter_mut().enumerate() {
                *out = op.adjoint_tangent_b(a.at(i), b.at(i), da.at(i), db.at(i), g[i], dg[i]);
            }
        });
    }
}
}

pub(crate) fn infer(op: &'static str, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
    broadcast_inputs::<2>(op, inputs)
}

fn runs<T>(c: &Context<'_, T>) -> Option<Runs<2>> {
    Runs::new(c.shape, [c.inputs[0].shape, c.inputs[1].shape])
}

/// Zeros to stand for the tangents that are absent.
fn zeros<T: Scalar>(c: &Context<'_, T>, scratch: &mut Scratch<T>) -> crate::aligned::AlignedVec<T> {
    let absent = c.inputs[..2].iter().filter(|x| x.tangent.is_none());
    scratch.take_zeroed(absent.map(|x| numel(x.shape)).max().unwrap_or(0))
}

pub(crate) fn forward<O: Binary, T: Scalar>(op: &O, c: &Context<'_, T>, y: &mut [T], _: &mut Scratch<T>) {
    let Some(runs) = runs(c) else { return };
    let x = [c.x(0), c.x(1)];
    let mut rows = y.chunks_exact_mut(runs.len);
    walk(&runs.outer, [0, 0], &mut |at| {
        if let Some(y) = rows.next() {
            by_steps!(runs, value_run(op, x, at, y));
        }
    });
}

pub(crate) fn tangent<O: Binary, T: Scalar>(
    op: &O,
    c: &Context<'_, T>,
    dy: &mut [T],
    scratch: &mut Scratch<T>,
) {
    let Some(runs) = runs(c) else { return };
    let x = [c.x(0), c.x(1)];
    let zeros = zeros(c, scratch);
    for (j, dy) in dy.chunks_exact_mut(c.len()).enumerate() {
        let dx = [c.dx(0, j).unwrap_or(&zeros), c.dx(1, j).unwrap_or(&zeros)];
        let mut rows = dy.chunks_exact_mut(runs.len);
        walk(&runs.outer, [0, 0], &mut |at| {
            if let Some(dy) = rows.next() {
                by_steps!(runs, tangent_run(op, x, dx, at, dy));
            }
        });
    }
    scratch.give(zeros);
}

/// The buffer of an adjoint and whether to add to it. Where the input was repeated there is always adding.
fn target<'s, T: Scalar>(slot: &'s mut Slot<'_, T>, repeated: bool) -> (&'s mut [T], bool) {
    if repeated { (slot.add(), true) } else { slot.write() }
}

pub(crate) fn adjoint<O: Binary, T: Scalar>(
    op: &O,
    c: &Context<'_, T>,
    gx: &mut Slots<'_, T>,
    _: &mut Scratch<T>,
) {
    let x = [c.x(0), c.x(1)];
    for (which, slot) in gx.iter_mut().enumerate() {
        let Some(slot) = slot else { continue };
        let (out, add) = target(slot, numel(c.inputs[which].shape) != c.len());
        let Some(runs) = runs(c) else { continue };
        let mut rows = c.gy.chunks_exact(runs.len);
        walk(&runs.outer, [0, 0], &mut |at| {
            if let Some(g) = rows.next() {
                by_steps!(runs, adjoint_run(op, which, x, at, g, &mut *out, add));
            }
        });
    }
}

pub(crate) fn adjoint_tangent<O: Binary, T: Scalar>(
    op: &O,
    c: &Context<'_, T>,
    dgx: &mut Slots<'_, T>,
    scratch: &mut Scratch<T>,
) {
    let x = [c.x(0), c.x(1)];
    let zeros = zeros(c, scratch);
    for (which, slot) in dgx.iter_mut().enumerate() {
        let Some(slot) = slot else { continue };
        for j in 0..c.tangents {
            let mut part = slot.part(j, c.tangents);
            let (out, add) = target(&mut part, numel(c.inputs[which].shape) != c.len());
            let Some(runs) = runs(c) else { continue };
            let dx = [c.dx(0, j).unwrap_or(&zeros), c.dx(1, j).unwrap_or(&zeros)];
            let mut rows = c.gy.chunks_exact(runs.len).zip(c.dgy(j).chunks_exact(runs.len));
            walk(&runs.outer, [0, 0], &mut |at| {
                if let Some((g, dg)) = rows.next() {
                    by_steps!(runs, adjoint_tangent_run(op, which, x, dx, at, [g, dg], &mut *out, add));
                }
            });
        }
        slot.set_written();
    }
    scratch.give(zeros);
}

/// Implements [`OpInfo`] and [`Op`](crate::op::Op) for a [`Binary`]: type and ONNX name.
macro_rules! binary_op {
    ($op:ty, $name:literal) => {
        impl $crate::op::OpInfo for $op {
            fn name(&self) -> &'static str {
                $name
            }

            fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, $crate::op::ShapeError> {
                $crate::ops::binary::infer($name, inputs)
            }

            fn reads(&self) -> $crate::op::Reads {
                $crate::op::Reads::INPUTS
            }

            fn flops(&self, _inputs: &[&[usize]], output: &[usize]) -> u64 {
                $crate::op::numel(output) as u64
            }
        }

        $crate::op::passes_from!($op, crate::ops::binary);
    };
}
pub(crate) use binary_op;

#[cfg(test)]
pub(crate) mod tests {
    use crate::op::{AnyOp, numel};
    use crate::testkit::OpCheck;

    /// Checks an operation on pairs of shapes that broadcast in every way, with each input constant in turn.
    /// `values(i, n)` gives n values of input i, or `None` for random ones away from 0.
    pub(crate) fn check_broadcast(op: &dyn AnyOp, values: impl Fn(usize, usize) -> Option<Vec<f64>>) {
        let shapes: [[&[usize]; 2]; 10] = [
            [&[3, 5, 7], &[3, 5, 7]],
            [&[3, 5, 7], &[7]],
            [&[3, 5, 7], &[5, 1]],
            [&[3, 5, 7], &[3, 1, 7]],
            [&[3, 5, 17], &[]],
            [&[1], &[3, 5]],
            [&[3, 1], &[1, 5]],
            [&[2, 1, 3, 1], &[4, 1, 3]],
            [&[], &[]],
            [&[0, 5], &[5]],
        ];
        for s in &shapes {
            for constant in [None, Some(0), Some(1)] {
                let mut check = OpCheck::new(op, s);
                for i in 0..2 {
                    if let Some(v) = values(i, numel(s[i])) {
                        check = check.values(i, v);
                    }
                }
                if let Some(i) = constant {
                    check = check.constant(i);
                }
                check.run().unwrap_or_else(|e| panic!("{op:?} on {s:?}, constant {constant:?}: {e}"));
            }
        }
    }
}
