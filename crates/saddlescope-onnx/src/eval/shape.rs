//! Shape, Size, Identity, Reshape, Flatten, Squeeze, Unsqueeze, Expand and Tile.

use super::broadcast;
use super::index::product;
use super::{Call, gather};
use crate::error::OpError;
use crate::graph::{checked_axes, checked_axis};
use crate::value::{Value, numel};

type Outputs = Result<Vec<Value>, OpError>;

/// The entries of a shape that `Shape` returns (`start` and `end` since operator set 15), clamped as in Python.
pub(crate) fn shape_range(
    rank: usize,
    start: i64,
    end: Option<i64>,
) -> Result<std::ops::Range<usize>, OpError> {
    let rank_i = i64::try_from(rank)?;
    let clamp = |x: i64| if x < 0 { x.saturating_add(rank_i).max(0) } else { x.min(rank_i) };
    let (start, end) = (clamp(start), clamp(end.unwrap_or(rank_i)));
    Ok(usize::try_from(start)?..usize::try_from(end.max(start))?)
}

pub(super) fn shape(call: &Call<'_>) -> Outputs {
    let x = call.input(0)?;
    let range = shape_range(x.rank(), call.node.int_or("start", 0)?, call.node.int("end")?)?;
    let dims = x.shape()[range].iter().map(|&d| i64::try_from(d)).collect::<Result<Vec<_>, _>>()?;
    Ok(vec![Value::int64_vector(dims)])
}

pub(super) fn size(call: &Call<'_>) -> Outputs {
    let n = i64::try_from(call.input(0)?.len())?;
    Ok(vec![Value::int64_vector([n]).with_shape(vec![])?])
}

pub(super) fn identity(call: &Call<'_>) -> Outputs {
    let x = call.input(0)?;
    call.budget.take(x.shape())?;
    Ok(vec![x.clone()])
}

/// The new shape: 0 keeps a dimension (unless `allow_zero`), −1 takes what is left.
pub(crate) fn reshape_target(
    shape: &[usize],
    target: &[i64],
    allow_zero: bool,
) -> Result<Vec<usize>, OpError> {
    let wrong = |why: &str| OpError::new(format!("shape {shape:?} to {target:?}: {why}"));
    let mut dims = Vec::with_capacity(target.len());
    let mut inferred = None;
    for (d, &n) in target.iter().enumerate() {
        dims.push(match n {
            -1 if inferred.is_some() => return Err(wrong("two dimensions are to be inferred")),
            -1 => {
                inferred = Some(d);
                1
            }
            0 if !allow_zero => *shape.get(d).ok_or_else(|| wrong("no such dimension to keep"))?,
            n => usize::try_from(n).map_err(|_| wrong("a negative dimension"))?,
        });
    }
    let len = numel(shape).ok_or_else(|| wrong("overflow"))?;
    let known = numel(&dims).ok_or_else(|| wrong("overflow"))?;
    if let Some(d) = inferred {
        if known == 0 || len % known != 0 {
            return Err(wrong("the elements do not divide evenly"));
        }
        dims[d] = len / known;
    } else if known != len {
        return Err(wrong("the number of elements differs"));
    }
    Ok(dims)
}

/// The target is an attribute before operator set 5.
pub(super) fn reshape(call: &Call<'_>) -> Outputs {
    let x = call.input(0)?;
    let target = call.ints_or_input("shape", 1)?.ok_or_else(|| OpError::new("no target shape"))?;
    let shape = reshape_target(x.shape(), &target, call.node.flag("allowzero", false)?)?;
    call.budget.take(&shape)?;
    Ok(vec![x.with_shape(shape)?])
}

pub(super) fn flatten(call: &Call<'_>) -> Outputs {
    let x = call.input(0)?;
    let axis = call.node.int_or("axis", 1)?;
    // One past the last axis is allowed here: everything in the first dimension.
    let axis = if axis == i64::try_from(x.rank())? { x.rank() } else { checked_axis(axis, x.rank())? };
    call.budget.take(x.shape())?;
    Ok(vec![x.with_shape(vec![product(&x.shape()[..axis]), product(&x.shape()[axis..])])?])
}

/// The shape without these axes (all axes of length 1 if none are named).
pub(crate) fn squeezed(shape: &[usize], axes: Option<&[i64]>) -> Result<Vec<usize>, OpError> {
    let Some(axes) = axes else {
        return Ok(shape.iter().copied().filter(|&d| d != 1).collect());
    };
    let axes = checked_axes(axes, shape.len())?;
    if let Some(axis) = axes.iter().find(|&&a| shape[a] != 1) {
        return Err(OpError::new(format!("axis {axis} of shape {shape:?} has not length 1")));
    }
    Ok((0..shape.len()).filter(|d| !axes.contains(d)).map(|d| shape[d]).collect())
}

/// The shape with axes of length 1 at these places of the result.
pub(crate) fn unsqueezed(shape: &[usize], axes: &[i64]) -> Result<Vec<usize>, OpError> {
    let rank = shape.len().checked_add(axes.len()).ok_or_else(|| OpError::new("too many axes"))?;
    let axes = checked_axes(axes, rank)?;
    let mut kept = shape.iter();
    Ok((0..rank).map(|d| if axes.contains(&d) { 1 } else { kept.next().copied().unwrap_or(1) }).collect())
}

pub(super) fn squeeze(call: &Call<'_>) -> Outputs {
    let x = call.input(0)?;
    let shape = squeezed(x.shape(), call.ints_or_input("axes", 1)?.as_deref())?;
    call.budget.take(&shape)?;
    Ok(vec![x.with_shape(shape)?])
}

pub(super) fn unsqueeze(call: &Call<'_>) -> Outputs {
    let x = call.input(0)?;
    let axes = call.ints_or_input("axes", 1)?.ok_or_else(|| OpError::new("no axes"))?;
    let shape = unsqueezed(x.shape(), &axes)?;
    call.budget.take(&shape)?;
    Ok(vec![x.with_shape(shape)?])
}

/// Dimensions given as a tensor of integers.
pub(crate) fn sizes(value: &Value) -> Result<Vec<usize>, OpError> {
    value
        .to_i64s()?
        .into_iter()
        .map(|d| usize::try_from(d).map_err(|_| OpError::new(format!("the dimension {d} is negative"))))
        .collect()
}

pub(super) fn expand(call: &Call<'_>) -> Outputs {
    Ok(vec![broadcast::expand(call.input(0)?, &sizes(call.input(1)?)?, call.budget)?])
}

pub(super) fn tile(call: &Call<'_>) -> Outputs {
    let x = call.input(0)?;
    let repeats = sizes(call.input(1)?)?;
    if repeats.len() != x.rank() {
        return Err(OpError::new(format!("{} repeats for {} dimensions", repeats.len(), x.rank())));
    }
    let overflow = || OpError::new("the sizes overflow");
    let shape = x
        .shape()
        .iter()
        .zip(&repeats)
        .map(|(&d, &r)| d.checked_mul(r).ok_or_else(overflow))
        .collect::<Result<Vec<_>, _>>()?;
    if call.budget.take(&shape)? == 0 {
        return Ok(vec![Value::new(x.element(), shape, x.data().take(&[]))?]);
    }
    let lists: Vec<Vec<usize>> =
        shape.iter().zip(x.shape()).map(|(&n, &d)| (0..n).map(|i| i % d.max(1)).collect()).collect();
    Ok(vec![gather::product_of_lists(x, &lists)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reshape_targets() {
        assert_eq!(reshape_target(&[2, 3], &[-1], false).ok(), Some(vec![6]));
        assert_eq!(reshape_target(&[2, 3, 4], &[0, -1], false).ok(), Some(vec![2, 12]));
        assert_eq!(reshape_target(&[0, 3], &[0, 5], true).ok(), Some(vec![0, 5]));
        for target in [&[-1, -1][..], &[4, -1], &[7], &[-2, 3], &[i64::MAX, i64::MAX], &[0, 0, 0]] {
            assert!(reshape_target(&[2, 3], target, false).is_err(), "{target:?}");
        }
    }
}
