//! Concat.

use super::symbol::{Symbol, identity};
use super::walk::Site;
use crate::error::OpError;
use crate::graph::checked_axis;
use saddlescope_nn::ops;

pub(super) fn concat(site: &mut Site<'_>) -> Result<Vec<Symbol>, OpError> {
    let symbols = (0..site.inputs.len()).map(|i| site.input(i)).collect::<Result<Vec<_>, _>>()?;
    let axis = site.node.int_or("axis", 1)?;
    Ok(vec![join(site, &symbols, axis)?])
}

/// Joins symbols along an axis, in the order of axes that the first engine value has.
pub(super) fn join(site: &mut Site<'_>, symbols: &[Symbol], axis: i64) -> Result<Symbol, OpError> {
    let rank = symbols.first().map_or(0, |s| s.rank(site.b()));
    if symbols.iter().any(|s| s.rank(site.b()) != rank) {
        return Err(OpError::new("inputs differ in their number of dimensions"));
    }
    let axis = checked_axis(axis, rank)?;
    let order = symbols.iter().find_map(|s| match s {
        Symbol::Engine(t) => Some(t.order.clone()),
        _ => None,
    });
    let order = order.unwrap_or_else(|| identity(rank));
    let tensors = symbols.iter().map(|s| site.b().tensor(s, &order)).collect::<Result<Vec<_>, _>>()?;
    let place = order.iter().position(|&a| a == axis).unwrap_or(axis);
    site.refuse_batch_axis(&symbols[0], axis, "joins values along the batch")?;
    let inputs: Vec<_> = tensors.iter().collect();
    Ok(Symbol::Engine(site.b().op(ops::Concat::new(i64::try_from(place)?), &inputs, order)?))
}
