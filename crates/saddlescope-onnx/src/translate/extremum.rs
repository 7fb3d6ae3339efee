//! Max and Min of any number of inputs.

use super::binary::combine;
use super::symbol::Symbol;
use super::unary::apply;
use super::walk::Site;
use crate::error::OpError;
use saddlescope_nn::op::IntoOp;
use saddlescope_nn::ops;

fn fold<O: IntoOp>(site: &mut Site<'_>, op: fn() -> O) -> Result<Vec<Symbol>, OpError> {
    let mut best = site.input(0)?;
    if site.inputs.len() == 1 {
        return Ok(vec![apply(site, &best, ops::Identity)?]);
    }
    for i in 1..site.inputs.len() {
        let next = site.input(i)?;
        best = combine(site, &best, &next, op())?;
    }
    Ok(vec![best])
}

pub(super) fn max(site: &mut Site<'_>) -> Result<Vec<Symbol>, OpError> {
    fold(site, || ops::Max)
}

pub(super) fn min(site: &mut Site<'_>) -> Result<Vec<Symbol>, OpError> {
    fold(site, || ops::Min)
}
