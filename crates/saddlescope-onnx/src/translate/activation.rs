//! Activations with attributes, and those that are made of others.

use super::binary::{combine, operands, product};
use super::symbol::{Symbol, Tensor};
use super::unary::{apply, unary};
use super::walk::Site;
use crate::error::OpError;
use saddlescope_nn::ops;

type Outputs = Result<Vec<Symbol>, OpError>;

pub(super) fn elu(site: &mut Site<'_>) -> Outputs {
    let alpha = site.node.float_or("alpha", 1.0)?;
    unary(site, ops::Elu::new(alpha))
}

pub(super) fn celu(site: &mut Site<'_>) -> Outputs {
    let alpha = site.node.float_or("alpha", 1.0)?;
    unary(site, ops::Elu::celu(alpha))
}

/// The defaults are the standard's, as 32-bit numbers.
pub(super) fn selu(site: &mut Site<'_>) -> Outputs {
    let old = site.node.opset < 6;
    let alpha = site.node.float_or("alpha", f64::from(if old { 1.6732_f32 } else { 1.673_263_2 }))?;
    let gamma = site.node.float_or("gamma", f64::from(if old { 1.0507_f32 } else { 1.050_701 }))?;
    unary(site, ops::Elu::selu(alpha, gamma))
}

pub(super) fn leaky_relu(site: &mut Site<'_>) -> Outputs {
    let alpha = site.node.float_or("alpha", 0.01)?;
    unary(site, ops::LeakyRelu::new(alpha))
}

pub(super) fn thresholded_relu(site: &mut Site<'_>) -> Outputs {
    let alpha = site.node.float_or("alpha", 1.0)?;
    unary(site, ops::ThresholdedRelu::new(alpha))
}

pub(super) fn hard_sigmoid(site: &mut Site<'_>) -> Outputs {
    let (alpha, beta) = (site.node.float_or("alpha", 0.2)?, site.node.float_or("beta", 0.5)?);
    unary(site, ops::HardSigmoid::new(alpha, beta))
}

pub(super) fn prelu(site: &mut Site<'_>) -> Outputs {
    let (x, slope) = operands(site, (site.node.opset < 7).then_some(1))?;
    Ok(vec![combine(site, &x, &slope, ops::PRelu)?])
}

/// y = x + bias where x < −λ, x − bias where x > λ, else 0: a difference of thresholded pieces.
pub(super) fn shrink(site: &mut Site<'_>) -> Outputs {
    let (lambda, bias) = (site.node.float_or("lambd", 0.5)?, site.node.float_or("bias", 0.0)?);
    let x = site.input(0)?;
    let element = x.element();
    let number = |site: &mut Site<'_>, v: f64| Symbol::Engine(site.b().scalar(v, element));
    let (upper, lower) = (number(site, lambda), number(site, -lambda));
    let (shift, zero) = (number(site, bias), number(site, 0.0));
    let above = combine(site, &x, &upper, ops::Compare::Greater)?;
    let below = combine(site, &x, &lower, ops::Compare::Less)?;
    let minus = combine(site, &x, &shift, ops::Sub)?;
    let plus = combine(site, &x, &shift, ops::Add)?;
    // In this order, which matters where λ is negative.
    let rest = choose(site, &above, &minus, &zero)?;
    Ok(vec![choose(site, &below, &plus, &rest)?])
}

/// a where the condition holds, else b.
pub(super) fn choose(
    site: &mut Site<'_>,
    condition: &Symbol,
    a: &Symbol,
    b: &Symbol,
) -> Result<Symbol, OpError> {
    let (t, order) = site.b().aligned(&[condition, a, b])?;
    let out = site.b().op(ops::Where, &[&t[0], &t[1], &t[2]], order)?;
    Ok(Symbol::Engine(Tensor { element: a.element(), ..out }))
}

pub(super) fn gelu(site: &mut Site<'_>) -> Outputs {
    let op = match site.node.text_or("approximate", "none")? {
        "none" => ops::Gelu::Exact,
        "tanh" => ops::Gelu::Tanh,
        other => return Err(OpError::new(format!("approximation `{other}`, expected none or tanh"))),
    };
    unary(site, op)
}

/// `com.microsoft` BiasGelu (exact) and FastGelu (tanh), with an optional bias.
pub(super) fn bias_gelu(site: &mut Site<'_>) -> Outputs {
    let mut x = site.input(0)?;
    if let Some(bias) = site.optional(1) {
        site.b().name_kind(&bias, saddlescope_nn::graph::ParameterKind::Bias);
        x = combine(site, &x, &bias, ops::Add)?;
    }
    let op = if site.node.op_type == "FastGelu" { ops::Gelu::Tanh } else { ops::Gelu::Exact };
    Ok(vec![apply(site, &x, op)?])
}

/// y = x σ(αx); with α = 1 this is SiLU. QuickGelu is the same with α = 1.702.
pub(super) fn swish(site: &mut Site<'_>) -> Outputs {
    let default = if site.node.op_type == "QuickGelu" { 1.702 } else { 1.0 };
    let alpha = site.node.float_or("alpha", default)?;
    let x = site.input(0)?;
    Ok(vec![scaled_swish(site, &x, alpha)?])
}

fn scaled_swish(site: &mut Site<'_>, x: &Symbol, alpha: f64) -> Result<Symbol, OpError> {
    if alpha == 1.0 {
        return apply(site, x, ops::Silu);
    }
    let factor = Symbol::Engine(site.b().scalar(alpha, x.element()));
    let scaled = combine(site, x, &factor, ops::Mul)?;
    let gate = apply(site, &scaled, ops::Sigmoid)?;
    product(site, x, &gate)
}

/// y = swish(a) b of two inputs.
pub(super) fn swiglu(site: &mut Site<'_>) -> Outputs {
    let alpha = site.node.float_or("alpha", 1.0)?;
    let (a, b) = (site.input(0)?, site.input(1)?);
    let gate = scaled_swish(site, &a, alpha)?;
    Ok(vec![product(site, &gate, &b)?])
}

/// Constant bounds are part of the operation; others are a maximum and a minimum.
pub(super) fn clip(site: &mut Site<'_>) -> Outputs {
    let x = site.input(0)?;
    let bound = |site: &Site<'_>, i: usize, attribute: &str| -> Result<Option<Symbol>, OpError> {
        Ok(match (site.optional(i), site.node.float(attribute)?) {
            (Some(symbol), _) => Some(symbol),
            (None, Some(value)) => {
                let value = crate::Value::floats(x.element(), vec![], vec![value])?;
                Some(super::Walker::known(attribute, value))
            }
            (None, None) => None,
        })
    };
    let (low, high) = (bound(site, 1, "min")?, bound(site, 2, "max")?);
    let constant =
        |site: &mut Site<'_>, symbol: &Option<Symbol>, none: f64| -> Result<Option<f64>, OpError> {
            match symbol {
                None => Ok(Some(none)),
                Some(s @ Symbol::Known(_)) => site.b().fixed_constant(s, "a bound")?.scalar_f64().map(Some),
                Some(_) => Ok(None),
            }
        };
    let numbers = (constant(site, &low, f64::NEG_INFINITY)?, constant(site, &high, f64::INFINITY)?);
    if let (Some(l), Some(h)) = numbers {
        // PyTorch's relu6 and hardtanh have derivative 0 at both ends, its clamp has 1; both are exported as Clip.
        let hardtanh = (l, h) == (0.0, 6.0) || (l, h) == (-1.0, 1.0);
        let op = if hardtanh { ops::Clip::hardtanh(l, h) } else { ops::Clip::new(l, h) };
        return unary(site, op);
    }
    let mut out = x;
    if let Some(low) = low {
        out = combine(site, &out, &low, ops::Max)?;
    }
    if let Some(high) = high {
        out = combine(site, &out, &high, ops::Min)?;
    }
    Ok(vec![out])
}
