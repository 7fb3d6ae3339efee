//! The paper's figures and table on disk.

use super::{FigureResult, NumberTable};
use saddlescope_figure::page::{Report, write_html};
use saddlescope_figure::{FigureError, Saved, save_all, write_atomic};
use std::fs;
use std::path::{Path, PathBuf};

/// A folder that figures are written into, each as soon as it is finished and whole at any moment.
#[derive(Clone, Debug)]
pub struct PaperOutput {
    dir: PathBuf,
}

impl PaperOutput {
    /// Makes the folder if it does not exist and sees that files can be written there, before anything is computed.
    ///
    /// # Errors
    /// The folder cannot be made or written to.
    pub fn create(dir: &Path) -> Result<Self, FigureError> {
        let failed = |reason| FigureError::Write { path: dir.to_owned(), reason };
        fs::create_dir_all(dir).map_err(failed)?;
        tempfile::Builder::new().prefix(".partial-").tempfile_in(dir).map_err(failed)?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Writes one figure as JSON, npz, SVG and PNG.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn figure(&self, result: &FigureResult) -> Result<Saved, FigureError> {
        save_all(&result.figure, &self.dir)
    }

    /// Writes the table as `numbers.md` and `numbers.json` and gives their paths.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn table(&self, table: &NumberTable) -> Result<[PathBuf; 2], FigureError> {
        let [markdown, json] = ["numbers.md", "numbers.json"].map(|name| self.dir.join(name));
        let mut text = serde_json::to_vec_pretty(table)
            .map_err(|reason| FigureError::Encode { what: "the table of numbers".into(), reason })?;
        text.push(b'\n');
        write_atomic(&markdown, table.to_markdown().as_bytes())?;
        write_atomic(&json, &text)?;
        Ok([markdown, json])
    }

    /// Writes `report.html`, one page that works offline, and gives its path.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn report(&self, report: &Report) -> Result<PathBuf, FigureError> {
        let path = self.dir.join("report.html");
        write_html(report, &path)?;
        Ok(path)
    }
}
