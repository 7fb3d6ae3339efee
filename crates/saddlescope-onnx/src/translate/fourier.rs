//! DFT and STFT: linear maps by constant matrices of cosines and sines.

use std::f64::consts::PI;

use super::binary::combine;
use super::reshape::view;
use super::symbol::Symbol;
use super::walk::Site;
use crate::error::OpError;
use crate::graph::checked_axis;
use saddlescope_nn::ops;

type Outputs = Result<Vec<Symbol>, OpError>;

/// The matrix from `components` (1: real, 2: real and imaginary) of `n` numbers to real and imaginary parts of `rows` frequencies of a
/// transform of length `length`, row-major over (frequency, part) × (number, component).
fn matrix(n: usize, components: usize, length: usize, rows: usize, inverse: bool) -> Vec<f64> {
    let (sign, scale) = if inverse { (1.0, 1.0 / length as f64) } else { (-1.0, 1.0) };
    let mut m = Vec::with_capacity(rows * 2 * n * components);
    for k in 0..rows {
        for part in 0..2 {
            for j in 0..n {
                let angle = sign * 2.0 * PI * ((j * k) % length) as f64 / length as f64;
                let (re, im) =
                    if j < length { (angle.cos() * scale, angle.sin() * scale) } else { (0.0, 0.0) };
                // (re + i im)(x + i y) = (re x − im y) + i (im x + re y)
                let row = if part == 0 { [re, -im] } else { [im, re] };
                m.extend_from_slice(&row[..components]);
            }
        }
    }
    m
}

/// Along one axis of x `[…, n, …, components]`.
fn transform(
    site: &mut Site<'_>,
    x: &Symbol,
    axis: usize,
    length: usize,
    rows: usize,
    inverse: bool,
) -> Result<Symbol, OpError> {
    let shapes = x.shapes(site.b());
    let rank = shapes[0].len();
    let (n, components) = (shapes[0][axis], shapes[0][rank - 1]);
    site.refuse_batch_axis(x, axis, "transforms over the samples")?;
    if length == 0 || rows == 0 || n == 0 {
        return Err(OpError::new("a transform of length 0"));
    }
    let size = rows.checked_mul(n).and_then(|s| s.checked_mul(2 * components));
    size.filter(|&s| s <= 1 << 26).ok_or_else(|| {
        OpError::new(format!("a transform of {n} numbers to {rows} frequencies is too large for a matrix"))
    })?;
    // The axis and the components last and merged.
    let perm: Vec<usize> = (0..rank - 1).filter(|&a| a != axis).chain([axis, rank - 1]).collect();
    let moved = site.permuted(x, &perm)?;
    let flat = moved.shapes(site.b()).map(|s| [&s[..rank - 2], &[n * components][..]].concat());
    let flat = view(site, &moved, &flat)?;
    let y = site.mapped(&flat, rank - 2, rows * 2, matrix(n, components, length, rows, inverse))?;
    let parts = y.shapes(site.b()).map(|s| [&s[..rank - 2], &[rows, 2][..]].concat());
    let y = view(site, &y, &parts)?;
    let back: Vec<usize> = (0..rank).map(|a| perm.iter().position(|&p| p == a).unwrap_or(a)).collect();
    site.permuted(&y, &back)
}

pub(super) fn dft(site: &mut Site<'_>) -> Outputs {
    let x = site.input(0)?;
    let [shape, _] = x.shapes(site.b());
    let rank = shape.len();
    if rank < 2 || !matches!(shape[rank - 1], 1 | 2) {
        return Err(OpError::new(format!("[…, 1 or 2] expected, found shape {shape:?}")));
    }
    let named = match site.optional(2) {
        Some(axis) => site.b().fixed_constant(&axis, "the axis")?.scalar_i64()?,
        None => site.node.int_or("axis", if site.node.opset < 20 { 1 } else { -2 })?,
    };
    let axis = checked_axis(named, rank)?;
    if axis == rank - 1 {
        return Err(OpError::new("a transform over real and imaginary part"));
    }
    let (inverse, onesided) = (site.node.flag("inverse", false)?, site.node.flag("onesided", false)?);
    let length = match site.optional(1) {
        Some(n) => usize::try_from(site.b().fixed_constant(&n, "the length")?.scalar_i64()?)?,
        // Half a spectrum of n frequencies belongs to 2 (n − 1) numbers.
        None if inverse && onesided => 2 * shape[axis].saturating_sub(1),
        None => shape[axis],
    };
    if inverse && onesided {
        // Half a spectrum, of which the other half is the conjugate, to real numbers.
        let half = site.piece(&x, axis, 0, shape[axis].min(length / 2 + 1))?;
        let full = mirrored(site, &half, axis, length)?;
        let y = transform(site, &full, axis, length, length, true)?;
        return Ok(vec![site.piece(&y, rank - 1, 0, 1)?]);
    }
    let rows = if onesided { length / 2 + 1 } else { length };
    Ok(vec![transform(site, &x, axis, length, rows, inverse)?])
}

/// A whole spectrum from its first half: X[n − k] is the conjugate of X[k].
fn mirrored(site: &mut Site<'_>, half: &Symbol, axis: usize, length: usize) -> Result<Symbol, OpError> {
    let [shape, _] = half.shapes(site.b());
    let rank = shape.len();
    let have = shape[axis];
    let indices: Vec<i64> = (have..length).map(|k| i64::try_from(length - k)).collect::<Result<_, _>>()?;
    if indices.is_empty() {
        return Ok(half.clone());
    }
    if indices.iter().any(|&i| usize::try_from(i).is_ok_and(|i| i >= have)) {
        return Err(OpError::new("half a spectrum shorter than the transform is not supported"));
    }
    let rest = site.taken(half, axis, &indices)?;
    let signs = site.constant("conjugation", [vec![1; rank - 1], vec![2]].concat(), vec![1.0, -1.0])?;
    let rest = combine(site, &rest, &signs, ops::Mul)?;
    super::concat::join(site, &[half.clone(), rest], i64::try_from(axis)?)
}

/// Frames of the signal times a window, transformed: [batch, frames, frequencies, 2].
pub(super) fn stft(site: &mut Site<'_>) -> Outputs {
    let (x, step) = (site.input(0)?, site.input(1)?);
    let step = usize::try_from(site.b().fixed_constant(&step, "the step")?.scalar_i64()?)?;
    let x = if x.rank(site.b()) == 2 { site.with_axis(&x, 2)? } else { x };
    let [shape, _] = x.shapes(site.b());
    let &[_, signal, components] = shape.as_slice() else {
        return Err(OpError::new(format!("[batch, length, 1 or 2] expected, found shape {shape:?}")));
    };
    let window = site.optional(2);
    let length = match (site.optional(3), &window) {
        (Some(n), _) => usize::try_from(site.b().fixed_constant(&n, "the frame's length")?.scalar_i64()?)?,
        (None, Some(w)) => w.shapes(site.b())[0].first().copied().unwrap_or(0),
        (None, None) => return Err(OpError::new("neither a window nor a length of the frames")),
    };
    if step == 0 || length == 0 || length > signal || !matches!(components, 1 | 2) {
        return Err(OpError::new(format!("frames of {length} every {step} of a signal of {signal}")));
    }
    let frames = (signal - length) / step + 1;
    let indices = (0..frames * length)
        .map(|i| i64::try_from(i / length * step + i % length))
        .collect::<Result<Vec<_>, _>>()?;
    site.b().budget.take(&[frames, length])?;
    let picked = site.taken(&x, 1, &indices)?;
    let shapes = picked.shapes(site.b()).map(|s| vec![s[0], frames, length, components]);
    let mut framed = view(site, &picked, &shapes)?;
    if let Some(window) = window {
        let w = view(site, &window, &[vec![length, 1], vec![length, 1]])?;
        framed = combine(site, &framed, &w, ops::Mul)?;
    }
    let onesided = site.node.flag("onesided", true)? && components == 1;
    let rows = if onesided { length / 2 + 1 } else { length };
    Ok(vec![transform(site, &framed, 2, length, rows, false)?])
}
