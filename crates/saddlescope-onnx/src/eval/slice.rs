//! Slice.

use super::index::{product, strides};
use super::{Budget, Call};
use crate::error::OpError;
use crate::graph::{Node, checked_axes};
use crate::value::Value;

/// One axis of a slice: first index, step and number of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: i64,
    pub(crate) step: i64,
    pub(crate) len: usize,
}

/// What `start..end` by `step` means on a dimension of this length (Python's rules: clamped, negative from the end).
pub(crate) fn span(start: i64, end: i64, step: i64, len: usize) -> Result<Span, OpError> {
    let n = i128::try_from(len)?;
    let (start, end, step) = (i128::from(start), i128::from(end), i128::from(step));
    if step == 0 {
        return Err(OpError::new("a step of 0"));
    }
    if n == 0 {
        return Ok(Span { start: 0, step: 1, len: 0 });
    }
    let from_end = |x: i128| if x < 0 { x + n } else { x };
    let (low, high) = if step > 0 { (0, n) } else { (-1, n - 1) };
    let start = from_end(start).clamp(0, high);
    let end = from_end(end).clamp(low, high);
    let distance = if step > 0 { end - start } else { start - end };
    let len = if distance <= 0 { 0 } else { (distance + step.abs() - 1) / step.abs() };
    Ok(Span { start: i64::try_from(start)?, step: i64::try_from(step)?, len: usize::try_from(len)? })
}

/// Spans of all axes of a tensor of this shape.
pub(crate) fn spans(node: &Node, inputs: &[Option<&Value>], shape: &[usize]) -> Result<Vec<Span>, OpError> {
    let budget = Budget::new(0);
    let call = Call { node, inputs, budget: &budget };
    let required =
        |list: Option<Vec<i64>>, name: &str| list.ok_or_else(|| OpError::new(format!("no {name}")));
    let starts = required(call.ints_or_input("starts", 1)?, "starts")?;
    let ends = required(call.ints_or_input("ends", 2)?, "ends")?;
    let axes = match call.ints_or_input("axes", 3)? {
        Some(axes) => checked_axes(&axes, shape.len())?,
        None => (0..starts.len()).collect(),
    };
    let steps = match call.optional(4) {
        Some(steps) => steps.to_i64s()?,
        None => vec![1; starts.len()],
    };
    if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
        return Err(OpError::new("starts, ends, axes and steps differ in length"));
    }
    let mut all: Vec<Span> = shape.iter().map(|&len| Span { start: 0, step: 1, len }).collect();
    for (i, &axis) in axes.iter().enumerate() {
        let Some(slot) = all.get_mut(axis) else {
            return Err(OpError::new(format!("axis {axis} of a tensor with {} dimensions", shape.len())));
        };
        *slot = span(starts[i], ends[i], steps[i], shape[axis])?;
    }
    Ok(all)
}

pub(super) fn slice(call: &Call<'_>) -> Result<Vec<Value>, OpError> {
    let x = call.input(0)?;
    let spans = spans(call.node, call.inputs, x.shape())?;
    let shape: Vec<usize> = spans.iter().map(|s| s.len).collect();
    let len = call.budget.take(&shape)?;
    let own = strides(x.shape());
    let mut picks = Vec::with_capacity(len);
    if len > 0 {
        debug_assert_eq!(product(&shape), len);
        let mut index = vec![0i64; shape.len()];
        for _ in 0..len {
            let at: i64 =
                (0..shape.len()).map(|d| (spans[d].start + index[d] * spans[d].step) * own[d] as i64).sum();
            picks.push(usize::try_from(at)?);
            for d in (0..shape.len()).rev() {
                index[d] += 1;
                if (index[d] as usize) < shape[d] {
                    break;
                }
                index[d] = 0;
            }
        }
    }
    Ok(vec![Value::new(x.element(), shape, x.data().take(&picks))?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_those_of_python() {
        let indices = |start, end, step, len| -> Vec<i64> {
            let s = span(start, end, step, len).unwrap();
            (0..s.len as i64).map(|i| s.start + i * s.step).collect()
        };
        assert_eq!(indices(0, i64::MAX, 1, 3), [0, 1, 2]);
        assert_eq!(indices(-1, i64::MIN, -1, 3), [2, 1, 0]);
        assert_eq!(indices(1, -1, 1, 4), [1, 2]);
        assert_eq!(indices(5, 9, 1, 3), [0i64; 0]);
        assert_eq!(indices(9, 0, -2, 5), [4, 2]);
        assert_eq!(indices(0, 9, 4, 5), [0, 4]);
        assert_eq!(indices(-9, 2, 1, 3), [0, 1]);
        assert_eq!(indices(0, 5, 1, 0), [0i64; 0]);
        assert_eq!(indices(3, 0, -1, 0), [0i64; 0]);
        assert!(span(0, 1, 0, 3).is_err());
    }
}
