//! How the memory that a run may use is shared out: what it needs in any case, the Krylov basis, and primal values that
//! are kept between products to save time.

use saddlescope_data::data_share;
use saddlescope_krylov::{BasisLimit, ExtremeEigen, Precision, Wanted, vectors_at_a_time};

use super::error::AnalysisError;
use super::selection::Selection;
use super::stages::self_check::{self, CheckMemory};
use super::subject::Subject;
use crate::risk::Risk;

/// The program itself with its report script and pictures in the making: 40 to 60 MiB were measured.
const PROCESS: usize = 64 << 20;
/// Vectors that a basis may hold where nothing else is asked for. More save products only in deep spectra, and take longer to orthogonalise.
const VECTORS: usize = 128;
/// Bytes that a basis may take when memory is not limited. GPT-2 of 3.4 million parameters takes as long with the vectors that fit as
/// with `VECTORS`, and hardly more products.
const BASIS: usize = 5 << 28;
/// Vectors that it may hold all the same.
const VECTORS_ALWAYS: usize = 48;
/// What the allocator holds beside what it was asked for, at most; a sixteenth for small networks. Buffers of a mebibyte and more are
/// given back, so that this does not grow with the network: DenseNet-121 took 64 MiB.
const ALLOCATOR: usize = 72 << 20;
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
        let check = self_check::memory(subject);
        let needs = Needs::of(subject, selection, lines, &check, None);
        let bases = Bases::of(subject, selection);
        let primals = subject.risk().memory(1).keep;
        let Some(limit) = limit else {
            let (keep, basis) = (KEEP.min(primals), bases.unlimited);
            return Ok(Self { basis, keep, total: needs.with(bases.held(basis)) + keep });
        };
        let Bases { whole, least, asked, .. } = bases;
        let basis = if asked { whole } else { whole.min(limit / 3).max(least) };
        // A tenth stays free: an allocator holds more than is asked of it.
        let keep = |total: usize| limit.saturating_sub(total + limit / 10).min(primals);
        // Where nobody has asked for vectors, one process decides how many there are: results are not to depend on how many
        // processes there are.
        let total = needs.with(bases.held(basis));
        let decisive = if asked { total } else { needs.with(if bases.solves { basis } else { 0 }) };
        if decisive <= limit {
            return Ok(Self { basis, keep: keep(total), total: total + keep(total) });
        }
        // Where the third does not fit beside the rest, the least that works may; where one process could not do that either,
        // several may.
        let total = if asked { total } else { needs.with(bases.held(least)) };
        if total > limit {
            return Err(refusal(subject, selection, lines, &check, limit));
        }
        Ok(Self { basis: least, keep: 0, total })
    }

    /// The limit of a solver's basis.
    pub fn basis_limit(&self) -> BasisLimit {
        BasisLimit::Bytes(self.basis)
    }
}

/// What the Krylov bases of a run take, in bytes of all processes together.
struct Bases {
    /// As many vectors as were asked for, or as are of use.
    whole: usize,
    /// Of these, what is taken where memory is not limited.
    unlimited: usize,
    /// The least that works; 0 where nothing is solved.
    least: usize,
    /// Whether a number of vectors was asked for.
    asked: bool,
    /// Whether anything is solved.
    solves: bool,
    /// Rows of a vector that this process holds, of how many.
    rows: [usize; 2],
}

impl Bases {
    fn of(subject: &Subject<'_>, selection: &Selection) -> Self {
        let n = subject.theta().len();
        let precision = subject.risk().offers().precision;
        let solves = selection.pairs() > 0
            || selection.density.is_some()
            || selection.critical_spectrum.is_some()
            || selection.sharpness.is_some();
        // The same for every command in a folder: results depend on it. A density has up to four bases of n + 1 vectors.
        let asked = selection.eigenpairs.as_ref().and_then(|o| o.basis_vectors).map(|vectors| vectors.min(n));
        let bytes = |vectors: usize| vectors.saturating_mul(n * precision.bytes());
        let least = if solves { least_basis(n, selection, precision) } else { 0 };
        let whole = asked.map_or(bytes(VECTORS.min(4 * (n + 1))).max(least), bytes);
        // Many pairs, or many steps of a density, need more.
        let steps = selection.density.as_ref().map_or(0, |density| density.steps + 1);
        let usual = BASIS.max(bytes(VECTORS_ALWAYS.max(steps))).max(least);
        Self {
            whole,
            unlimited: if asked.is_some() { whole } else { whole.min(usual) },
            least,
            asked: asked.is_some(),
            solves,
            rows: [subject.risk().basis_rows().min(n), n.max(1)],
        }
    }

    /// What this process holds of a basis.
    fn held(&self, basis: usize) -> usize {
        let [own, all] = self.rows.map(|rows| rows as u128);
        if self.solves { (basis as u128 * own / all) as usize } else { 0 }
    }

    /// What this process holds of the smallest basis that may be used.
    fn smallest(&self) -> usize {
        self.held(if self.asked { self.whole } else { self.least })
    }
}

/// MiB that are enough for a selection. A larger limit lets more of the data be held in memory: that is counted.
fn enough(subject: &Subject<'_>, selection: &Selection, lines: usize, check: &CheckMemory) -> usize {
    let basis = Bases::of(subject, selection).smallest();
    let mib = |share: Option<usize>| {
        Needs::of(subject, selection, lines, check, share).with(basis).div_ceil(1 << 20)
    };
    let mut limit = mib(None);
    loop {
        // Grows with the limit, by each input once at most.
        let needed = mib(Some(data_share(limit << 20)));
        if needed <= limit {
            return limit;
        }
        limit = needed;
    }
}

/// Why a selection cannot be computed within `limit` bytes, and with what it would need less.
fn refusal(
    subject: &Subject<'_>,
    selection: &Selection,
    lines: usize,
    check: &CheckMemory,
    limit: usize,
) -> AnalysisError {
    let needed_mib = enough(subject, selection, lines, check);
    let mut least = selection.clone();
    let mut savings = Vec::new();
    for saving in Saving::ALL {
        let mut with = selection.clone();
        if !saving.apply(&mut with) {
            continue;
        }
        let mib = enough(subject, &with, lines, check);
        if mib < needed_mib {
            savings.push((saving, mib));
            saving.apply(&mut least);
        }
    }
    let together_mib = (savings.len() > 1).then(|| enough(subject, &least, lines, check));
    AnalysisError::Memory { needed_mib, allowed_mib: limit >> 20, savings, together_mib }
}

/// What can be asked for less of, so that less memory is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saving {
    /// No eigenvalues of G and H − G.
    NoSplit,
    /// A density from a single probe: one basis instead of up to four.
    OneDensityProbe,
    /// No density.
    NoDensity,
    /// One eigenpair at each end that is asked for.
    OnePair,
    /// As many basis vectors as are chosen where nobody asks for a number.
    FreeBasis,
}

impl Saving {
    const ALL: [Self; 5] =
        [Self::NoSplit, Self::OneDensityProbe, Self::NoDensity, Self::OnePair, Self::FreeBasis];

    /// Changes a selection; whether that asks for less.
    fn apply(self, selection: &mut Selection) -> bool {
        // Where nothing but a density is solved for, it is not left out.
        let alone = selection.pairs() == 0;
        match self {
            Self::NoSplit => selection.split.take().is_some(),
            Self::OneDensityProbe => match &mut selection.density {
                Some(density) if density.probes > 1 && alone => {
                    density.probes = 1;
                    true
                }
                _ => false,
            },
            Self::NoDensity => !alone && selection.density.take().is_some(),
            Self::OnePair => match &mut selection.eigenpairs {
                Some(pairs) if pairs.largest > 1 || pairs.smallest > 1 => {
                    (pairs.largest, pairs.smallest) = (pairs.largest.min(1), pairs.smallest.min(1));
                    true
                }
                _ => false,
            },
            Self::FreeBasis => {
                selection.eigenpairs.as_mut().is_some_and(|pairs| pairs.basis_vectors.take().is_some())
            }
        }
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

/// What a run needs, in bytes.
struct Needs {
    /// Beside a Krylov basis, while it grows.
    beside_basis: usize,
    /// When there is none: before the first solve, and on what the solves have found.
    without_basis: usize,
}

impl Needs {
    /// At most, with a basis of so many bytes in this process.
    fn with(&self, basis: usize) -> usize {
        let asked = self.without_basis.max(self.beside_basis + basis);
        asked + (asked / 16).min(ALLOCATOR)
    }

    /// Program, data, workspaces of all threads, vectors in flight. `share`: inputs up to so many bytes that stay in their files
    /// are counted as if they were in memory.
    fn of(
        subject: &Subject<'_>,
        selection: &Selection,
        lines: usize,
        check: &CheckMemory,
        share: Option<usize>,
    ) -> Self {
        let n = subject.theta().len();
        let pairs = selection.pairs();
        let of_main = subject.risk().memory(1).in_files;
        let loaded = |sizes: &[usize], by: &[usize]| -> usize {
            let Some(share) = share else { return 0 };
            sizes.iter().zip(by).filter(|(_, by)| **by <= share).map(|(size, _)| size).sum()
        };
        let engine = |risk: &dyn Risk, tangents: usize| {
            let found = risk.memory(tangents);
            found.fixed + loaded(&found.in_files, &found.in_files)
        };
        // Samples of cuts are a part of the others, and are where these are.
        let part = |risk: &dyn Risk, tangents: usize| {
            let found = risk.memory(tangents);
            found.fixed + loaded(&found.in_files, &of_main)
        };
        let planes = selection.cuts.is_some() || !selection.slices.requests.is_empty();
        // Vectors multiplied at a time.
        let probes = selection.probes.is_some();
        let density = selection.density.as_ref().map_or(0, |d| d.probes.min(4));
        let block =
            vectors_at_a_time(n).min(pairs).max(if planes { 2 } else { 1 }).max(if probes { 4 } else { 0 });

        // The risks on other samples: their data, and the workspaces that they keep.
        let cuts = usize::from(planes);
        let mut others = subject.slices.map_or(0, |r| part(r, cuts));
        others += subject.other.map_or(0, |s| engine(s.risk, 0));
        if selection.slice_samples.is_some() {
            // The samples of a round, at most all.
            others += engine(subject.risk(), cuts);
        }

        // θ, the gradient, a vector and its product; a pair that is looked at takes their place where vectors are long. A density has
        // a vector and a product for each of its bases, beside the pairs that were found.
        let search = if vectors_at_a_time(n) > 1 { 4 } else { 2 };
        let mut solving = 2 + search.max(if density > 0 { 2 * density + pairs } else { 0 });
        // The split's solves start at the pairs that were found, with copies of the extreme ones and of the products made so far.
        solving += if selection.split.is_some() { 2 * pairs + 6 } else { 0 };
        let beside_basis = engine(subject.risk(), density.max(1)) + others + 8 * n * solving;

        // Blocks of vectors with their products, or the directions of a plane with the point on it; the gradient at the samples of cuts;
        // eigenvectors with their copies on the way to the disk.
        let mut vectors =
            2 + (2 * block).max(6 * cuts) + 3 * usize::from(subject.slices.is_some()) * cuts + 2 * pairs;
        vectors += if selection.slice_samples.is_some() { 2 + lines } else { 0 };
        // Points that are climbed to or settled at, with their gradients and ways back, and the Krylov space of a step.
        let further = selection.sharpness.is_some()
            || selection.settle.is_some()
            || selection.critical_spectrum.is_some();
        vectors += if further { 8 } else { 0 };
        vectors += selection.settle.as_ref().map_or(0, |o| o.bounded(n).max_dimension);
        // The dense Hessian with what its eigenvalues need.
        let whole = selection.critical_spectrum.as_ref().is_some_and(|o| n <= o.whole_up_to);
        let dense = if whole { 16 * n * n } else { 0 };
        let found = engine(subject.risk(), block) + others + 8 * n * vectors + dense;

        Self {
            beside_basis: PROCESS + beside_basis,
            without_basis: PROCESS
                + found.max(check.bytes + loaded(&of_main, &of_main) + loaded(&check.in_files, &of_main)),
        }
    }
}

#[cfg(test)]
mod tests;
