//! Resize and Upsample by nearest neighbour and whole factors.

use super::symbol::Symbol;
use super::walk::Site;
use crate::error::OpError;
use saddlescope_nn::ops;

pub(super) fn resize(site: &mut Site<'_, '_>) -> Result<Vec<Symbol>, OpError> {
    let x = site.input(0)?;
    let [shape, other] = x.shapes(site.b());
    let mode = site.node.text_or("mode", "nearest")?;
    let coordinates = site.node.text_or("coordinate_transformation_mode", "half_pixel")?;
    let nearest = site.node.text_or("nearest_mode", "round_prefer_floor")?;
    let is_resize = site.node.op_type == "Resize" && site.node.opset > 10;
    // With whole factors these agree with repeating each element, whatever the rounding of ties.
    let repeats = mode == "nearest"
        && (!is_resize
            || (coordinates.contains("half_pixel") && nearest.starts_with("round"))
            || (coordinates == "asymmetric" && nearest == "floor"));
    if !repeats || site.node.attributes.contains_key("axes") || shape.len() != other.len() {
        return Err(OpError::new(
            "anything but nearest-neighbour enlargement by whole factors is not supported",
        ));
    }
    let scales = match (site.node.attributes.get("scales"), is_resize) {
        (Some(crate::node::Attribute::Floats(v)), _) => Some(v.iter().map(|&s| f64::from(s)).collect()),
        _ => match site.optional(if is_resize { 2 } else { 1 }) {
            Some(s) => Some(site.b().fixed_constant(&s, "the scales")?.to_f64s()?).filter(|s| !s.is_empty()),
            None => None,
        },
    };
    let scales: Vec<f64> = match (scales, site.optional(3)) {
        (Some(scales), _) => scales,
        (None, Some(sizes)) => {
            let [sizes, _] = site.b().constant(&sizes, "the sizes")?;
            sizes.to_f64s()?.iter().zip(&shape).map(|(s, &n)| s / n as f64).collect()
        }
        (None, None) => return Err(OpError::new("neither scales nor sizes")),
    };
    let factors: Option<Vec<usize>> =
        scales.iter().map(|&s| (s >= 1.0 && s.fract() == 0.0 && s < 65536.0).then_some(s as usize)).collect();
    let factors = factors.filter(|f| f.len() == shape.len() && shape[0] > 0 && f[0] == 1);
    let factors = factors.ok_or_else(|| {
        OpError::new(format!("scales {scales:?} of {shape:?}: anything but whole factors is not supported"))
    })?;
    let t = site.b().any(&x)?;
    let engine: Vec<usize> = t.order.iter().map(|&a| factors[a]).collect();
    let order = t.order.clone();
    Ok(vec![Symbol::Engine(site.b().op(ops::ResizeNearest::new(&engine), &[&t], order)?)])
}
