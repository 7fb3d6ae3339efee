//! Softmax and LogSoftmax.

use super::reshape::view;
use super::symbol::Symbol;
use super::walk::Site;
use crate::error::OpError;
use crate::graph::checked_axis;
use crate::value::numel;
use saddlescope_nn::op::IntoOp;
use saddlescope_nn::ops;

type Outputs = Result<Vec<Symbol>, OpError>;

/// Before operator set 13 all axes from `axis` on are one (and `axis` is 1 if not given).
fn along_axis<O: IntoOp>(site: &mut Site<'_>, make: fn(i64) -> O) -> Outputs {
    let x = site.input(0)?;
    let rank = x.rank(site.b());
    if site.node.opset >= 13 || site.node.int_or("axis", 1)? == i64::try_from(rank)? - 1 {
        let axis = checked_axis(site.node.int_or("axis", -1)?, rank)?;
        site.refuse_batch_axis(&x, axis, "normalises over the batch")?;
        return Ok(vec![apply(site, &x, axis, make)?]);
    }
    let axis = checked_axis(site.node.int_or("axis", 1)?, rank)?;
    let shapes = x.shapes(site.b());
    let rows = |s: &[usize]| -> Result<Vec<usize>, OpError> {
        let count = |part: &[usize]| numel(part).ok_or_else(|| OpError::new("overflow"));
        Ok(vec![count(&s[..axis])?, count(&s[axis..])?])
    };
    let flat = view(site, &x, &[rows(&shapes[0])?, rows(&shapes[1])?])?;
    let y = apply(site, &flat, 1, make)?;
    Ok(vec![view(site, &y, &shapes)?])
}

/// Along one ONNX axis, whatever the order of axes in the engine.
pub(super) fn apply<O: IntoOp>(
    site: &mut Site<'_>,
    x: &Symbol,
    axis: usize,
    make: fn(i64) -> O,
) -> Result<Symbol, OpError> {
    let t = site.b().any(x)?;
    let place = t.order.iter().position(|&a| a == axis).unwrap_or(axis);
    let order = t.order.clone();
    Ok(Symbol::Engine(site.b().op(make(i64::try_from(place)?), &[&t], order)?))
}

pub(super) fn softmax(site: &mut Site<'_>) -> Outputs {
    along_axis(site, |axis| ops::Softmax { axis })
}

pub(super) fn log_softmax(site: &mut Site<'_>) -> Outputs {
    along_axis(site, |axis| ops::LogSoftmax { axis })
}
