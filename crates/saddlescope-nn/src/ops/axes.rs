//! Axes as ONNX and PyTorch give them: −1 is the last one.

use crate::op::ShapeError;

/// The only input's shape.
pub(crate) fn single<'a>(op: &'static str, inputs: &[&'a [usize]]) -> Result<&'a [usize], ShapeError> {
    match inputs {
        [x] => Ok(x),
        _ => Err(ShapeError::new(op, format!("takes 1 input, found {}", inputs.len()))),
    }
}

/// The axis that `axis` means in an array of `rank` axes.
pub(crate) fn resolve_axis(op: &'static str, axis: i64, rank: usize) -> Result<usize, ShapeError> {
    let r = rank as i64;
    if (-r..r).contains(&axis) {
        return Ok(if axis < 0 { axis + r } else { axis } as usize);
    }
    Err(ShapeError::new(op, format!("axis {axis} of an input of {rank} axes")))
}

/// The axes that `axes` mean in an array of `rank` axes, as one flag per axis; none may be named twice.
pub(crate) fn resolve_axes(op: &'static str, axes: &[i64], rank: usize) -> Result<Vec<bool>, ShapeError> {
    let mut chosen = vec![false; rank];
    for &axis in axes {
        let a = resolve_axis(op, axis, rank)?;
        if std::mem::replace(&mut chosen[a], true) {
            return Err(ShapeError::new(op, format!("axis {a} is named twice in {axes:?}")));
        }
    }
    Ok(chosen)
}

/// An axis that `infer` has already accepted.
pub(crate) fn accepted_axis(axis: i64, rank: usize) -> usize {
    (if axis < 0 { axis + rank as i64 } else { axis }) as usize
}

/// Shape as [before the axis, the axis, after it].
pub(crate) fn around(shape: &[usize], axis: usize) -> [usize; 3] {
    [shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()]
}
