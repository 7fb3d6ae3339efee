//! Pad.

use super::Call;
use super::index::{product, strides};
use crate::error::OpError;
use crate::graph::checked_axes;
use crate::value::{Data, Value};

/// Elements added before and after each dimension (negative: removed); an attribute before operator set 11.
pub(crate) fn amounts(
    pads: Option<Vec<i64>>,
    axes: Option<Vec<i64>>,
    rank: usize,
) -> Result<Vec<(i64, i64)>, OpError> {
    let pads = pads.ok_or_else(|| OpError::new("no padding given"))?;
    let axes = match axes {
        Some(axes) => checked_axes(&axes, rank)?,
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(OpError::new(format!("{} numbers to pad {} dimensions", pads.len(), axes.len())));
    }
    let mut all = vec![(0, 0); rank];
    for (i, &axis) in axes.iter().enumerate() {
        all[axis] = (pads[i], pads[i + axes.len()]);
    }
    Ok(all)
}

/// Where index `i` of a padded dimension comes from; `None` is the fill value.
fn source(i: i128, len: i128, mode: &str) -> Option<i128> {
    if (0..len).contains(&i) {
        return Some(i);
    }
    match mode {
        "edge" => Some(i.clamp(0, len - 1)),
        "wrap" => Some(i.rem_euclid(len)),
        "reflect" => {
            if len == 1 {
                return Some(0);
            }
            let period = 2 * (len - 1);
            let r = i.rem_euclid(period);
            Some(if r < len { r } else { period - r })
        }
        _ => None,
    }
}

pub(super) fn pad(call: &Call<'_>) -> Result<Vec<Value>, OpError> {
    let x = call.input(0)?;
    let mode = call.node.text_or("mode", "constant")?;
    if !["constant", "edge", "reflect", "wrap"].contains(&mode) {
        return Err(OpError::new(format!("mode `{mode}` is not supported")));
    }
    let attribute = if call.node.attributes.contains_key("paddings") { "paddings" } else { "pads" };
    let axes = call.optional(3).map(Value::to_i64s).transpose()?;
    let amounts = amounts(call.ints_or_input(attribute, 1)?, axes, x.rank())?;
    let mut shape = Vec::with_capacity(x.rank());
    for (&n, &(before, after)) in x.shape().iter().zip(&amounts) {
        let padded = i128::try_from(n)? + i128::from(before) + i128::from(after);
        if padded > 0 && n == 0 && mode != "constant" {
            return Err(OpError::new(format!("mode `{mode}` on a dimension of length 0")));
        }
        shape.push(usize::try_from(padded)?);
    }
    let len = call.budget.take(&shape)?;
    let fill = match (call.optional(2), call.node.float("value")?) {
        (Some(value), _) => value.data().clone(),
        (None, Some(value)) => Data::Float(vec![value]),
        (None, None) => Data::zeros(x.element(), 1),
    };
    let own = strides(x.shape());
    // Source offset of every index of every dimension, then their sums over all index tuples.
    let lists: Vec<Vec<Option<usize>>> = (0..x.rank())
        .map(|d| {
            (0..if len == 0 { 0 } else { shape[d] })
                .map(|i| {
                    let from = i as i128 - i128::from(amounts[d].0);
                    source(from, x.shape()[d] as i128, mode).map(|s| s as usize * own[d])
                })
                .collect()
        })
        .collect();
    let steps = strides(&shape);
    let picks: Vec<Option<usize>> =
        (0..len).map(|at| (0..lists.len()).map(|d| lists[d][at / steps[d] % shape[d]]).sum()).collect();
    debug_assert_eq!(picks.len(), if shape.contains(&0) { 0 } else { product(&shape) });
    Ok(vec![Value::new(x.element(), shape, x.data().take_or(&picks, &fill)?)?])
}
