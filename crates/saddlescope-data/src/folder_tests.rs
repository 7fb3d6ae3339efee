//! Folders written here, and damaged images.

use std::io::Cursor;

use image::{DynamicImage, GrayImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage, RgbaImage};
use proptest::prelude::*;

use super::*;

fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn colour(width: u32, height: u32, base: u8) -> DynamicImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([base + x as u8, base + 10 * y as u8, base + 100])).into()
}

fn grey(width: u32, height: u32) -> DynamicImage {
    GrayImage::from_fn(width, height, |x, y| Luma([(x + 10 * y) as u8])).into()
}

fn write(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn png(image: &DynamicImage) -> Vec<u8> {
    encode(image, ImageFormat::Png)
}

fn load_raw(root: &Path, split: Split, samples: Option<Range<usize>>) -> Result<Dataset, DataError> {
    load(root, split, samples, Some(Normalization::none()), usize::MAX)
}

#[test]
fn classes_are_the_sorted_sub_folders() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "dog/b.png", &png(&colour(3, 2, 2)));
    write(dir.path(), "dog/a.PNG", &png(&colour(3, 2, 1)));
    write(dir.path(), "cat/z.png", &png(&colour(3, 2, 0)));
    write(dir.path(), "cat/notes.txt", b"not an image");
    write(dir.path(), ".hidden/x.png", b"not an image");
    let set = load_raw(dir.path(), Split::Train, None).unwrap();
    assert_eq!(*set.targets(), Targets::Classes { labels: vec![0, 1, 1], classes: 2 });
    assert_eq!(set.inputs()[0].shape_per_sample, [3, 2, 3]);
    let first: Vec<f32> =
        set.inputs()[0].values.all().unwrap()[..18].iter().map(|v| (v * 255.0).round()).collect();
    let expected = [0., 1., 2., 0., 1., 2., 0., 0., 0., 10., 10., 10., 100., 100., 100., 100., 100., 100.];
    assert_eq!(first, expected);
    let part = load_raw(dir.path(), Split::Train, Some(1..3)).unwrap();
    assert_eq!(part.fingerprint().unwrap(), set.select(1..3).unwrap().fingerprint().unwrap());
    let normalised = load(dir.path(), Split::Train, None, None, usize::MAX).unwrap();
    assert_eq!(*normalised.normalization(), Normalization::imagenet());
}

#[test]
fn split_folders_are_used_where_there_are_any() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "train/a/1.png", &png(&grey(2, 2)));
    assert_eq!(
        load(dir.path(), Split::Train, None, None, usize::MAX).unwrap().inputs()[0].shape_per_sample,
        [1, 2, 2]
    );
    assert!(load_raw(dir.path(), Split::Test, None).unwrap_err().to_string().contains("test or val"));
    write(dir.path(), "val/a/1.png", &png(&grey(2, 2)));
    load_raw(dir.path(), Split::Test, None).unwrap();
}

#[test]
fn kinds_of_pixels_are_brought_together() {
    let grey_image = decode(&png(&grey(2, 2)), None).unwrap();
    assert_eq!(grey_image.values, [0.0, 1.0 / 255.0, 10.0 / 255.0, 11.0 / 255.0]);
    let with_alpha = DynamicImage::from(RgbaImage::from_pixel(1, 1, image::Rgba([255, 0, 51, 3])));
    assert_eq!(decode(&png(&with_alpha), None).unwrap().values, [1.0, 0.0, 0.2]);
    let deep = DynamicImage::from(ImageBuffer::from_pixel(1, 1, Luma([1u16])));
    assert_eq!(decode(&png(&deep), None).unwrap().values, [1.0 / 65_535.0]);
    let jpeg =
        decode(&encode(&RgbImage::from_pixel(8, 8, Rgb([120; 3])).into(), ImageFormat::Jpeg), None).unwrap();
    assert_eq!((jpeg.channels, jpeg.height, jpeg.width), (3, 8, 8));
    // A constant block survives JPEG up to the rounding of one grey level.
    assert!(jpeg.values.iter().all(|v| (v * 255.0 - 120.0).abs() <= 1.5));

    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a/1.png", &png(&colour(2, 2, 0)));
    write(dir.path(), "a/2.png", &png(&grey(2, 2)));
    assert_eq!(load_raw(dir.path(), Split::Train, None).unwrap().samples(), 2);
    write(dir.path(), "a/0.png", &png(&grey(2, 2)));
    let text = load_raw(dir.path(), Split::Train, None).unwrap_err().to_string();
    assert!(text.contains("1.png") && text.contains("colour"), "{text}");
}

#[test]
fn what_does_not_fit_is_named() {
    let dir = tempfile::tempdir().unwrap();
    assert!(load_raw(dir.path(), Split::Train, None).unwrap_err().to_string().contains("sub-folder"));
    assert!(load_raw(&dir.path().join("absent"), Split::Train, None).is_err());
    write(dir.path(), "a/1.png", &png(&grey(3, 2)));
    write(dir.path(), "a/2.png", &png(&grey(2, 3)));
    let text = load_raw(dir.path(), Split::Train, None).unwrap_err().to_string();
    assert!(text.contains("2.png") && text.contains("3x2") && text.contains("2x3"), "{text}");
    fs::create_dir(dir.path().join("b")).unwrap();
    assert!(load_raw(dir.path(), Split::Train, None).unwrap_err().to_string().contains("no images"));
}

#[test]
fn huge_sizes_are_refused_before_decoding() {
    // Width and height of a PNG are at bytes 16 to 24; the checksum of that chunk covers bytes 12 to 29.
    let mut bytes = png(&grey(2, 2));
    bytes[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    let text = decode(&bytes, None).unwrap_err().to_string();
    assert!(text.contains("imit") || text.contains("large") || text.contains("dimension"), "{text}");
}

#[test]
fn truncation_anywhere_is_an_error() {
    // Noise, so that the pixels are most of the file.
    let noise = |x: u32, y: u32| ((x * 7919 + y * 104_729 + x * y * 31) % 251) as u8;
    let image: DynamicImage =
        RgbImage::from_fn(24, 24, |x, y| Rgb([noise(x, y), noise(y, x + 1), noise(x + 2, y)])).into();
    for bytes in [png(&image), encode(&image, ImageFormat::Jpeg)] {
        decode(&bytes, None).unwrap();
        // The last four bytes of a PNG are the checksum of an empty chunk, which the decoder need not read.
        let needed = bytes.len() - 4;
        let accepted: Vec<usize> = (0..needed).filter(|&cut| decode(&bytes[..cut], None).is_ok()).collect();
        assert!(accepted.is_empty(), "of {} bytes these were enough: {accepted:?}", bytes.len());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(decode(&bytes, None).is_err());
    }

    #[test]
    fn changed_bytes_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), jpeg: bool,
    ) {
        let format = if jpeg { ImageFormat::Jpeg } else { ImageFormat::Png };
        let mut bytes = encode(&colour(9, 9, 0), format);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(image) = decode(&bytes, None) {
            prop_assert_eq!(image.values.len(), image.channels * image.height * image.width);
        }
    }
}
