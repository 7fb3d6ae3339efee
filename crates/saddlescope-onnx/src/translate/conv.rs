//! Conv and ConvTranspose on images and sequences, channels last.

use super::symbol::{Symbol, channels_last};
use super::walk::Site;
use crate::error::OpError;
use saddlescope_nn::graph::ParameterKind;
use saddlescope_nn::ops;

type Outputs = Result<Vec<Symbol>, OpError>;

/// Positive integers from an attribute, one for each spatial axis, filled with `default` if it is missing.
pub(super) fn spatial(
    site: &Site<'_>,
    name: &str,
    axes: usize,
    default: usize,
) -> Result<Vec<usize>, OpError> {
    let Some(list) = site.node.ints(name)? else { return Ok(vec![default; axes]) };
    let sizes = list.iter().map(|&n| usize::try_from(n)).collect::<Result<Vec<_>, _>>();
    match sizes {
        Ok(sizes) if sizes.len() == axes && sizes.iter().all(|&n| n >= default.min(1)) => Ok(sizes),
        _ => Err(OpError::new(format!("attribute `{name}` is {list:?}; {axes} sizes are expected"))),
    }
}

/// Window geometry as the engine takes it: pairs for two axes; with one axis the second entry counts.
#[derive(Clone, Debug)]
pub(super) struct Geometry {
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    /// Top, left, bottom, right.
    pub(super) pad: [usize; 4],
}

pub(super) fn pair(list: &[usize], fill: usize) -> [usize; 2] {
    match list {
        [a, b] => [*a, *b],
        [b] => [fill, *b],
        _ => [fill, fill],
    }
}

/// A window along any number of axes.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) kernel: Vec<usize>,
    pub(super) stride: Vec<usize>,
    pub(super) dilation: Vec<usize>,
    pub(super) before: Vec<usize>,
    pub(super) after: Vec<usize>,
}

/// Reads strides, dilations and padding; `image` are the spatial lengths.
pub(super) fn window(site: &Site<'_>, kernel: &[usize], image: &[usize]) -> Result<Window, OpError> {
    let axes = image.len();
    if axes == 0 || axes > 3 || kernel.len() != axes {
        return Err(OpError::new(format!(
            "windows of {} dimensions on {axes} spatial dimensions are not supported (only 1, 2 and 3 are)",
            kernel.len()
        )));
    }
    let stride = spatial(site, "strides", axes, 1)?;
    let dilation = spatial(site, "dilations", axes, 1)?;
    let (mut before, mut after) = (vec![0; axes], vec![0; axes]);
    match site.node.text_or("auto_pad", "NOTSET")? {
        "NOTSET" => {
            if let Some(pads) = site.node.ints("pads")? {
                let pads = pads.iter().map(|&n| usize::try_from(n)).collect::<Result<Vec<_>, _>>();
                let pads = pads.map_err(|_| OpError::new("negative padding"))?;
                if pads.len() != 2 * axes {
                    return Err(OpError::new(format!("{} paddings for {axes} axes", pads.len())));
                }
                before.copy_from_slice(&pads[..axes]);
                after.copy_from_slice(&pads[axes..]);
            }
        }
        "VALID" => {}
        mode @ ("SAME_UPPER" | "SAME_LOWER") => {
            for d in 0..axes {
                let window = dilation[d].saturating_mul(kernel[d].saturating_sub(1)).saturating_add(1);
                let reach = (image[d].div_ceil(stride[d]).saturating_sub(1)).saturating_mul(stride[d]);
                let total = reach.saturating_add(window).saturating_sub(image[d]);
                let (small, large) = (total / 2, total - total / 2);
                (before[d], after[d]) = if mode == "SAME_UPPER" { (small, large) } else { (large, small) };
            }
        }
        other => return Err(OpError::new(format!("auto_pad `{other}` is unknown"))),
    }
    Ok(Window { kernel: kernel.to_vec(), stride, dilation, before, after })
}

impl Window {
    /// The last one or two axes as the engine takes them.
    pub(super) fn plane(&self) -> Geometry {
        let skip = self.kernel.len().saturating_sub(2);
        let ([top, left], [bottom, right]) = (pair(&self.before[skip..], 0), pair(&self.after[skip..], 0));
        Geometry {
            kernel: pair(&self.kernel[skip..], 1),
            stride: pair(&self.stride[skip..], 1),
            dilation: pair(&self.dilation[skip..], 1),
            pad: [top, left, bottom, right],
        }
    }
}

/// As [`window`], for one or two axes.
pub(super) fn geometry(site: &Site<'_>, kernel: &[usize], image: &[usize]) -> Result<Geometry, OpError> {
    if image.len() > 2 {
        return Err(OpError::new(format!("{} spatial dimensions are not supported here", image.len())));
    }
    Ok(window(site, kernel, image)?.plane())
}

/// The declared kernel must be that of the weights.
pub(super) fn check_kernel(site: &Site<'_>, weights: &[usize]) -> Result<(), OpError> {
    let declared = site.node.ints("kernel_shape")?;
    let fits = declared
        .is_none_or(|k| k.iter().map(|&n| usize::try_from(n).ok()).eq(weights.iter().map(|&n| Some(n))));
    if fits {
        Ok(())
    } else {
        Err(OpError::new(format!("kernel_shape {declared:?}, but the weights have {weights:?}")))
    }
}

pub(super) fn groups(site: &Site<'_>) -> Result<usize, OpError> {
    match usize::try_from(site.node.int_or("group", 1)?) {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(OpError::new("`group` must be positive")),
    }
}

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

pub(super) fn plain_bias(
    site: &mut Site<'_>,
    bias: Option<Symbol>,
) -> Result<Option<super::symbol::Tensor>, OpError> {
    let Some(bias) = bias else { return Ok(None) };
    site.b().name_kind(&bias, ParameterKind::Bias);
    site.b().plain(&bias).map(Some)
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
        let lower = site.node.text_or("auto_pad", "NOTSET")? == "SAME_LOWER";
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
