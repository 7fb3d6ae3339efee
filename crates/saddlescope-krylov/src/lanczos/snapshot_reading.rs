//! Loading a solve that was saved: what [`SnapshotWriter`](super::SnapshotWriter) has written.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use sha2::{Digest, Sha256};

use super::continuation::Made;
use super::snapshot::{BEFORE, CHECKSUM, MAGIC, PIECE, RECORD_COLUMN, RECORD_HEAD};
use super::state::Head;
use super::trail::Trail;
use super::{LanczosState, SnapshotError};
use crate::basis::Basis;
use crate::{BasisRows, BasisStore, Precision, SymmetricOperator};

/// Reads a snapshot: the last complete state in it. Its vectors are kept in the memory of this process.
///
/// # Errors
/// [`SnapshotError`] when the bytes are no snapshot or hold no complete state.
pub fn read_snapshot(mut input: impl Read) -> Result<LanczosState, SnapshotError> {
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes)?;
    let mut input = Cursor::new(bytes);
    let found = scan(&mut input)?;
    let store = Box::new(BasisRows::new(found.head.n, found.head.precision));
    found.read(&mut input, store)
}

/// As [`read_snapshot`], the vectors being kept where those of the operator are. They are read one at a time.
///
/// # Errors
/// [`SnapshotError`] when the bytes are no snapshot, hold no complete state, or one of another dimension, and where the operator's
/// place for vectors cannot be reached.
pub fn read_snapshot_for(
    operator: &dyn SymmetricOperator,
    mut input: impl Read + Seek,
) -> Result<LanczosState, SnapshotError> {
    let found = scan(&mut input)?;
    if found.head.n != operator.dim() {
        return Err(SnapshotError::Dimension { found: found.head.n, expected: operator.dim() });
    }
    let store = operator.new_basis(found.head.precision)?;
    found.read(&mut input, store)
}

/// Where the last complete state is.
struct Found {
    head: Decoded,
    /// Where the numbers of each of its vectors begin.
    columns: Vec<u64>,
}

/// Where the numbers of each vector begin, and the length of its record.
type Columns = Vec<(u64, u64)>;

/// Looks through all records, the vectors of which are not kept.
fn scan(input: &mut (impl Read + Seek)) -> Result<Found, SnapshotError> {
    let mut magic = Vec::new();
    input.by_ref().take(MAGIC.len() as u64).read_to_end(&mut magic)?;
    if magic != MAGIC {
        return Err(SnapshotError::Magic { found: magic });
    }
    let mut offset = MAGIC.len() as u64;
    let mut columns: Columns = Vec::new();
    // The last head whose vectors were all there, with these: later records may replace vectors it needs.
    let mut last: Option<(Columns, Vec<u8>)> = None;
    while let Some(record) = next_record(input, offset)? {
        match record.kind {
            RECORD_COLUMN => {
                let index = usize::try_from(record.index).unwrap_or(usize::MAX);
                if index > columns.len() {
                    break;
                }
                columns.truncate(index);
                columns.push((record.content, record.length));
            }
            RECORD_HEAD => last = Some((columns.clone(), record.head)),
            _ => break,
        }
        offset = record.end;
    }
    let no_state = SnapshotError::NoState { offset: usize::try_from(offset).unwrap_or(usize::MAX) };
    let Some((columns, head)) = last else { return Err(no_state) };
    let Some(head) = decode(&head) else { return Err(no_state) };
    let length = head.n.checked_mul(head.precision.bytes());
    let fits = |c: &(u64, u64)| length.is_some_and(|length| length as u64 == c.1);
    match columns.get(..head.vectors) {
        Some(columns) if columns.iter().all(fits) => {
            Ok(Found { columns: columns.iter().map(|c| c.0).collect(), head })
        }
        _ => Err(no_state),
    }
}

impl Found {
    fn read(
        self,
        input: &mut (impl Read + Seek),
        store: Box<dyn BasisStore>,
    ) -> Result<LanczosState, SnapshotError> {
        let precision = self.head.precision;
        let mut basis = Basis::of(self.head.n, precision, store);
        let mut column = vec![0.0; if self.columns.is_empty() { 0 } else { self.head.n }];
        let mut piece = vec![0; PIECE];
        for begin in self.columns {
            input.seek(SeekFrom::Start(begin))?;
            for part in column.chunks_mut(PIECE / precision.bytes()) {
                let bytes = &mut piece[..part.len() * precision.bytes()];
                input.read_exact(bytes)?;
                match precision {
                    Precision::F32 => {
                        for (x, b) in part.iter_mut().zip(bytes.as_chunks().0) {
                            *x = f64::from(f32::from_le_bytes(*b));
                        }
                    }
                    Precision::F64 => {
                        for (x, b) in part.iter_mut().zip(bytes.as_chunks().0) {
                            *x = f64::from_le_bytes(*b);
                        }
                    }
                }
            }
            let block = basis.load(&mut column)?;
            basis.push(1.0, &block)?;
        }
        Ok(LanczosState { basis, head: self.head.head })
    }
}

/// A record that is whole.
struct Record {
    kind: u8,
    /// The number of a vector.
    index: u64,
    /// Where its content begins, how long that is, and where the record ends.
    content: u64,
    length: u64,
    end: u64,
    /// The content of a head.
    head: Vec<u8>,
}

/// The record at an offset; `None` where it is damaged, cut off, or where there is none.
fn next_record(input: &mut (impl Read + Seek), offset: u64) -> io::Result<Option<Record>> {
    input.seek(SeekFrom::Start(offset))?;
    let mut before = Vec::new();
    input.by_ref().take(BEFORE as u64).read_to_end(&mut before)?;
    let Some(&[kind, ref numbers @ ..]) = before.first_chunk::<BEFORE>() else { return Ok(None) };
    let number = |at: usize| numbers[at..].first_chunk().map_or(u64::MAX, |b| u64::from_le_bytes(*b));
    let (length, index, content) = (number(0), number(8), offset + BEFORE as u64);
    let Some(end) = content.checked_add(length).and_then(|e| e.checked_add(CHECKSUM as u64)) else {
        return Ok(None);
    };
    let mut sum = Sha256::new().chain_update(&before);
    let (mut head, mut left) = (Vec::new(), length);
    let mut piece = Vec::with_capacity(PIECE);
    while left > 0 {
        piece.clear();
        let wanted = left.min(PIECE as u64);
        if (input.by_ref().take(wanted).read_to_end(&mut piece)? as u64) < wanted {
            return Ok(None);
        }
        sum.update(Sha256::digest(&piece));
        if kind == RECORD_HEAD {
            head.extend_from_slice(&piece);
        }
        left -= wanted;
    }
    let mut checksum = Vec::new();
    input.by_ref().take(CHECKSUM as u64).read_to_end(&mut checksum)?;
    let whole = sum.finalize()[..] == *checksum;
    Ok(whole.then_some(Record { kind, index, content, length, end, head }))
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

/// What a head says.
struct Decoded {
    n: usize,
    precision: Precision,
    vectors: usize,
    head: Head,
}

/// `None` when the parts do not fit together, which the checksums make unlikely but not impossible.
fn decode(head: &[u8]) -> Option<Decoded> {
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
    if locked > expanded || rest.len() < end_b {
        return None;
    }
    let (made, granted, probed, trail) = read_rest(&mut rest[end_b..].iter().map(|x| x.to_bits()))?;
    debug_assert_eq!(end_b - end_h, pending * expanded);
    let precision = if size(1)? == 4 { Precision::F32 } else { Precision::F64 };
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
    Some(Decoded { n, precision, vectors, head })
}
