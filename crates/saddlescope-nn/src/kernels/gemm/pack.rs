//! Copying a block of the right factor into panels: two vectors wide, one step of the sum after the other.

use super::super::simd::Simd;
use crate::scalar::Scalar;

/// Numbers that the panels of a block take.
pub(super) fn panels_len<S: Simd>(depth: usize, columns: usize) -> usize {
    columns.next_multiple_of(2 * S::LANES) * depth
}

/// Copies `depth` × `columns` numbers of B that begin at `b[0]`, with the strides given, into panels padded with zeros.
#[inline(always)]
pub(super) fn pack<T: Scalar, S: Simd<T = T>>(
    s: S,
    b: &[T],
    strides: [usize; 2],
    depth: usize,
    columns: usize,
    to: &mut [T],
) {
    let width = 2 * S::LANES;
    assert!(to.len() >= panels_len::<S>(depth, columns), "no room for the panels");
    if strides[1] == 1 {
        // Whole rows of the block, so that they are read from memory as they lie there.
        let whole = columns / width * width;
        for l in 0..depth {
            let from = &b[l * strides[0]..][..columns];
            for first in (0..whole).step_by(width) {
                // SAFETY: `first + width <= whole <= columns`, the length of `from`; the panel's step l lies inside `to`, which
                // holds all panels by the assert.
                unsafe {
                    for half in [0, S::LANES] {
                        s.store(s.load(from, first + half), to, first * depth + l * width + half);
                    }
                }
            }
            if whole < columns {
                let to = &mut to[whole * depth + l * width..][..width];
                let count = columns - whole;
                // SAFETY: `count` numbers follow in `from`; `to` is two vectors long.
                unsafe {
                    for half in [0, S::LANES] {
                        let count = count.saturating_sub(half).min(S::LANES);
                        let rest = if count > 0 { s.load_part(from, whole + half, count) } else { s.zero() };
                        s.store(rest, to, half);
                    }
                }
            }
        }
        return;
    }
    for (p, first) in (0..columns).step_by(width).enumerate() {
        let panel = &mut to[p * width * depth..(p + 1) * width * depth];
        let count = width.min(columns - first);
        columns_to_panel(s, &b[first * strides[1]..], strides, depth, count, panel);
    }
}

/// Vectors ahead of which a strided factor is asked for while it is copied.
const AHEAD: usize = 3;

/// One panel whose columns lie in memory one after the other (or anyhow).
#[inline(always)]
fn columns_to_panel<T: Scalar, S: Simd<T = T>>(
    s: S,
    b: &[T],
    [row, column]: [usize; 2],
    depth: usize,
    count: usize,
    panel: &mut [T],
) {
    let width = 2 * S::LANES;
    let mut done = 0;
    if row == 1 && count == width {
        // Whole squares are transposed in registers.
        while done + S::LANES <= depth {
            for half in 0..2 {
                let from = &b[half * S::LANES * column + done..];
                let to = &mut panel[done * width + half * S::LANES..];
                assert!(from.len() >= (S::LANES - 1) * column + S::LANES);
                assert!(to.len() >= (S::LANES - 1) * width + S::LANES);
                for j in 0..S::LANES {
                    s.prefetch(from, j * column + AHEAD * S::LANES);
                }
                // SAFETY: the asserts above.
                unsafe { s.transpose(from, column, to, width) };
            }
            done += S::LANES;
        }
    }
    for l in done..depth {
        let to = &mut panel[l * width..(l + 1) * width];
        for (j, to) in to[..count].iter_mut().enumerate() {
            *to = b[l * row + j * column];
        }
        to[count..].fill(T::ZERO);
    }
}
