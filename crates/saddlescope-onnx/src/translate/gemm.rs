//! Gemm.

use super::symbol::{Symbol, identity};
use super::walk::Site;
use crate::error::OpError;
use saddlescope_nn::graph::ParameterKind;
use saddlescope_nn::ops;

/// y = α A′ B′ + β C; PyTorch's linear layers are the case α = β = 1, B transposed.
pub(super) fn gemm(site: &mut Site<'_>) -> Result<Vec<Symbol>, OpError> {
    let (a, b, c) = (site.input(0)?, site.input(1)?, site.optional(2));
    let (alpha, beta) = (site.node.float_or("alpha", 1.0)?, site.node.float_or("beta", 1.0)?);
    let (trans_a, trans_b) = (site.node.flag("transA", false)?, site.node.flag("transB", false)?);
    if let Symbol::Weight { view, .. } = &b {
        let file_transposed = trans_b != (view.as_slice() == [1, 0]);
        let kind =
            if file_transposed { ParameterKind::LinearWeight } else { ParameterKind::LinearWeightTransposed };
        site.b().name_kind(&b, kind);
    }
    if let Some(c) = &c {
        site.b().name_kind(c, ParameterKind::Bias);
    }
    let x = site.b().plain(&a)?;
    let w = site.b().plain(&b)?;
    let bias = match &c {
        Some(c) => {
            let order = identity(c.rank(site.b()));
            Some(site.b().broadcastable(c, &order)?)
        }
        None => None,
    };
    let inputs: Vec<_> = [&x, &w].into_iter().chain(&bias).collect();
    let vector = bias.as_ref().is_none_or(|t| {
        let draft = &site.walker.builder.draft;
        let ([shape, _], [weight, _]) = (draft.shape(t.id), draft.shape(w.id));
        shape.len() == 1 && weight.first() == shape.first()
    });
    let out = if (alpha, beta, trans_a, trans_b) == (1.0, 1.0, false, true) && vector {
        site.b().plain_op(ops::Linear, &inputs)?
    } else {
        site.b().plain_op(ops::Gemm { alpha, beta, trans_a, trans_b }, &inputs)?
    };
    Ok(vec![Symbol::Engine(out)])
}
