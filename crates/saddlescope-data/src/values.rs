//! Numbers of samples: in memory, or in files from which samples are read as they are needed.

use std::borrow::Cow;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::array::{ArrayValues, ElementType, Layout, append};
use super::dataset::{MAX_EXACT_INTEGER, checked_product};
use super::{DataError, Normalization, files};

/// Numbers read at a time where all of them are read.
const BLOCK: usize = 1 << 20;

/// The values of one input, sample after sample. Copies and parts share them.
#[derive(Clone)]
pub struct Values {
    held: Held,
    /// Which of the values held.
    range: Range<usize>,
}

#[derive(Clone)]
enum Held {
    Memory(Arc<Vec<f32>>),
    Stored(Arc<Stored>),
}

impl Values {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Bytes of memory that they take.
    pub fn bytes_in_memory(&self) -> usize {
        match self.held {
            Held::Memory(_) => self.len() * size_of::<f32>(),
            Held::Stored(_) => 0,
        }
    }

    /// Some of them, without a copy.
    ///
    /// # Panics
    /// If the range reaches past the end.
    pub fn part(&self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len(), "a part beyond the end");
        let start = self.range.start + range.start;
        Self { held: self.held.clone(), range: start..start + range.len() }
    }

    /// Those from `start` on, as many as `to` takes. Both are whole samples.
    ///
    /// # Errors
    /// A file that cannot be read, or has become shorter since it was opened.
    pub fn read(&self, start: usize, to: &mut [f32]) -> Result<(), DataError> {
        let start = self.range.start + start;
        match &self.held {
            Held::Memory(values) => to.copy_from_slice(&values[start..start + to.len()]),
            Held::Stored(stored) => stored.read(start, to)?,
        }
        Ok(())
    }

    /// Some of them; those in memory are not copied. The range is that of whole samples.
    ///
    /// # Errors
    /// As [`Values::read`].
    pub fn slice(&self, range: Range<usize>) -> Result<Cow<'_, [f32]>, DataError> {
        match &self.held {
            Held::Memory(values) => {
                Ok(Cow::Borrowed(&values[self.range.start + range.start..self.range.start + range.end]))
            }
            Held::Stored(_) => {
                let mut values = vec![0.0; range.len()];
                self.read(range.start, &mut values)?;
                Ok(Cow::Owned(values))
            }
        }
    }

    /// All of them; those in a file are read into memory.
    ///
    /// # Errors
    /// As [`Values::read`].
    pub fn all(&self) -> Result<Cow<'_, [f32]>, DataError> {
        self.slice(0..self.len())
    }

    /// The same in memory.
    ///
    /// # Errors
    /// As [`Values::read`].
    pub fn load(&self) -> Result<Self, DataError> {
        Ok(match self.all()? {
            Cow::Borrowed(_) => self.clone(),
            Cow::Owned(values) => values.into(),
        })
    }

    /// All of them, some at a time.
    ///
    /// # Errors
    /// As [`Values::read`], or what `work` says.
    pub fn for_each_block(
        &self,
        mut work: impl FnMut(&[f32]) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let block = match &self.held {
            Held::Memory(_) => self.len().max(1),
            Held::Stored(stored) => (BLOCK / stored.row).max(1) * stored.row,
        };
        let mut start = 0;
        while start < self.len() {
            let end = (start + block).min(self.len());
            work(&self.slice(start..end)?)?;
            start = end;
        }
        Ok(())
    }

    /// Normalises samples of a shape: those in memory now, those in files whenever they are read.
    pub(crate) fn normalize(
        &mut self,
        normalization: &Normalization,
        shape: &[usize],
    ) -> Result<(), DataError> {
        match &mut self.held {
            Held::Memory(values) => {
                normalization.apply(&mut Arc::make_mut(values)[self.range.clone()], shape)
            }
            Held::Stored(stored) => {
                // Whether it is for that many channels.
                normalization.apply(&mut vec![0.0; stored.row], shape)?;
                let stored = Arc::get_mut(stored)
                    .ok_or_else(|| DataError::inconsistent("values", "shared", "values of one owner"))?;
                stored.normalization = Some((normalization.clone(), shape.to_vec()));
                Ok(())
            }
        }
    }
}

impl From<Vec<f32>> for Values {
    fn from(values: Vec<f32>) -> Self {
        let range = 0..values.len();
        Self { held: Held::Memory(Arc::new(values)), range }
    }
}

impl FromIterator<f32> for Values {
    fn from_iter<I: IntoIterator<Item = f32>>(values: I) -> Self {
        values.into_iter().collect::<Vec<f32>>().into()
    }
}

/// Equal if they can be read and are.
impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        matches!((self.all(), other.all()), (Ok(a), Ok(b)) if a == b)
    }
}

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.held {
            Held::Memory(values) => values[self.range.clone()].fmt(f),
            Held::Stored(stored) => {
                let files: Vec<_> = stored.segments.iter().map(|s| &s.path).collect();
                write!(f, "{} values in {files:?}", self.len())
            }
        }
    }
}

/// Samples of one file that follow each other at equal distances.
pub(crate) struct Segment {
    pub path: PathBuf,
    pub file: File,
    /// Where the values of the first begin.
    pub offset: u64,
    /// Bytes from one to the next.
    pub stride: u64,
    pub samples: usize,
}

/// Samples in files.
pub(crate) struct Stored {
    segments: Vec<Segment>,
    /// Values of a sample.
    row: usize,
    element: ElementType,
    big_endian: bool,
    /// Bytes of 0 to 255 stand for 0 to 1.
    image: bool,
    normalization: Option<(Normalization, Vec<usize>)>,
}

impl Stored {
    /// Samples of `row` values each.
    pub fn samples(
        segments: Vec<Segment>,
        row: usize,
        element: ElementType,
        big_endian: bool,
        image: bool,
    ) -> Values {
        let samples: usize = segments.iter().map(|s| s.samples).sum();
        let stored = Self { segments, row, element, big_endian, image, normalization: None };
        Values { range: 0..samples * row, held: Held::Stored(Arc::new(stored)) }
    }

    /// Rows of an array that begins at `offset` of a file; `None` if its order does not keep samples together.
    pub fn rows(
        path: &Path,
        file: File,
        offset: u64,
        layout: &Layout,
        rows: &Range<usize>,
        image: bool,
    ) -> Option<Values> {
        let (_, sample) = layout.shape.split_first()?;
        if layout.fortran && !sample.is_empty() {
            return None;
        }
        let row = checked_product(sample).filter(|n| *n > 0)?;
        let stride = (row * layout.stored.width()) as u64;
        let segment = Segment {
            path: path.to_path_buf(),
            file,
            offset: offset + rows.start as u64 * stride,
            stride,
            samples: rows.len(),
        };
        Some(Self::samples(vec![segment], row, layout.stored, layout.big_endian, image))
    }

    fn read(&self, start: usize, to: &mut [f32]) -> Result<(), DataError> {
        if !start.is_multiple_of(self.row) || !to.len().is_multiple_of(self.row) {
            let found = format!("{} from {start}", to.len());
            return Err(DataError::inconsistent("values read", found, "whole samples"));
        }
        let mut first = start / self.row;
        let mut left = &mut *to;
        for segment in &self.segments {
            if first >= segment.samples {
                first -= segment.samples;
                continue;
            }
            let count = (segment.samples - first).min(left.len() / self.row);
            let (now, later) = left.split_at_mut(count * self.row);
            self.read_segment(segment, first, count, now).map_err(|e| e.in_file(&segment.path))?;
            left = later;
            first = 0;
            if left.is_empty() {
                break;
            }
        }
        if let Some((normalization, shape)) = &self.normalization {
            normalization.apply(to, shape)?;
        }
        Ok(())
    }

    fn read_segment(
        &self,
        segment: &Segment,
        first: usize,
        count: usize,
        to: &mut [f32],
    ) -> Result<(), DataError> {
        if count == 0 {
            return Ok(());
        }
        let width = self.row * self.element.width();
        let stride = segment.stride as usize;
        let mut bytes = vec![0; (count - 1) * stride + width];
        let offset = segment.offset + first as u64 * segment.stride;
        files::read_at(&segment.file, offset, &mut bytes)
            .map_err(DataError::io(&segment.path, "cannot read"))?;
        for (sample, to) in bytes.chunks_mut(stride).zip(to.chunks_exact_mut(self.row)) {
            let sample = &mut sample[..width];
            if self.big_endian {
                sample.chunks_exact_mut(self.element.width()).for_each(<[u8]>::reverse);
            }
            let mut values = self.element.empty_values(self.row);
            append(self.element, sample, &mut values)?;
            match values {
                ArrayValues::Floats(v) => to.copy_from_slice(&v),
                ArrayValues::Bytes(v) if self.image => {
                    to.iter_mut().zip(v).for_each(|(to, p)| *to = f32::from(p) / 255.0);
                }
                ArrayValues::Bytes(v) => to.iter_mut().zip(v).for_each(|(to, n)| *to = f32::from(n)),
                ArrayValues::Integers(v) => {
                    // Beyond this size integers would be rounded to others without notice.
                    if let Some(bad) = v.iter().find(|n| n.unsigned_abs() > MAX_EXACT_INTEGER as u64) {
                        return Err(DataError::malformed(
                            "array",
                            bad.to_string(),
                            "integers of magnitude at most 2^24",
                        ));
                    }
                    to.iter_mut().zip(v).for_each(|(to, n)| *to = n as f32);
                }
            }
        }
        Ok(())
    }
}
