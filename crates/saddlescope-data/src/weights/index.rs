//! Weights spread over several safetensors files with an index, and names that a header repeats.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Component, Path};

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{TensorMap, WeightsError};

/// Largest index that is read.
const MAX_INDEX_BYTES: u64 = 1 << 26;

/// The part of an index that counts.
#[derive(Deserialize)]
struct Index {
    /// The file of every tensor.
    weight_map: BTreeMap<String, String>,
}

/// Reads all files that an index names; every tensor must be where the index says, and none elsewhere.
pub(super) fn read(path: &Path) -> Result<TensorMap, WeightsError> {
    let file = path.display().to_string();
    let io = |reason| WeightsError::Io { file: file.clone(), action: "cannot read", reason };
    let wrong = |reason: String| WeightsError::Format { file: file.clone(), reason };
    let len = std::fs::metadata(path).map_err(io)?.len();
    if len > MAX_INDEX_BYTES {
        return Err(wrong(format!("an index of {len} bytes; at most {MAX_INDEX_BYTES} are read")));
    }
    let bytes = std::fs::read(path).map_err(io)?;
    let index: Index =
        serde_json::from_slice(&bytes).map_err(|e| wrong(format!("it is no index of weights: {e}")))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut all = TensorMap::new();
    for name in index.weight_map.values().collect::<BTreeSet<_>>() {
        let mut parts = Path::new(name).components();
        if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
            return Err(wrong(format!("it names {name:?}, expected a file in its own folder")));
        }
        let part = TensorMap::read(&folder.join(name)).map_err(|e| match e {
            WeightsError::Io { action, reason, .. } => {
                WeightsError::Io { file: format!("{file}: its file {name:?}"), action, reason }
            }
            other => other,
        })?;
        for (tensor, stored) in part.iter() {
            if index.weight_map.get(tensor) != Some(name) {
                return Err(wrong(format!(
                    "{name:?} has a tensor {tensor:?} that the index does not name there"
                )));
            }
            all.insert(tensor.to_string(), stored.shape.clone(), stored.data.clone())?;
        }
    }
    match index.weight_map.iter().find(|(tensor, _)| all.get(tensor).is_none()) {
        Some((tensor, name)) => Err(wrong(format!("{name:?} has no tensor {tensor:?}"))),
        None => Ok(all),
    }
}

/// A name that the header of a safetensors file has twice. Readers of JSON keep the last of them, silently.
pub(crate) fn repeated_key(header: &[u8]) -> Option<String> {
    let keys: Keys = serde_json::from_slice(header).ok()?;
    let mut seen = BTreeSet::new();
    keys.0.into_iter().find(|key| !seen.insert(key.clone()))
}

/// All keys of an object, in order.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, _)) = map.next_entry::<String, IgnoredAny>()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::TensorData;

    fn file_with_header(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(vec![0; data]);
        bytes
    }

    #[test]
    fn a_name_that_stands_twice_is_an_error() {
        let entry = |from: usize| {
            format!(r#""w":{{"dtype":"F32","shape":[1],"data_offsets":[{from},{}]}}"#, from + 4)
        };
        let twice = file_with_header(&format!("{{{},{}}}", entry(0), entry(0)), 4);
        assert_eq!(repeated_key(&twice[8..twice.len() - 4]).as_deref(), Some("w"));
        assert!(TensorMap::parse(&twice).unwrap_err().to_string().contains("two tensors are called"));
        assert!(TensorMap::parse(&file_with_header(&format!("{{{}}}", entry(0)), 4)).is_ok());
    }

    #[test]
    fn an_index_joins_its_files_and_must_agree_with_them() {
        let folder = tempfile::tempdir().unwrap();
        let put = |file: &str, names: &[&str]| {
            let mut map = TensorMap::new();
            for name in names {
                map.insert(name.to_string(), vec![2], TensorData::F32(vec![1.0, 2.0])).unwrap();
            }
            map.write(&folder.path().join(file)).unwrap();
        };
        put("a.safetensors", &["one", "two"]);
        put("b.safetensors", &["three"]);
        let index = folder.path().join("model.safetensors.index.json");
        let read = |text: &str| {
            std::fs::write(&index, text).unwrap();
            TensorMap::read(&index)
        };
        let map = r#"{"metadata": {}, "weight_map": {"one": "a.safetensors", "two": "a.safetensors", "three": "b.safetensors"}}"#;
        let all = read(map).unwrap();
        assert_eq!(all.iter().map(|(n, _)| n).collect::<Vec<_>>(), ["one", "two", "three"]);
        for (text, said) in [
            (r#"{"weight_map": {"one": "a.safetensors"}}"#, "does not name there"),
            (r#"{"weight_map": {"three": "b.safetensors", "four": "b.safetensors"}}"#, "no tensor"),
            (r#"{"weight_map": {"one": "../a.safetensors"}}"#, "in its own folder"),
            (
                r#"{"weight_map": {"five": "c.safetensors"}}"#,
                "index.json: its file \"c.safetensors\": cannot read",
            ),
            (r#"{}"#, "no index"),
        ] {
            let e = read(text).unwrap_err().to_string();
            assert!(e.contains(said), "{e}");
        }
    }

    #[test]
    fn pytorchs_own_files_are_told_how_to_convert() {
        let e = TensorMap::parse(b"PK\x03\x04rest").unwrap_err().to_string();
        assert!(e.contains("save_file"), "{e}");
    }
}
