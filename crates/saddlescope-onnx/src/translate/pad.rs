//! Pad.

use super::symbol::Symbol;
use super::walk::Site;
use crate::error::OpError;
use crate::eval;
use saddlescope_nn::ops::{self, PadMode};

pub(super) fn pad(site: &mut Site<'_>) -> Result<Vec<Symbol>, OpError> {
    let x = site.input(0)?;
    let attribute = if site.node.attributes.contains_key("paddings") { "paddings" } else { "pads" };
    let pads = site.ints(attribute, 1)?;
    let axes = match site.optional(3) {
        Some(axes) => Some(site.b().fixed_constant(&axes, "the axes")?.to_i64s()?),
        None => None,
    };
    let amounts = eval::pad_amounts(pads, axes, x.rank(site.b()))?;
    let fill = match site.optional(2) {
        Some(value) => site.b().fixed_constant(&value, "the fill value")?.scalar_f64()?,
        None => site.node.float_or("value", 0.0)?,
    };
    let mode = match site.node.text_or("mode", "constant")? {
        "constant" => PadMode::Constant(fill),
        "edge" => PadMode::Edge,
        "reflect" => PadMode::Reflect,
        "wrap" => PadMode::Wrap,
        other => return Err(OpError::new(format!("mode `{other}` is not supported"))),
    };
    for (axis, amount) in amounts.iter().enumerate() {
        if *amount != (0, 0) {
            site.refuse_batch_axis(&x, axis, "pads the batch")?;
        }
    }
    let t = site.b().any(&x)?;
    let before: Vec<i64> = t.order.iter().map(|&a| amounts[a].0).collect();
    let after: Vec<i64> = t.order.iter().map(|&a| amounts[a].1).collect();
    let order = t.order.clone();
    Ok(vec![Symbol::Engine(site.b().op(ops::Pad::new(&before, &after, mode), &[&t], order)?)])
}

/// Cut or padded with zeros around the centre to a constant shape.
pub(super) fn center_crop(site: &mut Site<'_>) -> Result<Vec<Symbol>, OpError> {
    let (x, wanted) = (site.input(0)?, site.input(1)?);
    let wanted = eval::sizes(&*site.b().fixed_constant(&wanted, "the shape")?)?;
    let [shape, _] = x.shapes(site.b());
    let axes = match site.node.ints("axes")? {
        Some(list) => crate::graph::checked_axes(list, shape.len())?,
        None => (0..shape.len()).collect(),
    };
    if axes.len() != wanted.len() {
        return Err(OpError::new(format!("{} lengths for {} axes", wanted.len(), axes.len())));
    }
    let t = site.b().any(&x)?;
    let (mut before, mut after) = (vec![0; shape.len()], vec![0; shape.len()]);
    for (&axis, &n) in axes.iter().zip(&wanted) {
        if n == shape[axis] {
            continue;
        }
        site.refuse_batch_axis(&x, axis, "cuts or pads the batch")?;
        // The smaller half lies before, whether it is added or cut off.
        let change = i64::try_from(n)? - i64::try_from(shape[axis])?;
        let place = super::kit::place_of(&t, axis);
        before[place] = change / 2;
        after[place] = change - change / 2;
    }
    let order = t.order.clone();
    let op = ops::Pad::new(&before, &after, PadMode::Constant(0.0));
    Ok(vec![Symbol::Engine(site.b().op(op, &[&t], order)?)])
}
