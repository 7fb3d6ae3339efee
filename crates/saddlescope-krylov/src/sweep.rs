//! Sweeps over a basis: what takes the time of a solver beside the products.
//!
//! A sweep reads every column once, in blocks of [`DOT_BLOCK`] rows that threads share; what is to be done with a
//! block of the vectors that are orthogonalised is done while it is in cache. Sums are made for each block by itself,
//! whichever thread makes them.

use rayon::prelude::*;

use crate::kernels::{self, Scalar};
use crate::vector::{DOT_BLOCK, dot_chunk};

/// Rows of the blocks of work without sums: one block of f64 fits the first-level cache.
const ROWS: usize = 2048;

/// Cuts every vector at the same rows: element c holds chunk c of all of them.
fn by_chunk<T>(vectors: Vec<&mut [T]>, size: usize) -> Vec<Vec<&mut [T]>> {
    let n = vectors.first().map_or(0, |v| v.len());
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

/// W ← W − M C (`c[j * columns + i]` belongs to column i and vector j), then for each block the sums Dᵀ W, one vector of
/// W after the other, each with its square if asked for.
pub(crate) fn sweep<T: Scalar>(
    minus: &[Vec<T>],
    c: &[f64],
    dots: &[Vec<T>],
    ws: Vec<&mut [f64]>,
    squares: bool,
) -> Vec<Vec<f64>> {
    let (vectors, width) = (ws.len(), dots.len() + usize::from(squares));
    if width == 0 && minus.is_empty() {
        return Vec::new();
    }
    by_chunk(ws, DOT_BLOCK)
        .into_par_iter()
        .enumerate()
        .map(|(block, mut ws)| {
            let (start, len) = (block * DOT_BLOCK, ws[0].len());
            let (minus, dots) = (rows(minus, start, len), rows(dots, start, len));
            let mut part = Vec::with_capacity(vectors * width);
            for (j, w) in ws.iter_mut().enumerate() {
                kernels::subtract(&minus, &c[j * minus.len()..(j + 1) * minus.len()], w);
                kernels::dots(&dots, w, &mut part);
                if squares {
                    part.push(dot_chunk(w, w));
                }
            }
            part
        })
        .collect()
}

/// The vectors Σᵢ `s[j * columns + i]` qᵢ for every j, as f64.
pub(crate) fn combine<T: Scalar>(columns: &[Vec<T>], s: &[f64], out: Vec<&mut [f64]>) {
    let minus: Vec<f64> = s.iter().map(|s| -s).collect();
    by_chunk(out, ROWS).into_par_iter().enumerate().for_each(|(block, mut outs)| {
        let columns = rows(columns, block * ROWS, outs[0].len());
        for (o, s) in outs.iter_mut().zip(minus.chunks_exact(columns.len().max(1))) {
            o.fill(0.0);
            kernels::subtract(&columns, s, o);
        }
    });
}

/// Replaces the first `rows` columns by the combinations of [`combine`], rounded; later columns follow them.
pub(crate) fn rotate<T: Scalar>(columns: &mut Vec<Vec<T>>, rows: usize, s: &[f64]) {
    let keep = s.len().checked_div(rows).unwrap_or(0);
    let minus: Vec<f64> = s.iter().map(|s| -s).collect();
    let refs: Vec<&mut [T]> = columns[..rows].iter_mut().map(|c| c.as_mut_slice()).collect();
    by_chunk(refs, ROWS).into_par_iter().for_each(|mut parts| {
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
