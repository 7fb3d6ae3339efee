//! The inner loops over one chunk of rows of a basis, compiled for any processor, for AVX2 and for AVX-512.
//!
//! All give the same bits: every sum runs over eight fixed lanes, columns are taken in their order, and no
//! multiplication is fused with an addition. Four or eight columns are taken at a time so that the vector they all meet is
//! read and written once for them.

use crate::vector::reduce;

/// A number of the basis: stored as f32 or f64, computed with as f64.
pub(crate) trait Scalar: Copy + Send + Sync {
    /// The number as f64.
    fn widen(self) -> f64;
    /// 0.
    const ZERO: Self;
    /// The nearest number that can be stored.
    fn round(x: f64) -> Self;
}

impl Scalar for f32 {
    const ZERO: Self = 0.0;
    #[inline(always)]
    fn widen(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn round(x: f64) -> Self {
        x as f32
    }
}

impl Scalar for f64 {
    const ZERO: Self = 0.0;
    #[inline(always)]
    fn widen(self) -> f64 {
        self
    }
    #[inline(always)]
    fn round(x: f64) -> Self {
        x
    }
}

/// Sums of a dot product that run side by side. Changing it changes bits.
const LANES: usize = 8;

/// How far ahead of the rows being worked on memory is asked for, in bytes. Without it a core gets half of what the memory could
/// deliver, since a column is left after a block of rows, just when the processor has recognised it as a stream.
const AHEAD: usize = 512;

/// Eight rows of one column.
type Rows<T> = [T; LANES];

/// The columns of a tile, all of the same number of rows: eight rows at a time, then the rest.
struct Tile<'a, T, const K: usize> {
    rows: [&'a [Rows<T>]; K],
    rest: [&'a [T]; K],
}

#[allow(unsafe_code)]
impl<'a, T: Scalar, const K: usize> Tile<'a, T, K> {
    /// The first `len` rows of columns.
    #[inline(always)]
    fn of(columns: [&'a [T]; K], len: usize) -> Self {
        let split = columns.map(|q| q[..len].as_chunks());
        Self { rows: split.map(|(rows, _)| rows), rest: split.map(|(_, rest)| rest) }
    }

    /// Eight rows of column k, widened; what lies [`AHEAD`] of them is asked for.
    ///
    /// # Safety
    /// `i` is below `len / LANES`.
    #[inline(always)]
    unsafe fn eight(&self, k: usize, i: usize) -> Rows<f64> {
        debug_assert!(i < self.rows[k].len());
        ask_ahead(self.rows[k].as_ptr().wrapping_add(i));
        // SAFETY: by the caller. The compiler does not see that columns are equally long, and a test for each of them
        // would take as long as the sums.
        unsafe { self.rows[k].get_unchecked(i) }.map(Scalar::widen)
    }
}

/// Asks for the line of the cache that is [`AHEAD`] of `place`. That address may lie outside of the column.
#[inline(always)]
#[allow(unsafe_code)]
fn ask_ahead<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a request reads nothing and never faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(place.wrapping_byte_add(AHEAD).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// qᵢ · w for K columns of the length of w.
#[inline(always)]
#[allow(unsafe_code)]
fn dot_tile<T: Scalar, const K: usize>(q: [&[T]; K], w: &[f64]) -> [f64; K] {
    let tile = Tile::of(q, w.len());
    let mut sums = [[0.0f64; LANES]; K];
    let (whole, w_rest) = w.as_chunks::<LANES>();
    for (i, w) in whole.iter().enumerate() {
        for k in 0..K {
            // SAFETY: w has as many rows as the tile.
            let q = unsafe { tile.eight(k, i) };
            for l in 0..LANES {
                sums[k][l] += q[l] * w[l];
            }
        }
    }
    let mut out = [0.0; K];
    for k in 0..K {
        let rest: f64 = tile.rest[k].iter().zip(w_rest).map(|(q, w)| q.widen() * w).sum();
        out[k] = reduce(sums[k]) + rest;
    }
    out
}

#[inline(always)]
fn dots_body<T: Scalar, const K: usize>(columns: &[&[T]], w: &[f64], out: &mut Vec<f64>) {
    let (tiles, rest) = columns.as_chunks::<K>();
    for &tile in tiles {
        out.extend(dot_tile(tile, w));
    }
    let (halves, rest) = rest.as_chunks::<TILE>();
    for &tile in halves {
        out.extend(dot_tile(tile, w));
    }
    for &q in rest {
        out.extend(dot_tile([q], w));
    }
}

#[inline(always)]
#[allow(unsafe_code)]
fn subtract_tile<T: Scalar, const K: usize>(q: [&[T]; K], c: [f64; K], w: &mut [f64]) {
    let tile = Tile::of(q, w.len());
    let (whole, w_rest) = w.as_chunks_mut::<LANES>();
    for (i, w) in whole.iter_mut().enumerate() {
        let mut x = *w;
        for k in 0..K {
            // SAFETY: w has as many rows as the tile.
            let q = unsafe { tile.eight(k, i) };
            for l in 0..LANES {
                x[l] -= c[k] * q[l];
            }
        }
        *w = x;
    }
    for k in 0..K {
        for (w, q) in w_rest.iter_mut().zip(tile.rest[k]) {
            *w -= c[k] * q.widen();
        }
    }
}

#[inline(always)]
fn subtract_body<T: Scalar, const K: usize>(columns: &[&[T]], c: &[f64], w: &mut [f64]) {
    let (tiles, rest) = columns.as_chunks::<K>();
    let (c_tiles, c_rest) = c.as_chunks::<K>();
    for (&tile, &c) in tiles.iter().zip(c_tiles) {
        subtract_tile(tile, c, w);
    }
    let (halves, rest) = rest.as_chunks::<TILE>();
    let (c_halves, c_rest) = c_rest.as_chunks::<TILE>();
    for (&tile, &c) in halves.iter().zip(c_halves) {
        subtract_tile(tile, c, w);
    }
    for (&q, &c) in rest.iter().zip(c_rest) {
        subtract_tile([q], [c], w);
    }
}

/// Columns that are taken at a time: with AVX-512 the sums of eight fit its registers, else those of four.
const WIDE_TILE: usize = 8;
const TILE: usize = 4;

/// Both loops, compiled for a processor that has `$feature`; they do nothing and return false where it has not.
#[cfg(target_arch = "x86_64")]
macro_rules! compiled_for {
    ($name:ident, $feature:tt, $tile:expr) => {
        #[allow(unsafe_code)]
        mod $name {
            use super::{Scalar, dots_body, subtract_body};

            #[target_feature(enable = $feature)]
            fn dots_there<T: Scalar>(columns: &[&[T]], w: &[f64], out: &mut Vec<f64>) {
                dots_body::<T, { $tile }>(columns, w, out);
            }

            #[target_feature(enable = $feature)]
            fn subtract_there<T: Scalar>(columns: &[&[T]], c: &[f64], w: &mut [f64]) {
                subtract_body::<T, { $tile }>(columns, c, w);
            }

            pub(super) fn dots<T: Scalar>(columns: &[&[T]], w: &[f64], out: &mut Vec<f64>) -> bool {
                let found = std::arch::is_x86_feature_detected!($feature);
                if found {
                    // SAFETY: the processor has the instructions, as just detected; nothing else is required of the call.
                    unsafe { dots_there(columns, w, out) };
                }
                found
            }

            pub(super) fn subtract<T: Scalar>(columns: &[&[T]], c: &[f64], w: &mut [f64]) -> bool {
                let found = std::arch::is_x86_feature_detected!($feature);
                if found {
                    // SAFETY: the processor has the instructions, as just detected; nothing else is required of the call.
                    unsafe { subtract_there(columns, c, w) };
                }
                found
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
compiled_for!(avx512, "avx512f", super::WIDE_TILE);
#[cfg(target_arch = "x86_64")]
compiled_for!(avx2, "avx2", super::TILE);

/// Appends qᵢ · w for every column, all of the length of w.
pub(crate) fn dots<T: Scalar>(columns: &[&[T]], w: &[f64], out: &mut Vec<f64>) {
    #[cfg(target_arch = "x86_64")]
    if avx512::dots(columns, w, out) || avx2::dots(columns, w, out) {
        return;
    }
    dots_body::<T, TILE>(columns, w, out);
}

/// w ← w − Σ cᵢ qᵢ, all columns of the length of w.
pub(crate) fn subtract<T: Scalar>(columns: &[&[T]], c: &[f64], w: &mut [f64]) {
    #[cfg(target_arch = "x86_64")]
    if avx512::subtract(columns, c, w) || avx2::subtract(columns, c, w) {
        return;
    }
    subtract_body::<T, TILE>(columns, c, w);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stream;

    type Dots = fn(&[&[f32]], &[f64], &mut Vec<f64>);
    type Subtract = fn(&[&[f32]], &[f64], &mut [f64]);

    /// The loops for AVX2, those for AVX-512, and what is chosen, where this processor has them.
    fn compiled() -> Vec<(&'static str, Dots, Subtract)> {
        let mut all: Vec<(&'static str, Dots, Subtract)> = vec![
            ("any processor, tiles of 8", dots_body::<f32, WIDE_TILE>, subtract_body::<f32, WIDE_TILE>),
            ("chosen", dots, subtract),
        ];
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx2") {
                all.push((
                    "AVX2",
                    |q, w, out| assert!(avx2::dots(q, w, out)),
                    |q, c, w| {
                        assert!(avx2::subtract(q, c, w));
                    },
                ));
            }
            if std::arch::is_x86_feature_detected!("avx512f") {
                all.push((
                    "AVX-512",
                    |q, w, out| assert!(avx512::dots(q, w, out)),
                    |q, c, w| {
                        assert!(avx512::subtract(q, c, w));
                    },
                ));
            }
        }
        all
    }

    #[test]
    fn vector_width_does_not_change_the_bits() {
        for (k, n) in [(1, 5), (4, 64), (7, 100), (13, 2048), (21, 1037)] {
            let columns: Vec<Vec<f32>> = (0..k)
                .map(|i| {
                    let mut q = vec![0.0; n];
                    Stream::new(1, "q", i).fill_normal_f32(&mut q);
                    q
                })
                .collect();
            let columns: Vec<&[f32]> = columns.iter().map(Vec::as_slice).collect();
            let mut w = vec![0.0; n];
            Stream::new(1, "w", 0).fill_normal(&mut w);
            let mut plain = Vec::new();
            dots_body::<f32, TILE>(&columns, &w, &mut plain);
            let mut left = w.clone();
            subtract_body::<f32, TILE>(&columns, &plain, &mut left);
            for (name, dots, subtract) in compiled() {
                let (mut c, mut v) = (Vec::new(), w.clone());
                dots(&columns, &w, &mut c);
                assert_eq!(c, plain, "{name}");
                subtract(&columns, &c, &mut v);
                assert_eq!(v, left, "{name}");
            }
            // Against sums in the order of the rows, to the rounding of as many terms.
            for (q, c) in columns.iter().zip(&plain) {
                let exact: f64 = q.iter().zip(&w).map(|(q, w)| f64::from(*q) * w).sum();
                let terms: f64 = q.iter().zip(&w).map(|(q, w)| (f64::from(*q) * w).abs()).sum();
                assert!((c - exact).abs() <= n as f64 * f64::EPSILON * terms, "{c} {exact}");
            }
            for (i, x) in left.iter().enumerate() {
                let taken: f64 = columns.iter().zip(&plain).map(|(q, c)| c * f64::from(q[i])).sum();
                let sizes: f64 =
                    columns.iter().zip(&plain).map(|(q, c)| (c * f64::from(q[i])).abs()).sum::<f64>()
                        + w[i].abs();
                assert!((x - (w[i] - taken)).abs() <= 2.0 * (k + 1) as f64 * f64::EPSILON * sizes, "row {i}");
            }
        }
    }
}
