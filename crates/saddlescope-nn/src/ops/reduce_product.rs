//! Products over axes.

use super::broadcast::broadcast_strides;
use super::reduced::Reduced;
use super::strided::{nest, row_major, walk};
use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slots, numel};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// The product of the elements over some axes (ONNX `ReduceProd`). Zeros among the elements are no obstacle to the
/// derivatives. The first axis must be named 0, as for [`Reduce`](super::Reduce).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReduceProduct {
    reduced: Reduced,
}

impl ReduceProduct {
    /// The product over `axes`, which remain with length 1 if `keep`.
    pub fn new(axes: &[i64], keep: bool) -> Self {
        Self { reduced: Reduced::new(axes, keep) }
    }

    /// The elements of the input grouped by result: places of group o are `[o · count, (o + 1) · count)`.
    fn groups(&self, x: &[usize]) -> (Vec<usize>, usize) {
        let count = self.reduced.count(x);
        let kept = self.reduced.kept(x);
        let mut places = vec![0; numel(x)];
        let mut filled = vec![0; numel(&kept)];
        let (own, results) = (row_major(x), broadcast_strides(&kept, x));
        if let Some(axes) = nest(x, [&own, &results]) {
            walk(&axes, [0, 0], &mut |[e, o]| {
                let o = o as usize;
                places[o * count + filled[o]] = e as usize;
                filled[o] += 1;
            });
        }
        (places, count)
    }
}

impl OpInfo for ReduceProduct {
    fn name(&self) -> &'static str {
        "ReduceProd"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        self.reduced.infer(self.name(), inputs)
    }

    fn couples_samples(&self) -> bool {
        self.reduced.includes_first()
    }

    fn reads(&self) -> Reads {
        Reads::INPUTS
    }

    fn flops(&self, inputs: &[&[usize]], _output: &[usize]) -> u64 {
        inputs.first().map_or(0, |x| numel(x) as u64)
    }
}

/// Calls `f(i, p, ṗ)` for each member i of a group, where p is the product of all the others and ṗ its tangent.
/// Products from the left and from the right avoid the division by the element, which may be 0.
fn each_cofactor<T: Scalar>(
    x: impl Fn(usize) -> T,
    dx: impl Fn(usize) -> T,
    right: &mut [(T, T)],
    mut f: impl FnMut(usize, T, T),
) {
    let n = right.len();
    let times = |(p, dp): (T, T), i: usize| (p * x(i), dp * x(i) + p * dx(i));
    let mut product = (T::ONE, T::ZERO);
    for i in (0..n).rev() {
        right[i] = product;
        product = times(product, i);
    }
    let mut left = (T::ONE, T::ZERO);
    for (i, &(p, dp)) in right.iter().enumerate() {
        f(i, left.0 * p, left.1 * p + left.0 * dp);
        left = times(left, i);
    }
}

impl<T: Scalar> Op<T> for ReduceProduct {
    fn forward(&self, c: &Context<'_, T>, y: &mut [T], _scratch: &mut Scratch<T>) {
        let (places, count) = self.groups(c.inputs[0].shape);
        for (o, y) in y.iter_mut().enumerate() {
            *y = (places[o * count..(o + 1) * count].iter()).fold(T::ONE, |p, &e| p * c.x(0)[e]);
        }
    }

    fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], _scratch: &mut Scratch<T>) {
        let (places, count) = self.groups(c.inputs[0].shape);
        for (j, dy) in dy.chunks_exact_mut(c.len().max(1)).enumerate() {
            let Some(dx) = c.dx(0, j) else {
                dy.fill(T::ZERO);
                continue;
            };
            for (o, dy) in dy.iter_mut().enumerate() {
                let group = places[o * count..(o + 1) * count].iter();
                let product = |(p, dp): (T, T), &e: &usize| (p * c.x(0)[e], dp * c.x(0)[e] + p * dx[e]);
                *dy = group.fold((T::ONE, T::ZERO), product).1;
            }
        }
    }

    fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        let Some(slot) = &mut gx[0] else { return };
        let gx = slot.add();
        let (places, count) = self.groups(c.inputs[0].shape);
        let mut right = vec![(T::ZERO, T::ZERO); count];
        for (o, &gy) in c.gy.iter().enumerate() {
            let group = &places[o * count..(o + 1) * count];
            each_cofactor(|i| c.x(0)[group[i]], |_| T::ZERO, &mut right, |i, p, _| gx[group[i]] += p * gy);
        }
    }

    fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        let Some(slot) = &mut dgx[0] else { return };
        let (places, count) = self.groups(c.inputs[0].shape);
        let mut right = vec![(T::ZERO, T::ZERO); count];
        for j in 0..c.tangents {
            let mut part = slot.part(j, c.tangents);
            let dgx = part.add();
            let (dx, dgy) = (c.dx(0, j), c.dgy(j));
            for o in 0..c.len() {
                let group = &places[o * count..(o + 1) * count];
                let direction = |i: usize| dx.map_or(T::ZERO, |dx| dx[group[i]]);
                each_cofactor(
                    |i| c.x(0)[group[i]],
                    direction,
                    &mut right,
                    |i, p, dp| {
                        dgx[group[i]] += p * dgy[o] + dp * c.gy[o];
                    },
                );
            }
        }
        slot.set_written();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::reduced::tests::{AXES, value};
    use crate::testkit::{OpCheck, check_op};

    #[test]
    fn derivatives_match_finite_differences() {
        for (shape, axes) in AXES {
            check_op(&ReduceProduct::new(axes, false), &[shape]).unwrap();
        }
        // One zero, two zeros, three zeros in a group.
        let values = vec![0.0, 2.0, -1.5, 0.5, 0.0, 3.0, 0.0, 1.5, 0.0, 0.0, 2.0, 0.0];
        OpCheck::new(&ReduceProduct::new(&[1], true), &[&[3, 4]]).values(0, values).run().unwrap();
    }

    #[test]
    fn values_are_products() {
        assert_eq!(value(&ReduceProduct::new(&[0], false), &[2.0, -3.0, 4.0]), -24.0);
        assert_eq!(value(&ReduceProduct::new(&[0], false), &[]), 1.0);
    }
}
