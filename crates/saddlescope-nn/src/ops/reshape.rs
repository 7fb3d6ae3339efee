//! Operations that give the same elements another shape: they cost nothing.

use super::axes::{resolve_axes, single};
use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slots, numel};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// The same elements under another shape (ONNX `Reshape`, PyTorch `reshape`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reshape {
    spec: Vec<i64>,
    keep_batch: bool,
}

/// The first axes flattened to one, and the others to another (ONNX `Flatten`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flatten {
    axis: i64,
}

/// Axes of length 1 removed (ONNX `Squeeze`). Axes are named, because whether the batch has size 1 must not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Squeeze {
    axes: Vec<i64>,
}

/// Axes of length 1 inserted (ONNX `Unsqueeze`); they are numbered as in the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsqueeze {
    axes: Vec<i64>,
}

/// The input itself (ONNX `Identity`, and `Dropout` in evaluation mode).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity;

impl Reshape {
    /// ONNX's rule: 0 keeps the input's axis at the same place, −1 (at most one) takes what is left.
    pub fn new(spec: &[i64]) -> Self {
        Self { spec: spec.to_vec(), keep_batch: false }
    }

    /// Keeps the first axis, the batch, whatever its size; `spec` is for the axes after it, where 0 and −1 mean what
    /// they mean in [`Reshape::new`].
    pub fn keep_batch(spec: &[i64]) -> Self {
        Self { spec: [&[0], spec].concat(), keep_batch: true }
    }
}

impl Flatten {
    /// Flattens axes `..axis` to one and `axis..` to another; from −rank to rank.
    pub fn new(axis: i64) -> Self {
        Self { axis }
    }
}

impl Squeeze {
    /// Removes the given axes.
    pub fn new(axes: &[i64]) -> Self {
        Self { axes: axes.to_vec() }
    }
}

impl Unsqueeze {
    /// Inserts axes so that the output has length 1 at the given axes.
    pub fn new(axes: &[i64]) -> Self {
        Self { axes: axes.to_vec() }
    }
}

impl OpInfo for Reshape {
    fn name(&self) -> &'static str {
        "Reshape"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let x = single(self.name(), inputs)?;
        let error = || {
            let batch = if self.keep_batch { " (batch kept)" } else { "" };
            ShapeError::new("Reshape", format!("shape {x:?} does not become {:?}{batch}", self.spec))
        };
        let mut shape = Vec::with_capacity(self.spec.len());
        let mut open = None;
        for (a, &n) in self.spec.iter().enumerate() {
            match n {
                0 => shape.push(*x.get(a).ok_or_else(error)?),
                -1 if open.is_none() => {
                    open = Some(a);
                    shape.push(1);
                }
                _ => shape.push(usize::try_from(n).map_err(|_| error())?),
            }
        }
        if let Some(a) = open {
            // An empty batch leaves nothing to divide: the axes that both shapes keep are left out.
            let kept = |i: usize| i != a && self.spec[i] == 0;
            let product = |s: &[usize]| {
                (s.iter().enumerate())
                    .filter(|&(i, _)| i >= self.spec.len() || !kept(i))
                    .try_fold(1_usize, |p, (_, &n)| p.checked_mul(n))
            };
            let (total, known) = (product(x).ok_or_else(error)?, product(&shape).ok_or_else(error)?);
            if known == 0 || !total.is_multiple_of(known) {
                return Err(error());
            }
            shape[a] = total / known;
        }
        let count = shape.iter().try_fold(1_usize, |p, &n| p.checked_mul(n));
        if count == Some(numel(x)) { Ok(shape) } else { Err(error()) }
    }

    fn is_reshape(&self) -> bool {
        true
    }

    fn reads(&self) -> Reads {
        Reads::NONE
    }
}

impl OpInfo for Flatten {
    fn name(&self) -> &'static str {
        "Flatten"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let x = single(self.name(), inputs)?;
        let rank = x.len() as i64;
        if !(-rank..=rank).contains(&self.axis) {
            let message = format!("axis {} of an input of {rank} axes", self.axis);
            return Err(ShapeError::new(self.name(), message));
        }
        let axis = if self.axis < 0 { self.axis + rank } else { self.axis } as usize;
        Ok(vec![numel(&x[..axis]), numel(&x[axis..])])
    }

    fn is_reshape(&self) -> bool {
        true
    }

    fn reads(&self) -> Reads {
        Reads::NONE
    }
}

impl OpInfo for Squeeze {
    fn name(&self) -> &'static str {
        "Squeeze"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let x = single(self.name(), inputs)?;
        let chosen = resolve_axes(self.name(), &self.axes, x.len())?;
        if let Some(a) = (0..x.len()).find(|&a| chosen[a] && x[a] != 1) {
            let message = format!("axis {a} of {x:?} has length {}, not 1", x[a]);
            return Err(ShapeError::new(self.name(), message));
        }
        Ok((0..x.len()).filter(|&a| !chosen[a]).map(|a| x[a]).collect())
    }

    fn is_reshape(&self) -> bool {
        true
    }

    fn reads(&self) -> Reads {
        Reads::NONE
    }
}

impl OpInfo for Unsqueeze {
    fn name(&self) -> &'static str {
        "Unsqueeze"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let x = single(self.name(), inputs)?;
        let chosen = resolve_axes(self.name(), &self.axes, x.len() + self.axes.len())?;
        let mut rest = x.iter().copied();
        Ok(chosen.iter().map(|&new| if new { 1 } else { rest.next().unwrap_or(1) }).collect())
    }

    fn is_reshape(&self) -> bool {
        true
    }

    fn reads(&self) -> Reads {
        Reads::NONE
    }
}

impl OpInfo for Identity {
    fn name(&self) -> &'static str {
        "Identity"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        Ok(single(self.name(), inputs)?.to_vec())
    }

    fn is_reshape(&self) -> bool {
        true
    }

    fn reads(&self) -> Reads {
        Reads::NONE
    }
}

/// The passes of an operation that changes the shape alone. An engine that honours `is_reshape` does not call them,
/// but they are right all the same.
macro_rules! reshape_op {
    ($($op:ty),*) => {$(
        impl<T: Scalar> Op<T> for $op {
            fn forward(&self, c: &Context<'_, T>, y: &mut [T], _scratch: &mut Scratch<T>) {
                y.copy_from_slice(c.x(0));
            }

            fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], _scratch: &mut Scratch<T>) {
                match c.inputs[0].tangent {
                    Some(dx) => dy.copy_from_slice(dx),
                    None => dy.fill(T::ZERO),
                }
            }

            fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
                if let Some(slot) = &mut gx[0] {
                    slot.write_each(|i| c.gy[i]);
                }
            }

            fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
                if let Some(slot) = &mut dgx[0] {
                    slot.write_each(|i| c.dgy[i]);
                }
            }
        }
    )*};
}

reshape_op!(Reshape, Flatten, Squeeze, Unsqueeze, Identity);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::check_op;

    fn shape(op: &dyn OpInfo, x: &[usize]) -> Option<Vec<usize>> {
        op.infer(&[x]).ok()
    }

    #[test]
    fn reshape_follows_onnx() {
        assert_eq!(shape(&Reshape::new(&[0, -1]), &[3, 2, 5]), Some(vec![3, 10]));
        assert_eq!(shape(&Reshape::new(&[-1, 2, 0]), &[3, 4, 5]), Some(vec![6, 2, 5]));
        assert_eq!(shape(&Reshape::new(&[6]), &[3, 2]), Some(vec![6]));
        assert_eq!(shape(&Reshape::new(&[]), &[1, 1]), Some(vec![]));
        for bad in [&[4][..], &[-1, -1], &[-2, 3], &[0, 0, 0], &[-1, 4], &[i64::MAX, i64::MAX]] {
            assert_eq!(shape(&Reshape::new(bad), &[3, 2]), None, "{bad:?}");
        }
    }

    #[test]
    fn the_batch_is_kept_whatever_its_size() {
        let op = Reshape::keep_batch(&[4, -1]);
        for batch in [0, 1, 7] {
            assert_eq!(shape(&op, &[batch, 2, 6]), Some(vec![batch, 4, 3]));
        }
        assert_eq!(shape(&Reshape::keep_batch(&[5]), &[2, 6]), None);
    }

    #[test]
    fn axes_are_flattened_removed_and_inserted() {
        assert_eq!(shape(&Flatten::new(1), &[3, 2, 5]), Some(vec![3, 10]));
        assert_eq!(shape(&Flatten::new(0), &[3, 2, 5]), Some(vec![1, 30]));
        assert_eq!(shape(&Flatten::new(-1), &[3, 2, 5]), Some(vec![6, 5]));
        assert_eq!(shape(&Flatten::new(4), &[3, 2, 5]), None);
        assert_eq!(shape(&Squeeze::new(&[-1, 1]), &[3, 1, 5, 1]), Some(vec![3, 5]));
        assert_eq!(shape(&Squeeze::new(&[0]), &[3, 1]), None);
        assert_eq!(shape(&Unsqueeze::new(&[0, -1]), &[3, 5]), Some(vec![1, 3, 5, 1]));
        assert_eq!(shape(&Unsqueeze::new(&[1, 1]), &[3, 5]), None);
        assert_eq!(shape(&Unsqueeze::new(&[4]), &[3, 5]), None);
    }

    #[test]
    fn derivatives_match_finite_differences() {
        check_op(&Reshape::new(&[-1, 3]), &[&[3, 5, 7]]).unwrap();
        check_op(&Flatten::new(1), &[&[3, 5, 7]]).unwrap();
        check_op(&Identity, &[&[3, 5]]).unwrap();
    }
}
