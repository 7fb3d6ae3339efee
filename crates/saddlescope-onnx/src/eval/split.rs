//! Split.

use super::Call;
use super::index::around;
use crate::error::OpError;
use crate::graph::checked_axis;
use crate::value::Value;

/// Sizes of the pieces along an axis of this length; also used by the translation to the engine.
pub(crate) fn piece_sizes(
    given: Option<&[i64]>,
    num_outputs: Option<i64>,
    outputs: usize,
    len: usize,
) -> Result<Vec<usize>, OpError> {
    let sizes: Vec<usize> = match given {
        Some(list) => list.iter().map(|&n| usize::try_from(n)).collect::<Result<_, _>>()?,
        None => {
            let pieces = num_outputs.map_or(Ok(outputs), usize::try_from)?;
            if pieces == 0 || pieces != outputs {
                return Err(OpError::new(format!("{pieces} pieces for {outputs} outputs")));
            }
            let size = len.div_ceil(pieces);
            (0..pieces).map(|i| size.min(len.saturating_sub(i * size))).collect()
        }
    };
    let total = sizes.iter().try_fold(0usize, |n, &s| n.checked_add(s));
    if total != Some(len) || sizes.len() != outputs {
        return Err(OpError::new(format!(
            "pieces {sizes:?} of a dimension of length {len} for {outputs} outputs"
        )));
    }
    Ok(sizes)
}

pub(super) fn split(call: &Call<'_>) -> Result<Vec<Value>, OpError> {
    let x = call.input(0)?;
    let axis = checked_axis(call.node.int_or("axis", 0)?, x.rank())?;
    let given = call.ints_or_input("split", 1)?;
    let (outer, len, inner) = around(x.shape(), axis);
    let sizes = piece_sizes(given.as_deref(), call.node.int("num_outputs")?, call.node.outputs.len(), len)?;
    let mut start = 0;
    let mut pieces = Vec::with_capacity(sizes.len());
    for size in sizes {
        let mut shape = x.shape().to_vec();
        shape[axis] = size;
        let count = call.budget.take(&shape)?;
        let mut picks = Vec::with_capacity(count);
        for o in 0..if count == 0 { 0 } else { outer } {
            let first = (o * len + start) * inner;
            picks.extend(first..first + size * inner);
        }
        pieces.push(Value::new(x.element(), shape, x.data().take(&picks))?);
        start += size;
    }
    Ok(pieces)
}
