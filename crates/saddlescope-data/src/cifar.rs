//! CIFAR-10 and CIFAR-100 in their official binary layout.
//!
//! A. Krizhevsky, "Learning multiple layers of features from tiny images" (2009). A file is a row of records; a record is one
//! label byte (CIFAR-100: coarse, then fine) and 3,072 pixel bytes, channel by channel (red, green, blue), each 32×32
//! row-major.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::array::ElementType;
use super::dataset::check_range;
use super::segments::{Segment, Segments};
use super::{DataError, Dataset, InputTensor, Normalization, Split, Targets, files};

/// Records read at a time where images stay in their files.
const RECORDS: usize = 1024;
const PIXELS: usize = 3 * 32 * 32;

/// Which of the two data sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cifar {
    /// 10 classes; files `data_batch_1.bin` … `data_batch_5.bin` and `test_batch.bin`.
    Ten,
    /// 100 (fine) classes; files `train.bin` and `test.bin`.
    Hundred,
}

impl Cifar {
    fn name(self) -> &'static str {
        match self {
            Self::Ten => "CIFAR-10",
            Self::Hundred => "CIFAR-100",
        }
    }

    fn classes(self) -> usize {
        match self {
            Self::Ten => 10,
            Self::Hundred => 100,
        }
    }

    fn label_bytes(self) -> usize {
        match self {
            Self::Ten => 1,
            Self::Hundred => 2,
        }
    }

    fn record(self) -> usize {
        self.label_bytes() + PIXELS
    }

    /// The files of a split that are in the folder, in order.
    pub(super) fn files(self, folder: &Path, split: Split) -> Result<Vec<PathBuf>, DataError> {
        let names: Vec<String> = match (self, split) {
            (Self::Ten, Split::Train) => (1..=5).map(|i| format!("data_batch_{i}.bin")).collect(),
            (Self::Ten, Split::Test) => vec!["test_batch.bin".into()],
            (Self::Hundred, Split::Train) => vec!["train.bin".into()],
            (Self::Hundred, Split::Test) => vec!["test.bin".into()],
        };
        let present: Vec<PathBuf> = names.iter().map(|n| folder.join(n)).filter(|p| p.is_file()).collect();
        if present.is_empty() {
            let expected = format!("{} in the binary version of {}", names.join(" or "), self.name());
            return Err(DataError::malformed("folder", "none of its files", expected).in_file(folder));
        }
        Ok(present)
    }

    /// Number of records in a file of `bytes` bytes.
    fn records(self, bytes: u64) -> Result<usize, DataError> {
        let record = self.record() as u64;
        if bytes == 0 || !bytes.is_multiple_of(record) {
            return Err(DataError::malformed(
                "file size",
                format!("{bytes} bytes"),
                format!("a positive multiple of {record}, the size of a {} record", self.name()),
            ));
        }
        usize::try_from(bytes / record).map_err(|_| {
            DataError::malformed("file size", format!("{bytes} bytes"), "a size that fits the memory")
        })
    }

    /// Appends the images, scaled to [0, 1], and labels of whole records; `first` is the number of the first in its file.
    fn decode(
        self,
        bytes: &[u8],
        first: usize,
        images: &mut Vec<f32>,
        labels: &mut Vec<u32>,
    ) -> Result<(), DataError> {
        let records = bytes.len() / self.record();
        images.reserve_exact(records * PIXELS);
        labels.reserve_exact(records);
        for (i, record) in bytes.chunks_exact(self.record()).enumerate() {
            let (label, pixels) = record.split_at(self.label_bytes());
            let label = label[self.label_bytes() - 1];
            if usize::from(label) >= self.classes() {
                return Err(DataError::malformed(
                    format!("record {}, label byte", first + i),
                    label.to_string(),
                    format!("a class from 0 to {}", self.classes() - 1),
                ));
            }
            labels.push(u32::from(label));
            images.extend(pixels.iter().map(|&p| f32::from(p) / 255.0));
        }
        Ok(())
    }
}

/// Images and labels of one file's bytes: the images flattened `[n, 3, 32, 32]` and scaled to [0, 1].
///
/// # Errors
/// A size that is no positive multiple of a record's; a label that is no class.
pub fn parse(kind: Cifar, bytes: &[u8]) -> Result<(Vec<f32>, Vec<u32>), DataError> {
    kind.records(bytes.len() as u64)?;
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    kind.decode(bytes, 0, &mut images, &mut labels)?;
    Ok((images, labels))
}

/// Images of a split, shape `[3, 32, 32]`, scaled to [0, 1] and normalised (default: [`Normalization::imagenet`]).
///
/// The training split is whichever of its files the folder holds, in order; only the samples asked for are read. Images that take
/// more than `memory` bytes stay in the files.
///
/// # Errors
/// Missing or malformed files, a range that is empty or reaches past the split, a normalisation that is not for three
/// channels.
pub fn load(
    kind: Cifar,
    folder: &Path,
    split: Split,
    samples: Option<Range<usize>>,
    normalization: Option<Normalization>,
    memory: usize,
) -> Result<Dataset, DataError> {
    let mut parts = Vec::new();
    let mut available = 0;
    for path in kind.files(folder, split)? {
        let (file, bytes) = files::open(&path)?;
        let records = kind.records(bytes).map_err(|e| e.in_file(&path))?;
        parts.push((path, file, available..available + records));
        available += records;
    }
    let names: Vec<String> =
        parts.iter().filter_map(|(p, ..)| Some(p.file_name()?.to_string_lossy().into_owned())).collect();
    let what = format!("{} {split} ({})", kind.name(), names.join(", "));
    let wanted = samples.unwrap_or(0..available);
    check_range(&wanted, available, &what)?;

    let large = wanted.len().saturating_mul(PIXELS * size_of::<f32>()) > memory;
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    let mut segments = Vec::new();
    for (path, mut file, held) in parts {
        let (start, end) = (wanted.start.max(held.start), wanted.end.min(held.end));
        if start >= end {
            continue;
        }
        // All at once, or enough to read the labels while the images stay where they are.
        let block = if large { RECORDS } else { end - start };
        for first in (start..end).step_by(block) {
            let count = block.min(end - first);
            let at = first - held.start;
            let bytes =
                files::read_part(&mut file, &path, (at * kind.record()) as u64, count * kind.record())?;
            if large {
                images.clear();
            }
            kind.decode(&bytes, at, &mut images, &mut labels).map_err(|e| e.in_file(&path))?;
        }
        segments.push(Segment {
            path,
            file,
            offset: ((start - held.start) * kind.record() + kind.label_bytes()) as u64,
            stride: kind.record() as u64,
            samples: end - start,
        });
    }
    let input = InputTensor {
        name: "image".into(),
        shape_per_sample: vec![3, 32, 32],
        values: if large {
            Segments::samples(segments, PIXELS, ElementType::U8, false, true)
        } else {
            images.into()
        },
        integer: false,
    };
    Dataset::normalized(
        vec![input],
        Targets::Classes { labels, classes: kind.classes() },
        normalization.unwrap_or_else(Normalization::imagenet),
        format!("{what}, samples {}..{}", wanted.start, wanted.end),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(kind: Cifar, label: u8, seed: u8) -> Vec<u8> {
        let mut bytes = vec![7; kind.label_bytes() - 1];
        bytes.push(label);
        bytes.extend((0..PIXELS).map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed)));
        bytes
    }

    #[test]
    fn ranges_run_across_files_and_missing_ones_are_skipped() {
        let dir = tempfile::tempdir().unwrap();
        for (file, labels) in [("data_batch_1.bin", [1, 2]), ("data_batch_4.bin", [3, 4])] {
            let bytes: Vec<u8> = labels.iter().flat_map(|&l| record(Cifar::Ten, l, l)).collect();
            std::fs::write(dir.path().join(file), bytes).unwrap();
        }
        let load = |r: Range<usize>| {
            load(Cifar::Ten, dir.path(), Split::Train, Some(r), Some(Normalization::none()), usize::MAX)
        };
        let set = load(1..3).unwrap();
        assert_eq!(*set.targets(), Targets::Classes { labels: vec![2, 3], classes: 10 });
        // Pixel 1 of the second sample: (1 · 31 + 3) / 255.
        assert_eq!(set.inputs()[0].values.all().unwrap()[PIXELS + 1], 34.0 / 255.0);
        assert_eq!(
            load(0..4).unwrap().select(1..3).unwrap().fingerprint().unwrap(),
            set.fingerprint().unwrap()
        );
        assert!(matches!(load(3..5), Err(DataError::Range { available: 4, .. })));
    }

    #[test]
    fn hundred_takes_the_fine_label() {
        let (_, labels) = parse(Cifar::Hundred, &record(Cifar::Hundred, 42, 0)).unwrap();
        assert_eq!(labels, [42]);
        assert!(parse(Cifar::Hundred, &record(Cifar::Hundred, 100, 0)).is_err());
    }

    #[test]
    fn damage_is_named() {
        let mut bytes = record(Cifar::Ten, 3, 0);
        bytes.extend(record(Cifar::Ten, 10, 0));
        let text = parse(Cifar::Ten, &bytes).unwrap_err().to_string();
        assert!(text.contains("record 1") && text.contains("found 10"), "{text}");
        for cut in [0, 1, 3072, 3074, bytes.len() - 1] {
            assert!(parse(Cifar::Ten, &bytes[..cut]).is_err(), "{cut} bytes were accepted");
        }
        let dir = tempfile::tempdir().unwrap();
        let empty =
            load(Cifar::Ten, dir.path(), Split::Test, None, None, usize::MAX).unwrap_err().to_string();
        assert!(empty.contains("test_batch.bin"), "{empty}");
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_result_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..8000)) {
            let whole = bytes.len() % 3073 == 0 && !bytes.is_empty();
            prop_assert!(whole || parse(Cifar::Ten, &bytes).is_err());
            let _ = parse(Cifar::Hundred, &bytes);
        }
    }
}
