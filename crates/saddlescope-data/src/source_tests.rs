//! Descriptions of sources, and sources end to end.

use std::path::Path;

use super::super::Targets;
use super::*;
use crate::weights::{TensorData, TensorMap};

#[test]
fn text_form_is_read_back() {
    for text in [
        "cifar10:a/b",
        "cifar100:.",
        "mnist:dir with spaces",
        "npz:C:/x.npz",
        "npy:x.npy",
        "npy:x.npy,y.npy",
        "safetensors:x",
        "folder:f",
        "digits",
    ] {
        assert_eq!(DataSource::parse(text).unwrap().to_string(), text);
    }
    for text in ["", "digit", "digits:", "cifar10", "cifar10:", "npy:,y", "npy:x,", "zip:file", ":x"] {
        let error = DataSource::parse(text).unwrap_err().to_string();
        assert!(error.contains("cifar10:DIR"), "{text:?}: {error}");
    }
}

#[test]
fn sample_ranges_are_read() {
    assert_eq!(parse_samples("3..7").unwrap(), 3..7);
    assert_eq!(parse_samples("128").unwrap(), 0..128);
    for text in ["", "0", "7..3", "3..3", "a..b", "1..", "..4", "-1..2", "1..2..3", "99999999999999999999"] {
        assert!(parse_samples(text).is_err(), "{text:?}");
    }
}

fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name).display().to_string()
}

#[test]
fn numpy_archive_with_splits_end_to_end() {
    let source = DataSource::parse(&format!("npz:{}", fixture("numpy_stored.npz"))).unwrap();
    let train = source.load(Split::Train, Some(1..4), None).unwrap();
    assert_eq!(train.inputs()[0].shape_per_sample, [2, 3]);
    assert_eq!(
        *train.inputs()[0].values.all().unwrap(),
        (6..24).map(|i| i as f32 / 2.0 - 3.0).collect::<Vec<_>>()
    );
    assert_eq!(*train.targets(), Targets::Classes { labels: vec![1, 2, 3], classes: 5 });
    assert_eq!(source.load(Split::Test, None, None).unwrap().samples(), 2);
    let text = source.load(Split::Train, Some(4..6), None).unwrap_err().to_string();
    assert!(text.contains("numpy_stored.npz") && text.contains("there are 5"), "{text}");
}

#[test]
fn numpy_arrays_end_to_end() {
    let x = fixture("numpy_version2.npy");
    let source = DataSource::parse(&format!("npy:{x}")).unwrap();
    let half = Normalization::parse("1/2").unwrap();
    let set = source.load(Split::Test, Some(0..1), Some(half)).unwrap();
    assert_eq!(set.inputs()[0].values.all().unwrap().as_ref(), [-2.0, -1.75, -1.5, -1.25, -1.0, -0.75]);
    assert_eq!(*set.targets(), Targets::None);
    let pair =
        DataSource::parse(&format!("npy:{x},{x}")).unwrap().load(Split::Train, Some(2..4), None).unwrap();
    assert!(
        matches!(pair.targets(), Targets::Values { shape, values } if shape == &[2, 3] && values.len() == 12)
    );
    let missing = DataSource::parse("npy:absent.npy").unwrap().load(Split::Train, None, None).unwrap_err();
    assert!(missing.to_string().contains("absent.npy"), "{missing}");
}

#[test]
fn safetensors_end_to_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data.safetensors");
    let mut map = TensorMap::new();
    map.insert("x", [3, 2], TensorData::F64(vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0])).unwrap();
    map.insert("y", [3], TensorData::I64(vec![2, 0, 1])).unwrap();
    map.write(&path).unwrap();
    let source = DataSource::Safetensors(path.clone());
    let set = source.load(Split::Train, Some(1..3), None).unwrap();
    assert_eq!(set.inputs()[0].values.all().unwrap().as_ref(), [2.0, 3.0, 4.0, 5.0]);
    assert_eq!(*set.targets(), Targets::Classes { labels: vec![0, 1], classes: 3 });
    std::fs::write(&path, b"not safetensors at all").unwrap();
    let text = source.load(Split::Train, None, None).unwrap_err().to_string();
    assert!(text.contains("data.safetensors"), "{text}");
}

#[test]
fn a_split_is_given_only_where_the_source_keeps_it_apart() {
    let both = DataSource::parse(&format!("npz:{}", fixture("numpy_stored.npz"))).unwrap();
    let one = DataSource::parse(&format!("npy:{}", fixture("numpy_version2.npy"))).unwrap();
    assert!(both.keeps_apart(Split::Test).unwrap() && !one.keeps_apart(Split::Test).unwrap());
    assert!(one.load_first(Split::Test, 2, None, usize::MAX).unwrap().is_none());
    // The test split has two samples: fewer than asked for are all of them.
    for (count, expected) in [(1, 1), (2, 2), (8, 2)] {
        let set = both.load_first(Split::Test, count, None, usize::MAX).unwrap().unwrap();
        assert_eq!(set.samples(), expected);
    }
    // What cannot be read is an error, not an absent split.
    let dir = tempfile::tempdir().unwrap();
    assert!(
        DataSource::Npz(dir.path().join("absent.npz")).load_first(Split::Test, 2, None, usize::MAX).is_err()
    );
    std::fs::write(dir.path().join("test_batch.bin"), [0; 100]).unwrap();
    let cifar = DataSource::Cifar10(dir.path().into());
    assert!(!cifar.keeps_apart(Split::Train).unwrap());
    let text = cifar.load_first(Split::Test, 2, None, usize::MAX).unwrap_err().to_string();
    assert!(text.contains("100 bytes"), "{text}");
}

/// Every kind of source that can stay in its file, with values that show order and place.
fn large_sources(dir: &std::path::Path) -> Vec<DataSource> {
    let mut cifar = Vec::new();
    for i in 0..7u32 {
        cifar.push((i % 10) as u8);
        cifar.extend((0..3072u32).map(|p| (p.wrapping_mul(31).wrapping_add(i * 7) % 251) as u8));
    }
    std::fs::write(dir.join("data_batch_1.bin"), &cifar[..3 * 3073]).unwrap();
    std::fs::write(dir.join("data_batch_3.bin"), &cifar[3 * 3073..]).unwrap();
    let mut images = vec![0, 0, 8, 3, 0, 0, 0, 7, 0, 0, 0, 3, 0, 0, 0, 2];
    images.extend((0..42u8).map(|p| p * 5));
    std::fs::write(dir.join("train-images-idx3-ubyte"), images).unwrap();
    std::fs::write(dir.join("train-labels-idx1-ubyte"), [0, 0, 8, 1, 0, 0, 0, 7, 1, 0, 2, 0, 1, 2, 1])
        .unwrap();
    let mut files = Vec::new();
    for (descr, width) in [("<f4", 4), (">f4", 4), ("<f8", 8), ("<f2", 2), ("|u1", 1), ("<i4", 4), (">i2", 2)]
    {
        for shape in ["(7, 3)", "(7, 2, 3)", "(7,)"] {
            let numbers = 7 * if shape.len() > 6 {
                6
            } else if shape.len() > 4 {
                3
            } else {
                1
            };
            let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
            while (header.len() + 11) % 64 != 0 {
                header.push(' ');
            }
            header.push('\n');
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((header.len() as u16).to_le_bytes());
            bytes.extend(header.as_bytes());
            // Small integers in any of the types, and floating-point numbers that are small.
            for i in 0..numbers {
                let mut element = vec![0; width];
                let last = if descr.starts_with('>') { width - 1 } else { 0 };
                element[last] = (i * 5 % 120) as u8;
                if descr == "<f8" {
                    // Not so small that single precision is 0.
                    (element[6], element[7]) = (element[0], 0x3f);
                }
                bytes.extend(element);
            }
            let name = format!("{}-{}.npy", descr.replace(['<', '|'], "l").replace('>', "b"), files.len());
            std::fs::write(dir.join(&name), &bytes).unwrap();
            files.push((name, bytes));
        }
    }
    let mut zip = zip::ZipWriter::new(std::fs::File::create(dir.join("all.npz")).unwrap());
    for (method, name) in [(zip::CompressionMethod::Stored, "a"), (zip::CompressionMethod::Deflated, "b")] {
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        zip.start_file(format!("{name}.npy"), options).unwrap();
        std::io::Write::write_all(&mut zip, &files[0].1).unwrap();
    }
    zip.finish().unwrap();
    let mut map = TensorMap::new();
    let numbers = |n: usize| (0..n).map(|i| i as f32 / 7.0).collect::<Vec<f32>>();
    map.insert("x", [7, 3], TensorData::F32(numbers(21))).unwrap();
    map.insert("tokens", [7], TensorData::I64((0..7).collect())).unwrap();
    map.insert("y", [7], TensorData::I64(vec![0, 1, 2, 0, 1, 2, 0])).unwrap();
    map.write(&dir.join("all.safetensors")).unwrap();
    // Two classes of colour images, one of which is grey.
    for i in 0..7u8 {
        let class = dir.join("images").join(["a", "b"][usize::from(i > 2)]);
        std::fs::create_dir_all(&class).unwrap();
        let at = class.join(format!("{i}.png"));
        if i == 4 {
            image::GrayImage::from_fn(3, 2, |x, y| image::Luma([40 * x as u8 + y as u8])).save(at).unwrap();
        } else {
            image::RgbImage::from_fn(3, 2, |x, y| image::Rgb([x as u8, y as u8, 30 * i])).save(at).unwrap();
        }
    }
    let mut all = vec![
        DataSource::Safetensors(dir.join("all.safetensors")),
        DataSource::Folder(dir.join("images")),
        DataSource::Cifar10(dir.into()),
        DataSource::Mnist(dir.into()),
        DataSource::Npz(dir.join("all.npz")),
    ];
    all.extend(files.into_iter().map(|(name, _)| DataSource::Npy { inputs: dir.join(name), targets: None }));
    all
}

#[test]
fn samples_read_from_their_files_are_those_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    for source in large_sources(dir.path()) {
        for range in [None, Some(0..7), Some(2..6), Some(4..5)] {
            let memory = source.load(Split::Train, range.clone(), None).unwrap();
            let stored = source.open(Split::Train, range.clone(), None, 0).unwrap();
            assert_eq!(stored, memory, "{source} {range:?}");
            assert_eq!(stored.fingerprint().unwrap(), memory.fingerprint().unwrap(), "{source} {range:?}");
            let bytes: usize = stored.inputs().iter().map(|i| i.values.bytes_in_memory()).sum();
            // Of the archive the deflated array has to be read.
            let packed = matches!(source, DataSource::Npz(_)).then_some(stored.inputs()[0].values.len() * 4);
            assert_eq!(bytes, packed.unwrap_or(0), "{source}");
            for part in [0..1, 1..stored.samples(), 0..stored.samples()].into_iter().filter(|p| !p.is_empty())
            {
                let (a, b) = (stored.select(part.clone()).unwrap(), memory.select(part).unwrap());
                assert_eq!(a, b, "{source}");
            }
            assert_eq!(stored.select_indices(&[0, 0]).unwrap(), memory.select_indices(&[0, 0]).unwrap());
        }
        for range in [3..8, 8..9] {
            let error = |memory| {
                source.open(Split::Train, Some(range.clone()), None, memory).unwrap_err().to_string()
            };
            assert_eq!(error(0), error(usize::MAX), "{source}");
        }
    }
}

#[test]
fn many_images_are_decoded_by_several_threads_and_the_first_that_is_wrong_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let class = dir.path().join("a");
    std::fs::create_dir_all(&class).unwrap();
    let path = |i: u32| class.join(format!("{i:02}.png"));
    for i in 0..40u32 {
        image::RgbImage::from_fn(5, 4, |x, y| image::Rgb([i as u8, x as u8, y as u8])).save(path(i)).unwrap();
    }
    let source = DataSource::Folder(dir.path().into());
    let memory = source.load(Split::Train, None, Some(Normalization::none())).unwrap();
    let stored = source.open(Split::Train, None, Some(Normalization::none()), 0).unwrap();
    for i in 0..40 {
        assert_eq!(memory.inputs()[0].values.slice(i * 60..i * 60 + 1).unwrap()[0], i as f32 / 255.0);
    }
    assert_eq!(stored.inputs()[0].values.all().unwrap(), memory.inputs()[0].values.all().unwrap());
    for i in [38, 23, 31] {
        std::fs::write(path(i), "no image").unwrap();
    }
    let error = stored.fingerprint().unwrap_err().to_string();
    assert!(error.contains("23.png"), "{error}");
}

#[test]
fn files_that_change_while_they_are_in_use_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (x, class) = (dir.path().join("x.npy"), dir.path().join("images/train/a"));
    let array = |first: f32| {
        let mut bytes = b"\x93NUMPY\x01\x00\x4a\x00".to_vec();
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), }";
        bytes.extend(format!("{header:<73}\n").into_bytes());
        (0..12).for_each(|i| bytes.extend((first + i as f32).to_le_bytes()));
        bytes
    };
    let picture =
        |grey: u8, path: &Path| image::GrayImage::from_pixel(4, 4, image::Luma([grey])).save(path).unwrap();
    std::fs::create_dir_all(&class).unwrap();
    let second = class.join("1.png");
    picture(10, &class.join("0.png"));
    picture(20, &second);
    std::fs::write(&x, array(0.0)).unwrap();
    let array_source = DataSource::Npy { inputs: x.clone(), targets: None };
    let images: DataSource = format!("folder:{}", dir.path().join("images").display()).parse().unwrap();
    let open =
        |source: &DataSource| source.open(Split::Train, None, None, 0).unwrap().inputs()[0].values.clone();
    let (numbers, pictures) = (open(&array_source), open(&images));
    assert!(numbers.all().is_ok() && pictures.all().is_ok());
    // Times of files tell changes apart that are a few milliseconds apart.
    std::thread::sleep(std::time::Duration::from_millis(50));
    std::fs::write(&x, array(1.0)).unwrap();
    picture(30, &second);
    for (values, name) in [(numbers, "x.npy"), (pictures, "1.png")] {
        let error = values.all().unwrap_err().to_string();
        assert!(error.contains("changed since it was opened") && error.contains(name), "{error}");
    }
}

#[test]
fn the_fingerprint_of_data_that_stay_in_their_files_is_kept_until_a_file_changes() {
    let dir = tempfile::tempdir().unwrap();
    let (x, y) = (dir.path().join("x.npy"), dir.path().join("y.npy"));
    let hour_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    let write = |path: &Path, first: f32| {
        let values: Vec<f32> = (0..12).map(|i| first + i as f32).collect();
        let mut bytes = b"\x93NUMPY\x01\x00\x4a\x00".to_vec();
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), }";
        bytes.extend(format!("{header:<73}\n").into_bytes());
        values.iter().for_each(|v| bytes.extend(v.to_le_bytes()));
        std::fs::write(path, bytes).unwrap();
        std::fs::File::options().write(true).open(path).unwrap().set_modified(hour_ago).unwrap();
    };
    write(&x, 0.0);
    write(&y, 5.0);
    let source = DataSource::Npy { inputs: x.clone(), targets: Some(y.clone()) };
    let open = |memory| source.open(Split::Train, Some(0..3), None, memory).unwrap();
    let kept = dir.path().join("kept/here");
    let right = open(usize::MAX).fingerprint().unwrap();
    // Data in memory keep nothing.
    assert_eq!(open(usize::MAX).fingerprint_kept_in(&kept).unwrap(), right);
    assert!(!kept.exists());
    assert_eq!(open(0).fingerprint_kept_in(&kept).unwrap(), right);
    let entries = || std::fs::read_dir(&kept).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>();
    assert_eq!(entries().len(), 1);
    assert_eq!(std::fs::read_to_string(&entries()[0]).unwrap(), right);
    // It is read from there, and a damaged one is not.
    std::fs::write(&entries()[0], "a".repeat(64)).unwrap();
    assert_eq!(open(0).fingerprint_kept_in(&kept).unwrap(), "a".repeat(64));
    std::fs::write(&entries()[0], "a".repeat(63)).unwrap();
    assert_eq!(open(0).fingerprint_kept_in(&kept).unwrap(), right);
    // Other samples, another normalisation, other targets, another file of the same size and time are other data.
    let other = source.open(Split::Train, Some(1..4), None, 0).unwrap();
    assert_eq!(other.fingerprint_kept_in(&kept).unwrap(), other.fingerprint().unwrap());
    let half = Normalization::parse("1/2").unwrap();
    let other = source.open(Split::Train, Some(0..3), Some(half), 0).unwrap();
    assert_eq!(other.fingerprint_kept_in(&kept).unwrap(), other.fingerprint().unwrap());
    write(&y, 6.0);
    assert_eq!(open(0).fingerprint_kept_in(&kept).unwrap(), open(0).fingerprint().unwrap());
    if cfg!(unix) {
        write(&x, 1.0);
        assert_eq!(open(0).fingerprint_kept_in(&kept).unwrap(), open(0).fingerprint().unwrap());
    }
    // A file that changed just now is read again.
    std::fs::File::options()
        .write(true)
        .open(&x)
        .unwrap()
        .set_modified(std::time::SystemTime::now())
        .unwrap();
    let before = entries().len();
    assert_eq!(open(0).fingerprint_kept_in(&kept).unwrap(), open(0).fingerprint().unwrap());
    assert_eq!(entries().len(), before);
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let source = large_sources(dir.path()).swap_remove(5);
    let set = source.open(Split::Train, None, None, 0).unwrap();
    let DataSource::Npy { inputs, .. } = &source else { panic!("{source}") };
    std::fs::OpenOptions::new().write(true).open(inputs).unwrap().set_len(130).unwrap();
    let error = set.fingerprint().unwrap_err().to_string();
    assert!(error.contains("cannot read") && error.contains(".npy"), "{error}");
}
