//! MaxPool, AveragePool and the global poolings, channels last.

use super::symbol::{Symbol, channels_last};
use super::walk::Site;
use super::window::{Window, geometry, window};
use crate::error::OpError;
use saddlescope_nn::ops;

type Outputs = Result<Vec<Symbol>, OpError>;

/// What becomes of the elements of a window in three dimensions.
#[derive(Clone, Copy)]
pub(super) enum Pooling {
    Largest { ceil_mode: bool },
    Mean { ceil_mode: bool, count_include_pad: bool },
}

pub(super) fn kernel(site: &Site<'_>) -> Result<Vec<usize>, OpError> {
    let list = site.node.ints("kernel_shape")?.ok_or_else(|| OpError::new("no kernel_shape"))?;
    let sizes = list.iter().map(|&n| usize::try_from(n)).collect::<Result<Vec<_>, _>>();
    sizes
        .ok()
        .filter(|s| s.iter().all(|&n| n > 0))
        .ok_or_else(|| OpError::new(format!("kernel_shape {list:?}")))
}

/// The spatial lengths of the first input.
fn image(site: &mut Site<'_>, x: &Symbol) -> Result<Vec<usize>, OpError> {
    let [shape, _] = x.shapes(site.b());
    if shape.len() < 3 {
        return Err(OpError::new(format!("[N, C, …] expected, found shape {shape:?}")));
    }
    Ok(shape[2..].to_vec())
}

pub(super) fn max(site: &mut Site<'_>) -> Outputs {
    let x = site.input(0)?;
    let image = image(site, &x)?;
    let window = window(site, &kernel(site)?, &image)?;
    let mut outputs = maxima(site, &x, &image, &window)?;
    let places = site.node.outputs.get(1).filter(|o| !o.is_empty());
    if places.is_some_and(|name| site.walker.needed.contains(name) || site.walker.builder.single) {
        let [shape, _] = outputs[0].shapes(site.b());
        outputs.push(super::places::of_maxima(site, &x, &window, &shape[2..])?);
    }
    Ok(outputs)
}

fn maxima(site: &mut Site<'_>, x: &Symbol, image: &[usize], window: &Window) -> Outputs {
    if image.len() == 3 {
        let ceil_mode = site.node.flag("ceil_mode", false)?;
        return super::volume::pool(site, x, window, Pooling::Largest { ceil_mode });
    }
    let g = window.plane();
    let op = ops::MaxPool {
        kernel: g.kernel,
        stride: g.stride,
        pad: g.pad,
        dilation: g.dilation,
        ceil_mode: site.node.flag("ceil_mode", false)?,
    };
    let order = channels_last(image.len() + 2);
    let t = site.b().tensor(x, &order)?;
    Ok(vec![Symbol::Engine(site.b().op(op, &[&t], order)?)])
}

pub(super) fn average(site: &mut Site<'_>) -> Outputs {
    let x = site.input(0)?;
    let image = image(site, &x)?;
    if image.len() == 3 {
        let window = window(site, &kernel(site)?, &image)?;
        let ceil_mode = site.node.flag("ceil_mode", false)?;
        let count_include_pad = site.node.flag("count_include_pad", false)?;
        return super::volume::pool(site, &x, &window, Pooling::Mean { ceil_mode, count_include_pad });
    }
    let g = geometry(site, &kernel(site)?, &image)?;
    let op = ops::AveragePool {
        kernel: g.kernel,
        stride: g.stride,
        pad: g.pad,
        dilation: g.dilation,
        ceil_mode: site.node.flag("ceil_mode", false)?,
        count_include_pad: site.node.flag("count_include_pad", false)?,
    };
    let order = channels_last(image.len() + 2);
    let t = site.b().tensor(&x, &order)?;
    Ok(vec![Symbol::Engine(site.b().op(op, &[&t], order)?)])
}

/// The engine drops the pooled axes; ONNX keeps them with length 1.
fn keep_axes(site: &mut Site<'_>, x: &Symbol, pooled: super::symbol::Tensor) -> Outputs {
    let shapes =
        x.shapes(site.b()).map(|s| s.iter().enumerate().map(|(d, &n)| if d < 2 { n } else { 1 }).collect());
    Ok(vec![Symbol::Engine(site.b().reshaped(&pooled, &shapes)?)])
}

pub(super) fn global_average(site: &mut Site<'_>) -> Outputs {
    let x = site.input(0)?;
    image(site, &x)?;
    let order = channels_last(x.rank(site.b()));
    let t = site.b().tensor(&x, &order)?;
    let pooled = site.b().plain_op(ops::GlobalAveragePool, &[&t])?;
    keep_axes(site, &x, pooled)
}

pub(super) fn global_max(site: &mut Site<'_>) -> Outputs {
    let x = site.input(0)?;
    let axes: Vec<usize> = (2..image(site, &x)?.len() + 2).collect();
    let pooled = super::reduce::maximum(site, &x, &axes, true)?;
    Ok(vec![pooled])
}

/// (Σ |x|ᵖ)^(1/p) over windows: an average pooling of the powers, which count with the padding, times the size of the window.
pub(super) fn lp(site: &mut Site<'_>) -> Outputs {
    let x = site.input(0)?;
    let image = image(site, &x)?;
    let kernel = kernel(site)?;
    let mut w = window(site, &kernel, &image)?;
    if site.node.flag("ceil_mode", false)? {
        // As much padding as the last window hangs over: all of it counts in the mean.
        for d in 0..image.len() {
            w.after[d] += w.overhang(d, image[d])?;
        }
    }
    let p = exponent(site)?;
    let powers = powers(site, &x, p)?;
    let mean = if image.len() == 3 {
        super::volume::pool(site, &powers, &w, Pooling::Mean { ceil_mode: false, count_include_pad: true })?
            .swap_remove(0)
    } else {
        let g = w.plane();
        let op = ops::AveragePool {
            kernel: g.kernel,
            stride: g.stride,
            pad: g.pad,
            dilation: g.dilation,
            ceil_mode: false,
            count_include_pad: true,
        };
        let order = channels_last(image.len() + 2);
        let t = site.b().tensor(&powers, &order)?;
        Symbol::Engine(site.b().op(op, &[&t], order)?)
    };
    let sum = site.scaled(&mean, kernel.iter().product::<usize>() as f64)?;
    Ok(vec![super::unary::apply(site, &sum, ops::PowConst::new(1.0 / p))?])
}

pub(super) fn global_lp(site: &mut Site<'_>) -> Outputs {
    let x = site.input(0)?;
    let axes: Vec<usize> = (2..image(site, &x)?.len() + 2).collect();
    let p = exponent(site)?;
    let powers = powers(site, &x, p)?;
    let sum = super::reduce::sum_over(site, &powers, &axes, true)?;
    Ok(vec![super::unary::apply(site, &sum, ops::PowConst::new(1.0 / p))?])
}

/// p; a float before operator set 2.
fn exponent(site: &Site<'_>) -> Result<f64, OpError> {
    let p = match site.node.int("p") {
        Ok(p) => p.unwrap_or(2) as f64,
        Err(_) => site.node.float_or("p", 2.0)?,
    };
    if p >= 1.0 { Ok(p) } else { Err(OpError::new(format!("p = {p}"))) }
}

fn powers(site: &mut Site<'_>, x: &Symbol, p: f64) -> Result<Symbol, OpError> {
    if p == 2.0 {
        return super::unary::apply(site, x, ops::Square);
    }
    let size = super::unary::apply(site, x, ops::Abs)?;
    super::unary::apply(site, &size, ops::PowConst::new(p))
}
