//! The pages again, from saved results; computes nothing.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{CompareResults, PathResults, TrajectoryResults};
use super::{compare_page, path_page, trajectory_page};
use crate::analysis::{AnalysisError, FolderError};

/// Writes the page of `compare/`, `path-A-B/` or `trajectory/` again; `None` if the folder holds no results of these verbs.
///
/// # Errors
/// Results or figures that cannot be read, or are damaged; a page that cannot be written.
pub fn rebuild_report(dir: &Path) -> Result<Option<PathBuf>, AnalysisError> {
    let path = dir.join("results.json");
    let bytes = match std::fs::read(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|reason| FolderError::Io { path: path.clone(), reason })?,
    };
    let value: Value = parsed(&bytes, &path)?;
    match value["verb"].as_str() {
        Some("compare") => compare_page::rebuild(&parsed::<CompareResults>(&bytes, &path)?, dir)?,
        Some("path") => path_page::save(&parsed::<PathResults>(&bytes, &path)?, dir)?,
        Some("trajectory") => trajectory_page::save(&parsed::<TrajectoryResults>(&bytes, &path)?, dir)?,
        _ => return Ok(None),
    }
    Ok(Some(dir.join("report.html")))
}

fn parsed<T: DeserializeOwned>(bytes: &[u8], path: &Path) -> Result<T, FolderError> {
    serde_json::from_slice(bytes)
        .map_err(|e| FolderError::Damaged { path: path.into(), problem: e.to_string() })
}
