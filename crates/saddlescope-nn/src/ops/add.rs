//! Sums and differences.

use super::broadcast::{Runs, broadcast_inputs, broadcast_view};
use super::strided::{View, copy, walk};
use crate::kernels::Isa;
use crate::kernels::loops::vectorised;
use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slots};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// y = a + b, broadcast (ONNX `Add`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Add;

/// y = a − b, broadcast (ONNX `Sub`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sub;

vectorised! {
    /// y = f(a, b).
    fn both['a, T, F: Fn(T, T) -> T](a: &'a [T], b: &'a [T], y: &'a mut [T], f: F) {
        for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
            *y = f(a, b);
        }
    }
}

/// y = a ± b.
fn combine<T: Scalar>(
    shapes: [&[usize]; 2],
    out: &[usize],
    a: &[T],
    b: &[T],
    y: &mut [T],
    f: impl Fn(T, T) -> T + Copy,
) {
    let Some(runs) = Runs::new(out, shapes) else { return };
    let len = runs.len;
    let mut rows = y.chunks_exact_mut(len);
    walk(&runs.outer, [0, 0], &mut |[p, q]| {
        let Some(y) = rows.next() else { return };
        let (a, b) = (&a[p as usize..], &b[q as usize..]);
        match runs.steps {
            [1, 1] if len >= 32 => both(Isa::detect(), &a[..len], &b[..len], y, f),
            [1, 1] => {
                for ((y, &a), &b) in y.iter_mut().zip(&a[..len]).zip(&b[..len]) {
                    *y = f(a, b);
                }
            }
            [1, _] => {
                let b = b[0];
                for (y, &a) in y.iter_mut().zip(&a[..len]) {
                    *y = f(a, b);
                }
            }
            [_, 1] => {
                let a = a[0];
                for (y, &b) in y.iter_mut().zip(&b[..len]) {
                    *y = f(a, b);
                }
            }
            _ => y.fill(f(a[0], b[0])),
        }
    });
}

/// ẏ = ȧ ± ḃ for one tangent, where either may be zero.
fn tangent<T: Scalar>(
    c: &Context<'_, T>,
    j: usize,
    dy: &mut [T],
    negate_b: bool,
    f: impl Fn(T, T) -> T + Copy,
) {
    let shapes = [c.inputs[0].shape, c.inputs[1].shape];
    match (c.dx(0, j), c.dx(1, j)) {
        (Some(da), Some(db)) => combine(shapes, c.shape, da, db, dy, f),
        (None, None) => dy.fill(T::ZERO),
        (Some(dx), None) => expand(shapes[0], c.shape, dx, dy),
        (None, Some(dx)) => {
            expand(shapes[1], c.shape, dx, dy);
            if negate_b {
                dy.iter_mut().for_each(|d| *d = -*d);
            }
        }
    }
}

fn expand<T: Scalar>(shape: &[usize], out: &[usize], x: &[T], y: &mut [T]) {
    copy(out, x, &broadcast_view(shape, out), y, &View::whole(out), false);
}

/// Hands `k` adjoints of the output to both inputs, the second with a minus sign if `negate_b`.
fn spread<'g, T: Scalar>(
    c: &Context<'_, T>,
    slots: &mut Slots<'_, T>,
    k: usize,
    gy: impl Fn(usize) -> &'g [T],
    negate_b: bool,
    scratch: &mut Scratch<T>,
) {
    for (i, slot) in slots.iter_mut().enumerate() {
        let Some(slot) = slot else { continue };
        let shape = c.inputs[i].shape;
        let negate = negate_b && i == 1;
        for j in 0..k {
            let mut part = slot.part(j, k);
            let gy = gy(j);
            if shape == c.shape {
                if negate {
                    part.write_each(|i| -gy[i]);
                } else {
                    let (gx, add) = part.write();
                    let whole = View::whole(shape);
                    copy(shape, gy, &whole, gx, &whole, add);
                }
            } else {
                let (from, to) = (View::whole(c.shape), broadcast_view(shape, c.shape));
                if negate {
                    let mut sums = scratch.take_zeroed(crate::op::numel(shape));
                    copy(c.shape, gy, &from, &mut sums, &to, true);
                    part.write_each(|i| -sums[i]);
                    scratch.give(sums);
                } else {
                    copy(c.shape, gy, &from, part.add(), &to, true);
                }
            }
        }
        slot.set_written();
    }
}

macro_rules! sum_op {
    ($op:ident, $name:literal, $negate:literal, $f:expr) => {
        impl OpInfo for $op {
            fn name(&self) -> &'static str {
                $name
            }

            fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
                broadcast_inputs::<2>(self.name(), inputs)
            }

            fn reads(&self) -> Reads {
                Reads::NONE
            }

            fn flops(&self, _inputs: &[&[usize]], output: &[usize]) -> u64 {
                crate::op::numel(output) as u64
            }
        }

        impl<T: Scalar> Op<T> for $op {
            fn forward(&self, c: &Context<'_, T>, y: &mut [T], _scratch: &mut Scratch<T>) {
                combine([c.inputs[0].shape, c.inputs[1].shape], c.shape, c.x(0), c.x(1), y, $f);
            }

            fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], _scratch: &mut Scratch<T>) {
                for (j, dy) in dy.chunks_exact_mut(c.len().max(1)).enumerate() {
                    tangent(c, j, dy, $negate, $f);
                }
            }

            fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, scratch: &mut Scratch<T>) {
                spread(c, gx, 1, |_| c.gy, $negate, scratch);
            }

            fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, scratch: &mut Scratch<T>) {
                spread(c, dgx, c.tangents, |j| c.dgy(j), $negate, scratch);
            }
        }
    };
}

sum_op!(Add, "Add", false, |a, b| a + b);
sum_op!(Sub, "Sub", true, |a, b| a - b);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::AnyOp;
    use crate::testkit::{OpCheck, check_op};

    #[test]
    fn derivatives_match_finite_differences() {
        let shapes: [[&[usize]; 2]; 9] = [
            [&[3, 5, 7], &[3, 5, 7]],
            [&[3, 5, 7], &[7]],
            [&[3, 5, 7], &[5, 1]],
            [&[3, 5, 7], &[3, 1, 7]],
            [&[3, 5, 7], &[]],
            [&[1], &[3, 5]],
            [&[3, 1], &[1, 5]],
            [&[], &[]],
            [&[0, 5], &[5]],
        ];
        for op in [&Add as &dyn AnyOp, &Sub] {
            for s in &shapes {
                check_op(op, s).unwrap();
                OpCheck::new(op, s).constant(0).run().unwrap();
                OpCheck::new(op, s).constant(1).run().unwrap();
            }
        }
    }

    #[test]
    fn shapes_that_do_not_broadcast_are_refused() {
        assert!(Add.infer(&[&[3, 2], &[3]]).is_err());
        assert!(Add.infer(&[&[3, 2]]).is_err());
    }
}
