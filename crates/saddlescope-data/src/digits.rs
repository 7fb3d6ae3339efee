//! The embedded data set: 1,797 handwritten digits of 8×8 pixels.
//!
//! E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository (1998),
//! <https://doi.org/10.24432/C50P49>, CC BY 4.0. Attribution and layout: `assets/digits/README.md`.
//!
//! The first 1,297 images are for training, the last 500 for testing. The donors' file goes writer by writer, so the test
//! images are mostly by writers the training images do not contain.

use std::ops::Range;

use super::dataset::check_range;
use super::{DataError, Dataset, InputTensor, Normalization, Split, Targets};

static DIGITS: &[u8] = include_bytes!("../assets/digits/digits.bin");

const PIXELS: usize = 64;
/// One byte for the class, then the pixels.
const RECORD: usize = 1 + PIXELS;
const IMAGES: usize = 1797;
/// Number of training images.
pub const TRAIN: usize = 1297;
/// Number of test images.
pub const TEST: usize = IMAGES - TRAIN;
/// The largest pixel value: all 16 pixels of a 4×4 block are dark.
const MAX_PIXEL: f32 = 16.0;

const _: () = assert!(DIGITS.len() == IMAGES * RECORD);

/// Mean and deviation of all training pixels after scaling to [0, 1].
pub fn training_normalization() -> Normalization {
    let pixels = || DIGITS[..TRAIN * RECORD].chunks_exact(RECORD).flat_map(|r| &r[1..]);
    // Integer sums: the same bits everywhere.
    let count = (TRAIN * PIXELS) as f64;
    let sum: u64 = pixels().map(|&p| u64::from(p)).sum();
    let squares: u64 = pixels().map(|&p| u64::from(p) * u64::from(p)).sum();
    let max = f64::from(MAX_PIXEL);
    let mean = sum as f64 / count / max;
    let variance = squares as f64 / count / (max * max) - mean * mean;
    // The pixels are fixed and not all equal, so this cannot fail; without normalisation the set would still be usable.
    Normalization::new(vec![mean as f32], vec![variance.sqrt() as f32]).unwrap_or_default()
}

/// Images of a split, shape `[1, 8, 8]`, scaled to [0, 1] and normalised (default: [`training_normalization`]).
///
/// # Errors
/// A range that is empty or reaches past the split; a normalisation for a number of channels other than one.
pub fn load(
    split: Split,
    samples: Option<Range<usize>>,
    normalization: Option<Normalization>,
) -> Result<Dataset, DataError> {
    let records = match split {
        Split::Train => &DIGITS[..TRAIN * RECORD],
        Split::Test => &DIGITS[TRAIN * RECORD..],
    };
    let available = records.len() / RECORD;
    let what = format!("UCI handwritten digits 8x8, {split}");
    let range = samples.unwrap_or(0..available);
    check_range(&range, available, &what)?;
    let records = &records[range.start * RECORD..range.end * RECORD];
    let labels = records.chunks_exact(RECORD).map(|r| u32::from(r[0])).collect();
    let values =
        records.chunks_exact(RECORD).flat_map(|r| &r[1..]).map(|&p| f32::from(p) / MAX_PIXEL).collect();
    let input = InputTensor { name: "image".into(), shape_per_sample: vec![1, 8, 8], values, integer: false };
    Dataset::normalized(
        vec![input],
        Targets::Classes { labels, classes: 10 },
        normalization.unwrap_or_else(training_normalization),
        format!("{what}, samples {}..{}", range.start, range.end),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_hold_every_class_and_training_pixels_are_normalised() {
        let train = load(Split::Train, None, None).unwrap();
        let test = load(Split::Test, None, None).unwrap();
        assert_eq!((train.samples(), test.samples()), (1297, 500));
        for (set, smallest) in [(&train, 128), (&test, 46)] {
            let Targets::Classes { labels, classes } = set.targets() else { panic!("no classes") };
            let counts: Vec<usize> =
                (0..*classes as u32).map(|c| labels.iter().filter(|&&l| l == c).count()).collect();
            assert_eq!(counts.iter().min(), Some(&smallest));
        }
        let v = &train.inputs()[0].values.all().unwrap();
        let mean = v.iter().map(|&x| f64::from(x)).sum::<f64>() / v.len() as f64;
        let square = v.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / v.len() as f64;
        // Rounding of mean and deviation to f32 shifts both by at most a few 1e-7.
        assert!(mean.abs() < 1e-6 && (square - 1.0).abs() < 1e-6, "mean {mean}, mean square {square}");
    }

    #[test]
    fn first_image_is_the_donors() {
        let first = load(Split::Train, Some(0..1), Some(Normalization::none())).unwrap();
        let row: Vec<f32> = first.inputs()[0].values.all().unwrap()[..8].iter().map(|v| v * 16.0).collect();
        assert_eq!(row, [0., 0., 5., 13., 9., 1., 0., 0.]);
        assert_eq!(*first.targets(), Targets::Classes { labels: vec![0], classes: 10 });
    }

    #[test]
    fn embedded_bytes_are_those_documented() {
        use sha2::{Digest, Sha256};
        let hex: String = Sha256::digest(DIGITS).iter().map(|b| format!("{b:02x}")).collect();
        assert!(include_str!("../assets/digits/README.md").contains(&hex), "{hex}");
    }

    #[test]
    fn ranges_outside_the_split_are_refused() {
        let range = |r: Range<usize>| load(Split::Test, Some(r), None);
        assert!(range(0..501).is_err() && range(5..5).is_err() && range(499..500).is_ok());
    }
}
