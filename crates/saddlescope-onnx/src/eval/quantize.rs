//! DequantizeLinear and QuantizeLinear: integers with a scale and a zero point for the whole tensor, for every entry of an axis,
//! or for blocks along it.

use super::Call;
use super::index::{offsets, strides};
use crate::element::ElementType;
use crate::error::OpError;
use crate::graph::checked_axis;
use crate::value::{Data, Value};

type Outputs = Result<Vec<Value>, OpError>;

/// For every element of x the element of the scale that belongs to it.
fn scale_places(call: &Call<'_>, x: &Value, scale: &Value) -> Result<Vec<usize>, OpError> {
    call.budget.take(x.shape())?;
    if scale.len() == 1 {
        return Ok(vec![0; x.len()]);
    }
    let axis = checked_axis(call.node.int_or("axis", 1)?, x.rank())?;
    let block = call.node.int_or("block_size", 0)?;
    let wrong = || {
        OpError::new(format!("a scale of shape {:?} for {:?} along axis {axis}", scale.shape(), x.shape()))
    };
    if block == 0 {
        if scale.shape() != [x.shape()[axis]] {
            return Err(wrong());
        }
        let mut steps = vec![0; x.rank()];
        steps[axis] = 1;
        return Ok(offsets(x.shape(), &steps, 0));
    }
    let block = usize::try_from(block)?;
    let fits = scale.rank() == x.rank()
        && (0..x.rank())
            .all(|d| scale.shape()[d] == if d == axis { x.shape()[d].div_ceil(block) } else { x.shape()[d] });
    if block == 0 || !fits {
        return Err(wrong());
    }
    let own = strides(scale.shape());
    let mut others = own.clone();
    others[axis] = 0;
    let mut along = vec![0; x.rank()];
    along[axis] = 1;
    let rest = offsets(x.shape(), &others, 0);
    let place = offsets(x.shape(), &along, 0);
    Ok(rest.iter().zip(&place).map(|(r, p)| r + p / block * own[axis]).collect())
}

/// Zero points, one for each element of the scale.
fn zero_points(call: &Call<'_>, scale: &Value) -> Result<Vec<f64>, OpError> {
    match call.optional(2) {
        None => Ok(vec![0.0; scale.len()]),
        Some(zero) if zero.len() == scale.len() => zero.to_f64s(),
        Some(zero) => Err(OpError::new(format!("{} zero points for {} scales", zero.len(), scale.len()))),
    }
}

/// y = (x − zero point) · scale.
pub(crate) fn dequantized(call: &Call<'_>) -> Result<Value, OpError> {
    let (x, scale) = (call.input(0)?, call.input(1)?);
    let places = scale_places(call, x, scale)?;
    let zeros = zero_points(call, scale)?;
    let (numbers, scales) = (x.to_f64s()?, scale.as_floats()?);
    let y = numbers.iter().zip(&places).map(|(x, &p)| (x - zeros[p]) * scales[p]).collect();
    let element = match call.node.int_or("output_dtype", 0)? {
        0 => scale.element(),
        code => ElementType::from_code(code)
            .filter(|e| e.is_float())
            .ok_or_else(|| OpError::new(format!("output type {code} is not supported")))?,
    };
    Value::floats(element, x.shape().to_vec(), y)
}

pub(super) fn dequantize(call: &Call<'_>) -> Outputs {
    Ok(vec![dequantized(call)?])
}

/// y = x / scale rounded to even, plus the zero point, within the range of the integer type.
pub(super) fn quantize(call: &Call<'_>) -> Outputs {
    let (x, scale) = (call.input(0)?, call.input(1)?);
    let places = scale_places(call, x, scale)?;
    let zeros = zero_points(call, scale)?;
    let code = call.node.int_or("output_dtype", 0)?;
    let element = match (call.optional(2), code) {
        (Some(zero), _) => zero.element(),
        (None, 0) => ElementType::U8,
        (None, code) => ElementType::from_code(code)
            .ok_or_else(|| OpError::new(format!("output type {code} is not supported")))?,
    };
    let (bits, signed) = element
        .integer_bits()
        .ok_or_else(|| OpError::new(format!("quantisation to {element} is not supported")))?;
    let low = if signed { -(2f64.powi(bits as i32 - 1)) } else { 0.0 };
    let high = low + 2f64.powi(bits as i32) - 1.0;
    let (numbers, scales) = (x.to_f64s()?, scale.to_f64s()?);
    let y = numbers
        .iter()
        .zip(&places)
        .map(|(x, &p)| {
            let scaled = scale.element().round(x / scales[p]);
            let rounded = scaled.round_ties_even() + zeros[p];
            if rounded.is_nan() { 0 } else { rounded.clamp(low, high) as i128 }
        })
        .collect();
    Ok(vec![Value::new(element, x.shape().to_vec(), Data::Int(y))?])
}
