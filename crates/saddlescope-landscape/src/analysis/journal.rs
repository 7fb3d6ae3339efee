//! Products kept on disk, so that a computation that was killed is carried on from its last product.
//!
//! A solver that is repeated from the start asks for the same products in the same order. Those that are in the journal
//! are read instead of computed, and the solver comes to the same bits. The journal costs 8 N bytes a product and is
//! deleted when the stage is finished.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use saddlescope_krylov::{BasisStore, LinearOperator, Precision, ProductError, SymmetricOperator};

use super::checksum;
use super::folder_error::FolderError;
use crate::numeric::norm;

/// An operator whose products are kept.
pub struct Journal<'a> {
    inner: &'a dyn SymmetricOperator,
    state: Mutex<State>,
    path: PathBuf,
}

struct State {
    file: File,
    /// Whether records may still follow.
    replaying: bool,
    /// Whether the first record is still to be compared with the operator's own product.
    unchecked: bool,
    failure: Option<std::io::Error>,
}

impl<'a> Journal<'a> {
    /// Opens the journal of an operator.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn open(inner: &'a dyn SymmetricOperator, path: &Path) -> Result<Self, FolderError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|reason| FolderError::Io { path: path.into(), reason })?;
        Ok(Self {
            inner,
            state: Mutex::new(State { file, replaying: true, unchecked: false, failure: None }),
            path: path.into(),
        })
    }

    /// Opens a journal that may be of another operator: its first product is made again, and products fail where the two differ by
    /// more than 1e-4 of their norm, or where the file is no journal. That costs one product.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn open_checked(inner: &'a dyn SymmetricOperator, path: &Path) -> Result<Self, FolderError> {
        let mut journal = Self::open(inner, path)?;
        journal.state.get_mut().unwrap_or_else(PoisonError::into_inner).unchecked = true;
        Ok(journal)
    }

    /// Compares the first record with the operator's own product.
    fn check_first(&self, state: &mut State, xs: &[f64], kept: &[f64]) -> Result<(), ProductError> {
        if !std::mem::take(&mut state.unchecked) {
            return Ok(());
        }
        // The first of a block says enough.
        let n = self.inner.nrows();
        let (x, kept) = (&xs[..n.min(xs.len())], &kept[..n.min(kept.len())]);
        let mut own = vec![0.0; kept.len()];
        self.inner.apply_block(x, &mut own)?;
        let size = norm(&own).max(norm(kept));
        own.iter_mut().zip(kept).for_each(|(a, b)| *a -= b);
        let difference = norm(&own);
        // Products of one operator differ by rounding where a device does not repeat its bits.
        if difference > 1e-4 * size {
            return Err(ProductError::failed(JournalOfAnother {
                path: self.path.clone(),
                share: difference / size,
            }));
        }
        Ok(())
    }

    /// Why the journal could not be written, if that happened.
    ///
    /// # Errors
    /// The first failure to write.
    pub fn finish(self) -> Result<(), FolderError> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        match state.failure {
            Some(reason) => Err(FolderError::Io { path: self.path, reason }),
            None => Ok(()),
        }
    }
}

/// A journal that cannot be of this operator.
#[derive(Debug, thiserror::Error)]
#[error(
    "{path} holds products of another operator: the first differs from this operator's by {:.2} % of its norm; give another file, or remove this one",
    100.0 * share
)]
struct JournalOfAnother {
    path: PathBuf,
    share: f64,
}

/// A file that no solve of this dimension has written.
#[derive(Debug, thiserror::Error)]
#[error("{path} holds no products of an operator of dimension {n}; give another file, or remove this one")]
struct NoJournal {
    path: PathBuf,
    n: usize,
}

impl State {
    /// Whether the file begins with a whole record of `len` numbers, or with a part of one for these inputs: a first record that
    /// was torn.
    fn is_journal(&mut self, xs: &[f64], len: usize) -> std::io::Result<bool> {
        let size = self.file.metadata()?.len();
        if size < (16 + 8 * len) as u64 {
            let mut begin = vec![0; size.min(8) as usize];
            self.file.read_exact(&mut begin)?;
            self.file.seek(SeekFrom::Start(0))?;
            return Ok(checksum::numbers(xs).to_le_bytes().starts_with(&begin));
        }
        let record = self.read_record(&mut vec![0.0; len]);
        self.file.seek(SeekFrom::Start(0))?;
        Ok(record.is_some())
    }

    /// Reads the next record into `ys`; the checksum of its inputs, or `None` if it is not whole.
    fn read_record(&mut self, ys: &mut [f64]) -> Option<u64> {
        let mut record = vec![0; 16 + 8 * ys.len()];
        self.file.read_exact(&mut record).ok()?;
        let mut words = record
            .chunks_exact(8)
            .map(|b| u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]));
        let (inputs, outputs) = (words.next()?, words.next()?);
        ys.iter_mut().zip(words).for_each(|(y, word)| *y = f64::from_bits(word));
        (outputs == checksum::numbers(ys)).then_some(inputs)
    }

    /// Reads the next record into `ys` if it is whole and belongs to these inputs; else cuts the journal off here.
    fn replay(&mut self, xs: &[f64], ys: &mut [f64]) -> bool {
        if !self.replaying {
            return false;
        }
        let Ok(start) = self.file.stream_position() else { return false };
        if self.read_record(ys) == Some(checksum::numbers(xs)) {
            return true;
        }
        self.replaying = false;
        let cut = self.file.set_len(start).and_then(|()| self.file.seek(SeekFrom::Start(start)).map(|_| ()));
        self.failure = self.failure.take().or(cut.err());
        false
    }

    fn record(&mut self, xs: &[f64], ys: &[f64]) {
        let mut bytes = Vec::with_capacity(16 + 8 * ys.len());
        bytes.extend(checksum::numbers(xs).to_le_bytes());
        bytes.extend(checksum::numbers(ys).to_le_bytes());
        bytes.extend(ys.iter().flat_map(|y| y.to_le_bytes()));
        let written = self.file.write_all(&bytes).and_then(|()| self.file.flush());
        self.failure = self.failure.take().or(written.err());
    }
}

impl LinearOperator for Journal<'_> {
    fn nrows(&self) -> usize {
        self.inner.nrows()
    }

    fn ncols(&self) -> usize {
        self.inner.ncols()
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) -> Result<(), ProductError> {
        self.apply_block(x, y)
    }

    fn apply_block(&self, xs: &[f64], ys: &mut [f64]) -> Result<(), ProductError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.unchecked && !state.is_journal(xs, ys.len()).map_err(ProductError::failed)? {
            return Err(ProductError::failed(NoJournal { path: self.path.clone(), n: self.nrows() }));
        }
        if state.replay(xs, ys) {
            return self.check_first(&mut state, xs, ys);
        }
        state.unchecked = false;
        self.inner.apply_block(xs, ys)?;
        state.record(xs, ys);
        Ok(())
    }
}

impl SymmetricOperator for Journal<'_> {
    fn new_basis(&self, precision: Precision) -> Result<Box<dyn BasisStore>, ProductError> {
        self.inner.new_basis(precision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use saddlescope_krylov::{Counted, DenseOperator, ExtremeEigen, extreme_eigenpairs};

    #[test]
    fn a_repeated_solve_makes_only_the_missing_products() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let diagonal: Vec<f64> = (0..60).map(|i| f64::from(i) - 7.5).collect();
        let dense = DenseOperator::from_diagonal(&diagonal);
        let options = ExtremeEigen { tolerance: 1e-8, ..ExtremeEigen::ends(1, 1) };
        let solve = || {
            let counted = Counted::new(&dense);
            let journal = Journal::open(&counted, &path).unwrap();
            let solution = extreme_eigenpairs(&journal, &options, &mut ()).unwrap();
            journal.finish().unwrap();
            (solution.pairs, counted.products())
        };
        let (pairs, products) = solve();
        assert!(products > 4);
        let (again, none) = solve();
        assert_eq!((again, none), (pairs.clone(), 0));
        // Half the journal gone, torn inside a record: the first half is used, the rest computed, to the same bits.
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2 + 5]).unwrap();
        let (torn, rest) = solve();
        assert_eq!(torn, pairs);
        assert!(0 < rest && rest < products);
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn a_checked_journal_is_not_used_for_another_operator() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let operator = |first: f64| {
            let diagonal: Vec<f64> = (0..60).map(|i| if i == 0 { first } else { f64::from(i) }).collect();
            DenseOperator::from_diagonal(&diagonal)
        };
        let options = ExtremeEigen { tolerance: 1e-8, ..ExtremeEigen::ends(1, 1) };
        let solve = |operator: &DenseOperator| {
            let counted = Counted::new(operator);
            let journal = Journal::open_checked(&counted, &path).unwrap();
            let solution = extreme_eigenpairs(&journal, &options, &mut ()).map_err(|e| e.to_string());
            (solution.map(|s| s.pairs[0].value), counted.products())
        };
        let (one, products) = solve(&operator(-70.0));
        assert!(one.is_ok() && products > 4);
        // The same operator again: one product, to compare.
        assert_eq!(solve(&operator(-70.0)), (one, 1));
        let (other, _) = solve(&operator(-90.0));
        assert!(other.as_ref().is_err_and(|e| e.contains("products of another operator")), "{other:?}");
        for size in [10, 10_000] {
            std::fs::write(&path, vec![7; size]).unwrap();
            let (garbage, _) = solve(&operator(-70.0));
            assert!(garbage.as_ref().is_err_and(|e| e.contains("no products of an operator")), "{garbage:?}");
            assert_eq!(std::fs::read(&path).unwrap(), vec![7; size], "the file was overwritten");
        }
        // A first record that was torn is none.
        std::fs::remove_file(&path).unwrap();
        let (whole, products) = solve(&operator(-70.0));
        let bytes = std::fs::read(&path).unwrap();
        for size in [3, 100] {
            std::fs::write(&path, &bytes[..size]).unwrap();
            assert_eq!(solve(&operator(-70.0)), (whole.clone(), products));
        }
    }
}
