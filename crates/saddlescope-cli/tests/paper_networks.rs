//! Figures 5 and 7 of `saddlescope paper` from the outside, on an untrained ResNet-56 and made-up images, so that no file is
//! needed.

mod common;

use std::path::Path;

use common::{assert_same, refused, succeed};
use saddlescope::data::weights::TensorMap;
use saddlescope::{data::weights::TensorData, nn::zoo};
use serde_json::Value;

/// Initial weights, with quiet residual branches: without normalisation by the batch the losses would otherwise be huge.
fn write_weights(path: &Path) {
    let network = zoo::by_name("resnet56-b").unwrap();
    let tensors = network.to_tensors(&network.initialise(3)).unwrap();
    let mut quiet = TensorMap::new();
    for (name, tensor) in tensors.iter() {
        let scale = if name.ends_with("bn2.weight") { 0.2 } else { 1.0 };
        let data = match &tensor.data {
            TensorData::I64(v) => TensorData::I64(v.clone()),
            floats => TensorData::F32(floats.to_f32().iter().map(|x| scale * x).collect()),
        };
        quiet.insert(name, tensor.shape.clone(), data).unwrap();
    }
    quiet.write(path).unwrap();
}

/// Sixteen images of stripes in each split, as CIFAR-10's binary files.
fn write_images(dir: &Path) {
    for (file, phase) in [("data_batch_1.bin", 0), ("test_batch.bin", 7)] {
        let mut bytes = Vec::new();
        for image in 0..16_usize {
            bytes.push((image % 10) as u8);
            bytes.extend((0..3072).map(|pixel| ((pixel * (image + 3) / 5 + phase) % 256) as u8));
        }
        std::fs::write(dir.join(file), bytes).unwrap();
    }
}

fn figure(dir: &Path, number: u8) -> Value {
    serde_json::from_slice(&std::fs::read(dir.join(format!("figure-{number}.json"))).unwrap()).unwrap()
}

/// The losses of every panel of a figure.
fn grids(figure: &Value) -> Vec<Vec<f64>> {
    let mut grids = Vec::new();
    for panel in figure["panels"].as_array().unwrap() {
        let z = panel.pointer("/kind/grid/z").unwrap_or_else(|| panic!("no grid in {panel}"));
        grids.push(z.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect());
    }
    grids
}

#[test]
fn figures_5_and_7_of_a_network_and_a_run_that_continues() {
    let temp = tempfile::tempdir().unwrap();
    let at = |name: &str| temp.path().join(name).display().to_string();
    write_weights(&temp.path().join("weights.safetensors"));
    write_images(temp.path());
    let (weights, data) = (at("weights.safetensors"), format!("cifar10:{}", temp.path().display()));
    let run = |out: &str, figures: &[&str]| {
        let mut all = vec!["paper", "--weights", &weights, "--data", &data, "--samples", "0..8"];
        all.extend(["--grid", "3", "--threads", "2", "--out", out]);
        all.extend(figures);
        succeed(&all)
    };
    let both = ["--figure", "5", "--figure", "7"];
    let text = run(&at("whole"), &both);
    assert!(text.contains("printed -16.4") && text.contains("printed 5007.9"), "{text}");
    let whole = temp.path().join("whole");
    for number in [5, 7] {
        for kind in ["png", "svg", "npz"] {
            assert!(whole.join(format!("figure-{number}.{kind}")).is_file(), "figure {number}, {kind}");
        }
    }
    // The trained point is the centre of every plane, so both figures show the same loss there, and it is neither the
    // same everywhere nor the same on the test split (panels alternate between train and test in Figure 7).
    let (five, seven) = (grids(&figure(&whole, 5)), grids(&figure(&whole, 7)));
    assert_eq!((five.len(), seven.len()), (4, 4));
    let here = five[0][4];
    for grid in five.iter().chain([&seven[0], &seven[2]]) {
        assert_eq!(grid.len(), 9);
        assert_eq!(grid[4], here);
        assert!(grid.iter().any(|x| *x != here));
    }
    assert!(seven[1][4] == seven[3][4] && seven[1][4] != here);

    // One figure after the other in one folder: what the first computed is used, and the bytes are the same.
    run(&at("steps"), &["--figure", "5"]);
    run(&at("steps"), &both);
    assert_same(&temp.path().join("steps/networks"), &whole.join("networks"));
    assert_eq!(figure(&temp.path().join("steps"), 7), figure(&whole, 7));

    let complaint =
        refused(&["paper", "--figure", "6", "--weights", &weights, "--data", &data, "--out", &at("no")]);
    assert!(complaint.contains("none of --weights is of DenseNet-121"), "{complaint}");
    assert!(!temp.path().join("no").exists());
}
