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
        let square = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>();
        let difference = square(&mut own.iter().zip(kept).map(|(a, b)| a - b)).sqrt();
        let size = square(&mut own.iter().copied()).sqrt().max(square(&mut kept.iter().copied()).sqrt());
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
        let mut record = vec![0; 16 + 8 * len];
        self.file.read_exact(&mut record)?;
        self.file.seek(SeekFrom::Start(0))?;
        let number = |b: &[u8]| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]);
        let numbers: Vec<f64> = record[16..].chunks_exact(8).map(number).collect();
        Ok(record[8..16] == checksum::numbers(&numbers).to_le_bytes())
    }

    /// Reads the next record into `ys` if it is whole and belongs to these inputs; else cuts the journal off here.
    fn replay(&mut self, xs: &[f64], ys: &mut [f64]) -> bool {
        if !self.replaying {
            return false;
        }
        let Ok(start) = self.file.stream_position() else { return false };
        let mut head = [0; 16];
        let mut body = vec![0; 8 * ys.len()];
        let read = self.file.read_exact(&mut head).and_then(|()| self.file.read_exact(&mut body));
        let word = |i: usize| {
            u64::from_le_bytes([
                head[i],
                head[i + 1],
                head[i + 2],
                head[i + 3],
                head[i + 4],
                head[i + 5],
                head[i + 6],
                head[i + 7],
            ])
        };
        if read.is_ok() && word(0) == checksum::numbers(xs) {
            for (y, b) in ys.iter_mut().zip(body.chunks_exact(8)) {
                *y = f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]);
            }
            if word(8) == checksum::numbers(ys) {
                return true;
            }
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
