//! How the memory that a run may use is shared out: what it needs in any case, the Krylov basis, and primal values that
//! are kept between products to save time.

use saddlescope_krylov::{BasisLimit, ExtremeEigen, Precision, Wanted};

use super::error::AnalysisError;
use super::selection::Selection;
use super::stages::self_check;
use super::subject::Subject;
use crate::risk::Risk;

/// The program itself with its report script and pictures in the making: 40 to 60 MiB were measured.
const PROCESS: usize = 64 << 20;
/// Vectors that a basis may hold when memory is not limited.
const VECTORS: usize = 128;
/// Bytes for kept primal values when memory is not limited.
const KEEP: usize = 1 << 30;

/// A share for each use, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// What the basis of any one solve may take, in all processes together.
    pub basis: usize,
    /// What primal values kept between products may take. Results do not depend on it.
    pub keep: usize,
    /// Everything together in this process, at most.
    pub total: usize,
}

impl MemoryPlan {
    /// Shares `limit` bytes out; without a limit everything gets what it can use.
    ///
    /// The basis' share depends on the limit but not on the number of threads, and so do the results.
    ///
    /// `lines`: how many lines the samples of slices are chosen by.
    ///
    /// # Errors
    /// A limit below what the run needs.
    pub(crate) fn new(
        subject: &Subject<'_>,
        selection: &Selection,
        lines: usize,
        limit: Option<usize>,
    ) -> Result<Self, AnalysisError> {
        let n = subject.theta().len();
        let fixed = fixed(subject, selection, lines);
        let precision = subject.risk().offers().precision;
        let solves = selection.pairs() > 0
            || selection.density.is_some()
            || selection.critical_spectrum.is_some()
            || selection.sharpness.is_some();
        // The same for every command in a folder: results depend on it. A density has up to four bases of n + 1 vectors.
        let asked = selection.eigenpairs.as_ref().and_then(|o| o.basis_vectors).map(|vectors| vectors.min(n));
        let whole = asked.unwrap_or(VECTORS.min(4 * (n + 1))).saturating_mul(n * precision.bytes());
        // What this process holds of a basis.
        let rows = subject.risk().basis_rows().min(n) as u128;
        let share =
            |basis: usize| if solves { (basis as u128 * rows / n.max(1) as u128) as usize } else { 0 };
        let primals = subject.risk().memory(1).keep;
        let Some(limit) = limit else {
            let keep = KEEP.min(primals);
            return Ok(Self { basis: whole, keep, total: fixed + share(whole) + keep });
        };
        let least = if solves { least_basis(n, selection, precision) } else { 0 };
        let basis = if asked.is_some() { whole } else { whole.min(limit / 3).max(least) };
        let keep = |total: usize| limit.saturating_sub(total).min(primals);
        // Where nobody has asked for vectors, one process decides how many there are: results are not to depend on how many
        // processes there are.
        let total = fixed + share(basis);
        let decisive = if asked.is_some() { total } else { fixed + if solves { basis } else { 0 } };
        if decisive <= limit {
            return Ok(Self { basis, keep: keep(total), total: total + keep(total) });
        }
        // Where the third does not fit beside the rest, the least that works may; where one process could not do that either,
        // several may.
        let total = if asked.is_some() { total } else { fixed + share(least) };
        if total > limit {
            let needed_mib = total.div_ceil(1 << 20);
            return Err(AnalysisError::Memory { needed_mib, allowed_mib: limit >> 20 });
        }
        Ok(Self { basis: least, keep: 0, total })
    }

    /// The limit of a solver's basis.
    pub fn basis_limit(&self) -> BasisLimit {
        BasisLimit::Bytes(self.basis)
    }
}

/// The smallest basis with which the solves work at all, with some room so that they do not crawl: twice the pairs and
/// eight vectors more.
fn least_basis(n: usize, selection: &Selection, precision: Precision) -> usize {
    let pairs = selection.pairs().max(2);
    let eigen = ExtremeEigen {
        wanted: Wanted::Ends { largest: pairs, smallest: 0 },
        basis_limit: BasisLimit::Vectors(2 * pairs + 8),
        precision,
        ..ExtremeEigen::default()
    };
    eigen.basis_bytes(n)
}

/// Vectors of length N multiplied at a time, where nothing else decides: four, or as many as 256 MiB hold with their products.
pub(crate) fn product_block(n: usize) -> usize {
    ((256 << 20) / (16 * n.max(1))).clamp(1, 4)
}

/// What is always needed: program, data, workspaces of all threads, vectors in flight.
fn fixed(subject: &Subject<'_>, selection: &Selection, lines: usize) -> usize {
    let n = subject.theta().len();
    let pairs = selection.pairs();
    let block = product_block(n).min(pairs);
    // Vectors multiplied at a time.
    let several = selection.probes.is_some() || selection.density.as_ref().is_some_and(|d| d.probes > 1);
    let planes = selection.cuts.is_some() || !selection.slices.requests.is_empty();
    let tangents = match several {
        true => 4,
        false => block.max(if planes { 2 } else { 1 }),
    };
    let engine = |risk: &dyn Risk, tangents: usize| risk.memory(tangents).fixed;
    // θ, the gradient, and for the search of eigenpairs a vector, its product and a pair that is looked at; then blocks of vectors
    // with their products, or the directions of a plane with the point on it; eigenvectors with their copies on the way to the disk.
    let search = if product_block(n) > 1 { 4 } else { 2 };
    let at_work = if planes { 6 } else { 0 };
    let mut vectors = 2 + search.max(2 * tangents).max(at_work) + 2 * pairs;
    let wide =
        selection.sharpness.is_some() || selection.settle.is_some() || selection.critical_spectrum.is_some();
    // Points that are climbed to or settled at, with their gradients and ways back.
    vectors += if wide { 8 } else { 0 };
    let mut work = engine(subject.risk(), tangents) + 8 * n * vectors;
    // A cut's quadratic prediction takes a product, and a gradient that is kept, on its own samples.
    work += subject.slices.map_or(0, |r| engine(r, usize::from(planes)) + 8 * n * 3 * usize::from(planes));
    if selection.slice_samples.is_some() {
        // The samples of a round, at most all, and the directions of all lines.
        work += engine(subject.risk(), usize::from(planes)) + 8 * n * (2 + lines);
    }
    work += subject.other.map_or(0, |s| engine(s.risk, 0));
    // The Krylov space of a step, and the dense Hessian with what its eigenvalues need.
    work += selection.settle.as_ref().map_or(0, |o| 8 * n * o.bounded(n).max_dimension);
    let whole = selection.critical_spectrum.as_ref().is_some_and(|o| n <= o.whole_up_to);
    work += if whole { 16 * n * n } else { 0 };
    PROCESS + work.max(self_check::memory(subject))
}
