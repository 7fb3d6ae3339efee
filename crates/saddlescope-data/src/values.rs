//! Numbers of samples: in memory, or in files from which samples are read as they are needed.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

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
    /// `samples` samples of `row` values each that stay where they are.
    pub(crate) fn stored(reader: impl SampleReader + 'static, samples: usize, row: usize) -> Self {
        let stored = Stored { reader: Box::new(reader), row, normalization: None };
        Self { range: 0..samples * row, held: Held::Stored(Arc::new(stored)) }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Whether they are in memory rather than in files.
    pub(crate) fn are_in_memory(&self) -> bool {
        matches!(self.held, Held::Memory(_))
    }

    /// Bytes of memory that they take.
    pub fn bytes_in_memory(&self) -> usize {
        match self.held {
            Held::Memory(_) => self.len() * size_of::<f32>(),
            Held::Stored(_) => 0,
        }
    }

    /// Bytes that they would take in memory where they stay in files; 0 where they are in memory.
    pub fn bytes_in_files(&self) -> usize {
        self.len() * size_of::<f32>() - self.bytes_in_memory()
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

    /// What tells these values from others without reading them: their files' places, sizes and times, which part of them it is, how
    /// it is read and normalised. `None` for values in memory, and where a file changed just now.
    pub(crate) fn stamp(&self) -> Result<Option<String>, DataError> {
        let Held::Stored(stored) = &self.held else { return Ok(None) };
        let mut text = format!("{:?} {} {:?}", self.range, stored.reader.form(), stored.normalization);
        for path in stored.reader.files() {
            let Some(file) = files::stamp(path)? else { return Ok(None) };
            text += &file;
            text.push('\n');
        }
        Ok(Some(text))
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
                write!(f, "{} values in {:?}", self.len(), stored.reader.files())
            }
        }
    }
}

/// Samples in files, read when they are needed.
pub(crate) trait SampleReader: Send + Sync {
    /// Reads `to.len() / row` samples of `row` values each, from the one of number `first` on.
    fn read(&self, first: usize, row: usize, to: &mut [f32]) -> Result<(), DataError>;

    /// Where they are.
    fn files(&self) -> Vec<&Path>;

    /// How they are read from there.
    fn form(&self) -> String;
}

/// Samples in files, and how they are normalised.
struct Stored {
    reader: Box<dyn SampleReader>,
    /// Values of a sample.
    row: usize,
    normalization: Option<(Normalization, Vec<usize>)>,
}

impl Stored {
    fn read(&self, start: usize, to: &mut [f32]) -> Result<(), DataError> {
        if !start.is_multiple_of(self.row) || !to.len().is_multiple_of(self.row) {
            let found = format!("{} from {start}", to.len());
            return Err(DataError::inconsistent("values read", found, "whole samples"));
        }
        self.reader.read(start / self.row, self.row, to)?;
        if let Some((normalization, shape)) = &self.normalization {
            normalization.apply(to, shape)?;
        }
        Ok(())
    }
}
