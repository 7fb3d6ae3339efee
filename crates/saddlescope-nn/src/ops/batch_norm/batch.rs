//! Batch normalisation with the statistics of the micro-batch.

use super::{BETA, BatchNorm, GAMMA, RESIDUAL, X};
use crate::op::{Context, Slot, Slots};
use crate::ops::standardize::{Adjoints, Affine, Standardize};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

fn map<T: Scalar>(op: &BatchNorm, c: &Context<'_, T>) -> Standardize {
    let groups = c.x(GAMMA).len();
    let rows = c.len() / groups.max(1);
    Standardize { outer: 1, rows, groups, width: 1, eps: op.eps, center: true }
}

fn parameters<'a, T: Scalar>(c: &Context<'a, T>) -> Affine<'a, T> {
    Affine { gamma: Some(c.x(GAMMA)), beta: Some(c.x(BETA)) }
}

fn parameter_tangents<'a, T: Scalar>(c: &Context<'a, T>, j: usize) -> Affine<'a, T> {
    Affine { gamma: c.dx(GAMMA, j), beta: c.dx(BETA, j) }
}

pub(super) fn forward<T: Scalar>(op: &BatchNorm, c: &Context<'_, T>, y: &mut [T], scratch: &mut Scratch<T>) {
    map(op, c).forward(c.x(X), parameters(c), y, scratch);
    if let Some(residual) = c.inputs.get(RESIDUAL) {
        for (y, &r) in y.iter_mut().zip(residual.value) {
            *y += r;
        }
    }
    if op.relu {
        for y in y.iter_mut() {
            *y = if *y <= T::ZERO { T::ZERO } else { *y };
        }
    }
}

pub(super) fn tangent<T: Scalar>(op: &BatchNorm, c: &Context<'_, T>, dy: &mut [T], scratch: &mut Scratch<T>) {
    let (map, p, len) = (map(op, c), parameters(c), c.len());
    for j in 0..c.tangents {
        let dy = &mut dy[j * len..(j + 1) * len];
        map.tangent(c.x(X), c.dx(X, j), p, parameter_tangents(c, j), dy, scratch);
        if let Some(dr) = c.inputs.get(RESIDUAL).and_then(|r| r.tangent(j)) {
            for (dy, &dr) in dy.iter_mut().zip(dr) {
                *dy += dr;
            }
        }
        if op.relu {
            for (dy, &y) in dy.iter_mut().zip(c.y) {
                *dy = gate(y, *dy);
            }
        }
    }
}

/// `g` where the output `y` of a ReLU is positive, else 0.
#[inline(always)]
fn gate<T: Scalar>(y: T, g: T) -> T {
    if y > T::ZERO { g } else { T::ZERO }
}

/// out = [y > 0] g.
fn gated<T: Scalar>(y: &[T], g: &[T], out: &mut [T]) {
    for ((out, &y), &g) in out.iter_mut().zip(y).zip(g) {
        *out = gate(y, g);
    }
}

pub(super) fn adjoint<T: Scalar>(
    op: &BatchNorm,
    c: &Context<'_, T>,
    gx: &mut Slots<'_, T>,
    scratch: &mut Scratch<T>,
) {
    let mut buffer = scratch.take(if op.relu { c.len() } else { 0 });
    let gy = if op.relu {
        gated(c.y, c.gy, &mut buffer);
        &buffer[..]
    } else {
        c.gy
    };
    let [x, gamma, beta, ..] = gx else { return };
    let out = Adjoints { x: x.as_mut(), gamma: gamma.as_mut(), beta: beta.as_mut() };
    map(op, c).adjoint(c.x(X), parameters(c), gy, out, scratch);
    if let Some(Some(slot)) = gx.get_mut(RESIDUAL) {
        slot.write_each(|i| gy[i]);
    }
    scratch.give(buffer);
}

pub(super) fn adjoint_tangent<T: Scalar>(
    op: &BatchNorm,
    c: &Context<'_, T>,
    dgx: &mut Slots<'_, T>,
    scratch: &mut Scratch<T>,
) {
    let (map, p, k) = (map(op, c), parameters(c), c.tangents);
    let buffer_len = if op.relu { c.len() } else { 0 };
    let (mut buffer, mut dbuffer) = (scratch.take(buffer_len), scratch.take(buffer_len));
    let gy = if op.relu {
        gated(c.y, c.gy, &mut buffer);
        &buffer[..]
    } else {
        c.gy
    };
    for j in 0..k {
        let dgy = if op.relu {
            gated(c.y, c.dgy(j), &mut dbuffer);
            &dbuffer[..]
        } else {
            c.dgy(j)
        };
        let [x, gamma, beta, ..] = dgx else { return };
        let mut x = x.as_mut().map(|s| s.part(j, k));
        let mut gamma = gamma.as_mut().map(|s| s.part(j, k));
        let mut beta = beta.as_mut().map(|s| s.part(j, k));
        let out = Adjoints { x: x.as_mut(), gamma: gamma.as_mut(), beta: beta.as_mut() };
        map.adjoint_tangent(c.x(X), c.dx(X, j), p, parameter_tangents(c, j), [gy, dgy], out, scratch);
        if let Some(Some(slot)) = dgx.get_mut(RESIDUAL) {
            slot.part(j, k).write_each(|i| dgy[i]);
        }
    }
    for i in [X, GAMMA, BETA, RESIDUAL] {
        if let Some(Some(slot)) = dgx.get_mut(i) {
            Slot::set_written(slot);
        }
    }
    scratch.give(buffer);
    scratch.give(dbuffer);
}
