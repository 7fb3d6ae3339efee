//! Batch normalisation with running statistics: y = s x + t per channel, s = γ r, t = β − μ s, r = 1/√(σ² + ε).
//!
//! The passes are those of [`crate::kernels::affine`] in s and t; here s and t are expressed by γ and β.

use super::{BETA, BatchNorm, GAMMA, MEAN, RESIDUAL, VARIANCE, X};
use crate::kernels::affine::{self, AffineTangent, Target};
use crate::op::{Context, Slot, Slots};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// r and s of every channel.
fn scales<T: Scalar>(op: &BatchNorm, c: &Context<'_, T>, r: &mut [T], s: &mut [T]) {
    let eps = T::from_f64(op.eps);
    for (((r, s), &variance), &gamma) in r.iter_mut().zip(s).zip(c.x(VARIANCE)).zip(c.x(GAMMA)) {
        *r = T::ONE / (variance + eps).sqrt();
        *s = gamma * *r;
    }
}

/// y = relu(s x + t + residual).
pub(super) fn forward<T: Scalar>(op: &BatchNorm, c: &Context<'_, T>, y: &mut [T], scratch: &mut Scratch<T>) {
    let n = c.x(GAMMA).len();
    let [mut r, mut s, mut t] = [(); 3].map(|()| scratch.take(n));
    scales(op, c, &mut r, &mut s);
    for (((t, &s), &beta), &mean) in t.iter_mut().zip(&s).zip(c.x(BETA)).zip(c.x(MEAN)) {
        *t = beta - mean * s;
    }
    let residual = c.inputs.get(RESIDUAL).map(|r| r.value);
    affine::forward(c.x(X), &s, &t, residual, op.relu, y);
    [r, s, t].into_iter().for_each(|buffer| scratch.give(buffer));
}

/// ẏ = [y > 0] (s ẋ + ṡ x + ṫ + the residual's tangent), ṡ = γ̇ r, ṫ = β̇ − μ ṡ.
pub(super) fn tangent<T: Scalar>(op: &BatchNorm, c: &Context<'_, T>, dy: &mut [T], scratch: &mut Scratch<T>) {
    let n = c.x(GAMMA).len();
    let [mut r, mut s, mut ds, mut dt] = [(); 4].map(|()| scratch.take(n));
    scales(op, c, &mut r, &mut s);
    for (j, dy) in dy.chunks_exact_mut(c.len().max(1)).enumerate() {
        let (dgamma, dbeta) = (c.dx(GAMMA, j), c.dx(BETA, j));
        dt.fill(T::ZERO);
        if let Some(dbeta) = dbeta {
            dt.copy_from_slice(dbeta);
        }
        if let Some(dgamma) = dgamma {
            for i in 0..n {
                ds[i] = dgamma[i] * r[i];
                dt[i] -= c.x(MEAN)[i] * ds[i];
            }
        }
        let direction = AffineTangent {
            x: c.dx(X, j),
            scale: dgamma.map(|_| &ds[..]),
            shift: (dgamma.is_some() || dbeta.is_some()).then_some(&dt[..]),
            residual: c.inputs.get(RESIDUAL).and_then(|r| r.tangent(j)),
        };
        affine::tangent(op.relu.then_some(c.y), c.x(X), &s, direction, dy);
    }
    [r, s, ds, dt].into_iter().for_each(|buffer| scratch.give(buffer));
}

/// Adds the adjoints of s and t to those of γ and β, part `j` of `k`: γ̄ += r (s̄ − μ t̄), β̄ += t̄.
fn add_parameters<T: Scalar>(slots: &mut Slots<'_, T>, (j, k): (usize, usize), [mean, r, gs, gt]: [&[T]; 4]) {
    if let Some(mut slot) = part(slots, GAMMA, j, k) {
        slot.write_each(|i| r[i] * (gs[i] - mean[i] * gt[i]));
    }
    if let Some(mut slot) = part(slots, BETA, j, k) {
        slot.write_each(|i| gt[i]);
    }
}

/// Part `j` of `k` of slot `i`, where its adjoint is wanted.
fn part<'s, T: Scalar>(slots: &'s mut Slots<'_, T>, i: usize, j: usize, k: usize) -> Option<Slot<'s, T>> {
    slots.get_mut(i).and_then(Option::as_mut).map(|slot| slot.part(j, k))
}

/// A slot as the kernels write to it.
fn target<'s, T: Scalar>(slot: &'s mut Option<Slot<'_, T>>) -> Option<Target<'s, T>> {
    slot.as_mut().map(|slot| {
        let (values, accumulate) = slot.write();
        Target { values, accumulate }
    })
}

fn set_written<T: Scalar>(slots: &mut Slots<'_, T>) {
    for i in [X, GAMMA, BETA, RESIDUAL] {
        if let Some(Some(slot)) = slots.get_mut(i) {
            slot.set_written();
        }
    }
}

/// With ḡ = [y > 0] ȳ: x̄ += s ḡ, s̄ = Σ ḡ x, t̄ = Σ ḡ, and the residual's adjoint += ḡ.
pub(super) fn adjoint<T: Scalar>(
    op: &BatchNorm,
    c: &Context<'_, T>,
    gx: &mut Slots<'_, T>,
    scratch: &mut Scratch<T>,
) {
    let n = c.x(GAMMA).len();
    let [mut r, mut s] = [(); 2].map(|()| scratch.take(n));
    let [mut gs, mut gt] = [(); 2].map(|()| scratch.take_zeroed(n));
    scales(op, c, &mut r, &mut s);
    let [first, rest @ ..] = gx else { return };
    let mut image = first.as_mut().map(|slot| slot.part(0, 1));
    let mut residual = part(rest, RESIDUAL - 1, 0, 1);
    let mask = op.relu.then_some(c.y);
    affine::adjoint(mask, c.x(X), &s, c.gy, target(&mut image), target(&mut residual), &mut gs, &mut gt);
    add_parameters(gx, (0, 1), [c.x(MEAN), &r, &gs, &gt]);
    set_written(gx);
    [r, s, gs, gt].into_iter().for_each(|buffer| scratch.give(buffer));
}

/// With ḡ˙ = [y > 0] ȳ˙: x̄˙ += s ḡ˙ + ṡ ḡ, s̄˙ = Σ (ḡ˙ x + ḡ ẋ), t̄˙ = Σ ḡ˙, and the residual's += ḡ˙.
pub(super) fn adjoint_tangent<T: Scalar>(
    op: &BatchNorm,
    c: &Context<'_, T>,
    dgx: &mut Slots<'_, T>,
    scratch: &mut Scratch<T>,
) {
    let n = c.x(GAMMA).len();
    let k = c.tangents;
    let [mut r, mut s, mut ds, mut gs, mut gt] = [(); 5].map(|()| scratch.take(n));
    scales(op, c, &mut r, &mut s);
    let mask = op.relu.then_some(c.y);
    for j in 0..k {
        gs.fill(T::ZERO);
        gt.fill(T::ZERO);
        let dscale = c.dx(GAMMA, j).map(|dgamma| {
            for i in 0..n {
                ds[i] = dgamma[i] * r[i];
            }
            &ds[..]
        });
        let [first, rest @ ..] = &mut *dgx else { return };
        let mut image = first.as_mut().map(|slot| slot.part(j, k));
        let mut residual = part(rest, RESIDUAL - 1, j, k);
        affine::adjoint_tangent(
            mask,
            c.x(X),
            c.dx(X, j),
            &s,
            dscale,
            c.gy,
            c.dgy(j),
            target(&mut image),
            target(&mut residual),
            &mut gs,
            &mut gt,
        );
        add_parameters(dgx, (j, k), [c.x(MEAN), &r, &gs, &gt]);
    }
    set_written(dgx);
    [r, s, ds, gs, gt].into_iter().for_each(|buffer| scratch.give(buffer));
}
