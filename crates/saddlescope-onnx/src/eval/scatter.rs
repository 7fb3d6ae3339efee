//! ScatterElements (Scatter before operator set 11) and ScatterND.

use super::Call;
use super::gather::{element_positions, tuple_positions};
use super::index::product;
use crate::error::OpError;
use crate::graph::checked_axis;
use crate::value::{Data, Value};

type Outputs = Result<Vec<Value>, OpError>;

/// Puts `updates[i]` at `positions[i]`, combined with what is there as the attribute `reduction` says.
fn put(call: &Call<'_>, x: &Value, updates: &Value, positions: &[usize]) -> Outputs {
    if updates.element() != x.element() || updates.len() != positions.len() {
        return Err(OpError::new(format!(
            "{} updates of {} for {} places of {}",
            updates.len(),
            updates.element(),
            positions.len(),
            x.element()
        )));
    }
    call.budget.take(x.shape())?;
    let reduction = call.node.text_or("reduction", "none")?;
    let mut data = x.data().clone();
    fn apply<T: Clone>(data: &mut [T], new: &[T], positions: &[usize], f: impl Fn(&T, &T) -> T) {
        for (&p, u) in positions.iter().zip(new) {
            data[p] = f(&data[p], u);
        }
    }
    match (&mut data, updates.data(), reduction) {
        (Data::Float(d), Data::Float(u), "none") => apply(d, u, positions, |_, u| *u),
        (Data::Int(d), Data::Int(u), "none") => apply(d, u, positions, |_, u| *u),
        (Data::Bool(d), Data::Bool(u), "none") => apply(d, u, positions, |_, u| *u),
        (Data::Text(d), Data::Text(u), "none") => apply(d, u, positions, |_, u| u.clone()),
        (Data::Float(d), Data::Float(u), "add") => apply(d, u, positions, |d, u| d + u),
        (Data::Int(d), Data::Int(u), "add") => apply(d, u, positions, |d, u| x.element().wrap(d + u)),
        (Data::Float(d), Data::Float(u), "mul") => apply(d, u, positions, |d, u| d * u),
        (Data::Int(d), Data::Int(u), "mul") => {
            apply(d, u, positions, |d, u| x.element().wrap(d.wrapping_mul(*u)));
        }
        (Data::Float(d), Data::Float(u), "max") => apply(d, u, positions, |d, u| d.max(*u)),
        (Data::Int(d), Data::Int(u), "max") => apply(d, u, positions, |d, u| *d.max(u)),
        (Data::Float(d), Data::Float(u), "min") => apply(d, u, positions, |d, u| d.min(*u)),
        (Data::Int(d), Data::Int(u), "min") => apply(d, u, positions, |d, u| *d.min(u)),
        (_, _, other) => {
            return Err(OpError::new(format!("reduction `{other}` on {} is not supported", x.element())));
        }
    }
    let shape = x.shape().to_vec();
    Ok(vec![match data {
        Data::Float(v) => Value::floats(x.element(), shape, v)?,
        data => Value::new(x.element(), shape, data)?,
    }])
}

pub(super) fn elements(call: &Call<'_>) -> Outputs {
    let (x, indices, updates) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let axis = checked_axis(call.node.int_or("axis", 0)?, x.rank())?;
    call.budget.take(indices.shape())?;
    let positions = element_positions(x.shape(), indices, axis)?;
    put(call, x, updates, &positions)
}

pub(super) fn nd(call: &Call<'_>) -> Outputs {
    let (x, indices, updates) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let Some((&depth, lead)) = indices.shape().split_last() else {
        return Err(OpError::new("indices without dimensions"));
    };
    let tail = x.shape().get(depth..).ok_or_else(|| {
        OpError::new(format!("index tuples of {depth} for a tensor with {} dimensions", x.rank()))
    })?;
    if updates.shape() != [lead, tail].concat() {
        return Err(OpError::new(format!(
            "updates of shape {:?}, expected {lead:?} ++ {tail:?}",
            updates.shape()
        )));
    }
    call.budget.take(lead)?;
    call.budget.take(updates.shape())?;
    let block = product(tail);
    let starts = tuple_positions(x.shape(), indices, 0)?;
    let positions: Vec<usize> = starts.into_iter().flat_map(|s| s..s + block).collect();
    put(call, x, updates, &positions)
}
