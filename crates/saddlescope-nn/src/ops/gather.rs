//! Selection by index along an axis: embeddings, and picking rows.

use super::axes::{accepted_axis, around, resolve_axis, single};
use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slots, numel};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// Entries of the first input along an axis, by the indices in the second (ONNX `Gather`; with axis 0 an embedding:
/// table `[entries, width]`, indices `[batch, …]`, output `[batch, …, width]`).
///
/// Indices are numbers like all others; negative ones count from the end. They are not differentiated. An index that
/// is no integer or out of range gives NaN, so that it is seen in the loss; whoever supplies the data checks it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gather {
    axis: i64,
}

/// Entries along an axis by constant indices (ONNX `Gather` whose indices are an initializer).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Take {
    axis: i64,
    indices: Vec<i64>,
    shape: Vec<usize>,
}

impl Gather {
    /// Selection along `axis` of the first input.
    pub fn new(axis: i64) -> Self {
        Self { axis }
    }
}

impl Take {
    /// Selection along `axis` by `indices` of shape `shape` (row-major; `[]` for one index that removes the axis).
    /// Negative indices count from the end.
    pub fn new(axis: i64, indices: &[i64], shape: &[usize]) -> Self {
        Self { axis, indices: indices.to_vec(), shape: shape.to_vec() }
    }
}

/// The entry that `index` means on an axis of length `n`, if it is one.
pub(crate) fn entry(index: f64, n: usize) -> Option<usize> {
    let from_start = if index < 0.0 { index + n as f64 } else { index };
    // NaN fails both comparisons.
    let inside = from_start >= 0.0 && from_start < n as f64 && from_start.fract() == 0.0;
    inside.then_some(from_start as usize)
}

/// Copies `width` numbers per entry; entries that do not exist give `missing`.
fn select<T: Scalar>(
    [outer, n, width]: [usize; 3],
    entries: &[Option<usize>],
    x: &[T],
    y: &mut [T],
    missing: T,
) {
    if width == 0 {
        return;
    }
    let mut rows = y.chunks_exact_mut(width);
    for o in 0..outer {
        for &entry in entries {
            let Some(y) = rows.next() else { return };
            match entry {
                Some(e) => y.copy_from_slice(&x[(o * n + e) * width..][..width]),
                None => y.fill(missing),
            }
        }
    }
}

/// The transpose of [`select`], adding.
fn deposit<T: Scalar>([outer, n, width]: [usize; 3], entries: &[Option<usize>], gy: &[T], gx: &mut [T]) {
    if width == 0 {
        return;
    }
    let mut rows = gy.chunks_exact(width);
    for o in 0..outer {
        for &entry in entries {
            let Some(gy) = rows.next() else { return };
            if let Some(e) = entry {
                for (gx, &gy) in gx[(o * n + e) * width..][..width].iter_mut().zip(gy) {
                    *gx += gy;
                }
            }
        }
    }
}

fn result_shape(x: &[usize], axis: usize, indices: &[usize]) -> Vec<usize> {
    [&x[..axis], indices, &x[axis + 1..]].concat()
}

impl OpInfo for Gather {
    fn name(&self) -> &'static str {
        "Gather"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let [x, indices] = inputs else {
            return Err(ShapeError::new(self.name(), format!("takes 2 inputs, found {}", inputs.len())));
        };
        let axis = resolve_axis(self.name(), self.axis, x.len())?;
        Ok(result_shape(x, axis, indices))
    }

    fn reads(&self) -> Reads {
        Reads { inputs: 2, output: false }
    }
}

impl OpInfo for Take {
    fn name(&self) -> &'static str {
        "Gather"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let x = single(self.name(), inputs)?;
        let axis = resolve_axis(self.name(), self.axis, x.len())?;
        if numel(&self.shape) != self.indices.len() {
            let message = format!("{} indices do not fill shape {:?}", self.indices.len(), self.shape);
            return Err(ShapeError::new(self.name(), message));
        }
        let n = x[axis] as i64;
        if let Some(bad) = self.indices.iter().find(|&&i| i < -n || i >= n) {
            let message = format!("index {bad} is outside axis {axis} of {x:?}");
            return Err(ShapeError::new(self.name(), message));
        }
        Ok(result_shape(x, axis, &self.shape))
    }

    fn reads(&self) -> Reads {
        Reads::NONE
    }
}

/// Which entries an operation selects.
trait Selection: OpInfo {
    fn axis(&self) -> i64;
    fn entries<T: Scalar>(&self, c: &Context<'_, T>, n: usize) -> Vec<Option<usize>>;

    /// Extent of the first input around the axis, and the entries.
    fn selected<T: Scalar>(&self, c: &Context<'_, T>) -> ([usize; 3], Vec<Option<usize>>) {
        let x = c.inputs[0].shape;
        let around = around(x, accepted_axis(self.axis(), x.len()));
        (around, self.entries(c, around[1]))
    }
}

impl Selection for Gather {
    fn axis(&self) -> i64 {
        self.axis
    }

    fn entries<T: Scalar>(&self, c: &Context<'_, T>, n: usize) -> Vec<Option<usize>> {
        c.x(1).iter().map(|i| entry(i.to_f64(), n)).collect()
    }
}

impl Selection for Take {
    fn axis(&self) -> i64 {
        self.axis
    }

    fn entries<T: Scalar>(&self, _c: &Context<'_, T>, n: usize) -> Vec<Option<usize>> {
        self.indices.iter().map(|&i| Some((if i < 0 { i + n as i64 } else { i }) as usize)).collect()
    }
}

macro_rules! selection_op {
    ($op:ty) => {
        impl<T: Scalar> Op<T> for $op {
            fn forward(&self, c: &Context<'_, T>, y: &mut [T], _scratch: &mut Scratch<T>) {
                let (around, entries) = self.selected(c);
                select(around, &entries, c.x(0), y, T::from_f64(f64::NAN));
            }

            fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], _scratch: &mut Scratch<T>) {
                let (around, entries) = self.selected(c);
                for (j, dy) in dy.chunks_exact_mut(c.len().max(1)).enumerate() {
                    match c.dx(0, j) {
                        Some(dx) => select(around, &entries, dx, dy, T::from_f64(f64::NAN)),
                        None => dy.fill(T::ZERO),
                    }
                }
            }

            fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
                if let Some(slot) = &mut gx[0] {
                    let (around, entries) = self.selected(c);
                    deposit(around, &entries, c.gy, slot.add());
                }
            }

            fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
                if let Some(slot) = &mut dgx[0] {
                    let (around, entries) = self.selected(c);
                    for j in 0..c.tangents {
                        deposit(around, &entries, c.dgy(j), slot.part(j, c.tangents).add());
                    }
                    slot.set_written();
                }
            }
        }
    };
}

selection_op!(Gather);
selection_op!(Take);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Operand;
    use crate::testkit::{OpCheck, check_op};

    #[test]
    fn derivatives_match_finite_differences() {
        // An embedding with repeated indices, and one in the middle, both with indices from the end.
        let (first, second_last) = (Gather::new(0), Gather::new(-2));
        let embedding = OpCheck::new(&first, &[&[5, 3], &[2, 4]]).constant(1);
        embedding.values(1, vec![0.0, 4.0, 4.0, 1.0, -1.0, 2.0, 0.0, -5.0]).run().unwrap();
        let middle = OpCheck::new(&second_last, &[&[2, 5, 3], &[2]]).constant(1);
        middle.values(1, vec![3.0, -2.0]).run().unwrap();
        check_op(&Take::new(1, &[0], &[]), &[&[3, 5, 2]]).unwrap();
        check_op(&Take::new(-1, &[1, -1, 1, 0], &[2, 2]), &[&[3, 5, 2]]).unwrap();
        check_op(&Take::new(0, &[], &[0]), &[&[3, 5]]).unwrap();
        check_op(&Take::new(1, &[0, 1], &[2]), &[&[0, 5]]).unwrap();
    }

    #[test]
    fn indices_that_are_none_give_nan() {
        let (x, indices) = ([1.0, 2.0], [0.0, -1.0, 2.0, -3.0, 0.5, f64::NAN, f64::INFINITY]);
        let operand =
            |shape, value| Operand { shape, value, tangent: None, packed: None, packed_tangents: &[] };
        let inputs = [operand(&[2], &x), operand(&[7], &indices)];
        let c = Context { inputs: &inputs, shape: &[7], tangents: 0, y: &[], dy: &[], gy: &[], dgy: &[] };
        let mut y = [0.0; 7];
        Gather::new(0).forward(&c, &mut y, &mut Scratch::new());
        assert_eq!(y[..2], [1.0, 2.0]);
        assert!(y[2..].iter().all(|y| y.is_nan()));
    }

    #[test]
    fn constant_indices_are_checked() {
        assert!(Take::new(0, &[3], &[1]).infer(&[&[3]]).is_err());
        assert!(Take::new(0, &[-4], &[1]).infer(&[&[3]]).is_err());
        assert!(Take::new(0, &[0, 1], &[3]).infer(&[&[3]]).is_err());
        assert!(Take::new(1, &[0], &[1]).infer(&[&[3]]).is_err());
        assert!(Gather::new(0).infer(&[&[], &[2]]).is_err());
    }
}
