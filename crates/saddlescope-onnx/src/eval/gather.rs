//! Gather, GatherElements and GatherND.

use super::Call;
use super::index::{around, checked_index, offsets, product, strides};
use crate::error::OpError;
use crate::graph::checked_axis;
use crate::value::Value;

type Outputs = Result<Vec<Value>, OpError>;

/// Picks `lists[d]` along every dimension d; indices are in range, sizes budgeted.
pub(super) fn product_of_lists(x: &Value, lists: &[Vec<usize>]) -> Result<Value, OpError> {
    let shape: Vec<usize> = lists.iter().map(Vec::len).collect();
    let own = strides(x.shape());
    let mut picks = vec![0usize];
    if shape.contains(&0) {
        picks.clear();
    }
    for (list, stride) in lists.iter().zip(&own) {
        picks = picks.iter().flat_map(|p| list.iter().map(move |i| p + i * stride)).collect();
    }
    Value::new(x.element(), shape, x.data().take(&picks))
}

pub(super) fn gather(call: &Call<'_>) -> Outputs {
    let (x, indices) = (call.input(0)?, call.input(1)?);
    let axis = checked_axis(call.node.int_or("axis", 0)?, x.rank())?;
    let (outer, len, inner) = around(x.shape(), axis);
    let rows =
        indices.as_integers()?.iter().map(|&i| checked_index(i, len)).collect::<Result<Vec<_>, _>>()?;
    let shape = [&x.shape()[..axis], indices.shape(), &x.shape()[axis + 1..]].concat();
    let count = call.budget.take(&shape)?;
    let mut picks = Vec::with_capacity(count);
    for o in 0..if count == 0 { 0 } else { outer } {
        for row in &rows {
            let first = (o * len + row) * inner;
            picks.extend(first..first + inner);
        }
    }
    Ok(vec![Value::new(x.element(), shape, x.data().take(&picks))?])
}

/// For each element of an index tensor, where it points in `shape` when its index replaces the one along `axis`.
pub(super) fn element_positions(
    shape: &[usize],
    indices: &Value,
    axis: usize,
) -> Result<Vec<usize>, OpError> {
    let fits = indices.rank() == shape.len()
        && (0..shape.len()).all(|d| d == axis || indices.shape()[d] <= shape[d]);
    if !fits {
        return Err(OpError::new(format!(
            "indices of shape {:?} for data of shape {shape:?}",
            indices.shape()
        )));
    }
    let own = strides(shape);
    let mut others = own.clone();
    others[axis] = 0;
    offsets(indices.shape(), &others, 0)
        .into_iter()
        .zip(indices.as_integers()?)
        .map(|(at, &i)| Ok(at + checked_index(i, shape[axis])? * own[axis]))
        .collect()
}

pub(super) fn elements(call: &Call<'_>) -> Outputs {
    let (x, indices) = (call.input(0)?, call.input(1)?);
    let axis = checked_axis(call.node.int_or("axis", 0)?, x.rank())?;
    call.budget.take(indices.shape())?;
    let picks = element_positions(x.shape(), indices, axis)?;
    Ok(vec![Value::new(x.element(), indices.shape().to_vec(), x.data().take(&picks))?])
}

/// The first element of the slice that each index tuple (last dimension of `indices`) names; `batch` leading dimensions
/// are shared.
pub(super) fn tuple_positions(shape: &[usize], indices: &Value, batch: usize) -> Result<Vec<usize>, OpError> {
    let Some((&depth, lead)) = indices.shape().split_last() else {
        return Err(OpError::new("indices without dimensions"));
    };
    if batch > lead.len() || batch.saturating_add(depth) > shape.len() || lead[..batch] != shape[..batch] {
        return Err(OpError::new(format!(
            "indices of shape {:?} for data of shape {shape:?} with {batch} batch dimensions",
            indices.shape()
        )));
    }
    let own = strides(shape);
    let per_batch = product(&lead[batch..]);
    let batch_size = product(&shape[batch..]);
    let list = indices.as_integers()?;
    // Tuples without indices (depth 0) name the whole, once for each.
    (0..product(lead))
        .map(|t| {
            let mut at = t.checked_div(per_batch).unwrap_or(0) * batch_size;
            for (k, &i) in list[t * depth..(t + 1) * depth].iter().enumerate() {
                at += checked_index(i, shape[batch + k])? * own[batch + k];
            }
            Ok(at)
        })
        .collect()
}

pub(super) fn nd(call: &Call<'_>) -> Outputs {
    let (x, indices) = (call.input(0)?, call.input(1)?);
    let batch = usize::try_from(call.node.int_or("batch_dims", 0)?)?;
    let Some((&depth, lead)) = indices.shape().split_last() else {
        return Err(OpError::new("indices without dimensions"));
    };
    let tail = x.shape().get(batch.saturating_add(depth)..).unwrap_or(&[]);
    let shape = [lead, tail].concat();
    // The starts take memory too: one each, also where the slices are empty.
    call.budget.take(lead)?;
    let count = call.budget.take(&shape)?;
    let starts = tuple_positions(x.shape(), indices, batch)?;
    let block = product(tail);
    let mut picks = Vec::with_capacity(count);
    for start in starts {
        picks.extend(start..start + block);
    }
    Ok(vec![Value::new(x.element(), shape, x.data().take(&picks))?])
}
