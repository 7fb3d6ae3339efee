//! Where data comes from, as a user writes it: `cifar10:DIR`, `npz:FILE`, `digits`, …

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

use super::cifar::Cifar;
use super::npy::NpyPair;
use super::npz::Npz;
use super::safetensors::TensorFile;
use super::{DataError, Dataset, Normalization, Split, cifar, digits, folder, mnist, named_arrays};

const SYNTAX: &str = "expected cifar10:DIR, cifar100:DIR, mnist:DIR, npz:FILE, npy:INPUTS.npy or npy:INPUTS.npy,TARGETS.npy, \
     safetensors:FILE, folder:DIR, or digits";

/// Bytes of inputs that are held in memory where nothing else limits them; larger ones are read sample by sample.
pub const DATA_MEMORY: usize = 256 << 20;

/// Bytes of inputs that are held in memory where a run may use `limit` bytes: a quarter.
pub fn data_share(limit: usize) -> usize {
    limit / 4
}

/// A source of data.
///
/// ```
/// use saddlescope_data::{DataSource, Split};
///
/// let source: DataSource = "digits".parse()?;
/// let set = source.load(Split::Test, Some(0..100), None)?;
/// assert_eq!((set.samples(), set.inputs()[0].shape_per_sample.as_slice()), (100, &[1, 8, 8][..]));
/// # Ok::<(), saddlescope_data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataSource {
    /// `cifar10:DIR`: the official binary batches.
    Cifar10(PathBuf),
    /// `cifar100:DIR`: the official binary files.
    Cifar100(PathBuf),
    /// `mnist:DIR`: IDX files, plain or gzipped.
    Mnist(PathBuf),
    /// `npz:FILE`: NumPy arrays by name.
    Npz(PathBuf),
    /// `npy:INPUTS.npy,TARGETS.npy`, or without targets `npy:INPUTS.npy`.
    Npy {
        /// The inputs.
        inputs: PathBuf,
        /// The targets.
        targets: Option<PathBuf>,
    },
    /// `safetensors:FILE`: arrays by name.
    Safetensors(PathBuf),
    /// `folder:DIR`: images, one sub-folder per class.
    Folder(PathBuf),
    /// `digits`: the embedded 8×8 handwritten digits.
    Digits,
}

impl DataSource {
    /// Reads a description such as `cifar10:data/cifar-10-batches-bin`. Nothing is opened yet.
    ///
    /// # Errors
    /// [`DataError::Syntax`], listing the forms there are.
    pub fn parse(text: &str) -> Result<Self, DataError> {
        let syntax =
            || DataError::Syntax { what: "data source", given: text.into(), expected: SYNTAX.into() };
        if text == "digits" {
            return Ok(Self::Digits);
        }
        let (kind, path) = text.split_once(':').filter(|(_, p)| !p.is_empty()).ok_or_else(syntax)?;
        match kind {
            "cifar10" => Ok(Self::Cifar10(path.into())),
            "cifar100" => Ok(Self::Cifar100(path.into())),
            "mnist" => Ok(Self::Mnist(path.into())),
            "npz" => Ok(Self::Npz(path.into())),
            "npy" => match path.split_once(',') {
                None => Ok(Self::Npy { inputs: path.into(), targets: None }),
                Some((x, y)) if !x.is_empty() && !y.is_empty() => {
                    Ok(Self::Npy { inputs: x.into(), targets: Some(y.into()) })
                }
                Some(_) => Err(syntax()),
            },
            "safetensors" => Ok(Self::Safetensors(path.into())),
            "folder" => Ok(Self::Folder(path.into())),
            _ => Err(syntax()),
        }
    }

    /// Whether the source keeps samples of `split` apart from those of the other split.
    ///
    /// CIFAR and IDX folders may lack the files of a split; folders of images and named arrays may know no splits at all.
    ///
    /// # Errors
    /// If a file of named arrays cannot be opened.
    pub fn keeps_apart(&self, split: Split) -> Result<bool, DataError> {
        match self {
            Self::Cifar10(dir) => Ok(Cifar::Ten.files(dir, split).is_ok()),
            Self::Cifar100(dir) => Ok(Cifar::Hundred.files(dir, split).is_ok()),
            Self::Mnist(dir) => Ok(mnist::has(dir, split)),
            Self::Folder(dir) => Ok(folder::has(dir, split)),
            Self::Digits => Ok(true),
            Self::Npz(file) => Ok(named_arrays::has(&Npz::open(file)?, split)),
            Self::Safetensors(file) => Ok(named_arrays::has(&TensorFile::open(file)?, split)),
            Self::Npy { .. } => Ok(false),
        }
    }

    /// Reads the first `count` samples of a split, or all of them if there are fewer; `None` if the source does not keep that
    /// split apart.
    ///
    /// # Errors
    /// As [`DataSource::load`]. `memory` as in [`DataSource::open`].
    pub fn load_first(
        &self,
        split: Split,
        count: usize,
        normalization: Option<Normalization>,
        memory: usize,
    ) -> Result<Option<Dataset>, DataError> {
        if !self.keeps_apart(split)? {
            return Ok(None);
        }
        match self.open(split, Some(0..count), normalization.clone(), memory) {
            Err(DataError::Range { available, .. }) if 0 < available && available < count => {
                self.open(split, Some(0..available), normalization, memory).map(Some)
            }
            other => other.map(Some),
        }
    }

    /// Reads samples of a split: all of them, or those of a range.
    ///
    /// Without a normalisation, each source uses its own: `imagenet` for CIFAR and folders of colour images, `mnist` for IDX
    /// files, the training mean and deviation for the digits, and none for arrays and grey images.
    /// Sources that know no splits give the same samples for both.
    ///
    /// # Errors
    /// Those of the source's format, always with the file they are in; a range that is empty or reaches past the end; a
    /// normalisation for another number of channels.
    pub fn load(
        &self,
        split: Split,
        samples: Option<Range<usize>>,
        normalization: Option<Normalization>,
    ) -> Result<Dataset, DataError> {
        self.open(split, samples, normalization, usize::MAX)
    }

    /// [`DataSource::load`], but inputs that would take more than `memory` bytes stay in their files and are read sample by
    /// sample: CIFAR, IDX files, images, and arrays that are not compressed, in C order. The values are the same.
    ///
    /// # Errors
    /// As [`DataSource::load`].
    pub fn open(
        &self,
        split: Split,
        samples: Option<Range<usize>>,
        normalization: Option<Normalization>,
        memory: usize,
    ) -> Result<Dataset, DataError> {
        match self {
            Self::Cifar10(dir) => cifar::load(Cifar::Ten, dir, split, samples, normalization, memory),
            Self::Cifar100(dir) => cifar::load(Cifar::Hundred, dir, split, samples, normalization, memory),
            Self::Mnist(dir) => mnist::load(dir, split, samples, normalization, memory),
            Self::Folder(dir) => folder::load(dir, split, samples, normalization, memory),
            Self::Digits => digits::load(split, samples, normalization),
            Self::Npz(file) => {
                let mut npz = Npz::open(file)?;
                named_arrays::load(&mut npz, &self.to_string(), split, samples, normalization, memory)
                    .map_err(|e| e.in_file(file))
            }
            Self::Safetensors(file) => {
                let mut tensors = TensorFile::open(file)?;
                named_arrays::load(&mut tensors, &self.to_string(), split, samples, normalization, memory)
                    .map_err(|e| e.in_file(file))
            }
            Self::Npy { inputs, targets } => {
                let mut pair = NpyPair { inputs, targets: targets.as_deref() };
                named_arrays::load(&mut pair, &self.to_string(), split, samples, normalization, memory)
                    .map_err(|e| e.in_file(inputs))
            }
        }
    }
}

impl DataSource {
    /// Reads the arrays of a split as those of a single sample: their first axes count nothing and may differ, as in a graph with
    /// its nodes and edges. Labels, one for each node, become one class per position.
    ///
    /// # Errors
    /// As [`DataSource::load`]; [`DataError::Inconsistent`] for sources whose samples are apart already (anything but `npz`, `npy`
    /// and `safetensors`).
    pub fn load_one_sample(
        &self,
        split: Split,
        normalization: Option<Normalization>,
    ) -> Result<Dataset, DataError> {
        let what = self.to_string();
        match self {
            Self::Npz(file) => {
                named_arrays::load_one_sample(&mut Npz::open(file)?, &what, split, normalization)
                    .map_err(|e| e.in_file(file))
            }
            Self::Safetensors(file) => {
                named_arrays::load_one_sample(&mut TensorFile::open(file)?, &what, split, normalization)
                    .map_err(|e| e.in_file(file))
            }
            Self::Npy { inputs, targets } => {
                let mut pair = NpyPair { inputs, targets: targets.as_deref() };
                named_arrays::load_one_sample(&mut pair, &what, split, normalization)
                    .map_err(|e| e.in_file(inputs))
            }
            _ => Err(DataError::inconsistent(
                "one sample",
                format!("{what}, whose samples are known"),
                "arrays: npz:FILE, npy:INPUTS.npy,TARGETS.npy or safetensors:FILE",
            )),
        }
    }
}

impl FromStr for DataSource {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        Self::parse(text)
    }
}

impl fmt::Display for DataSource {
    /// In the form that [`DataSource::parse`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cifar10(p) => write!(f, "cifar10:{}", p.display()),
            Self::Cifar100(p) => write!(f, "cifar100:{}", p.display()),
            Self::Mnist(p) => write!(f, "mnist:{}", p.display()),
            Self::Npz(p) => write!(f, "npz:{}", p.display()),
            Self::Npy { inputs, targets: None } => write!(f, "npy:{}", inputs.display()),
            Self::Npy { inputs, targets: Some(y) } => write!(f, "npy:{},{}", inputs.display(), y.display()),
            Self::Safetensors(p) => write!(f, "safetensors:{}", p.display()),
            Self::Folder(p) => write!(f, "folder:{}", p.display()),
            Self::Digits => f.write_str("digits"),
        }
    }
}

/// Reads a range of samples `A..B` (A included, B not), or a number `N` for the first N.
///
/// # Errors
/// [`DataError::Syntax`] if it is neither, or empty.
pub fn parse_samples(text: &str) -> Result<Range<usize>, DataError> {
    let range = match text.split_once("..") {
        Some((a, b)) => a.parse().ok().zip(b.parse().ok()).map(|(a, b)| a..b),
        None => text.parse().ok().map(|n| 0..n),
    };
    range.filter(|r: &Range<usize>| r.start < r.end).ok_or_else(|| DataError::Syntax {
        what: "samples",
        given: text.into(),
        expected: "expected A..B with A < B, such as 0..128, or a number of samples".into(),
    })
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
