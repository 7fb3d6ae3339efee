//! Saving a solve while it runs, and loading it again.
//!
//! A snapshot is a log of records, each with its SHA-256: basis vectors as they appear, then the small rest of the
//! state. Writing after every product therefore costs one vector, not the whole basis; only a restart writes all
//! vectors anew. A log whose end is torn off is good up to its last complete record.
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

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

use super::LanczosState;
use super::continuation::Made;
use super::state::Head;
use super::trail::Trail;
use crate::Precision;
use crate::basis::{Basis, Columns};

/// First bytes of a snapshot; the last one is the version of the format.
const MAGIC: &[u8; 8] = b"SSKRYLV\x02";
const RECORD_COLUMN: u8 = 1;
const RECORD_HEAD: u8 = 2;
/// Bytes of a record besides its content: kind, length, checksum.
const CHECKSUM: usize = 32;

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
}

impl<W: Write> SnapshotWriter<W> {
    /// A new log.
    pub fn new(out: W) -> Self {
        Self { out, written: None }
    }

    /// Appends what has changed since the last call.
    ///
    /// # Errors
    /// [`SnapshotError::Io`]; the log is then good up to the call before.
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
            let mut content = (i as u64).to_le_bytes().to_vec();
            match &state.basis.columns {
                Columns::F32(c) => c[i].iter().for_each(|x| content.extend(x.to_le_bytes())),
                Columns::F64(c) => c[i].iter().for_each(|x| content.extend(x.to_le_bytes())),
            }
            write_record(&mut self.out, RECORD_COLUMN, &content)?;
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
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = SnapshotWriter::new(Vec::new());
        // Writing to memory cannot fail.
        let _ = writer.write(self);
        writer.into_inner()
    }

    /// The state that [`LanczosState::to_bytes`] or a [`SnapshotWriter`] wrote.
    ///
    /// # Errors
    /// [`SnapshotError`] when the bytes are no snapshot or hold no complete state.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SnapshotError> {
        read_snapshot(bytes)
    }
}

fn write_record(out: &mut impl Write, kind: u8, content: &[u8]) -> io::Result<()> {
    let length = (content.len() as u64).to_le_bytes();
    let checksum = Sha256::new().chain_update([kind]).chain_update(length).chain_update(content).finalize();
    out.write_all(&[kind])?;
    out.write_all(&length)?;
    out.write_all(content)?;
    out.write_all(&checksum)
}

/// Reads a snapshot: the last complete state in it.
///
/// # Errors
/// [`SnapshotError`] when the bytes are no snapshot or hold no complete state.
pub fn read_snapshot(mut input: impl Read) -> Result<LanczosState, SnapshotError> {
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes)?;
    if !bytes.starts_with(MAGIC) {
        return Err(SnapshotError::Magic { found: bytes[..bytes.len().min(MAGIC.len())].to_vec() });
    }
    let mut offset = MAGIC.len();
    let mut columns: Vec<&[u8]> = Vec::new();
    // The state of the last head whose vectors were all there. It is built at once: later records may replace
    // vectors it needs.
    let mut last: Option<(Vec<&[u8]>, &[u8])> = None;
    while let Some((kind, content, next)) = next_record(&bytes, offset) {
        match kind {
            RECORD_COLUMN => {
                let (index, data) = content.split_at(content.len().min(8));
                let index = index.try_into().map_or(usize::MAX, |b| u64::from_le_bytes(b) as usize);
                if index > columns.len() {
                    break;
                }
                columns.truncate(index);
                columns.push(data);
            }
            RECORD_HEAD => last = Some((columns.clone(), content)),
            _ => break,
        }
        offset = next;
    }
    last.and_then(|(columns, head)| decode(&columns, head)).ok_or(SnapshotError::NoState { offset })
}

fn next_record(bytes: &[u8], offset: usize) -> Option<(u8, &[u8], usize)> {
    let kind = *bytes.get(offset)?;
    let length = bytes.get(offset + 1..offset + 9)?;
    let size = usize::try_from(u64::from_le_bytes(length.try_into().ok()?)).ok()?;
    let start = offset + 9;
    let end = start.checked_add(size)?;
    let content = bytes.get(start..end)?;
    let checksum = bytes.get(end..end.checked_add(CHECKSUM)?)?;
    let expected = Sha256::new().chain_update([kind]).chain_update(length).chain_update(content).finalize();
    (expected[..] == *checksum).then_some((kind, content, end + CHECKSUM))
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

type ByRank = [Vec<(usize, f64)>; 2];
type Rest = (Made, ByRank, ByRank, Trail);

fn read_rest(words: &mut impl Iterator<Item = u64>) -> Option<Rest> {
    let mut wanted = [0; 3];
    for count in &mut wanted {
        *count = usize::try_from(words.next()?).ok()?;
    }
    let made = Made {
        wanted,
        tolerance: f64::from_bits(words.next()?),
        floor: f64::from_bits(words.next()?),
        max_vectors: usize::try_from(words.next()?).ok()?,
        check_interval: usize::try_from(words.next()?).ok()?,
        start: words.next()?,
    };
    let (mut granted, mut probed) = (ByRank::default(), ByRank::default());
    for side in granted.iter_mut().chain(&mut probed) {
        for _ in 0..words.next()? {
            side.push((usize::try_from(words.next()?).ok()?, f64::from_bits(words.next()?)));
        }
    }
    let trail = Trail::read(words)?;
    words.next().is_none().then_some((made, granted, probed, trail))
}

/// `None` when the parts do not fit together, which the checksums make unlikely but not impossible.
fn decode(columns: &[&[u8]], head: &[u8]) -> Option<LanczosState> {
    let words: Vec<[u8; 8]> = head.chunks_exact(8).filter_map(|c| c.try_into().ok()).collect();
    let integer = |i: usize| words.get(i).map(|w| u64::from_le_bytes(*w));
    let size = |i: usize| integer(i).and_then(|x| usize::try_from(x).ok());
    let (n, vectors) = (size(0)?, size(2)?);
    let (expanded, locked) = (size(5)?, size(12)?);
    let pending = vectors.checked_sub(expanded)?;
    let mut floats = words.get(13..)?.iter().map(|w| f64::from_le_bytes(*w));
    let (norm, tighten) = (floats.next()?, floats.next()?);
    let rest: Vec<f64> = floats.collect();
    let (end_h, end_b) = (
        locked.checked_add(expanded.checked_mul(expanded)?)?,
        locked.checked_add(expanded.checked_mul(vectors)?)?,
    );
    if locked > expanded || rest.len() < end_b || columns.len() < vectors {
        return None;
    }
    let (made, granted, probed, trail) = read_rest(&mut rest[end_b..].iter().map(|x| x.to_bits()))?;
    debug_assert_eq!(end_b - end_h, pending * expanded);
    let precision = if size(1)? == 4 { Precision::F32 } else { Precision::F64 };
    let mut basis = Basis::new(n, precision);
    for column in &columns[..vectors] {
        if column.len() != n.checked_mul(precision.bytes())? {
            return None;
        }
        match &mut basis.columns {
            Columns::F32(c) => {
                c.push(column.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
            }
            Columns::F64(c) => c.push(
                column.chunks_exact(8).filter_map(|b| b.try_into().ok().map(f64::from_le_bytes)).collect(),
            ),
        }
    }
    let head = Head {
        seed: integer(3)?,
        block_size: size(4)?,
        expanded,
        locked: rest[..locked].to_vec(),
        h: rest[locked..end_h].to_vec(),
        b: rest[end_h..end_b].to_vec(),
        products: size(6)?,
        restarts: size(7)?,
        drawn: integer(8)?,
        invariant: size(9)?,
        norm,
        tighten,
        shortfalls: size(10)?,
        random_start: integer(11)? != 0,
        made,
        granted,
        probed,
        trail,
    };
    Some(LanczosState { basis, head })
}
