//! Comparisons and logic on values that depend on parameters (1 and 0 without derivative), IsNaN, and Where.

use super::binary::{combine, exact_shape, operands};
use super::symbol::{Symbol, Tensor};
use super::unary::apply;
use super::walk::Site;
use crate::element::ElementType;
use crate::error::OpError;
use saddlescope_nn::ops::{self, Compare};

type Outputs = Result<Vec<Symbol>, OpError>;

fn truth(symbol: Symbol) -> Outputs {
    Ok(vec![match symbol {
        Symbol::Engine(t) => Symbol::Engine(Tensor { element: ElementType::Bool, ..t }),
        other => other,
    }])
}

fn compare(site: &mut Site<'_>, kind: Compare) -> Outputs {
    let (a, b) = operands(site, None)?;
    truth(combine(site, &a, &b, kind)?)
}

macro_rules! comparisons {
    ($($name:ident = $kind:ident;)*) => {
        $(pub(super) fn $name(site: &mut Site<'_>) -> Outputs {
            compare(site, Compare::$kind)
        })*
    };
}

comparisons! {
    equal = Equal;
    less = Less;
    less_or_equal = LessOrEqual;
    greater = Greater;
    greater_or_equal = GreaterOrEqual;
    and = And;
    or = Or;
    xor = Xor;
}

pub(super) fn not(site: &mut Site<'_>) -> Outputs {
    let x = site.input(0)?;
    truth(apply(site, &x, ops::Not)?)
}

/// Only NaN differs from itself.
pub(super) fn is_nan(site: &mut Site<'_>) -> Outputs {
    let x = site.input(0)?;
    let same = combine(site, &x, &x, Compare::Equal)?;
    truth(apply(site, &same, ops::Not)?)
}

pub(super) fn select(site: &mut Site<'_>) -> Outputs {
    let (condition, a, b) = (site.input(0)?, site.input(1)?, site.input(2)?);
    let (t, order) = site.b().aligned(&[&condition, &a, &b])?;
    let out = site.b().op(ops::Where, &[&t[0], &t[1], &t[2]], order)?;
    let out = exact_shape(site, out, &[&condition, &a, &b])?;
    Ok(vec![Symbol::Engine(Tensor { element: a.element(), ..out })])
}
