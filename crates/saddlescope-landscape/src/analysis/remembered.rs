//! The selection that a folder remembers: what its report shows.

use std::path::Path;

use saddlescope_figure::write_atomic;

use super::error::AnalysisError;
use super::folder_error::FolderError;
use super::selection::Selection;
use super::store::Folder;

const SELECTION: &str = "selection.json";

/// The selection that a folder remembers.
pub(super) fn earlier_selection(folder: &Folder) -> Result<Option<Selection>, AnalysisError> {
    selection_in(folder.dir())
}

/// A selection with the eigenpairs of the one that a folder remembers where those will do.
///
/// # Errors
/// A file that cannot be read.
pub(crate) fn kept_selection(dir: &Path, selection: &Selection) -> Result<Selection, AnalysisError> {
    let earlier = selection_in(dir)?;
    Ok(earlier.map_or_else(|| selection.clone(), |e| selection.with_kept_eigenpairs(&e)))
}

fn selection_in(dir: &Path) -> Result<Option<Selection>, AnalysisError> {
    let path = dir.join(SELECTION);
    match std::fs::read(&path) {
        // A selection written by another version of the program cannot be used, and nothing is lost without it.
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(reason) => Err(FolderError::Io { path, reason }.into()),
    }
}

/// Lets a folder remember a selection.
pub(super) fn save_selection(folder: &Folder, selection: &Selection) -> Result<(), AnalysisError> {
    let path = folder.dir().join(SELECTION);
    let json = serde_json::to_vec_pretty(selection)
        .map_err(|e| FolderError::Damaged { path: path.clone(), problem: e.to_string() })?;
    write_atomic(&path, &json)?;
    Ok(())
}
