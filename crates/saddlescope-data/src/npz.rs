//! NumPy's `.npz` files: a zip archive of `.npy` files, stored or deflated.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::ops::Range;
use std::path::{Path, PathBuf};

use zip::CompressionMethod;
use zip::ZipArchive;

use super::array::Array;
use super::named_arrays::{ArrayFile, Place};
use super::{DataError, files, npy};

/// Deflate turns one byte into at most 1,032 (zlib's documentation), so an entry that declares more is not honest.
pub(crate) const MAX_DEFLATE_RATIO: u64 = 1032;

/// An open `.npz` file.
pub(crate) struct Npz<R> {
    /// The file behind the reader, if there is one.
    path: Option<PathBuf>,
    archive: ZipArchive<R>,
    names: Vec<String>,
}

impl Npz<BufReader<File>> {
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let (file, _) = files::open(path)?;
        let mut npz = Self::new(BufReader::new(file)).map_err(|e| e.in_file(path))?;
        npz.path = Some(path.to_path_buf());
        Ok(npz)
    }
}

impl<R: Read + Seek> Npz<R> {
    fn new(reader: R) -> Result<Self, DataError> {
        let archive = ZipArchive::new(reader).map_err(|e| {
            DataError::malformed("archive", e.to_string(), "an .npz file, which is a zip archive")
        })?;
        let mut names = Vec::with_capacity(archive.len());
        for i in 0..archive.len() {
            let name = match archive.name_for_index(i) {
                Some(Ok(name)) => name.into_owned(),
                Some(Err(e)) => return Err(DataError::malformed("archive", e.to_string(), "readable names")),
                None => String::new(),
            };
            let Some(name) = name.strip_suffix(".npy") else {
                return Err(DataError::malformed(
                    "archive",
                    format!("an entry {name:?}"),
                    "entries whose names end in .npy",
                ));
            };
            names.push(name.to_owned());
        }
        Ok(Self { path: None, archive, names })
    }
}

impl<R: Read + Seek> ArrayFile for Npz<R> {
    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn read(&mut self, index: usize, rows: Option<&Range<usize>>) -> Result<Array, DataError> {
        let name = self.names.get(index).cloned().unwrap_or_default();
        let place = |e: DataError| match e {
            DataError::Malformed { file, place, found, expected } => {
                DataError::Malformed { file, place: format!("array {name:?}, {place}"), found, expected }
            }
            other => other,
        };
        let entry = self
            .archive
            .by_index(index)
            .map_err(|e| place(DataError::malformed("zip entry", e.to_string(), "a readable entry")))?;
        let honest = match entry.compression() {
            CompressionMethod::Stored => entry.compressed_size(),
            _ => entry.compressed_size().saturating_mul(MAX_DEFLATE_RATIO),
        };
        let declared = entry.size();
        if declared > honest {
            return Err(place(DataError::malformed(
                "zip entry",
                format!("{declared} bytes declared, from {} compressed", entry.compressed_size()),
                format!("at most {honest} bytes, the most that these can hold"),
            )));
        }
        // One byte more than declared, so that the end is really reached, where the checksum is compared.
        npy::read(&mut entry.take(declared.saturating_add(1)), declared, rows).map_err(place)
    }

    fn place(&mut self, index: usize) -> Result<Option<Place>, DataError> {
        let Some(path) = &self.path else { return Ok(None) };
        let entry = self
            .archive
            .by_index(index)
            .map_err(|e| DataError::malformed("zip entry", e.to_string(), "a readable entry"))?;
        let (CompressionMethod::Stored, Some(start)) = (entry.compression(), entry.data_start()) else {
            return Ok(None);
        };
        let (file, whole) = files::open(path)?;
        let length = entry.compressed_size().min(whole.saturating_sub(start));
        npy::place(path, file, start, length).map(Some)
    }
}

/// All arrays of the bytes of an `.npz` file, by name, in the archive's order.
///
/// # Errors
/// [`DataError::Malformed`] if the bytes are no zip archive of `.npy` files, an entry is encrypted, compressed otherwise than by
/// deflate, damaged, or declares more than its bytes can hold.
pub fn parse(bytes: &[u8]) -> Result<Vec<(String, Array)>, DataError> {
    let mut npz = Npz::new(Cursor::new(bytes))?;
    npz.names().into_iter().enumerate().map(|(i, name)| Ok((name, npz.read(i, None)?))).collect()
}

#[cfg(test)]
#[path = "npz_tests.rs"]
mod tests;
