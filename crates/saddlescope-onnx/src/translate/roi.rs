//! RoiAlign: regions of images, each as an image of one size.

use super::binary::combine;
use super::sample::{Outside, Tap, corners, linear_taps, sampled};
use super::symbol::{Symbol, channels_last};
use super::unary::apply;
use super::walk::Site;
use crate::error::OpError;
use crate::value::Value;
use saddlescope_nn::ops::{self, Compare};

type Outputs = Result<Vec<Symbol>, OpError>;

/// How the places of one axis lie within a region: place i of the result takes `samples` values, value k of them at the fraction
/// `at[region, i, k]` of a bin; its weight is `share[region, k]`.
struct Places {
    samples: usize,
    regions: usize,
    at: Vec<f64>,
    /// Empty where all count the same.
    share: Vec<f64>,
}

/// Images are sampled between their pixels (linearly; zeros beyond one pixel outside), and the samples of every bin of a region become
/// their mean or, in mode `max`, the largest of the weighted pixels (as onnxruntime and the standard's reference have it). Images are
/// differentiated, and regions where they depend on parameters.
pub(super) fn roi_align(site: &mut Site<'_>) -> Outputs {
    let (x, rois, chosen) = (site.input(0)?, site.input(1)?, site.input(2)?);
    let (image, regions, numbers) = (x.shapes(site.b()), rois.shapes(site.b()), chosen.shapes(site.b()));
    let fits = image[0].len() == 4
        && (0..2).all(|p| regions[p].len() == 2 && regions[p][1] == 4 && numbers[p] == regions[p][..1]);
    if !fits {
        return Err(OpError::new(format!(
            "an image of shape {:?}, regions of shape {:?} and numbers of images of shape {:?}",
            image[0], regions[0], numbers[0]
        )));
    }
    let largest = match site.node.text_or("mode", "avg")? {
        "avg" => false,
        "max" => true,
        other => return Err(OpError::new(format!("mode `{other}` is unknown"))),
    };
    // Operator sets before 16 have no choice.
    let default = if site.node.opset < 16 { "output_half_pixel" } else { "half_pixel" };
    let half = match site.node.text_or("coordinate_transformation_mode", default)? {
        "half_pixel" => true,
        "output_half_pixel" => false,
        other => return Err(OpError::new(format!("coordinate_transformation_mode `{other}` is unknown"))),
    };
    let size = |name: &str| match site.node.int_or(name, 1).map(usize::try_from)? {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(OpError::new(format!("attribute `{name}` must be positive"))),
    };
    let out = [size("output_height")?, size("output_width")?];
    let scale = site.node.float_or("spatial_scale", 1.0)?;
    let ratio = usize::try_from(site.node.int_or("sampling_ratio", 0)?).unwrap_or(0);

    // [batch, regions of a sample, 4]: the batch is that of the images where they count the samples, else 1.
    let counts = image[0][0] != image[1][0];
    let per: [usize; 2] = if counts {
        [of_own_image(&chosen, &image[0], &image[1])?; 2]
    } else {
        [regions[0][0], regions[1][0]]
    };
    let batch = |p: usize| if counts { image[p][0] } else { 1 };
    let shapes = [0, 1].map(|p| vec![batch(p), per[p], 4]);
    let same_for_all = if ratio == 0 || matches!(&rois, Symbol::Known(k) if k.fixed().is_none()) {
        Some(slice(site, &rois, per)?)
    } else {
        None
    };
    let places: [Places; 2] = match &same_for_all {
        Some(list) if ratio == 0 => [1, 0].map(|d| adaptive(list, d, out[1 - d], scale, half, largest)),
        _ => [regular(out[0], ratio), regular(out[1], ratio)],
    };
    let [kh, kw] = [places[0].samples, places[1].samples];
    site.b().budget.take(&[per[0], out[0], out[1], kh, kw])?;
    let rois = match same_for_all {
        Some(list) => {
            let list = site.constant("regions", vec![1, per[0], 4], list)?;
            let list = site.b().plain(&list)?;
            Symbol::Engine(site.b().expanded(&list, &shapes)?)
        }
        None => super::reshape::view(site, &rois, &shapes)?,
    };

    // All of [batch, region, row, column, sample in the row, sample in the column, 1].
    let mut taps: Vec<Vec<Tap>> = Vec::new();
    let mut source = x.clone();
    if !counts && let Some(entry) = image_of_region(site, &chosen, image[0][0])? {
        // The images as one axis more, of which each region has its entry.
        let moved = site.permuted(&x, &[1, 0, 2, 3])?;
        source = site.with_axis(&moved, 0)?;
        let seven = [0, 1].map(|p| vec![1, per[p], 1, 1, 1, 1, 1]);
        let entry = super::reshape::view(site, &entry, &seven)?;
        taps.push(vec![Tap::new(entry, None)]);
    }
    for (d, axis) in places.iter().enumerate() {
        let edge = |site: &mut Site<'_>, at: usize| -> Result<Symbol, OpError> {
            let edge = site.piece(&rois, 2, at, 1)?;
            let seven = [0, 1].map(|p| vec![batch(p), per[p], 1, 1, 1, 1, 1]);
            let edge = super::reshape::view(site, &edge, &seven)?;
            let edge = site.scaled(&edge, scale)?;
            if half { site.shifted(&edge, -0.5) } else { Ok(edge) }
        };
        // x comes before y.
        let (start, end) = (edge(site, 1 - d)?, edge(site, 3 - d)?);
        let mut extent = site.difference(&end, &start)?;
        if !half {
            extent = apply(site, &extent, ops::Clip::new(1.0, f64::INFINITY))?;
        }
        let bin = site.scaled(&extent, 1.0 / out[d] as f64)?;
        let mut shape = vec![1, axis.regions, 1, 1, 1, 1, 1];
        (shape[2 + d], shape[4 + d]) = (out[d], axis.samples);
        let fraction = site.constant("places", shape, axis.at.clone())?;
        let moved = site.times(&bin, &fraction)?;
        let position = site.sum(&start, &moved)?;
        taps.push(axis_taps(site, &position, image[0][2 + d], d, axis)?);
    }
    let bins = match largest {
        false => {
            let total = sampled(site, &source, &taps)?;
            let total = super::reduce::sum_over(site, &total, &[4, 5], false)?;
            if places[0].share.is_empty() { site.scaled(&total, 1.0 / (kh * kw) as f64)? } else { total }
        }
        true => {
            let mut parts = corners(site, &source, &taps)?.into_iter();
            let mut best = parts.next().ok_or_else(|| OpError::new("no neighbours"))?;
            for part in parts {
                best = combine(site, &best, &part, ops::Max)?;
            }
            super::reduce::maximum(site, &best, &[4, 5], false)?
        }
    };
    let bins = site.b().plain(&bins)?;
    let shapes = [0, 1].map(|p| vec![regions[p][0], out[0], out[1], image[0][1]]);
    let bins = site.b().engine_view(&bins, &shapes, channels_last(4))?;
    Ok(vec![Symbol::Engine(super::symbol::Tensor { element: x.element(), ..bins })])
}

/// The neighbours along one axis, which do not count where the position lies more than a pixel outside.
fn axis_taps(
    site: &mut Site<'_>,
    position: &Symbol,
    n: usize,
    d: usize,
    axis: &Places,
) -> Result<Vec<Tap>, OpError> {
    let (low, high) = (site.number(-1.0, position), site.number(n as f64, position));
    let after = combine(site, position, &low, Compare::GreaterOrEqual)?;
    let before = combine(site, position, &high, Compare::LessOrEqual)?;
    let mut share = site.times(&after, &before)?;
    if !axis.share.is_empty() {
        let mut shape = vec![1, axis.regions, 1, 1, 1, 1, 1];
        shape[4 + d] = axis.samples;
        let weights = site.constant("shares", shape, axis.share.clone())?;
        share = site.times(&share, &weights)?;
    }
    let clamped = apply(site, position, ops::Clip::hardtanh(0.0, n as f64 - 1.0))?;
    linear_taps(site, &clamped, n, Outside::Border)?.into_iter().map(|tap| tap.times(site, &share)).collect()
}

/// The same number of samples in every bin.
fn regular(out: usize, samples: usize) -> Places {
    let place = |n: usize| (n / samples) as f64 + ((n % samples) as f64 + 0.5) / samples as f64;
    Places { samples, regions: 1, at: (0..out * samples).map(place).collect(), share: vec![] }
}

/// As many samples as a bin has pixels, rounded up; regions that take fewer than others repeat their last one, which does not count in
/// a mean (and changes no maximum). `d` is 0 for x.
fn adaptive(list: &[f64], d: usize, out: usize, scale: f64, half: bool, largest: bool) -> Places {
    // Counted in single precision, as regions are stored: a bin that is one pixel long must not become a little longer.
    let samples = |region: &[f64]| {
        let shift = if half { 0.5 } else { 0.0 };
        let edge = |place: usize| region[place] as f32 * scale as f32 - shift;
        let extent = edge(2 + d) - edge(d);
        let extent = if half { extent } else { extent.max(1.0) };
        // Not a number and what is negative become 0, what is too large is found by the budget.
        (extent / out as f32).ceil() as usize
    };
    let each: Vec<usize> = list.chunks_exact(4).map(samples).collect();
    let most = each.iter().copied().max().unwrap_or(0).clamp(1, 1 << 24);
    let (mut at, mut share) = (vec![], vec![]);
    if out.saturating_mul(most).saturating_mul(each.len()) <= 1 << 26 {
        for &own in &each {
            for i in 0..out {
                let last = own.max(1);
                at.extend((0..most).map(|k| i as f64 + (k.min(last - 1) as f64 + 0.5) / last as f64));
            }
            share.extend((0..most).map(|k| match largest {
                true => f64::from(own > 0),
                false if k < own => 1.0 / own as f64,
                false => 0.0,
            }));
        }
    }
    Places { samples: most, regions: each.len(), at, share }
}

/// The regions of one sample, where all samples have the same: constants.
fn slice(site: &mut Site<'_>, rois: &Symbol, per: [usize; 2]) -> Result<Vec<f64>, OpError> {
    let what = "the regions (their sizes, which say how many samples a bin takes where sampling_ratio is 0)";
    let both = site.b().constant(rois, what)?;
    let lists = [both[0].to_f64s()?, both[1].to_f64s()?];
    let first = lists[0].get(..4 * per[0]).unwrap_or_default().to_vec();
    let same = |list: &Vec<f64>| list.chunks(first.len().max(1)).all(|chunk| chunk == first);
    if per[0] != per[1] || first.is_empty() || !lists.iter().all(same) {
        return Err(OpError::new("constant regions must be the same for every sample"));
    }
    Ok(first)
}

/// How many regions every sample has, if region r is one of image r / n.
fn of_own_image(chosen: &Symbol, a: &[usize], b: &[usize]) -> Result<usize, OpError> {
    let wrong = || {
        OpError::new(
            "the images count the samples, but the numbers of the images that the regions lie in (`batch_indices`) are not known to be \
             those of each sample's own: samples would not be independent. Make them of the batch size, or import all images as one \
             sample with --one-sample",
        )
    };
    let Symbol::Known(known) = chosen else { return Err(wrong()) };
    let count = |value: &Value, images: usize| -> Result<usize, OpError> {
        let list = value.to_i64s()?;
        let each = list.len().checked_div(images).filter(|&n| n > 0 && n * images == list.len());
        let each = each.ok_or_else(wrong)?;
        let own = list.iter().enumerate().all(|(r, &i)| usize::try_from(i) == Ok(r / each));
        if own { Ok(each) } else { Err(wrong()) }
    };
    let [first, second] = [count(&known.values[0], a[0])?, count(&known.values[1], b[0])?];
    if first == second { Ok(first) } else { Err(wrong()) }
}

/// The image of every region; `None` if there is only one. Numbers that name none make the result NaN.
fn image_of_region(site: &mut Site<'_>, chosen: &Symbol, images: usize) -> Result<Option<Symbol>, OpError> {
    if let Symbol::Known(known) = chosen
        && let Some(value) = known.fixed()
    {
        let list = value.to_i64s()?;
        if let Some(i) = list.iter().find(|&&i| usize::try_from(i).map_or(true, |i| i >= images)) {
            return Err(OpError::new(format!("a region lies in image {i} of {images}")));
        }
        if images == 1 {
            return Ok(None);
        }
    }
    let zero = site.number(0.0, chosen);
    let none = site.number(images as f64, chosen);
    let negative = combine(site, chosen, &zero, Compare::Less)?;
    let above = combine(site, chosen, &none, Compare::GreaterOrEqual)?;
    let wrong = combine(site, &negative, &above, ops::Max)?;
    let nothing = site.number(f64::NAN, chosen);
    Ok(Some(super::activation::choose(site, &wrong, &nothing, chosen)?))
}
