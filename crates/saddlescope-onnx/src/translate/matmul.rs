//! MatMul.

use super::symbol::{Symbol, identity};
use super::walk::Site;
use crate::error::OpError;
use saddlescope_nn::graph::ParameterKind;
use saddlescope_nn::ops;

/// A matrix of weights on the right is a linear layer; where the file holds it transposed, PyTorch's own.
pub(super) fn matmul(site: &mut Site<'_>) -> Result<Vec<Symbol>, OpError> {
    let (a, b) = (site.input(0)?, site.input(1)?);
    if let Symbol::Weight { view, .. } = &b
        && view.len() == 2
        && a.rank(site.b()) >= 2
    {
        let x = site.b().plain(&a)?;
        let transposed = view.as_slice() == [1, 0];
        let kind =
            if transposed { ParameterKind::LinearWeight } else { ParameterKind::LinearWeightTransposed };
        site.b().name_kind(&b, kind);
        if transposed {
            let w = site.b().tensor(&b, &[1, 0])?;
            let order = identity(x.order.len());
            return Ok(vec![Symbol::Engine(site.b().op(ops::Linear, &[&x, &w], order)?)]);
        }
        let w = site.b().plain(&b)?;
        return Ok(vec![Symbol::Engine(site.b().plain_op(ops::MatMul, &[&x, &w])?)]);
    }
    Ok(vec![product(site, &a, &b)?])
}

/// A B for any two values.
pub(super) fn product(site: &mut Site<'_>, a: &Symbol, b: &Symbol) -> Result<Symbol, OpError> {
    let broadcast = |site: &mut Site<'_>, s: &Symbol| {
        let order = identity(s.rank(site.b()));
        site.b().broadcastable(s, &order)
    };
    let (x, y) = (broadcast(site, a)?, broadcast(site, b)?);
    Ok(Symbol::Engine(site.b().plain_op(ops::MatMul, &[&x, &y])?))
}
