//! Resize and Upsample in all modes: along every axis a constant matrix, or picked entries for the nearest neighbour.

use super::symbol::Symbol;
use super::walk::Site;
use crate::error::OpError;
use crate::graph::{Attribute, checked_axes};
use saddlescope_nn::ops;

/// How the places of an axis are found.
struct Mode {
    kind: String,
    coordinates: String,
    nearest: String,
    cubic_a: f64,
    exclude_outside: bool,
    antialias: bool,
}

/// One axis: its length before and after, the factor, and the part of it that `tf_crop_and_resize` takes.
struct Axis {
    from: usize,
    to: usize,
    scale: f64,
    region: (f64, f64),
}

impl Axis {
    /// Where entry `i` of the result lies in the input.
    fn place(&self, i: usize, coordinates: &str) -> Result<f64, OpError> {
        let (x, n, m) = (i as f64, self.from as f64, self.to as f64);
        // The length that the factor asks for, which need not be whole.
        let asked = if (self.scale * n - m).abs() < 1e-6 * m { m } else { self.scale * n };
        let half_pixel = (x + 0.5) / self.scale - 0.5;
        Ok(match coordinates {
            "half_pixel" => half_pixel,
            "half_pixel_symmetric" => {
                // The image stays centred.
                let adjustment = m / asked;
                n / 2.0 * (1.0 - adjustment) + half_pixel
            }
            "pytorch_half_pixel" => {
                if self.to > 1 {
                    half_pixel
                } else {
                    0.0
                }
            }
            "align_corners" => {
                if asked > 1.0 {
                    x * (n - 1.0) / (asked - 1.0)
                } else {
                    0.0
                }
            }
            "asymmetric" => x / self.scale,
            "tf_half_pixel_for_nn" => (x + 0.5) / self.scale,
            "tf_crop_and_resize" => {
                let (start, end) = self.region;
                if self.to > 1 {
                    start * (n - 1.0) + x * (end - start) * (n - 1.0) / (m - 1.0)
                } else {
                    0.5 * (start + end) * (n - 1.0)
                }
            }
            other => return Err(OpError::new(format!("coordinates `{other}` are not supported"))),
        })
    }
}

/// Keys' cubic with parameter a.
fn cubic(x: f64, a: f64) -> f64 {
    let x = x.abs();
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * a
    } else {
        0.0
    }
}

/// What operator sets up to 10 do: the entry before where the image grows, the one behind where it shrinks (the standard's case
/// `resize_downsample_nearest` of set 10).
const SIMPLE: &str = "(simple)";

impl Mode {
    /// The entry that the nearest neighbour takes.
    fn nearest(&self, place: f64, n: usize, scale: f64) -> Result<usize, OpError> {
        let at = match self.nearest.as_str() {
            "round_prefer_floor" => (place - 0.5).ceil(),
            "round_prefer_ceil" => (place + 0.5).floor(),
            "floor" => place.floor(),
            "ceil" => place.ceil(),
            SIMPLE if scale < 1.0 => place.ceil(),
            SIMPLE => place.floor(),
            other => return Err(OpError::new(format!("nearest_mode `{other}` is unknown"))),
        };
        Ok(at.clamp(0.0, n as f64 - 1.0) as usize)
    }

    /// The weights of one row: pairs of entry and weight, entries clamped to the input.
    fn weights(&self, place: f64, axis: &Axis) -> Vec<(usize, f64)> {
        // The entry on the left is preferred: the ratio lies in (0, 1].
        let base = place.ceil() - 1.0;
        let ratio = place - base;
        let scale = if self.antialias { axis.scale.min(1.0) } else { 1.0 };
        let reach = if self.kind == "cubic" { 2.0 } else { 1.0 };
        let start = (-reach / scale).floor() as i64 + 1;
        let count = 2 - 2 * start;
        let weigh = |i: i64| {
            let x = (i as f64 - ratio) * scale;
            if self.kind == "cubic" { cubic(x, self.cubic_a) } else { (1.0 - x.abs()).max(0.0) }
        };
        let n = axis.from as f64;
        let mut row: Vec<(f64, f64)> = (start..start + count).map(|i| (base + i as f64, weigh(i))).collect();
        if self.exclude_outside {
            row.iter_mut().filter(|(at, _)| *at < 0.0 || *at >= n).for_each(|(_, w)| *w = 0.0);
        }
        if self.exclude_outside || self.antialias {
            let total: f64 = row.iter().map(|r| r.1).sum();
            row.iter_mut().for_each(|r| r.1 /= total);
        }
        row.into_iter().map(|(at, w)| (at.clamp(0.0, n - 1.0) as usize, w)).collect()
    }
}

fn numbers(site: &mut Site<'_>, input: usize, what: &str) -> Result<Option<Vec<f64>>, OpError> {
    match site.optional(input) {
        Some(s) => Ok(Some(site.b().fixed_constant(&s, what)?.to_f64s()?).filter(|v| !v.is_empty())),
        None => Ok(None),
    }
}

pub(super) fn resize(site: &mut Site<'_>) -> Result<Vec<Symbol>, OpError> {
    let x = site.input(0)?;
    let [shape, other] = x.shapes(site.b());
    let rank = shape.len();
    let is_resize = site.node.op_type == "Resize" && site.node.opset > 10;
    let kind = site.node.text_or("mode", "nearest")?.to_string();
    let text =
        |site: &Site<'_>, name: &str, default: &str| site.node.text_or(name, default).map(String::from);
    let mode = Mode {
        // Upsample calls it bilinear, whatever the number of axes.
        kind: if kind == "bilinear" { "linear".into() } else { kind },
        coordinates: text(
            site,
            "coordinate_transformation_mode",
            if is_resize { "half_pixel" } else { "asymmetric" },
        )?,
        nearest: text(site, "nearest_mode", if is_resize { "round_prefer_floor" } else { SIMPLE })?,
        cubic_a: site.node.float_or("cubic_coeff_a", -0.75)?,
        exclude_outside: site.node.flag("exclude_outside", false)?,
        antialias: site.node.flag("antialias", false)?,
    };
    if !matches!(mode.kind.as_str(), "nearest" | "linear" | "cubic") {
        return Err(OpError::new(format!("mode `{}` is not supported", mode.kind)));
    }
    let axes = match site.node.ints("axes")? {
        Some(list) => checked_axes(list, rank)?,
        None => (0..rank).collect(),
    };
    let scales = match site.node.attributes.get("scales") {
        Some(Attribute::Floats(v)) => Some(v.iter().map(|&s| f64::from(s)).collect()),
        _ => numbers(site, if is_resize { 2 } else { 1 }, "the scales")?,
    };
    let sizes = match site.optional(3) {
        Some(s) if scales.is_none() => {
            let [sizes, _] = site.b().constant(&s, "the sizes")?;
            Some(crate::eval::sizes(&sizes)?)
        }
        _ => None,
    };
    let region = numbers(site, 1, "the region").ok().flatten().filter(|_| is_resize);
    let policy = site.node.text_or("keep_aspect_ratio_policy", "stretch")?.to_string();
    let extrapolated = site.node.float_or("extrapolation_value", 0.0)?;
    let count = scales
        .as_ref()
        .map(Vec::len)
        .or(sizes.as_ref().map(Vec::len))
        .ok_or_else(|| OpError::new("neither scales nor sizes"))?;
    if count != axes.len() || shape.len() != other.len() {
        return Err(OpError::new(format!("{count} scales or sizes for {} axes", axes.len())));
    }
    // One factor for all axes where the ratio of lengths is kept.
    let common = match (&sizes, policy.as_str()) {
        (None, _) | (Some(_), "stretch") => None,
        (Some(sizes), policy) => {
            let ratios = sizes.iter().zip(&axes).map(|(&s, &a)| s as f64 / shape[a] as f64);
            match policy {
                "not_larger" => ratios.reduce(f64::min),
                "not_smaller" => ratios.reduce(f64::max),
                other => return Err(OpError::new(format!("policy `{other}` is unknown"))),
            }
        }
    };
    let mut plan = Vec::new();
    for (i, &a) in axes.iter().enumerate() {
        let n = shape[a];
        // An axis of the batch is handed on as it is.
        if shape[a] != other[a] {
            let same =
                scales.as_ref().map_or_else(|| sizes.as_ref().is_some_and(|s| s[i] == n), |s| s[i] == 1.0);
            if !same {
                return Err(OpError::new(format!("the batch (axis {a}) is resized")));
            }
            continue;
        }
        let (to, scale) = match (&scales, &sizes, common) {
            // In single precision, as scales are stored: 10 times 0.9 is 9 there, and less than 9 with 0.9 widened.
            (Some(s), ..) => (f64::from((n as f32 * s[i] as f32).floor()), s[i]),
            (None, Some(_), Some(scale)) => ((n as f64 * scale).round(), scale),
            (None, Some(s), None) => (s[i] as f64, s[i] as f64 / n as f64),
            _ => return Err(OpError::new("neither scales nor sizes")),
        };
        if !((1.0..65536.0 * 256.0).contains(&to) && scale > 0.0) || n == 0 {
            return Err(OpError::new(format!("axis {a} of {shape:?} by {scale}")));
        }
        let region = match &region {
            Some(r) if r.len() == 2 * axes.len() => (r[i], r[axes.len() + i]),
            _ => (0.0, 1.0),
        };
        plan.push((a, Axis { from: n, to: to as usize, scale, region }));
    }
    if let Some(out) = whole_factors(site, &x, &mode, &plan)? {
        return Ok(vec![out]);
    }
    let cropped = mode.coordinates == "tf_crop_and_resize";
    let mut out = x.clone();
    let mut outside: Option<Symbol> = None;
    for (a, axis) in &plan {
        if axis.from == axis.to && axis.scale == 1.0 && !cropped {
            continue;
        }
        let places = (0..axis.to).map(|i| axis.place(i, &mode.coordinates)).collect::<Result<Vec<_>, _>>()?;
        if mode.kind == "nearest" {
            let entry = |&p: &f64| mode.nearest(p, axis.from, axis.scale).and_then(|e| Ok(i64::try_from(e)?));
            let indices = places.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
            out = site.taken(&out, *a, &indices)?;
        } else {
            site.b().budget.take(&[axis.to, axis.from])?;
            let mut matrix = vec![0.0; axis.to * axis.from];
            for (i, &place) in places.iter().enumerate() {
                for (at, weight) in mode.weights(place, axis) {
                    matrix[i * axis.from + at] += weight;
                }
            }
            out = site.mapped(&out, *a, axis.to, matrix)?;
        }
        let last = axis.from as f64 - 1.0;
        if cropped && places.iter().any(|&p| p < 0.0 || p > last) {
            let mut line = vec![1; rank];
            line[*a] = axis.to;
            let truth = places.iter().map(|&p| f64::from(u8::from(p < 0.0 || p > last))).collect();
            let mask = site.constant(&format!("outside along axis {a}"), line, truth)?;
            outside = Some(match outside {
                Some(other) => super::binary::combine(site, &other, &mask, ops::Compare::Or)?,
                None => mask,
            });
        }
    }
    if let Some(outside) = outside {
        let value = site.number(extrapolated, &x);
        out = super::activation::choose(site, &outside, &value, &out)?;
    }
    Ok(vec![match out {
        Symbol::Engine(_) => out,
        other => super::unary::apply(site, &other, ops::Identity)?,
    }])
}

/// Nearest neighbours at whole factors: every element repeated, whatever the rounding of ties.
fn whole_factors(
    site: &mut Site<'_>,
    x: &Symbol,
    mode: &Mode,
    plan: &[(usize, Axis)],
) -> Result<Option<Symbol>, OpError> {
    let repeats = mode.kind == "nearest"
        && ((mode.coordinates.contains("half_pixel")
            && mode.coordinates != "tf_half_pixel_for_nn"
            && mode.nearest.starts_with("round"))
            || (mode.coordinates == "asymmetric" && matches!(mode.nearest.as_str(), "floor" | SIMPLE)));
    let whole = |a: &Axis| a.scale >= 1.0 && a.scale.fract() == 0.0 && a.to == a.from * a.scale as usize;
    if !repeats || !plan.iter().all(|(_, a)| whole(a)) {
        return Ok(None);
    }
    let t = site.b().any(x)?;
    let factor = |axis: usize| plan.iter().find(|(a, _)| *a == axis).map_or(1, |(_, a)| a.scale as usize);
    let engine: Vec<usize> = t.order.iter().map(|&a| factor(a)).collect();
    let order = t.order.clone();
    Ok(Some(Symbol::Engine(site.b().op(ops::ResizeNearest::new(&engine), &[&t], order)?)))
}
