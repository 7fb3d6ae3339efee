//! Where, Trilu, NonZero and Compress.

use super::Call;
use super::broadcast::{common_shape, sources};
use super::index::{around, strides};
use crate::error::OpError;
use crate::graph::checked_axis;
use crate::value::{Data, Value};

type Outputs = Result<Vec<Value>, OpError>;

pub(super) fn select(call: &Call<'_>) -> Outputs {
    let (condition, x, y) = (call.input(0)?, call.input(1)?, call.input(2)?);
    if x.element() != y.element() {
        return Err(OpError::new(format!("choices of different types, {} and {}", x.element(), y.element())));
    }
    let shape = common_shape([condition.shape(), x.shape(), y.shape()])?;
    call.budget.take(&shape)?;
    let truths = condition.as_bools()?;
    let from_y = sources(y.shape(), &shape);
    let mut both = x.data().clone();
    let second = both.len();
    both.extend(y.data().clone())?;
    let picks: Vec<usize> = sources(condition.shape(), &shape)
        .into_iter()
        .zip(sources(x.shape(), &shape))
        .zip(from_y)
        .map(|((c, x), y)| if truths[c] { x } else { second + y })
        .collect();
    Ok(vec![Value::new(x.element(), shape, both.take(&picks))?])
}

pub(super) fn trilu(call: &Call<'_>) -> Outputs {
    let x = call.input(0)?;
    let upper = call.node.flag("upper", true)?;
    let k = i128::from(call.optional(1).map_or(Ok(0), Value::scalar_i64)?);
    let &[.., rows, columns] = x.shape() else {
        return Err(OpError::new(format!("a matrix is expected, found shape {:?}", x.shape())));
    };
    let len = call.budget.take(x.shape())?;
    let picks: Vec<Option<usize>> = (0..len)
        .map(|i| {
            let (r, c) = ((i / columns % rows) as i128, (i % columns) as i128);
            (if upper { c - r >= k } else { c - r <= k }).then_some(i)
        })
        .collect();
    let data = x.data().take_or(&picks, &Data::zeros(x.element(), 1))?;
    Ok(vec![Value::new(x.element(), x.shape().to_vec(), data)?])
}

pub(super) fn non_zero(call: &Call<'_>) -> Outputs {
    let x = call.input(0)?;
    let found: Vec<usize> = match x.data() {
        Data::Text(v) => (0..v.len()).filter(|&i| !v[i].is_empty()).collect(),
        _ => x.to_f64s()?.iter().enumerate().filter(|(_, x)| **x != 0.0).map(|(i, _)| i).collect(),
    };
    let shape = vec![x.rank(), found.len()];
    call.budget.take(&shape)?;
    let own = strides(x.shape());
    let data = (0..x.rank()).flat_map(|d| found.iter().map(move |i| (d, i)));
    let data = data.map(|(d, i)| (i / own[d] % x.shape()[d]) as i128).collect();
    Ok(vec![Value::integers(crate::ElementType::I64, shape, data)?])
}

pub(super) fn compress(call: &Call<'_>) -> Outputs {
    let (x, condition) = (call.input(0)?, call.input(1)?);
    let flat = x.with_shape(vec![x.len()])?;
    let (x, axis) = match call.node.int("axis")? {
        Some(axis) => (x, checked_axis(axis, x.rank())?),
        None => (&flat, 0),
    };
    let (outer, len, inner) = around(x.shape(), axis);
    let kept: Vec<usize> = condition
        .as_bools()?
        .iter()
        .take(len)
        .enumerate()
        .filter(|(_, keep)| **keep)
        .map(|(i, _)| i)
        .collect();
    let mut shape = x.shape().to_vec();
    shape[axis] = kept.len();
    let count = call.budget.take(&shape)?;
    let mut picks = Vec::with_capacity(count);
    for o in 0..if count == 0 { 0 } else { outer } {
        for i in &kept {
            let first = (o * len + i) * inner;
            picks.extend(first..first + inner);
        }
    }
    Ok(vec![Value::new(x.element(), shape, x.data().take(&picks))?])
}
