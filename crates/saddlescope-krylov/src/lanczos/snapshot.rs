//! Saving a solve while it runs, and loading it again.
//!
//! A snapshot is a log of records, each with its checksum: basis vectors as they appear, then the small rest of the
//! state. A record is its kind (1 byte), the length of its content and the number of the vector (8 bytes each), the content, and
//! the SHA-256 of all that stands before the content and of the SHA-256 of every MiB of it, which threads make side by side. Writing after every product therefore costs one vector, not the whole basis; only a restart writes all
//! vectors anew. A log whose end is torn off is good up to its last complete record. Vectors are written and read one at a
//! time, so that those that are kept elsewhere ([`BasisStore`](crate::BasisStore)) never are all in this process.
//!
//! ```
//! use saddlescope_krylov::{LanczosState, SnapshotWriter, read_snapshot};
//! # use std::ops::ControlFlow;
//! # use saddlescope_krylov::*;
//! # struct Keep(SnapshotWriter<Vec<u8>>);
//! # impl Observer for Keep {
//! #     fn progress(&mut self, _: &Progress<'_>) -> ControlFlow<()> { ControlFlow::Continue(()) }
//! #     fn snapshot(&mut self, state: &LanczosState) -> ControlFlow<()> {
//! #         self.0.write(state).unwrap();
//! #         ControlFlow::Continue(())
//! #     }
//! # }
//! # let a = DenseOperator::from_diagonal(&(0..40).map(f64::from).collect::<Vec<_>>());
//! # let mut keep = Keep(SnapshotWriter::new(Vec::new()));
//! # let solution = extreme_eigenpairs(&a, &ExtremeEigen::ends(1, 1), &mut keep)?;
//! // `keep` is an observer whose `snapshot` calls `SnapshotWriter::write`.
//! let state: LanczosState = read_snapshot(&keep.0.into_inner()[..])?;
//! assert_eq!(state.dim(), 40);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::io::{self, Write};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::state::Head;
use super::{LanczosState, read_snapshot};
use crate::{Precision, ProductError};

/// First bytes of a snapshot; the last one is the version of the format.
pub(super) const MAGIC: &[u8; 8] = b"SSKRYLV\x03";
pub(super) const RECORD_COLUMN: u8 = 1;
pub(super) const RECORD_HEAD: u8 = 2;
/// Bytes of a checksum.
pub(super) const CHECKSUM: usize = 32;
/// Bytes of a record before its content.
pub(super) const BEFORE: usize = 17;
/// Bytes of a content that have a checksum of their own.
pub(super) const PIECE: usize = 1 << 20;
/// Pieces that are made at a time: memory for a few MiB, enough work for several threads.
const PIECES: usize = 8;

/// Why a snapshot could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// Reading or writing failed.
    #[error("snapshot: {0}")]
    Io(io::Error),
    /// Not a snapshot, or one of another version.
    #[error("not a snapshot of this version of the solver: it starts with {found:02x?}")]
    Magic {
        /// The first bytes found.
        found: Vec<u8>,
    },
    /// There is no complete state before the end or before the first damaged record.
    #[error("the snapshot holds no complete state (damaged or cut off at byte {offset})")]
    NoState {
        /// Where reading stopped.
        offset: usize,
    },
    /// The state is that of an operator of another dimension.
    #[error("the snapshot is of an operator of dimension {found}, expected {expected}")]
    Dimension {
        /// The dimension in the snapshot.
        found: usize,
        /// That of the operator.
        expected: usize,
    },
    /// Vectors of the basis are kept elsewhere and cannot be reached.
    #[error("snapshot: {0}")]
    Basis(#[from] ProductError),
}

impl From<io::Error> for SnapshotError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Writes the state of a solve to a log, each time only what is new.
#[derive(Debug)]
pub struct SnapshotWriter<W> {
    out: W,
    /// Restarts and vectors already in the log; `None` before the first write.
    written: Option<(usize, usize)>,
    buffers: Buffers,
}

/// What a vector goes through on its way to the log. Kept from one call to the next: memory that is new each time would
/// take longer to get than the vector takes to write.
#[derive(Debug, Default)]
struct Buffers {
    column: Vec<f64>,
    bytes: Vec<u8>,
}

/// Bytes of vectors above which their buffer is given back after each call.
const MOST_KEPT: usize = 64 << 20;

impl<W: Write> SnapshotWriter<W> {
    /// A new log.
    pub fn new(out: W) -> Self {
        Self { out, written: None, buffers: Buffers::default() }
    }

    /// Appends what has changed since the last call.
    ///
    /// # Errors
    /// [`SnapshotError::Io`] and [`SnapshotError::Basis`]; the log is then good up to the call before.
    pub fn write(&mut self, state: &LanczosState) -> Result<(), SnapshotError> {
        if self.written.is_none() {
            self.out.write_all(MAGIC)?;
        }
        let start = match self.written {
            Some((restarts, vectors)) if restarts == state.head.restarts => vectors,
            _ => 0,
        };
        // Nothing is in the log for certain until the whole call has succeeded.
        self.written = Some((usize::MAX, 0));
        for i in start..state.basis.len() {
            self.buffers.column.resize(state.dim(), 0.0);
            state.basis.column(i, &mut self.buffers.column)?;
            write_column(&mut self.out, i, state.precision(), &mut self.buffers)?;
        }
        if 8 * state.dim() > MOST_KEPT {
            self.buffers = Buffers::default();
        }
        write_record(&mut self.out, RECORD_HEAD, &encode_head(state))?;
        self.out.flush()?;
        self.written = Some((state.head.restarts, state.basis.len()));
        Ok(())
    }

    /// The writer underneath.
    pub fn into_inner(self) -> W {
        self.out
    }
}

impl LanczosState {
    /// The whole state as bytes, with checksums.
    ///
    /// # Errors
    /// [`SnapshotError::Basis`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, SnapshotError> {
        let mut writer = SnapshotWriter::new(Vec::new());
        writer.write(self)?;
        Ok(writer.into_inner())
    }

    /// The state that [`LanczosState::to_bytes`] or a [`SnapshotWriter`] wrote.
    ///
    /// # Errors
    /// [`SnapshotError`] when the bytes are no snapshot or hold no complete state.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SnapshotError> {
        read_snapshot(bytes)
    }
}

/// What stands before the content of a record.
fn before(kind: u8, index: usize, length: usize) -> [u8; BEFORE] {
    let mut bytes = [kind; BEFORE];
    bytes[1..9].copy_from_slice(&(length as u64).to_le_bytes());
    bytes[9..].copy_from_slice(&(index as u64).to_le_bytes());
    bytes
}

fn write_record(out: &mut impl Write, kind: u8, content: &[u8]) -> io::Result<()> {
    let before = before(kind, 0, content.len());
    let mut sum = Sha256::new().chain_update(before);
    content.chunks(PIECE).for_each(|piece| sum.update(Sha256::digest(piece)));
    out.write_all(&before)?;
    out.write_all(content)?;
    out.write_all(&sum.finalize())
}

/// A column as a record, some MiB of it at a time.
fn write_column(
    out: &mut impl Write,
    index: usize,
    precision: Precision,
    Buffers { column, bytes }: &mut Buffers,
) -> io::Result<()> {
    let size = precision.bytes();
    let before = before(RECORD_COLUMN, index, size * column.len());
    let mut sum = Sha256::new().chain_update(before);
    out.write_all(&before)?;
    bytes.resize(PIECES.min(column.len().div_ceil(PIECE / size)) * PIECE, 0);
    let mut digests = [[0; CHECKSUM]; PIECES];
    for part in column.chunks(PIECES * PIECE / size) {
        let bytes = &mut bytes[..size * part.len()];
        let pieces = bytes.par_chunks_mut(PIECE).zip(part.par_chunks(PIECE / size));
        pieces.zip(&mut digests).for_each(|((bytes, numbers), digest)| {
            match precision {
                // Exact: the numbers come from an f32.
                Precision::F32 => fill(bytes, numbers, |x| (x as f32).to_le_bytes()),
                Precision::F64 => fill(bytes, numbers, f64::to_le_bytes),
            }
            *digest = Sha256::digest(&*bytes).into();
        });
        digests[..bytes.len().div_ceil(PIECE)].iter().for_each(|digest| sum.update(digest));
        out.write_all(bytes)?;
    }
    out.write_all(&sum.finalize())
}

fn fill<const BYTES: usize>(bytes: &mut [u8], numbers: &[f64], f: impl Fn(f64) -> [u8; BYTES]) {
    bytes.as_chunks_mut().0.iter_mut().zip(numbers).for_each(|(b, x)| *b = f(*x));
}

fn encode_head(state: &LanczosState) -> Vec<u8> {
    let h = &state.head;
    let mut out = Vec::new();
    let integers = [
        state.dim() as u64,
        state.precision().bytes() as u64,
        state.basis.len() as u64,
        h.seed,
        h.block_size as u64,
        h.expanded as u64,
        h.products as u64,
        h.restarts as u64,
        h.drawn,
        h.invariant as u64,
        h.shortfalls as u64,
        u64::from(h.random_start),
        h.locked.len() as u64,
    ];
    integers.iter().for_each(|x| out.extend(x.to_le_bytes()));
    [h.norm, h.tighten]
        .iter()
        .chain(&h.locked)
        .chain(&h.h)
        .chain(&h.b)
        .for_each(|x| out.extend(x.to_le_bytes()));
    rest_words(h).iter().for_each(|x| out.extend(x.to_le_bytes()));
    out
}

/// What follows the matrices: the options, what the observer allowed, the trail.
fn rest_words(h: &Head) -> Vec<u64> {
    let m = &h.made;
    let mut words: Vec<u64> = m.wanted.iter().map(|&x| x as u64).collect();
    words.extend([
        m.tolerance.to_bits(),
        m.floor.to_bits(),
        m.max_vectors as u64,
        m.check_interval as u64,
        m.start,
    ]);
    for side in h.granted.iter().chain(&h.probed) {
        words.push(side.len() as u64);
        side.iter().for_each(|&(rank, residual)| words.extend([rank as u64, residual.to_bits()]));
    }
    words.extend(h.trail.words());
    words
}
