//! ReverseSequence.

use super::symbol::Symbol;
use super::walk::Site;
use crate::error::OpError;
use crate::graph::{Attribute, checked_axes};
use crate::value::Value;
use saddlescope_nn::ops;

/// The first entries along the time axis in reverse order, as many as every sequence has; the rest stays where it is.
pub(super) fn reverse_sequence(site: &mut Site<'_>) -> Result<Vec<Symbol>, OpError> {
    let (x, lengths) = (site.input(0)?, site.input(1)?);
    let shapes = x.shapes(site.b());
    let rank = shapes[0].len();
    let named = [site.node.int_or("time_axis", 0)?, site.node.int_or("batch_axis", 1)?];
    let axes = checked_axes(&named, rank)?;
    let (time, batch) = (axes[0], axes[1]);
    let counts = lengths.shapes(site.b());
    if (0..2).any(|p| counts[p] != shapes[p][batch..=batch]) {
        return Err(OpError::new(format!(
            "lengths of shape {:?} for {} sequences",
            counts[0], shapes[0][batch]
        )));
    }
    site.refuse_batch_axis(&x, time, "reverses the order of samples")?;
    let steps = i64::try_from(shapes[0][time])?;
    if let Some(n) = common_length(&lengths)? {
        if !(0..=steps).contains(&n) {
            return Err(OpError::new(format!("length {n} of sequences of {steps}")));
        }
        let order: Vec<i64> = (0..n).rev().chain(n..steps).collect();
        return Ok(vec![site.taken(&x, time, &order)?]);
    }
    let (Symbol::Known(known) | Symbol::Data(known)) = &lengths else {
        return Err(OpError::new("the lengths depend on parameters"));
    };
    // The numbers of the steps, reversed in the same way, say which entry every step takes: [sequence, step].
    let name = known.name.clone();
    let column =
        site.derived_node("Unsqueeze", "lengths, upright", &[&name], &[("axes", Attribute::Ints(vec![1]))]);
    let upright = site.derive("Unsqueeze", column.clone(), std::slice::from_ref(&lengths))?;
    let zero = site.derived_node("Sub", "a zero for each sequence", &[column.outputs[0].as_str(); 2], &[]);
    let zeros = site.derive("Sub", zero.clone(), &[upright.clone(), upright])?;
    let numbers = format!("{} (numbers of steps)", site.node.outputs.first().map_or("", String::as_str));
    let numbers_value = site.constant_symbol(&numbers, Value::int64_vector(0..steps));
    let table = site.derived_node("Add", "steps of each sequence", &[&zero.outputs[0], &numbers], &[]);
    let steps = site.derive("Add", table.clone(), &[zeros, numbers_value])?;
    let axes = [("time_axis", Attribute::Int(1)), ("batch_axis", Attribute::Int(0))];
    let reversed = site.derived_node("ReverseSequence", "reversed steps", &[&table.outputs[0], &name], &axes);
    let picks = site.derive("ReverseSequence", reversed.clone(), &[steps, lengths])?;
    let tuples = site.derived_node(
        "Unsqueeze",
        "reversed steps, one by one",
        &[&reversed.outputs[0]],
        &[("axes", Attribute::Ints(vec![2]))],
    );
    let tuples = site.derive("Unsqueeze", tuples, &[picks])?;

    let order: Vec<usize> =
        [batch, time].into_iter().chain((0..rank).filter(|&a| a != batch && a != time)).collect();
    let moved = site.permuted(&x, &order)?;
    let (t, i) = (site.b().plain(&moved)?, site.b().plain(&tuples)?);
    let y = Symbol::Engine(site.b().plain_op(ops::GatherNd::new(1), &[&t, &i])?);
    Ok(vec![site.permuted(&y, &super::symbol::inverse(&order))?])
}

/// The length of all sequences, if it is known and one.
fn common_length(lengths: &Symbol) -> Result<Option<i64>, OpError> {
    let Symbol::Known(known) = lengths else { return Ok(None) };
    let both = [known.values[0].to_i64s()?, known.values[1].to_i64s()?];
    let first = both[0].first().copied();
    Ok(first.filter(|n| both.iter().flatten().all(|m| m == n)))
}
