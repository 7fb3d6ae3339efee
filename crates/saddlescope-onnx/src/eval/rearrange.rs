//! Transpose, DepthToSpace, SpaceToDepth and ReverseSequence.

use super::Call;
use super::index::{offsets, strides};
use crate::error::OpError;
use crate::graph::checked_axes;
use crate::value::Value;

type Outputs = Result<Vec<Value>, OpError>;

/// The permutation a Transpose node asks for; reversal if it names none.
pub(crate) fn permutation(perm: Option<&[i64]>, rank: usize) -> Result<Vec<usize>, OpError> {
    match perm {
        None => Ok((0..rank).rev().collect()),
        Some(perm) if perm.len() == rank => checked_axes(perm, rank),
        Some(perm) => Err(OpError::new(format!("permutation {perm:?} of {rank} dimensions"))),
    }
}

/// The value with dimension d taken from dimension `perm[d]`.
pub(crate) fn permuted(x: &Value, perm: &[usize]) -> Result<Value, OpError> {
    let own = strides(x.shape());
    let shape: Vec<usize> = perm.iter().map(|&p| x.shape()[p]).collect();
    let steps: Vec<usize> = perm.iter().map(|&p| own[p]).collect();
    let picks = offsets(&shape, &steps, 0);
    Value::new(x.element(), shape, x.data().take(&picks))
}

pub(super) fn transpose(call: &Call<'_>) -> Outputs {
    let x = call.input(0)?;
    let perm = permutation(call.node.ints("perm")?, x.rank())?;
    call.budget.take(x.shape())?;
    Ok(vec![permuted(x, &perm)?])
}

/// Splits dimensions, permutes, and merges: both block operators are this.
fn blocks(call: &Call<'_>, x: &Value, split: Vec<usize>, perm: &[usize], merged: Vec<usize>) -> Outputs {
    call.budget.take(x.shape())?;
    Ok(vec![permuted(&x.with_shape(split)?, perm)?.with_shape(merged)?])
}

fn image(call: &Call<'_>) -> Result<([usize; 4], usize), OpError> {
    let x = call.input(0)?;
    let &[n, c, h, w] = x.shape() else {
        return Err(OpError::new(format!("[N, C, H, W] is expected, found shape {:?}", x.shape())));
    };
    let b = call.node.int("blocksize")?.and_then(|b| usize::try_from(b).ok()).filter(|&b| b > 0);
    let b = b.ok_or_else(|| OpError::new("`blocksize` must be a positive integer"))?;
    Ok(([n, c, h, w], b))
}

fn column_row_depth(call: &Call<'_>) -> Result<bool, OpError> {
    match call.node.text_or("mode", "DCR")? {
        "DCR" => Ok(false),
        "CRD" => Ok(true),
        other => Err(OpError::new(format!("mode `{other}`, expected DCR or CRD"))),
    }
}

pub(super) fn depth_to_space(call: &Call<'_>) -> Outputs {
    let ([n, c, h, w], b) = image(call)?;
    let square = b.checked_mul(b).filter(|s| c % s == 0);
    let square =
        square.ok_or_else(|| OpError::new(format!("{c} channels do not divide into blocks of {b}×{b}")))?;
    let depth = c / square;
    let x = call.input(0)?;
    // The product of all four is that of the input; one of them alone may overflow only where another is 0.
    let merged = vec![n, depth, h.saturating_mul(b), w.saturating_mul(b)];
    if column_row_depth(call)? {
        blocks(call, x, vec![n, depth, b, b, h, w], &[0, 1, 4, 2, 5, 3], merged)
    } else {
        blocks(call, x, vec![n, b, b, depth, h, w], &[0, 3, 4, 1, 5, 2], merged)
    }
}

pub(super) fn space_to_depth(call: &Call<'_>) -> Outputs {
    let ([n, c, h, w], b) = image(call)?;
    if h % b != 0 || w % b != 0 {
        return Err(OpError::new(format!("{h}×{w} does not divide into blocks of {b}×{b}")));
    }
    let split = vec![n, c, h / b, b, w / b, b];
    let merged = vec![n, c.saturating_mul(b).saturating_mul(b), h / b, w / b];
    let perm = if column_row_depth(call)? { [0, 1, 3, 5, 2, 4] } else { [0, 3, 5, 1, 2, 4] };
    blocks(call, call.input(0)?, split, &perm, merged)
}

pub(super) fn reverse_sequence(call: &Call<'_>) -> Outputs {
    let (x, lengths) = (call.input(0)?, call.input(1)?.to_i64s()?);
    let (time, batch) = (call.node.int_or("time_axis", 0)?, call.node.int_or("batch_axis", 1)?);
    let axes = checked_axes(&[time, batch], x.rank())?;
    let (time, batch) = (axes[0], axes[1]);
    if lengths.len() != x.shape()[batch] {
        return Err(OpError::new(format!("{} lengths for a batch of {}", lengths.len(), x.shape()[batch])));
    }
    if let Some(n) = lengths.iter().find(|&&n| usize::try_from(n).map_or(true, |n| n > x.shape()[time])) {
        return Err(OpError::new(format!("length {n} of sequences of {}", x.shape()[time])));
    }
    let len = call.budget.take(x.shape())?;
    let own = strides(x.shape());
    let picks: Vec<usize> = (0..len)
        .map(|at| {
            let (t, b) = (at / own[time] % x.shape()[time], at / own[batch] % x.shape()[batch]);
            let n = lengths[b] as usize;
            if t < n { at - t * own[time] + (n - 1 - t) * own[time] } else { at }
        })
        .collect();
    Ok(vec![Value::new(x.element(), x.shape().to_vec(), x.data().take(&picks))?])
}
