//! Split.

use super::symbol::Symbol;
use super::walk::Site;
use crate::error::OpError;
use crate::eval;
use crate::graph::checked_axis;
use saddlescope_nn::ops;

pub(super) fn split(site: &mut Site<'_>) -> Result<Vec<Symbol>, OpError> {
    let x = site.input(0)?;
    let axis = checked_axis(site.node.int_or("axis", 0)?, x.rank(site.b()))?;
    site.refuse_batch_axis(&x, axis, "splits the batch")?;
    let [shape, _] = x.shapes(site.b());
    let given = site.ints("split", 1)?;
    let outputs = site.node.outputs.len();
    let sizes = eval::piece_sizes(given.as_deref(), site.node.int("num_outputs")?, outputs, shape[axis])?;
    let t = site.b().any(&x)?;
    let place = i64::try_from(t.order.iter().position(|&a| a == axis).unwrap_or(axis))?;
    let mut start = 0;
    let mut pieces = Vec::with_capacity(sizes.len());
    for size in sizes {
        let op = ops::Slice::range(place, start, start + size);
        pieces.push(Symbol::Engine(site.b().op(op, &[&t], t.order.clone())?));
        start += size;
    }
    Ok(pieces)
}
