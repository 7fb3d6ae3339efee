//! Rows of a grid on disk: appended one by one, each with a checksum, so that a killed run keeps all but the row in
//! flight. The file begins with a fingerprint of the plane and its axes: rows of another plane are not continued.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::path::Path;

use super::checksum;
use super::error::AnalysisError;
use super::folder_error::FolderError;
use super::monitor::Monitor;
use super::store::Slot;
use crate::axis::Axis;
use crate::evaluation::Threading;
use crate::plane::Plane;
use crate::risk::{Evaluation, Risk};
use crate::sampling_error::{PointErrors, has_parts};
use crate::surface::{FinishedRows, Surface, SurfaceOutcome, SurfaceRow, evaluate_around};

/// Ending of the file that the rows of a surface in flight are in.
pub const ROWS: &str = "rows";

/// What a row holds besides losses.
#[derive(Clone, Copy, Debug)]
pub struct Contents {
    /// Accuracies.
    pub accuracy: bool,
    /// Standard errors of losses and of differences.
    pub errors: bool,
}

/// A log of finished rows.
pub struct RowLog {
    file: File,
}

/// Fingerprint of what the rows are evaluated on: the bits of both directions and both axes.
pub fn fingerprint(plane: &Plane, axes: [&Axis; 2]) -> u64 {
    let ends = axes.into_iter().flat_map(|a| [a.lo(), a.hi(), a.count() as f64]);
    let numbers = ends.chain(plane.u().vector().iter().copied()).chain(plane.v().vector().iter().copied());
    checksum::words(numbers.map(f64::to_bits))
}

impl RowLog {
    /// Opens a log for rows of `columns` points and returns what is finished in it; a torn end is cut off, and rows whose
    /// `fingerprint` is another (the point or its eigenvectors moved since, if only by rounding) are dropped, as are rows with
    /// other contents.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn open(
        path: &Path,
        columns: usize,
        with: Contents,
        fingerprint: u64,
    ) -> Result<(Self, FinishedRows), FolderError> {
        let wrong = |reason: io::Error| FolderError::Io { path: path.into(), reason };
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(wrong)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(wrong)?;
        let numbers = columns * (1 + usize::from(with.accuracy) + 2 * usize::from(with.errors));
        let record = 8 * numbers + 8;
        let mut rows = FinishedRows {
            loss: Vec::new(),
            accuracy: with.accuracy.then(Vec::new),
            errors: with.errors.then(PointErrors::default),
        };
        let header =
            checksum::words([fingerprint, u64::from(with.accuracy), u64::from(with.errors)].into_iter());
        let header = header.to_le_bytes();
        let Some(records) = bytes.strip_prefix(&header) else {
            file.set_len(0).map_err(wrong)?;
            file.write_all(&header).map_err(wrong)?;
            return Ok((Self { file }, FinishedRows::default()));
        };
        let mut good = header.len();
        for chunk in records.chunks_exact(record) {
            let (content, sum) = chunk.split_at(8 * numbers);
            if sum != checksum::bytes(content).to_le_bytes() {
                break;
            }
            let values: Vec<f64> =
                content.chunks_exact(8).filter_map(|b| b.try_into().ok().map(f64::from_le_bytes)).collect();
            let mut parts = values.chunks_exact(columns);
            let mut next = || parts.next().unwrap_or_default();
            rows.loss.extend_from_slice(next());
            if let Some(accuracy) = &mut rows.accuracy {
                accuracy.extend_from_slice(next());
            }
            if let Some(errors) = &mut rows.errors {
                errors.loss.extend_from_slice(next());
                errors.difference.extend_from_slice(next());
            }
            good += record;
        }
        file.set_len(good as u64).map_err(wrong)?;
        if rows.loss.is_empty() {
            rows = FinishedRows::default();
        }
        Ok((Self { file }, rows))
    }

    /// Appends a row.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn push(&mut self, row: &SurfaceRow<'_>) -> io::Result<()> {
        let none: &[f64] = &[];
        let (loss, difference) = row.errors.map_or((none, none), |e| (&e.loss, &e.difference));
        let numbers = [row.loss, row.accuracy.unwrap_or(none), loss, difference].concat();
        let mut content: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        let sum = checksum::bytes(&content).to_le_bytes();
        content.extend(sum);
        self.file.write_all(&content)?;
        self.file.flush()
    }
}

/// Evaluates a surface row by row, going on from the rows that are on disk. `count` hears of every evaluation.
///
/// # Errors
/// Cancelled (finished rows are kept), a risk that fails, a file that cannot be written.
pub fn evaluate_rows(
    slot: &Slot,
    monitor: &mut dyn Monitor,
    count: &mut dyn FnMut(usize),
    title: &str,
    (risk, center): (&dyn Risk, Option<&Evaluation>),
    plane: &Plane,
    axes: [Axis; 2],
) -> Result<Surface, AnalysisError> {
    let [a, b] = axes;
    let path = slot.file(ROWS);
    let center = match center {
        Some(known) => known.clone(),
        None => {
            count(1);
            risk.evaluate(plane.center())?
        }
    };
    let with = Contents { accuracy: risk.offers().accuracy, errors: has_parts(&center) };
    let (mut log, finished) = RowLog::open(&path, b.count(), with, fingerprint(plane, [&a, &b]))?;
    monitor.begin(title, Some(a.count() as u64));
    monitor.advance((finished.loss.len() / b.count()) as u64, "");
    let mut failure: Option<AnalysisError> = None;
    let outcome = evaluate_around(&center, plane, axes, finished, Threading::Sequential, risk, &mut |row| {
        count(row.loss.len());
        if let Err(reason) = log.push(&row) {
            failure = Some(FolderError::Io { path: path.clone(), reason }.into());
            return ControlFlow::Break(());
        }
        monitor.advance(row.index as u64 + 1, "");
        if monitor.cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if let Some(error) = failure {
        return Err(error);
    }
    match outcome {
        SurfaceOutcome::Complete(surface) => {
            monitor.end("");
            Ok(surface)
        }
        SurfaceOutcome::Stopped(_) => Err(AnalysisError::Cancelled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Direction, Origin};

    fn row<'a>(
        loss: &'a [f64],
        accuracy: Option<&'a [f64]>,
        errors: Option<&'a PointErrors>,
    ) -> SurfaceRow<'a> {
        SurfaceRow { index: 0, total: 3, alpha: 0.0, loss, accuracy, errors }
    }

    #[test]
    fn a_torn_row_is_cut_off_and_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows");
        let both = Contents { accuracy: true, errors: true };
        let (mut log, rows) = RowLog::open(&path, 2, both, 7).unwrap();
        assert!(rows.loss.is_empty());
        let error = |x: f64| PointErrors { loss: vec![x, 0.25], difference: vec![f64::NAN, x + 1.0] };
        let (first, second) = (error(0.5), error(0.125));
        log.push(&row(&[1.0, f64::NAN], Some(&[0.5, 0.25]), Some(&first))).unwrap();
        log.push(&row(&[3.0, 4.0], Some(&[0.0, 1.0]), Some(&second))).unwrap();
        drop(log);
        let whole = std::fs::read(&path).unwrap();
        for cut in whole.len() - 72 + 1..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let (mut log, rows) = RowLog::open(&path, 2, both, 7).unwrap();
            assert_eq!(rows.loss.len(), 2, "cut at {cut}");
            assert!(rows.loss[1].is_nan());
            assert_eq!(rows.accuracy, Some(vec![0.5, 0.25]));
            let errors = rows.errors.unwrap();
            assert_eq!((errors.loss, errors.difference[1]), (vec![0.5, 0.25], 1.5));
            log.push(&row(&[3.0, 4.0], Some(&[0.0, 1.0]), Some(&second))).unwrap();
            drop(log);
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn rows_of_another_plane_are_not_continued() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows");
        let direction =
            |v: [f64; 2]| Direction::new(v.to_vec(), Origin::Random { seed: 0, stream: 0 }).unwrap();
        let plane = |x: f64| Plane::new(vec![0.0; 2], direction([x, 0.0]), direction([0.0, 1.0])).unwrap();
        let axes = [Axis::new(-1.0, 1.0, 3).unwrap(), Axis::new(-1.0, 1.0, 2).unwrap()];
        let moved = Axis::new(-1.0, 1.0 + 1e-7, 3).unwrap();
        let bare = Contents { accuracy: false, errors: false };
        let here = fingerprint(&plane(1.0), [&axes[0], &axes[1]]);
        for other in [
            fingerprint(&plane(1.0 + 1e-15), [&axes[0], &axes[1]]),
            fingerprint(&plane(1.0), [&moved, &axes[1]]),
        ] {
            assert_ne!(here, other);
            let (mut log, _) = RowLog::open(&path, 2, bare, here).unwrap();
            log.push(&row(&[1.0, 2.0], None, None)).unwrap();
            assert_eq!(RowLog::open(&path, 2, bare, here).unwrap().1.loss, [1.0, 2.0]);
            assert!(RowLog::open(&path, 2, bare, other).unwrap().1.loss.is_empty());
            // Begun anew: the other plane's rows follow, the first ones are gone.
            assert!(RowLog::open(&path, 2, bare, here).unwrap().1.loss.is_empty());
        }
        // Rows with other contents are none of ours either.
        let (mut log, _) = RowLog::open(&path, 2, bare, here).unwrap();
        log.push(&row(&[1.0, 2.0], None, None)).unwrap();
        let with = Contents { accuracy: false, errors: true };
        assert!(RowLog::open(&path, 2, with, here).unwrap().1.loss.is_empty());
    }
}
