//! Dot products and updates of long vectors: the same bits on any number of threads.
//!
//! Every sum runs over fixed blocks of entries, each block over fixed lanes, and the sums of the blocks are added in
//! a fixed binary tree.

use rayon::prelude::*;

/// Entries of a block of a dot product.
///
/// Every dot product of this crate over vectors of the operator's dimension is the sum of those of blocks of so many
/// entries, the last one shorter, in a fixed binary tree: neighbours are added in pairs (0 and 1, 2 and 3, …), the sums
/// again in pairs, and so on; one without a neighbour goes up unchanged. Whoever holds a run of 2ᵏ blocks that begins
/// at a multiple of 2ᵏ holds a whole branch of the tree, and can sum it alone to the same bits.
pub const DOT_BLOCK: usize = 8192;

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

/// Adds the sums of blocks in the tree that [`DOT_BLOCK`] describes.
pub(crate) fn tree_sum(mut sums: Vec<f64>) -> f64 {
    while sums.len() > 1 {
        sums = sums.chunks(2).map(|pair| pair.iter().copied().reduce(|a, b| a + b).unwrap_or(0.0)).collect();
    }
    sums.first().copied().unwrap_or(0.0)
}

/// The same for blocks that have several sums each, all of one length.
pub(crate) fn tree_sums(mut sums: Vec<Vec<f64>>) -> Vec<f64> {
    while sums.len() > 1 {
        let mut level = Vec::with_capacity(sums.len().div_ceil(2));
        let mut rest = sums.into_iter();
        while let Some(mut a) = rest.next() {
            if let Some(b) = rest.next() {
                a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
            }
            level.push(a);
        }
        sums = level;
    }
    sums.pop().unwrap_or_default()
}

/// x · y.
pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    tree_sum(x.par_chunks(DOT_BLOCK).zip(y.par_chunks(DOT_BLOCK)).map(|(x, y)| dot_chunk(x, y)).collect())
}

/// ‖x‖₂.
pub(crate) fn norm(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

/// y ← y + a x.
pub(crate) fn axpy(a: f64, x: &[f64], y: &mut [f64]) {
    y.par_chunks_mut(DOT_BLOCK).zip(x.par_chunks(DOT_BLOCK)).for_each(|(y, x)| {
        for (y, x) in y.iter_mut().zip(x) {
            *y += a * x;
        }
    });
}

/// x ← a x.
pub(crate) fn scale(a: f64, x: &mut [f64]) {
    x.par_chunks_mut(DOT_BLOCK).for_each(|x| x.iter_mut().for_each(|x| *x *= a));
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
    let squares = |(a, v): (&[f64], &[f64])| a.iter().zip(v).map(|(a, v)| (a - value * v).powi(2)).sum();
    tree_sum(image.par_chunks(DOT_BLOCK).zip(v.par_chunks(DOT_BLOCK)).map(squares).collect()).sqrt()
}
