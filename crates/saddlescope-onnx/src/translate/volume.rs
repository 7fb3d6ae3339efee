//! Convolution and pooling in three dimensions, made of those in two: a sum over the filter's depth, or one pass over the planes and one
//! over the depth. Values are `[batch, depth, height, width, channels]` in the engine.

use super::pool::Pooling;
use super::symbol::{Both, Symbol, Tensor, channels_last, identity};
use super::walk::Site;
use super::window::{Window, check_kernel, groups, plain_bias, spatial, window};
use crate::error::OpError;
use saddlescope_nn::ops::{self, PadMode};

type Outputs = Result<Vec<Symbol>, OpError>;

/// Engine shapes of a value.
fn shapes(site: &mut Site<'_>, t: &Tensor) -> Both<Vec<usize>> {
    site.b().draft.shape(t.id).clone()
}

/// The same elements under other engine shapes, in plain order.
fn view(site: &mut Site<'_>, t: &Tensor, shape: impl Fn(&[usize]) -> Vec<usize>) -> Result<Tensor, OpError> {
    let shapes = shapes(site, t).map(|s| shape(&s));
    let order = identity(shapes[0].len());
    site.b().engine_view(t, &shapes, order)
}

/// [batch · depth, height, width, channels].
fn planes(site: &mut Site<'_>, t: &Tensor) -> Result<Tensor, OpError> {
    view(site, t, |s| vec![s[0] * s[1], s[2], s[3], s[4]])
}

/// [batch, depth, height, width, channels] from that of all planes.
fn volume(site: &mut Site<'_>, t: &Tensor, depth: usize) -> Result<Tensor, OpError> {
    view(site, t, |s| vec![s[0] / depth.max(1), depth, s[1], s[2], s[3]])
}

/// Elements added (or, if negative, cut off) before and after the depth.
fn deepened(site: &mut Site<'_>, t: &Tensor, before: i64, after: i64) -> Result<Tensor, OpError> {
    if (before, after) == (0, 0) {
        return Ok(t.clone());
    }
    let op = ops::Pad::new(&[0, before, 0, 0, 0], &[0, after, 0, 0, 0], PadMode::Constant(0.0));
    site.b().op(op, &[t], t.order.clone())
}

/// The number of places of a window along the depth.
fn places(w: &Window, depth: usize) -> Result<usize, OpError> {
    let reach = w.dilation[0].saturating_mul(w.kernel[0].saturating_sub(1));
    let padded = depth.saturating_add(w.before[0]).saturating_add(w.after[0]);
    let free = padded.checked_sub(reach.saturating_add(1));
    free.map(|f| f / w.stride[0] + 1).ok_or_else(|| OpError::new("the window is deeper than the input"))
}

/// Plane `k` of a filter [depth, height, width, in, out].
fn filter_plane(site: &mut Site<'_>, filter: &Tensor, k: usize) -> Result<Tensor, OpError> {
    let plane = site.b().op(ops::Slice::range(0, k, k + 1), &[filter], filter.order.clone())?;
    view(site, &plane, |s| s[1..].to_vec())
}

pub(super) fn conv(site: &mut Site<'_>, x: &Symbol, w: &Symbol, bias: Option<Symbol>, g: &Window) -> Outputs {
    let order = channels_last(5);
    let input = site.b().tensor(x, &order)?;
    let filter = site.b().tensor(w, &[2, 3, 4, 1, 0])?;
    let bias = plain_bias(site, bias)?;
    let depth = places(g, shapes(site, &input)[0][1])?;
    let padded = deepened(site, &input, i64::try_from(g.before[0])?, i64::try_from(g.after[0])?)?;
    let plane = g.plane();
    let op =
        ops::Conv2d { stride: plane.stride, pad: plane.pad, dilation: plane.dilation, groups: groups(site)? };
    let mut total: Option<Tensor> = None;
    for k in 0..g.kernel[0] {
        let start = i64::try_from(k * g.dilation[0])?;
        let end = start + i64::try_from((depth - 1) * g.stride[0])? + 1;
        let slice = ops::Slice::new(&[start], &[end], &[1], &[i64::try_from(g.stride[0])?]);
        let part = site.b().op(slice, &[&padded], padded.order.clone())?;
        let part = planes(site, &part)?;
        let filter = filter_plane(site, &filter, k)?;
        let mut inputs = vec![&part, &filter];
        inputs.extend(bias.as_ref().filter(|_| k == 0));
        let y = site.b().op(op, &inputs, identity(4))?;
        total = Some(match total {
            Some(sum) => site.b().op(ops::Add, &[&sum, &y], identity(4))?,
            None => y,
        });
    }
    let total = total.ok_or_else(|| OpError::new("a filter without depth"))?;
    let out = volume(site, &total, depth)?;
    Ok(vec![Symbol::Engine(Tensor { order, element: input.element, ..out })])
}

pub(super) fn conv_transpose(site: &mut Site<'_>, x: &Symbol, w: &Symbol, bias: Option<Symbol>) -> Outputs {
    let ([image, _], [weights, _]) = (x.shapes(site.b()), w.shapes(site.b()));
    check_kernel(site, &weights[2..])?;
    let automatic = site.node.text_or("auto_pad", "NOTSET")? != "NOTSET";
    if automatic || site.node.attributes.contains_key("output_shape") {
        return Err(OpError::new("`auto_pad` and `output_shape` in three dimensions are not supported"));
    }
    let g = window(site, &weights[2..], &image[2..])?;
    let extra = spatial(site, "output_padding", 3, 0)?;
    let order = channels_last(5);
    let input = site.b().tensor(x, &order)?;
    let filter = site.b().tensor(w, &[2, 3, 4, 1, 0])?;
    let bias = plain_bias(site, bias)?;
    let (depth, stride) = (image[2], g.stride[0]);
    let full = (depth - 1) * stride + g.dilation[0] * (g.kernel[0] - 1) + 1 + extra[0];
    let wanted = full.checked_sub(g.before[0] + g.after[0]).filter(|&n| n > 0);
    let wanted = i64::try_from(wanted.ok_or_else(|| OpError::new("the padding leaves nothing"))?)?;
    let plane = g.plane();
    let op = ops::ConvTranspose2d {
        stride: plane.stride,
        pad: plane.pad,
        dilation: plane.dilation,
        groups: groups(site)?,
        output_pad: [extra[1], extra[2]],
    };
    let flat = planes(site, &input)?;
    let mut total: Option<Tensor> = None;
    for k in 0..g.kernel[0] {
        let filter = filter_plane(site, &filter, k)?;
        let y = site.b().op(op, &[&flat, &filter], identity(4))?;
        // Plane d lies at depth d · stride + k · dilation − padding: zeros between the planes, then moved.
        let apart = view(site, &y, |s| vec![s[0], 1, s[1], s[2], s[3]])?;
        let apart = deepened(site, &apart, 0, i64::try_from(stride)? - 1)?;
        let spread = view(site, &apart, |s| vec![s[0] / depth, depth * stride, s[2], s[3], s[4]])?;
        let before = i64::try_from(k * g.dilation[0])? - i64::try_from(g.before[0])?;
        let after = wanted - before - i64::try_from(depth * stride)?;
        let placed = deepened(site, &spread, before, after)?;
        total = Some(match total {
            Some(sum) => site.b().op(ops::Add, &[&sum, &placed], identity(5))?,
            None => placed,
        });
    }
    let mut out = total.ok_or_else(|| OpError::new("a filter without depth"))?;
    if let Some(bias) = bias {
        out = site.b().op(ops::Add, &[&out, &bias], identity(5))?;
    }
    Ok(vec![Symbol::Engine(Tensor { order, element: input.element, ..out })])
}

/// Largest elements or means over windows, first within the planes, then along the depth.
pub(super) fn pool(site: &mut Site<'_>, x: &Symbol, g: &Window, pooling: Pooling) -> Outputs {
    let order = channels_last(5);
    let input = site.b().tensor(x, &order)?;
    let depth = shapes(site, &input)[0][1];
    let plane = g.plane();
    let pass = |site: &mut Site<'_>, t: &Tensor, kernel, stride, pad, dilation| match pooling {
        Pooling::Largest { ceil_mode } => {
            let op = ops::MaxPool { kernel, stride, pad, dilation, ceil_mode };
            site.b().op(op, &[t], identity(4))
        }
        Pooling::Mean { ceil_mode, count_include_pad } => {
            let op = ops::AveragePool { kernel, stride, pad, dilation, ceil_mode, count_include_pad };
            site.b().op(op, &[t], identity(4))
        }
    };
    let flat = planes(site, &input)?;
    let pooled = pass(site, &flat, plane.kernel, plane.stride, plane.pad, plane.dilation)?;
    let [image, _] = shapes(site, &pooled);
    let columns = view(site, &pooled, |s| vec![s[0] / depth, depth, s[1] * s[2], s[3]])?;
    let pad = [g.before[0], 0, g.after[0], 0];
    let out = pass(site, &columns, [g.kernel[0], 1], [g.stride[0], 1], pad, [g.dilation[0], 1])?;
    let out = view(site, &out, |s| vec![s[0], s[1], image[1], image[2], s[3]])?;
    Ok(vec![Symbol::Engine(Tensor { order, element: input.element, ..out })])
}
