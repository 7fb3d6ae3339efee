//! Concat.

use super::Call;
use super::index::around;
use crate::error::OpError;
use crate::graph::checked_axis;
use crate::value::Value;

/// Joins the inputs along one axis (before operator set 4 axis 1 is the default).
pub(super) fn concat(call: &Call<'_>) -> Result<Vec<Value>, OpError> {
    let inputs = call.all_inputs()?;
    let Some(first) = inputs.first() else {
        return Err(OpError::new("no inputs"));
    };
    let axis = checked_axis(call.node.int_or("axis", 1)?, first.rank())?;
    let mut shape = first.shape().to_vec();
    shape[axis] = 0;
    for value in &inputs {
        let fits = value.rank() == first.rank()
            && value.element() == first.element()
            && (0..shape.len()).all(|d| d == axis || value.shape()[d] == shape[d]);
        if !fits {
            return Err(OpError::new(format!(
                "{} {:?} cannot be joined to {} {:?} along axis {axis}",
                value.element(),
                value.shape(),
                first.element(),
                first.shape()
            )));
        }
        shape[axis] =
            shape[axis].checked_add(value.shape()[axis]).ok_or_else(|| OpError::new("the sizes overflow"))?;
    }
    let len = call.budget.take(&shape)?;
    // All inputs one after the other, then picked in the order of the output.
    let mut data = first.data().clone();
    let mut starts = vec![0];
    for value in &inputs[1..] {
        starts.push(data.len());
        data.extend(value.data().clone())?;
    }
    let outer = around(&shape, axis).0;
    let mut picks = Vec::with_capacity(len);
    for o in 0..if len == 0 { 0 } else { outer } {
        for (value, start) in inputs.iter().zip(&starts) {
            let block = value.len() / outer;
            picks.extend(start + o * block..start + (o + 1) * block);
        }
    }
    Ok(vec![Value::new(first.element(), shape, data.take(&picks))?])
}
