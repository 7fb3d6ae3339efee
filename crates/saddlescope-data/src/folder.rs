//! A folder of images with one sub-folder per class, as `torchvision.datasets.ImageFolder` reads it.
//!
//! Classes are the sub-folders sorted by name; samples go class by class, and within a class by name. If the folder holds
//! `train` and `test` (or `val`), the classes are looked for inside the one asked for. All images must have the size of the first;
//! the first also decides whether images are grey (one channel) or colour (three). Transparency is dropped, and the
//! orientation some cameras note beside the pixels is not applied.

use std::fs;
use std::io::Cursor;
use std::ops::Range;
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageReader, Limits};

use super::dataset::check_range;
use super::files::FileState;
use super::values::SampleReader;
use super::{DataError, Dataset, InputTensor, Normalization, Split, Targets, Values, files};

const EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];
/// Largest width and height of an image.
const MAX_SIDE: u32 = 16_384;
/// Largest memory a decoder may take for one image, in bytes.
const MAX_DECODER_BYTES: u64 = 1 << 28;

/// Most threads that decode images of one read.
const MAX_DECODERS: usize = 4;
/// Fewer images than this are not worth a thread.
const FEWEST_FOR_A_DECODER: usize = 8;

/// The marker every JPEG image begins with.
const JPEG_START: [u8; 2] = [0xff, 0xd8];

/// Height and width in pixels.
type Size = (usize, usize);

/// One decoded image.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodedImage {
    /// 1 for grey, 3 for colour.
    pub channels: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Values in [0, 1], channel by channel, row-major.
    pub values: Vec<f32>,
}

/// Decodes a PNG or JPEG image; which of the two is seen from its first bytes.
///
/// # Errors
/// [`DataError::Malformed`] if the bytes are neither or damaged, or the image has more than 16,384 pixels on a side or is
/// not of size `expected`, where one is given.
pub fn decode(bytes: &[u8], expected: Option<Size>) -> Result<DecodedImage, DataError> {
    let broken =
        |e: image::ImageError| DataError::malformed("image", e.to_string(), "a sound PNG or JPEG image");
    let reader = || -> Result<ImageReader<Cursor<&[u8]>>, DataError> {
        let mut reader = ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()
            .map_err(|e| DataError::malformed("image", e.to_string(), "a PNG or JPEG image"))?;
        let mut limits = Limits::default();
        limits.max_image_width = Some(MAX_SIDE);
        limits.max_image_height = Some(MAX_SIDE);
        limits.max_alloc = Some(MAX_DECODER_BYTES);
        reader.limits(limits);
        Ok(reader)
    };
    // Sizes first: an image that will be refused is not decoded.
    let (width, height) = reader()?.into_dimensions().map_err(broken)?;
    let (height, width) = (height as usize, width as usize);
    if let Some((h, w)) = expected
        && (h, w) != (height, width)
    {
        return Err(DataError::malformed(
            "image size",
            format!("{height}x{width}"),
            format!("{h}x{w} (height x width), the size of the first image; images are not resized"),
        ));
    }
    if bytes.starts_with(&JPEG_START) && !jpeg_is_complete(bytes) {
        return Err(DataError::malformed("image", "a JPEG image without an end", "a whole JPEG image"));
    }
    let image = reader()?.decode().map_err(broken)?;
    let (channels, interleaved) = interleaved(image);
    let plane = height * width;
    let mut values = Vec::with_capacity(interleaved.len());
    for c in 0..channels {
        values.extend((0..plane).map(|p| interleaved[p * channels + c]));
    }
    Ok(DecodedImage { channels, height, width, values })
}

/// Whether the end marker follows the pixel data; the decoder fills what is missing with grey and says nothing.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xda;
    const END: [u8; 2] = [0xff, 0xd9];
    let mut rest = &bytes[JPEG_START.len()..];
    // Segments before the pixels are skipped by their lengths: they may hold a thumbnail with an end marker of its own.
    loop {
        match rest {
            [0xff, 0xff, ..] => rest = &rest[1..],
            [0xff, START_OF_SCAN, ..] => return rest.windows(2).any(|w| w == END),
            [0xff, _, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                let Some(next) = rest.get(2 + length..) else { return false };
                rest = next;
            }
            _ => return false,
        }
    }
}

/// The number of channels and the values, pixel by pixel; more than eight bits are kept.
fn interleaved(image: DynamicImage) -> (usize, Vec<f32>) {
    let eight = |v: Vec<u8>| v.iter().map(|&p| f32::from(p) / 255.0).collect();
    let sixteen = |v: Vec<u16>| v.iter().map(|&p| f32::from(p) / 65_535.0).collect();
    match image {
        DynamicImage::ImageLuma8(_) | DynamicImage::ImageLumaA8(_) => {
            (1, eight(image.into_luma8().into_raw()))
        }
        DynamicImage::ImageLuma16(_) | DynamicImage::ImageLumaA16(_) => {
            (1, sixteen(image.into_luma16().into_raw()))
        }
        DynamicImage::ImageRgb16(_) | DynamicImage::ImageRgba16(_) => {
            (3, sixteen(image.into_rgb16().into_raw()))
        }
        _ => (3, eight(image.into_rgb8().into_raw())),
    }
}

/// Names in a folder, sorted, without hidden ones.
fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(DataError::io(folder, "cannot list"))? {
        let entry = entry.map_err(DataError::io(folder, "cannot list"))?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn is_image(path: &Path) -> bool {
    path.extension().is_some_and(|e| EXTENSIONS.iter().any(|x| e.eq_ignore_ascii_case(x)))
}

/// The folder whose sub-folders are the classes of the split.
fn split_folder(folder: &Path, split: Split) -> Result<PathBuf, DataError> {
    let names: &[&str] = match split {
        Split::Train => &["train"],
        Split::Test => &["test", "val"],
    };
    if let Some(found) = names.iter().map(|n| folder.join(n)).find(|p| p.is_dir()) {
        return Ok(found);
    }
    if ["train", "test", "val"].iter().any(|n| folder.join(n).is_dir()) {
        let expected = format!("a sub-folder {} for the {split} split", names.join(" or "));
        return Err(DataError::malformed("folder", "only the other split", expected).in_file(folder));
    }
    Ok(folder.to_owned())
}

/// Whether a sub-folder holds the images of a split.
pub(super) fn has(folder: &Path, split: Split) -> bool {
    split_folder(folder, split).is_ok_and(|found| found != folder)
}

/// Decodes a file, which an error names.
fn read_image(path: &Path, expected: Option<Size>) -> Result<DecodedImage, DataError> {
    decode(&files::read_all(path)?, expected).map_err(|e| e.in_file(path))
}

/// A file, and the state in which it was found; `None` where that is not known.
struct ImageFile {
    path: PathBuf,
    state: Option<FileState>,
}

/// Images that are decoded when they are read.
struct ImageFiles {
    files: Vec<ImageFile>,
    channels: usize,
    size: Size,
    /// The image that decides size and channels.
    first: PathBuf,
}

impl ImageFiles {
    fn read_sample(&self, file: &ImageFile, to: &mut [f32]) -> Result<(), DataError> {
        let path = file.path.as_path();
        let image = read_image(path, Some(self.size))?;
        if let Some(state) = &file.state {
            state.check(std::fs::metadata(path), path)?;
        }
        match (image.channels, self.channels) {
            (1, 3) => to.chunks_exact_mut(image.values.len()).for_each(|c| c.copy_from_slice(&image.values)),
            (found, expected) if found == expected => to.copy_from_slice(&image.values),
            _ => {
                let expected = format!("a grey image, as the first one ({})", self.first.display());
                return Err(DataError::malformed("image", "a colour image", expected).in_file(path));
            }
        }
        Ok(())
    }

    fn read_images(&self, files: &[ImageFile], row: usize, to: &mut [f32]) -> Result<(), DataError> {
        files.iter().zip(to.chunks_exact_mut(row)).try_for_each(|(file, to)| self.read_sample(file, to))
    }
}

impl SampleReader for ImageFiles {
    fn read(&self, first: usize, row: usize, to: &mut [f32]) -> Result<(), DataError> {
        let files = &self.files[first..first + to.len() / row];
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_DECODERS);
        let share = files.len().div_ceil(threads).max(FEWEST_FOR_A_DECODER);
        if share >= files.len() {
            return self.read_images(files, row, to);
        }
        std::thread::scope(|scope| {
            let decoders: Vec<_> = (files.chunks(share).zip(to.chunks_mut(share * row)))
                .map(|(files, to)| scope.spawn(move || self.read_images(files, row, to)))
                .collect();
            // The first image that is wrong, whichever thread met one first.
            decoders.into_iter().try_for_each(|d| d.join().unwrap_or_else(|e| std::panic::resume_unwind(e)))
        })
    }

    fn files(&self) -> Vec<&Path> {
        self.files.iter().map(|file| file.path.as_path()).collect()
    }

    fn form(&self) -> String {
        format!("images {} {:?}", self.channels, self.size)
    }
}

/// Images of a split, shape `[1 or 3, height, width]`, scaled to [0, 1] and normalised.
///
/// Without a normalisation given, colour images get [`Normalization::imagenet`] and grey ones none. Only the images asked
/// for are read; where they take more than `memory` bytes, they are decoded whenever they are needed.
///
/// # Errors
/// No classes, a class without images, images that are damaged or differ in size, colour images after a grey first one, a range
/// that is empty or reaches past the end.
pub fn load(
    folder: &Path,
    split: Split,
    samples: Option<Range<usize>>,
    normalization: Option<Normalization>,
    memory: usize,
) -> Result<Dataset, DataError> {
    let root = split_folder(folder, split)?;
    let mut listed = Vec::new();
    let mut classes = 0;
    for class in sorted_entries(&root)?.into_iter().filter(|p| p.is_dir()) {
        let before = listed.len();
        listed
            .extend(sorted_entries(&class)?.into_iter().filter(|p| is_image(p)).map(|p| (p, classes as u32)));
        if listed.len() == before {
            return Err(DataError::malformed("class", "no images", "png or jpeg files").in_file(&class));
        }
        classes += 1;
    }
    if classes == 0 {
        return Err(
            DataError::malformed("folder", "no sub-folders", "one sub-folder per class").in_file(&root)
        );
    }
    let what = format!("images by class ({})", root.display());
    let range = samples.unwrap_or(0..listed.len());
    check_range(&range, listed.len(), &what)?;

    // The first image of the folder, not of the range, so that every range of it agrees.
    let first_path = listed[0].0.clone();
    let first = read_image(&first_path, None)?;
    let (channels, size) = (first.channels, (first.height, first.width));
    let (paths, labels): (Vec<PathBuf>, Vec<u32>) = listed.drain(range.clone()).unzip();
    let row = channels * size.0 * size.1;
    let count = paths.len();
    let state = |path: &Path| std::fs::metadata(path).and_then(|meta| FileState::of(&meta)).ok();
    let files = paths.into_iter().map(|path| ImageFile { state: state(&path), path }).collect();
    let images = ImageFiles { files, channels, size, first: first_path };
    let stored = Values::stored(images, count, row);
    let large = count.saturating_mul(row * size_of::<f32>()) > memory;
    let values = if large { stored } else { stored.load()? };
    let default = || if channels == 3 { Normalization::imagenet() } else { Normalization::none() };
    let input = InputTensor {
        name: "image".into(),
        shape_per_sample: vec![channels, size.0, size.1],
        values,
        integer: false,
    };
    Dataset::normalized(
        vec![input],
        Targets::Classes { labels, classes },
        normalization.unwrap_or_else(default),
        format!("{what}, samples {}..{}", range.start, range.end),
    )
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
