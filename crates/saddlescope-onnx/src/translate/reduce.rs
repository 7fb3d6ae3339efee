//! Reductions over any set of axes.

use super::symbol::Symbol;
use super::unary::apply;
use super::walk::Site;
use crate::error::OpError;
use crate::eval;
use saddlescope_nn::op::IntoOp;
use saddlescope_nn::ops::{self, Identity, Reduce, ReduceExtremum, Reduction};

type Outputs = Result<Vec<Symbol>, OpError>;

/// Reduces over ONNX axes with the operation that `make` builds from engine axes.
fn over<O: IntoOp>(
    site: &mut Site<'_>,
    x: &Symbol,
    axes: &[usize],
    keep: bool,
    make: impl Fn(&[i64], bool) -> O,
) -> Result<Symbol, OpError> {
    let t = site.b().any(x)?;
    let engine: Vec<i64> =
        (0..t.order.len()).filter(|&i| axes.contains(&t.order[i])).map(|i| i as i64).collect();
    let order: Vec<usize> = if keep {
        t.order.clone()
    } else {
        // Axes that stay are numbered anew.
        let left = t.order.iter().filter(|a| !axes.contains(a));
        left.map(|a| a - axes.iter().filter(|r| *r < a).count()).collect()
    };
    Ok(Symbol::Engine(site.b().op(make(&engine, keep), &[&t], order)?))
}

fn reduce(site: &mut Site<'_>, reduction: Reduction) -> Outputs {
    let x = site.input(0)?;
    let named = site.ints("axes", 1)?;
    let axes = eval::reduce_axes(site.node, named, x.rank(site.b()))?;
    let keep = site.node.flag("keepdims", true)?;
    if axes.is_empty() {
        return Ok(vec![of_each(site, &x, reduction)?]);
    }
    if reduction == Reduction::Mean
        && let Some(out) = per_sample_mean(site, &x, &axes)?
    {
        return Ok(vec![out]);
    }
    Ok(vec![over(site, &x, &axes, keep, |axes, keep| Reduce::new(reduction, axes, keep))?])
}

/// What a reduction makes of every single element where nothing is reduced (`noop_with_empty_axes`, and scalars).
fn of_each(site: &mut Site<'_>, x: &Symbol, reduction: Reduction) -> Result<Symbol, OpError> {
    match reduction {
        Reduction::Sum | Reduction::Mean | Reduction::LogSumExp => apply(site, x, Identity),
        Reduction::L1 | Reduction::L2 => apply(site, x, ops::Abs),
        Reduction::SumSquare => apply(site, x, ops::Square),
        Reduction::LogSum => apply(site, x, ops::Log),
    }
}

/// The mean over everything at the end of a model is its own loss: the mean of each sample is kept apart, so that the
/// samples stay independent. Their mean is the same number.
fn per_sample_mean(site: &mut Site<'_>, x: &Symbol, axes: &[usize]) -> Result<Option<Symbol>, OpError> {
    let [a, b] = x.shapes(site.b());
    let batch: Vec<usize> = (0..a.len()).filter(|&d| a[d] != b[d]).collect();
    if site.b().single || axes.len() != a.len() || !site.is_final() || batch != [0] {
        return Ok(None);
    }
    sample_means(site, x)
}

/// The mean of each sample, of a value whose first axis counts samples or samples times positions.
pub(super) fn sample_means(site: &mut Site<'_>, x: &Symbol) -> Result<Option<Symbol>, OpError> {
    let [a, b] = x.shapes(site.b());
    let [p, q] = super::PROBES;
    if a.is_empty() || !a[0].is_multiple_of(p) || a[0] / p * q != b[0] {
        return Ok(None);
    }
    site.walker.loss_per_sample = true;
    let rows = |s: &[usize], batch: usize| vec![batch, s.iter().product::<usize>() / batch];
    let plain = super::reshape::view(site, x, &[rows(&a, p), rows(&b, q)])?;
    over(site, &plain, &[1], false, |axes, keep| Reduce::new(Reduction::Mean, axes, keep)).map(Some)
}

macro_rules! reductions {
    ($($name:ident = $kind:ident;)*) => {
        $(pub(super) fn $name(site: &mut Site<'_>) -> Outputs {
            reduce(site, Reduction::$kind)
        })*
    };
}

reductions! {
    sum = Sum;
    mean = Mean;
    l1 = L1;
    l2 = L2;
    sum_square = SumSquare;
    log_sum = LogSum;
    log_sum_exp = LogSumExp;
}

/// The maximum over these axes.
pub(super) fn maximum(
    site: &mut Site<'_>,
    x: &Symbol,
    axes: &[usize],
    keep: bool,
) -> Result<Symbol, OpError> {
    over(site, x, axes, keep, ReduceExtremum::max)
}

/// The mean over these axes, which are kept.
pub(super) fn mean_over(site: &mut Site<'_>, x: &Symbol, axes: &[usize]) -> Result<Symbol, OpError> {
    over(site, x, axes, true, |axes, keep| Reduce::new(Reduction::Mean, axes, keep))
}

/// The sum over these axes.
pub(super) fn sum_over(
    site: &mut Site<'_>,
    x: &Symbol,
    axes: &[usize],
    keep: bool,
) -> Result<Symbol, OpError> {
    over(site, x, axes, keep, |axes, keep| Reduce::new(Reduction::Sum, axes, keep))
}

fn extremum(site: &mut Site<'_>, make: fn(&[i64], bool) -> ReduceExtremum) -> Outputs {
    let x = site.input(0)?;
    let named = site.ints("axes", 1)?;
    let axes = eval::reduce_axes(site.node, named, x.rank(site.b()))?;
    let keep = site.node.flag("keepdims", true)?;
    if axes.is_empty() {
        return Ok(vec![apply(site, &x, Identity)?]);
    }
    Ok(vec![over(site, &x, &axes, keep, make)?])
}

/// The product over axes; zeros among the factors are no obstacle to the derivatives.
pub(super) fn prod(site: &mut Site<'_>) -> Outputs {
    let x = site.input(0)?;
    let named = site.ints("axes", 1)?;
    let axes = eval::reduce_axes(site.node, named, x.rank(site.b()))?;
    let keep = site.node.flag("keepdims", true)?;
    if axes.is_empty() {
        return Ok(vec![apply(site, &x, Identity)?]);
    }
    Ok(vec![over(site, &x, &axes, keep, ops::ReduceProduct::new)?])
}

pub(super) fn max(site: &mut Site<'_>) -> Outputs {
    extremum(site, ReduceExtremum::max)
}

pub(super) fn min(site: &mut Site<'_>) -> Outputs {
    extremum(site, ReduceExtremum::min)
}
