//! Elementwise functions of one input: the order of axes does not matter to them.

use super::symbol::Symbol;
use super::walk::Site;
use crate::error::OpError;
use saddlescope_nn::op::IntoOp;

/// Applies `op` to the first input.
pub(super) fn unary(site: &mut Site<'_>, op: impl IntoOp) -> Result<Vec<Symbol>, OpError> {
    let x = site.input(0)?;
    Ok(vec![apply(site, &x, op)?])
}

/// Applies `op` to a symbol.
pub(super) fn apply(site: &mut Site<'_>, x: &Symbol, op: impl IntoOp) -> Result<Symbol, OpError> {
    let x = site.b().any(x)?;
    let order = x.order.clone();
    Ok(Symbol::Engine(site.b().op(op, &[&x], order)?))
}
