//! Reading files without trusting what they say about themselves.

use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::DataError;

/// Age from which on the times of a file tell every change apart.
const SETTLED: Duration = Duration::from_secs(2);

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

/// What tells one state of a file from another without reading it: place, size and times. `None` for a file that changed within the
/// last two seconds: it could change again without a difference in its times.
pub(crate) fn stamp(path: &Path) -> Result<Option<String>, DataError> {
    let io = DataError::io(path, "cannot look at");
    let read = || -> std::io::Result<Option<String>> {
        let meta = std::fs::metadata(path)?;
        if SystemTime::now().duration_since(meta.modified()?).is_ok_and(|age| age < SETTLED) {
            return Ok(None);
        }
        let place = std::path::absolute(path)?;
        Ok(Some(format!("{place:?} {}", FileState::of(&meta)?.0)))
    };
    read().map_err(io)
}

/// Size and times of a file: what tells that it has been changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileState(String);

impl FileState {
    /// The state now.
    ///
    /// # Errors
    /// Where files have no time of their last change.
    pub fn of(meta: &Metadata) -> std::io::Result<Self> {
        Ok(Self(format!("{} {:?} {}", meta.len(), meta.modified()?, inode(meta))))
    }

    /// Refuses a file that is no longer in this state.
    ///
    /// # Errors
    /// Another size or other times, or a file that cannot be looked at.
    pub fn check(&self, meta: std::io::Result<Metadata>, path: &Path) -> Result<(), DataError> {
        let now = meta.and_then(|meta| Self::of(&meta)).map_err(DataError::io(path, "cannot look at"))?;
        if now == *self {
            return Ok(());
        }
        let found = "a file that has been changed since it was opened";
        Err(DataError::malformed("data", found, "a file that stays as it is").in_file(path))
    }
}

/// Number of the file and time of its last change of any kind, which no program can set back.
#[cfg(unix)]
fn inode(meta: &Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    format!("{} {} {} {}", meta.dev(), meta.ino(), meta.ctime(), meta.ctime_nsec())
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> String {
    String::new()
}

/// Reads a whole file; the memory used is bounded by the file's size.
pub(crate) fn read_all(path: &Path) -> Result<Vec<u8>, DataError> {
    let (file, len) = open(path)?;
    let mut bytes = Vec::new();
    // A file that grows meanwhile is cut at the size it had.
    file.take(len).read_to_end(&mut bytes).map_err(DataError::io(path, "cannot read"))?;
    Ok(bytes)
}
