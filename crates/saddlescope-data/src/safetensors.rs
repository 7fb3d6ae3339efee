//! Safetensors files that hold data: arrays by name, as in `.npz`.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use ::safetensors::tensor::{Dtype, Metadata};

use super::array::{Array, ElementType, Layout};
use super::named_arrays::{ArrayFile, Place};
use super::weights::repeated_key;
use super::{DataError, files};

/// A safetensors file whose header was read and checked against the file's size.
pub(crate) struct TensorFile<R> {
    /// The file behind the reader, if there is one.
    path: Option<PathBuf>,
    reader: R,
    names: Vec<String>,
    header: Metadata,
    /// Where the data of the tensors begin.
    data: u64,
}

/// Longest header that is read, in bytes; the format's own limit.
const MAX_HEADER: u64 = 100_000_000;

impl TensorFile<BufReader<File>> {
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let (file, length) = files::open(path)?;
        let mut opened = Self::new(BufReader::new(file), length).map_err(|e| e.in_file(path))?;
        opened.path = Some(path.to_path_buf());
        Ok(opened)
    }
}

impl<R: Read + Seek> TensorFile<R> {
    fn new(mut reader: R, length: u64) -> Result<Self, DataError> {
        let (header, data) = read_header(&mut reader, length)?;
        Ok(Self { path: None, reader, names: header.offset_keys(), header, data })
    }

    /// How a tensor is stored, and where it begins in the file.
    fn layout(&self, index: usize) -> Result<(Layout, u64), DataError> {
        let name = self.names.get(index).map_or("", String::as_str);
        let info = self.header.info(name).ok_or_else(|| {
            DataError::malformed(format!("tensor {name:?}"), "no such tensor", "a tensor of the file")
        })?;
        let layout = Layout {
            shape: info.shape.clone(),
            stored: element_type(name, info.dtype)?,
            big_endian: false,
            fortran: false,
        };
        Ok((layout, self.data + info.data_offsets.0 as u64))
    }
}

/// The header of a file of `length` bytes, and where the data begin.
fn read_header(reader: &mut dyn Read, length: u64) -> Result<(Metadata, u64), DataError> {
    let wrong = |found: String| DataError::malformed("contents", found, "a valid safetensors file");
    let mut size = [0; 8];
    reader.read_exact(&mut size).map_err(|_| wrong(format!("{length} bytes, too few for a header")))?;
    let size = u64::from_le_bytes(size);
    let data = size.checked_add(8).filter(|data| size <= MAX_HEADER && *data <= length);
    let Some(data) = data else {
        return Err(wrong(format!("a header of {size} bytes in a file of {length}")));
    };
    let mut text = vec![0; size as usize];
    reader.read_exact(&mut text).map_err(|e| wrong(e.to_string()))?;
    if let Some(name) = repeated_key(&text) {
        return Err(wrong(format!("two tensors are called {name:?}")));
    }
    let header: Metadata = serde_json::from_slice(&text).map_err(|e| wrong(format!("a header with {e}")))?;
    let held = length - data;
    if header.data_len() as u64 != held {
        return Err(wrong(format!("{held} bytes of data where the header lists {}", header.data_len())));
    }
    Ok((header, data))
}

fn element_type(name: &str, dtype: Dtype) -> Result<ElementType, DataError> {
    Ok(match dtype {
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
    })
}

impl<R: Read + Seek> ArrayFile for TensorFile<R> {
    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn read(&mut self, index: usize, rows: Option<&Range<usize>>) -> Result<Array, DataError> {
        let (layout, offset) = self.layout(index)?;
        (self.reader.seek(SeekFrom::Start(offset)))
            .map_err(|e| DataError::malformed("contents", e.to_string(), "a file that can be read"))?;
        let bytes = layout.bytes()?;
        layout.read(&mut (&mut self.reader).take(bytes), bytes, rows)
    }

    fn place(&mut self, index: usize) -> Result<Option<Place>, DataError> {
        let (layout, offset) = self.layout(index)?;
        let Some(path) = &self.path else { return Ok(None) };
        let (file, _) = files::open(path)?;
        Ok(Some(Place { path: path.clone(), file, offset, layout }))
    }
}

/// All tensors of the bytes of a safetensors file, by name, in the order in which they are stored.
///
/// # Errors
/// [`DataError::Malformed`] if the bytes are no valid safetensors file or hold a type that is not supported.
pub fn parse(bytes: &[u8]) -> Result<Vec<(String, Array)>, DataError> {
    let mut file = TensorFile::new(Cursor::new(bytes), bytes.len() as u64)?;
    file.names().into_iter().enumerate().map(|(i, name)| Ok((name, file.read(i, None)?))).collect()
}
