//! CumSum and CumProd.

use super::Call;
use super::index::around;
use crate::error::OpError;
use crate::graph::checked_axis;
use crate::value::{Data, Value};

type Outputs = Result<Vec<Value>, OpError>;

pub(super) fn sum(call: &Call<'_>) -> Outputs {
    cumulate(call, (0.0, 0), |a, b| a + b, |a, b| a.wrapping_add(b))
}

pub(super) fn product(call: &Call<'_>) -> Outputs {
    cumulate(call, (1.0, 1), |a, b| a * b, |a, b| a.wrapping_mul(b))
}

fn cumulate(
    call: &Call<'_>,
    neutral: (f64, i128),
    float: impl Fn(f64, f64) -> f64,
    integer: impl Fn(i128, i128) -> i128,
) -> Outputs {
    let x = call.input(0)?;
    let axis = checked_axis(call.input(1)?.scalar_i64()?, x.rank())?;
    let (exclusive, reverse) = (call.node.flag("exclusive", false)?, call.node.flag("reverse", false)?);
    call.budget.take(x.shape())?;
    let (outer, len, inner) = around(x.shape(), axis);
    let outer = if x.is_empty() { 0 } else { outer };
    let element = x.element();
    fn run<T: Copy>(
        data: &mut [T],
        (outer, len, inner): (usize, usize, usize),
        neutral: T,
        (exclusive, reverse): (bool, bool),
        f: impl Fn(T, T) -> T,
    ) {
        for o in 0..outer {
            for i in 0..inner {
                let mut total = neutral;
                for step in 0..len {
                    let k = if reverse { len - 1 - step } else { step };
                    let at = (o * len + k) * inner + i;
                    let next = f(total, data[at]);
                    data[at] = if exclusive { total } else { next };
                    total = next;
                }
            }
        }
    }
    let (dims, mode) = ((outer, len, inner), (exclusive, reverse));
    Ok(vec![match x.data().clone() {
        Data::Float(mut v) => {
            run(&mut v, dims, neutral.0, mode, |a, b| element.round(float(a, b)));
            Value::floats(element, x.shape().to_vec(), v)?
        }
        Data::Int(mut v) => {
            run(&mut v, dims, neutral.1, mode, |a, b| element.wrap(integer(a, b)));
            Value::integers(element, x.shape().to_vec(), v)?
        }
        _ => return Err(OpError::new(format!("numbers expected, found {element}"))),
    }])
}
