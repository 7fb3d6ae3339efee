//! Cast and CastLike.

use super::Call;
use crate::element::ElementType;
use crate::error::OpError;
use crate::value::{Data, Value};

type Outputs = Result<Vec<Value>, OpError>;

pub(super) fn cast(call: &Call<'_>) -> Outputs {
    let code = call.node.int("to")?.ok_or_else(|| OpError::new("attribute `to` is missing"))?;
    let to = ElementType::from_code(code)
        .ok_or_else(|| OpError::new(format!("casting to element type {code} is not supported")))?;
    Ok(vec![convert(call.input(0)?, to)?])
}

pub(super) fn cast_like(call: &Call<'_>) -> Outputs {
    Ok(vec![convert(call.input(0)?, call.input(1)?.element())?])
}

/// Float to integer cuts towards zero; integers wrap; anything but zero is true; text is read as a number.
pub(crate) fn convert(value: &Value, to: ElementType) -> Result<Value, OpError> {
    if value.element() == to {
        return Ok(value.clone());
    }
    let shape = value.shape().to_vec();
    if to == ElementType::String {
        return Value::new(to, shape, Data::Text(texts(value)));
    }
    if to == ElementType::Bool {
        let data = match value.data() {
            Data::Float(v) => v.iter().map(|&x| x != 0.0).collect(),
            Data::Int(v) => v.iter().map(|&x| x != 0).collect(),
            Data::Bool(v) => v.clone(),
            Data::Text(v) => v.iter().map(|s| number(s).map(|x| x != 0.0)).collect::<Result<_, _>>()?,
        };
        return Value::bools(shape, data);
    }
    if to.is_float() {
        let data = match value.data() {
            Data::Text(v) => v.iter().map(|s| number(s)).collect::<Result<_, _>>()?,
            _ => value.to_f64s()?,
        };
        return Value::floats(to, shape, data);
    }
    let data = match value.data() {
        Data::Float(v) => v.iter().map(|&x| x as i128).collect(),
        Data::Int(v) => v.clone(),
        Data::Bool(v) => v.iter().map(|&x| i128::from(x)).collect(),
        Data::Text(v) => v.iter().map(|s| number(s).map(|x| x as i128)).collect::<Result<_, _>>()?,
    };
    Value::integers(to, shape, data)
}

fn number(text: &str) -> Result<f64, OpError> {
    text.trim().parse().map_err(|_| OpError::new(format!("`{text}` is not a number")))
}

fn texts(value: &Value) -> Vec<String> {
    let float = |x: f64| {
        if x.is_nan() {
            "NaN".to_string()
        } else if x.is_infinite() {
            if x > 0.0 { "INF".to_string() } else { "-INF".to_string() }
        } else if value.element() == ElementType::F64 {
            x.to_string()
        } else {
            (x as f32).to_string()
        }
    };
    match value.data() {
        Data::Float(v) => v.iter().map(|&x| float(x)).collect(),
        Data::Int(v) => v.iter().map(ToString::to_string).collect(),
        Data::Bool(v) => v.iter().map(|&x| if x { "1" } else { "0" }.to_string()).collect(),
        Data::Text(v) => v.clone(),
    }
}
