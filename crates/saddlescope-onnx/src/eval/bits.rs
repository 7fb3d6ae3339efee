//! Bitwise operators on integers.

use super::Call;
use super::broadcast::pair;
use crate::element::ElementType;
use crate::error::OpError;
use crate::value::Value;

type Outputs = Result<Vec<Value>, OpError>;

fn combine(call: &Call<'_>, f: impl Fn(ElementType, i128, i128) -> i128) -> Outputs {
    let (a, b) = pair(call)?;
    let data = a.as_integers()?.iter().zip(b.as_integers()?).map(|(&x, &y)| f(a.element(), x, y)).collect();
    Ok(vec![Value::integers(a.element(), a.shape().to_vec(), data)?])
}

pub(super) fn and(call: &Call<'_>) -> Outputs {
    combine(call, |_, x, y| x & y)
}

pub(super) fn or(call: &Call<'_>) -> Outputs {
    combine(call, |_, x, y| x | y)
}

pub(super) fn xor(call: &Call<'_>) -> Outputs {
    combine(call, |_, x, y| x ^ y)
}

pub(super) fn not(call: &Call<'_>) -> Outputs {
    let x = call.input(0)?;
    let data = x.as_integers()?.iter().map(|&x| !x).collect();
    Ok(vec![Value::integers(x.element(), x.shape().to_vec(), data)?])
}

/// Shifting by the width of the type or more (also by a negative number) leaves nothing, or the sign.
pub(super) fn shift(call: &Call<'_>) -> Outputs {
    let left = match call.node.text_or("direction", "")? {
        "LEFT" => true,
        "RIGHT" => false,
        other => return Err(OpError::new(format!("direction `{other}`, expected LEFT or RIGHT"))),
    };
    combine(call, |element, x, y| {
        let bits = element.integer_bits().map_or(0, |(bits, _)| bits);
        match u32::try_from(y) {
            Ok(n) if n < bits && left => x << n,
            Ok(n) if n < bits => x >> n,
            _ if left || x >= 0 => 0,
            _ => -1,
        }
    })
}
