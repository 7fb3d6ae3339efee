//! Safetensors files that hold data: arrays by name, as in `.npz`.

use std::ops::Range;
use std::path::Path;

use ::safetensors::tensor::{Dtype, SafeTensors};

use super::array::{Array, ElementType, Layout};
use super::named_arrays::ArrayFile;
use super::{DataError, files};

/// The bytes of a safetensors file, checked.
pub(crate) struct TensorFile {
    bytes: Vec<u8>,
    names: Vec<String>,
}

impl TensorFile {
    pub fn open(path: &Path) -> Result<Self, DataError> {
        Self::new(files::read_all(path)?).map_err(|e| e.in_file(path))
    }

    fn new(bytes: Vec<u8>) -> Result<Self, DataError> {
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(invalid)?;
        Ok(Self { names: header.offset_keys(), bytes })
    }
}

fn invalid(e: ::safetensors::SafeTensorError) -> DataError {
    DataError::malformed("contents", e.to_string(), "a valid safetensors file")
}

impl ArrayFile for TensorFile {
    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn read(&mut self, index: usize, rows: Option<&Range<usize>>) -> Result<Array, DataError> {
        let name = self.names.get(index).map_or("", String::as_str);
        let tensors = SafeTensors::deserialize(&self.bytes).map_err(invalid)?;
        let view = tensors.tensor(name).map_err(invalid)?;
        let stored = match view.dtype() {
            Dtype::BOOL => ElementType::Bool,
            Dtype::U8 => ElementType::U8,
            Dtype::U16 => ElementType::U16,
            Dtype::U32 => ElementType::U32,
            Dtype::U64 => ElementType::U64,
            Dtype::I8 => ElementType::I8,
            Dtype::I16 => ElementType::I16,
            Dtype::I32 => ElementType::I32,
            Dtype::I64 => ElementType::I64,
            Dtype::F16 => ElementType::F16,
            Dtype::BF16 => ElementType::BF16,
            Dtype::F32 => ElementType::F32,
            Dtype::F64 => ElementType::F64,
            other => {
                return Err(DataError::malformed(
                    format!("tensor {name:?}"),
                    format!("type {other}"),
                    "real numbers of 8 to 64 bits, not 8-bit floating point",
                ));
            }
        };
        let layout = Layout { shape: view.shape().to_vec(), stored, big_endian: false, fortran: false };
        let data = view.data();
        layout.read(&mut &data[..], data.len() as u64, rows)
    }
}

/// All tensors of the bytes of a safetensors file, by name, in the order in which they are stored.
///
/// # Errors
/// [`DataError::Malformed`] if the bytes are no valid safetensors file or hold a type that is not supported.
pub fn parse(bytes: &[u8]) -> Result<Vec<(String, Array)>, DataError> {
    let mut file = TensorFile::new(bytes.to_vec())?;
    file.names().into_iter().enumerate().map(|(i, name)| Ok((name, file.read(i, None)?))).collect()
}
