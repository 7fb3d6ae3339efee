//! Det.

use super::symbol::Symbol;
use super::walk::Site;
use crate::error::OpError;
use saddlescope_nn::ops;

/// The determinant of the last two axes.
pub(super) fn det(site: &mut Site<'_>) -> Result<Vec<Symbol>, OpError> {
    let x = site.input(0)?;
    let rank = x.rank(site.b());
    if rank < 2 {
        return Err(OpError::new("matrices are expected"));
    }
    for axis in rank - 2..rank {
        site.refuse_batch_axis(&x, axis, "mixes samples of the batch")?;
    }
    let t = site.b().plain(&x)?;
    Ok(vec![Symbol::Engine(site.b().plain_op(ops::Det, &[&t])?)])
}
