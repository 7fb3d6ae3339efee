//! The four passes of a bilinear map y = A(x₀) · B(x₁), shared by the matrix operations.

use super::contraction::Contraction;
use super::rows;
use crate::op::{Context, Slots};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// y = A B, plus `row` on every row of y (an empty one is none).
pub(super) fn forward<T: Scalar>(
    f: &Contraction,
    c: &Context<'_, T>,
    row: &[T],
    y: &mut [T],
    scratch: &mut Scratch<T>,
) {
    f.forward(&[(c.x(0), c.x(1))], row, y, scratch);
}

/// ẏ = Ȧ B + A Ḃ, plus `row(j)` on every row of tangent j (an empty one is none).
pub(super) fn tangent<'r, T: Scalar>(
    f: &Contraction,
    c: &Context<'_, T>,
    row: impl Fn(usize) -> &'r [T],
    dy: &mut [T],
    scratch: &mut Scratch<T>,
) {
    let len = c.len();
    if let (Some(da), None, Some(f)) = (c.inputs[0].tangent, c.inputs[1].tangent, f.stacked(c.tangents))
        && (0..c.tangents).all(|j| row(j).is_empty())
    {
        // All tangents in one product.
        f.forward(&[(da, c.x(1))], &[], dy, scratch);
        return;
    }
    for j in 0..c.tangents {
        let dy = &mut dy[j * len..(j + 1) * len];
        match (c.dx(0, j), c.dx(1, j)) {
            (Some(da), Some(db)) => f.forward(&[(da, c.x(1)), (c.x(0), db)], row(j), dy, scratch),
            (Some(da), None) => f.forward(&[(da, c.x(1))], row(j), dy, scratch),
            (None, Some(db)) => f.forward(&[(c.x(0), db)], row(j), dy, scratch),
            (None, None) => {
                dy.fill(T::ZERO);
                if !row(j).is_empty() {
                    rows::add_to_each(dy, row(j));
                }
            }
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
        let (dga, accumulate) = slot.write();
        let len = c.x(0).len();
        let stacked = f.stacked(c.tangents).filter(|_| c.inputs[1].tangent.is_none());
        if let Some(f) = stacked {
            f.adjoint_a(c.dgy, c.x(1), dga, accumulate, scratch);
        } else {
            for j in 0..c.tangents {
                let dga = &mut dga[j * len..(j + 1) * len];
                match c.dx(1, j) {
                    Some(db) => {
                        f.adjoint_a_pair([(c.dgy(j), c.x(1)), (c.gy, db)], dga, accumulate, scratch);
                    }
                    None => f.adjoint_a(c.dgy(j), c.x(1), dga, accumulate, scratch),
                }
            }
        }
    }
    if let Some(slot) = &mut dgx[1] {
        let (dgb, accumulate) = slot.write();
        let len = c.x(1).len();
        for j in 0..c.tangents {
            let dgb = &mut dgb[j * len..(j + 1) * len];
            match c.dx(0, j) {
                Some(da) => f.adjoint_b_pair([(c.dgy(j), c.x(0)), (c.gy, da)], dgb, accumulate, scratch),
                None => f.adjoint_b(c.dgy(j), c.x(0), dgb, accumulate, scratch),
            }
        }
    }
}
