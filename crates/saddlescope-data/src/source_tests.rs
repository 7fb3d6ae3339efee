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
    assert_eq!(train.inputs()[0].values, (6..24).map(|i| i as f32 / 2.0 - 3.0).collect::<Vec<_>>());
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
    assert_eq!(set.inputs()[0].values, [-2.0, -1.75, -1.5, -1.25, -1.0, -0.75]);
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
    assert_eq!(set.inputs()[0].values, [2.0, 3.0, 4.0, 5.0]);
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
    assert!(one.load_first(Split::Test, 2, None).unwrap().is_none());
    // The test split has two samples: fewer than asked for are all of them.
    for (count, expected) in [(1, 1), (2, 2), (8, 2)] {
        let set = both.load_first(Split::Test, count, None).unwrap().unwrap();
        assert_eq!(set.samples(), expected);
    }
    // What cannot be read is an error, not an absent split.
    let dir = tempfile::tempdir().unwrap();
    assert!(DataSource::Npz(dir.path().join("absent.npz")).load_first(Split::Test, 2, None).is_err());
    std::fs::write(dir.path().join("test_batch.bin"), [0; 100]).unwrap();
    let cifar = DataSource::Cifar10(dir.path().into());
    assert!(!cifar.keeps_apart(Split::Train).unwrap());
    let text = cifar.load_first(Split::Test, 2, None).unwrap_err().to_string();
    assert!(text.contains("100 bytes"), "{text}");
}
