//! Large files that tests use when they are there: real images and trained weights, which are not part of the repository.

use std::path::{Path, PathBuf};

/// A file or folder below the one named by `SADDLESCOPE_SHARED`, or else below `../shared` beside the workspace.
///
/// Where it is absent this prints `skipped: …`, and the test should return.
#[allow(clippy::print_stderr)] // the only way for a test to say that it did nothing
pub fn shared_file(name: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("SADDLESCOPE_SHARED") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {name} is not there (looked in {}; set SADDLESCOPE_SHARED)", root.display());
    None
}
