//! Sweeps over a basis: what takes the time of a solver beside the products.
//!
//! A sweep reads every column once, in blocks of [`DOT_BLOCK`] rows that threads share; what is to be done with a
//! block of the vectors that are orthogonalised is done while it is in cache. Sums are made for each block by itself
//! and added in a fixed tree, whichever thread made them.

use rayon::prelude::*;

use crate::kernels::{self, Scalar};
use crate::vector::{DOT_BLOCK, dot_chunk, tree_sums};

/// Which norms of the vectors a sweep takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Norms {
    No,
    /// After the subtraction.
    After,
}

/// The sums of a sweep.
pub(crate) struct Sums {
    /// qᵢ · wⱼ after the subtraction, `[j * columns + i]`.
    pub(crate) dots: Vec<f64>,
    /// ‖wⱼ‖, if asked for.
    pub(crate) norms: Vec<f64>,
}

/// Rows of the blocks of work without sums: one block of f64 fits the first-level cache.
const ROWS: usize = 2048;

/// Cuts every vector at the same rows: element c holds chunk c of all of them.
fn by_chunk<T>(vectors: Vec<&mut [T]>, n: usize, size: usize) -> Vec<Vec<&mut [T]>> {
    let mut chunks: Vec<Vec<&mut [T]>> =
        (0..n.div_ceil(size)).map(|_| Vec::with_capacity(vectors.len())).collect();
    for v in vectors {
        for (chunk, part) in chunks.iter_mut().zip(v.chunks_mut(size)) {
            chunk.push(part);
        }
    }
    chunks
}

/// The rows of columns that one block has.
fn rows<T>(columns: &[Vec<T>], start: usize, len: usize) -> Vec<&[T]> {
    columns.iter().map(|c| &c[start..start + len]).collect()
}

/// W ← W − M C (`c[j * columns + i]` belongs to column i and vector j), then the sums Dᵀ W, over vectors of length n.
pub(crate) fn sweep<T: Scalar>(
    minus: &[Vec<T>],
    c: &[f64],
    dots: &[Vec<T>],
    n: usize,
    ws: &mut [f64],
    norms: Norms,
) -> Sums {
    let p = ws.len().checked_div(n).unwrap_or(0);
    let with_norms = usize::from(norms != Norms::No);
    let width = dots.len() + with_norms;
    if p == 0 || (width == 0 && minus.is_empty()) {
        return Sums { dots: Vec::new(), norms: vec![0.0; p * with_norms] };
    }
    let partial: Vec<Vec<f64>> = by_chunk(ws.chunks_exact_mut(n).collect(), n, DOT_BLOCK)
        .into_par_iter()
        .enumerate()
        .map(|(block, mut ws)| {
            let (start, len) = (block * DOT_BLOCK, ws[0].len());
            let (minus, dots) = (rows(minus, start, len), rows(dots, start, len));
            let mut part = Vec::with_capacity(p * width);
            for (j, w) in ws.iter_mut().enumerate() {
                kernels::subtract(&minus, &c[j * minus.len()..(j + 1) * minus.len()], w);
                kernels::dots(&dots, w, &mut part);
                if norms == Norms::After {
                    part.push(dot_chunk(w, w));
                }
            }
            part
        })
        .collect();
    let sums = tree_sums(partial);
    if norms == Norms::No {
        return Sums { dots: sums, norms: Vec::new() };
    }
    split(&sums, dots.len())
}

/// Sums of `columns` dot products and one square a vector, apart.
fn split(all: &[f64], columns: usize) -> Sums {
    let vectors = all.chunks_exact(columns + 1);
    Sums {
        dots: vectors.clone().flat_map(|s| s[..columns].iter().copied()).collect(),
        norms: vectors.map(|s| s[columns].sqrt()).collect(),
    }
}

/// Qᵀ W and the norms of W, over vectors of length n.
pub(crate) fn sums<T: Scalar>(columns: &[Vec<T>], n: usize, ws: &[f64]) -> Sums {
    let block = |block: usize| {
        let (start, end) = (block * DOT_BLOCK, ((block + 1) * DOT_BLOCK).min(n));
        let columns = rows(columns, start, end - start);
        let mut part = Vec::with_capacity(ws.len() / n * (columns.len() + 1));
        for w in ws.chunks_exact(n) {
            kernels::dots(&columns, &w[start..end], &mut part);
            part.push(dot_chunk(&w[start..end], &w[start..end]));
        }
        part
    };
    split(&tree_sums((0..n.div_ceil(DOT_BLOCK)).into_par_iter().map(block).collect()), columns.len())
}

/// C = Qᵀ W, `c[j * columns + i]`, over vectors of length n.
pub(crate) fn coefficients<T: Scalar>(columns: &[Vec<T>], n: usize, ws: &[f64]) -> Vec<f64> {
    if columns.is_empty() || ws.is_empty() {
        return Vec::new();
    }
    let block = |block: usize| {
        let start = block * DOT_BLOCK;
        let columns = rows(columns, start, DOT_BLOCK.min(n - start));
        let mut part = Vec::with_capacity(ws.len() / n * columns.len());
        for w in ws.chunks_exact(n) {
            kernels::dots(&columns, &w[start..(start + DOT_BLOCK).min(n)], &mut part);
        }
        part
    };
    tree_sums((0..n.div_ceil(DOT_BLOCK)).into_par_iter().map(block).collect())
}

/// The vectors Σᵢ `s[j * columns + i]` qᵢ for every j, as f64, one after the other.
pub(crate) fn combine<T: Scalar>(columns: &[Vec<T>], n: usize, s: &[f64]) -> Vec<f64> {
    let count = s.len().checked_div(columns.len()).unwrap_or(0);
    let mut out = vec![0.0; count * n];
    if out.is_empty() {
        return out;
    }
    let minus: Vec<f64> = s.iter().map(|s| -s).collect();
    by_chunk(out.chunks_exact_mut(n).collect(), n, ROWS).into_par_iter().enumerate().for_each(
        |(block, mut outs)| {
            let columns = rows(columns, block * ROWS, outs[0].len());
            for (o, s) in outs.iter_mut().zip(minus.chunks_exact(columns.len())) {
                kernels::subtract(&columns, s, o);
            }
        },
    );
    out
}

/// Replaces the first `rows` columns by the combinations of [`combine`], rounded; later columns follow them.
pub(crate) fn rotate<T: Scalar>(columns: &mut Vec<Vec<T>>, rows: usize, s: &[f64]) {
    let keep = s.len().checked_div(rows).unwrap_or(0);
    let n = columns.first().map_or(0, Vec::len);
    let minus: Vec<f64> = s.iter().map(|s| -s).collect();
    let refs: Vec<&mut [T]> = columns[..rows].iter_mut().map(|c| c.as_mut_slice()).collect();
    by_chunk(refs, n, ROWS).into_par_iter().for_each(|mut parts| {
        let len = parts.first().map_or(0, |p| p.len());
        let mut fresh = vec![0.0; keep * len];
        {
            let parts: Vec<&[T]> = parts.iter().map(|p| &**p).collect();
            for (o, s) in fresh.chunks_exact_mut(len).zip(minus.chunks_exact(rows)) {
                kernels::subtract(&parts, s, o);
            }
        }
        for (q, o) in parts.iter_mut().zip(fresh.chunks_exact(len)) {
            for (q, o) in q.iter_mut().zip(o) {
                *q = T::round(*o);
            }
        }
    });
    columns.drain(keep..rows);
}
