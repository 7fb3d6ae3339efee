//! What the verbs on several points write: results, figures and a page.

use std::collections::BTreeMap;
use std::path::Path;

use saddlescope_figure::page::{Report, write_html};
use saddlescope_figure::{Figure, save_all, write_atomic};
use serde::Serialize;
use serde_json::Value;

use crate::analysis::{AnalysisError, FolderError};

/// Writes `results.json`.
pub(crate) fn save_results<T: Serialize>(results: &T, dir: &Path) -> Result<(), AnalysisError> {
    make(dir)?;
    let path = dir.join("results.json");
    let mut json = serde_json::to_vec_pretty(results)
        .map_err(|e| FolderError::Damaged { path: path.clone(), problem: e.to_string() })?;
    json.push(b'\n');
    Ok(write_atomic(&path, &json)?)
}

/// Writes every figure: data and pictures.
pub(crate) fn save_figures(figures: &[Figure], dir: &Path) -> Result<(), AnalysisError> {
    let dir = dir.join("figures");
    make(&dir)?;
    for figure in figures {
        save_all(figure, &dir)?;
    }
    Ok(())
}

/// Writes `report.html`.
pub(crate) fn save_report(report: &Report, dir: &Path) -> Result<(), AnalysisError> {
    make(dir)?;
    Ok(write_html(report, &dir.join("report.html"))?)
}

/// Names and values as text.
pub(crate) fn provenance_rows(map: &BTreeMap<String, Value>) -> Vec<(String, String)> {
    map.iter().map(|(k, v)| (k.clone(), v.as_str().map_or_else(|| v.to_string(), str::to_string))).collect()
}

fn make(dir: &Path) -> Result<(), AnalysisError> {
    std::fs::create_dir_all(dir).map_err(|reason| FolderError::Io { path: dir.into(), reason }.into())
}
