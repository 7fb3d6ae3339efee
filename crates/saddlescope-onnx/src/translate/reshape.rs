//! Operators that only change the shape: Reshape, Flatten, Squeeze, Unsqueeze, Identity, Dropout, DepthToSpace and
//! SpaceToDepth.

use super::symbol::{Both, PROBES, Symbol, identity as plain_order};
use super::walk::Site;
use crate::error::OpError;
use crate::eval;
use crate::graph::checked_axis;
use crate::value::numel;
use saddlescope_nn::ops;

type Outputs = Result<Vec<Symbol>, OpError>;

/// The elements of a symbol under another shape.
pub(super) fn view(site: &mut Site<'_>, x: &Symbol, shapes: &Both<Vec<usize>>) -> Result<Symbol, OpError> {
    let t = site.b().plain(x)?;
    Ok(Symbol::Engine(site.b().reshaped(&t, shapes)?))
}

fn each(site: &mut Site<'_>, shape: impl Fn(&[usize]) -> Result<Vec<usize>, OpError>) -> Outputs {
    let x = site.input(0)?;
    let [a, b] = x.shapes(site.b());
    let shapes = [shape(&a)?, shape(&b)?];
    Ok(vec![view(site, &x, &shapes)?])
}

/// A target that was written for the fixed batch size n of the file fits any other once its first entry grows with it.
pub(crate) fn freed_target(
    shape: &[usize],
    target: &[i64],
    declared: usize,
    batch: usize,
) -> Option<Vec<usize>> {
    let rest = target.get(1..)?.iter().map(|&d| usize::try_from(d).ok()).collect::<Option<Vec<_>>>()?;
    let per_sample = numel(shape)?.checked_div(batch)?.checked_div(numel(&rest)?)?;
    let first = usize::try_from(target[0]).ok()?;
    let freed = [&[per_sample * batch][..], &rest].concat();
    (per_sample.checked_mul(declared) == Some(first) && numel(&freed) == numel(shape)).then_some(freed)
}

/// A target `[n, …, −1, …]` for the fixed batch size n of the file, of a value whose first axis counts the samples: the first entry grows
/// with the batch, and −1 stands for what is left of each sample. Only that reading keeps samples apart.
fn freed_open_target(shape: &[usize], target: &[i64], declared: usize, batch: usize) -> Option<Vec<usize>> {
    let (&first, rest) = target.split_first()?;
    if shape.first() != Some(&batch) || usize::try_from(first) != Ok(declared) || !rest.contains(&-1) {
        return None;
    }
    // 0 keeps a length.
    let kept =
        |(d, &n): (usize, &i64)| if n == 0 { shape.get(d + 1).copied() } else { usize::try_from(n).ok() };
    let known = rest.iter().enumerate().filter(|(_, n)| **n != -1).map(kept).collect::<Option<Vec<_>>>()?;
    let left = numel(&shape[1..])?.checked_div(numel(&known)?)?;
    let mut known = known.into_iter();
    let rest: Vec<usize> =
        rest.iter().map(|&n| if n == -1 { Some(left) } else { known.next() }).collect::<Option<_>>()?;
    let freed = [&[batch][..], &rest].concat();
    (numel(&freed) == numel(shape)).then_some(freed)
}

pub(super) fn reshape(site: &mut Site<'_>) -> Outputs {
    let x = site.input(0)?;
    let targets = match site.node.ints("shape")? {
        Some(list) => [list.to_vec(), list.to_vec()],
        None => {
            let target = site.input(1)?;
            let [a, b] = site.b().constant(&target, "the target shape")?;
            [a.to_i64s()?, b.to_i64s()?]
        }
    };
    let allow_zero = site.node.flag("allowzero", false)?;
    let own = x.shapes(site.b());
    if let Some(n) = site.walker.declared_batch
        && !allow_zero
        && own[0] != own[1]
        && let (Some(a), Some(b)) = (
            freed_open_target(&own[0], &targets[0], n, PROBES[0]),
            freed_open_target(&own[1], &targets[1], n, PROBES[1]),
        )
    {
        site.walker.note_fixed_batch(n);
        return Ok(vec![view(site, &x, &[a, b])?]);
    }
    let direct = |probe: usize| eval::reshape_target(&own[probe], &targets[probe], allow_zero);
    let (first, second) = (direct(0), direct(1));
    if (first.is_err() || second.is_err())
        && let Some(n) = site.walker.declared_batch
        && let (Some(a), Some(b)) = (
            freed_target(&own[0], &targets[0], n, PROBES[0]),
            freed_target(&own[1], &targets[1], n, PROBES[1]),
        )
    {
        site.walker.note_fixed_batch(n);
        return Ok(vec![view(site, &x, &[a, b])?]);
    }
    let shapes = [first?, second?];
    Ok(vec![view(site, &x, &shapes)?])
}

pub(super) fn flatten(site: &mut Site<'_>) -> Outputs {
    let axis = site.node.int_or("axis", 1)?;
    each(site, |shape| {
        let rank = shape.len();
        let axis = if axis == i64::try_from(rank)? { rank } else { checked_axis(axis, rank)? };
        let product = |part: &[usize]| numel(part).ok_or_else(|| OpError::new("overflow"));
        Ok(vec![product(&shape[..axis])?, product(&shape[axis..])?])
    })
}

pub(super) fn squeeze(site: &mut Site<'_>) -> Outputs {
    let axes = site.ints("axes", 1)?;
    each(site, |shape| eval::squeezed(shape, axes.as_deref()))
}

pub(super) fn unsqueeze(site: &mut Site<'_>) -> Outputs {
    let axes = site.ints("axes", 1)?.ok_or_else(|| OpError::new("no axes"))?;
    each(site, |shape| eval::unsqueezed(shape, &axes))
}

/// The same value under another name.
pub(super) fn identity(site: &mut Site<'_>) -> Outputs {
    Ok(vec![site.input(0)?])
}

/// Evaluation mode: nothing is dropped. The mask, where it is wanted, is all true.
pub(super) fn dropout(site: &mut Site<'_>) -> Outputs {
    let training = match site.optional(2) {
        Some(mode) => *site.b().fixed_constant(&mode, "training_mode")?.as_bools()?.first().unwrap_or(&false),
        None => false,
    };
    let ratio = match site.optional(1) {
        Some(ratio) => site.b().fixed_constant(&ratio, "ratio")?.scalar_f64()?,
        None => site.node.float_or("ratio", 0.5)?,
    };
    if training && ratio > 0.0 {
        if site.b().single {
            return Err(OpError::new("dropout in training mode is random: not supported"));
        }
        site.walker
            .note("dropout was exported in training mode; it is taken in evaluation mode: it does nothing");
    }
    let x = site.input(0)?;
    let mut outputs = vec![x.clone()];
    if site.node.outputs.len() > 1 && site.b().single {
        let [shape, _] = x.shapes(site.b());
        let ones = vec![true; numel(&shape).unwrap_or(0)];
        outputs.push(super::Walker::known("mask", crate::Value::bools(shape, ones)?));
    }
    Ok(outputs)
}

/// Splits dimensions, permutes, and merges.
fn blocks(
    site: &mut Site<'_>,
    split: impl Fn([usize; 4], usize) -> Option<Vec<usize>>,
    perm: &[usize],
    merged: impl Fn([usize; 4], usize) -> Option<Vec<usize>>,
) -> Outputs {
    let x = site.input(0)?;
    let block = site.node.int("blocksize")?.and_then(|b| usize::try_from(b).ok()).filter(|&b| b > 0);
    let block = block.ok_or_else(|| OpError::new("`blocksize` must be a positive integer"))?;
    let own = x.shapes(site.b());
    let dims = |s: &[usize]| {
        <[usize; 4]>::try_from(s).map_err(|_| OpError::new(format!("[N, C, H, W] expected, found {s:?}")))
    };
    let fit = |s: &[usize]| {
        split(dims(s)?, block).ok_or_else(|| OpError::new(format!("{s:?} does not divide by {block}")))
    };
    let parts = [fit(&own[0])?, fit(&own[1])?];
    let t = site.b().plain(&x)?;
    let t = site.b().reshaped(&t, &parts)?;
    let t = site.b().plain_op(ops::Transpose::new(perm), &[&t])?;
    let whole = |s: &[usize]| {
        merged(dims(s)?, block).ok_or_else(|| OpError::new(format!("{s:?} overflows in blocks of {block}")))
    };
    let shapes = [whole(&own[0])?, whole(&own[1])?];
    debug_assert_eq!(t.order, plain_order(6));
    Ok(vec![Symbol::Engine(site.b().reshaped(&t, &shapes)?)])
}

fn column_row_depth(site: &Site<'_>) -> Result<bool, OpError> {
    match site.node.text_or("mode", "DCR")? {
        "DCR" => Ok(false),
        "CRD" => Ok(true),
        other => Err(OpError::new(format!("mode `{other}`, expected DCR or CRD"))),
    }
}

pub(super) fn depth_to_space(site: &mut Site<'_>) -> Outputs {
    let crd = column_row_depth(site)?;
    let split = |[n, c, h, w]: [usize; 4], b: usize| {
        let depth = b.checked_mul(b).filter(|square| c % square == 0).map(|square| c / square)?;
        Some(if crd { vec![n, depth, b, b, h, w] } else { vec![n, b, b, depth, h, w] })
    };
    let perm = if crd { [0, 1, 4, 2, 5, 3] } else { [0, 3, 4, 1, 5, 2] };
    blocks(site, split, &perm, |[n, c, h, w], b| {
        Some(vec![n, c / b.checked_mul(b)?, h.checked_mul(b)?, w.checked_mul(b)?])
    })
}

pub(super) fn space_to_depth(site: &mut Site<'_>) -> Outputs {
    let crd = column_row_depth(site)?;
    let split = |[n, c, h, w]: [usize; 4], b: usize| {
        (h % b == 0 && w % b == 0).then(|| vec![n, c, h / b, b, w / b, b])
    };
    let perm = if crd { [0, 1, 3, 5, 2, 4] } else { [0, 3, 5, 1, 2, 4] };
    blocks(site, split, &perm, |[n, c, h, w], b| {
        Some(vec![n, c.checked_mul(b)?.checked_mul(b)?, h / b, w / b])
    })
}

#[cfg(test)]
mod tests {
    use super::{freed_open_target, freed_target};

    #[test]
    fn an_open_target_keeps_samples_apart() {
        assert_eq!(freed_open_target(&[3, 4, 5], &[1, -1], 1, 3), Some(vec![3, 20]));
        assert_eq!(freed_open_target(&[2, 4, 6], &[8, -1, 3], 8, 2), Some(vec![2, 8, 3]));
        assert_eq!(freed_open_target(&[2, 4, 6], &[1, 0, -1], 1, 2), Some(vec![2, 4, 6]));
        // The first axis counts no samples; the first entry is not the batch size; what is left does not divide.
        assert_eq!(freed_open_target(&[6, 4], &[1, -1], 1, 3), None);
        assert_eq!(freed_open_target(&[3, 4], &[2, -1], 1, 3), None);
        assert_eq!(freed_open_target(&[3, 4], &[1, 3, -1], 1, 3), None);
    }

    #[test]
    fn a_target_grows_with_the_batch_and_absurd_batch_sizes_do_not_overflow() {
        assert_eq!(freed_target(&[6, 2], &[3, 4], 3, 3), Some(vec![3, 4]));
        assert_eq!(freed_target(&[4], &[4], usize::MAX, 1), None);
    }
}
