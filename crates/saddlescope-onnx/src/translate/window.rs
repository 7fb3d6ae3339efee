//! Windows of convolutions and pooling as their attributes describe them, and what their weights must be.

use super::symbol::Symbol;
use super::walk::Site;
use crate::error::OpError;
use saddlescope_nn::graph::ParameterKind;

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
    /// How far the last window hangs over the padded end of an axis of length `n` if their number is rounded up; it must begin in what
    /// lies before the padding behind.
    pub(super) fn overhang(&self, d: usize, n: usize) -> Result<usize, OpError> {
        let reach = self.dilation[d].saturating_mul(self.kernel[d].saturating_sub(1)).saturating_add(1);
        let padded = n.saturating_add(self.before[d]).saturating_add(self.after[d]);
        let room = padded.checked_sub(reach);
        let room = room.ok_or_else(|| OpError::new("the window is larger than the padded input"))?;
        let last = room.div_ceil(self.stride[d]) * self.stride[d];
        let begins_inside = last < n.saturating_add(self.before[d]);
        Ok(if begins_inside { last - room } else { 0 })
    }

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

pub(super) fn plain_bias(
    site: &mut Site<'_>,
    bias: Option<Symbol>,
) -> Result<Option<super::symbol::Tensor>, OpError> {
    let Some(bias) = bias else { return Ok(None) };
    site.b().name_kind(&bias, ParameterKind::Bias);
    site.b().plain(&bias).map(Some)
}
