//! Concat.

use super::symbol::{PROBES, Symbol, identity};
use super::walk::Site;
use crate::error::OpError;
use crate::graph::checked_axis;
use saddlescope_nn::ops;

pub(super) fn concat(site: &mut Site<'_>) -> Result<Vec<Symbol>, OpError> {
    let symbols = (0..site.inputs.len()).map(|i| site.input(i)).collect::<Result<Vec<_>, _>>()?;
    let axis = site.node.int_or("axis", 1)?;
    Ok(vec![join(site, &symbols, axis)?])
}

/// Where the file fixes the batch size to 1, a part of length 1 along the axis in which other parts count the samples is the same for
/// each of them (a class token): it is repeated.
fn freed_parts(site: &mut Site<'_>, symbols: &[Symbol], axis: usize) -> Result<Option<Vec<Symbol>>, OpError> {
    if site.walker.declared_batch != Some(1) {
        return Ok(None);
    }
    let shapes: Vec<_> = symbols.iter().map(|s| s.shapes(site.b())).collect();
    let rank = shapes.first().map_or(0, |s| s[0].len());
    let counts = |s: &[Vec<usize>; 2], d: usize| [s[0][d], s[1][d]] == PROBES;
    let batch = (0..rank).find(|&d| d != axis && shapes.iter().any(|s| counts(s, d)));
    let Some(batch) = batch.filter(|&d| shapes.iter().any(|s| s[0][d] == 1 && s[1][d] == 1)) else {
        return Ok(None);
    };
    let mut parts = Vec::with_capacity(symbols.len());
    for (symbol, mut shapes) in symbols.iter().zip(shapes) {
        if shapes.iter().any(|s| s[batch] != 1) {
            parts.push(symbol.clone());
            continue;
        }
        let t = site.b().plain(symbol)?;
        for (shape, n) in shapes.iter_mut().zip(PROBES) {
            shape[batch] = n;
        }
        parts.push(Symbol::Engine(site.b().expanded(&t, &shapes)?));
    }
    site.walker.note_fixed_batch(1);
    Ok(Some(parts))
}

/// Joins symbols along an axis, in the order of axes that the first engine value has.
pub(super) fn join(site: &mut Site<'_>, symbols: &[Symbol], axis: i64) -> Result<Symbol, OpError> {
    let rank = symbols.first().map_or(0, |s| s.rank(site.b()));
    if symbols.iter().any(|s| s.rank(site.b()) != rank) {
        return Err(OpError::new("inputs differ in their number of dimensions"));
    }
    let axis = checked_axis(axis, rank)?;
    site.walker.refuse_places(symbols)?;
    let freed = freed_parts(site, symbols, axis)?;
    let symbols = freed.as_deref().unwrap_or(symbols);
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
