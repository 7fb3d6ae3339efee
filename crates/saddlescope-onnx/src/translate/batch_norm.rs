//! BatchNormalization.

use super::symbol::{PROBES, Symbol, channels_last};
use super::walk::Site;
use crate::error::OpError;
use saddlescope_nn::graph::ParameterKind;
use saddlescope_nn::ops::{self, BatchNorm, BatchNormMode};

/// Running statistics are used unless batch statistics are asked for later, also where the file was exported in training
/// mode; they are buffers, never parameters.
pub(super) fn batch_norm(site: &mut Site<'_>) -> Result<Vec<Symbol>, OpError> {
    let x = site.input(0)?;
    let training = match site.node.opset {
        ..7 => !site.node.flag("is_test", false)?,
        7..14 => site.node.outputs.iter().skip(1).any(|o| !o.is_empty()),
        _ => site.node.flag("training_mode", false)?,
    };
    if training && site.b().single {
        return Err(OpError::new("the updated running statistics of training mode are not supported"));
    }
    if training {
        site.walker.note(
            "batch normalisation was exported in training mode; running statistics are used unless batch statistics are \
             asked for",
        );
    }
    if let Some(y) = within_samples(site, &x)? {
        return Ok(vec![y]);
    }
    if !site.node.flag("spatial", true)? {
        return each_place(site, &x);
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

/// (x − mean) / √(variance + ε) · scale + shift, for operands that broadcast.
fn written_out(site: &mut Site<'_>, x: &Symbol, operands: [Symbol; 4]) -> Result<Symbol, OpError> {
    site.walker.note(
        "a normalisation with statistics for every place or every sample always uses its running statistics, also where those of the \
         batch are asked for",
    );
    let [scale, shift, mean, variance] = operands;
    let eps = site.node.float_or("epsilon", 1e-5)?;
    let centred = site.difference(x, &mean)?;
    let variance = site.shifted(&variance, eps)?;
    let deviation = super::unary::apply(site, &variance, ops::Sqrt)?;
    let standard = super::binary::combine(site, &centred, &deviation, ops::Div)?;
    let scaled = site.times(&standard, &scale)?;
    site.sum(&scaled, &shift)
}

/// Scale, shift and running statistics of a normalisation that is written out; statistics are buffers.
fn operands(site: &mut Site<'_>) -> Result<[Symbol; 4], OpError> {
    let (scale, shift) = (site.input(1)?, site.input(2)?);
    site.b().name_kind(&scale, ParameterKind::Normalization);
    site.b().name_kind(&shift, ParameterKind::Normalization);
    let mut statistic = |i: usize| -> Result<Symbol, OpError> {
        let symbol = site.input(i)?;
        Ok(match &symbol {
            // What depends on the batch size is brought in by whoever knows how.
            Symbol::Known(known) if known.fixed().is_none() => symbol,
            _ => Symbol::Engine(site.b().statistics(&symbol)?),
        })
    };
    let (mean, variance) = (statistic(3)?, statistic(4)?);
    Ok([scale, shift, mean, variance])
}

/// Statistics of their own for every place of the image (`spatial` = 0, before operator set 9).
fn each_place(site: &mut Site<'_>, x: &Symbol) -> Result<Vec<Symbol>, OpError> {
    let operands = operands(site)?;
    Ok(vec![written_out(site, x, operands)?])
}

/// Samples and channels as one axis, behind an axis of length 1, with everything repeated for each sample: instance normalisation with
/// running statistics, as PyTorch writes it.
fn within_samples(site: &mut Site<'_>, x: &Symbol) -> Result<Option<Symbol>, OpError> {
    let shapes = x.shapes(site.b());
    let [a, b] = &shapes;
    if a.len() < 2 || a[0] != 1 || b[0] != 1 || a[1] % PROBES[0] != 0 || a[1] / PROBES[0] * PROBES[1] != b[1]
    {
        return Ok(None);
    }
    let channels = a[1] / PROBES[0];
    let split = |shape: &[usize]| PROBES.map(|batch| [&[batch, channels][..], shape].concat());
    let rest = a[2..].to_vec();
    let narrow = split(&vec![1; rest.len()]);
    let mut list = Vec::with_capacity(4);
    for symbol in operands(site)? {
        list.push(match &symbol {
            Symbol::Known(known) if known.fixed().is_none() => {
                let [a, b] = [known.values[0].to_f64s()?, known.values[1].to_f64s()?];
                let own = a.get(..channels).unwrap_or_default().to_vec();
                let repeated = |v: &[f64]| v.chunks(channels.max(1)).all(|c| c == own);
                if a.len() != shapes[0][1] || b.len() != shapes[1][1] || !repeated(&a) || !repeated(&b) {
                    return Ok(None);
                }
                let shape = [&[1, channels][..], &vec![1; rest.len()]].concat();
                site.constant("statistics", shape, own)?
            }
            _ => super::reshape::view(site, &symbol, &narrow)?,
        });
    }
    let operands = list.try_into().map_err(|_| OpError::new("four operands are expected"))?;
    let x = super::reshape::view(site, x, &split(&rest))?;
    let y = written_out(site, &x, operands)?;
    super::reshape::view(site, &y, &shapes).map(Some)
}
