//! Transpose: only the bookkeeping of axes changes; data move when an operation needs them in another order.

use super::symbol::{Symbol, Tensor, inverse, reorder};
use super::walk::Site;
use crate::error::OpError;
use crate::eval;

pub(super) fn transpose(site: &mut Site<'_>) -> Result<Vec<Symbol>, OpError> {
    let x = site.input(0)?;
    let perm = eval::permutation(site.node.ints("perm")?, x.rank(site.b()))?;
    Ok(vec![match x {
        Symbol::Weight { candidate, view, value } => {
            Symbol::Weight { candidate, view: reorder(&view, &perm), value }
        }
        other => {
            let t = site.b().any(&other)?;
            let back = inverse(&perm);
            let order = t.order.iter().map(|&axis| back[axis]).collect();
            Symbol::Engine(Tensor { order, ..t })
        }
    }])
}
