//! The four passes of a bilinear map y = A(x₀) · B(x₁), shared by the matrix operations.

use super::contraction::Contraction;
use crate::op::{Context, Slots};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// y = A B.
pub(super) fn forward<T: Scalar>(f: &Contraction, c: &Context<'_, T>, y: &mut [T], scratch: &mut Scratch<T>) {
    f.forward(c.x(0), c.x(1), y, false, scratch);
}

/// ẏ = Ȧ B + A Ḃ.
pub(super) fn tangent<T: Scalar>(
    f: &Contraction,
    c: &Context<'_, T>,
    dy: &mut [T],
    scratch: &mut Scratch<T>,
) {
    let len = c.len();
    let mut written = false;
    if let (Some(da), Some(f)) = (c.inputs[0].tangent, f.stacked(c.tangents)) {
        f.forward(da, c.x(1), dy, false, scratch);
        written = true;
    }
    for j in 0..c.tangents {
        let dy = &mut dy[j * len..(j + 1) * len];
        let mut accumulate = written;
        if let Some(da) = c.dx(0, j).filter(|_| !written) {
            f.forward(da, c.x(1), dy, false, scratch);
            accumulate = true;
        }
        match c.dx(1, j) {
            Some(db) => f.forward(c.x(0), db, dy, accumulate, scratch),
            None if !accumulate => dy.fill(T::ZERO),
            None => {}
        }
    }
}

/// Ā += Ȳ Bᵀ, B̄ += Aᵀ Ȳ.
pub(super) fn adjoint<T: Scalar>(
    f: &Contraction,
    c: &Context<'_, T>,
    gx: &mut Slots<'_, T>,
    scratch: &mut Scratch<T>,
) {
    if let Some(slot) = &mut gx[0] {
        let (ga, accumulate) = slot.write();
        f.adjoint_a(c.gy, c.x(1), ga, accumulate, scratch);
    }
    if let Some(slot) = &mut gx[1] {
        let (gb, accumulate) = slot.write();
        f.adjoint_b(c.gy, c.x(0), gb, accumulate, scratch);
    }
}

/// Ā˙ += Ȳ˙ Bᵀ + Ȳ Ḃᵀ, B̄˙ += Aᵀ Ȳ˙ + Ȧᵀ Ȳ.
pub(super) fn adjoint_tangent<T: Scalar>(
    f: &Contraction,
    c: &Context<'_, T>,
    dgx: &mut Slots<'_, T>,
    scratch: &mut Scratch<T>,
) {
    if let Some(slot) = &mut dgx[0] {
        let (dga, mut accumulate) = slot.write();
        let len = c.x(0).len();
        let stacked = f.stacked(c.tangents);
        if let Some(f) = &stacked {
            f.adjoint_a(c.dgy, c.x(1), dga, accumulate, scratch);
            accumulate = true;
        }
        for j in 0..c.tangents {
            let dga = &mut dga[j * len..(j + 1) * len];
            if stacked.is_none() {
                f.adjoint_a(c.dgy(j), c.x(1), dga, accumulate, scratch);
            }
            if let Some(db) = c.dx(1, j) {
                f.adjoint_a(c.gy, db, dga, true, scratch);
            }
        }
    }
    if let Some(slot) = &mut dgx[1] {
        let (dgb, accumulate) = slot.write();
        let len = c.x(1).len();
        for j in 0..c.tangents {
            let dgb = &mut dgb[j * len..(j + 1) * len];
            f.adjoint_b(c.dgy(j), c.x(0), dgb, accumulate, scratch);
            if let Some(da) = c.dx(0, j) {
                f.adjoint_b(c.gy, da, dgb, true, scratch);
            }
        }
    }
}
