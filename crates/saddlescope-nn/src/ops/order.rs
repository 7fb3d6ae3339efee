//! Places of the largest or smallest elements along an axis. They are piecewise constant: no derivative passes through them, and
//! the selected values are picked by [`GatherElements`](super::GatherElements), through which it does.

use std::cmp::Ordering;

use super::axes::{accepted_axis, around, resolve_axis, single};
use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slots};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// Indices of the k largest (or smallest) elements along an axis, in order; equal elements in the order of their indices (the
/// second output of ONNX `TopK`, sorted).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopKIndices {
    axis: i64,
    k: usize,
    largest: bool,
}

impl TopKIndices {
    /// The `k` largest (or smallest) along `axis`.
    pub fn new(axis: i64, k: usize, largest: bool) -> Self {
        Self { axis, k, largest }
    }
}

/// Index of the largest (or smallest) element along an axis, which remains with length 1 (ONNX `ArgMax`, `ArgMin`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgExtremum {
    axis: i64,
    largest: bool,
    last: bool,
}

impl ArgExtremum {
    /// The largest (or smallest) element along `axis`; of equal ones the first, or the last.
    pub fn new(axis: i64, largest: bool, last: bool) -> Self {
        Self { axis, largest, last }
    }
}

/// NaN stands above every number, as in NumPy.
fn order<T: Scalar>(a: T, b: T) -> Ordering {
    let nan = |x: T| x.partial_cmp(&x).is_none();
    a.partial_cmp(&b).unwrap_or_else(|| nan(a).cmp(&nan(b)))
}

fn infer(name: &'static str, axis: i64, k: usize, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
    let mut shape = single(name, inputs)?.to_vec();
    let axis = resolve_axis(name, axis, shape.len())?;
    if k > shape[axis] {
        return Err(ShapeError::new(name, format!("{k} elements of axis {axis} of {shape:?}")));
    }
    shape[axis] = k;
    Ok(shape)
}

/// Calls `choose(line, places)` for every line along the axis and writes the places it puts down.
fn each_line<T: Scalar>(
    c: &Context<'_, T>,
    axis: i64,
    y: &mut [T],
    mut choose: impl FnMut(&[T], &mut Vec<usize>),
) {
    let [outer, n, inner] = around(c.inputs[0].shape, accepted_axis(axis, c.shape.len()));
    let (mut line, mut places) = (vec![T::ZERO; n], Vec::new());
    let k = c.shape[accepted_axis(axis, c.shape.len())];
    for o in 0..outer {
        for i in 0..inner {
            for (j, x) in line.iter_mut().enumerate() {
                *x = c.x(0)[(o * n + j) * inner + i];
            }
            places.clear();
            choose(&line, &mut places);
            for (j, &place) in places.iter().take(k).enumerate() {
                y[(o * k + j) * inner + i] = T::from_f64(place as f64);
            }
        }
    }
}

/// Shape rule and the passes that vanish.
macro_rules! places_op {
    ($op:ty, $name:literal, |$self:ident| $k:expr) => {
        impl OpInfo for $op {
            fn name(&self) -> &'static str {
                $name
            }

            fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
                let $self = self;
                infer($name, self.axis, $k, inputs)
            }

            fn reads(&self) -> Reads {
                Reads::NONE
            }
        }

        impl<T: Scalar> Op<T> for $op {
            fn forward(&self, c: &Context<'_, T>, y: &mut [T], _scratch: &mut Scratch<T>) {
                self.places(c, y);
            }

            fn tangent(&self, _c: &Context<'_, T>, dy: &mut [T], _scratch: &mut Scratch<T>) {
                dy.fill(T::ZERO);
            }

            fn adjoint(&self, _c: &Context<'_, T>, _gx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {}

            fn adjoint_tangent(
                &self,
                _c: &Context<'_, T>,
                _dgx: &mut Slots<'_, T>,
                _scratch: &mut Scratch<T>,
            ) {
            }
        }
    };
}

places_op!(TopKIndices, "TopK", |op| op.k);
places_op!(ArgExtremum, "ArgMax", |_op| 1);

impl TopKIndices {
    fn places<T: Scalar>(&self, c: &Context<'_, T>, y: &mut [T]) {
        each_line(c, self.axis, y, |line, places| {
            places.extend(0..line.len());
            if self.largest {
                places.sort_by(|&a, &b| order(line[b], line[a]));
            } else {
                places.sort_by(|&a, &b| order(line[a], line[b]));
            }
        });
    }
}

impl ArgExtremum {
    fn places<T: Scalar>(&self, c: &Context<'_, T>, y: &mut [T]) {
        let wanted = if self.largest { Ordering::Greater } else { Ordering::Less };
        each_line(c, self.axis, y, |line, places| {
            let better = |best: usize, k: usize| match order(line[k], line[best]) {
                o if o == wanted => k,
                Ordering::Equal if self.last => k,
                _ => best,
            };
            places.push((1..line.len()).fold(0, better));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{AnyOp, Operand};
    use crate::testkit::check_op;

    fn values(op: &dyn Op<f64>, shape: &[usize], x: &[f64]) -> Vec<f64> {
        let inputs = [Operand { shape, value: x, tangent: None, packed: None, packed_tangents: &[] }];
        let out = op.infer(&[shape]).unwrap();
        let c = Context { inputs: &inputs, shape: &out, tangents: 0, y: &[], dy: &[], gy: &[], dgy: &[] };
        let mut y = vec![0.0; out.iter().product()];
        op.forward(&c, &mut y, &mut Scratch::new());
        y
    }

    #[test]
    fn places_are_found_and_ties_keep_their_order() {
        let x = [3.0, 1.0, 3.0, 2.0, f64::NAN, 0.0, 0.0, 5.0];
        assert_eq!(values(&TopKIndices::new(1, 2, true), &[2, 4], &x), [0.0, 2.0, 0.0, 3.0]);
        assert_eq!(values(&TopKIndices::new(-1, 3, false), &[2, 4], &x), [1.0, 3.0, 0.0, 1.0, 2.0, 3.0]);
        assert_eq!(values(&ArgExtremum::new(1, true, false), &[2, 4], &x), [0.0, 0.0]);
        assert_eq!(values(&ArgExtremum::new(1, true, true), &[2, 4], &x), [2.0, 0.0]);
        assert_eq!(values(&ArgExtremum::new(1, false, true), &[2, 4], &x), [1.0, 2.0]);
        assert_eq!(values(&ArgExtremum::new(0, false, false), &[2, 4], &x), [0.0, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn no_derivative_passes() {
        for op in [&TopKIndices::new(1, 2, true) as &dyn AnyOp, &ArgExtremum::new(-1, false, false)] {
            check_op(op, &[&[3, 5, 4]]).unwrap();
        }
        assert!(TopKIndices::new(1, 6, true).infer(&[&[3, 5]]).is_err());
    }
}
