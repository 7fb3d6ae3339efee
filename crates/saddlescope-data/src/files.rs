//! Reading files without trusting what they say about themselves.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::DataError;

/// Opens a regular file and tells its length in bytes.
pub(crate) fn open(path: &Path) -> Result<(File, u64), DataError> {
    // Before opening, which would wait for ever on a named pipe.
    let meta = std::fs::metadata(path).map_err(DataError::io(path, "cannot open"))?;
    if !meta.is_file() {
        return Err(DataError::malformed("path", "no regular file", "a regular file").in_file(path));
    }
    let file = File::open(path).map_err(DataError::io(path, "cannot open"))?;
    Ok((file, meta.len()))
}

/// Reads `len` bytes from `offset`; the caller has checked that the file holds them.
pub(crate) fn read_part(file: &mut File, path: &Path, offset: u64, len: usize) -> Result<Vec<u8>, DataError> {
    file.seek(SeekFrom::Start(offset)).map_err(DataError::io(path, "cannot seek"))?;
    let mut bytes = vec![0; len];
    file.read_exact(&mut bytes).map_err(DataError::io(path, "cannot read"))?;
    Ok(bytes)
}

/// Fills `bytes` from `offset` on, whoever else reads the file.
#[cfg(unix)]
pub(crate) fn read_at(file: &File, offset: u64, bytes: &mut [u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

/// Fills `bytes` from `offset` on, whoever else reads the file.
#[cfg(windows)]
pub(crate) fn read_at(file: &File, mut offset: u64, mut bytes: &mut [u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let read = std::os::windows::fs::FileExt::seek_read(file, bytes, offset)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        offset += read as u64;
        bytes = &mut bytes[read..];
    }
    Ok(())
}

/// Reads a whole file; the memory used is bounded by the file's size.
pub(crate) fn read_all(path: &Path) -> Result<Vec<u8>, DataError> {
    let (file, len) = open(path)?;
    let mut bytes = Vec::new();
    // A file that grows meanwhile is cut at the size it had.
    file.take(len).read_to_end(&mut bytes).map_err(DataError::io(path, "cannot read"))?;
    Ok(bytes)
}
