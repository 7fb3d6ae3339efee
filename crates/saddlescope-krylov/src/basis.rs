//! The vectors of a Krylov basis: storage and orthogonalisation.
//!
//! Vectors may be stored in single precision; all arithmetic is in double precision.

use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::kernels::Scalar;
use crate::sweep::{Norms, Sums, coefficients, combine, rotate, sums, sweep};
use crate::vector::{DOT_BLOCK, norm};

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

/// What [`Basis::project_out_images`] took away.
pub(crate) struct Removed {
    /// The coefficients, as those of [`Basis::coefficients`].
    pub(crate) coefficients: Vec<f64>,
    /// ‖w‖ of each image before.
    pub(crate) norms: Vec<f64>,
    /// ‖w‖ of what is left of it.
    pub(crate) left: Vec<f64>,
}

/// A correction below this share of what remains has left it orthogonal to rounding.
const SMALL_CORRECTION: f64 = 0.1;

/// A vector that still loses much in the last pass is made of rounding errors; whoever calls takes it for zero.
const MOST_PASSES: usize = 3;

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

    fn sweep(&self, ws: &mut [f64], minus: (Range<usize>, &[f64]), dots: Range<usize>, norms: Norms) -> Sums {
        each!(&self.columns, c => sweep(&c[minus.0], minus.1, &c[dots], self.n, ws, norms))
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
        let all = 0..self.len();
        let first = self.coefficients(ws);
        if first.is_empty() {
            return first;
        }
        let second = self.sweep(ws, (all.clone(), &first), all.clone(), Norms::No).dots;
        self.sweep(ws, (all, &second), 0..0, Norms::No);
        first.iter().zip(&second).map(|(a, b)| a + b).collect()
    }

    /// The images W = A P of the last `pending` columns P, made orthogonal to the basis. `coupling` is what a
    /// recurrence knows beforehand, Pᵀ A Q for the other columns (pending × the others, row by row). `None` when
    /// the images are not finite; they are then unchanged but for multiples of basis vectors.
    ///
    /// In exact arithmetic the coupling and PᵀAP are all there is to take away. That is done first, with the few
    /// columns it needs; it is the first pass of Gram–Schmidt, and the only one that cancels much. What rounding
    /// has left in other columns is small, and one more pass over the whole basis takes it away: two sweeps, sums
    /// and subtraction. Where it is not small against what remains, the pass is repeated.
    pub(crate) fn project_out_images(
        &self,
        pending: usize,
        coupling: &[f64],
        ws: &mut [f64],
    ) -> Option<Removed> {
        let k = self.len();
        let m = k - pending;
        // The coupling of a recurrence reaches back to the last block, after a restart to all kept columns.
        let nonzero = |i: &usize| coupling.iter().skip(*i).step_by(m).any(|&b| b != 0.0);
        let near = (0..m).find(nonzero).unwrap_or(m);
        let own = self.sums_with(m..k, ws);
        let mut removed =
            Removed { coefficients: vec![0.0; pending * k], norms: own.norms, left: Vec::new() };
        if removed.norms.iter().any(|x| !x.is_finite()) {
            return None;
        }
        let mut known = Vec::with_capacity(pending * (k - near));
        for (j, c) in removed.coefficients.chunks_exact_mut(k).enumerate() {
            c[..m].copy_from_slice(coupling.get(j * m..(j + 1) * m).unwrap_or(&[]));
            c[m..].copy_from_slice(&own.dots[j * pending..(j + 1) * pending]);
            known.extend_from_slice(&c[near..]);
        }
        let mut after = self.sweep(ws, (near..k, &known), 0..k, Norms::No).dots;
        for pass in 1.. {
            removed.left = self.sweep(ws, (0..k, &after), 0..0, Norms::After).norms;
            removed.coefficients.iter_mut().zip(&after).for_each(|(c, a)| *c += a);
            let small = |(c, left): (&[f64], &f64)| norm(c) <= SMALL_CORRECTION * left;
            if pass == MOST_PASSES || after.chunks_exact(k).zip(&removed.left).all(small) {
                break;
            }
            after = self.coefficients(ws);
        }
        Some(removed)
    }

    /// Sums with some columns and the norms, nothing taken away.
    fn sums_with(&self, columns: Range<usize>, ws: &[f64]) -> Sums {
        each!(&self.columns, c => sums(&c[columns], self.n, ws))
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
