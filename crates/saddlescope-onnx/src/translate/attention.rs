//! Attention (scaled dot products with a softmax), made of the engine's operations.

use super::binary::combine;
use super::matmul::product;
use super::reshape::view;
use super::symbol::Symbol;
use super::unary::apply;
use super::walk::Site;
use crate::element::ElementType;
use crate::error::OpError;
use crate::value::{Data, Value};
use saddlescope_nn::ops::{self, PadMode};

type Outputs = Result<Vec<Symbol>, OpError>;

/// `[batch, heads, length, width]` from that or from `[batch, length, heads · width]`.
pub(super) fn heads(site: &mut Site<'_>, x: &Symbol, count: Option<i64>) -> Result<(Symbol, bool), OpError> {
    match x.rank(site.b()) {
        4 => Ok((x.clone(), false)),
        3 => {
            let n = count.and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0);
            let n = n.ok_or_else(|| OpError::new("the number of heads is missing"))?;
            let shapes = x.shapes(site.b());
            if !shapes[0][2].is_multiple_of(n) {
                return Err(OpError::new(format!("width {} does not divide into {n} heads", shapes[0][2])));
            }
            let split = shapes.map(|s| vec![s[0], s[1], n, s[2] / n]);
            let parts = view(site, x, &split)?;
            Ok((site.permuted(&parts, &[0, 2, 1, 3])?, true))
        }
        rank => Err(OpError::new(format!("3 or 4 dimensions are expected, found {rank}"))),
    }
}

pub(super) fn attention(site: &mut Site<'_>) -> Outputs {
    let node = site.node;
    if !node.domain.is_empty() {
        return Err(OpError::new("this domain's Attention is not supported"));
    }
    const KNOWN: [&str; 9] = [
        "is_causal",
        "kv_num_heads",
        "left_window_size",
        "q_num_heads",
        "qk_matmul_output_mode",
        "right_window_size",
        "scale",
        "softcap",
        "softmax_precision",
    ];
    if let Some(other) = node.attributes.keys().find(|a| !KNOWN.contains(&a.as_str())) {
        return Err(OpError::new(format!("attribute `{other}` is not supported")));
    }
    let element = site.input(0)?.element();
    let (q, k, v) = (site.input(0)?, site.input(1)?, site.input(2)?);
    let (q, flat) = heads(site, &q, node.int("q_num_heads")?)?;
    let kv_heads = node.int("kv_num_heads")?;
    let (mut k, _) = heads(site, &k, kv_heads)?;
    let (mut v, _) = heads(site, &v, kv_heads)?;
    let mut offset = 0;
    if let (Some(past_k), Some(past_v)) = (site.optional(4), site.optional(5)) {
        offset = past_k.shapes(site.b())[0].get(2).copied().unwrap_or(0);
        k = super::concat::join(site, &[past_k, k], 2)?;
        v = super::concat::join(site, &[past_v, v], 2)?;
    }
    let present = [k.clone(), v.clone()];
    let ([qs, _], [ks, _]) = (q.shapes(site.b()), k.shapes(site.b()));
    if ks[1] == 0 || qs[1] % ks[1] != 0 {
        return Err(OpError::new(format!("{} heads of queries for {} of keys", qs[1], ks[1])));
    }
    if qs[1] != ks[1] {
        let copies = qs[1] / ks[1];
        k = repeated(site, &k, copies)?;
        v = repeated(site, &v, copies)?;
    }
    let scale = match node.float("scale")? {
        Some(scale) => scale,
        None => 1.0 / (qs[3] as f64).sqrt(),
    };
    let keys = site.permuted(&k, &[0, 1, 3, 2])?;
    let mut scores = product(site, &q, &keys)?;
    let factor = Symbol::Engine(site.b().scalar(scale, element));
    scores = combine(site, &scores, &factor, ops::Mul)?;
    let softcap = node.float_or("softcap", 0.0)?;
    if softcap > 0.0 {
        let (down, up) = (site.b().scalar(1.0 / softcap, element), site.b().scalar(softcap, element));
        scores = combine(site, &scores, &Symbol::Engine(down), ops::Mul)?;
        scores = apply(site, &scores, ops::Tanh)?;
        scores = combine(site, &scores, &Symbol::Engine(up), ops::Mul)?;
    }
    let capped = scores.clone();
    if let Some(mask) = site.optional(3) {
        scores = masked(site, &scores, &mask)?;
    }
    scores = positions(site, &scores, offset)?;
    let weights = super::softmax::apply(site, &scores, 3, |axis| ops::Softmax { axis })?;
    let weights = zero_where_nothing_is_allowed(site, &weights)?;
    let mut out = product(site, &weights, &v)?;
    if flat {
        let back = site.permuted(&out, &[0, 2, 1, 3])?;
        let shapes = back.shapes(site.b()).map(|s| vec![s[0], s[1], s[2] * s[3]]);
        out = view(site, &back, &shapes)?;
    }
    let shown = match node.int_or("qk_matmul_output_mode", 0)? {
        0 | 1 => capped,
        2 => scores,
        3 => weights,
        other => return Err(OpError::new(format!("qk_matmul_output_mode {other} is not supported"))),
    };
    let [present_k, present_v] = present;
    Ok(vec![out, present_k, present_v, shown])
}

/// The scores with a mask: truth that allows, or numbers to be added. A mask shorter than the keys allows none of the rest.
fn masked(site: &mut Site<'_>, scores: &Symbol, mask: &Symbol) -> Result<Symbol, OpError> {
    let lowest = site.number(f64::NEG_INFINITY, scores);
    let truth = mask.element() == crate::ElementType::Bool;
    let ([have, _], [want, _]) = (mask.shapes(site.b()), scores.shapes(site.b()));
    let (width, keys) = (have.last().copied().unwrap_or(1), want.last().copied().unwrap_or(1));
    let mut mask = mask.clone();
    if width < keys && width != 1 {
        let t = site.b().any(&mask)?;
        let last = super::kit::place_of(&t, have.len() - 1);
        let mut after = vec![0; have.len()];
        after[last] = i64::try_from(keys - width)?;
        let fill = PadMode::Constant(if truth { 0.0 } else { f64::NEG_INFINITY });
        let order = t.order.clone();
        mask =
            Symbol::Engine(site.b().op(ops::Pad::new(&vec![0; have.len()], &after, fill), &[&t], order)?);
    }
    if truth {
        super::activation::choose(site, &mask, scores, &lowest)
    } else {
        combine(site, scores, &mask, ops::Add)
    }
}

/// The scores with what the positions of query i and key j forbid: padding (`nonpad_kv_seqlen`), later keys (`is_causal`) and keys
/// outside a window. `offset` keys precede the queries.
fn positions(site: &mut Site<'_>, scores: &Symbol, offset: usize) -> Result<Symbol, OpError> {
    let [shape, _] = scores.shapes(site.b());
    let (rows, columns) = (shape[2], shape[3]);
    let (left, right) =
        (site.node.int_or("left_window_size", -1)?, site.node.int_or("right_window_size", -1)?);
    let causal = site.node.flag("is_causal", false)?;
    let lowest = site.number(f64::NEG_INFINITY, scores);
    let mut scores = scores.clone();
    site.b().budget.take(&[rows, columns])?;
    let Some(valid) = site.optional(6) else {
        if !causal && left < 0 && right < 0 {
            return Ok(scores);
        }
        let allowed = |i: usize| {
            // How far key j lies before query i.
            let back = (i / columns + offset) as i128 - (i % columns) as i128;
            (!causal || back >= 0)
                && (left < 0 || back <= i128::from(left))
                && (right < 0 || -back <= i128::from(right))
        };
        let allowed = (0..rows * columns).map(allowed).collect();
        let mask = Value::new(crate::ElementType::Bool, vec![rows, columns], Data::Bool(allowed))?;
        let name = format!("{} (causal mask)", site.node.name);
        let mask = site.constant_symbol(&name, mask);
        return super::activation::choose(site, &mask, &scores, &lowest);
    };
    // The number of keys that are no padding, for each sample.
    let column = valid.shapes(site.b()).map(|s| vec![s[0], 1, 1, 1]);
    let valid = view(site, &valid, &column)?;
    let mut allow = |site: &mut Site<'_>, mask: Symbol| -> Result<(), OpError> {
        scores = super::activation::choose(site, &mask, &scores, &lowest)?;
        Ok(())
    };
    let keys = site.constant("keys", vec![1, 1, 1, columns], (0..columns).map(|j| j as f64).collect())?;
    let padding = combine(site, &keys, &valid, ops::Compare::Less)?;
    allow(site, padding)?;
    // Query i is key (keys − queries + i): it lies this far behind key j.
    let apart =
        (0..rows * columns).map(|i| (i / columns) as f64 - rows as f64 - (i % columns) as f64).collect();
    let apart = site.constant("distances", vec![1, 1, rows, columns], apart)?;
    let back = site.sum(&apart, &valid)?;
    let bound = |site: &mut Site<'_>, limit: f64, kind: ops::Compare| {
        let limit = site.number(limit, &back);
        combine(site, &back, &limit, kind)
    };
    if causal {
        let mask = bound(site, 0.0, ops::Compare::GreaterOrEqual)?;
        allow(site, mask)?;
    }
    if left >= 0 {
        let mask = bound(site, left as f64, ops::Compare::LessOrEqual)?;
        allow(site, mask)?;
    }
    if right >= 0 {
        let mask = bound(site, -(right as f64), ops::Compare::GreaterOrEqual)?;
        allow(site, mask)?;
    }
    Ok(scores)
}

/// A row of which everything is masked has softmax NaN; the standard wants zeros.
fn zero_where_nothing_is_allowed(site: &mut Site<'_>, weights: &Symbol) -> Result<Symbol, OpError> {
    let windowed =
        ["left_window_size", "right_window_size"].iter().any(|a| site.node.attributes.contains_key(*a));
    if site.optional(3).is_none() && site.optional(6).is_none() && !windowed {
        return Ok(weights.clone());
    }
    let zero = Symbol::Engine(site.b().scalar(0.0, weights.element()));
    let ordered = combine(site, weights, weights, ops::Compare::Equal)?;
    super::activation::choose(site, &ordered, weights, &zero)
}

/// Each head of keys or values repeated for the queries that share it.
fn repeated(site: &mut Site<'_>, x: &Symbol, copies: usize) -> Result<Symbol, OpError> {
    let t = site.b().plain(x)?;
    let op = ops::ResizeNearest::new(&[1, copies, 1, 1]);
    Ok(Symbol::Engine(site.b().plain_op(op, &[&t])?))
}

/// Attention of `ai.onnx.preview` whose scores and weights graphs of the file may change.
pub(super) fn flex_attention(site: &mut Site<'_>) -> Outputs {
    let (q, mut k, mut v) = (site.input(0)?, site.input(1)?, site.input(2)?);
    let ([qs, _], [ks, _], [vs, _]) = (q.shapes(site.b()), k.shapes(site.b()), v.shapes(site.b()));
    if [&qs, &ks, &vs].iter().any(|s| s.len() != 4) || ks[1] == 0 || qs[1] % ks[1] != 0 || vs[1] != ks[1] {
        return Err(OpError::new(format!("queries, keys and values of shapes {qs:?}, {ks:?} and {vs:?}")));
    }
    if qs[1] != ks[1] {
        let copies = qs[1] / ks[1];
        k = repeated(site, &k, copies)?;
        v = repeated(site, &v, copies)?;
    }
    let scale = match site.node.float("scale")? {
        Some(scale) => scale,
        None => 1.0 / (qs[3] as f64).sqrt(),
    };
    let (element, double) = (q.element(), ElementType::F64);
    let inner = match site.node.int("softmax_precision")? {
        Some(code) => ElementType::from_code(code).filter(|e| e.is_float()),
        None => Some(if element == double { double } else { ElementType::F32 }),
    };
    let inner =
        inner.ok_or_else(|| OpError::new("softmax_precision names no type of floating-point numbers"))?;
    let keys = site.permuted(&k, &[0, 1, 3, 2])?;
    let scores = product(site, &q, &keys)?;
    let scores = site.scaled(&scores, scale)?;
    let scores = modified(site, "score_mod", of_type(scores, inner))?;
    let weights = super::softmax::apply(site, &scores, 3, |axis| ops::Softmax { axis })?;
    let weights = modified(site, "prob_mod", of_type(weights, inner))?;
    let y = product(site, &weights, &v)?;
    Ok(vec![of_type(y, element)])
}

fn of_type(x: Symbol, element: ElementType) -> Symbol {
    match x {
        Symbol::Engine(t) => Symbol::Engine(super::symbol::Tensor { element, ..t }),
        other => other,
    }
}

/// What a graph of the node makes of a value, which keeps its shape.
fn modified(site: &mut Site<'_>, name: &str, x: Symbol) -> Result<Symbol, OpError> {
    if !site.node.attributes.contains_key(name) {
        return Ok(x);
    }
    let graph = site.node.graph(name)?.clone();
    if graph.inputs.len() != 1 || graph.outputs.len() != 1 {
        return Err(OpError::new(format!("`{name}` must have one input and one output")));
    }
    let (before, own) = (x.shapes(site.b()), site.b().node.clone());
    // Under names of its own, so that the two graphs of a node do not meet.
    let mut node = site.node.clone();
    node.name = format!("{}, {name}", node.name);
    let found = site.walker.turn(&node, &graph, 0, vec![x]).map_err(|e| OpError::new(e.to_string()))?;
    site.b().node = own;
    let y = found.into_iter().next().ok_or_else(|| OpError::new(format!("`{name}` has no output")))?;
    if y.shapes(site.b()) != before {
        return Err(OpError::new(format!("`{name}` changes the shape {:?}", before[0])));
    }
    Ok(y)
}

/// Pairs of numbers turned by angles whose cosines and sines are given, for every position.
pub(super) fn rotary_embedding(site: &mut Site<'_>) -> Outputs {
    let (x, mut cos, mut sin) = (site.input(0)?, site.input(1)?, site.input(2)?);
    let shapes = x.shapes(site.b());
    let flat = shapes[0].len() == 3;
    let parts = if flat {
        let n = site.node.int_or("num_heads", 0)?;
        let n = usize::try_from(n).ok().filter(|&n| n > 0 && shapes[0][2].is_multiple_of(n));
        let n = n.ok_or_else(|| OpError::new("`num_heads` does not divide the width"))?;
        view(site, &x, &shapes.clone().map(|s| vec![s[0], s[1], n, s[2] / n]))?
    } else if shapes[0].len() == 4 {
        site.permuted(&x, &[0, 2, 1, 3])?
    } else {
        return Err(OpError::new(format!("3 or 4 dimensions are expected, found {:?}", shapes[0])));
    };
    if let Some(places) = site.optional(3) {
        let indices = site.b().plain(&places)?;
        for cache in [&mut cos, &mut sin] {
            let table = site.b().plain(cache)?;
            *cache = Symbol::Engine(site.b().plain_op(ops::Gather::new(0), &[&table, &indices])?);
        }
    }
    let (cos, sin) = (site.with_axis(&cos, 2)?, site.with_axis(&sin, 2)?);
    let [whole, _] = parts.shapes(site.b());
    let size = whole[3];
    let turned = match usize::try_from(site.node.int_or("rotary_embedding_dim", 0)?)? {
        0 => size,
        n => n,
    };
    if turned % 2 != 0 || turned > size {
        return Err(OpError::new(format!("{turned} of {size} numbers are turned")));
    }
    let (interleaved, half) = (site.node.flag("interleaved", false)?, turned / 2);
    let (a, b) = if interleaved {
        let pick =
            |first: usize| (0..half).map(|i| i64::try_from(2 * i + first)).collect::<Result<Vec<_>, _>>();
        (site.taken(&parts, 3, &pick(0)?)?, site.taken(&parts, 3, &pick(1)?)?)
    } else {
        (site.piece(&parts, 3, 0, half)?, site.piece(&parts, 3, half, half)?)
    };
    let (ca, sb) = (site.times(&a, &cos)?, site.times(&b, &sin)?);
    let (sa, cb) = (site.times(&a, &sin)?, site.times(&b, &cos)?);
    let (real, imaginary) = (site.difference(&ca, &sb)?, site.sum(&sa, &cb)?);
    let mut out = if interleaved {
        let pairs = site.stacked(&[real, imaginary], 4)?;
        let merged = pairs.shapes(site.b()).map(|s| vec![s[0], s[1], s[2], turned]);
        view(site, &pairs, &merged)?
    } else {
        super::concat::join(site, &[real, imaginary], 3)?
    };
    if turned < size {
        let rest = site.piece(&parts, 3, turned, size - turned)?;
        out = super::concat::join(site, &[out, rest], 3)?;
    }
    Ok(vec![if flat { view(site, &out, &shapes)? } else { site.permuted(&out, &[0, 2, 1, 3])? }])
}
