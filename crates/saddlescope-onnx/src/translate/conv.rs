//! Conv and ConvTranspose on images and sequences, channels last.

use super::symbol::{Symbol, channels_last};
use super::walk::Site;
use super::window::{Geometry, check_kernel, geometry, groups, pair, plain_bias, spatial, window};
use crate::error::OpError;
use saddlescope_nn::graph::ParameterKind;
use saddlescope_nn::ops;

type Outputs = Result<Vec<Symbol>, OpError>;

pub(super) fn conv(site: &mut Site<'_>) -> Outputs {
    let (x, w, bias) = (site.input(0)?, site.input(1)?, site.optional(2));
    let ([image, _], [weights, _]) = (x.shapes(site.b()), w.shapes(site.b()));
    let rank = image.len();
    if rank < 3 || weights.len() != rank {
        return Err(OpError::new(format!("input of shape {image:?} and weights of shape {weights:?}")));
    }
    check_kernel(site, &weights[2..])?;
    site.b().name_kind(&w, ParameterKind::ConvFilter);
    if rank == 5 {
        let window = window(site, &weights[2..], &image[2..])?;
        return super::volume::conv(site, &x, &w, bias, &window);
    }
    let g = geometry(site, &weights[2..], &image[2..])?;
    let order = channels_last(rank);
    let input = site.b().tensor(&x, &order)?;
    // Spatial axes, then input channels, then output channels.
    let filter_order: Vec<usize> = (2..rank).chain([1, 0]).collect();
    let filter = site.b().tensor(&w, &filter_order)?;
    let bias = plain_bias(site, bias)?;
    let op = ops::Conv2d { stride: g.stride, pad: g.pad, dilation: g.dilation, groups: groups(site)? };
    let inputs: Vec<_> = [&input, &filter].into_iter().chain(&bias).collect();
    Ok(vec![Symbol::Engine(site.b().op(op, &inputs, order)?)])
}

pub(super) fn conv_transpose(site: &mut Site<'_>) -> Outputs {
    let (x, w, bias) = (site.input(0)?, site.input(1)?, site.optional(2));
    let ([image, _], [weights, _]) = (x.shapes(site.b()), w.shapes(site.b()));
    let rank = image.len();
    if rank < 3 || weights.len() != rank {
        return Err(OpError::new(format!("input of shape {image:?} and weights of shape {weights:?}")));
    }
    check_kernel(site, &weights[2..])?;
    let axes = rank - 2;
    if axes == 3 {
        return super::volume::conv_transpose(site, &x, &w, bias);
    }
    let mut extra = spatial(site, "output_padding", axes, 0)?;
    let stride = spatial(site, "strides", axes, 1)?;
    let dilation = spatial(site, "dilations", axes, 1)?;
    let mut g = match site.node.text_or("auto_pad", "NOTSET")? {
        // Resolved below from the output's length.
        "SAME_UPPER" | "SAME_LOWER" => {
            let pad = [0; 4];
            Geometry {
                kernel: pair(&weights[2..], 1),
                stride: pair(&stride, 1),
                dilation: pair(&dilation, 1),
                pad,
            }
        }
        _ => geometry(site, &weights[2..], &image[2..])?,
    };
    let same = site.node.text_or("auto_pad", "NOTSET")?.starts_with("SAME");
    let wanted = match site.node.ints("output_shape")? {
        Some(list) => {
            // Some files give all dimensions, most only the spatial ones.
            let spatial = &list[list.len().saturating_sub(axes)..];
            Some(spatial.iter().map(|&n| usize::try_from(n)).collect::<Result<Vec<_>, _>>()?)
        }
        None if same => Some(image[2..].iter().zip(&stride).map(|(n, s)| n.saturating_mul(*s)).collect()),
        None => None,
    };
    if let Some(wanted) = wanted {
        if wanted.len() != axes {
            return Err(OpError::new(format!("output_shape {wanted:?} for {axes} axes")));
        }
        // An odd number of cropped places has the smaller half first with SAME_UPPER only.
        let lower = site.node.text_or("auto_pad", "NOTSET")? != "SAME_UPPER";
        let (mut before, mut after) = (vec![0; axes], vec![0; axes]);
        for d in 0..axes {
            let window = dilation[d].saturating_mul(weights[2 + d].saturating_sub(1)).saturating_add(1);
            let full =
                image[2 + d].saturating_sub(1).saturating_mul(stride[d]).saturating_add(window + extra[d]);
            let total = full.saturating_sub(wanted[d]);
            if wanted[d] > full {
                extra[d] += wanted[d] - full;
            }
            let (small, large) = (total / 2, total - total / 2);
            (before[d], after[d]) = if lower { (large, small) } else { (small, large) };
        }
        let ([top, left], [bottom, right]) = (pair(&before, 0), pair(&after, 0));
        g.pad = [top, left, bottom, right];
    }
    site.b().name_kind(&w, ParameterKind::ConvFilter);
    let order = channels_last(rank);
    let input = site.b().tensor(&x, &order)?;
    // The file has [in, out/groups, …]; the engine takes […, out/groups, in].
    let filter_order: Vec<usize> = (2..rank).chain([1, 0]).collect();
    let filter = site.b().tensor(&w, &filter_order)?;
    let bias = plain_bias(site, bias)?;
    let op = ops::ConvTranspose2d {
        stride: g.stride,
        pad: g.pad,
        dilation: g.dilation,
        groups: groups(site)?,
        output_pad: pair(&extra, 0),
    };
    let inputs: Vec<_> = [&input, &filter].into_iter().chain(&bias).collect();
    Ok(vec![Symbol::Engine(site.b().op(op, &inputs, order)?)])
}
