//! LinearAttention and CausalConvWithState: what language models with a state instead of a cache are made of.

use super::attention::heads;
use super::matmul::product;
use super::reshape::view;
use super::symbol::{Symbol, Tensor, channels_last};
use super::unary::apply;
use super::walk::Site;
use super::window::plain_bias;
use crate::error::OpError;
use crate::value::{Data, Value};
use saddlescope_nn::graph::ParameterKind;
use saddlescope_nn::ops::{self, PadMode};
use std::rc::Rc;

type Outputs = Result<Vec<Symbol>, OpError>;

/// Most steps that are unrolled.
const MAX_STEPS: usize = 4096;

/// A state S of every head, step by step: S decays, k vᵀ is added (with the delta rule v less what S has for k), and q reads.
pub(super) fn linear_attention(site: &mut Site<'_>) -> Outputs {
    let (query, key, value) = (site.input(0)?, site.input(1)?, site.input(2)?);
    let (past, decay, beta) = (site.optional(3), site.optional(4), site.optional(5));
    let rule = site.node.text_or("update_rule", "gated_delta")?.to_string();
    let (gated, delta) = match rule.as_str() {
        "linear" => (false, false),
        "gated" => (true, false),
        "delta" => (false, true),
        "gated_delta" => (true, true),
        other => return Err(OpError::new(format!("update_rule `{other}` is unknown"))),
    };
    if gated != decay.is_some() || delta != beta.is_some() {
        return Err(OpError::new(format!("update_rule `{rule}` does not fit the inputs that are given")));
    }
    let count = |name: &str| match site.node.int(name)?.map(usize::try_from) {
        Some(Ok(n)) if n > 0 => Ok(n),
        _ => Err(OpError::new(format!("attribute `{name}` must be there and positive"))),
    };
    let (readers, states) = (count("q_num_heads")?, count("kv_num_heads")?);
    if readers % states != 0 || [&query, &key, &value].iter().any(|x| x.rank(site.b()) != 3) {
        return Err(OpError::new(format!(
            "[batch, steps, heads · width] is expected, and {readers} heads that read {states} states evenly"
        )));
    }
    let split = |site: &mut Site<'_>, x: &Symbol, n: usize| -> Result<Symbol, OpError> {
        Ok(heads(site, x, Some(i64::try_from(n)?))?.0)
    };
    let element = query.element();
    let (q, k, v) = (split(site, &query, readers)?, split(site, &key, states)?, split(site, &value, states)?);
    let ([qs, _], [ks, _], [vs, _]) = (q.shapes(site.b()), k.shapes(site.b()), v.shapes(site.b()));
    let (steps, width) = (qs[2], ks[3]);
    if qs[3] != width || ks[2] != steps || vs[2] != steps || !(1..=MAX_STEPS).contains(&steps) {
        return Err(OpError::new(format!(
            "queries, keys and values of shapes {qs:?}, {ks:?} and {vs:?} (at most {MAX_STEPS} steps)"
        )));
    }
    // One number for each head, or for each entry of a key.
    let decay = decay.map(|g| split(site, &g, states)).transpose()?;
    if let Some(g) = &decay {
        let [gs, _] = g.shapes(site.b());
        if gs[2] != steps || gs[3] != 1 && gs[3] != width {
            return Err(OpError::new(format!("a decay of shape {gs:?} for keys of shape {ks:?}")));
        }
    }
    let beta = match beta {
        Some(b) => {
            let [shape, _] = b.shapes(site.b());
            let n = shape.get(2).copied().unwrap_or(0);
            if shape.len() != 3 || shape[1] != steps || n != 1 && n != states {
                return Err(OpError::new(format!("a rate of shape {shape:?} for {states} states")));
            }
            Some(split(site, &b, n)?)
        }
        None => None,
    };
    let scale = match site.node.float_or("scale", 0.0)? {
        0.0 => 1.0 / (width as f64).sqrt(),
        scale => scale,
    };
    let mut state = past;
    let mut outputs = Vec::with_capacity(steps);
    for t in 0..steps {
        let (k, mut v) = (site.piece(&k, 2, t, 1)?, site.piece(&v, 2, t, 1)?);
        if let (Some(g), Some(s)) = (&decay, &state) {
            let g = site.piece(g, 2, t, 1)?;
            let factor = apply(site, &g, ops::Exp)?;
            let factor = site.permuted(&factor, &[0, 1, 3, 2])?;
            state = Some(site.times(s, &factor)?);
        }
        if let Some(beta) = &beta {
            if let Some(s) = &state {
                let had = product(site, &k, s)?;
                v = site.difference(&v, &had)?;
            }
            let rate = site.piece(beta, 2, t, 1)?;
            v = site.times(&v, &rate)?;
        }
        let upright = site.permuted(&k, &[0, 1, 3, 2])?;
        let written = product(site, &upright, &v)?;
        let now = match &state {
            Some(s) => site.sum(s, &written)?,
            None => written,
        };
        // Neighbouring heads of queries read the same state.
        let q = site.piece(&q, 2, t, 1)?;
        let grouped = q.shapes(site.b()).map(|s| vec![s[0], states, readers / states, width]);
        let q = view(site, &q, &grouped)?;
        let read = product(site, &q, &now)?;
        let single = read.shapes(site.b()).map(|s| vec![s[0], 1, readers * s[3]]);
        outputs.push(view(site, &read, &single)?);
        state = Some(now);
    }
    let y = super::concat::join(site, &outputs, 1)?;
    let y = site.scaled(&y, scale)?;
    let state = state.ok_or_else(|| OpError::new("no steps"))?;
    let as_query = |s: Symbol| match s {
        Symbol::Engine(t) => Symbol::Engine(Tensor { element, ..t }),
        other => other,
    };
    Ok(vec![as_query(y), as_query(state)])
}

/// A convolution of every channel with its own filter, which sees the present and what came before it: the state, or zeros.
pub(super) fn causal_conv(site: &mut Site<'_>) -> Outputs {
    let (x, w, bias, past) = (site.input(0)?, site.input(1)?, site.optional(2), site.optional(3));
    let (shapes, [weights, _]) = (x.shapes(site.b()), w.shapes(site.b()));
    let channels = shapes[0].get(1).copied().unwrap_or(0);
    if shapes[0].len() != 3 || weights.len() != 3 || weights[..2] != [channels, 1] || weights[2] == 0 {
        return Err(OpError::new(format!(
            "input of shape {:?} and weights of shape {weights:?}; [batch, channels, length] and [channels, 1, width] are expected",
            shapes[0]
        )));
    }
    let activation = match site.node.text_or("activation", "none")? {
        "none" => false,
        "silu" | "swish" => true,
        other => return Err(OpError::new(format!("activation `{other}` is unknown"))),
    };
    let before = weights[2] - 1;
    let order = channels_last(3);
    let padded = match past {
        _ if before == 0 => x.clone(),
        Some(past) => {
            let states = past.shapes(site.b());
            if (0..2).any(|p| states[p] != [shapes[p][0], channels, before]) {
                return Err(OpError::new(format!("a state of shape {:?} for {before} steps", states[0])));
            }
            super::concat::join(site, &[past, x.clone()], 2)?
        }
        None => {
            let t = site.b().tensor(&x, &order)?;
            let op = ops::Pad::new(&[0, i64::try_from(before)?, 0], &[0; 3], PadMode::Constant(0.0));
            Symbol::Engine(site.b().op(op, &[&t], order.clone())?)
        }
    };
    site.b().name_kind(&w, ParameterKind::ConvFilter);
    let input = site.b().tensor(&padded, &order)?;
    let filter = site.b().tensor(&w, &[2, 1, 0])?;
    let bias = plain_bias(site, bias)?;
    let op = ops::Conv2d { stride: [1; 2], pad: [0; 4], dilation: [1; 2], groups: channels };
    let inputs: Vec<_> = [&input, &filter].into_iter().chain(&bias).collect();
    let mut y = Symbol::Engine(site.b().op(op, &inputs, order)?);
    if activation {
        y = apply(site, &y, ops::Silu)?;
    }
    let state = if before == 0 {
        let empty = |p: usize| -> Result<Rc<Value>, OpError> {
            let value =
                Value::new(x.element(), vec![shapes[p][0], channels, 0], Data::zeros(x.element(), 0))?;
            Ok(Rc::new(value))
        };
        let name = format!("{} (an empty state)", site.node.outputs.first().map_or("", String::as_str));
        Symbol::Known(super::symbol::Known { name, values: [empty(0)?, empty(1)?] })
    } else {
        site.piece(&padded, 2, shapes[0][2], before)?
    };
    Ok(vec![y, state])
}
