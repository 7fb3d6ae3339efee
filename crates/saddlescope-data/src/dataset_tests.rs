//! What is refused, and what selections keep.

use proptest::prelude::*;

use super::*;

fn input(name: &str, shape: &[usize], values: Vec<f32>) -> InputTensor {
    InputTensor { name: name.into(), shape_per_sample: shape.into(), values: values.into(), integer: false }
}

fn set(inputs: Vec<InputTensor>, targets: Targets) -> Result<Dataset, DataError> {
    Dataset::new(inputs, targets, Normalization::none(), "made here")
}

fn numbered(samples: usize) -> Dataset {
    let x = input("x", &[2], (0..2 * samples).map(|i| i as f32).collect());
    let z = input("z", &[], (0..samples).map(|i| -(i as f32)).collect());
    set(vec![x, z], Targets::Classes { labels: (0..samples as u32).collect(), classes: samples }).unwrap()
}

fn labels(set: &Dataset) -> Vec<u32> {
    match set.targets() {
        Targets::Classes { labels, .. } => labels.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let none = || Targets::None;
    for inputs in [
        vec![],
        vec![input("x", &[2], vec![])],
        vec![input("x", &[2], vec![1.0; 3])],
        vec![input("x", &[0], vec![1.0])],
        vec![input("x", &[usize::MAX, 2], vec![1.0])],
        vec![input("x", &[1], vec![1.0]), input("x", &[1], vec![1.0])],
        vec![input("x", &[1], vec![1.0; 2]), input("y", &[1], vec![1.0; 3])],
        vec![InputTensor { integer: true, ..input("x", &[1], vec![0.5]) }],
        vec![InputTensor { integer: true, ..input("x", &[1], vec![f32::NAN]) }],
        vec![InputTensor { integer: true, ..input("x", &[1], vec![2.0 * MAX_EXACT_INTEGER]) }],
    ] {
        let shown = format!("{inputs:?}");
        assert!(matches!(set(inputs, none()), Err(DataError::Inconsistent { .. })), "{shown}");
    }
    let overflow = input("x", &[usize::MAX, 2], vec![1.0]);
    assert!(Dataset::normalized(vec![overflow], none(), Normalization::imagenet(), "").is_err());
    let two_channels = input("x", &[2], vec![1.0; 2]);
    assert!(Dataset::normalized(vec![two_channels], none(), Normalization::imagenet(), "").is_err());
}

#[test]
fn targets_that_do_not_fit_are_refused() {
    let x = || vec![input("x", &[1], vec![0.0; 2])];
    for targets in [
        Targets::Classes { labels: vec![0], classes: 1 },
        Targets::Classes { labels: vec![0, 3], classes: 3 },
        Targets::Classes { labels: vec![0, 0], classes: 0 },
        Targets::ClassesPerPosition { labels: vec![0; 3], positions: 2, classes: 1 },
        Targets::ClassesPerPosition { labels: vec![0, 0], positions: 0, classes: 1 },
        Targets::ClassesPerPosition { labels: vec![0, -1], positions: 1, classes: 1 },
        Targets::ClassesPerPosition { labels: vec![0, 1], positions: 1, classes: 1 },
        Targets::ClassesPerPosition { labels: vec![0, 1], positions: usize::MAX, classes: 1 },
        Targets::Values { values: vec![0.0; 3], shape: vec![2] },
        Targets::Values { values: vec![], shape: vec![0] },
        Targets::Values { values: vec![0.0; 2], shape: vec![usize::MAX, usize::MAX] },
    ] {
        let shown = format!("{targets:?}");
        assert!(matches!(set(x(), targets), Err(DataError::Inconsistent { .. })), "{shown}");
    }
    for targets in [
        Targets::None,
        Targets::Classes { labels: vec![0, 2], classes: 3 },
        Targets::ClassesPerPosition { labels: vec![0, IGNORED_LABEL, 2, 1], positions: 2, classes: 3 },
        Targets::Values { values: vec![f32::NAN; 2], shape: vec![] },
    ] {
        set(x(), targets).unwrap();
    }
}

#[test]
fn classes_can_be_raised_but_not_below_the_labels() {
    assert!(matches!(numbered(3).with_classes(10).unwrap().targets(), Targets::Classes { classes: 10, .. }));
    assert!(numbered(3).with_classes(2).is_err());
    let none = set(vec![input("x", &[1], vec![0.0])], Targets::None).unwrap();
    assert!(none.with_classes(2).is_err());
}

#[test]
fn integer_inputs_are_not_normalised() {
    let tokens = InputTensor { integer: true, ..input("tokens", &[1], vec![5.0]) };
    let real = input("real", &[1], vec![5.0]);
    let by = Normalization::new(vec![1.0], vec![2.0]).unwrap();
    let set = Dataset::normalized(vec![tokens, real], Targets::None, by.clone(), "").unwrap();
    assert_eq!(
        (set.inputs()[0].values.all().unwrap()[0], set.inputs()[1].values.all().unwrap()[0]),
        (5.0, 2.0)
    );
    assert_eq!(*set.normalization(), by);
}

#[test]
fn selections_outside_are_refused() {
    let set = numbered(4);
    for range in [0..0, 2..2, 0..5, 5..6, 4..4] {
        assert!(matches!(set.select(range.clone()), Err(DataError::Range { available: 4, .. })), "{range:?}");
    }
    assert!(set.shuffled_subset(0, 1).is_err() && set.shuffled_subset(5, 1).is_err());
    assert!(set.select_indices(&[]).is_err() && set.select_indices(&[4]).is_err());
    assert!(set.select_indices(&[usize::MAX]).is_err());
}

#[test]
fn fingerprint_sees_everything_but_the_provenance() {
    let x = || input("x", &[2], vec![0.0, 1.0, 2.0, 3.0]);
    let print = |x: InputTensor, labels: [u32; 2], classes: usize, provenance: &str| {
        let targets = Targets::Classes { labels: labels.into(), classes };
        Dataset::new(vec![x], targets, Normalization::none(), provenance).unwrap().fingerprint().unwrap()
    };
    let original = print(x(), [0, 1], 2, "here");
    assert_eq!(original.len(), 64);
    assert_eq!(print(x(), [0, 1], 2, "there"), original);
    let others = [
        print(InputTensor { values: vec![-0.0, 1.0, 2.0, 3.0].into(), ..x() }, [0, 1], 2, "here"),
        print(InputTensor { name: "z".into(), ..x() }, [0, 1], 2, "here"),
        print(InputTensor { integer: true, ..x() }, [0, 1], 2, "here"),
        print(InputTensor { shape_per_sample: vec![1, 2], ..x() }, [0, 1], 2, "here"),
        print(x(), [1, 0], 2, "here"),
        print(x(), [0, 1], 3, "here"),
    ];
    let different: std::collections::BTreeSet<_> = others.iter().chain([&original]).collect();
    assert_eq!(different.len(), 1 + others.len());
}

proptest! {
    #[test]
    fn selections_keep_inputs_and_targets_together(
        samples in 1usize..20, indices in prop::collection::vec(any::<prop::sample::Index>(), 1..30),
    ) {
        let set = numbered(samples);
        let indices: Vec<usize> = indices.iter().map(|i| i.index(samples)).collect();
        let chosen = set.select_indices(&indices).unwrap();
        prop_assert_eq!(chosen.samples(), indices.len());
        for (s, &i) in indices.iter().enumerate() {
            prop_assert_eq!(&chosen.inputs()[0].values.all().unwrap()[2 * s..2 * s + 2], &[2.0 * i as f32, 2.0 * i as f32 + 1.0]);
            prop_assert_eq!(chosen.inputs()[1].values.all().unwrap()[s], -(i as f32));
        }
        prop_assert_eq!(labels(&chosen), indices.iter().map(|&i| i as u32).collect::<Vec<_>>());
    }

    #[test]
    fn subsets_hold_different_samples_and_grow_by_adding(samples in 1usize..30, seed: u64) {
        let set = numbered(samples);
        let all = labels(&set.shuffled_subset(samples, seed).unwrap());
        let mut sorted = all.clone();
        sorted.sort_unstable();
        prop_assert!(sorted.iter().enumerate().all(|(i, &l)| l as usize == i));
        for n in 1..=samples {
            prop_assert_eq!(&labels(&set.shuffled_subset(n, seed).unwrap())[..], &all[..n]);
        }
    }
}
