//! BatchNormalization.

use super::symbol::{Symbol, channels_last};
use super::walk::Site;
use crate::error::OpError;
use saddlescope_nn::graph::ParameterKind;
use saddlescope_nn::ops::{BatchNorm, BatchNormMode};

/// Running statistics are used unless batch statistics are asked for later, also where the file was exported in training
/// mode; they are buffers, never parameters.
pub(super) fn batch_norm(site: &mut Site<'_>) -> Result<Vec<Symbol>, OpError> {
    let x = site.input(0)?;
    let training = site.node.flag("training_mode", false)?;
    if training && site.b().single {
        return Err(OpError::new("the updated running statistics of training mode are not supported"));
    }
    if training {
        site.walker.note(
            "batch normalisation was exported in training mode; running statistics are used unless batch statistics are \
             asked for",
        );
    }
    let (scale, shift) = (site.input(1)?, site.input(2)?);
    site.b().name_kind(&scale, ParameterKind::Normalization);
    site.b().name_kind(&shift, ParameterKind::Normalization);
    let gamma = site.b().plain(&scale)?;
    let beta = site.b().plain(&shift)?;
    let mut statistic = |i: usize| {
        let symbol = site.input(i)?;
        site.b().statistics(&symbol)
    };
    let (mean, variance) = (statistic(3)?, statistic(4)?);
    let order = channels_last(x.rank(site.b()));
    let t = site.b().tensor(&x, &order)?;
    let op =
        BatchNorm { mode: BatchNormMode::Running, eps: site.node.float_or("epsilon", 1e-5)?, relu: false };
    Ok(vec![Symbol::Engine(site.b().op(op, &[&t, &gamma, &beta, &mean, &variance], order)?)])
}
