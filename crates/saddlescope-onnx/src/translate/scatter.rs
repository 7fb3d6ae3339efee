//! ScatterElements, ScatterND and TensorScatter: elements put at places; and what they share with GatherND about indices of samples.

use super::symbol::{PROBES, Symbol};
use super::walk::Site;
use crate::error::OpError;
use crate::graph::{Attribute, checked_axis};
use crate::value::Value;
use saddlescope_nn::ops::{Scatter, ScatterReduction};

type Outputs = Result<Vec<Symbol>, OpError>;

/// Indices are numbers of the engine's type, of which 32-bit ones hold every integer up to this.
pub(super) const MAX_INDEX: usize = 1 << 24;

fn reduction(site: &Site<'_>) -> Result<ScatterReduction, OpError> {
    Ok(match site.node.text_or("reduction", "none")? {
        "none" => ScatterReduction::Replace,
        "add" => ScatterReduction::Add,
        "mul" => ScatterReduction::Mul,
        "max" => ScatterReduction::Max,
        "min" => ScatterReduction::Min,
        other => return Err(OpError::new(format!("reduction `{other}` is not supported"))),
    })
}

pub(super) fn elements(site: &mut Site<'_>) -> Outputs {
    let (x, indices, updates) = (site.input(0)?, site.input(1)?, site.input(2)?);
    let axis = checked_axis(site.node.int_or("axis", 0)?, x.rank(site.b()))?;
    site.refuse_batch_axis(&x, axis, "puts values to samples of the batch")?;
    let [shape, _] = x.shapes(site.b());
    if shape[axis] > MAX_INDEX {
        return Err(OpError::new(format!("indices into a dimension of length {}", shape[axis])));
    }
    let reduction = reduction(site)?;
    let (t, i, u) = (site.b().plain(&x)?, site.b().plain(&indices)?, site.b().plain(&updates)?);
    let op = Scatter::elements(i64::try_from(axis)?, reduction);
    Ok(vec![Symbol::Engine(site.b().plain_op(op, &[&t, &i, &u])?)])
}

pub(super) fn nd(site: &mut Site<'_>) -> Outputs {
    let (x, mut indices, updates) = (site.input(0)?, site.input(1)?, site.input(2)?);
    let reduction = reduction(site)?;
    let batch_dims = match own_samples(site, &x, &indices)? {
        Some(rest) => {
            indices = rest;
            1
        }
        None => 0,
    };
    let depth = indices.shapes(site.b())[0].last().copied().unwrap_or(0);
    for axis in batch_dims..batch_dims + depth {
        site.refuse_batch_axis(&x, axis, "puts values to samples of the batch")?;
    }
    let (t, i, u) = (site.b().plain(&x)?, site.b().plain(&indices)?, site.b().plain(&updates)?);
    Ok(vec![Symbol::Engine(site.b().plain_op(Scatter::tuples(batch_dims, reduction), &[&t, &i, &u])?)])
}

/// The cache of a language model with new entries put in along an axis, for every sample from its own place on.
pub(super) fn tensor(site: &mut Site<'_>) -> Outputs {
    let (cache, update) = (site.input(0)?, site.input(1)?);
    let (shapes, news) = (cache.shapes(site.b()), update.shapes(site.b()));
    let rank = shapes[0].len();
    let axis = checked_axis(site.node.int_or("axis", -2)?, rank)?;
    let circular = match site.node.text_or("mode", "linear")? {
        "linear" => false,
        "circular" => true,
        other => return Err(OpError::new(format!("mode `{other}` is unknown"))),
    };
    let fits = (0..2).all(|p| {
        news[p].len() == rank
            && (0..rank).all(|d| news[p][d] == shapes[p][d] || d == axis && news[p][d] < shapes[p][d])
    });
    if axis == 0 || !fits || shapes[0][axis] > MAX_INDEX {
        return Err(OpError::new(format!(
            "entries of shape {:?} put into {:?} along axis {axis}",
            news[0], shapes[0]
        )));
    }
    site.refuse_batch_axis(&cache, axis, "puts values to samples of the batch")?;
    let (len, count) = (i64::try_from(shapes[0][axis])?, i64::try_from(news[0][axis])?);
    let steps = Value::int64_vector(0..count);
    // Where every entry goes: [batch, entry, 1].
    let places = match site.optional(2) {
        None => {
            let list = site.constant("places", vec![1, news[0][axis], 1], steps.to_f64s()?)?;
            let list = site.b().plain(&list)?;
            let whole = [0, 1].map(|p| vec![shapes[p][0], news[0][axis], 1]);
            Symbol::Engine(site.b().expanded(&list, &whole)?)
        }
        Some(starts) => {
            let (Symbol::Known(known) | Symbol::Data(known)) = &starts else {
                return Err(OpError::new("the places depend on parameters"));
            };
            let name = known.name.clone();
            let axes = |axis| [("axes", Attribute::Ints(vec![axis]))];
            let column = site.derived_node("Unsqueeze", "starts, upright", &[&name], &axes(1));
            let mut at = column.outputs[0].clone();
            let mut places = site.derive("Unsqueeze", column, &[starts])?;
            let own = site.node.outputs.first().cloned().unwrap_or_default();
            let mut and = |site: &mut Site<'_>, op: &str, what: &str, value: Value| -> Result<(), OpError> {
                let constant = format!("{own} ({what}, a constant)");
                let symbol = site.constant_symbol(&constant, value);
                let node = site.derived_node(op, what, &[&at, &constant], &[]);
                at = node.outputs[0].clone();
                places = site.derive(op, node, &[places.clone(), symbol])?;
                Ok(())
            };
            and(site, "Add", "places of entries", steps)?;
            if circular {
                and(site, "Mod", "places around the end", Value::int64_vector([len]))?;
            }
            let node = site.derived_node("Unsqueeze", "places, one by one", &[&at], &axes(2));
            site.derive("Unsqueeze", node, &[places])?
        }
    };
    let order: Vec<usize> = [0, axis].into_iter().chain((1..rank).filter(|&a| a != axis)).collect();
    let (cache, update) = (site.permuted(&cache, &order)?, site.permuted(&update, &order)?);
    let (t, i, u) = (site.b().plain(&cache)?, site.b().plain(&places)?, site.b().plain(&update)?);
    let op = Scatter::tuples(1, ScatterReduction::Replace);
    let y = Symbol::Engine(site.b().plain_op(op, &[&t, &i, &u])?);
    Ok(vec![site.permuted(&y, &super::symbol::inverse(&order))?])
}

/// Tuples whose first index is the number of their own sample, along an axis 0 that counts the samples: the rest of the tuples, to be
/// used with the samples in common.
pub(super) fn own_samples(
    site: &mut Site<'_>,
    x: &Symbol,
    indices: &Symbol,
) -> Result<Option<Symbol>, OpError> {
    let [a, b] = x.shapes(site.b());
    if a.first() == b.first() || a.first() != Some(&PROBES[0]) {
        return Ok(None);
    }
    let (Symbol::Known(known) | Symbol::Data(known)) = indices else { return Ok(None) };
    let counts = |value: &Value, batch: usize| -> bool {
        let (Some((&depth, lead)), Ok(list)) = (value.shape().split_last(), value.to_i64s()) else {
            return false;
        };
        if depth == 0 || lead.first() != Some(&batch) {
            return false;
        }
        let each = list.len() / depth / batch;
        list.chunks(depth).enumerate().all(|(i, tuple)| usize::try_from(tuple[0]) == Ok(i / each.max(1)))
    };
    let depth = known.values[0].shape().last().copied().unwrap_or(0);
    if !known.values.iter().zip(PROBES).all(|(v, batch)| counts(v, batch)) {
        return Ok(None);
    }
    let last = known.values[0].rank() - 1;
    site.piece(indices, last, 1, depth - 1).map(Some)
}
