//! Add, Sub, Mul, Div, Pow, Sum and Mean.

use super::symbol::{Symbol, Tensor};
use super::unary::apply;
use super::walk::Site;
use crate::error::OpError;
use saddlescope_nn::graph::ParameterKind;
use saddlescope_nn::op::IntoOp;
use saddlescope_nn::ops;

type Outputs = Result<Vec<Symbol>, OpError>;

/// An elementwise operation of two operands, broadcast, in the order of axes that they have.
pub(super) fn combine(
    site: &mut Site<'_>,
    a: &Symbol,
    b: &Symbol,
    op: impl IntoOp,
) -> Result<Symbol, OpError> {
    let element = a.element();
    let (tensors, order) = site.b().aligned(&[a, b])?;
    let out = site.b().op(op, &[&tensors[0], &tensors[1]], order)?;
    let out = exact_shape(site, out, &[a, b])?;
    Ok(Symbol::Engine(Tensor { element, ..out }))
}

/// Where constants were cut down to one slice for the whole batch, the result may lack the batch: repeats it.
pub(super) fn exact_shape(site: &mut Site<'_>, out: Tensor, inputs: &[&Symbol]) -> Result<Tensor, OpError> {
    let shapes: Vec<_> = inputs.iter().map(|s| s.shapes(site.b())).collect();
    let common = |probe: usize| crate::eval::common_shape(shapes.iter().map(|s| s[probe].as_slice()));
    let wanted = [common(0)?, common(1)?];
    site.b().expanded(&out, &wanted)
}

/// The two operands. Before operator set 7 the second one may begin at the axis of the first that the attribute `axis` names, or
/// `implied`.
pub(super) fn operands(site: &mut Site<'_>, implied: Option<i64>) -> Result<(Symbol, Symbol), OpError> {
    let (a, b) = (site.input(0)?, site.input(1)?);
    let axis = if site.node.opset < 7 { site.node.int("axis")?.or(implied) } else { None };
    let (rank, length) = (a.rank(site.b()), b.rank(site.b()));
    let Some(axis) = axis.filter(|_| length < rank && length > 0) else { return Ok((a, b)) };
    let axis = crate::graph::checked_axis(axis, rank)?;
    let Some(behind) = rank.checked_sub(axis + length) else {
        return Err(OpError::new(format!("{length} axes from axis {axis} of {rank} on")));
    };
    let mut shapes = b.shapes(site.b());
    shapes.iter_mut().for_each(|shape| shape.extend(std::iter::repeat_n(1, behind)));
    let t = site.b().plain(&b)?;
    let b = if behind == 0 { b } else { Symbol::Engine(site.b().reshaped(&t, &shapes)?) };
    Ok((a, b))
}

/// A vector that is added is a bias, one that multiplies a scale; larger tensors are neither.
fn name_vector(site: &mut Site<'_>, symbol: &Symbol, kind: ParameterKind) {
    let [shape, _] = symbol.shapes(site.b());
    if shape.iter().filter(|&&d| d != 1).count() <= 1 {
        site.b().name_kind(symbol, kind);
    }
}

pub(super) fn add(site: &mut Site<'_>) -> Outputs {
    let (a, b) = operands(site, None)?;
    name_vector(site, &a, ParameterKind::Bias);
    name_vector(site, &b, ParameterKind::Bias);
    Ok(vec![combine(site, &a, &b, ops::Add)?])
}

pub(super) fn sub(site: &mut Site<'_>) -> Outputs {
    let (a, b) = operands(site, None)?;
    name_vector(site, &b, ParameterKind::Bias);
    Ok(vec![combine(site, &a, &b, ops::Sub)?])
}

pub(super) fn mul(site: &mut Site<'_>) -> Outputs {
    let (a, b) = operands(site, None)?;
    name_vector(site, &a, ParameterKind::Normalization);
    name_vector(site, &b, ParameterKind::Normalization);
    Ok(vec![product(site, &a, &b)?])
}

/// a b, as a square where both are the same value.
pub(super) fn product(site: &mut Site<'_>, a: &Symbol, b: &Symbol) -> Result<Symbol, OpError> {
    if let (Symbol::Engine(x), Symbol::Engine(y)) = (a, b)
        && x.id == y.id
        && x.order == y.order
    {
        return apply(site, a, ops::Square);
    }
    combine(site, a, b, ops::Mul)
}

pub(super) fn div(site: &mut Site<'_>) -> Outputs {
    let (a, b) = operands(site, None)?;
    let quotient = combine(site, &a, &b, ops::Div)?;
    // Integers, such as indices that depend on parameters, are divided towards zero.
    Ok(vec![if a.element().is_integer() { apply(site, &quotient, ops::Trunc)? } else { quotient }])
}

/// One constant exponent is part of the operation.
pub(super) fn pow(site: &mut Site<'_>) -> Outputs {
    let (a, b) = operands(site, None)?;
    let exponent = match &b {
        Symbol::Known(k) => k.fixed().and_then(|v| v.scalar_f64().ok()),
        _ => None,
    };
    match exponent {
        Some(2.0) if b.rank(site.b()) <= a.rank(site.b()) => Ok(vec![apply(site, &a, ops::Square)?]),
        Some(p) if b.rank(site.b()) <= a.rank(site.b()) => Ok(vec![apply(site, &a, ops::PowConst::new(p))?]),
        _ => Ok(vec![combine(site, &a, &b, ops::Pow)?]),
    }
}

/// The sum of all inputs, two by two.
fn total(site: &mut Site<'_>) -> Result<Symbol, OpError> {
    let mut total = site.input(0)?;
    if site.inputs.len() == 1 {
        return apply(site, &total, ops::Identity);
    }
    for i in 1..site.inputs.len() {
        let next = site.input(i)?;
        total = combine(site, &total, &next, ops::Add)?;
    }
    Ok(total)
}

pub(super) fn sum(site: &mut Site<'_>) -> Outputs {
    Ok(vec![total(site)?])
}

pub(super) fn mean(site: &mut Site<'_>) -> Outputs {
    let total = total(site)?;
    let n = site.inputs.len() as f64;
    let factor = Symbol::Engine(site.b().scalar(1.0 / n, total.element()));
    Ok(vec![combine(site, &total, &factor, ops::Mul)?])
}
