//! Gather (also as an embedding) and GatherElements.

use super::reduce::sum_over;
use super::symbol::{PROBES, Symbol};
use super::walk::Site;
use crate::error::OpError;
use crate::eval::IN_RANGE;
use crate::graph::{Attribute, checked_axis};
use crate::value::{Data, Value};
use saddlescope_nn::graph::ParameterKind;
use saddlescope_nn::ops;

type Outputs = Result<Vec<Symbol>, OpError>;

pub(super) fn gather(site: &mut Site<'_>) -> Outputs {
    let (x, indices) = (site.input(0)?, site.input(1)?);
    let axis = checked_axis(site.node.int_or("axis", 0)?, x.rank(site.b()))?;
    if axis == 0
        && let Some(picked) = within_samples(site, &x, &indices)?
    {
        return Ok(vec![picked]);
    }
    site.refuse_batch_axis(&x, axis, "picks samples of the batch")?;
    if axis == 0 && x.rank(site.b()) == 2 {
        site.b().name_kind(&x, ParameterKind::Embedding);
    }
    let t = site.b().plain(&x)?;
    let place = i64::try_from(axis)?;
    if let Symbol::Known(known) = &indices
        && let Some(value) = known.fixed()
    {
        let [shape, _] = x.shapes(site.b());
        let list = value.to_i64s()?;
        let len = i64::try_from(shape[axis])?;
        if let Some(i) = list.iter().find(|&&i| i < -len || i >= len) {
            return Err(OpError::new(format!("index {i} into a dimension of length {len}")));
        }
        let op = ops::Take::new(place, &list, value.shape());
        return Ok(vec![Symbol::Engine(site.b().plain_op(op, &[&t])?)]);
    }
    let indices = site.b().plain(&indices)?;
    Ok(vec![Symbol::Engine(site.b().plain_op(ops::Gather::new(place), &[&t, &indices])?)])
}

/// Entries of a batch that was flattened into axis 0, where every sample picks its own in the same places (as_strided, as the newer
/// exporter of PyTorch writes it): index `n · len + place` for sample n, where `len` is the number of entries of a sample.
fn within_samples(site: &mut Site<'_>, x: &Symbol, indices: &Symbol) -> Result<Option<Symbol>, OpError> {
    let Symbol::Known(known) = indices else { return Ok(None) };
    let shapes = x.shapes(site.b());
    let mut found: Option<(usize, Vec<i64>)> = None;
    for ((value, shape), batch) in known.values.iter().zip(&shapes).zip(PROBES) {
        if value.rank() == 0 || value.shape()[0] != batch || shape[0] % batch != 0 {
            return Ok(None);
        }
        let len = i64::try_from(shape[0] / batch)?;
        let (list, each) = (value.to_i64s()?, value.len() / batch);
        let places = list.get(..each).unwrap_or_default().to_vec();
        let rows = list.chunks(each.max(1)).zip(0i64..);
        let own = rows.into_iter().all(|(row, n)| row.iter().zip(&places).all(|(i, p)| *i - n * len == *p));
        let here = (shape[0] / batch, places);
        if each == 0 || !own || here.1.iter().any(|p| !(0..len).contains(p)) {
            return Ok(None);
        }
        match &found {
            Some(other) if *other != here => return Ok(None),
            _ => found = Some(here),
        }
    }
    let Some((len, places)) = found else { return Ok(None) };
    let rest = known.values[0].shape()[1..].to_vec();
    let all_in_order = places.len() == len && places.iter().zip(0i64..).all(|(p, i)| *p == i);
    let t = site.b().plain(x)?;
    let target = |lead: &[usize]| {
        let mut batches = PROBES.into_iter();
        shapes.clone().map(|s| [&[batches.next().unwrap_or(1)][..], lead, &s[1..]].concat())
    };
    if all_in_order {
        return Ok(Some(Symbol::Engine(site.b().reshaped(&t, &target(&rest))?)));
    }
    let t = site.b().reshaped(&t, &target(&[len]))?;
    Ok(Some(Symbol::Engine(site.b().plain_op(ops::Take::new(1, &places, &rest), &[&t])?)))
}

/// With indices known at import: the leading axes that they pick from become one, from which entries are taken. Newer exporters
/// write adaptive pooling so.
pub(super) fn gather_nd(site: &mut Site<'_>) -> Outputs {
    let (x, indices) = (site.input(0)?, site.input(1)?);
    let known = match &indices {
        Symbol::Known(known) => known.fixed().cloned(),
        _ => None,
    };
    let batch_dims = usize::try_from(site.node.int_or("batch_dims", 0)?)?;
    let indices = match known.filter(|_| batch_dims == 0) {
        Some(known) => known,
        None => return by_tuples(site, &x, indices, batch_dims),
    };
    let shapes = x.shapes(site.b());
    let Some((&width, lead)) = indices.shape().split_last() else {
        return Err(OpError::new("indices must have an axis"));
    };
    if width == 0 || width > shapes[0].len() {
        return Err(OpError::new(format!("{width} indices each into a tensor of shape {:?}", shapes[0])));
    }
    for axis in 0..width {
        site.refuse_batch_axis(&x, axis, "picks samples of the batch")?;
    }
    let mut list = Vec::with_capacity(indices.len() / width);
    for entry in indices.to_i64s()?.chunks(width) {
        let mut place = 0i64;
        for (&i, &len) in entry.iter().zip(&shapes[0]) {
            let len = i64::try_from(len)?;
            if i < -len || i >= len {
                return Err(OpError::new(format!("index {i} into a dimension of length {len}")));
            }
            // Below the number of elements of a tensor that exists.
            place = place * len + if i < 0 { i + len } else { i };
        }
        list.push(place);
    }
    let merged = shapes.map(|s| [&[s[..width].iter().product::<usize>()][..], &s[width..]].concat());
    let t = site.b().plain(&x)?;
    let t = site.b().reshaped(&t, &merged)?;
    Ok(vec![Symbol::Engine(site.b().plain_op(ops::Take::new(0, &list, lead), &[&t])?)])
}

/// With indices that depend on the data or on parameters, or with leading axes in common. Tuples that begin with the number of their
/// own sample have the samples in common.
fn by_tuples(site: &mut Site<'_>, x: &Symbol, indices: Symbol, batch_dims: usize) -> Outputs {
    let (batch_dims, indices) = match super::scatter::own_samples(site, x, &indices)? {
        Some(rest) if batch_dims == 0 => (1, rest),
        _ => (batch_dims, indices),
    };
    let [shape, _] = x.shapes(site.b());
    let depth = indices.shapes(site.b())[0].last().copied().unwrap_or(0);
    for axis in batch_dims..(batch_dims.saturating_add(depth)).min(shape.len()) {
        site.refuse_batch_axis(x, axis, "picks samples of the batch")?;
        if shape[axis] > super::scatter::MAX_INDEX {
            return Err(OpError::new(format!("indices into a dimension of length {}", shape[axis])));
        }
    }
    let (t, i) = (site.b().plain(x)?, site.b().plain(&indices)?);
    Ok(vec![Symbol::Engine(site.b().plain_op(ops::GatherNd::new(batch_dims), &[&t, &i])?)])
}

/// One entry per line, as in the loss of a classifier: the sum over the axis of x times the indicator of the index. The
/// indicator is computed by the interpreter, because indices do not depend on parameters.
pub(super) fn elements(site: &mut Site<'_>) -> Outputs {
    let (x, indices) = (site.input(0)?, site.input(1)?);
    let rank = x.rank(site.b());
    let axis = checked_axis(site.node.int_or("axis", 0)?, rank)?;
    let ([shape, _], [picked, _]) = (x.shapes(site.b()), indices.shapes(site.b()));
    site.refuse_batch_axis(&x, axis, "picks samples of the batch")?;
    let same = picked.len() == rank && (0..rank).all(|d| d == axis || picked[d] == shape[d]);
    // A few entries of each line are products with indicators, which the losses of classifiers are made of.
    if !same || picked[axis] > 8 || matches!(indices, Symbol::Engine(_)) {
        if shape[axis] > super::scatter::MAX_INDEX {
            return Err(OpError::new(format!("indices into a dimension of length {}", shape[axis])));
        }
        let (t, i) = (site.b().plain(&x)?, site.b().plain(&indices)?);
        let op = ops::GatherElements::new(i64::try_from(axis)?);
        return Ok(vec![Symbol::Engine(site.b().plain_op(op, &[&t, &i])?)]);
    }
    let mut parts = Vec::new();
    for k in 0..picked[axis] {
        let hot = indicator(site, &indices, axis, k, shape[axis])?;
        let product = super::binary::combine(site, &x, &hot, ops::Mul)?;
        parts.push(sum_over(site, &product, &[axis], true)?);
    }
    match parts.len() {
        1 => Ok(vec![parts.remove(0)]),
        _ => Ok(vec![super::concat::join(site, &parts, i64::try_from(axis)?)?]),
    }
}

/// 1 where entry `k` of the indices along the axis points, else 0; the axis has length `classes`.
fn indicator(
    site: &mut Site<'_>,
    indices: &Symbol,
    axis: usize,
    k: usize,
    classes: usize,
) -> Result<Symbol, OpError> {
    let constant = |values: Vec<i64>| Value::int64_vector(values);
    let (k, classes, place) = (i64::try_from(k)?, i64::try_from(classes)?, i64::try_from(axis)?);
    let name = match indices {
        Symbol::Known(known) | Symbol::Data(known) => known.name.clone(),
        _ => return Err(OpError::new("indices that depend on parameters")),
    };
    let output = site.node.outputs.first().cloned().unwrap_or_default();
    let (index, depth, values) =
        (format!("{output} (entry {k})"), format!("{output} (classes)"), format!("{output} (off and on)"));
    let entry = site.constant_symbol(&index, constant(vec![k]).with_shape(vec![])?);
    let classes = site.constant_symbol(&depth, constant(vec![classes]).with_shape(vec![])?);
    let pair = Value::new(crate::ElementType::F32, vec![2], Data::Float(vec![0.0, 1.0]))?;
    let pair = site.constant_symbol(&values, pair);
    let pick = site.derived_node(
        "Gather",
        &format!("index {k}"),
        &[&name, &index],
        &[("axis", Attribute::Int(place))],
    );
    let picked_name = pick.outputs[0].clone();
    let picked = site.derive("Gather", pick, &[indices.clone(), entry])?;
    let hot = site.derived_node(
        "OneHot",
        &format!("indicator {k}"),
        &[&picked_name, &depth, &values],
        &[("axis", Attribute::Int(place)), (IN_RANGE, Attribute::Text("index".into()))],
    );
    site.derive("OneHot", hot, &[picked, classes, pair])
}
