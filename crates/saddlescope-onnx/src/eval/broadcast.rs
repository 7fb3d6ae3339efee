//! Numpy-style broadcasting (the standard's "multidirectional broadcasting").

use super::index::{offsets, strides};
use super::{Budget, Call};
use crate::element::ElementType;
use crate::error::OpError;
use crate::value::{Data, Value};

/// The shape that all of these broadcast to.
pub(crate) fn common_shape<'a>(shapes: impl IntoIterator<Item = &'a [usize]>) -> Result<Vec<usize>, OpError> {
    let mut common: Vec<usize> = Vec::new();
    for shape in shapes {
        let missing = shape.len().saturating_sub(common.len());
        common.splice(0..0, std::iter::repeat_n(1, missing));
        let shift = common.len() - shape.len();
        for (d, &n) in shape.iter().enumerate() {
            let have = common[shift + d];
            if have == 1 {
                common[shift + d] = n;
            } else if n != 1 && n != have {
                return Err(OpError::new(format!("shape {shape:?} does not broadcast with {common:?}")));
            }
        }
    }
    Ok(common)
}

/// Where each element of `target` finds its source in a tensor of `shape`, which broadcasts to it.
pub(super) fn sources(shape: &[usize], target: &[usize]) -> Vec<usize> {
    let own = strides(shape);
    let shift = target.len() - shape.len();
    let steps: Vec<usize> = (0..target.len())
        .map(|d| if d < shift || shape[d - shift] == 1 { 0 } else { own[d - shift] })
        .collect();
    offsets(target, &steps, 0)
}

/// The value repeated to `target`.
pub(super) fn expand(value: &Value, target: &[usize], budget: &Budget) -> Result<Value, OpError> {
    let common = common_shape([value.shape(), target])?;
    budget.take(&common)?;
    if common == value.shape() {
        return Ok(value.clone());
    }
    let data = value.data().take(&sources(value.shape(), &common));
    Value::new(value.element(), common, data)
}

/// Two inputs of one element type brought to their common shape.
pub(super) fn pair(call: &Call<'_>) -> Result<(Value, Value), OpError> {
    let (a, b) = (call.input(0)?, call.input(1)?);
    // Before set 7, operands could be told where to begin.
    let begins = call.node.opset < 7 && call.node.attributes.contains_key("axis");
    if begins && a.rank() != b.rank() {
        return Err(OpError::new(
            "operands of operator sets before 7 that begin at an `axis`, computed from the data alone",
        ));
    }
    if a.element() != b.element() {
        return Err(OpError::new(format!("inputs of different types, {} and {}", a.element(), b.element())));
    }
    let shape = common_shape([a.shape(), b.shape()])?;
    Ok((expand(a, &shape, call.budget)?, expand(b, &shape, call.budget)?))
}

/// Elementwise function of two numeric inputs, written for floats and for integers.
pub(super) fn numeric(
    call: &Call<'_>,
    float: impl Fn(f64, f64) -> f64,
    integer: impl Fn(ElementType, i128, i128) -> Result<i128, OpError>,
) -> Result<Vec<Value>, OpError> {
    let (a, b) = pair(call)?;
    combine(&a, &b, float, integer).map(|v| vec![v])
}

/// Elementwise function of two numeric values of one shape and type.
pub(super) fn combine(
    a: &Value,
    b: &Value,
    float: impl Fn(f64, f64) -> f64,
    integer: impl Fn(ElementType, i128, i128) -> Result<i128, OpError>,
) -> Result<Value, OpError> {
    let (element, shape) = (a.element(), a.shape().to_vec());
    match (a.data(), b.data()) {
        (Data::Float(x), Data::Float(y)) => {
            Value::floats(element, shape, x.iter().zip(y).map(|(&x, &y)| float(x, y)).collect())
        }
        (Data::Int(x), Data::Int(y)) => {
            let data = x.iter().zip(y).map(|(&x, &y)| integer(element, x, y)).collect::<Result<_, _>>()?;
            Value::integers(element, shape, data)
        }
        _ => Err(OpError::new(format!("numbers expected, found {element}"))),
    }
}

/// Elementwise function of one numeric value.
pub(super) fn map(
    value: &Value,
    float: impl Fn(f64) -> f64,
    integer: impl Fn(i128) -> i128,
) -> Result<Vec<Value>, OpError> {
    let (element, shape) = (value.element(), value.shape().to_vec());
    Ok(vec![match value.data() {
        Data::Float(x) => Value::floats(element, shape, x.iter().map(|&x| float(x)).collect())?,
        Data::Int(x) => Value::integers(element, shape, x.iter().map(|&x| integer(x)).collect())?,
        _ => return Err(OpError::new(format!("numbers expected, found {element}"))),
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_broadcast_as_in_numpy() {
        let common = |a: &[usize], b: &[usize]| common_shape([a, b]).ok();
        assert_eq!(common(&[3, 1], &[4]), Some(vec![3, 4]));
        assert_eq!(common(&[], &[2, 0]), Some(vec![2, 0]));
        assert_eq!(common(&[1], &[0]), Some(vec![0]));
        assert_eq!(common(&[2], &[3]), None);
        assert_eq!(sources(&[2, 1], &[2, 3]), [0, 0, 0, 1, 1, 1]);
        assert_eq!(sources(&[3], &[2, 3]), [0, 1, 2, 0, 1, 2]);
    }
}
