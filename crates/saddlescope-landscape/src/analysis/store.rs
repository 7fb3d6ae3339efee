//! The folder of an analysis: it remembers every finished stage under a key of exactly what the result depends on.
//!
//! ```text
//! DIR/run.json                 the subject: model, weights, data, number type. Another subject is refused.
//! DIR/lock                     held while a command works in the folder
//! DIR/kept/STAGE-KEY.msgpack   a kept result with what it was made from: a checksum, then MessagePack (NaN and infinities survive)
//! DIR/kept/STAGE-KEY.*         what belongs to it: vectors, or the state of a stage in flight
//! DIR/results.json, report.html, figures/, …
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use saddlescope_figure::write_atomic;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::folder_error::FolderError;
use crate::weights_hash::hex;

/// What something depends on, by name.
pub type Dependencies = BTreeMap<String, Value>;

/// Layout of the folder: results of another layout are not read.
const FOLDER_FORMAT: u32 = 3;
const FORMAT: &str = "folder.format";
/// What names of files that are still being written begin with.
const TORN: [&str; 2] = [".partial-", ".saddlescope-"];
/// Folders beside `kept` that only whoever holds the lock writes into.
const OWN: [&str; 3] = ["figures", "arrays", "surfaces"];
/// An unfinished file of weights beside the lock may be that of another command (`train --out DIR/…`), which writes it in one go: it
/// counts as left behind when nothing was written to it for this long.
const ABANDONED: Duration = Duration::from_secs(60);

/// The folder of an analysis.
#[derive(Debug)]
pub struct Folder {
    dir: PathBuf,
    resumed: bool,
    /// Held until the folder is dropped.
    _lock: File,
}

/// How far a stage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Finished.
    Complete,
    /// A beginning that a later run continues.
    Partial,
}

/// What a stage cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Products with a curvature matrix.
    pub products: usize,
    /// Evaluations of the loss.
    pub evaluations: usize,
}

/// A kept result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record<T> {
    /// Name of the stage.
    pub stage: String,
    /// What the result depends on.
    pub of: Dependencies,
    /// How far it is.
    pub state: State,
    /// What it cost.
    pub spent: Spent,
    /// The result.
    pub result: T,
}

/// A place for one result in a folder.
#[derive(Clone, Debug)]
pub struct Slot {
    kept: PathBuf,
    stage: String,
    key: String,
    of: Dependencies,
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> FolderError + '_ {
    move |reason| FolderError::Io { path: path.into(), reason }
}

/// The key of dependencies: the first 16 hexadecimal digits of the SHA-256 of their canonical JSON.
pub fn key(of: &Dependencies) -> String {
    // A map of JSON values always serialises; `BTreeMap` sorts its keys.
    let json = serde_json::to_vec(of).unwrap_or_default();
    hex(&Sha256::digest(&json))[..16].to_string()
}

impl Folder {
    /// Makes the folder, or opens it to go on with results of the same identity, and locks it.
    ///
    /// # Errors
    /// A folder that cannot be written, that another command uses, or that holds results of something else.
    pub fn open(dir: &Path, identity: &Dependencies) -> Result<Self, FolderError> {
        let kept = dir.join("kept");
        fs::create_dir_all(&kept).map_err(io_error(&kept))?;
        let lock = lock(dir)?;
        remove_torn(&kept, Duration::ZERO)?;
        for own in OWN {
            remove_torn(&dir.join(own), Duration::ZERO)?;
        }
        remove_torn(dir, ABANDONED)?;
        let path = dir.join("run.json");
        let mut identity = identity.clone();
        identity.insert(FORMAT.into(), FOLDER_FORMAT.into());
        let resumed = match fs::read(&path) {
            Ok(bytes) => {
                let before: Dependencies = serde_json::from_slice(&bytes)
                    .map_err(|e| FolderError::Damaged { path: path.clone(), problem: e.to_string() })?;
                if before.get(FORMAT) != identity.get(FORMAT) {
                    return Err(FolderError::OtherVersion { dir: dir.into(), made_by: made_by(&before) });
                }
                let differences = differences(&before, &identity);
                if !differences.is_empty() {
                    return Err(FolderError::Changed { dir: dir.into(), differences });
                }
                // A command that only looked what is to do has left nothing to go on with.
                fs::read_dir(dir.join("kept")).is_ok_and(|mut kept| kept.next().is_some())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut json = serde_json::to_vec_pretty(&identity)
                    .map_err(|e| FolderError::Damaged { path: path.clone(), problem: e.to_string() })?;
                json.push(b'\n');
                write_atomic(&path, &json)?;
                false
            }
            Err(reason) => return Err(FolderError::Io { path, reason }),
        };
        Ok(Self { dir: dir.into(), resumed, _lock: lock })
    }

    /// Deletes what earlier runs kept in a folder, whatever it was of; files that are not ours stay.
    ///
    /// # Errors
    /// A folder that another command uses, or that cannot be written.
    pub fn start_over(dir: &Path) -> Result<(), FolderError> {
        if !dir.join("run.json").exists() && !dir.join("kept").exists() {
            return Ok(());
        }
        let _lock = lock(dir)?;
        for name in ["kept", "figures", "arrays", "surfaces"] {
            let path = dir.join(name);
            match fs::remove_dir_all(&path) {
                Err(reason) if reason.kind() != io::ErrorKind::NotFound => {
                    return Err(FolderError::Io { path, reason });
                }
                _ => {}
            }
        }
        // The identity goes last: a kill in between leaves nothing that could be taken for results of another subject.
        for name in ["selection.json", "results.json", "report.html", "directions.safetensors", "run.json"] {
            remove(&dir.join(name))?;
        }
        Ok(())
    }

    /// Deletes the unfinished files that a kill left behind in a folder below this one that is written under the same lock.
    ///
    /// # Errors
    /// A folder that cannot be read or written.
    pub(crate) fn clear(&self, below: &Path) -> Result<(), FolderError> {
        remove_torn(&self.dir.join(below), Duration::ZERO)
    }

    /// The folder itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether an earlier run began here.
    pub fn resumed(&self) -> bool {
        self.resumed
    }

    /// The place of a stage's result.
    pub fn slot(&self, stage: &str, of: Dependencies) -> Slot {
        Slot { kept: self.dir.join("kept"), stage: stage.into(), key: key(&of), of }
    }

    /// Every result that is kept in a folder, without the results themselves, in the order of the file names.
    ///
    /// # Errors
    /// No analysis there, or a file that is not ours.
    pub fn records(dir: &Path) -> Result<Vec<(String, Record<serde::de::IgnoredAny>)>, FolderError> {
        if !dir.join("run.json").exists() {
            return Err(FolderError::Empty { dir: dir.into() });
        }
        let kept = dir.join("kept");
        let mut paths: Vec<PathBuf> = fs::read_dir(&kept)
            .map_err(io_error(&kept))?
            .map(|entry| entry.map(|e| e.path()))
            .collect::<Result<_, _>>()
            .map_err(io_error(&kept))?;
        paths.retain(|p| p.extension().is_some_and(|e| e == "msgpack"));
        paths.sort();
        let record = |path: PathBuf| {
            let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            Ok((name, read::<serde::de::IgnoredAny>(&path)?))
        };
        paths.into_iter().map(record).collect()
    }

    /// The identity that the results of a folder are of.
    ///
    /// # Errors
    /// No analysis there.
    pub fn identity(dir: &Path) -> Result<Dependencies, FolderError> {
        let path = dir.join("run.json");
        let bytes = match fs::read(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(FolderError::Empty { dir: dir.into() });
            }
            other => other.map_err(io_error(&path))?,
        };
        serde_json::from_slice(&bytes).map_err(|e| FolderError::Damaged { path, problem: e.to_string() })
    }
}

impl Slot {
    /// The key: stages that use this result depend on it.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Name of the stage, and the key.
    pub fn name(&self) -> (&str, &str) {
        (&self.stage, &self.key)
    }

    /// What the result depends on.
    pub fn of(&self) -> &Dependencies {
        &self.of
    }

    /// A file that belongs to the result.
    pub fn file(&self, ending: &str) -> PathBuf {
        self.kept.join(format!("{}-{}.{ending}", self.stage, self.key))
    }

    /// Whether any file belongs to the result.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn has_files(&self) -> Result<bool, FolderError> {
        let prefix = format!("{}-{}.", self.stage, self.key);
        for entry in fs::read_dir(&self.kept).map_err(io_error(&self.kept))? {
            let entry = entry.map_err(io_error(&self.kept))?;
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The kept result, if there is one.
    ///
    /// # Errors
    /// If the file is there but damaged.
    pub fn load<T: DeserializeOwned>(&self) -> Result<Option<Record<T>>, FolderError> {
        let path = self.file("msgpack");
        match path.exists() {
            true => read(&path).map(Some),
            false => Ok(None),
        }
    }

    /// How far the result is, if there is one.
    ///
    /// # Errors
    /// If the file is there but damaged.
    pub fn state(&self) -> Result<Option<(State, Spent)>, FolderError> {
        Ok(self.load::<serde::de::IgnoredAny>()?.map(|r| (r.state, r.spent)))
    }

    /// Keeps a result.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save<T: Serialize>(&self, state: State, spent: Spent, result: &T) -> Result<(), FolderError> {
        let path = self.file("msgpack");
        let record = Record { stage: self.stage.clone(), of: self.of.clone(), state, spent, result };
        let packed = rmp_serde::to_vec_named(&record)
            .map_err(|e| FolderError::Damaged { path: path.clone(), problem: e.to_string() })?;
        let mut bytes = Sha256::digest(&packed).to_vec();
        bytes.extend(packed);
        Ok(write_atomic(&path, &bytes)?)
    }

    /// Deletes a file of the result that is no longer needed; one that is not there is fine.
    ///
    /// # Errors
    /// If it is there and cannot be deleted.
    pub fn remove(&self, ending: &str) -> Result<(), FolderError> {
        remove(&self.file(ending))
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Record<T>, FolderError> {
    let damaged = |problem: String| FolderError::Damaged { path: path.into(), problem };
    let bytes = fs::read(path).map_err(io_error(path))?;
    let Some((sum, packed)) = bytes.split_first_chunk::<32>() else {
        return Err(damaged(format!("{} bytes; expected a checksum of 32 bytes and a result", bytes.len())));
    };
    if Sha256::digest(packed)[..] != sum[..] {
        return Err(damaged("the checksum does not fit the content".into()));
    }
    rmp_serde::from_slice(packed).map_err(|e| damaged(e.to_string()))
}

/// Deletes the unfinished files that a kill left behind in a folder, if there is one, and that nothing was written to for this long.
fn remove_torn(folder: &Path, idle: Duration) -> Result<(), FolderError> {
    let entries = match fs::read_dir(folder) {
        Err(reason) if reason.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(io_error(folder))?,
    };
    for entry in entries {
        let entry = entry.map_err(io_error(folder))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !TORN.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        // A file that has gone meanwhile, or was written in the future, is not ours to judge.
        let age = entry.metadata().and_then(|m| m.modified()).ok().and_then(|at| at.elapsed().ok());
        let file = entry.file_type().is_ok_and(|t| t.is_file());
        if file && (idle.is_zero() || age.is_some_and(|age| age >= idle)) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn made_by(before: &Dependencies) -> String {
    match before.get("engine").and_then(Value::as_str) {
        Some(version) => format!("another build of the program ({version})"),
        None => "another version of the program".into(),
    }
}

fn remove(path: &Path) -> Result<(), FolderError> {
    match fs::remove_file(path) {
        Err(reason) if reason.kind() != io::ErrorKind::NotFound => {
            Err(FolderError::Io { path: path.into(), reason })
        }
        _ => Ok(()),
    }
}

/// The operating system gives the lock back when the process ends, however it ends.
fn lock(dir: &Path) -> Result<File, FolderError> {
    let path = dir.join("lock");
    let file =
        File::options().create(true).truncate(false).write(true).open(&path).map_err(io_error(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(FolderError::Locked { dir: dir.into() }),
        Err(TryLockError::Error(reason)) => Err(FolderError::Io { path, reason }),
    }
}

/// What differs, in words.
pub(crate) fn differences(before: &Dependencies, now: &Dependencies) -> String {
    let absent = Value::Null;
    let names: std::collections::BTreeSet<&String> =
        before.keys().chain(now.keys()).filter(|name| *name != FORMAT).collect();
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

    fn identity(seed: u64) -> Dependencies {
        [("seed".to_string(), Value::from(seed)), ("model".to_string(), Value::from("net"))].into()
    }

    #[test]
    fn goes_on_with_the_same_subject_and_refuses_another() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path(), &identity(1)).unwrap();
        assert!(!folder.resumed());
        let slot = folder.slot("stage", identity(7));
        assert_eq!(slot.load::<Vec<f64>>().unwrap(), None);
        // NaN and infinities keep their bits.
        let numbers = vec![1.0, f64::NAN, f64::NEG_INFINITY, -0.0];
        slot.save(State::Partial, Spent { products: 3, ..Spent::default() }, &numbers).unwrap();
        drop(folder);
        let again = Folder::open(dir.path(), &identity(1)).unwrap();
        assert!(again.resumed());
        let record = again.slot("stage", identity(7)).load::<Vec<f64>>().unwrap().unwrap();
        let bits = |v: &[f64]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&record.result), bits(&numbers));
        assert_eq!((record.state, record.spent.products), (State::Partial, 3));
        assert_eq!(again.slot("stage", identity(8)).load::<Vec<f64>>().unwrap(), None);
        let records = Folder::records(dir.path()).unwrap();
        assert_eq!((records.len(), &records[0].1.of), (1, &identity(7)));
        drop(again);
        let error = Folder::open(dir.path(), &identity(2)).unwrap_err().to_string();
        assert!(error.contains("seed was 1, now 2"), "{error}");
        Folder::start_over(dir.path()).unwrap();
        assert!(!Folder::open(dir.path(), &identity(2)).unwrap().resumed());
    }

    #[test]
    fn two_commands_in_one_folder_do_not_mix() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Folder::open(dir.path(), &identity(1)).unwrap();
        assert!(matches!(Folder::open(dir.path(), &identity(1)), Err(FolderError::Locked { .. })));
        assert!(matches!(Folder::start_over(dir.path()), Err(FolderError::Locked { .. })));
    }

    #[test]
    fn a_damaged_result_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path(), &identity(1)).unwrap();
        let slot = folder.slot("stage", identity(1));
        fs::write(slot.file("msgpack"), b"[1, 2").unwrap();
        let error = slot.load::<Vec<f64>>().unwrap_err().to_string();
        assert!(error.contains("stage-"), "{error}");
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path(), &identity(1)).unwrap();
        let slot = folder.slot("stage", identity(1));
        slot.save(State::Complete, Spent::default(), &vec![1.0, f64::NAN]).unwrap();
        let path = slot.file("msgpack");
        let bytes = fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&path, &flipped).unwrap();
            assert!(slot.load::<Vec<f64>>().is_err(), "byte {at}");
        }
        fs::write(&path, &bytes[..20]).unwrap();
        assert!(slot.load::<Vec<f64>>().is_err());
    }

    #[test]
    fn a_folder_of_another_version_is_refused_in_one_sentence() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("run.json"), r#"{"option.grid": 25, "engine": "0.0.9"}"#).unwrap();
        let error = Folder::open(dir.path(), &identity(1)).unwrap_err();
        assert!(matches!(error, FolderError::OtherVersion { .. }), "{error}");
    }

    #[test]
    fn what_a_kill_left_unfinished_is_cleared_away() {
        let dir = tempfile::tempdir().unwrap();
        drop(Folder::open(dir.path(), &identity(1)).unwrap());
        let figures = dir.path().join("figures");
        fs::create_dir(&figures).unwrap();
        let torn = [dir.path().join("kept"), figures.clone()].map(|folder| folder.join(".partial-abc"));
        torn.iter().for_each(|path| fs::write(path, b"half").unwrap());
        // In the folder itself another command may be writing: only what is old goes, and never a file of the user's.
        let (fresh, old) = (dir.path().join(".saddlescope-1.tmp"), dir.path().join(".partial-old"));
        let other = figures.join("mine.png");
        for path in [&fresh, &old, &other] {
            fs::write(path, b"half").unwrap();
        }
        let before = std::time::SystemTime::now() - 2 * ABANDONED;
        File::options().write(true).open(&old).unwrap().set_modified(before).unwrap();
        drop(Folder::open(dir.path(), &identity(1)).unwrap());
        assert!(torn.iter().all(|path| !path.exists()));
        assert!(fresh.exists() && other.exists() && !old.exists());
    }
}
