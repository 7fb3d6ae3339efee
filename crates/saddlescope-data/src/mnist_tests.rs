//! Round trips through IDX files, and hostile bytes.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;

fn idx(shape: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, shape.len() as u8];
    shape.iter().for_each(|d| bytes.extend(d.to_be_bytes()));
    bytes.extend(data);
    bytes
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn plain_and_gzipped_files_are_found_and_read_in_ranges() {
    let pixels: Vec<u8> = (0..4 * 6).collect();
    let images = idx(&[4, 2, 3], &pixels);
    let labels = idx(&[4], &[3, 0, 9, 1]);
    for (image_name, label_name, zipped) in [
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", false),
        ("train-images.idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", true),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| {
            std::fs::write(dir.path().join(name), if zipped { gz(bytes) } else { bytes.to_vec() }).unwrap();
        };
        put(image_name, &images);
        put(label_name, &labels);
        let none = || Some(Normalization::none());
        let all = load(dir.path(), Split::Train, None, none(), usize::MAX).unwrap();
        assert_eq!(all.inputs()[0].shape_per_sample, [1, 2, 3]);
        assert_eq!(all.inputs()[0].values.all().unwrap()[23], 23.0 / 255.0);
        assert_eq!(*all.targets(), Targets::Classes { labels: vec![3, 0, 9, 1], classes: 10 });
        let part = load(dir.path(), Split::Train, Some(1..3), none(), usize::MAX).unwrap();
        assert_eq!(part.fingerprint().unwrap(), all.select(1..3).unwrap().fingerprint().unwrap());
        assert!(load(dir.path(), Split::Train, Some(0..5), none(), usize::MAX).is_err());
        put(label_name, &idx(&[3], &[3, 0, 9]));
        for range in [None, Some(0..2)] {
            let uneven = load(dir.path(), Split::Train, range, none(), usize::MAX).unwrap_err().to_string();
            assert!(uneven.contains("4 images") && uneven.contains("expected 3"), "{uneven}");
        }
        let missing = load(dir.path(), Split::Test, None, none(), usize::MAX).unwrap_err().to_string();
        assert!(missing.contains("t10k-images-idx3-ubyte"), "{missing}");
    }
}

#[test]
fn truncation_anywhere_is_an_error() {
    let bytes = idx(&[2, 2, 2], &[1; 8]);
    for cut in 0..bytes.len() {
        assert!(parse_idx(&bytes[..cut], 3).is_err(), "{cut} bytes");
    }
    let zipped = gz(&bytes);
    assert_eq!(parse_idx_gz(&zipped, 3).unwrap(), (vec![2, 2, 2], vec![1; 8]));
    for cut in 0..zipped.len() {
        assert!(parse_idx_gz(&zipped[..cut], 3).is_err(), "{cut} bytes of gzip");
    }
}

#[test]
fn hostile_headers_are_errors() {
    let huge = u32::MAX;
    for bytes in [
        idx(&[huge, huge, huge], &[0; 100]),
        idx(&[huge, 1, 1], &[0; 100]),
        idx(&[0, 28, 28], &[]),
        idx(&[1, 1, 2], &[0]),
        idx(&[1, 1, 1], &[0, 0]),
        idx(&[1], &[0]),
        vec![0, 0, 13, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0],
        vec![0, 1, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0],
    ] {
        assert!(parse_idx(&bytes, 3).is_err(), "{bytes:?}");
        assert!(parse_idx_gz(&gz(&bytes), 3).is_err(), "{bytes:?} gzipped");
    }
    let text = parse_idx(&idx(&[1], &[0]), 3).unwrap_err().to_string();
    assert!(text.contains("[0, 0, 8, 1]") && text.contains("[0, 0, 8, 3]"), "{text}");
}

proptest! {
    #[test]
    fn any_bytes_give_a_result_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        prop_assert!(bytes.starts_with(&[0, 0, 8]) || parse_idx(&bytes, 1).is_err());
        let _ = parse_idx_gz(&bytes, 3);
    }

    #[test]
    fn changed_bytes_never_panic(at in any::<prop::sample::Index>(), value in any::<u8>()) {
        let mut plain = idx(&[2, 2, 2], &[1; 8]);
        let mut zipped = gz(&plain);
        let i = at.index(plain.len());
        plain[i] = value;
        let _ = parse_idx(&plain, 3);
        let i = at.index(zipped.len());
        zipped[i] = value;
        let _ = parse_idx_gz(&zipped, 3);
    }
}
