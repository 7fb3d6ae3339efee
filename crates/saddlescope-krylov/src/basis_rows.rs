//! Rows of the vectors of a basis, as one process holds them.

use rayon::prelude::*;

use crate::kernels::Scalar;
use crate::sweep::{combine, rotate, sweep};
use crate::vector::DOT_BLOCK;
use crate::{Precision, Sweep};

/// Consecutive rows of the vectors of a basis; all of them, where one process holds everything.
///
/// Whoever holds a part must begin at a multiple of [`DOT_BLOCK`](crate::DOT_BLOCK) rows.
#[derive(Clone, Debug, PartialEq)]
pub struct BasisRows {
    rows: usize,
    columns: Columns,
}

#[derive(Clone, Debug, PartialEq)]
enum Columns {
    F32(Vec<Vec<f32>>),
    F64(Vec<Vec<f64>>),
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

impl BasisRows {
    /// This many rows of a basis without vectors.
    pub fn new(rows: usize, precision: Precision) -> Self {
        let columns = match precision {
            Precision::F32 => Columns::F32(Vec::new()),
            Precision::F64 => Columns::F64(Vec::new()),
        };
        Self { rows, columns }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        each!(&self.columns, c => c.len())
    }

    /// Whether there are no vectors.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sums of [`BasisStore::sweep`](crate::BasisStore::sweep) over each block of [`DOT_BLOCK`](crate::DOT_BLOCK) of
    /// these rows by itself, for all vectors of `ws`; the subtraction is done on the way.
    pub fn block_sums(&self, ws: Vec<&mut [f64]>, s: &Sweep<'_>) -> Vec<Vec<f64>> {
        each!(&self.columns, c => sweep(&c[s.minus.clone()], s.c, &c[s.dots.clone()], ws, s.squares))
    }

    /// Appends factor·x, rounded.
    pub fn push(&mut self, factor: f64, x: &[f64]) {
        each!(&mut self.columns, c => c.push(round_column(factor, x)));
    }

    /// Forgets the oldest vector.
    pub fn drop_first(&mut self) {
        each!(&mut self.columns, c => {
            c.remove(0);
        });
    }

    /// These rows of vector i.
    pub fn column(&self, i: usize, out: &mut [f64]) {
        each!(&self.columns, c => widen_column(&c[i], out));
    }

    /// These rows of the vectors of [`BasisStore::combine`](crate::BasisStore::combine).
    pub fn combine(&self, columns: usize, s: &[f64], out: Vec<&mut [f64]>) {
        each!(&self.columns, c => combine(&c[..columns], s, out));
    }

    /// As [`BasisStore::rotate`](crate::BasisStore::rotate).
    pub fn rotate(&mut self, columns: usize, s: &[f64]) {
        each!(&mut self.columns, c => rotate(c, columns, s));
    }
}

fn round_column<T: Scalar>(factor: f64, x: &[f64]) -> Vec<T> {
    let mut column = vec![T::ZERO; x.len()];
    column.par_chunks_mut(DOT_BLOCK).zip(x.par_chunks(DOT_BLOCK)).for_each(|(c, x)| {
        for (c, x) in c.iter_mut().zip(x) {
            *c = T::round(factor * x);
        }
    });
    column
}

fn widen_column<T: Scalar>(column: &[T], out: &mut [f64]) {
    out.par_chunks_mut(DOT_BLOCK).zip(column.par_chunks(DOT_BLOCK)).for_each(|(o, c)| {
        for (o, c) in o.iter_mut().zip(c) {
            *o = c.widen();
        }
    });
}
