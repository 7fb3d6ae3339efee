//! Readers on real data: CIFAR-10, trained weights (both only where present), and the embedded digits.

use saddlescope_data::weights::{ExpectedTensor, TensorData, TensorMap};
use saddlescope_data::{DataSource, Normalization, Split, Targets, cifar, digits};
use saddlescope_test_support::shared_file;

/// The fingerprints below were computed with NumPy from the same files: pixels in float32 divided by 255 (digits: 16), minus the
/// mean, divided by the deviation, then SHA-256 of the documented form. They hold only if every bit agrees.
const CIFAR_TEST_1_TO_5: &str = "f647063933a18aba2b46d3e5352b8c6e9ddd8b1e8a051d6f060a2aa86d4dbef4";
const DIGITS_TEST: &str = "e6c5c5a580d8b36a28d0e2707741c869bc4f2712baae914b6531b3c21ad97312";

#[test]
fn digits_are_the_same_bits_as_in_numpy() {
    assert_eq!(digits::load(Split::Test, None, None).unwrap().fingerprint().unwrap(), DIGITS_TEST);
}

#[test]
fn cifar_test_images_are_the_same_bits_as_in_numpy() {
    let Some(dir) = shared_file("data/cifar-10-batches-bin") else { return };
    let set = DataSource::Cifar10(dir).load(Split::Test, Some(1..5), None).unwrap();
    assert_eq!(set.inputs()[0].shape_per_sample, [3, 32, 32]);
    assert_eq!(*set.targets(), Targets::Classes { labels: vec![8, 1, 0, 4], classes: 10 });
    assert_eq!(set.fingerprint().unwrap(), CIFAR_TEST_1_TO_5);
}

#[test]
fn cifar_test_split_is_balanced_and_training_ranges_cross_files() {
    let Some(dir) = shared_file("data/cifar-10-batches-bin") else { return };
    let source = DataSource::Cifar10(dir.clone());
    let test = source.load(Split::Test, None, None).unwrap();
    let Targets::Classes { labels, .. } = test.targets() else { panic!("no classes") };
    for class in 0..10 {
        assert_eq!(labels.iter().filter(|&&l| l == class).count(), 1000, "class {class}");
    }
    let across = source.load(Split::Train, Some(9_999..10_001), Some(Normalization::none())).unwrap();
    let second = std::fs::read(dir.join("data_batch_2.bin")).unwrap();
    let (images, labels) = cifar::parse(cifar::Cifar::Ten, &second[..3073]).unwrap();
    assert_eq!(across.inputs()[0].values.all().unwrap()[3072..], images);
    assert!(matches!(across.targets(), Targets::Classes { labels: l, .. } if l[1] == labels[0]));
}

#[test]
fn trained_weights_are_read_checked_and_written_back() {
    for (name, parameters) in [
        ("resnet20-option-a", 269_722),
        ("resnet56-option-a", 853_018),
        ("resnet56-option-b", 855_770),
        ("densenet121", 6_956_298),
    ] {
        let Some(path) = shared_file(&format!("weights/{name}.safetensors")) else { return };
        let map = TensorMap::read(&path).unwrap();
        let is_parameter = |n: &str| !n.contains("running_") && !n.contains("num_batches");
        let count: usize = map.iter().filter(|(n, _)| is_parameter(n)).map(|(_, t)| t.data.len()).sum();
        assert_eq!(count, parameters, "{name}");
        assert!(
            map.iter()
                .all(|(n, t)| n.ends_with("num_batches_tracked") == matches!(t.data, TensorData::I64(_)))
        );

        let expected: Vec<ExpectedTensor> = map
            .iter()
            .filter(|(n, _)| !n.ends_with("num_batches_tracked"))
            .map(|(n, t)| ExpectedTensor { name: n.into(), shape: t.shape.clone() })
            .collect();
        map.check(&expected).unwrap();
        let one_less = map.check(&expected[1..]).unwrap_err().to_string();
        assert!(one_less.contains(&format!("unexpected {:?}", expected[0].name)), "{one_less}");

        let again = TensorMap::parse(&map.to_bytes().unwrap()).unwrap();
        assert_eq!(again, map, "{name}");
    }
}
