//! Rows of a grid on disk: appended one by one, each with a checksum, so that a killed run keeps all but the row in
//! flight.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use super::folder::FolderError;
use crate::surface::FinishedRows;

/// A log of finished rows.
pub struct RowLog {
    file: File,
}

/// 64-bit FNV-1a: enough to notice a torn write.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

impl RowLog {
    /// Opens a log for rows of `columns` points and returns what is finished in it; a torn end is cut off.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn open(
        path: &Path,
        columns: usize,
        with_accuracy: bool,
    ) -> Result<(Self, FinishedRows), FolderError> {
        let wrong = |source: io::Error| FolderError::Io { path: path.into(), source };
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(wrong)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(wrong)?;
        let numbers = if with_accuracy { 2 * columns } else { columns };
        let record = 8 * numbers + 8;
        let mut rows = FinishedRows { loss: Vec::new(), accuracy: with_accuracy.then(Vec::new) };
        let mut good = 0;
        for chunk in bytes.chunks_exact(record) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_row_is_cut_off_and_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows");
        let (mut log, rows) = RowLog::open(&path, 2, true).unwrap();
        assert!(rows.loss.is_empty());
        log.push(&[1.0, f64::NAN], Some(&[0.5, 0.25])).unwrap();
        log.push(&[3.0, 4.0], Some(&[0.0, 1.0])).unwrap();
        drop(log);
        let whole = std::fs::read(&path).unwrap();
        for cut in whole.len() / 2 + 1..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let (mut log, rows) = RowLog::open(&path, 2, true).unwrap();
            assert_eq!(rows.loss.len(), 2, "cut at {cut}");
            assert!(rows.loss[1].is_nan());
            log.push(&[3.0, 4.0], Some(&[0.0, 1.0])).unwrap();
            drop(log);
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
    }
}
