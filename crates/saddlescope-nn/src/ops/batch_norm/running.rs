//! Batch normalisation with running statistics: y = s x + t per channel, s = γ / √(σ² + ε), t = β − μ s.

use super::{BETA, BatchNorm, GAMMA, MEAN, RESIDUAL, VARIANCE, X, gate};
use crate::op::{Context, Slots};
use crate::ops::rows::{add_sum_of, add_to_each};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// r[channel] = 1 / √(σ² + ε).
fn inverse_deviation<T: Scalar>(op: &BatchNorm, c: &Context<'_, T>, r: &mut [T]) {
    let epsilon = T::from_f64(op.eps);
    for (r, &v) in r.iter_mut().zip(c.x(VARIANCE)) {
        *r = T::ONE / (v + epsilon).sqrt();
    }
}

/// y = relu(s x + t + r).
pub(super) fn forward<T: Scalar>(op: &BatchNorm, c: &Context<'_, T>, y: &mut [T], scratch: &mut Scratch<T>) {
    let n = c.x(GAMMA).len();
    let (mut s, mut t) = (scratch.take(n), scratch.take(n));
    inverse_deviation(op, c, &mut s);
    for i in 0..n {
        s[i] *= c.x(GAMMA)[i];
        t[i] = c.x(BETA)[i] - c.x(MEAN)[i] * s[i];
    }
    let rows = c.x(X).chunks_exact(n.max(1)).zip(y.chunks_exact_mut(n.max(1)));
    for (x, y) in rows {
        for i in 0..n {
            y[i] = x[i] * s[i] + t[i];
        }
    }
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
    scratch.give(s);
    scratch.give(t);
}

/// ẏ = [y > 0] (s ẋ + γ̇ x̂ + β̇ + ṙ).
pub(super) fn tangent<T: Scalar>(op: &BatchNorm, c: &Context<'_, T>, dy: &mut [T], scratch: &mut Scratch<T>) {
    let n = c.x(GAMMA).len();
    let len = c.len();
    let (mut r, mut s) = (scratch.take(n), scratch.take(n));
    inverse_deviation(op, c, &mut r);
    for i in 0..n {
        s[i] = r[i] * c.x(GAMMA)[i];
    }
    for j in 0..c.tangents {
        let dy = &mut dy[j * len..(j + 1) * len];
        match c.dx(X, j) {
            Some(dx) => {
                for (dx, dy) in dx.chunks_exact(n.max(1)).zip(dy.chunks_exact_mut(n.max(1))) {
                    for i in 0..n {
                        dy[i] = s[i] * dx[i];
                    }
                }
            }
            None => dy.fill(T::ZERO),
        }
        if let Some(dgamma) = c.dx(GAMMA, j) {
            let mean = &c.x(MEAN)[..n];
            let (r, dgamma) = (&r[..n], &dgamma[..n]);
            for (x, dy) in c.x(X).chunks_exact(n.max(1)).zip(dy.chunks_exact_mut(n.max(1))) {
                for i in 0..n {
                    dy[i] += dgamma[i] * r[i] * (x[i] - mean[i]);
                }
            }
        }
        if let Some(dbeta) = c.dx(BETA, j) {
            add_to_each(dy, dbeta);
        }
        if let Some(dr) = c.inputs.get(RESIDUAL).and_then(|r| r.tangent(j)) {
            for (dy, &dr) in dy.iter_mut().zip(dr) {
                *dy += dr;
            }
        }
        if op.relu {
            for (dy, &y) in dy.iter_mut().zip(c.y) {
                *dy = gate::<T, true>(y, *dy);
            }
        }
    }
    scratch.give(r);
    scratch.give(s);
}

/// With ḡ = [y > 0] ȳ: x̄ += s ḡ, γ̄ += Σ ḡ x̂, β̄ += Σ ḡ, r̄ += ḡ.
pub(super) fn adjoint<T: Scalar>(
    op: &BatchNorm,
    c: &Context<'_, T>,
    gx: &mut Slots<'_, T>,
    scratch: &mut Scratch<T>,
) {
    if op.relu {
        adjoint_gated::<T, true>(op, c, gx, scratch)
    } else {
        adjoint_gated::<T, false>(op, c, gx, scratch)
    }
}

fn adjoint_gated<T: Scalar, const RELU: bool>(
    op: &BatchNorm,
    c: &Context<'_, T>,
    gx: &mut Slots<'_, T>,
    scratch: &mut Scratch<T>,
) {
    let n = c.x(GAMMA).len();
    let rows = c.len() / n.max(1);
    let y = if RELU { c.y } else { c.gy };
    let mut r = scratch.take(n);
    inverse_deviation(op, c, &mut r);
    if let Some(slot) = &mut gx[X] {
        let mut s = scratch.take(n);
        for i in 0..n {
            s[i] = r[i] * c.x(GAMMA)[i];
        }
        let (out, accumulate) = slot.write();
        let rows = c.gy.chunks_exact(n.max(1)).zip(y.chunks_exact(n.max(1)));
        for ((gy, y), out) in rows.zip(out.chunks_exact_mut(n.max(1))) {
            for i in 0..n {
                let g = s[i] * gate::<T, RELU>(y[i], gy[i]);
                out[i] = if accumulate { out[i] + g } else { g };
            }
        }
        scratch.give(s);
    }
    if let Some(slot) = &mut gx[GAMMA] {
        let mut sum = scratch.take_zeroed(n);
        let (x, mean) = (c.x(X), c.x(MEAN));
        add_sum_of(rows, &mut sum, |row, first, part| {
            let (at, len) = (row * n + first, part.len());
            let (x, gy, y) = (&x[at..at + len], &c.gy[at..at + len], &y[at..at + len]);
            let mean = &mean[first..first + len];
            for i in 0..len {
                part[i] += gate::<T, RELU>(y[i], gy[i]) * (x[i] - mean[i]);
            }
        });
        slot.write_each(|i| sum[i] * r[i]);
        scratch.give(sum);
    }
    if let Some(slot) = &mut gx[BETA] {
        add_gated_sum::<T, RELU>(y, c.gy, slot.add());
    }
    if let Some(Some(slot)) = gx.get_mut(RESIDUAL) {
        slot.write_each(|i| gate::<T, RELU>(y[i], c.gy[i]));
    }
    scratch.give(r);
}

/// sum += Σ_rows [y > 0] g.
fn add_gated_sum<T: Scalar, const RELU: bool>(y: &[T], g: &[T], sum: &mut [T]) {
    let n = sum.len();
    add_sum_of(g.len() / n.max(1), sum, |row, first, part| {
        let (at, len) = (row * n + first, part.len());
        let (g, y) = (&g[at..at + len], &y[at..at + len]);
        for i in 0..len {
            part[i] += gate::<T, RELU>(y[i], g[i]);
        }
    });
}

/// With ḡ˙ = [y > 0] ȳ˙: x̄˙ += s ḡ˙ + γ̇ ḡ / √(σ² + ε), γ̄˙ += Σ (ḡ˙ x̂ + ḡ x̂˙), β̄˙ += Σ ḡ˙, r̄˙ += ḡ˙.
pub(super) fn adjoint_tangent<T: Scalar>(
    op: &BatchNorm,
    c: &Context<'_, T>,
    dgx: &mut Slots<'_, T>,
    scratch: &mut Scratch<T>,
) {
    if op.relu {
        adjoint_tangent_gated::<T, true>(op, c, dgx, scratch);
    } else {
        adjoint_tangent_gated::<T, false>(op, c, dgx, scratch);
    }
}

fn adjoint_tangent_gated<T: Scalar, const RELU: bool>(
    op: &BatchNorm,
    c: &Context<'_, T>,
    dgx: &mut Slots<'_, T>,
    scratch: &mut Scratch<T>,
) {
    let n = c.x(GAMMA).len();
    let rows = c.len() / n.max(1);
    let y = if RELU { c.y } else { c.gy };
    let mut r = scratch.take(n);
    inverse_deviation(op, c, &mut r);
    if let Some(slot) = &mut dgx[X] {
        let (mut s, mut ds) = (scratch.take(n), scratch.take(n));
        for i in 0..n {
            s[i] = r[i] * c.x(GAMMA)[i];
        }
        for j in 0..c.tangents {
            match c.dx(GAMMA, j) {
                Some(dgamma) => (0..n).for_each(|i| ds[i] = r[i] * dgamma[i]),
                None => ds.fill(T::ZERO),
            }
            let mut part = slot.part(j, c.tangents);
            let (out, accumulate) = part.write();
            let rows = c.gy.chunks_exact(n.max(1)).zip(y.chunks_exact(n.max(1)));
            let rows = rows.zip(c.dgy(j).chunks_exact(n.max(1)));
            for (((gy, y), dgy), out) in rows.zip(out.chunks_exact_mut(n.max(1))) {
                for i in 0..n {
                    let g = gate::<T, RELU>(y[i], s[i] * dgy[i] + ds[i] * gy[i]);
                    out[i] = if accumulate { out[i] + g } else { g };
                }
            }
        }
        slot.set_written();
        scratch.give(s);
        scratch.give(ds);
    }
    if let Some(slot) = &mut dgx[GAMMA] {
        let mut sum = scratch.take(n);
        let (x, mean) = (c.x(X), c.x(MEAN));
        for j in 0..c.tangents {
            sum.fill(T::ZERO);
            let dgy = c.dgy(j);
            add_sum_of(rows, &mut sum, |row, first, part| {
                let (at, len) = (row * n + first, part.len());
                let (x, dgy, y) = (&x[at..at + len], &dgy[at..at + len], &y[at..at + len]);
                let mean = &mean[first..first + len];
                for i in 0..len {
                    part[i] += gate::<T, RELU>(y[i], dgy[i]) * (x[i] - mean[i]);
                }
            });
            if let Some(dx) = c.dx(X, j) {
                add_sum_of(rows, &mut sum, |row, first, part| {
                    let (at, len) = (row * n + first, part.len());
                    let (dx, gy, y) = (&dx[at..at + len], &c.gy[at..at + len], &y[at..at + len]);
                    for i in 0..len {
                        part[i] += gate::<T, RELU>(y[i], gy[i]) * dx[i];
                    }
                });
            }
            slot.part(j, c.tangents).write_each(|i| sum[i] * r[i]);
        }
        slot.set_written();
        scratch.give(sum);
    }
    if let Some(slot) = &mut dgx[BETA] {
        let sums = slot.add();
        for j in 0..c.tangents {
            add_gated_sum::<T, RELU>(y, c.dgy(j), &mut sums[j * n..(j + 1) * n]);
        }
    }
    if let Some(Some(slot)) = dgx.get_mut(RESIDUAL) {
        for j in 0..c.tangents {
            let dgy = c.dgy(j);
            slot.part(j, c.tangents).write_each(|i| gate::<T, RELU>(y[i], dgy[i]));
        }
        slot.set_written();
    }
    scratch.give(r);
}
