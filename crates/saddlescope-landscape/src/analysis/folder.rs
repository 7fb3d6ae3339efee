//! The folder of one analysis: what is finished is kept, what was asked for is remembered, a changed input is refused.
//!
//! ```text
//! DIR/run.json            what the results depend on
//! DIR/work/STAGE.json     the result of each finished stage
//! DIR/work/…              state of the stage in flight (solver log, grid rows)
//! DIR/results.json, report.html, figures/, …
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use saddlescope_figure::{FigureError, write_atomic};

/// Everything that the results depend on, by name. Threads are not among it.
pub type Identity = BTreeMap<String, Value>;

/// The folder of one analysis.
#[derive(Clone, Debug)]
pub struct RunFolder {
    dir: PathBuf,
    resumed: bool,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The folder holds another analysis.
    #[error(
        "{dir} holds an analysis of something else; what differs: {differences}. \
         Give another --out, or delete that folder to start again"
    )]
    Changed {
        /// The folder.
        dir: PathBuf,
        /// Names with both values.
        differences: String,
    },
    /// Reading or making something failed.
    #[error("{path}: {source}")]
    Io {
        /// What was read or made.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A file of the folder is not what we wrote.
    #[error("{path}: {source}; delete the file to compute it again")]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Writing failed.
    #[error(transparent)]
    Write(#[from] FigureError),
}

impl RunFolder {
    /// Makes the folder, or opens it to continue an analysis of the same identity.
    ///
    /// # Errors
    /// If the folder cannot be written or holds an analysis of something else.
    pub fn open(dir: &Path, identity: &Identity) -> Result<Self, FolderError> {
        let work = dir.join("work");
        fs::create_dir_all(&work).map_err(|source| FolderError::Io { path: work.clone(), source })?;
        let path = dir.join("run.json");
        let resumed = match fs::read(&path) {
            Ok(bytes) => {
                let before: Identity = serde_json::from_slice(&bytes)
                    .map_err(|source| FolderError::Json { path: path.clone(), source })?;
                let differences = differences(&before, identity);
                if !differences.is_empty() {
                    return Err(FolderError::Changed { dir: dir.into(), differences });
                }
                true
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut json = serde_json::to_vec_pretty(identity)
                    .map_err(|source| FolderError::Json { path: path.clone(), source })?;
                json.push(b'\n');
                write_atomic(&path, &json)?;
                false
            }
            Err(source) => return Err(FolderError::Io { path, source }),
        };
        Ok(Self { dir: dir.into(), resumed })
    }

    /// The folder itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether an earlier run began here.
    pub fn resumed(&self) -> bool {
        self.resumed
    }

    /// A file of the work folder.
    pub fn work(&self, name: &str) -> PathBuf {
        self.dir.join("work").join(name)
    }

    /// The result of a finished stage, if there is one.
    ///
    /// # Errors
    /// If the file is there but damaged.
    pub fn load<T: DeserializeOwned>(&self, stage: &str) -> Result<Option<T>, FolderError> {
        let path = self.work(&format!("{stage}.json"));
        match fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map(Some).map_err(|source| FolderError::Json { path, source })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(FolderError::Io { path, source }),
        }
    }

    /// Keeps the result of a stage.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save<T: Serialize>(&self, stage: &str, result: &T) -> Result<(), FolderError> {
        let path = self.work(&format!("{stage}.json"));
        let json =
            serde_json::to_vec(result).map_err(|source| FolderError::Json { path: path.clone(), source })?;
        Ok(write_atomic(&path, &json)?)
    }

    /// Deletes a work file that is no longer needed; one that is not there is fine.
    ///
    /// # Errors
    /// If it is there and cannot be deleted.
    pub fn remove(&self, name: &str) -> Result<(), FolderError> {
        let path = self.work(name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(FolderError::Io { path, source }),
            _ => Ok(()),
        }
    }
}

/// What differs, in words.
fn differences(before: &Identity, now: &Identity) -> String {
    let absent = Value::Null;
    let names: std::collections::BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let different: Vec<String> = names
        .into_iter()
        .filter_map(|name| {
            let (old, new) = (before.get(name).unwrap_or(&absent), now.get(name).unwrap_or(&absent));
            (old != new).then(|| format!("{name} was {old}, now {new}"))
        })
        .collect();
    different.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(seed: u64) -> Identity {
        [("seed".to_string(), Value::from(seed)), ("model".to_string(), Value::from("net"))].into()
    }

    #[test]
    fn continues_the_same_and_refuses_another() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::open(dir.path(), &identity(1)).unwrap();
        assert!(!folder.resumed());
        assert_eq!(folder.load::<Vec<f64>>("stage").unwrap(), None);
        folder.save("stage", &vec![1.0, 2.5]).unwrap();
        let again = RunFolder::open(dir.path(), &identity(1)).unwrap();
        assert!(again.resumed());
        assert_eq!(again.load::<Vec<f64>>("stage").unwrap(), Some(vec![1.0, 2.5]));
        let error = RunFolder::open(dir.path(), &identity(2)).unwrap_err().to_string();
        assert!(error.contains("seed was 1, now 2"), "{error}");
    }

    #[test]
    fn a_damaged_stage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::open(dir.path(), &identity(1)).unwrap();
        fs::write(folder.work("stage.json"), b"[1, 2").unwrap();
        let error = folder.load::<Vec<f64>>("stage").unwrap_err().to_string();
        assert!(error.contains("stage.json"), "{error}");
    }
}
