//! Loop and Scan in the reference interpreter.

use super::{Environment, EvaluateNode, failed, graph};
use crate::error::{OnnxError, OpError};
use crate::eval;
use crate::graph::{Node, checked_axis};
use crate::value::{Data, Value};

/// Most turns of one loop.
const MAX_TURNS: usize = 1 << 16;

/// Values of one shape along a new first axis.
fn stacked(list: &[Value]) -> Result<Value, OpError> {
    let first = list
        .first()
        .ok_or_else(|| OpError::new("a loop without turns makes an empty output: not supported"))?;
    let mut data = Data::zeros(first.element(), 0);
    for value in list {
        if value.shape() != first.shape() {
            return Err(OpError::new("the outputs of the turns differ in shape"));
        }
        data.extend(value.data().clone())?;
    }
    Value::new(first.element(), [&[list.len()], first.shape()].concat(), data)
}

/// Entry `index` along an axis, which vanishes.
fn entry(x: &Value, axis: usize, index: usize) -> Result<Value, OpError> {
    let order: Vec<usize> = std::iter::once(axis).chain((0..x.rank()).filter(|&d| d != axis)).collect();
    let moved = eval::permuted(x, &order)?;
    let len = moved.len() / moved.shape()[0].max(1);
    let picks: Vec<usize> = (index * len..(index + 1) * len).collect();
    Value::new(x.element(), moved.shape()[1..].to_vec(), moved.data().take(&picks))
}

fn holds(value: &Value) -> Result<bool, OpError> {
    match value.as_bools()? {
        [yes] => Ok(*yes),
        other => Err(OpError::new(format!("a condition of {} values", other.len()))),
    }
}

/// The named inputs of a node.
fn inputs(node: &Node, environment: &Environment) -> Result<Vec<Option<Value>>, OnnxError> {
    let find = |name: &String| match environment.get(name) {
        Some(value) => Ok(Some(value.clone())),
        None if name.is_empty() => Ok(None),
        None => Err(OnnxError::Invalid(format!("no value for `{name}`"))),
    };
    node.inputs.iter().map(find).collect()
}

pub(super) fn turns(
    node: &Node,
    environment: &Environment,
    evaluate: &EvaluateNode<'_>,
) -> Result<Vec<Value>, OnnxError> {
    let wrong = |e: OpError| failed(node, e);
    let body = node.graph("body").map_err(wrong)?;
    let all = inputs(node, environment)?;
    let limit = match all.first().cloned().flatten() {
        Some(n) => usize::try_from(n.scalar_i64().map_err(wrong)?.max(0)).map_err(|e| wrong(e.into()))?,
        None => usize::MAX,
    };
    let mut going = match all.get(1).cloned().flatten() {
        Some(condition) => holds(&condition).map_err(wrong)?,
        None => true,
    };
    let mut state: Vec<Value> = all.into_iter().skip(2).flatten().collect();
    let carried = state.len();
    if body.inputs.len() != carried + 2 || body.outputs.len() <= carried {
        return Err(wrong(OpError::new("its body does not fit its inputs")));
    }
    let mut lists: Vec<Vec<Value>> = vec![vec![]; body.outputs.len() - 1 - carried];
    let mut inner = environment.clone();
    let mut turn = 0;
    while going && turn < limit {
        if turn == MAX_TURNS {
            return Err(wrong(OpError::new(format!("more than {MAX_TURNS} turns"))));
        }
        let number = Value::int64_vector([turn as i64]).with_shape(vec![]).map_err(wrong)?;
        let yes = Value::bools(vec![], vec![true]).map_err(wrong)?;
        for (declared, value) in body.inputs.iter().zip([number, yes].into_iter().chain(state)) {
            inner.insert(declared.name.clone(), value);
        }
        let mut outputs = graph(body, &mut inner, evaluate)?.into_iter();
        going = match outputs.next() {
            Some(condition) => holds(&condition).map_err(wrong)?,
            None => false,
        };
        state = outputs.by_ref().take(carried).collect();
        for (list, value) in lists.iter_mut().zip(outputs) {
            list.push(value);
        }
        turn += 1;
    }
    for list in &lists {
        state.push(stacked(list).map_err(wrong)?);
    }
    Ok(state)
}

pub(super) fn scan(
    node: &Node,
    environment: &Environment,
    evaluate: &EvaluateNode<'_>,
) -> Result<Vec<Value>, OnnxError> {
    let wrong = |e: OpError| failed(node, e);
    let body = node.graph("body").map_err(wrong)?;
    let all: Vec<Value> = inputs(node, environment)?.into_iter().flatten().collect();
    let scanned =
        usize::try_from(node.int_or("num_scan_inputs", 0).map_err(wrong)?).map_err(|e| wrong(e.into()))?;
    let carried = all.len().checked_sub(scanned).filter(|&c| c <= body.outputs.len() && scanned > 0);
    let carried = carried.ok_or_else(|| wrong(OpError::new("its body does not fit its inputs")))?;
    if body.inputs.len() != all.len() {
        return Err(wrong(OpError::new("its body does not fit its inputs")));
    }
    let list = |name: &str, i: usize| -> Result<i64, OnnxError> {
        Ok(node.ints(name).map_err(wrong)?.and_then(|l| l.get(i)).copied().unwrap_or(0))
    };
    let mut axes = Vec::with_capacity(scanned);
    for (i, x) in all[carried..].iter().enumerate() {
        axes.push(checked_axis(list("scan_input_axes", i)?, x.rank()).map_err(wrong)?);
    }
    let lengths: Vec<usize> = all[carried..].iter().zip(&axes).map(|(x, &a)| x.shape()[a]).collect();
    if lengths.iter().any(|&n| n != lengths[0]) {
        return Err(wrong(OpError::new("scanned axes differ in length")));
    }
    let mut state = all[..carried].to_vec();
    let mut lists: Vec<Vec<Value>> = vec![vec![]; body.outputs.len() - carried];
    let mut inner = environment.clone();
    for turn in 0..lengths[0] {
        let mut now = state;
        for (i, x) in all[carried..].iter().enumerate() {
            let backward = list("scan_input_directions", i)? != 0;
            let at = if backward { lengths[0] - 1 - turn } else { turn };
            now.push(entry(x, axes[i], at).map_err(wrong)?);
        }
        for (declared, value) in body.inputs.iter().zip(now) {
            inner.insert(declared.name.clone(), value);
        }
        let mut outputs = graph(body, &mut inner, evaluate)?.into_iter();
        state = outputs.by_ref().take(carried).collect();
        for (list, value) in lists.iter_mut().zip(outputs) {
            list.push(value);
        }
    }
    for (i, mut values) in lists.into_iter().enumerate() {
        if list("scan_output_directions", i)? != 0 {
            values.reverse();
        }
        let whole = stacked(&values).map_err(wrong)?;
        let axis = checked_axis(list("scan_output_axes", i)?, whole.rank()).map_err(wrong)?;
        // The first axis moved to its place.
        let mut order: Vec<usize> = (1..whole.rank()).collect();
        order.insert(axis, 0);
        state.push(eval::permuted(&whole, &order).map_err(wrong)?);
    }
    Ok(state)
}
