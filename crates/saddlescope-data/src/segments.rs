//! Samples that lie in files at equal distances: rows of arrays, records of CIFAR and IDX files.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::array::{ArrayValues, ElementType, Layout, append};
use super::dataset::{MAX_EXACT_INTEGER, checked_product};
use super::files::FileState;
use super::values::SampleReader;
use super::{DataError, Values, files};

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

/// Samples of several files, and how their values are written.
pub(crate) struct Segments {
    segments: Vec<Segment>,
    /// The state in which each file was opened; `None` where that is not known.
    states: Vec<Option<FileState>>,
    element: ElementType,
    big_endian: bool,
    /// Bytes of 0 to 255 stand for 0 to 1.
    image: bool,
}

impl Segments {
    /// Samples of `row` values each.
    pub fn samples(
        segments: Vec<Segment>,
        row: usize,
        element: ElementType,
        big_endian: bool,
        image: bool,
    ) -> Values {
        let samples: usize = segments.iter().map(|s| s.samples).sum();
        let states =
            segments.iter().map(|s| s.file.metadata().and_then(|m| FileState::of(&m)).ok()).collect();
        Values::stored(Self { segments, states, element, big_endian, image }, samples, row)
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

    fn read_segment(
        &self,
        segment: &Segment,
        first: usize,
        row: usize,
        to: &mut [f32],
    ) -> Result<(), DataError> {
        let count = to.len() / row;
        if count == 0 {
            return Ok(());
        }
        let width = row * self.element.width();
        let stride = segment.stride as usize;
        let mut bytes = vec![0; (count - 1) * stride + width];
        let offset = segment.offset + first as u64 * segment.stride;
        files::read_at(&segment.file, offset, &mut bytes)
            .map_err(DataError::io(&segment.path, "cannot read"))?;
        for (sample, to) in bytes.chunks_mut(stride).zip(to.chunks_exact_mut(row)) {
            let sample = &mut sample[..width];
            if self.big_endian {
                sample.chunks_exact_mut(self.element.width()).for_each(<[u8]>::reverse);
            }
            let mut values = self.element.empty_values(row);
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

impl SampleReader for Segments {
    fn read(&self, mut first: usize, row: usize, mut to: &mut [f32]) -> Result<(), DataError> {
        for (segment, state) in self.segments.iter().zip(&self.states) {
            if first >= segment.samples {
                first -= segment.samples;
                continue;
            }
            let count = (segment.samples - first).min(to.len() / row);
            let (now, later) = to.split_at_mut(count * row);
            self.read_segment(segment, first, row, now).map_err(|e| e.in_file(&segment.path))?;
            if let Some(state) = state {
                state.check(segment.file.metadata(), &segment.path)?;
            }
            to = later;
            first = 0;
            if to.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn files(&self) -> Vec<&Path> {
        self.segments.iter().map(|s| s.path.as_path()).collect()
    }

    fn form(&self) -> String {
        let places = self.segments.iter().map(|s| (s.offset, s.stride, s.samples));
        let (element, big_endian, image) = (self.element, self.big_endian, self.image);
        format!("{:?} {element} {big_endian} {image}", places.collect::<Vec<_>>())
    }
}
