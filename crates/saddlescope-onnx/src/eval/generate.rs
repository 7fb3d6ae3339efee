//! Constant, ConstantOfShape, EyeLike and Range.

use super::{Call, shape};
use crate::element::ElementType;
use crate::error::OpError;
use crate::graph::Attribute;
use crate::value::{Data, Value};

type Outputs = Result<Vec<Value>, OpError>;

pub(super) fn constant(call: &Call<'_>) -> Outputs {
    let floats = |shape: Vec<usize>, v: &[f32]| {
        Value::floats(ElementType::F32, shape, v.iter().map(|&x| f64::from(x)).collect())
    };
    for (name, attribute) in &call.node.attributes {
        let value = match (name.as_str(), attribute) {
            ("value", Attribute::Tensor(t)) => t.clone(),
            ("value_int", Attribute::Int(x)) => Value::int64_vector([*x]).with_shape(vec![])?,
            ("value_ints", Attribute::Ints(v)) => Value::int64_vector(v.iter().copied()),
            ("value_float", Attribute::Float(x)) => floats(vec![], &[*x])?,
            ("value_floats", Attribute::Floats(v)) => floats(vec![v.len()], v)?,
            ("value_string", Attribute::Text(s)) => {
                Value::new(ElementType::String, vec![], Data::Text(vec![s.clone()]))?
            }
            ("value_strings", Attribute::Texts(v)) => {
                Value::new(ElementType::String, vec![v.len()], Data::Text(v.clone()))?
            }
            _ => continue,
        };
        call.budget.take(value.shape())?;
        return Ok(vec![value]);
    }
    Err(OpError::new("no attribute holds the value, or it is of a kind that is not supported (sparse)"))
}

pub(super) fn constant_of_shape(call: &Call<'_>) -> Outputs {
    let shape = shape::sizes(call.input(0)?)?;
    let len = call.budget.take(&shape)?;
    let Some(fill) = call.node.tensor("value")? else {
        return Ok(vec![Value::new(ElementType::F32, shape, Data::zeros(ElementType::F32, len))?]);
    };
    if fill.len() != 1 {
        return Err(OpError::new(format!("`value` must hold one number, it has {}", fill.len())));
    }
    Ok(vec![Value::new(fill.element(), shape, fill.data().take(&vec![0; len]))?])
}

pub(super) fn eye_like(call: &Call<'_>) -> Outputs {
    let x = call.input(0)?;
    let &[rows, columns] = x.shape() else {
        return Err(OpError::new(format!("a matrix is expected, found shape {:?}", x.shape())));
    };
    let element = match call.node.int("dtype")? {
        None => x.element(),
        Some(code) => ElementType::from_code(code)
            .ok_or_else(|| OpError::new(format!("element type {code} is not supported")))?,
    };
    let k = call.node.int_or("k", 0)?;
    let len = call.budget.take(x.shape())?;
    let mut data = Data::zeros(element, len);
    for r in 0..if len == 0 { 0 } else { rows } {
        let Some(c) = i64::try_from(r)?.checked_add(k).and_then(|c| usize::try_from(c).ok()) else {
            continue;
        };
        if c < columns {
            match &mut data {
                Data::Float(v) => v[r * columns + c] = 1.0,
                Data::Int(v) => v[r * columns + c] = 1,
                Data::Bool(v) => v[r * columns + c] = true,
                Data::Text(_) => return Err(OpError::new("text has no 1")),
            }
        }
    }
    Ok(vec![Value::new(element, x.shape().to_vec(), data)?])
}

pub(super) fn range(call: &Call<'_>) -> Outputs {
    let (start, limit, step) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let element = start.element();
    if element.is_float() {
        let (a, b, d) = (start.scalar_f64()?, limit.scalar_f64()?, step.scalar_f64()?);
        let n = ((b - a) / d).ceil();
        if !n.is_finite() {
            return Err(OpError::new(format!("from {a} to {b} in steps of {d}")));
        }
        let n = call.budget.take(&[n.max(0.0) as usize])?;
        return Ok(vec![Value::floats(element, vec![n], (0..n).map(|i| a + i as f64 * d).collect())?]);
    }
    let (a, b, d) =
        (i128::from(start.scalar_i64()?), i128::from(limit.scalar_i64()?), i128::from(step.scalar_i64()?));
    if d == 0 {
        return Err(OpError::new("a step of 0"));
    }
    let distance = if d > 0 { b - a } else { a - b };
    let n = if distance <= 0 { 0 } else { (distance + d.abs() - 1) / d.abs() };
    let n = call.budget.take(&[usize::try_from(n)?])?;
    Ok(vec![Value::integers(element, vec![n], (0..n).map(|i| a + i as i128 * d).collect())?])
}

/// Σ aₖ cos(2πkn/N), N the size of a periodic window, one less for a symmetric one.
fn window(call: &Call<'_>, coefficients: &[f64]) -> Outputs {
    let size = usize::try_from(call.input(0)?.scalar_i64()?)?;
    let code = call.node.int_or("output_datatype", 1)?;
    let element = ElementType::from_code(code)
        .filter(|e| e.is_float())
        .ok_or_else(|| OpError::new(format!("element type {code} is not supported")))?;
    let size = call.budget.take(&[size])?;
    let period = if call.node.flag("periodic", true)? { size } else { size.saturating_sub(1).max(1) } as f64;
    let term = |k: usize, n: usize| (2.0 * std::f64::consts::PI * (k * n) as f64 / period).cos();
    let values = (0..size).map(|n| coefficients.iter().enumerate().map(|(k, a)| a * term(k, n)).sum());
    Ok(vec![Value::floats(element, vec![size], values.collect())?])
}

pub(super) fn hann_window(call: &Call<'_>) -> Outputs {
    window(call, &[0.5, -0.5])
}

pub(super) fn hamming_window(call: &Call<'_>) -> Outputs {
    window(call, &[25.0 / 46.0, -21.0 / 46.0])
}

pub(super) fn blackman_window(call: &Call<'_>) -> Outputs {
    window(call, &[0.42, -0.5, 0.08])
}
