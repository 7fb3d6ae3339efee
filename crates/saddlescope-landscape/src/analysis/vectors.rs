//! Vectors that belong to a kept result: a safetensors file with a checksum of its own.

use std::path::Path;

use saddlescope_data::weights::{TensorData, TensorMap};
use sha2::{Digest, Sha256};

use super::error::AnalysisError;
use super::folder_error::FolderError;
use super::store::Slot;

const ENDING: &str = "safetensors";
const CHECKSUM: &str = "sha256";

/// Keeps vectors that belong to a result.
///
/// # Errors
/// If they cannot be written.
pub(crate) fn save(slot: &Slot, mut tensors: TensorMap) -> Result<(), AnalysisError> {
    tensors.insert(CHECKSUM, vec![4], TensorData::I64(checksum(&tensors)))?;
    Ok(tensors.write(&slot.file(ENDING))?)
}

/// The vectors that belong to a result.
///
/// # Errors
/// If the file is missing or damaged: the error names the result, which must be computed again.
pub(crate) fn load(slot: &Slot) -> Result<TensorMap, FolderError> {
    read(&slot.file(ENDING))
}

/// One vector of a result by name.
///
/// # Errors
/// As [`load`]; also if there is none of that name.
pub(crate) fn vector(tensors: &TensorMap, slot: &Slot, name: &str) -> Result<Vec<f64>, FolderError> {
    tensors.get(name).map(|t| t.data.to_f64()).ok_or_else(|| FolderError::Damaged {
        path: slot.file("msgpack"),
        problem: format!("the vector `{name}` that belongs to it is missing"),
    })
}

/// [`load`] of a file.
///
/// # Errors
/// As there.
pub(crate) fn read(path: &Path) -> Result<TensorMap, FolderError> {
    let result = path.with_extension("msgpack");
    let damaged = |problem: String| FolderError::Damaged { path: result.clone(), problem };
    let tensors = TensorMap::read(path).map_err(|e| damaged(format!("its vectors cannot be read ({e})")))?;
    match tensors.get(CHECKSUM).map(|t| &t.data) {
        Some(TensorData::I64(sum)) if *sum == checksum(&tensors) => Ok(tensors),
        _ => Err(damaged(format!("the checksum of its vectors, {}, does not fit", path.display()))),
    }
}

/// SHA-256 over names, shapes and values of all tensors but the checksum itself, as four integers.
fn checksum(tensors: &TensorMap) -> Vec<i64> {
    let mut hash = Sha256::new();
    for (name, tensor) in tensors.iter().filter(|(name, _)| *name != CHECKSUM) {
        hash.update(name.as_bytes());
        hash.update(format!("{:?}", tensor.shape).as_bytes());
        tensor.data.to_f64().iter().for_each(|x| hash.update(x.to_le_bytes()));
    }
    let digest = hash.finalize();
    let (words, _) = digest.as_slice().as_chunks::<8>();
    words.iter().map(|word| i64::from_le_bytes(*word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::store::{Dependencies, Folder};

    #[test]
    fn flipped_bits_and_missing_files_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path(), &Dependencies::new()).unwrap();
        let slot = folder.slot("stage", Dependencies::new());
        let mut tensors = TensorMap::new();
        tensors.insert("v", vec![2], TensorData::F64(vec![0.5, -0.25])).unwrap();
        save(&slot, tensors).unwrap();
        let path = slot.file(ENDING);
        let bytes = std::fs::read(&path).unwrap();
        let mut noticed = 0;
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            std::fs::write(&path, &flipped).unwrap();
            match load(&slot) {
                // White space of the header changes nothing.
                Ok(found) => assert_eq!(found.get("v").unwrap().data.to_f64(), [0.5, -0.25], "byte {at}"),
                Err(_) => noticed += 1,
            }
        }
        assert!(noticed >= 48, "the values and the checksum alone have 48 bytes; {noticed} were noticed");
        std::fs::write(&path, &bytes).unwrap();
        assert!(load(&slot).is_ok());
        std::fs::remove_file(&path).unwrap();
        let error = load(&slot).unwrap_err().to_string();
        assert!(error.contains(".msgpack") && error.contains("delete the file"), "{error}");
    }
}
