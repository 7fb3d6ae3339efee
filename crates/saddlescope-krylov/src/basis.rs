//! Orthogonalisation against the vectors of a Krylov basis.
//!
//! Vectors may be stored in single precision; all arithmetic is in double precision.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::vector::norm;
use crate::{BasisStore, Block, ProductError, Sweep, SymmetricOperator};

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

/// Vectors of one length.
#[derive(Debug)]
pub(crate) struct Basis {
    n: usize,
    precision: Precision,
    store: Box<dyn BasisStore>,
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

/// The sums of a sweep.
struct Sums {
    /// qᵢ · wⱼ after the subtraction, `[j * columns + i]`.
    dots: Vec<f64>,
    /// ‖wⱼ‖ after the subtraction, if asked for.
    norms: Vec<f64>,
}

/// A correction below this share of what remains has left it orthogonal to rounding.
const SMALL_CORRECTION: f64 = 0.1;

/// A vector that still loses much in the last pass is made of rounding errors; whoever calls takes it for zero.
const MOST_PASSES: usize = 3;

impl Clone for Basis {
    fn clone(&self) -> Self {
        Self { n: self.n, precision: self.precision, store: self.store.duplicate() }
    }
}

/// Column by column, wherever they are. Vectors that cannot be reached are equal to none.
impl PartialEq for Basis {
    fn eq(&self, other: &Self) -> bool {
        if (self.n, self.precision, self.len()) != (other.n, other.precision, other.len()) {
            return false;
        }
        let (mut a, mut b) = (vec![0.0; self.n], vec![0.0; self.n]);
        (0..self.len()).all(|i| self.column(i, &mut a).is_ok() && other.column(i, &mut b).is_ok() && a == b)
    }
}

impl Basis {
    /// No vectors yet, at the place that the operator has for them.
    pub(crate) fn new(operator: &dyn SymmetricOperator, precision: Precision) -> Result<Self, ProductError> {
        Ok(Self { n: operator.dim(), precision, store: operator.new_basis(precision)? })
    }

    pub(crate) fn of(n: usize, precision: Precision, store: Box<dyn BasisStore>) -> Self {
        Self { n, precision, store }
    }

    pub(crate) fn precision(&self) -> Precision {
        self.precision
    }

    pub(crate) fn rows(&self) -> usize {
        self.n
    }

    pub(crate) fn len(&self) -> usize {
        self.store.len()
    }

    /// Hands over vectors to be orthogonalised. What they have become is in `ws` after [`Basis::fetch`] only.
    pub(crate) fn load<'a>(&mut self, ws: &'a mut [f64]) -> Result<Block<'a>, ProductError> {
        self.store.load(ws)?;
        Ok(Block { values: ws, first: 0 })
    }

    /// Brings the vectors of a block back to where they were loaded from.
    pub(crate) fn fetch(&self, ws: &mut Block<'_>) -> Result<(), ProductError> {
        self.store.fetch(ws)
    }

    /// Appends factor·w, rounded to the storage.
    pub(crate) fn push(&mut self, factor: f64, w: &Block<'_>) -> Result<(), ProductError> {
        self.store.push(factor, w)
    }

    /// Forgets the oldest column.
    pub(crate) fn drop_first(&mut self) -> Result<(), ProductError> {
        self.store.drop_first()
    }

    pub(crate) fn column(&self, i: usize, out: &mut [f64]) -> Result<(), ProductError> {
        self.store.column(i, out)
    }

    fn sweep(
        &self,
        ws: &mut Block<'_>,
        minus: (Range<usize>, &[f64]),
        dots: Range<usize>,
        squares: bool,
    ) -> Result<Sums, ProductError> {
        let sweep = Sweep { minus: minus.0, c: minus.1, dots, squares };
        let sums = self.store.sweep(ws, &sweep)?;
        if !squares {
            return Ok(Sums { dots: sums, norms: Vec::new() });
        }
        let vectors = sums.chunks_exact(sweep.width());
        let columns = sweep.dots.len();
        Ok(Sums {
            dots: vectors.clone().flat_map(|s| s[..columns].iter().copied()).collect(),
            norms: vectors.map(|s| s[columns].sqrt()).collect(),
        })
    }

    /// ‖w‖ of every vector of a block.
    pub(crate) fn norms(&self, ws: &mut Block<'_>) -> Result<Vec<f64>, ProductError> {
        Ok(self.sweep(ws, (0..0, &[]), 0..0, true)?.norms)
    }

    /// C ← Qᵀ W for a block W; `c[j * len + i]` = qᵢ · wⱼ.
    pub(crate) fn coefficients(&self, ws: &mut Block<'_>) -> Result<Vec<f64>, ProductError> {
        Ok(self.sweep(ws, (0..0, &[]), 0..self.len(), false)?.dots)
    }

    /// W ← (I − QQᵀ)² W. Returns the coefficients Qᵀ W that were removed, as [`Basis::coefficients`], and ‖w‖ of what is left.
    ///
    /// Classical Gram–Schmidt, done twice: once is not enough for orthogonality to rounding, more than twice is
    /// not needed (Giraud, Langou, Rozložník and van den Eshof 2005). The subtraction of the first pass and the
    /// sums of the second share one sweep over the basis.
    pub(crate) fn project_out(&self, ws: &mut Block<'_>) -> Result<(Vec<f64>, Vec<f64>), ProductError> {
        let all = 0..self.len();
        if all.is_empty() {
            return Ok((Vec::new(), self.norms(ws)?));
        }
        let first = self.coefficients(ws)?;
        let second = self.sweep(ws, (all.clone(), &first), all.clone(), false)?.dots;
        let left = self.sweep(ws, (all, &second), 0..0, true)?.norms;
        Ok((first.iter().zip(&second).map(|(a, b)| a + b).collect(), left))
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
        ws: &mut Block<'_>,
    ) -> Result<Option<Removed>, ProductError> {
        let k = self.len();
        let m = k - pending;
        // The coupling of a recurrence reaches back to the last block, after a restart to all kept columns.
        let nonzero = |i: &usize| coupling.iter().skip(*i).step_by(m).any(|&b| b != 0.0);
        let near = (0..m).find(nonzero).unwrap_or(m);
        let own = self.sweep(ws, (0..0, &[]), m..k, true)?;
        let mut removed =
            Removed { coefficients: vec![0.0; pending * k], norms: own.norms, left: Vec::new() };
        if removed.norms.iter().any(|x| !x.is_finite()) {
            return Ok(None);
        }
        let mut known = Vec::with_capacity(pending * (k - near));
        for (j, c) in removed.coefficients.chunks_exact_mut(k).enumerate() {
            c[..m].copy_from_slice(coupling.get(j * m..(j + 1) * m).unwrap_or(&[]));
            c[m..].copy_from_slice(&own.dots[j * pending..(j + 1) * pending]);
            known.extend_from_slice(&c[near..]);
        }
        let mut after = self.sweep(ws, (near..k, &known), 0..k, false)?.dots;
        for pass in 1.. {
            removed.left = self.sweep(ws, (0..k, &after), 0..0, true)?.norms;
            removed.coefficients.iter_mut().zip(&after).for_each(|(c, a)| *c += a);
            let small = |(c, left): (&[f64], &f64)| norm(c) <= SMALL_CORRECTION * left;
            if pass == MOST_PASSES || after.chunks_exact(k).zip(&removed.left).all(small) {
                break;
            }
            after = self.coefficients(ws)?;
        }
        Ok(Some(removed))
    }

    /// The vectors Σᵢ `s[j * columns + i]` qᵢ over the first `columns` columns, for every j, as f64.
    pub(crate) fn combine(&self, columns: usize, s: &[f64]) -> Result<Vec<f64>, ProductError> {
        let count = s.len().checked_div(columns).unwrap_or(0);
        let mut out = vec![0.0; count * self.n];
        if !out.is_empty() {
            self.store.combine(columns, s, &mut out)?;
        }
        Ok(out)
    }

    /// Replaces the first `columns` columns by the combinations of [`Basis::combine`]; later columns follow them.
    pub(crate) fn rotate(&mut self, columns: usize, s: &[f64]) -> Result<(), ProductError> {
        self.store.rotate(columns, s)
    }
}
