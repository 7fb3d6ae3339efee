//! CumSum and CumProd, Trilu, Mod and IsInf of values that depend on parameters.

use super::binary::combine;
use super::symbol::Symbol;
use super::unary::apply;
use super::walk::Site;
use crate::error::OpError;
use crate::graph::checked_axis;
use saddlescope_nn::ops;

type Outputs = Result<Vec<Symbol>, OpError>;

/// The constant axis, which must not count the samples.
fn axis(site: &mut Site<'_>, x: &Symbol) -> Result<usize, OpError> {
    let axis = site.input(1)?;
    let axis = site.b().fixed_constant(&axis, "the axis")?.scalar_i64()?;
    let axis = checked_axis(axis, x.rank(site.b()))?;
    site.refuse_batch_axis(x, axis, "runs over the samples of the batch")?;
    Ok(axis)
}

pub(super) fn sum(site: &mut Site<'_>) -> Outputs {
    let x = site.input(0)?;
    let axis = axis(site, &x)?;
    let (exclusive, reverse) = (site.node.flag("exclusive", false)?, site.node.flag("reverse", false)?);
    let t = site.b().any(&x)?;
    let place = i64::try_from(super::kit::place_of(&t, axis))?;
    let order = t.order.clone();
    Ok(vec![Symbol::Engine(site.b().op(ops::CumSum::new(place, exclusive, reverse), &[&t], order)?)])
}

/// Factor by factor: zeros are no obstacle.
pub(super) fn product(site: &mut Site<'_>) -> Outputs {
    let x = site.input(0)?;
    let axis = axis(site, &x)?;
    let (exclusive, reverse) = (site.node.flag("exclusive", false)?, site.node.flag("reverse", false)?);
    let [shape, _] = x.shapes(site.b());
    let n = shape[axis];
    if n > 1 << 12 {
        return Err(OpError::new(format!("a product of {n} factors; at most 4,096 are multiplied")));
    }
    let mut parts = (0..n).map(|i| site.piece(&x, axis, i, 1)).collect::<Result<Vec<_>, _>>()?;
    if reverse {
        parts.reverse();
    }
    let mut totals: Vec<Symbol> = Vec::with_capacity(n);
    for part in &parts {
        let total = match totals.last() {
            Some(last) => combine(site, last, part, ops::Mul)?,
            None => part.clone(),
        };
        totals.push(total);
    }
    if exclusive && n > 0 {
        let first = site.scaled(&parts[0], 0.0)?;
        let one = site.shifted(&first, 1.0)?;
        totals.insert(0, one);
        totals.pop();
    }
    if reverse {
        totals.reverse();
    }
    Ok(vec![super::concat::join(site, &totals, i64::try_from(axis)?)?])
}

pub(super) fn trilu(site: &mut Site<'_>) -> Outputs {
    let x = site.input(0)?;
    let k = match site.optional(1) {
        Some(k) => site.b().fixed_constant(&k, "the diagonal")?.scalar_i64()?,
        None => 0,
    };
    let upper = site.node.flag("upper", true)?;
    let t = site.b().plain(&x)?;
    Ok(vec![Symbol::Engine(site.b().plain_op(ops::Trilu::new(upper, k), &[&t])?)])
}

/// With `fmod` x − y trunc(x / y), which has the sign of x, else that or that plus y, which has the sign of y.
pub(super) fn modulo(site: &mut Site<'_>) -> Outputs {
    let (x, y) = (site.input(0)?, site.input(1)?);
    let quotient = combine(site, &x, &y, ops::Div)?;
    let whole = apply(site, &quotient, ops::Trunc)?;
    let multiple = combine(site, &whole, &y, ops::Mul)?;
    let rest = site.difference(&x, &multiple)?;
    // Numbers below the divisor stay, also below an infinite one.
    let (size, of) = (apply(site, &x, ops::Abs)?, apply(site, &y, ops::Abs)?);
    let small = combine(site, &size, &of, ops::Compare::Less)?;
    let rest = super::activation::choose(site, &small, &x, &rest)?;
    if site.node.flag("fmod", false)? {
        return Ok(vec![rest]);
    }
    let zero = site.number(0.0, &rest);
    let below = combine(site, &rest, &zero, ops::Compare::Less)?;
    let negative = combine(site, &y, &zero, ops::Compare::Less)?;
    let other_sign = combine(site, &below, &negative, ops::Compare::Xor)?;
    let nothing = combine(site, &rest, &zero, ops::Compare::Equal)?;
    let something = apply(site, &nothing, ops::Not)?;
    let moved = combine(site, &other_sign, &something, ops::Compare::And)?;
    let raised = site.sum(&rest, &y)?;
    Ok(vec![super::activation::choose(site, &moved, &raised, &rest)?])
}

pub(super) fn is_inf(site: &mut Site<'_>) -> Outputs {
    let x = site.input(0)?;
    let (negative, positive) =
        (site.node.flag("detect_negative", true)?, site.node.flag("detect_positive", true)?);
    let infinity = match (negative, positive) {
        (false, true) => f64::INFINITY,
        (true, false) => f64::NEG_INFINITY,
        _ => f64::INFINITY,
    };
    let tested = match (negative, positive) {
        (true, true) => apply(site, &x, ops::Abs)?,
        (false, false) => site.scaled(&x, 0.0)?,
        _ => x,
    };
    let infinity = site.number(infinity, &tested);
    let found = combine(site, &tested, &infinity, ops::Compare::Equal)?;
    Ok(vec![match found {
        Symbol::Engine(t) => Symbol::Engine(super::symbol::Tensor { element: crate::ElementType::Bool, ..t }),
        other => other,
    }])
}
