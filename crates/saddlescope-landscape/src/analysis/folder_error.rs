//! Why a folder with results cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use saddlescope_figure::FigureError;

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The folder holds results of something else.
    #[error(
        "{dir} holds an analysis of something else: {differences}. Choose another folder, or start over in this one"
    )]
    Changed {
        /// The folder.
        dir: PathBuf,
        /// Names with both values.
        differences: String,
    },
    /// Another command works there.
    #[error("{dir} is in use by another command; wait for it, or choose another folder")]
    Locked {
        /// The folder.
        dir: PathBuf,
    },
    /// Nothing has been computed there.
    #[error("{dir} holds no analysis")]
    Empty {
        /// The folder.
        dir: PathBuf,
    },
    /// Reading or making something failed.
    #[error("{path}: {reason}")]
    Io {
        /// What was read or made.
        path: PathBuf,
        /// Why it failed.
        reason: io::Error,
    },
    /// The folder was made by another version of the program.
    #[error(
        "{dir} was made by {made_by}, whose results this version does not read. Choose another folder, or start over in this one"
    )]
    OtherVersion {
        /// The folder.
        dir: PathBuf,
        /// The version that made it, in words.
        made_by: String,
    },
    /// The command that began there has not written its results yet.
    #[error(
        "{dir} holds stages but no results: the command that began there did not finish. Run it again; it continues where it stopped"
    )]
    Unfinished {
        /// The folder.
        dir: PathBuf,
    },
    /// The folder is of several points.
    #[error("{dir} holds what several points share; their results are in its folders {}", folders.join(", "))]
    SeveralPoints {
        /// The folder.
        dir: PathBuf,
        /// Those in it that have results.
        folders: Vec<String>,
    },
    /// A file of the folder is not what we wrote.
    #[error("{path}: {problem}; {}", advice(path))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Writing failed.
    #[error(transparent)]
    Write(#[from] FigureError),
}

/// What to do about a damaged file.
fn advice(path: &Path) -> String {
    match path.file_name().and_then(|n| n.to_str()) {
        Some("results.json") => "run the command again to write it anew from the kept stages".into(),
        Some("run.json") => {
            "without it nothing says what the folder is of: start over, or choose another folder".into()
        }
        Some(name) => format!("delete the file {name} to compute it again"),
        None => "delete the file to compute it again".into(),
    }
}
