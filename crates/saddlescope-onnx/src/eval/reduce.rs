//! Reductions over any set of axes.

use super::Call;
use super::index::{offsets, strides};
use crate::error::OpError;
use crate::graph::{Node, checked_axes};
use crate::value::{Data, Value};

type Outputs = Result<Vec<Value>, OpError>;

/// The axes a node reduces over: attribute before operator set 13 or 18, input since; all if none are named, unless the
/// node says that no axes mean no reduction.
pub(crate) fn axes(node: &Node, named: Option<Vec<i64>>, rank: usize) -> Result<Vec<usize>, OpError> {
    match named.filter(|axes| !axes.is_empty()) {
        Some(axes) => checked_axes(&axes, rank),
        None if node.flag("noop_with_empty_axes", false)? => Ok(vec![]),
        None => Ok((0..rank).collect()),
    }
}

/// Which elements of a tensor belong together.
struct Groups {
    /// Shape of the result.
    shape: Vec<usize>,
    /// First element of each group, in row-major order of the remaining indices.
    starts: Vec<usize>,
    /// From the first element of a group to each of its elements.
    steps: Vec<usize>,
}

fn groups(call: &Call<'_>, x: &Value) -> Result<Groups, OpError> {
    let axes = axes(call.node, call.ints_or_input("axes", 1)?, x.rank())?;
    let own = strides(x.shape());
    let keep = call.node.flag("keepdims", true)?;
    let (mut outer, mut outer_strides, mut inner, mut inner_strides, mut shape) =
        (vec![], vec![], vec![], vec![], vec![]);
    for d in 0..x.rank() {
        let n = x.shape()[d];
        if axes.contains(&d) {
            inner.push(n);
            inner_strides.push(own[d]);
            if keep {
                shape.push(1);
            }
        } else {
            outer.push(n);
            outer_strides.push(own[d]);
            shape.push(n);
        }
    }
    call.budget.take(&outer)?;
    call.budget.take(&inner)?;
    Ok(Groups {
        shape,
        starts: offsets(&outer, &outer_strides, 0),
        steps: offsets(&inner, &inner_strides, 0),
    })
}

type IntegerReduction<'a> = &'a dyn Fn(&[i128]) -> Result<i128, OpError>;

/// Reduces floats with one function and integers with another; both see the elements of a group.
fn reduce(call: &Call<'_>, float: impl Fn(&[f64]) -> f64, integer: Option<IntegerReduction<'_>>) -> Outputs {
    let x = call.input(0)?;
    let element = x.element();
    let Groups { shape, starts, steps } = groups(call, x)?;
    match (x.data(), integer) {
        (Data::Float(v), _) => {
            let mut group = vec![0.0; steps.len()];
            let reduced = starts.iter().map(|s| {
                group.iter_mut().zip(&steps).for_each(|(g, o)| *g = v[s + o]);
                float(&group)
            });
            let reduced = reduced.collect();
            Ok(vec![Value::floats(element, shape, reduced)?])
        }
        (Data::Int(v), Some(integer)) => {
            let mut group = vec![0; steps.len()];
            let mut reduced = Vec::with_capacity(starts.len());
            for s in &starts {
                group.iter_mut().zip(&steps).for_each(|(g, o)| *g = v[s + o]);
                reduced.push(integer(&group)?);
            }
            Ok(vec![Value::integers(element, shape, reduced)?])
        }
        _ => Err(OpError::new(format!("not supported on {element}"))),
    }
}

fn wrapping_sum(v: impl Iterator<Item = i128>) -> i128 {
    v.fold(0, i128::wrapping_add)
}

pub(super) fn sum(call: &Call<'_>) -> Outputs {
    reduce(call, |v| v.iter().sum(), Some(&|v| Ok(wrapping_sum(v.iter().copied()))))
}

pub(super) fn mean(call: &Call<'_>) -> Outputs {
    let integer = |v: &[i128]| {
        wrapping_sum(v.iter().copied())
            .checked_div(v.len() as i128)
            .ok_or_else(|| OpError::new("mean of nothing"))
    };
    reduce(call, |v| v.iter().sum::<f64>() / v.len() as f64, Some(&integer))
}

pub(super) fn prod(call: &Call<'_>) -> Outputs {
    reduce(call, |v| v.iter().product(), Some(&|v| Ok(v.iter().fold(1, |a, &b| a.wrapping_mul(b)))))
}

pub(super) fn l1(call: &Call<'_>) -> Outputs {
    reduce(call, |v| v.iter().map(|x| x.abs()).sum(), Some(&|v| Ok(wrapping_sum(v.iter().map(|x| x.abs())))))
}

pub(super) fn sum_square(call: &Call<'_>) -> Outputs {
    let integer = |v: &[i128]| Ok(wrapping_sum(v.iter().map(|x| x.wrapping_mul(*x))));
    reduce(call, |v| v.iter().map(|x| x * x).sum(), Some(&integer))
}

pub(super) fn l2(call: &Call<'_>) -> Outputs {
    let integer = |v: &[i128]| Ok((wrapping_sum(v.iter().map(|x| x.wrapping_mul(*x))) as f64).sqrt() as i128);
    reduce(call, |v| v.iter().map(|x| x * x).sum::<f64>().sqrt(), Some(&integer))
}

pub(super) fn log_sum(call: &Call<'_>) -> Outputs {
    reduce(call, |v| v.iter().sum::<f64>().ln(), None)
}

pub(super) fn log_sum_exp(call: &Call<'_>) -> Outputs {
    let float = |v: &[f64]| {
        let top = v.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if top.is_infinite() { top } else { top + v.iter().map(|x| (x - top).exp()).sum::<f64>().ln() }
    };
    reduce(call, float, None)
}

/// Truth values count as 0 and 1 (operator set 20).
fn extreme(
    call: &Call<'_>,
    float: fn(f64, f64) -> f64,
    empty: f64,
    integer: fn(i128, i128) -> i128,
) -> Outputs {
    let x = call.input(0)?;
    if let Data::Bool(v) = x.data() {
        let Groups { shape, starts, steps } = groups(call, x)?;
        let numbers: Vec<i128> = v.iter().map(|&b| i128::from(b)).collect();
        let reduced = starts
            .iter()
            .map(|s| steps.iter().map(|o| numbers[s + o]).reduce(integer))
            .map(|r| r.map_or(empty > 0.0, |r| r != 0))
            .collect();
        return Ok(vec![Value::bools(shape, reduced)?]);
    }
    let (bits, signed) = x.element().integer_bits().unwrap_or((64, true));
    let integer = |v: &[i128]| {
        // Of nothing: the smallest number of the type for the maximum, the largest for the minimum.
        let bits = if signed { bits - 1 } else { bits };
        let (low, high) = (if signed { -(1i128 << bits) } else { 0 }, (1i128 << bits) - 1);
        Ok(v.iter().copied().reduce(integer).unwrap_or(if empty > 0.0 { high } else { low }))
    };
    reduce(call, |v| v.iter().copied().reduce(float).unwrap_or(empty), Some(&integer))
}

pub(super) fn max(call: &Call<'_>) -> Outputs {
    let float = |x: f64, y: f64| if x > y || x.is_nan() { x } else { y };
    extreme(call, float, f64::NEG_INFINITY, i128::max)
}

pub(super) fn min(call: &Call<'_>) -> Outputs {
    let float = |x: f64, y: f64| if x < y || x.is_nan() { x } else { y };
    extreme(call, float, f64::INFINITY, i128::min)
}
