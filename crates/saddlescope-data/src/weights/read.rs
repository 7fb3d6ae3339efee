//! Reading safetensors.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::{TensorData, TensorMap, WeightsError};

const IN_MEMORY: &str = "weights in memory";

impl TensorMap {
    /// Reads a safetensors file; tensors come in the order in which the file stores them. A `….index.json` (as large models have)
    /// names several such files in its own folder, which are read in the order of their names.
    ///
    /// F16 and BF16 are widened to `f32`, exactly.
    ///
    /// # Errors
    /// A file that cannot be read or is not valid safetensors (two tensors of one name included); a tensor of another type than F64,
    /// F32, F16, BF16 or I64; an index and files that do not agree.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        let file = path.display().to_string();
        if file.ends_with(".index.json") {
            return super::index::read(path);
        }
        let io = |reason| WeightsError::Io { file: file.clone(), action: "cannot read", reason };
        // A device or pipe might never end.
        if !std::fs::metadata(path).map_err(io)?.is_file() {
            return Err(WeightsError::Format { file, reason: "it is no regular file".into() });
        }
        let bytes = std::fs::read(path).map_err(io)?;
        parse(&bytes, &file)
    }

    /// Reads the bytes of a safetensors file, as [`TensorMap::read`] does.
    ///
    /// # Errors
    /// Bytes that are not valid safetensors; a tensor of an unsupported type.
    pub fn parse(bytes: &[u8]) -> Result<Self, WeightsError> {
        parse(bytes, IN_MEMORY)
    }
}

fn parse(bytes: &[u8], file: &str) -> Result<TensorMap, WeightsError> {
    let format =
        |e: safetensors::SafeTensorError| WeightsError::Format { file: file.into(), reason: e.to_string() };
    // PyTorch's own files are zip archives (or, older, pickles) of pickled objects.
    // (No header of safetensors is as long as these bytes would say.)
    let zip = bytes.starts_with(b"PK\x03\x04") && bytes.get(4..8).is_some_and(|b| b != [0; 4]);
    if zip || bytes.starts_with(&[0x80, 2, 0x8a, 0x0a]) {
        let reason = "it looks like a file of torch.save; convert it: \
                      safetensors.torch.save_file(torch.load(FILE, weights_only=True), \"weights.safetensors\")";
        return Err(WeightsError::Format { file: file.into(), reason: reason.into() });
    }
    // The crate checks that offsets are in order, leave no gaps, match shapes and end with the file.
    let (length, header) = SafeTensors::read_metadata(bytes).map_err(format)?;
    if let Some(name) = super::repeated_key(&bytes[8..8 + length]) {
        let reason = format!("two tensors are called {name:?}");
        return Err(WeightsError::Format { file: file.into(), reason });
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(format)?;
    let mut map = TensorMap::new();
    for name in header.offset_keys() {
        let view = tensors.tensor(&name).map_err(format)?;
        let data = decode(&view).ok_or_else(|| WeightsError::Dtype {
            file: file.into(),
            name: name.clone(),
            found: view.dtype().to_string(),
        })?;
        map.insert(name, view.shape(), data)?;
    }
    map.metadata = header.metadata().clone().unwrap_or_default().into_iter().collect::<BTreeMap<_, _>>();
    Ok(map)
}

fn decode(view: &TensorView<'_>) -> Option<TensorData> {
    let bytes = view.data();
    Some(match view.dtype() {
        Dtype::F32 => TensorData::F32(elements(bytes, f32::from_le_bytes)),
        Dtype::F16 => TensorData::F32(elements(bytes, |b| half::f16::from_le_bytes(b).to_f32())),
        Dtype::BF16 => TensorData::F32(elements(bytes, |b| half::bf16::from_le_bytes(b).to_f32())),
        Dtype::F64 => TensorData::F64(elements(bytes, f64::from_le_bytes)),
        Dtype::I64 => TensorData::I64(elements(bytes, i64::from_le_bytes)),
        _ => return None,
    })
}

fn elements<T, const N: usize>(bytes: &[u8], from: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&b| from(b)).collect()
}
