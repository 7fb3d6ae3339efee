//! The inner loops over one chunk of rows of a basis, compiled once for any processor and once for AVX2.
//!
//! Both give the same bits: every sum runs over eight fixed lanes, columns are taken in their order, and no
//! multiplication is fused with an addition. Four columns are taken at a time so that the vector they all meet is
//! read and written once for the four.

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

const LANES: usize = 8;
const TILE: usize = 4;

/// qᵢ · w for K columns of the length of w.
#[inline(always)]
fn dot_tile<T: Scalar, const K: usize>(q: [&[T]; K], w: &[f64]) -> [f64; K] {
    let mut sums = [[0.0f64; LANES]; K];
    let whole = w.len() / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        let w: &[f64] = &w[start..start + LANES];
        for k in 0..K {
            let q = &q[k][start..start + LANES];
            for l in 0..LANES {
                sums[k][l] += q[l].widen() * w[l];
            }
        }
    }
    let mut out = [0.0; K];
    for k in 0..K {
        let rest: f64 = q[k][whole..].iter().zip(&w[whole..]).map(|(q, w)| q.widen() * w).sum();
        out[k] = reduce(sums[k]) + rest;
    }
    out
}

#[inline(always)]
fn dots_body<T: Scalar>(columns: &[&[T]], w: &[f64], out: &mut Vec<f64>) {
    let mut tiles = columns.chunks_exact(TILE);
    for t in &mut tiles {
        out.extend(dot_tile([t[0], t[1], t[2], t[3]], w));
    }
    for q in tiles.remainder() {
        out.extend(dot_tile([q], w));
    }
}

#[inline(always)]
fn subtract_tile<T: Scalar, const K: usize>(q: [&[T]; K], c: [f64; K], w: &mut [f64]) {
    let q = q.map(|q| &q[..w.len()]);
    for i in 0..w.len() {
        let mut x = w[i];
        for k in 0..K {
            x -= c[k] * q[k][i].widen();
        }
        w[i] = x;
    }
}

#[inline(always)]
fn subtract_body<T: Scalar>(columns: &[&[T]], c: &[f64], w: &mut [f64]) {
    let whole = columns.len() / TILE * TILE;
    for (t, c) in columns[..whole].chunks_exact(TILE).zip(c.chunks_exact(TILE)) {
        subtract_tile([t[0], t[1], t[2], t[3]], [c[0], c[1], c[2], c[3]], w);
    }
    for (q, &c) in columns[whole..].iter().zip(&c[whole..]) {
        subtract_tile([q], [c], w);
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod avx2 {
    use super::{Scalar, dots_body, subtract_body};

    #[target_feature(enable = "avx2")]
    fn dots_avx2<T: Scalar>(columns: &[&[T]], w: &[f64], out: &mut Vec<f64>) {
        dots_body(columns, w, out);
    }

    #[target_feature(enable = "avx2")]
    fn subtract_avx2<T: Scalar>(columns: &[&[T]], c: &[f64], w: &mut [f64]) {
        subtract_body(columns, c, w);
    }

    pub(super) fn dots<T: Scalar>(columns: &[&[T]], w: &[f64], out: &mut Vec<f64>) -> bool {
        let found = std::arch::is_x86_feature_detected!("avx2");
        if found {
            // SAFETY: the processor has AVX2, as just detected; nothing else is required of the call.
            unsafe { dots_avx2(columns, w, out) };
        }
        found
    }

    pub(super) fn subtract<T: Scalar>(columns: &[&[T]], c: &[f64], w: &mut [f64]) -> bool {
        let found = std::arch::is_x86_feature_detected!("avx2");
        if found {
            // SAFETY: the processor has AVX2, as just detected; nothing else is required of the call.
            unsafe { subtract_avx2(columns, c, w) };
        }
        found
    }
}

/// Appends qᵢ · w for every column, all of the length of w.
pub(crate) fn dots<T: Scalar>(columns: &[&[T]], w: &[f64], out: &mut Vec<f64>) {
    #[cfg(target_arch = "x86_64")]
    if avx2::dots(columns, w, out) {
        return;
    }
    dots_body(columns, w, out);
}

/// w ← w − Σ cᵢ qᵢ, all columns of the length of w.
pub(crate) fn subtract<T: Scalar>(columns: &[&[T]], c: &[f64], w: &mut [f64]) {
    #[cfg(target_arch = "x86_64")]
    if avx2::subtract(columns, c, w) {
        return;
    }
    subtract_body(columns, c, w);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stream;

    #[test]
    fn vector_width_does_not_change_the_bits() {
        for (k, n) in [(1, 5), (4, 64), (7, 100), (13, 2048)] {
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
            let (mut c, mut plain) = (Vec::new(), Vec::new());
            dots(&columns, &w, &mut c);
            dots_body(&columns, &w, &mut plain);
            assert_eq!(c, plain);
            let mut v = w.clone();
            subtract(&columns, &c, &mut w);
            subtract_body(&columns, &c, &mut v);
            assert_eq!(w, v);
            let exact: f64 = columns[0].iter().zip(&v).map(|(q, w)| f64::from(*q) * w).sum();
            let mut after = Vec::new();
            dots(&columns, &w, &mut after);
            assert!((after[0] - exact).abs() < 1e-9 * (1.0 + exact.abs()));
        }
    }
}
