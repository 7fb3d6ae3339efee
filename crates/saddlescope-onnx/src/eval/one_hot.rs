//! OneHot.

use super::Call;
use super::index::around;
use crate::error::OpError;
use crate::graph::{Attribute, checked_axis};
use crate::value::{Data, Value};

/// Attribute of nodes made here: what an index is called, if one out of range is an error.
pub(crate) const IN_RANGE: &str = "(in range)";
/// The index out of range that is no error then.
pub(crate) const LEFT_OUT: &str = "(left out)";

/// Indices out of range give a row of the "off" value.
pub(super) fn one_hot(call: &Call<'_>) -> Result<Vec<Value>, OpError> {
    let (indices, depth, values) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let axis = checked_axis(call.node.int_or("axis", -1)?, indices.rank() + 1)?;
    let depth = match depth.to_f64s()?.as_slice() {
        [d] if *d >= 0.0 && *d < 2f64.powi(53) => *d as usize,
        other => return Err(OpError::new(format!("depth {other:?}"))),
    };
    if values.len() != 2 {
        return Err(OpError::new(format!("two values are expected (off and on), found {}", values.len())));
    }
    let mut shape = indices.shape().to_vec();
    shape.insert(axis, depth);
    let count = call.budget.take(&shape)?;
    let classes: Vec<i128> = match indices.data() {
        Data::Int(v) => v.clone(),
        _ => indices.to_f64s()?.iter().map(|&x| x as i128).collect(),
    };
    let (_, _, inner) = around(&shape, axis);
    let n = depth as i128;
    if let Some(Attribute::Text(what)) = call.node.attributes.get(IN_RANGE) {
        let left_out = call.node.int(LEFT_OUT)?.map(i128::from);
        let outside = |c: &&i128| (**c < -n || **c >= n) && Some(**c) != left_out;
        if let Some(class) = classes.iter().find(outside) {
            return Err(OpError::new(format!("{what} {class} is out of range: there are {n}")));
        }
    }
    let picks: Vec<usize> = (0..count)
        .map(|at| {
            let (o, k, i) = (at / inner / depth, at / inner % depth, at % inner);
            let class = classes[o * inner + i];
            let class = if class < 0 { class + n } else { class };
            usize::from(class == k as i128)
        })
        .collect();
    Ok(vec![Value::new(values.element(), shape, values.data().take(&picks))?])
}
