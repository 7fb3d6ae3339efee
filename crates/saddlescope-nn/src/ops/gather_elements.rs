//! Selection of single elements by index along an axis.

use super::axes::{accepted_axis, resolve_axis};
use super::gather::entry;
use super::strided::{nest, row_major, walk};
use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slots};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// y[…, i, …] = x[…, indices[…, i, …], …] along an axis (ONNX `GatherElements`, PyTorch `gather`). Inputs: x, and
/// indices with as many axes, of which all but the chosen one are at most as long as those of x.
///
/// Indices are treated as in [`Gather`](super::Gather): not differentiated, and NaN comes of those that are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatherElements {
    axis: i64,
}

impl GatherElements {
    /// Selection along `axis`.
    pub fn new(axis: i64) -> Self {
        Self { axis }
    }

    /// For every element of the output the element of x it comes from, if there is one.
    fn places<T: Scalar>(&self, c: &Context<'_, T>) -> Vec<Option<usize>> {
        let x = c.inputs[0].shape;
        let axis = accepted_axis(self.axis, x.len());
        let mut strides = row_major(x);
        let step = std::mem::replace(&mut strides[axis], 0) as usize;
        let mut places = Vec::with_capacity(c.len());
        if let Some(axes) = nest(c.shape, [&strides]) {
            walk(&axes, [0], &mut |[base]| {
                let index = c.x(1)[places.len()].to_f64();
                places.push(entry(index, x[axis]).map(|e| base as usize + e * step));
            });
        }
        places
    }
}

impl OpInfo for GatherElements {
    fn name(&self) -> &'static str {
        "GatherElements"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let [x, indices] = inputs else {
            return Err(ShapeError::new(self.name(), format!("takes 2 inputs, found {}", inputs.len())));
        };
        let axis = resolve_axis(self.name(), self.axis, x.len())?;
        if indices.len() != x.len() || (0..x.len()).any(|a| a != axis && indices[a] > x[a]) {
            let message = format!("indices of shape {indices:?} do not fit {x:?} along axis {axis}");
            return Err(ShapeError::new(self.name(), message));
        }
        Ok(indices.to_vec())
    }

    fn reads(&self) -> Reads {
        Reads { inputs: 2, output: false }
    }
}

fn select<T: Scalar>(places: &[Option<usize>], x: &[T], y: &mut [T]) {
    for (y, place) in y.iter_mut().zip(places) {
        *y = place.map_or(T::from_f64(f64::NAN), |p| x[p]);
    }
}

fn deposit<T: Scalar>(places: &[Option<usize>], gy: &[T], gx: &mut [T]) {
    for (&gy, place) in gy.iter().zip(places) {
        if let Some(p) = *place {
            gx[p] += gy;
        }
    }
}

impl<T: Scalar> Op<T> for GatherElements {
    fn forward(&self, c: &Context<'_, T>, y: &mut [T], _scratch: &mut Scratch<T>) {
        select(&self.places(c), c.x(0), y);
    }

    fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], _scratch: &mut Scratch<T>) {
        let places = self.places(c);
        for (j, dy) in dy.chunks_exact_mut(c.len().max(1)).enumerate() {
            match c.dx(0, j) {
                Some(dx) => select(&places, dx, dy),
                None => dy.fill(T::ZERO),
            }
        }
    }

    fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        if let Some(slot) = &mut gx[0] {
            deposit(&self.places(c), c.gy, slot.add());
        }
    }

    fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        if let Some(slot) = &mut dgx[0] {
            let places = self.places(c);
            for j in 0..c.tangents {
                deposit(&places, c.dgy(j), slot.part(j, c.tangents).add());
            }
            slot.set_written();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Operand;
    use crate::testkit::OpCheck;

    #[test]
    fn derivatives_match_finite_differences() {
        let indices: Vec<f64> = (0..24).map(|i| f64::from(i * 7 % 5 - 2)).collect();
        for (axis, x, shape) in
            [(1, [3, 5, 4], [2, 3, 4]), (-1, [2, 3, 5], [2, 3, 4]), (0, [3, 4, 2], [6, 4, 1])]
        {
            let op = GatherElements::new(axis);
            let check = OpCheck::new(&op, &[&x, &shape]).constant(1);
            check.values(1, indices.clone()).run().unwrap();
        }
    }

    #[test]
    fn values_are_selected() {
        // The example of the ONNX operator's page, axis 1, and an index out of range.
        let (x, indices) = ([1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 1.0, 2.0]);
        let operand =
            |value| Operand { shape: &[2, 2], value, tangent: None, packed: None, packed_tangents: &[] };
        let inputs = [operand(&x), operand(&indices)];
        let c = Context { inputs: &inputs, shape: &[2, 2], tangents: 0, y: &[], dy: &[], gy: &[], dgy: &[] };
        let mut y = [0.0; 4];
        GatherElements::new(1).forward(&c, &mut y, &mut Scratch::new());
        assert_eq!(y[..3], [1.0, 1.0, 4.0]);
        assert!(y[3].is_nan());
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        assert!(GatherElements::new(1).infer(&[&[2, 3], &[3, 3]]).is_err());
        assert!(GatherElements::new(1).infer(&[&[2, 3], &[2]]).is_err());
        assert!(GatherElements::new(2).infer(&[&[2, 3], &[2, 3]]).is_err());
    }
}
