//! `--memory` is an upper bound of the peak resident memory, and too little is refused.
//!
//! Trained weights and images are files beside the repository (`../shared` or SADDLESCOPE_SHARED); without them the test
//! says that it is skipped.
#![cfg(target_os = "linux")]

mod common;

use common::{refused, start};
use saddlescope_test_support::shared_file;

/// Runs a command to its end; the largest resident memory seen, in MiB.
fn peak(arguments: &[&str]) -> u64 {
    let mut child = start(arguments);
    // Read so that the child never waits for us.
    let mut stderr = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut stderr, &mut text).map(|_| text)
    });
    let status = format!("/proc/{}/status", child.id());
    let mut kib = 0;
    let ended = loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let found = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let value = found.and_then(|v| v.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kib = kib.max(value.unwrap_or(0));
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    };
    let text = reader.join().unwrap().unwrap();
    assert!(ended.success(), "{text}");
    kib >> 10
}

#[test]
fn the_peak_stays_below_what_was_allowed_and_too_little_is_refused() {
    let Some(weights) = shared_file("weights/resnet20-option-a.safetensors") else { return };
    let Some(images) = shared_file("data/cifar-10-batches-bin") else { return };
    let temp = tempfile::tempdir().unwrap();
    let weights = weights.display().to_string();
    let data = format!("cifar10:{}", images.display());
    let runs: [(u64, &[&str]); 2] = [
        (250, &["eigs", "--largest", "1", "--smallest", "1", "--tol", "1e-1", "--max-products", "30"]),
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
