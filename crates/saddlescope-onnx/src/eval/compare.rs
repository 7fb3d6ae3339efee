//! Comparisons, logic, and the tests for NaN and infinity.

use std::cmp::Ordering;

use super::Call;
use super::broadcast::pair;
use crate::error::OpError;
use crate::value::{Data, Value};

type Outputs = Result<Vec<Value>, OpError>;

/// Compares two inputs element by element; NaN compares with nothing.
fn compare(call: &Call<'_>, test: impl Fn(Option<Ordering>) -> bool) -> Outputs {
    let (a, b) = pair(call)?;
    let data = match (a.data(), b.data()) {
        (Data::Float(x), Data::Float(y)) => x.iter().zip(y).map(|(x, y)| test(x.partial_cmp(y))).collect(),
        (Data::Int(x), Data::Int(y)) => x.iter().zip(y).map(|(x, y)| test(Some(x.cmp(y)))).collect(),
        (Data::Bool(x), Data::Bool(y)) => x.iter().zip(y).map(|(x, y)| test(Some(x.cmp(y)))).collect(),
        (Data::Text(x), Data::Text(y)) => x.iter().zip(y).map(|(x, y)| test(Some(x.cmp(y)))).collect(),
        _ => return Err(OpError::new("inputs of different types")),
    };
    Ok(vec![Value::bools(a.shape().to_vec(), data)?])
}

pub(super) fn equal(call: &Call<'_>) -> Outputs {
    compare(call, |o| o == Some(Ordering::Equal))
}

pub(super) fn less(call: &Call<'_>) -> Outputs {
    compare(call, |o| o == Some(Ordering::Less))
}

pub(super) fn less_or_equal(call: &Call<'_>) -> Outputs {
    compare(call, |o| o.is_some_and(Ordering::is_le))
}

pub(super) fn greater(call: &Call<'_>) -> Outputs {
    compare(call, |o| o == Some(Ordering::Greater))
}

pub(super) fn greater_or_equal(call: &Call<'_>) -> Outputs {
    compare(call, |o| o.is_some_and(Ordering::is_ge))
}

fn logic(call: &Call<'_>, f: impl Fn(bool, bool) -> bool) -> Outputs {
    let (a, b) = pair(call)?;
    let data = a.as_bools()?.iter().zip(b.as_bools()?).map(|(&x, &y)| f(x, y)).collect();
    Ok(vec![Value::bools(a.shape().to_vec(), data)?])
}

pub(super) fn and(call: &Call<'_>) -> Outputs {
    logic(call, |x, y| x && y)
}

pub(super) fn or(call: &Call<'_>) -> Outputs {
    logic(call, |x, y| x || y)
}

pub(super) fn xor(call: &Call<'_>) -> Outputs {
    logic(call, |x, y| x != y)
}

pub(super) fn not(call: &Call<'_>) -> Outputs {
    let x = call.input(0)?;
    let data = x.as_bools()?.iter().map(|&x| !x).collect();
    Ok(vec![Value::bools(x.shape().to_vec(), data)?])
}

pub(super) fn is_nan(call: &Call<'_>) -> Outputs {
    let x = call.input(0)?;
    let data = x.as_floats()?.iter().map(|x| x.is_nan()).collect();
    Ok(vec![Value::bools(x.shape().to_vec(), data)?])
}

pub(super) fn is_inf(call: &Call<'_>) -> Outputs {
    let x = call.input(0)?;
    let negative = call.node.flag("detect_negative", true)?;
    let positive = call.node.flag("detect_positive", true)?;
    let test = |x: &f64| x.is_infinite() && if *x > 0.0 { positive } else { negative };
    let data = x.as_floats()?.iter().map(test).collect();
    Ok(vec![Value::bools(x.shape().to_vec(), data)?])
}
