//! Add, Sub, Mul, Div, Mod, Pow, Neg, Abs, Sign, Min, Max, Sum, Mean and Clip on any numeric type.

use super::Call;
use super::broadcast::{self, combine, map, numeric};
use crate::error::OpError;
use crate::value::{Data, Value};

type Outputs = Result<Vec<Value>, OpError>;

fn zero_divisor() -> OpError {
    OpError::new("integer division by zero")
}

pub(super) fn add(call: &Call<'_>) -> Outputs {
    numeric(call, |x, y| x + y, |_, x, y| Ok(x + y))
}

pub(super) fn sub(call: &Call<'_>) -> Outputs {
    numeric(call, |x, y| x - y, |_, x, y| Ok(x - y))
}

pub(super) fn mul(call: &Call<'_>) -> Outputs {
    // Two 64-bit factors fit 128 bits; u64::MAX² needs all of them, hence wrapping.
    numeric(call, |x, y| x * y, |_, x, y| Ok(x.wrapping_mul(y)))
}

/// Integer quotients are cut off towards zero.
pub(super) fn div(call: &Call<'_>) -> Outputs {
    numeric(call, |x, y| x / y, |_, x, y| x.checked_div(y).ok_or_else(zero_divisor))
}

/// Remainder with the sign of the divisor (Python's), or of the dividend with `fmod` = 1 (C's).
pub(super) fn modulo(call: &Call<'_>) -> Outputs {
    let fmod = call.node.flag("fmod", false)?;
    numeric(
        call,
        |x, y| {
            let r = x % y;
            if !fmod && r != 0.0 && (r < 0.0) != (y < 0.0) { r + y } else { r }
        },
        |_, x, y| {
            let r = x.checked_rem(y).ok_or_else(zero_divisor)?;
            Ok(if !fmod && r != 0 && (r < 0) != (y < 0) { r + y } else { r })
        },
    )
}

/// The result has the type of the base.
pub(super) fn pow(call: &Call<'_>) -> Outputs {
    let (base, exponent) = (call.input(0)?, call.input(1)?);
    let shape = broadcast::common_shape([base.shape(), exponent.shape()])?;
    let base = broadcast::expand(base, &shape, call.budget)?;
    let exponent = broadcast::expand(exponent, &shape, call.budget)?;
    let element = base.element();
    if let (Data::Int(x), Data::Int(n)) = (base.data(), exponent.data()) {
        let data = x.iter().zip(n).map(|(&x, &n)| integer_power(x, n, element)).collect::<Result<_, _>>()?;
        return Ok(vec![Value::integers(element, shape, data)?]);
    }
    let powers = base.to_f64s()?.into_iter().zip(exponent.to_f64s()?).map(|(x, y)| x.powf(y));
    Ok(vec![if element.is_float() {
        Value::floats(element, shape, powers.collect())?
    } else {
        Value::integers(element, shape, powers.map(|x| x as i128).collect())?
    }])
}

fn integer_power(x: i128, n: i128, element: crate::ElementType) -> Result<i128, OpError> {
    if n < 0 {
        return Err(OpError::new(format!("integer {x} to the negative power {n}")));
    }
    // Square and multiply, wrapped to the type at every step so that nothing overflows.
    let (mut base, mut n, mut power) = (element.wrap(x), n, 1i128);
    while n > 0 {
        if n & 1 == 1 {
            power = element.wrap(power.wrapping_mul(base));
        }
        base = element.wrap(base.wrapping_mul(base));
        n >>= 1;
    }
    Ok(power)
}

pub(super) fn neg(call: &Call<'_>) -> Outputs {
    map(call.input(0)?, |x| -x, |x| -x)
}

pub(super) fn abs(call: &Call<'_>) -> Outputs {
    map(call.input(0)?, f64::abs, i128::abs)
}

/// NaN stays NaN; both zeros give zero.
pub(super) fn sign(call: &Call<'_>) -> Outputs {
    map(call.input(0)?, |x| if x == 0.0 || x.is_nan() { x } else { x.signum() }, i128::signum)
}

/// Folds any number of inputs with a function of two.
fn fold(
    call: &Call<'_>,
    float: impl Fn(f64, f64) -> f64 + Copy,
    integer: impl Fn(i128, i128) -> i128 + Copy,
) -> Result<Value, OpError> {
    let inputs = call.all_inputs()?;
    let Some(first) = inputs.first() else {
        return Err(OpError::new("no inputs"));
    };
    if let Some(other) = inputs.iter().find(|v| v.element() != first.element()) {
        return Err(OpError::new(format!(
            "inputs of different types, {} and {}",
            first.element(),
            other.element()
        )));
    }
    let shape = broadcast::common_shape(inputs.iter().map(|v| v.shape()))?;
    let mut total = broadcast::expand(first, &shape, call.budget)?;
    for value in &inputs[1..] {
        let value = broadcast::expand(value, &shape, call.budget)?;
        total = combine(&total, &value, float, |_, x, y| Ok(integer(x, y)))?;
    }
    Ok(total)
}

fn nan_max(x: f64, y: f64) -> f64 {
    if x > y || x.is_nan() { x } else { y }
}

fn nan_min(x: f64, y: f64) -> f64 {
    if x < y || x.is_nan() { x } else { y }
}

pub(super) fn max(call: &Call<'_>) -> Outputs {
    fold(call, nan_max, i128::max).map(|v| vec![v])
}

pub(super) fn min(call: &Call<'_>) -> Outputs {
    fold(call, nan_min, i128::min).map(|v| vec![v])
}

pub(super) fn sum(call: &Call<'_>) -> Outputs {
    fold(call, |x, y| x + y, |x, y| x + y).map(|v| vec![v])
}

pub(super) fn mean(call: &Call<'_>) -> Outputs {
    let n = call.inputs.len();
    map(&fold(call, |x, y| x + y, |x, y| x + y)?, |x| x / n as f64, |x| x / n as i128)
}

/// Bounds are attributes before operator set 11, inputs since.
pub(super) fn clip(call: &Call<'_>) -> Outputs {
    let bound = |i: usize, attribute: &str| -> Result<Option<Value>, OpError> {
        if let Some(value) = call.optional(i) {
            if value.len() != 1 {
                return Err(OpError::new(format!("the bound `{attribute}` must be one number")));
            }
            return Ok(Some(value.clone()));
        }
        match call.node.float(attribute)? {
            Some(x) => Ok(Some(Value::floats(call.input(0)?.element(), vec![], vec![x])?)),
            None => Ok(None),
        }
    };
    let x = call.input(0)?;
    let mut out = x.clone();
    // The lower bound first: where the bounds cross, the upper one wins, as the standard says.
    if let Some(low) = bound(1, "min")? {
        let low = broadcast::expand(&low.with_shape(vec![])?, x.shape(), call.budget)?;
        out = combine(&out, &low, nan_max, |_, x, y| Ok(x.max(y)))?;
    }
    if let Some(high) = bound(2, "max")? {
        let high = broadcast::expand(&high.with_shape(vec![])?, x.shape(), call.budget)?;
        out = combine(&out, &high, nan_min, |_, x, y| Ok(x.min(y)))?;
    }
    Ok(vec![out])
}
