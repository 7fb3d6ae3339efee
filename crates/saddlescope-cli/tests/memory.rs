//! `--memory` is an upper bound of the peak resident memory, and too little is refused.
//!
//! Trained weights and images are files beside the repository (`../shared` or SADDLESCOPE_SHARED); without them the test
//! says that it is skipped.
#![cfg(target_os = "linux")]

mod common;

use common::{peak, refused};
use saddlescope_test_support::shared_file;

#[test]
fn the_peak_stays_below_what_was_allowed_and_too_little_is_refused() {
    let Some(weights) = shared_file("weights/resnet20-option-a.safetensors") else { return };
    let Some(images) = shared_file("data/cifar-10-batches-bin") else { return };
    let temp = tempfile::tempdir().unwrap();
    let weights = weights.display().to_string();
    let data = format!("cifar10:{}", images.display());
    let runs: [(u64, &[&str]); 2] = [
        (260, &["eigs", "--largest", "1", "--smallest", "1", "--tol", "1e-1", "--max-products", "30"]),
        (400, &["density", "--probes", "2", "--steps", "8"]),
    ];
    for (allowed, verb) in runs {
        let out = temp.path().join(allowed.to_string()).display().to_string();
        let memory = allowed.to_string();
        let mut all = verb.to_vec();
        all.extend(["--model", "resnet20-a", "--weights", &weights, "--data", &data, "--split", "test"]);
        all.extend(["--samples", "0..16", "--threads", "2", "--memory", &memory, "--out", &out]);
        let found = peak(&all);
        assert!(found > 20, "{found} MiB: nothing was measured");
        assert!(found <= allowed, "{found} MiB where {allowed} were allowed");
    }
    let out = temp.path().join("refused");
    let text = refused(&[
        "eigs",
        "--model",
        "resnet20-a",
        "--weights",
        &weights,
        "--data",
        &data,
        "--split",
        "test",
        "--samples",
        "0..32",
        "--memory",
        "40",
        "--out",
        out.to_str().unwrap(),
    ]);
    assert!(text.contains("40 MiB are allowed") && text.contains("--memory"), "{text}");
    assert!(!out.exists(), "nothing is written");
}
