//! Layer, RMS, group, instance, length, mean-variance and local response normalisation.

use super::binary::combine;
use super::reduce::mean_over;
use super::symbol::{Symbol, Tensor, channels_last, identity};
use super::unary::apply;
use super::walk::Site;
use crate::error::OpError;
use crate::graph::checked_axis;
use saddlescope_nn::graph::ParameterKind;
use saddlescope_nn::ops;

type Outputs = Result<Vec<Symbol>, OpError>;

fn scale(site: &mut Site<'_>, i: usize) -> Result<Option<Tensor>, OpError> {
    let Some(symbol) = site.optional(i) else { return Ok(None) };
    site.b().name_kind(&symbol, ParameterKind::Normalization);
    site.b().plain(&symbol).map(Some)
}

/// Whether a value is a constant of so many times this number.
fn all_are(symbol: &Symbol, count: usize, number: f64) -> bool {
    let Symbol::Known(known) = symbol else { return false };
    let numbers = known.fixed().and_then(|v| v.to_f64s().ok());
    numbers.is_some_and(|v| v.len() == count && v.iter().all(|&x| x == number))
}

/// First normalised axis; the engine keeps the samples apart.
fn first_axis(site: &mut Site<'_>, x: &Symbol) -> Result<usize, OpError> {
    let axis = checked_axis(site.node.int_or("axis", -1)?, x.rank(site.b()))?;
    for d in axis..x.rank(site.b()) {
        site.refuse_batch_axis(x, d, "normalises over the batch")?;
    }
    Ok(axis)
}

pub(super) fn layer(site: &mut Site<'_>) -> Outputs {
    let x = site.input(0)?;
    let axis = i64::try_from(first_axis(site, &x)?)?;
    let eps = site.node.float_or("epsilon", 1e-5)?;
    let (gamma, beta) = (scale(site, 1)?, scale(site, 2)?);
    if axis == 0 {
        let [mean, inverse] = statistics(site, &x, 0, eps)?;
        let centred = site.difference(&x, &mean)?;
        let y = site.times(&centred, &inverse)?;
        return Ok(vec![affine(site, y, gamma, beta)?, mean, inverse]);
    }
    let (gamma, beta) = exact_parameters(site, &x, axis, gamma, beta)?;
    let t = site.b().plain(&x)?;
    let inputs: Vec<_> = std::iter::once(&t).chain(&gamma).chain(&beta).collect();
    let y = site.b().op(ops::LayerNorm { axis, eps }, &inputs, t.order.clone())?;
    let mut outputs = vec![Symbol::Engine(y)];
    if site.node.outputs.len() > 1 {
        outputs.extend(statistics(site, &x, usize::try_from(axis)?, eps)?);
    }
    Ok(outputs)
}

/// γ y + β.
fn affine(
    site: &mut Site<'_>,
    y: Symbol,
    gamma: Option<Tensor>,
    beta: Option<Tensor>,
) -> Result<Symbol, OpError> {
    let y = match gamma {
        Some(g) => site.times(&y, &Symbol::Engine(g))?,
        None => y,
    };
    match beta {
        Some(b) => site.sum(&y, &Symbol::Engine(b)),
        None => Ok(y),
    }
}

/// Mean and 1 / standard deviation over the axes from `axis` on.
fn statistics(site: &mut Site<'_>, x: &Symbol, axis: usize, eps: f64) -> Result<[Symbol; 2], OpError> {
    let axes: Vec<usize> = (axis..x.rank(site.b())).collect();
    let mean = mean_over(site, x, &axes)?;
    let centred = combine(site, x, &mean, ops::Sub)?;
    let square = apply(site, &centred, ops::Square)?;
    let variance = mean_over(site, &square, &axes)?;
    let eps = Symbol::Engine(site.b().scalar(eps, x.element()));
    let shifted = combine(site, &variance, &eps, ops::Add)?;
    let inverse = apply(site, &shifted, ops::PowConst::new(-0.5))?;
    Ok([mean, inverse])
}

/// γ and β of the shape of the normalised axes, as the engine takes them.
fn exact_parameters(
    site: &mut Site<'_>,
    x: &Symbol,
    axis: i64,
    gamma: Option<Tensor>,
    beta: Option<Tensor>,
) -> Result<(Option<Tensor>, Option<Tensor>), OpError> {
    let [shape, _] = x.shapes(site.b());
    let normalised = shape.get(usize::try_from(axis)?..).unwrap_or(&[]).to_vec();
    let mut exact = |t: Option<Tensor>| match t {
        Some(t) => site.b().expanded(&t, &[normalised.clone(), normalised.clone()]).map(Some),
        None => Ok(None),
    };
    Ok((exact(gamma)?, exact(beta)?))
}

pub(super) fn rms(site: &mut Site<'_>) -> Outputs {
    let x = site.input(0)?;
    let axis = i64::try_from(first_axis(site, &x)?)?;
    let eps = site.node.float_or("epsilon", 1e-5)?;
    let gamma = scale(site, 1)?;
    if axis == 0 {
        let square = apply(site, &x, ops::Square)?;
        let axes: Vec<usize> = (0..x.rank(site.b())).collect();
        let mean = mean_over(site, &square, &axes)?;
        let shifted = site.shifted(&mean, eps)?;
        let inverse = apply(site, &shifted, ops::PowConst::new(-0.5))?;
        let y = site.times(&x, &inverse)?;
        return Ok(vec![affine(site, y, gamma, None)?]);
    }
    let (gamma, _) = exact_parameters(site, &x, axis, gamma, None)?;
    let t = site.b().plain(&x)?;
    let inputs: Vec<_> = std::iter::once(&t).chain(&gamma).collect();
    let y = site.b().op(ops::RmsNorm { axis, eps }, &inputs, t.order.clone())?;
    Ok(vec![Symbol::Engine(y)])
}

/// Scale and shift are per channel since operator set 21, per group before.
pub(super) fn group(site: &mut Site<'_>) -> Outputs {
    let x = site.input(0)?;
    let groups = site.node.int("num_groups")?.and_then(|g| usize::try_from(g).ok()).filter(|&g| g > 0);
    let groups = groups.ok_or_else(|| OpError::new("`num_groups` must be positive"))?;
    let eps = site.node.float_or("epsilon", 1e-5)?;
    let [shape, _] = x.shapes(site.b());
    let channels = shape.get(1).copied().unwrap_or(0);
    let (gamma, beta) = (scale(site, 1)?, scale(site, 2)?);
    let mut per_channel = |t: Option<Tensor>| -> Result<Option<Tensor>, OpError> {
        let Some(t) = t else { return Ok(None) };
        let [have, _] = site.b().shapes(&t);
        if have == [channels] || have != [groups] || channels % groups != 0 {
            return Ok(Some(t));
        }
        let column = site.b().reshaped(&t, &[vec![groups, 1], vec![groups, 1]])?;
        let wide = vec![groups, channels / groups];
        let wide = site.b().expanded(&column, &[wide.clone(), wide])?;
        site.b().reshaped(&wide, &[vec![channels], vec![channels]]).map(Some)
    };
    let (gamma, beta) = (per_channel(gamma)?, per_channel(beta)?);
    let order = channels_last(shape.len());
    let t = site.b().tensor(&x, &order)?;
    let inputs: Vec<_> = std::iter::once(&t).chain(&gamma).chain(&beta).collect();
    Ok(vec![Symbol::Engine(site.b().op(ops::GroupNorm { groups, eps }, &inputs, order)?)])
}

pub(super) fn instance(site: &mut Site<'_>) -> Outputs {
    let x = site.input(0)?;
    let eps = site.node.float_or("epsilon", 1e-5)?;
    let rank = x.rank(site.b());
    let channels = x.shapes(site.b())[0].get(1).copied().unwrap_or(0);
    if rank > 2 && all_are(&site.input(1)?, channels, 1.0) && all_are(&site.input(2)?, channels, 0.0) {
        // As PyTorch writes its group normalisation: groups are channels, each of which is a line of memory here.
        let t = site.b().plain(&x)?;
        let y = site.b().op(ops::LayerNorm { axis: 2, eps }, &[&t], t.order.clone())?;
        return Ok(vec![Symbol::Engine(y)]);
    }
    let (gamma, beta) = (scale(site, 1)?, scale(site, 2)?);
    let order = channels_last(rank);
    let t = site.b().tensor(&x, &order)?;
    let inputs: Vec<_> = std::iter::once(&t).chain(&gamma).chain(&beta).collect();
    Ok(vec![Symbol::Engine(site.b().op(ops::InstanceNorm { eps }, &inputs, order)?)])
}

/// x / ‖x‖ along one axis; a line of zeros gives zeros (ONNX), which the Euclidean norm's operation leaves to a choice.
pub(super) fn lp(site: &mut Site<'_>) -> Outputs {
    let x = site.input(0)?;
    let axis = checked_axis(site.node.int_or("axis", -1)?, x.rank(site.b()))?;
    site.refuse_batch_axis(&x, axis, "normalises over the batch")?;
    let kind = match site.node.int_or("p", 2)? {
        1 => ops::Reduction::L1,
        2 => ops::Reduction::L2,
        p => return Err(OpError::new(format!("p = {p}, expected 1 or 2"))),
    };
    let t = site.b().any(&x)?;
    let place = i64::try_from(t.order.iter().position(|&a| a == axis).unwrap_or(axis))?;
    let norm = site.b().op(ops::Reduce::new(kind, &[place], true), &[&t], t.order.clone())?;
    let norm = Symbol::Engine(norm);
    let (zero, one) = (site.b().scalar(0.0, x.element()), site.b().scalar(1.0, x.element()));
    let empty = combine(site, &norm, &Symbol::Engine(zero), ops::Compare::Equal)?;
    let safe = super::activation::choose(site, &empty, &Symbol::Engine(one), &norm)?;
    Ok(vec![combine(site, &x, &safe, ops::Div)?])
}

/// (x − mean) / √(variance + 1e-9) over the given axes.
pub(super) fn mean_variance(site: &mut Site<'_>) -> Outputs {
    let x = site.input(0)?;
    let axes = site.node.ints("axes")?.unwrap_or(&[0, 2, 3]).to_vec();
    let axes = crate::graph::checked_axes(&axes, x.rank(site.b()))?;
    let element = x.element();
    let mean = mean_over(site, &x, &axes)?;
    let centred = combine(site, &x, &mean, ops::Sub)?;
    let square = apply(site, &centred, ops::Square)?;
    let variance = mean_over(site, &square, &axes)?;
    let tiny = Symbol::Engine(site.b().scalar(1e-9, element));
    let shifted = combine(site, &variance, &tiny, ops::Add)?;
    let deviation = apply(site, &shifted, ops::Sqrt)?;
    Ok(vec![combine(site, &centred, &deviation, ops::Div)?])
}

/// x / (k + α/n Σ x²)^β, the sum over n neighbouring channels: an average pooling over the channel axis.
pub(super) fn local_response(site: &mut Site<'_>) -> Outputs {
    let x = site.input(0)?;
    let size = site.node.int("size")?.and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0);
    let size = size.ok_or_else(|| OpError::new("`size` must be positive"))?;
    let (alpha, beta) = (site.node.float_or("alpha", 1e-4)?, site.node.float_or("beta", 0.75)?);
    let bias = site.node.float_or("bias", 1.0)?;
    let shapes = x.shapes(site.b());
    if shapes[0].len() < 3 {
        return Err(OpError::new(format!("[N, C, …] expected, found shape {:?}", shapes[0])));
    }
    let square = apply(site, &x, ops::Square)?;
    // [N, C, …] as images [N, C, positions] with one channel, in plain order: height C, width the positions.
    let plane = |s: &[usize]| vec![s[0], s[1], s[2..].iter().product(), 1];
    let image = super::reshape::view(site, &square, &[plane(&shapes[0]), plane(&shapes[1])])?;
    let t = site.b().plain(&image)?;
    let (before, after) = ((size - 1) / 2, size - 1 - (size - 1) / 2);
    let pool = ops::AveragePool {
        kernel: [size, 1],
        stride: [1; 2],
        pad: [before, 0, after, 0],
        dilation: [1; 2],
        ceil_mode: false,
        count_include_pad: true,
    };
    let pooled = site.b().op(pool, &[&t], identity(4))?;
    let pooled = super::reshape::view(site, &Symbol::Engine(pooled), &shapes)?;
    let (factor, shift) = (site.b().scalar(alpha, x.element()), site.b().scalar(bias, x.element()));
    let scaled = combine(site, &pooled, &Symbol::Engine(factor), ops::Mul)?;
    let shifted = combine(site, &scaled, &Symbol::Engine(shift), ops::Add)?;
    let power = apply(site, &shifted, ops::PowConst::new(-beta))?;
    Ok(vec![combine(site, &x, &power, ops::Mul)?])
}
