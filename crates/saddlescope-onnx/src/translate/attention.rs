//! Attention (scaled dot products with a softmax), made of the engine's operations.

use super::binary::combine;
use super::matmul::product;
use super::reshape::view;
use super::symbol::Symbol;
use super::unary::apply;
use super::walk::Site;
use crate::error::OpError;
use crate::value::{Data, Value};
use saddlescope_nn::ops;

type Outputs = Result<Vec<Symbol>, OpError>;

/// `[batch, heads, length, width]` from that or from `[batch, length, heads · width]`.
fn heads(site: &mut Site<'_>, x: &Symbol, count: Option<i64>) -> Result<(Symbol, bool), OpError> {
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
    if (4..7).any(|i| site.optional(i).is_some()) || node.outputs.iter().skip(1).any(|o| !o.is_empty()) {
        return Err(OpError::new(
            "past or present keys, padded lengths and the score output are not supported",
        ));
    }
    const KNOWN: [&str; 7] = [
        "is_causal",
        "kv_num_heads",
        "q_num_heads",
        "qk_matmul_output_mode",
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
    let lowest = Symbol::Engine(site.b().scalar(f64::NEG_INFINITY, element));
    if let Some(mask) = site.optional(3) {
        let ([have, _], [want, _]) = (mask.shapes(site.b()), scores.shapes(site.b()));
        if have.last() != want.last() && have.last() != Some(&1) {
            return Err(OpError::new("a mask shorter than the keys is not supported"));
        }
        scores = if mask.element() == crate::ElementType::Bool {
            super::activation::choose(site, &mask, &scores, &lowest)?
        } else {
            combine(site, &scores, &mask, ops::Add)?
        };
    }
    if node.flag("is_causal", false)? {
        let (rows, columns) = (qs[2], ks[2]);
        site.b().budget.take(&[rows, columns])?;
        let allowed = (0..rows * columns).map(|i| i % columns <= i / columns).collect();
        let mask = Value::new(crate::ElementType::Bool, vec![rows, columns], Data::Bool(allowed))?;
        let name = format!("{} (causal mask)", node.name);
        let mask = site.constant_symbol(&name, mask);
        scores = super::activation::choose(site, &mask, &scores, &lowest)?;
    }
    let weights = super::softmax::apply(site, &scores, 3, |axis| ops::Softmax { axis })?;
    let weights = zero_where_nothing_is_allowed(site, &weights)?;
    let out = product(site, &weights, &v)?;
    if !flat {
        return Ok(vec![out]);
    }
    let back = site.permuted(&out, &[0, 2, 1, 3])?;
    let shapes = back.shapes(site.b()).map(|s| vec![s[0], s[1], s[2] * s[3]]);
    Ok(vec![view(site, &back, &shapes)?])
}

/// A row of which everything is masked has softmax NaN; the standard wants zeros.
fn zero_where_nothing_is_allowed(site: &mut Site<'_>, weights: &Symbol) -> Result<Symbol, OpError> {
    if site.optional(3).is_none() {
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
