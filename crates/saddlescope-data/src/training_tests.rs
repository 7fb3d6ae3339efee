//! Crops and flips against index arithmetic, and batches.

use super::super::{Normalization, epoch_order};
use super::*;

const H: usize = 6;
const W: usize = 5;

fn images(n: usize) -> Dataset {
    let values = (0..n * 2 * H * W).map(|i| (i + 1) as f32).collect();
    let input = InputTensor { name: "x".into(), shape_per_sample: vec![2, H, W], values, integer: false };
    let targets = Targets::Classes { labels: (0..n as u32).collect(), classes: n };
    let normalization = Normalization::new(vec![1.0, 3.0], vec![2.0, 4.0]).unwrap();
    // The normalisation is only recorded, so that the values stay recognisable.
    Dataset::new(vec![input], targets, normalization, "images").unwrap()
}

/// Which of all crops and flips the output is, by trying them all.
fn identify(image: &[f32], out: &[f32], padding: usize, fill: &[f32]) -> Vec<(usize, usize, bool)> {
    let mut found = Vec::new();
    for dy in 0..=2 * padding {
        for dx in 0..=2 * padding {
            for flipped in [false, true] {
                let same = (0..2 * H * W).all(|i| {
                    let (c, y, x) = (i / (H * W), i / W % H, i % W);
                    let x = if flipped { W - 1 - x } else { x };
                    let (y, x) = ((y + dy) as isize - padding as isize, (x + dx) as isize - padding as isize);
                    let inside = (0..H as isize).contains(&y) && (0..W as isize).contains(&x);
                    let value = if inside { image[(c * H + y as usize) * W + x as usize] } else { fill[c] };
                    out[i] == value
                });
                if same {
                    found.push((dy, dx, flipped));
                }
            }
        }
    }
    found
}

#[test]
fn every_crop_and_flip_occurs_and_nothing_else() {
    let set = images(1);
    let how = CropFlip::new(&set, 2, true).unwrap();
    let image = &set.inputs()[0].values.all().unwrap();
    let mut seen = std::collections::BTreeSet::new();
    let mut out = vec![0.0; image.len()];
    for epoch in 0..600 {
        how.apply(image, &mut out, 1, epoch, 0);
        let found = identify(image, &out, 2, &[-0.5, -0.75]);
        assert_eq!(found.len(), 1, "epoch {epoch}: {found:?}");
        seen.extend(found);
    }
    // 50 outcomes; the chance that 600 draws miss any of them is below 50 · 0.98^600 = 3e-4, and the seed is fixed.
    assert_eq!(seen.len(), 50);
}

#[test]
fn padding_and_flip_can_be_switched_off() {
    let set = images(3);
    let still = CropFlip::new(&set, 0, false).unwrap();
    let augment = Augment { how: &still, seed: 3, epoch: 4 };
    assert_eq!(
        Batch::gather(&set, &[2, 0], Some(augment)).unwrap(),
        Batch::gather(&set, &[2, 0], None).unwrap()
    );
}

#[test]
fn a_sample_looks_the_same_wherever_it_stands_in_a_batch() {
    let set = images(7);
    let how = CropFlip::new(&set, 2, true).unwrap();
    let augment = Augment { how: &how, seed: 5, epoch: 9 };
    let size = 2 * H * W;
    let all = Batch::gather(&set, &[0, 1, 2, 3, 4, 5, 6], Some(augment)).unwrap();
    let mixed = Batch::gather(&set, &[6, 3, 3], Some(augment)).unwrap();
    assert_eq!(mixed.targets, Targets::Classes { labels: vec![6, 3, 3], classes: 7 });
    assert_eq!(mixed.inputs[0][..size], all.inputs[0][6 * size..]);
    assert_eq!(mixed.inputs[0][size..2 * size], all.inputs[0][3 * size..4 * size]);
    let next = Augment { epoch: 10, ..augment };
    assert_ne!(Batch::gather(&set, &[0, 1, 2, 3, 4, 5, 6], Some(next)).unwrap(), all);
}

#[test]
fn wrong_use_is_an_error() {
    let set = images(2);
    assert!(Batch::gather(&set, &[], None).is_err());
    assert!(Batch::gather(&set, &[0, 2], None).is_err());
    assert!(CropFlip::new(&set, W + 1, true).is_err());
    let flat = InputTensor {
        name: "x".into(),
        shape_per_sample: vec![4],
        values: vec![0.0; 8].into(),
        integer: false,
    };
    let flat = Dataset::new(vec![flat], Targets::None, Normalization::none(), "flat").unwrap();
    assert!(CropFlip::new(&flat, 1, true).is_err());
    let how = CropFlip::new(&set, 1, true).unwrap();
    assert!(Batch::gather(&flat, &[0], Some(Augment { how: &how, seed: 0, epoch: 0 })).is_err());
}

#[test]
fn an_epoch_visits_every_sample_once() {
    let set = images(7);
    let order = epoch_order(set.samples(), 1, 2);
    let labels: Vec<u32> = order
        .chunks(3)
        .flat_map(|indices| match Batch::gather(&set, indices, None).unwrap().targets {
            Targets::Classes { labels, .. } => labels,
            other => panic!("{other:?}"),
        })
        .collect();
    let mut sorted = labels.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [0, 1, 2, 3, 4, 5, 6]);
    assert_ne!(labels, sorted);
}
