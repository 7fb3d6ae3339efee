//! MNIST and its relatives (Fashion-MNIST, KMNIST, EMNIST) as IDX files, plain or gzipped.
//!
//! Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits". An IDX file is: two zero bytes, a byte for
//! the element type, a byte for the number of axes, the sizes as big-endian 32-bit integers, the elements row-major.

use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::array::ElementType;
use super::dataset::{check_range, checked_product};
use super::npz::MAX_DEFLATE_RATIO;
use super::segments::{Segment, Segments};
use super::{DataError, Dataset, InputTensor, Normalization, Split, Targets, Values, files};

/// The IDX code for unsigned bytes, the only type these data sets use.
const UNSIGNED_BYTES: u8 = 8;

/// An IDX array of bytes: its shape and its elements, row-major.
pub type IdxArray = (Vec<usize>, Vec<u8>);

/// Reads the bytes of an IDX file of unsigned bytes, not gzipped.
///
/// # Errors
/// [`DataError::Malformed`] if the bytes do not begin like an IDX file of unsigned bytes with `axes` axes, or are more or fewer
/// than the sizes need.
pub fn parse_idx(bytes: &[u8], axes: usize) -> Result<IdxArray, DataError> {
    read_idx(&mut &bytes[..], bytes.len() as u64, axes, None)
}

/// Reads a gzipped IDX file; the memory used is bounded by what the bytes really hold.
///
/// # Errors
/// Those of [`parse_idx`]; damaged gzip data.
pub fn parse_idx_gz(bytes: &[u8], axes: usize) -> Result<IdxArray, DataError> {
    let available = (bytes.len() as u64).saturating_mul(MAX_DEFLATE_RATIO);
    read_idx(&mut MultiGzDecoder::new(bytes), available, axes, None)
}

/// The sizes the file declares, and the elements of the rows of a range (or all).
fn read_idx(
    reader: &mut dyn Read,
    available: u64,
    axes: usize,
    rows: Option<&Range<usize>>,
) -> Result<IdxArray, DataError> {
    let short = |e: std::io::Error| DataError::malformed("header", e.to_string(), "an IDX header");
    let mut magic = [0; 4];
    reader.read_exact(&mut magic).map_err(short)?;
    if magic[..3] != [0, 0, UNSIGNED_BYTES] || usize::from(magic[3]) != axes {
        return Err(DataError::malformed(
            "first four bytes",
            format!("{magic:?}"),
            format!("[0, 0, 8, {axes}], which begins an IDX file of bytes with {axes} axes"),
        ));
    }
    let mut shape = Vec::with_capacity(axes);
    for _ in 0..axes {
        let mut size = [0; 4];
        reader.read_exact(&mut size).map_err(short)?;
        shape.push(u32::from_be_bytes(size) as usize);
    }
    let header = 4 + 4 * axes as u64;
    let elements = checked_product(&shape).filter(|&n| n as u64 <= available.saturating_sub(header));
    let Some(elements) = elements.filter(|&n| n > 0) else {
        return Err(DataError::malformed(
            "sizes in the header",
            format!("{shape:?}"),
            format!("positive sizes of at most {} bytes in all", available.saturating_sub(header)),
        ));
    };
    let row = elements / shape[0];
    let range = rows.cloned().unwrap_or(0..shape[0]);
    check_range(&range, shape[0], "the file")?;
    let broken = |e: std::io::Error| DataError::malformed("elements", e.to_string(), "sound data");
    std::io::copy(&mut reader.take((range.start * row) as u64), &mut std::io::sink()).map_err(broken)?;
    let wanted = (range.end - range.start) * row;
    let mut bytes = Vec::new();
    reader.take(wanted as u64).read_to_end(&mut bytes).map_err(broken)?;
    if bytes.len() < wanted {
        return Err(DataError::malformed(
            "elements",
            format!("an end after {}", range.start * row + bytes.len()),
            format!("{elements} for sizes {shape:?}"),
        ));
    }
    if rows.is_none() && reader.read(&mut [0]).map_err(broken)? != 0 {
        return Err(DataError::malformed("end", "more bytes", format!("an end after {elements} elements")));
    }
    Ok((shape, bytes))
}

/// Sizes and images of a range of a file, which stay there; `None` if they are few enough to be read.
fn stored_images(
    path: &Path,
    range: &Range<usize>,
    memory: usize,
) -> Result<Option<(Vec<usize>, Values)>, DataError> {
    // The sizes, checked, and one image.
    let (shape, _) = read_file(path, 3, Some(&(range.start..range.start + 1)))?;
    let row = shape[1] * shape[2];
    if range.end > shape[0] || range.len().saturating_mul(row * size_of::<f32>()) <= memory {
        return Ok(None);
    }
    let (file, length) = files::open(path)?;
    let whole = 16 + (shape[0] * row) as u64;
    if length != whole {
        let found = format!("{length} bytes");
        return Err(DataError::malformed("end", found, format!("{whole}, as its sizes say")).in_file(path));
    }
    let segment = Segment {
        path: path.to_path_buf(),
        file,
        offset: 16 + (range.start * row) as u64,
        stride: row as u64,
        samples: range.len(),
    };
    Ok(Some((shape, Segments::samples(vec![segment], row, ElementType::U8, false, true))))
}

fn read_file(path: &Path, axes: usize, rows: Option<&Range<usize>>) -> Result<IdxArray, DataError> {
    let (file, len) = files::open(path)?;
    let reader = BufReader::new(file);
    let result = if is_gz(path) {
        let mut reader: MultiGzDecoder<BufReader<File>> = MultiGzDecoder::new(reader);
        read_idx(&mut reader, len.saturating_mul(MAX_DEFLATE_RATIO), axes, rows)
    } else {
        let mut reader = reader;
        read_idx(&mut reader, len, axes, rows)
    };
    result.map_err(|e| e.in_file(path))
}

fn is_gz(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "gz")
}

/// The file of a base name in the folder, in any of the spellings it is distributed in.
fn find(folder: &Path, base: &str, kind: &str) -> Result<PathBuf, DataError> {
    let plain = [format!("{base}-{kind}-ubyte"), format!("{base}.{kind}-ubyte")];
    let candidates = plain.iter().flat_map(|p| [p.clone(), format!("{p}.gz")]);
    candidates.map(|c| folder.join(c)).find(|p| p.is_file()).ok_or_else(|| {
        let expected = format!("{} or {}.gz", plain[0], plain[0]);
        DataError::malformed("folder", "no such file", expected).in_file(folder)
    })
}

fn prefix(split: Split) -> &'static str {
    match split {
        Split::Train => "train",
        Split::Test => "t10k",
    }
}

/// Whether the folder holds images of a split.
pub(super) fn has(folder: &Path, split: Split) -> bool {
    find(folder, &format!("{}-images", prefix(split)), "idx3").is_ok()
}

/// Images of a split, shape `[1, height, width]`, scaled to [0, 1] and normalised (default: [`Normalization::mnist`]).
///
/// The number of classes is the largest label of the whole split plus one. Images that take more than `memory` bytes stay in their
/// file if it is not compressed.
///
/// # Errors
/// Missing or malformed files, different numbers of images and labels, a range that is empty or reaches past the split, a
/// normalisation for a number of channels other than one.
pub fn load(
    folder: &Path,
    split: Split,
    samples: Option<Range<usize>>,
    normalization: Option<Normalization>,
    memory: usize,
) -> Result<Dataset, DataError> {
    let prefix = prefix(split);
    let image_path = find(folder, &format!("{prefix}-images"), "idx3")?;
    let label_path = find(folder, &format!("{prefix}-labels"), "idx1")?;
    let (_, all_labels) = read_file(&label_path, 1, None)?;
    let what = format!("IDX files {split} ({})", folder.display());
    let range = samples.unwrap_or(0..all_labels.len());
    check_range(&range, all_labels.len(), &what)?;
    let whole = range == (0..all_labels.len());
    let stored = if is_gz(&image_path) { None } else { stored_images(&image_path, &range, memory)? };
    let (shape, values): (Vec<usize>, Values) = match stored {
        Some(stored) => stored,
        None => {
            let (shape, pixels) = read_file(&image_path, 3, (!whole).then_some(&range))?;
            (shape, pixels.iter().map(|&p| f32::from(p) / 255.0).collect::<Vec<f32>>().into())
        }
    };
    if shape[0] != all_labels.len() {
        return Err(DataError::malformed(
            "sizes in the header",
            format!("{} images", shape[0]),
            format!("{}, the number of labels in {}", all_labels.len(), label_path.display()),
        )
        .in_file(&image_path));
    }
    let classes = all_labels.iter().max().map_or(0, |&l| usize::from(l) + 1);
    let labels = all_labels[range.clone()].iter().map(|&l| u32::from(l)).collect();
    let input = InputTensor {
        name: "image".into(),
        shape_per_sample: vec![1, shape[1], shape[2]],
        values,
        integer: false,
    };
    Dataset::normalized(
        vec![input],
        Targets::Classes { labels, classes },
        normalization.unwrap_or_else(Normalization::mnist),
        format!("{what}, samples {}..{}", range.start, range.end),
    )
}

#[cfg(test)]
#[path = "mnist_tests.rs"]
mod tests;
