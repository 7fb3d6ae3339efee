//! Rows of a grid on disk: appended one by one, each with a checksum, so that a killed run keeps all but the row in
//! flight. The file begins with a fingerprint of the plane and its axes: rows of another plane are not continued.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::path::Path;

use super::error::AnalysisError;
use super::monitor::Monitor;
use super::store::{FolderError, Slot};
use crate::axis::Axis;
use crate::evaluation::Threading;
use crate::plane::Plane;
use crate::risk::Risk;
use crate::surface::{FinishedRows, Surface, SurfaceOutcome, evaluate_surface};

/// Ending of the file that the rows of a surface in flight are in.
pub const ROWS: &str = "rows";

/// A log of finished rows.
pub struct RowLog {
    file: File,
}

/// 64-bit FNV-1a: enough to notice a torn write.
fn checksum(bytes: &[u8]) -> u64 {
    fnv(bytes.iter().map(|b| u64::from(*b)))
}

fn fnv(words: impl Iterator<Item = u64>) -> u64 {
    words.fold(0xcbf2_9ce4_8422_2325, |h, word| (h ^ word).wrapping_mul(0x0100_0000_01b3))
}

/// Fingerprint of what the rows are evaluated on: both directions and both axes, to the bit.
pub fn fingerprint(plane: &Plane, axes: [&Axis; 2]) -> u64 {
    let ends = axes.into_iter().flat_map(|a| [a.lo(), a.hi(), a.count() as f64]);
    let numbers = ends.chain(plane.u().vector().iter().copied()).chain(plane.v().vector().iter().copied());
    fnv(numbers.map(f64::to_bits))
}

impl RowLog {
    /// Opens a log for rows of `columns` points and returns what is finished in it; a torn end is cut off, and rows whose
    /// `fingerprint` is another (the point or its eigenvectors moved since, if only by rounding) are dropped.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn open(
        path: &Path,
        columns: usize,
        with_accuracy: bool,
        fingerprint: u64,
    ) -> Result<(Self, FinishedRows), FolderError> {
        let wrong = |reason: io::Error| FolderError::Io { path: path.into(), reason };
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(wrong)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(wrong)?;
        let numbers = if with_accuracy { 2 * columns } else { columns };
        let record = 8 * numbers + 8;
        let mut rows = FinishedRows { loss: Vec::new(), accuracy: with_accuracy.then(Vec::new) };
        let header = fingerprint.to_le_bytes();
        let Some(records) = bytes.strip_prefix(&header) else {
            file.set_len(0).map_err(wrong)?;
            file.write_all(&header).map_err(wrong)?;
            rows.accuracy = None;
            return Ok((Self { file }, rows));
        };
        let mut good = header.len();
        for chunk in records.chunks_exact(record) {
            let (content, sum) = chunk.split_at(8 * numbers);
            if sum != checksum(content).to_le_bytes() {
                break;
            }
            let values: Vec<f64> =
                content.chunks_exact(8).filter_map(|b| b.try_into().ok().map(f64::from_le_bytes)).collect();
            rows.loss.extend_from_slice(&values[..columns]);
            if let Some(accuracy) = &mut rows.accuracy {
                accuracy.extend_from_slice(&values[columns..]);
            }
            good += record;
        }
        file.set_len(good as u64).map_err(wrong)?;
        if rows.loss.is_empty() {
            rows.accuracy = None;
        }
        Ok((Self { file }, rows))
    }

    /// Appends a row.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn push(&mut self, loss: &[f64], accuracy: Option<&[f64]>) -> io::Result<()> {
        let mut content: Vec<u8> = loss.iter().flat_map(|x| x.to_le_bytes()).collect();
        content.extend(accuracy.unwrap_or(&[]).iter().flat_map(|x| x.to_le_bytes()));
        let sum = checksum(&content).to_le_bytes();
        content.extend(sum);
        self.file.write_all(&content)?;
        self.file.flush()
    }
}

/// Evaluates a surface row by row, going on from the rows that are on disk. `count` hears of every row's evaluations.
///
/// # Errors
/// Cancelled (finished rows are kept), a risk that fails, a file that cannot be written.
pub fn evaluate_rows(
    slot: &Slot,
    monitor: &mut dyn Monitor,
    count: &mut dyn FnMut(usize),
    title: &str,
    risk: &dyn Risk,
    plane: &Plane,
    axes: [Axis; 2],
) -> Result<Surface, AnalysisError> {
    let [a, b] = axes;
    let path = slot.file(ROWS);
    let accuracy = risk.offers().accuracy;
    let (mut log, finished) = RowLog::open(&path, b.count(), accuracy, fingerprint(plane, [&a, &b]))?;
    monitor.begin(title, Some(a.count() as u64));
    monitor.advance((finished.loss.len() / b.count()) as u64, "");
    let mut failure: Option<AnalysisError> = None;
    let outcome = evaluate_surface(plane, a, b, finished, Threading::Sequential, risk, &mut |row| {
        count(row.loss.len());
        if let Err(reason) = log.push(row.loss, row.accuracy) {
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

    #[test]
    fn a_torn_row_is_cut_off_and_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows");
        let (mut log, rows) = RowLog::open(&path, 2, true, 7).unwrap();
        assert!(rows.loss.is_empty());
        log.push(&[1.0, f64::NAN], Some(&[0.5, 0.25])).unwrap();
        log.push(&[3.0, 4.0], Some(&[0.0, 1.0])).unwrap();
        drop(log);
        let whole = std::fs::read(&path).unwrap();
        for cut in whole.len() - 40 + 1..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let (mut log, rows) = RowLog::open(&path, 2, true, 7).unwrap();
            assert_eq!(rows.loss.len(), 2, "cut at {cut}");
            assert!(rows.loss[1].is_nan());
            log.push(&[3.0, 4.0], Some(&[0.0, 1.0])).unwrap();
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
        let here = fingerprint(&plane(1.0), [&axes[0], &axes[1]]);
        for other in [
            fingerprint(&plane(1.0 + 1e-15), [&axes[0], &axes[1]]),
            fingerprint(&plane(1.0), [&moved, &axes[1]]),
        ] {
            assert_ne!(here, other);
            let (mut log, _) = RowLog::open(&path, 2, false, here).unwrap();
            log.push(&[1.0, 2.0], None).unwrap();
            assert_eq!(RowLog::open(&path, 2, false, here).unwrap().1.loss, [1.0, 2.0]);
            assert!(RowLog::open(&path, 2, false, other).unwrap().1.loss.is_empty());
            // Begun anew: the other plane's rows follow, the first ones are gone.
            assert!(RowLog::open(&path, 2, false, here).unwrap().1.loss.is_empty());
        }
    }
}
