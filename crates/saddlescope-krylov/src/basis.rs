//! The vectors of a Krylov basis and the three kernels on them: coefficients, subtraction, rotation.
//!
//! Vectors may be stored in single precision; all arithmetic is in double precision. Kernels walk the rows in
//! chunks, so that a chunk of all vectors stays in cache while everything is done with it; threads share the
//! chunks, and partial sums are added in the order of the chunks whichever thread made them.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::kernels::{self, Scalar};
use crate::vector::CHUNK;

/// How the vectors of a Krylov basis are stored. Arithmetic on them is always in double precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Precision {
    /// Four bytes a number. Residuals below about 1e-7 ‖A‖ are out of reach.
    F32,
    /// Eight bytes a number.
    F64,
}

impl Precision {
    /// Bytes per number.
    pub fn bytes(self) -> usize {
        match self {
            Precision::F32 => 4,
            Precision::F64 => 8,
        }
    }

    /// The unit in the last place of 1.
    pub fn epsilon(self) -> f64 {
        match self {
            Precision::F32 => f64::from(f32::EPSILON),
            Precision::F64 => f64::EPSILON,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Columns {
    F32(Vec<Vec<f32>>),
    F64(Vec<Vec<f64>>),
}

/// Vectors of one length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Basis {
    n: usize,
    pub(crate) columns: Columns,
}

/// Runs the same expression on either storage.
macro_rules! each {
    ($columns:expr, $c:ident => $body:expr) => {
        match $columns {
            Columns::F32($c) => $body,
            Columns::F64($c) => $body,
        }
    };
}

impl Basis {
    pub(crate) fn new(n: usize, precision: Precision) -> Self {
        let columns = match precision {
            Precision::F32 => Columns::F32(Vec::new()),
            Precision::F64 => Columns::F64(Vec::new()),
        };
        Self { n, columns }
    }

    pub(crate) fn precision(&self) -> Precision {
        match self.columns {
            Columns::F32(_) => Precision::F32,
            Columns::F64(_) => Precision::F64,
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.n
    }

    pub(crate) fn len(&self) -> usize {
        each!(&self.columns, c => c.len())
    }

    /// Appends factor·x, rounded to the storage.
    pub(crate) fn push(&mut self, factor: f64, x: &[f64]) {
        each!(&mut self.columns, c => c.push(round_column(factor, x)));
    }

    /// Forgets the oldest column.
    pub(crate) fn drop_first(&mut self) {
        each!(&mut self.columns, c => {
            c.remove(0);
        });
    }

    pub(crate) fn column(&self, i: usize, out: &mut [f64]) {
        each!(&self.columns, c => widen_column(&c[i], out));
    }

    /// C ← Qᵀ W for a block W of vectors stored one after the other; `c[j * len + i]` = qᵢ · wⱼ.
    pub(crate) fn coefficients(&self, ws: &[f64]) -> Vec<f64> {
        each!(&self.columns, c => coefficients(c, self.n, ws))
    }

    /// W ← (I − QQᵀ)² W. Returns the coefficients Qᵀ W that were removed, as [`Basis::coefficients`].
    ///
    /// Classical Gram–Schmidt, done twice: once is not enough for orthogonality to rounding, more than twice is
    /// not needed (Giraud, Langou, Rozložník and van den Eshof 2005). The subtraction of the first pass and the
    /// sums of the second share one sweep over the basis.
    pub(crate) fn project_out(&self, ws: &mut [f64]) -> Vec<f64> {
        let first = self.coefficients(ws);
        if first.is_empty() {
            return first;
        }
        let second = each!(&self.columns, c => subtract(c, self.n, &first, ws, true));
        each!(&self.columns, c => subtract(c, self.n, &second, ws, false));
        first.iter().zip(&second).map(|(a, b)| a + b).collect()
    }

    /// The vectors Σᵢ `s[j * rows + i]` qᵢ over the first `rows` columns, for every j, as f64.
    pub(crate) fn combine(&self, rows: usize, s: &[f64]) -> Vec<f64> {
        each!(&self.columns, c => combine(&c[..rows], self.n, s))
    }

    /// Replaces the first `rows` columns by the combinations of [`Basis::combine`]; later columns follow them.
    pub(crate) fn rotate(&mut self, rows: usize, s: &[f64]) {
        each!(&mut self.columns, c => rotate(c, rows, s));
    }
}

fn round_column<T: Scalar>(factor: f64, x: &[f64]) -> Vec<T> {
    x.iter().map(|&x| T::round(factor * x)).collect()
}

fn widen_column<T: Scalar>(column: &[T], out: &mut [f64]) {
    out.par_chunks_mut(CHUNK).zip(column.par_chunks(CHUNK)).for_each(|(o, c)| {
        for (o, c) in o.iter_mut().zip(c) {
            *o = c.widen();
        }
    });
}

/// Adds the partial results of all chunks, in their order.
fn sum_chunks(partial: Vec<Vec<f64>>, len: usize) -> Vec<f64> {
    let mut sum = vec![0.0; len];
    for part in partial {
        for (s, p) in sum.iter_mut().zip(part) {
            *s += p;
        }
    }
    sum
}

fn coefficients<T: Scalar>(columns: &[Vec<T>], n: usize, ws: &[f64]) -> Vec<f64> {
    let (k, p) = (columns.len(), ws.len().checked_div(n).unwrap_or(0));
    if k == 0 || p == 0 {
        return Vec::new();
    }
    let partial: Vec<Vec<f64>> = (0..n.div_ceil(CHUNK))
        .into_par_iter()
        .map(|chunk| {
            let rows = chunk * CHUNK..((chunk + 1) * CHUNK).min(n);
            let mut part = Vec::with_capacity(p * k);
            for j in 0..p {
                let w = &ws[j * n + rows.start..j * n + rows.end];
                kernels::dots(columns, rows.start, w, &mut part);
            }
            part
        })
        .collect();
    sum_chunks(partial, p * k)
}

/// Cuts every vector at the same rows: element c holds chunk c of all of them.
fn by_chunk<T>(vectors: Vec<&mut [T]>, n: usize) -> Vec<Vec<&mut [T]>> {
    let mut chunks: Vec<Vec<&mut [T]>> =
        (0..n.div_ceil(CHUNK)).map(|_| Vec::with_capacity(vectors.len())).collect();
    for v in vectors {
        for (chunk, part) in chunks.iter_mut().zip(v.chunks_mut(CHUNK)) {
            chunk.push(part);
        }
    }
    chunks
}

/// W ← W − Q C; with `again` also returns Qᵀ W of the new W.
fn subtract<T: Scalar>(columns: &[Vec<T>], n: usize, c: &[f64], ws: &mut [f64], again: bool) -> Vec<f64> {
    let k = columns.len();
    let p = c.len() / k;
    let partial: Vec<Vec<f64>> = by_chunk(ws.chunks_exact_mut(n).collect(), n)
        .into_par_iter()
        .enumerate()
        .map(|(chunk, mut ws)| {
            let start = chunk * CHUNK;
            let mut part = Vec::with_capacity(if again { p * k } else { 0 });
            for (j, w) in ws.iter_mut().enumerate() {
                kernels::subtract(columns, start, &c[j * k..(j + 1) * k], w);
                if again {
                    kernels::dots(columns, start, w, &mut part);
                }
            }
            part
        })
        .collect();
    if again { sum_chunks(partial, p * k) } else { Vec::new() }
}

fn add_multiple<T: Scalar>(out: &mut [f64], factor: f64, q: &[T]) {
    if factor != 0.0 {
        for (o, q) in out.iter_mut().zip(q) {
            *o += factor * q.widen();
        }
    }
}

fn combine<T: Scalar>(columns: &[Vec<T>], n: usize, s: &[f64]) -> Vec<f64> {
    let rows = columns.len();
    let count = s.len().checked_div(rows).unwrap_or(0);
    let mut out = vec![0.0; count * n];
    if out.is_empty() {
        return out;
    }
    by_chunk(out.chunks_exact_mut(n).collect(), n).into_par_iter().enumerate().for_each(
        |(chunk, mut outs)| {
            for (o, s) in outs.iter_mut().zip(s.chunks_exact(rows)) {
                let range = chunk * CHUNK..chunk * CHUNK + o.len();
                for (q, &s) in columns.iter().zip(s) {
                    add_multiple(o, s, &q[range.clone()]);
                }
            }
        },
    );
    out
}

fn rotate<T: Scalar>(columns: &mut Vec<Vec<T>>, rows: usize, s: &[f64]) {
    let keep = s.len().checked_div(rows).unwrap_or(0);
    let n = columns.first().map_or(0, Vec::len);
    let refs: Vec<&mut [T]> = columns[..rows].iter_mut().map(|c| c.as_mut_slice()).collect();
    by_chunk(refs, n).into_par_iter().for_each(|mut parts| {
        let len = parts.first().map_or(0, |p| p.len());
        let mut fresh = vec![0.0; keep * len];
        for (o, s) in fresh.chunks_exact_mut(len).zip(s.chunks_exact(rows)) {
            for (q, &s) in parts.iter().zip(s) {
                add_multiple(o, s, q);
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
