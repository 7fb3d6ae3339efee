//! Bytes as a file, for readers that take a path, and what every data set keeps.
#![allow(dead_code)]

use std::path::PathBuf;
use std::sync::OnceLock;

use saddlescope_data::{Dataset, Targets};
use tempfile::TempDir;

static FOLDER: OnceLock<TempDir> = OnceLock::new();

/// Writes a file of that name into the process's own folder.
pub fn write(name: &str, bytes: &[u8]) -> PathBuf {
    let path = FOLDER.get_or_init(|| TempDir::new().expect("a temporary folder")).path().join(name);
    std::fs::write(&path, bytes).expect("the temporary folder takes files");
    path
}

/// Panics unless shapes, values and labels of a data set that was read agree.
pub fn check(data: &Dataset) {
    for input in data.inputs() {
        assert_eq!(input.values.len(), data.samples() * input.values_per_sample(), "{}", input.name);
    }
    if let Targets::Classes { labels, classes } = data.targets() {
        assert_eq!(labels.len(), data.samples());
        assert!(labels.iter().all(|&l| (l as usize) < *classes));
    }
    assert!(!data.fingerprint().is_empty());
}
