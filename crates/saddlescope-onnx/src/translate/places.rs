//! The places of the maxima (the second output of MaxPool), and MaxUnpool, which puts values back to them.
//!
//! ONNX counts places through the whole batch. Here they are counted within a sample, so that samples stay independent: what would see
//! the difference is refused ([`followed`]).

use std::collections::BTreeMap;

use super::binary::combine;
use super::draft::DraftId;
use super::symbol::{Both, Symbol, Tensor, identity};
use super::walk::Site;
use super::window::{Window, window};
use crate::element::ElementType;
use crate::error::OpError;
use crate::graph::{Attribute, Node};
use crate::value::{Value, numel};
use saddlescope_nn::ops::{self, PadMode};

type Outputs = Result<Vec<Symbol>, OpError>;

/// Places as numbers of the engine's type must be exact.
const MAX_PLACES: usize = super::scatter::MAX_INDEX;

/// Number of places of one sample by value of the engine, for places that are counted within a sample.
pub(super) type Places = BTreeMap<DraftId, usize>;

fn count(symbol: &Option<Symbol>, places: &Places) -> Option<usize> {
    match symbol {
        Some(Symbol::Engine(t)) => places.get(&t.id).copied(),
        _ => None,
    }
}

/// How many places one sample has, if such places flow through a node unchanged; `None` if its outputs are right for the whole batch.
pub(super) fn followed(
    node: &Node,
    inputs: &[Option<Symbol>],
    places: &Places,
) -> Result<Option<usize>, OpError> {
    let counts: Vec<Option<usize>> = inputs.iter().map(|symbol| count(symbol, places)).collect();
    match (node.op_type.as_str(), counts.as_slice()) {
        (_, counts) if counts.iter().all(Option::is_none) => Ok(None),
        ("Shape" | "Size", _) => Ok(None),
        ("MaxUnpool", [None, Some(_), ..]) => Ok(None),
        // The number of the sample is gone, as where PyTorch's exporters take the place of the first pixel away.
        ("Sub", [Some(a), Some(b)]) if a == b => Ok(None),
        (
            "Identity" | "Slice" | "Squeeze" | "Unsqueeze" | "Reshape" | "Flatten" | "Transpose",
            [Some(n), rest @ ..],
        ) if rest.iter().all(Option::is_none) => Ok(Some(*n)),
        _ => Err(refusal()),
    }
}

/// Places counted within a sample must not be used otherwise than [`followed`] knows.
pub(super) fn refuse(symbols: &[Symbol], places: &Places) -> Result<(), OpError> {
    let any = symbols.iter().any(|s| matches!(s, Symbol::Engine(t) if places.contains_key(&t.id)));
    if any { Err(refusal()) } else { Ok(()) }
}

fn refusal() -> OpError {
    OpError::new(
        "it takes the places of maxima that MaxPool returns, which ONNX counts through the whole batch; only MaxUnpool and the difference \
         of two are supported",
    )
}

/// Places of one sample.
pub(super) fn per_sample(shape: &[usize]) -> Result<usize, OpError> {
    match numel(shape.get(1..).unwrap_or(&[])) {
        Some(n) if n <= MAX_PLACES => Ok(n),
        _ => Err(OpError::new(format!("places among more than {MAX_PLACES} are not supported"))),
    }
}

/// Indices of `coordinates` in an array of these lengths; the first axis is the fastest if `column_major`.
fn flat(coordinates: &[usize], lengths: &[usize], column_major: bool) -> usize {
    let step = |n: usize, (&c, &len): (&usize, &usize)| n * len + c;
    let pairs = coordinates.iter().zip(lengths);
    if column_major { pairs.rev().fold(0, step) } else { pairs.fold(0, step) }
}

/// All index tuples of an array of these lengths, the last axis fastest.
fn tuples(lengths: &[usize]) -> Vec<Vec<usize>> {
    lengths.iter().fold(vec![vec![]], |list, &len| {
        list.into_iter().flat_map(|t| (0..len).map(move |i| [&t[..], &[i]].concat())).collect()
    })
}

/// Where the largest element of each window of x lies; `out` are the numbers of windows along the spatial axes.
pub(super) fn of_maxima(
    site: &mut Site<'_>,
    x: &Symbol,
    w: &Window,
    out: &[usize],
) -> Result<Symbol, OpError> {
    let shapes = x.shapes(site.b());
    let (channels, image) = (shapes[0][1], shapes[0][2..].to_vec());
    let total = per_sample(&shapes[0])?;
    let pixels = total / channels.max(1);
    let column_major = match site.node.int_or("storage_order", 0)? {
        0 => false,
        1 => true,
        other => return Err(OpError::new(format!("storage_order {other}"))),
    };
    site.b().budget.take(&[out, &w.kernel[..]].concat())?;
    let taps = tuples(&w.kernel);
    let windows = out.iter().product();
    let (mut inside, mut numbers) = (Vec::new(), Vec::new());
    for window in tuples(out) {
        let pixel = |tap: &Vec<usize>| -> Option<Vec<usize>> {
            (0..image.len())
                .map(|d| {
                    let at = window[d] * w.stride[d] + tap[d] * w.dilation[d];
                    at.checked_sub(w.before[d]).filter(|&at| at < image[d])
                })
                .collect()
        };
        let found: Vec<Option<Vec<usize>>> = taps.iter().map(pixel).collect();
        // Padding never wins: in its place stands a pixel of the same window, whose own place comes out.
        let first = found.iter().flatten().next().cloned();
        let first = first.ok_or_else(|| OpError::new("a window lies in the padding"))?;
        for pixel in found.iter().map(|p| p.as_ref().unwrap_or(&first)) {
            inside.push(i64::try_from(flat(pixel, &image, false))?);
            numbers.push(flat(pixel, &image, column_major) as f64);
        }
    }
    let flat_image = shapes.clone().map(|s| vec![s[0], channels, pixels]);
    let planes = super::reshape::view(site, x, &flat_image)?;
    let planes = site.b().plain(&planes)?;
    let table = [windows, taps.len()];
    let taken = site.b().plain_op(ops::Take::new(2, &inside, &table), &[&planes])?;
    let place = site.b().plain_op(ops::ArgExtremum::new(3, true, false), &[&taken])?;
    let hot = super::order::indicator(site, &Symbol::Engine(place), 3, taps.len())?;
    let numbers = site.constant("places in the image", table.to_vec(), numbers)?;
    let product = combine(site, &hot, &numbers, ops::Mul)?;
    let mut places = super::reduce::sum_over(site, &product, &[3], false)?;
    let offsets = (0..channels).map(|c| (c * pixels) as f64).collect();
    let offsets = site.constant("channels", vec![channels, 1], offsets)?;
    places = combine(site, &places, &offsets, ops::Add)?;
    let in_batch = shapes[0][0] != shapes[1][0];
    if !in_batch {
        // Axis 0 counts no samples: this is all there is.
        let samples = shapes[0][0];
        per_sample(&[1, samples, total])?;
        let offsets = (0..samples).map(|n| (n * total) as f64).collect();
        let offsets = site.constant("samples", vec![samples, 1, 1], offsets)?;
        places = combine(site, &places, &offsets, ops::Add)?;
    }
    let result = shapes.map(|s| [&[s[0], channels][..], out].concat());
    let places = super::reshape::view(site, &places, &result)?;
    let t = Tensor { element: ElementType::I64, ..site.b().plain(&places)? };
    if in_batch {
        site.walker.places.insert(t.id, total);
    }
    Ok(Symbol::Engine(t))
}

/// x put to places in zeros. A larger `output_shape` adds zeros behind, as in the standard's reference.
pub(super) fn unpool(site: &mut Site<'_>) -> Outputs {
    let (x, places) = (site.input(0)?, site.input(1)?);
    let shapes = x.shapes(site.b());
    if shapes[0].len() < 3 || places.shapes(site.b()) != shapes {
        return Err(OpError::new("the values and their places must have one shape [N, C, …]"));
    }
    let kernel = super::pool::kernel(site)?;
    let w = window(site, &kernel, &shapes[0][2..])?;
    let mut image = Vec::new();
    for d in 0..kernel.len() {
        let reach =
            (shapes[0][d + 2].saturating_sub(1)).saturating_mul(w.stride[d]).saturating_add(kernel[d]);
        let length = reach.checked_sub(w.before[d].saturating_add(w.after[d])).filter(|&n| n > 0);
        image.push(length.ok_or_else(|| OpError::new("the padding is wider than the output"))?);
    }
    let whole = shapes.clone().map(|s| [&[s[0], s[1]][..], &image].concat());
    let in_batch = shapes[0][0] != shapes[1][0];
    let mut total = per_sample(&whole[0])?;
    let places = if in_batch { within_sample(site, &places, total)? } else { places };
    if !in_batch {
        total = per_sample(&[&[1], &whole[0][..]].concat())?;
    }
    let flat = |s: &Vec<usize>| -> Vec<usize> {
        if in_batch { vec![s[0], s[1..].iter().product()] } else { vec![1, s.iter().product()] }
    };
    let rows: Both<Vec<usize>> = [flat(&shapes[0]), flat(&shapes[1])];
    let (values, places) =
        (super::reshape::view(site, &x, &rows)?, super::reshape::view(site, &places, &rows)?);
    let (values, places) = (site.b().plain(&values)?, site.b().plain(&places)?);
    site.b().budget.take(&[total])?;
    let zeros = site.b().own_buffer("zeros", vec![1, total], vec![0.0; total], x.element());
    let zeros = site.b().expanded(&zeros, &[flat(&whole[0]), flat(&whole[1])])?;
    let op = ops::Scatter::elements(1, ops::ScatterReduction::Replace);
    let t = site.b().plain_op(op, &[&zeros, &places, &values])?;
    let t = site.b().reshaped(&t, &whole)?;
    let after = behind(site, &whole[0])?;
    if after.iter().all(|&n| n == 0) {
        return Ok(vec![Symbol::Engine(t)]);
    }
    let op = ops::Pad::new(&vec![0; after.len()], &after, PadMode::Constant(0.0));
    Ok(vec![Symbol::Engine(site.b().op(op, &[&t], identity(after.len()))?)])
}

/// How far `output_shape`, if it is given, goes beyond what follows from the windows.
fn behind(site: &mut Site<'_>, whole: &[usize]) -> Result<Vec<i64>, OpError> {
    let Some(given) = site.optional(2) else { return Ok(vec![0; whole.len()]) };
    let [given, _] = site.b().constant(&given, "the output's shape")?;
    let given = given.to_i64s()?;
    if given.len() != whole.len() {
        return Err(OpError::new(format!("output_shape {given:?}, expected {} lengths", whole.len())));
    }
    let mut after = vec![0, 0];
    for (&n, &own) in given.iter().zip(whole).skip(2) {
        let more = n.checked_sub(i64::try_from(own)?).filter(|&m| (0..1 << 32).contains(&m));
        after.push(more.ok_or_else(|| {
            OpError::new(format!("output_shape {given:?} is smaller than {whole:?}, which the windows give"))
        })?);
    }
    Ok(after)
}

/// Places counted within a sample of `total` elements.
fn within_sample(site: &mut Site<'_>, places: &Symbol, total: usize) -> Result<Symbol, OpError> {
    if let Symbol::Known(known) | Symbol::Data(known) = places {
        let size = format!("{} (elements of a sample)", known.name);
        let count = Value::int64_vector([i64::try_from(total)?]).with_shape(vec![])?;
        let count = site.constant_symbol(&size, crate::eval::convert(&count, places.element())?);
        let attributes: [(&str, Attribute); 0] = [];
        let node = site.derived_node("Mod", "within the sample", &[&known.name, &size], &attributes);
        return site.derive("Mod", node, &[places.clone(), count]);
    }
    match count(&Some(places.clone()), &site.walker.places) {
        Some(n) if n == total => Ok(places.clone()),
        Some(n) => Err(OpError::new(format!(
            "the places are among {n} elements of a sample, the output has {total}"
        ))),
        None => Err(OpError::new("places that depend on parameters must be those of a MaxPool")),
    }
}
