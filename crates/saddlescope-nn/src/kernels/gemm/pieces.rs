//! Copying factors of a matrix product as sums of three 16-bit numbers, in the order in which tiles read them.
//!
//! A number of `f32` has 24 significant bits, one of `bf16` has 8 and the same exponents, so that x = x₁ + x₂ + x₃ exactly, with
//! |x₂| ≤ 2⁻⁸ |x| and |x₃| ≤ 2⁻¹⁶ |x|. (Where |x| < 2⁻¹⁰⁹, pieces below the smallest normal number count as zero. An infinite x
//! leaves x₂ = NaN.)

use std::arch::x86_64::*;

/// Rows or columns of a tile.
pub(super) const SIDE: usize = 16;

/// Terms of a sum that one step of the tiles adds.
pub(super) const TERMS: usize = 32;

/// Numbers of `f32` that one tile takes: 16 rows of 64 bytes.
pub(super) const TILE: usize = 256;

/// Tiles of each piece, side by side: a strip of A and a panel of B are 32 rows and 32 columns wide.
pub(super) const BESIDE: usize = 2;

/// Numbers of `f32` that one step of a strip or a panel takes.
pub(super) const STEP: usize = 3 * BESIDE * TILE;

/// Which factor a tile belongs to: rows of A lie in rows of a tile, columns of B in pairs of columns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// Part of a factor: up to 16 lines (rows of A, columns of B) of up to 32 terms.
#[derive(Clone, Copy)]
pub(super) struct Lines<'a> {
    /// The factor from the first line's first term on.
    pub from: &'a [f32],
    /// Numbers between lines, and between terms of a line.
    pub strides: [usize; 2],
    pub lines: usize,
    pub terms: usize,
}

/// The three pieces of 16 pairs of numbers, `low` in the low halves.
#[inline]
#[target_feature(enable = "avx512f")]
fn split(low: __m512, high: __m512) -> [__m512i; 3] {
    let half = _mm512_set1_epi32(0x8000);
    let upper = _mm512_set1_epi32(0xffff_0000_u32.cast_signed());
    // Rounded to the 16 upper bits, a tie away from zero.
    let round = |x: __m512| {
        _mm512_castsi512_ps(_mm512_and_si512(_mm512_add_epi32(_mm512_castps_si512(x), half), upper))
    };
    let pieces = |x: __m512| {
        let first = round(x);
        let rest = _mm512_sub_ps(x, first);
        let second = round(rest);
        [first, second, _mm512_sub_ps(rest, second)].map(|x| _mm512_castps_si512(x))
    };
    let (low, high) = (pieces(low), pieces(high));
    [0, 1, 2].map(|i| _mm512_or_si512(_mm512_srli_epi32::<16>(low[i]), high[i]))
}

/// Loads the first `count` ≤ 16 numbers at `at`, other lanes 0.
#[inline]
#[target_feature(enable = "avx512f")]
fn load(from: &[f32], at: usize, count: usize) -> __m512 {
    if count == 0 {
        return _mm512_setzero_ps();
    }
    assert!(at + count <= from.len(), "factor too short");
    // SAFETY: only the lanes below `count` are read, which lie inside the slice.
    unsafe { _mm512_maskz_loadu_ps(u16::MAX >> (SIDE - count), from.as_ptr().add(at)) }
}

impl Lines<'_> {
    /// Row `i` of half `half` of the terms, as it lies in memory: 16 terms of line i, or term i of all lines.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn row<const WHOLE: bool>(&self, along_terms: bool, half: usize, i: usize) -> __m512 {
        let first = half * SIDE;
        let (at, count) = if along_terms {
            let count = if i < self.lines { self.terms.saturating_sub(first).min(SIDE) } else { 0 };
            (i * self.strides[0] + first, count)
        } else {
            (((first + i) * self.strides[1]), if first + i < self.terms { self.lines } else { 0 })
        };
        load(self.from, at, if WHOLE { SIDE } else { count })
    }

    /// Writes the tiles of the three pieces to the first of the [`BESIDE`] places of one step, lines and terms that do not exist as
    /// zeros. Terms l and 16 + l are neighbours in both factors.
    #[target_feature(enable = "avx512f")]
    pub(super) fn copy(&self, side: Side, to: &mut [f32]) {
        assert!(self.lines <= SIDE && self.terms <= TERMS);
        let along_terms = self.strides[1] == 1;
        if !along_terms && self.strides[0] != 1 {
            // Neither lies side by side.
            let mut together = [0.0; SIDE * TERMS];
            for i in 0..self.lines {
                for l in 0..self.terms {
                    together[i * TERMS + l] = self.from[i * self.strides[0] + l * self.strides[1]];
                }
            }
            Lines { from: &together, strides: [TERMS, 1], ..*self }.copy(side, to);
            return;
        }
        if self.lines == SIDE && self.terms == TERMS {
            self.copy_rows::<true>(along_terms, side, to);
        } else {
            self.copy_rows::<false>(along_terms, side, to);
        }
    }

    /// As [`Lines::copy`], of lines or terms that lie side by side; `WHOLE`: there are 16 lines of 32 terms.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn copy_rows<const WHOLE: bool>(&self, along_terms: bool, side: Side, to: &mut [f32]) {
        assert!(to.len() >= 2 * BESIDE * TILE + TILE, "no room for the tiles");
        let mut store = |i: usize, low: __m512, high: __m512| {
            for (piece, v) in split(low, high).into_iter().enumerate() {
                // SAFETY: 16 numbers from there lie inside `to` by the assert, since i < 16.
                unsafe {
                    let to = to.as_mut_ptr().add(piece * BESIDE * TILE + i * SIDE);
                    _mm512_storeu_ps(to, _mm512_castsi512_ps(v));
                }
            }
        };
        if along_terms == (side == Side::Left) {
            for i in 0..SIDE {
                store(i, self.row::<WHOLE>(along_terms, 0, i), self.row::<WHOLE>(along_terms, 1, i));
            }
        } else {
            let low = transposed(std::array::from_fn(|i| self.row::<WHOLE>(along_terms, 0, i)));
            let high = transposed(std::array::from_fn(|i| self.row::<WHOLE>(along_terms, 1, i)));
            for i in 0..SIDE {
                store(i, low[i], high[i]);
            }
        }
    }
}

/// Transposes a square of 16 × 16 numbers.
#[inline]
#[target_feature(enable = "avx512f")]
fn transposed(rows: [__m512; SIDE]) -> [__m512; SIDE] {
    let mut pairs = rows;
    for i in (0..SIDE).step_by(2) {
        pairs[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
    }
    // Block b of fours[4q + c] holds column 4b + c of rows 4q to 4q + 3.
    let mut fours = rows;
    for q in 0..4 {
        for h in 0..2 {
            let (a, b) = (_mm512_castps_pd(pairs[4 * q + h]), _mm512_castps_pd(pairs[4 * q + h + 2]));
            fours[4 * q + 2 * h] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            fours[4 * q + 2 * h + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    }
    let mut columns = rows;
    for c in 0..4 {
        let (a, b, d, e) = (fours[c], fours[4 + c], fours[8 + c], fours[12 + c]);
        let even = [_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0x88>(d, e)];
        let odd = [_mm512_shuffle_f32x4::<0xdd>(a, b), _mm512_shuffle_f32x4::<0xdd>(d, e)];
        columns[c] = _mm512_shuffle_f32x4::<0x88>(even[0], even[1]);
        columns[4 + c] = _mm512_shuffle_f32x4::<0x88>(odd[0], odd[1]);
        columns[8 + c] = _mm512_shuffle_f32x4::<0xdd>(even[0], even[1]);
        columns[12 + c] = _mm512_shuffle_f32x4::<0xdd>(odd[0], odd[1]);
    }
    columns
}
