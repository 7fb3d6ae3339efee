//! GridSample, AffineGrid and Col2Im.

use super::binary::combine;
use super::symbol::{Symbol, Tensor, channels_last, identity};
use super::unary::apply;
use super::walk::Site;
use crate::error::OpError;
use crate::eval;
use saddlescope_nn::ops::{self, Compare};

type Outputs = Result<Vec<Symbol>, OpError>;

/// What lies outside the image.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outside {
    Zeros,
    Border,
    Reflection,
}

/// One neighbour along one axis: the entry (a number of the engine) and its weight.
pub(super) struct Tap {
    entry: Symbol,
    weight: Option<Symbol>,
}

impl Tap {
    pub(super) fn new(entry: Symbol, weight: Option<Symbol>) -> Self {
        Self { entry, weight }
    }

    /// With its weight multiplied by a factor.
    pub(super) fn times(self, site: &mut Site<'_>, factor: &Symbol) -> Result<Self, OpError> {
        let weight = match &self.weight {
            Some(weight) => site.times(weight, factor)?,
            None => factor.clone(),
        };
        Ok(Self { entry: self.entry, weight: Some(weight) })
    }
}

/// Values of an image at places that another input gives; both are differentiated.
pub(super) fn grid_sample(site: &mut Site<'_>) -> Outputs {
    let (x, grid) = (site.input(0)?, site.input(1)?);
    let ([image, _], grid_shapes) = (x.shapes(site.b()), grid.shapes(site.b()));
    let axes = image.len().saturating_sub(2);
    if !matches!(axes, 1..=3) || grid_shapes[0].len() != image.len() || grid_shapes[0].last() != Some(&axes) {
        return Err(OpError::new(format!(
            "an image of shape {image:?} and places of shape {:?}",
            grid_shapes[0]
        )));
    }
    let mode =
        site.node.text_or("mode", if site.node.opset < 20 { "bilinear" } else { "linear" })?.to_string();
    let outside = match site.node.text_or("padding_mode", "zeros")? {
        "zeros" => Outside::Zeros,
        "border" => Outside::Border,
        "reflection" => Outside::Reflection,
        other => return Err(OpError::new(format!("padding_mode `{other}` is unknown"))),
    };
    let align = site.node.flag("align_corners", false)?;
    let places: usize = grid_shapes[0][1..=axes].iter().product();
    let flat = grid_shapes.clone().map(|s| vec![s[0], places, axes]);
    let grid = super::reshape::view(site, &grid, &flat)?;
    let mut taps: Vec<Vec<Tap>> = Vec::with_capacity(axes);
    for d in 0..axes {
        // The first coordinate belongs to the last axis.
        let g = site.piece(&grid, 2, axes - 1 - d, 1)?;
        let n = image[2 + d];
        let position = if align {
            let scaled = site.shifted(&g, 1.0)?;
            site.scaled(&scaled, (n as f64 - 1.0) / 2.0)?
        } else {
            let scaled = site.shifted(&g, 1.0)?;
            let scaled = site.scaled(&scaled, n as f64 / 2.0)?;
            site.shifted(&scaled, -0.5)?
        };
        taps.push(match mode.as_str() {
            "nearest" => {
                let position = bounded(site, position, n, outside, align)?;
                let entry = apply(site, &position, ops::Round)?;
                vec![tap(site, entry, None, n, outside)?]
            }
            "bilinear" | "linear" => {
                let position = bounded(site, position, n, outside, align)?;
                linear_taps(site, &position, n, outside)?
            }
            "bicubic" | "cubic" => cubic_taps(site, &position, n, outside, align)?,
            other => return Err(OpError::new(format!("mode `{other}` is not supported"))),
        });
    }
    let total = sampled(site, &x, &taps)?;
    let out = site.b().plain(&total)?;
    let shapes = [0, 1].map(|p| [&grid_shapes[p][..=axes], &image[1..2]].concat());
    let out = site.b().engine_view(&out, &shapes, channels_last(image.len()))?;
    Ok(vec![Symbol::Engine(Tensor { element: x.element(), ..out })])
}

/// The two neighbours of a position along an axis of length `n`.
pub(super) fn linear_taps(
    site: &mut Site<'_>,
    position: &Symbol,
    n: usize,
    outside: Outside,
) -> Result<Vec<Tap>, OpError> {
    let low = apply(site, position, ops::Floor)?;
    let right = site.difference(position, &low)?;
    let negative = apply(site, &right, ops::Neg)?;
    let left = site.shifted(&negative, 1.0)?;
    let high = site.shifted(&low, 1.0)?;
    Ok(vec![tap(site, low, Some(left), n, outside)?, tap(site, high, Some(right), n, outside)?])
}

/// The weighted sum over all combinations of neighbours, of an image [batch, channels, …] and taps [batch, places…, 1] for each of its
/// axes: [batch, places…, channels].
pub(super) fn sampled(site: &mut Site<'_>, x: &Symbol, taps: &[Vec<Tap>]) -> Result<Symbol, OpError> {
    let mut parts = corners(site, x, taps)?.into_iter();
    let mut total = parts.next().ok_or_else(|| OpError::new("no neighbours"))?;
    for part in parts {
        total = site.sum(&total, &part)?;
    }
    Ok(total)
}

/// What [`sampled`] adds up: every neighbour times its weight.
pub(super) fn corners(site: &mut Site<'_>, x: &Symbol, taps: &[Vec<Tap>]) -> Result<Vec<Symbol>, OpError> {
    let [image, _] = x.shapes(site.b());
    // [batch, all places of the image, channels].
    let t = site.b().tensor(x, &channels_last(image.len()))?;
    let channels = image[1];
    let all: usize = image[2..].iter().product();
    if all > super::scatter::MAX_INDEX {
        return Err(OpError::new(format!("an image of {all} places")));
    }
    let shapes = site.b().draft.shape(t.id).clone().map(|s| vec![s[0], all, channels]);
    let source = site.b().engine_view(&t, &shapes, identity(3))?;
    let combinations: usize = taps.iter().map(Vec::len).product();
    let mut parts = Vec::with_capacity(combinations);
    for c in 0..combinations {
        let (mut rest, mut index, mut weight): (usize, Option<Symbol>, Option<Symbol>) = (c, None, None);
        for (d, list) in taps.iter().enumerate() {
            let tap = &list[rest % list.len()];
            rest /= list.len();
            let stride: usize = image[3 + d..].iter().product();
            let step = site.scaled(&tap.entry, stride as f64)?;
            index = Some(match index {
                Some(sum) => site.sum(&sum, &step)?,
                None => step,
            });
            weight = match (weight, &tap.weight) {
                (Some(a), Some(b)) => Some(site.times(&a, b)?),
                (a, b) => a.or_else(|| b.clone()),
            };
        }
        let Some(index) = index else { continue };
        let index = site.b().plain(&index)?;
        let picked = Symbol::Engine(site.b().plain_op(ops::GatherNd::new(1), &[&source, &index])?);
        parts.push(match weight {
            Some(w) => site.times(&picked, &w)?,
            None => picked,
        });
    }
    Ok(parts)
}

/// Coordinates brought into the image, as the padding mode says; zeros leave them.
fn bounded(
    site: &mut Site<'_>,
    x: Symbol,
    n: usize,
    outside: Outside,
    align: bool,
) -> Result<Symbol, OpError> {
    let last = n as f64 - 1.0;
    let x = match outside {
        Outside::Zeros => return Ok(x),
        Outside::Border => x,
        Outside::Reflection => reflected(site, &x, n, align)?,
    };
    apply(site, &x, ops::Clip::hardtanh(0.0, last))
}

/// Mirrored at the outermost pixels (`align`) or at their outer edges, as often as needed.
fn reflected(site: &mut Site<'_>, x: &Symbol, n: usize, align: bool) -> Result<Symbol, OpError> {
    let (low, span) = if align { (0.0, n as f64 - 1.0) } else { (-0.5, n as f64) };
    if span <= 0.0 {
        return site.scaled(x, 0.0);
    }
    // |x − low| folded: with q = ⌊·/span⌋ and r the rest, r for even q, span − r for odd.
    let shifted = site.shifted(x, -low)?;
    let size = apply(site, &shifted, ops::Abs)?;
    let folds = site.scaled(&size, 1.0 / span)?;
    let folds = apply(site, &folds, ops::Floor)?;
    let whole = site.scaled(&folds, span)?;
    let rest = site.difference(&size, &whole)?;
    let half = site.scaled(&folds, 0.5)?;
    let even = apply(site, &half, ops::Floor)?;
    let odd = site.difference(&half, &even)?;
    let negative = apply(site, &rest, ops::Neg)?;
    let other = site.shifted(&negative, span)?;
    let folded = super::activation::choose(site, &odd, &other, &rest)?;
    site.shifted(&folded, low)
}

/// A neighbour at this entry: clamped into the image, without weight where it lies outside and zeros are there.
fn tap(
    site: &mut Site<'_>,
    entry: Symbol,
    weight: Option<Symbol>,
    n: usize,
    outside: Outside,
) -> Result<Tap, OpError> {
    let last = n as f64 - 1.0;
    let clamped = apply(site, &entry, ops::Clip::new(0.0, last))?;
    if outside != Outside::Zeros {
        return Ok(Tap { entry: clamped, weight });
    }
    let inside = combine(site, &entry, &clamped, Compare::Equal)?;
    let weight = match weight {
        Some(w) => combine(site, &w, &inside, ops::Mul)?,
        None => inside,
    };
    Ok(Tap { entry: clamped, weight: Some(weight) })
}

/// Four neighbours with the weights of Keys' cubic, a = −0.75; what is outside is found neighbour by neighbour.
fn cubic_taps(
    site: &mut Site<'_>,
    position: &Symbol,
    n: usize,
    outside: Outside,
    align: bool,
) -> Result<Vec<Tap>, OpError> {
    const A: f64 = -0.75;
    let low = apply(site, position, ops::Floor)?;
    let t = site.difference(position, &low)?;
    let polynomial = |site: &mut Site<'_>, x: &Symbol, [a, b, c, d]: [f64; 4]| -> Result<Symbol, OpError> {
        let y = site.scaled(x, a)?;
        let y = site.shifted(&y, b)?;
        let y = site.times(&y, x)?;
        let y = site.shifted(&y, c)?;
        let y = site.times(&y, x)?;
        site.shifted(&y, d)
    };
    let near = [A + 2.0, -(A + 3.0), 0.0, 1.0];
    let far = [A, -5.0 * A, 8.0 * A, -4.0 * A];
    let mut taps = Vec::with_capacity(4);
    for k in -1..=2_i32 {
        // The distance to neighbour k.
        let distance = match k {
            -1 | 0 => site.shifted(&t, f64::from(-k))?,
            _ => {
                let negative = apply(site, &t, ops::Neg)?;
                site.shifted(&negative, f64::from(k))?
            }
        };
        let weight = polynomial(site, &distance, if matches!(k, 0 | 1) { near } else { far })?;
        let entry = site.shifted(&low, f64::from(k))?;
        let entry = match outside {
            Outside::Reflection => {
                let mirrored = bounded(site, entry, n, outside, align)?;
                apply(site, &mirrored, ops::Round)?
            }
            _ => entry,
        };
        taps.push(tap(site, entry, Some(weight), n, outside)?);
    }
    Ok(taps)
}

/// Places of an image under an affine map: constant coordinates times the transposed map.
pub(super) fn affine_grid(site: &mut Site<'_>) -> Outputs {
    let (theta, size) = (site.input(0)?, site.input(1)?);
    let sizes = site.b().constant(&size, "the size")?;
    let sizes = [eval::sizes(&sizes[0])?, eval::sizes(&sizes[1])?];
    let [shape, _] = theta.shapes(site.b());
    let axes = sizes[0].len().saturating_sub(2);
    if !matches!(axes, 2 | 3) || shape[1..] != [axes, axes + 1] || sizes[0][2..] != sizes[1][2..] {
        return Err(OpError::new(format!("maps of shape {shape:?} for an image of shape {:?}", sizes[0])));
    }
    let image = sizes[0][2..].to_vec();
    let align = site.node.flag("align_corners", false)?;
    let coordinate = |i: usize, n: usize| match (align, n) {
        (true, 1) => 0.0,
        (true, _) => 2.0 * i as f64 / (n as f64 - 1.0) - 1.0,
        (false, _) => (2.0 * i as f64 + 1.0) / n as f64 - 1.0,
    };
    let places = crate::value::numel(&image).ok_or_else(|| OpError::new("the size overflows"))?;
    site.b().budget.take(&[places, axes + 1])?;
    let mut base = Vec::with_capacity(places * (axes + 1));
    for p in 0..places {
        let (mut rest, mut at) = (p, vec![0.0; axes]);
        for d in (0..axes).rev() {
            at[axes - 1 - d] = coordinate(rest % image[d], image[d]);
            rest /= image[d];
        }
        base.extend(at);
        base.push(1.0);
    }
    let base = site.constant("places", vec![places, axes + 1], base)?;
    let map = site.permuted(&theta, &[0, 2, 1])?;
    let grid = super::matmul::product(site, &base, &map)?;
    let shapes = grid.shapes(site.b()).map(|s| [&s[..1], &image[..], &[axes]].concat());
    Ok(vec![super::reshape::view(site, &grid, &shapes)?])
}

/// Blocks put at their places and added where they overlap: along one or two axes a transposed convolution whose filters hold a single 1
/// each.
pub(super) fn col2im(site: &mut Site<'_>) -> Outputs {
    let (x, image, block) = (site.input(0)?, site.input(1)?, site.input(2)?);
    let image = eval::sizes(&*site.b().fixed_constant(&image, "the image's size")?)?;
    let block = eval::sizes(&*site.b().fixed_constant(&block, "the block's size")?)?;
    let axes = image.len();
    let [shape, _] = x.shapes(site.b());
    if axes == 0 || block.len() != axes || shape.len() != 3 {
        return Err(OpError::new(format!(
            "blocks {block:?} of images {image:?}, a value of shape {shape:?}"
        )));
    }
    let stride = super::window::spatial(site, "strides", axes, 1)?;
    let dilation = super::window::spatial(site, "dilations", axes, 1)?;
    let pads = match site.node.ints("pads")? {
        Some(list) => list.iter().map(|&n| usize::try_from(n)).collect::<Result<Vec<_>, _>>()?,
        None => vec![0; 2 * axes],
    };
    let elements: usize = block.iter().product();
    if pads.len() != 2 * axes || elements == 0 || !shape[1].is_multiple_of(elements) {
        return Err(OpError::new(format!("blocks {block:?} do not fit a value of shape {shape:?}")));
    }
    let (mut counts, mut extra) = (Vec::new(), Vec::new());
    for d in 0..axes {
        let reach = dilation[d].saturating_mul(block[d] - 1) + 1;
        let padded = image[d].saturating_add(pads[d]).saturating_add(pads[axes + d]);
        let free = padded.checked_sub(reach).ok_or_else(|| OpError::new("blocks larger than the image"))?;
        counts.push(free / stride[d] + 1);
        extra.push(free % stride[d]);
    }
    if counts.iter().product::<usize>() != shape[2] {
        return Err(OpError::new(format!("{} blocks, {counts:?} are expected", shape[2])));
    }
    let channels = shape[1] / elements;
    if axes > 2 {
        let place = |index: &[usize], count: &[usize], d: usize| {
            (count[d] * stride[d] + index[d] * dilation[d]).checked_sub(pads[d]).filter(|&p| p < image[d])
        };
        return gathered(site, &x, &image, &block, &counts, place);
    }
    let shapes = x.shapes(site.b()).map(|s| [&s[..2], &counts[..]].concat());
    let columns = super::reshape::view(site, &x, &shapes)?;
    let order = channels_last(axes + 2);
    let t = site.b().tensor(&columns, &order)?;
    // […, channels of the result of a group (one), channels of the input].
    site.b().budget.take(&[elements, shape[1]])?;
    let mut filter = vec![0.0; elements * shape[1]];
    for c in 0..shape[1] {
        filter[c % elements * shape[1] + c] = 1.0;
    }
    let filter_shape = [&block[..], &[1, shape[1]]].concat();
    let filter = site.b().own_buffer("filter", filter_shape, filter, x.element());
    let pair = super::window::pair;
    let ([top, left], [bottom, right]) = (pair(&pads[..axes], 0), pair(&pads[axes..], 0));
    let op = ops::ConvTranspose2d {
        stride: pair(&stride, 1),
        pad: [top, left, bottom, right],
        dilation: pair(&dilation, 1),
        groups: channels,
        output_pad: pair(&extra, 0),
    };
    Ok(vec![Symbol::Engine(site.b().op(op, &[&t, &filter], order)?)])
}

/// As [`col2im`], for any number of axes: every pixel is the sum of a list of elements, filled up with zeros.
fn gathered(
    site: &mut Site<'_>,
    x: &Symbol,
    image: &[usize],
    block: &[usize],
    counts: &[usize],
    place: impl Fn(&[usize], &[usize], usize) -> Option<usize>,
) -> Outputs {
    let tuple = |mut rest: usize, lengths: &[usize]| {
        let mut index = vec![0; lengths.len()];
        for (i, &n) in index.iter_mut().zip(lengths).rev() {
            (*i, rest) = (rest % n, rest / n);
        }
        index
    };
    let pixels = site.b().budget.take(image)?;
    let [elements, blocks]: [usize; 2] = [block, counts].map(|list| list.iter().product());
    let each = site.b().budget.take(&[elements, blocks])?;
    let mut lists: Vec<Vec<i64>> = vec![vec![]; pixels];
    for e in 0..elements {
        let index = tuple(e, block);
        for b in 0..blocks {
            let count = tuple(b, counts);
            let at =
                (0..image.len()).try_fold(0, |at, d| place(&index, &count, d).map(|p| at * image[d] + p));
            if let Some(list) = at.and_then(|at| lists.get_mut(at)) {
                list.push(i64::try_from(e * blocks + b)?);
            }
        }
    }
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0).max(1);
    site.b().budget.take(&[pixels, longest])?;
    // One element more, a zero.
    let zero = i64::try_from(each)?;
    let indices: Vec<i64> =
        lists.iter().flat_map(|l| (0..longest).map(|i| l.get(i).copied().unwrap_or(zero))).collect();
    let shapes = x.shapes(site.b()).map(|s| vec![s[0], s[1] / elements, each]);
    let flat = super::reshape::view(site, x, &shapes)?;
    let t = site.b().plain(&flat)?;
    let t = site.b().plain_op(ops::Pad::new(&[0; 3], &[0, 0, 1], ops::PadMode::Constant(0.0)), &[&t])?;
    let picked = site.b().plain_op(ops::Take::new(2, &indices, &[pixels, longest]), &[&t])?;
    let sum = super::reduce::sum_over(site, &Symbol::Engine(picked), &[3], false)?;
    let shapes = shapes.map(|s| [&s[..2], image].concat());
    Ok(vec![super::reshape::view(site, &sum, &shapes)?])
}
