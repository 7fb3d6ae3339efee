//! What can go wrong when a figure is checked, rendered or written.

use std::path::PathBuf;

/// Why a figure or report could not be checked, rendered, written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FigureError {
    /// The figure's id cannot serve as a file name.
    #[error(
        "figure id {id:?} cannot be a file name: use 1 to 100 of the characters A-Z a-z 0-9 . _ - and do not start with a dot"
    )]
    Id {
        /// The id that was given.
        id: String,
    },
    /// A figure without panels.
    #[error("figure {figure:?} has no panels")]
    NoPanels {
        /// The figure's id.
        figure: String,
    },
    /// Two arrays that belong together differ in length.
    #[error("figure {figure:?}, panel {panel}: {what} has {found} values, expected {expected}")]
    Length {
        /// The figure's id.
        figure: String,
        /// Number of the panel, from 1.
        panel: usize,
        /// Name of the array.
        what: String,
        /// Its length.
        found: usize,
        /// The length it must have.
        expected: usize,
    },
    /// An array holds values that cannot be drawn.
    #[error("figure {figure:?}, panel {panel}: {what} {problem}")]
    Values {
        /// The figure's id.
        figure: String,
        /// Number of the panel, from 1.
        panel: usize,
        /// Name of the array or setting.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file or folder could not be written.
    #[error("cannot write {path:?}: {reason}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// A file could not be read.
    #[error("cannot read {path:?}: {reason}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// A file does not hold a figure in JSON.
    #[error("{path:?} does not hold a figure: {reason}")]
    Json {
        /// The file.
        path: PathBuf,
        /// The parser's reason, with line and column.
        reason: serde_json::Error,
    },
    /// The data could not be put into JSON.
    #[error("cannot put {what} into JSON: {reason}")]
    Encode {
        /// Which figure or report.
        what: String,
        /// The serializer's reason.
        reason: serde_json::Error,
    },
    /// The picture could not be rasterised.
    #[error("cannot rasterise figure {figure:?} at {dpi} dpi: {problem}")]
    Raster {
        /// The figure's id.
        figure: String,
        /// The resolution asked for.
        dpi: f64,
        /// What went wrong.
        problem: String,
    },
}
