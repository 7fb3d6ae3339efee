//! Dot products and updates of long vectors: the same bits on any number of threads.
//!
//! Every sum runs over fixed chunks, each chunk over fixed lanes, and the chunks are added in their order.

use rayon::prelude::*;

/// Entries of a chunk: one chunk of a vector fits the first-level cache, and that of a whole basis the second.
pub(crate) const CHUNK: usize = 2048;

/// Independent partial sums inside a chunk, so that the compiler may use vector registers.
const LANES: usize = 8;

/// x · y over one piece, eight interleaved sums.
#[inline]
pub(crate) fn dot_chunk(x: &[f64], y: &[f64]) -> f64 {
    let mut sums = [0.0f64; LANES];
    let (xc, yc) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let rest: f64 = xc.remainder().iter().zip(yc.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in xc.zip(yc) {
        for l in 0..LANES {
            sums[l] += x[l] * y[l];
        }
    }
    reduce(sums) + rest
}

#[inline]
pub(crate) fn reduce(s: [f64; LANES]) -> f64 {
    ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]))
}

/// x · y.
pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    let partial: Vec<f64> =
        x.par_chunks(CHUNK).zip(y.par_chunks(CHUNK)).map(|(x, y)| dot_chunk(x, y)).collect();
    partial.iter().sum()
}

/// ‖x‖₂.
pub(crate) fn norm(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

/// y ← y + a x.
pub(crate) fn axpy(a: f64, x: &[f64], y: &mut [f64]) {
    y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| {
        for (y, x) in y.iter_mut().zip(x) {
            *y += a * x;
        }
    });
}

/// x ← a x.
pub(crate) fn scale(a: f64, x: &mut [f64]) {
    x.par_chunks_mut(CHUNK).for_each(|x| x.iter_mut().for_each(|x| *x *= a));
}

/// Makes the entry of largest magnitude (the first of equals) positive, so that an eigenvector has one sign.
pub(crate) fn fix_sign(x: &mut [f64]) {
    let mut largest = 0.0f64;
    for &v in x.iter() {
        if v.abs() > largest.abs() {
            largest = v;
        }
    }
    if largest < 0.0 {
        x.iter_mut().for_each(|x| *x = -*x);
    }
}

/// ‖Av − λv‖₂ for an image Av.
pub(crate) fn residual_norm(image: &[f64], value: f64, v: &[f64]) -> f64 {
    let partial: Vec<f64> = image
        .par_chunks(CHUNK)
        .zip(v.par_chunks(CHUNK))
        .map(|(a, v)| a.iter().zip(v).map(|(a, v)| (a - value * v).powi(2)).sum())
        .collect();
    partial.iter().sum::<f64>().sqrt()
}
