//! DeformConv: a convolution whose filters look at places that another input moves.

use super::sample::{Outside, linear_taps, sampled};
use super::symbol::Symbol;
use super::walk::Site;
use super::window::{check_kernel, groups, window};
use crate::error::OpError;
use saddlescope_nn::graph::ParameterKind;

/// The image is sampled between its pixels (linearly, zeros outside) at every place of every window, times the mask, and the filters
/// are applied to these samples. Image, weights, offsets and mask are differentiated.
pub(super) fn deform_conv(site: &mut Site<'_>) -> Result<Vec<Symbol>, OpError> {
    let (x, w, offset) = (site.input(0)?, site.input(1)?, site.input(2)?);
    let (bias, mask) = (site.optional(3), site.optional(4));
    let ([image, _], [weights, _], [moves, _]) =
        (x.shapes(site.b()), w.shapes(site.b()), offset.shapes(site.b()));
    let groups = groups(site)?;
    let sources = usize::try_from(site.node.int_or("offset_group", 1)?)?;
    if image.len() != 4 || weights.len() != 4 || moves.len() != 4 || sources == 0 {
        return Err(OpError::new(format!(
            "an image of shape {image:?}, weights of shape {weights:?} and offsets of shape {moves:?}"
        )));
    }
    check_kernel(site, &weights[2..])?;
    site.b().name_kind(&w, ParameterKind::ConvFilter);
    let window = window(site, &weights[2..], &image[2..])?;
    let [channels, kernel] = [image[1], weights[2] * weights[3]];
    let out = &moves[2..];
    let places = crate::value::numel(out).ok_or_else(|| OpError::new("the size overflows"))?;
    let expected = sources.saturating_mul(kernel).saturating_mul(2);
    let fits = moves[1] == expected
        && channels.is_multiple_of(sources)
        && channels == weights[1].saturating_mul(groups)
        && weights[0].is_multiple_of(groups);
    if !fits {
        return Err(OpError::new(format!(
            "{} offsets a place, {expected} are expected; {channels} channels, {groups} groups, {sources} groups of offsets",
            moves[1]
        )));
    }
    // [batch, group, place in the window, coordinate, place in the result].
    let shapes = offset.shapes(site.b()).map(|s| vec![s[0], sources, kernel, 2, places]);
    let offset = super::reshape::view(site, &offset, &shapes)?;
    let mask = match mask {
        Some(mask) => {
            let shapes = mask.shapes(site.b()).map(|s| vec![s[0], sources, kernel * places, 1]);
            Some(super::reshape::view(site, &mask, &shapes)?)
        }
        None => None,
    };
    site.b().budget.take(&[kernel, places])?;
    let per_source = channels / sources;
    let mut parts = Vec::with_capacity(sources);
    for g in 0..sources {
        let mut taps = Vec::with_capacity(2);
        for d in 0..2 {
            let regular = regular_places(&window, &weights[2..], out, d);
            let regular = site.constant("places", vec![1, kernel * places, 1], regular)?;
            let moved = site.piece(&offset, 1, g, 1)?;
            let moved = site.piece(&moved, 3, d, 1)?;
            let shapes = moved.shapes(site.b()).map(|s| vec![s[0], kernel * places, 1]);
            let moved = super::reshape::view(site, &moved, &shapes)?;
            let position = site.sum(&moved, &regular)?;
            taps.push(linear_taps(site, &position, image[2 + d], Outside::Zeros)?);
        }
        let source = site.piece(&x, 1, g * per_source, per_source)?;
        let part = sampled(site, &source, &taps)?;
        parts.push(match &mask {
            Some(mask) => {
                let mask = site.entry(mask, 1, g)?;
                site.times(&part, &mask)?
            }
            None => part,
        });
    }
    let samples = super::concat::join(site, &parts, 2)?;
    // [batch, channel and place in the window, place in the result], as the filters have them.
    let shapes = samples.shapes(site.b()).map(|s| vec![s[0], kernel, places, channels]);
    let samples = super::reshape::view(site, &samples, &shapes)?;
    let samples = site.permuted(&samples, &[0, 3, 1, 2])?;
    let shapes = samples.shapes(site.b()).map(|s| vec![s[0], channels * kernel, places]);
    let samples = super::reshape::view(site, &samples, &shapes)?;
    let rows = weights[1] * kernel;
    let flat = w.shapes(site.b()).map(|s| vec![s[0], rows]);
    let filters = super::reshape::view(site, &w, &flat)?;
    let each = weights[0] / groups;
    let mut results = Vec::with_capacity(groups);
    for g in 0..groups {
        let filters = site.piece(&filters, 0, g * each, each)?;
        let samples = site.piece(&samples, 1, g * rows, rows)?;
        results.push(super::matmul::product(site, &filters, &samples)?);
    }
    let y = super::concat::join(site, &results, 1)?;
    let y = match bias {
        Some(bias) => {
            site.b().name_kind(&bias, ParameterKind::Bias);
            let column = bias.shapes(site.b()).map(|s| vec![s[0], 1]);
            let bias = super::reshape::view(site, &bias, &column)?;
            site.sum(&y, &bias)?
        }
        None => y,
    };
    let shapes = y.shapes(site.b()).map(|s| [&s[..2], out].concat());
    Ok(vec![super::reshape::view(site, &y, &shapes)?])
}

/// Coordinate `d` of every place of the window at every place of the result, before it is moved.
fn regular_places(window: &super::window::Window, kernel: &[usize], out: &[usize], d: usize) -> Vec<f64> {
    let at = |index: [usize; 2], place: [usize; 2]| {
        (place[d] * window.stride[d] + index[d] * window.dilation[d]) as f64 - window.before[d] as f64
    };
    let mut all = Vec::with_capacity(kernel[0] * kernel[1] * out[0] * out[1]);
    for index in 0..kernel[0] * kernel[1] {
        for place in 0..out[0] * out[1] {
            all.push(at([index / kernel[1], index % kernel[1]], [place / out[1], place % out[1]]));
        }
    }
    all
}
