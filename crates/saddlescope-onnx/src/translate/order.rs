//! TopK, ArgMax, ArgMin, Hardmax and OneHot of values that depend on parameters: places are piecewise constant, selected values are
//! differentiated.

use super::activation::choose;
use super::binary::combine;
use super::symbol::{Symbol, Tensor};
use super::walk::Site;
use crate::element::ElementType;
use crate::error::OpError;
use crate::graph::checked_axis;
use saddlescope_nn::ops;

type Outputs = Result<Vec<Symbol>, OpError>;

/// An engine value that stands for integers.
fn integers(t: Tensor) -> Symbol {
    Symbol::Engine(Tensor { element: ElementType::I64, ..t })
}

pub(super) fn top_k(site: &mut Site<'_>) -> Outputs {
    let x = site.input(0)?;
    let axis = checked_axis(site.node.int_or("axis", -1)?, x.rank(site.b()))?;
    site.refuse_batch_axis(&x, axis, "orders the samples of the batch")?;
    let k = match site.node.int("k")? {
        Some(k) => k,
        None => {
            let k = site.input(1)?;
            site.b().fixed_constant(&k, "the number of elements")?.scalar_i64()?
        }
    };
    let place = i64::try_from(axis)?;
    let t = site.b().plain(&x)?;
    let op = ops::TopKIndices::new(place, usize::try_from(k)?, site.node.flag("largest", true)?);
    let indices = site.b().plain_op(op, &[&t])?;
    let values = site.b().plain_op(ops::GatherElements::new(place), &[&t, &indices])?;
    Ok(vec![Symbol::Engine(values), integers(indices)])
}

fn arg(site: &mut Site<'_>, largest: bool) -> Outputs {
    let x = site.input(0)?;
    let axis = checked_axis(site.node.int_or("axis", 0)?, x.rank(site.b()))?;
    let found = places(site, &x, axis, largest)?;
    let keep = site.node.flag("keepdims", true)?;
    Ok(vec![if keep { found } else { site.without_axis(&found, axis)? }])
}

fn places(site: &mut Site<'_>, x: &Symbol, axis: usize, largest: bool) -> Result<Symbol, OpError> {
    site.refuse_batch_axis(x, axis, "compares the samples of the batch")?;
    let last = site.node.flag("select_last_index", false)?;
    let t = site.b().plain(x)?;
    let op = ops::ArgExtremum::new(i64::try_from(axis)?, largest, last);
    Ok(integers(site.b().plain_op(op, &[&t])?))
}

pub(super) fn arg_max(site: &mut Site<'_>) -> Outputs {
    arg(site, true)
}

pub(super) fn arg_min(site: &mut Site<'_>) -> Outputs {
    arg(site, false)
}

/// 1 at the first largest element along the axis, else 0; before operator set 13 all axes from `axis` on are one.
pub(super) fn hardmax(site: &mut Site<'_>) -> Outputs {
    let x = site.input(0)?;
    let rank = x.rank(site.b());
    let old = site.node.opset < 13;
    let axis = checked_axis(site.node.int_or("axis", if old { 1 } else { -1 })?, rank)?;
    let shapes = x.shapes(site.b());
    let (flat, axis) = if old && axis + 1 != rank {
        let rows = shapes.clone().map(|s| vec![s[..axis].iter().product(), s[axis..].iter().product()]);
        (super::reshape::view(site, &x, &rows)?, 1)
    } else {
        (x.clone(), axis)
    };
    let found = places(site, &flat, axis, true)?;
    let [shape, _] = flat.shapes(site.b());
    let hot = indicator(site, &found, axis, shape[axis])?;
    let out = match hot {
        Symbol::Engine(t) => Symbol::Engine(Tensor { element: x.element(), ..t }),
        other => other,
    };
    Ok(vec![super::reshape::view(site, &out, &shapes)?])
}

/// 1 where the index (with an axis of length 1) is the place along the axis, else 0.
pub(super) fn indicator(
    site: &mut Site<'_>,
    indices: &Symbol,
    axis: usize,
    len: usize,
) -> Result<Symbol, OpError> {
    let rank = indices.rank(site.b());
    let shape: Vec<usize> = (0..rank).map(|d| if d == axis { len } else { 1 }).collect();
    let places = site.constant("places", shape, (0..len).map(|i| i as f64).collect())?;
    combine(site, indices, &places, ops::Compare::Equal)
}

pub(super) fn one_hot(site: &mut Site<'_>) -> Outputs {
    let (indices, depth, values) = (site.input(0)?, site.input(1)?, site.input(2)?);
    let depth = site.b().fixed_constant(&depth, "the depth")?.scalar_f64()?;
    if !(depth >= 1.0 && depth.fract() == 0.0 && depth <= super::scatter::MAX_INDEX as f64) {
        return Err(OpError::new(format!("a depth of {depth}")));
    }
    let rank = indices.rank(site.b());
    let axis = checked_axis(site.node.int_or("axis", -1)?, rank + 1)?;
    // Negative indices count from the end.
    let zero = site.number(0.0, &indices);
    let negative = combine(site, &indices, &zero, ops::Compare::Less)?;
    let from_end = site.shifted(&indices, depth)?;
    let indices = choose(site, &negative, &from_end, &indices)?;
    let indices = site.with_axis(&indices, axis)?;
    let hot = indicator(site, &indices, axis, depth as usize)?;
    let (off, on) = (site.entry(&values, 0, 0)?, site.entry(&values, 0, 1)?);
    Ok(vec![choose(site, &hot, &on, &off)?])
}
