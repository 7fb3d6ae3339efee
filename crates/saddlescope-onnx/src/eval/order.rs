//! ArgMax, ArgMin and TopK.

use std::cmp::Ordering;

use super::Call;
use super::index::around;
use crate::element::ElementType;
use crate::error::OpError;
use crate::graph::checked_axis;
use crate::value::{Data, Value};

type Outputs = Result<Vec<Value>, OpError>;

/// Order of two elements by position; NaN stands above every number, as in numpy.
fn order(data: &Data) -> impl Fn(usize, usize) -> Ordering + '_ {
    move |a, b| match data {
        Data::Float(v) => v[a].partial_cmp(&v[b]).unwrap_or_else(|| v[a].is_nan().cmp(&v[b].is_nan())),
        Data::Int(v) => v[a].cmp(&v[b]),
        Data::Bool(v) => v[a].cmp(&v[b]),
        Data::Text(v) => v[a].cmp(&v[b]),
    }
}

fn extreme(call: &Call<'_>, wanted: Ordering) -> Outputs {
    let x = call.input(0)?;
    let axis = checked_axis(call.node.int_or("axis", 0)?, x.rank())?;
    let last = call.node.flag("select_last_index", false)?;
    let (outer, len, inner) = around(x.shape(), axis);
    let mut shape = x.shape().to_vec();
    shape[axis] = 1;
    let count = call.budget.take(&shape)?;
    if len == 0 && count > 0 {
        return Err(OpError::new("no elements to choose from"));
    }
    let compare = order(x.data());
    let mut found = Vec::with_capacity(count);
    for o in 0..if count == 0 { 0 } else { outer } {
        for i in 0..inner {
            let at = |k: usize| (o * len + k) * inner + i;
            let best = (1..len).fold(0, |best, k| match compare(at(k), at(best)) {
                c if c == wanted => k,
                Ordering::Equal if last => k,
                _ => best,
            });
            found.push(best as i128);
        }
    }
    if !call.node.flag("keepdims", true)? {
        shape.remove(axis);
    }
    Ok(vec![Value::integers(ElementType::I64, shape, found)?])
}

pub(super) fn arg_max(call: &Call<'_>) -> Outputs {
    extreme(call, Ordering::Greater)
}

pub(super) fn arg_min(call: &Call<'_>) -> Outputs {
    extreme(call, Ordering::Less)
}

/// Equal elements keep the order of their indices.
pub(super) fn top_k(call: &Call<'_>) -> Outputs {
    let x = call.input(0)?;
    let k = match call.node.int("k")? {
        Some(k) => k,
        None => call.input(1)?.scalar_i64()?,
    };
    let axis = checked_axis(call.node.int_or("axis", -1)?, x.rank())?;
    let largest = call.node.flag("largest", true)?;
    let (outer, len, inner) = around(x.shape(), axis);
    let k = usize::try_from(k)?;
    if k > len {
        return Err(OpError::new(format!("the {k} largest of {len}")));
    }
    let mut shape = x.shape().to_vec();
    shape[axis] = k;
    let count = call.budget.take(&shape)?;
    call.budget.take(&shape)?;
    let compare = order(x.data());
    let (mut picks, mut indices) = (vec![0; count], vec![0i128; count]);
    for o in 0..if count == 0 { 0 } else { outer } {
        for i in 0..inner {
            let at = |j: usize| (o * len + j) * inner + i;
            let mut all: Vec<usize> = (0..len).collect();
            all.sort_by(|&a, &b| if largest { compare(at(b), at(a)) } else { compare(at(a), at(b)) });
            for (j, &index) in all[..k].iter().enumerate() {
                let to = (o * k + j) * inner + i;
                picks[to] = at(index);
                indices[to] = index as i128;
            }
        }
    }
    Ok(vec![
        Value::new(x.element(), shape.clone(), x.data().take(&picks))?,
        Value::integers(ElementType::I64, shape, indices)?,
    ])
}
