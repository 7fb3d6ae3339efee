//! `TensorProto` to [`Value`]: raw data, typed fields, and data kept in other files next to the model.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use super::element::ElementType;
use super::error::OpError;
use super::proto::TensorProto;
use super::value::{Data, Value, numel};

/// Where the data of large tensors may lie: the model's own folder, or nowhere if the model came from memory.
#[derive(Clone, Debug, Default)]
pub struct ExternalFolder(Option<PathBuf>);

impl ExternalFolder {
    /// The folder of this model file.
    pub fn of_model(path: &Path) -> Self {
        Self(Some(path.parent().map_or_else(PathBuf::new, Path::to_path_buf)))
    }

    /// Reads exactly `len` bytes that the `external_data` entries point at.
    fn read(&self, tensor: &TensorProto, len: usize) -> Result<Vec<u8>, OpError> {
        let Some(folder) = &self.0 else {
            return Err(OpError::new("data in another file, but the model was not read from a file"));
        };
        let entry = |key: &str| tensor.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str());
        let number = |key: &str| -> Result<Option<u64>, OpError> {
            entry(key)
                .map(|s| {
                    s.parse().map_err(|_| OpError::new(format!("external data: {key} `{s}` is no size")))
                })
                .transpose()
        };
        let location = entry("location").ok_or_else(|| OpError::new("external data without a location"))?;
        let path = confined(folder, location)?;
        let failed = |e: std::io::Error| OpError::new(format!("external data `{location}`: {e}"));
        let mut file = File::open(&path).map_err(failed)?;
        let file_len = file.metadata().map_err(failed)?.len();
        let offset = number("offset")?.unwrap_or(0);
        let wanted = u64::try_from(len)?;
        if let Some(declared) = number("length")?
            && declared != wanted
        {
            return Err(OpError::new(format!(
                "external data `{location}`: {declared} bytes declared, the shape needs {wanted}"
            )));
        }
        if offset.checked_add(wanted).is_none_or(|end| end > file_len) {
            return Err(OpError::new(format!(
                "external data `{location}`: {wanted} bytes from {offset} on, but the file has {file_len}"
            )));
        }
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        let mut bytes = vec![0; len];
        file.read_exact(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }
}

/// `folder/location` if it does not leave the folder, neither by its spelling nor through a symbolic link.
fn confined(folder: &Path, location: &str) -> Result<PathBuf, OpError> {
    let relative = Path::new(location);
    if location.is_empty()
        || !relative.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir))
    {
        return Err(OpError::new(format!("external data `{location}`: the path leaves the model's folder")));
    }
    let failed = |e: std::io::Error| OpError::new(format!("external data `{location}`: {e}"));
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let root = folder.canonicalize().map_err(failed)?;
    let path = folder.join(relative).canonicalize().map_err(failed)?;
    if !path.starts_with(&root) || !path.is_file() {
        return Err(OpError::new(format!("external data `{location}`: not a file in the model's folder")));
    }
    Ok(path)
}

/// Dimensions as sizes, with an element count that fits.
pub(crate) fn checked_shape(dims: &[i64]) -> Result<(Vec<usize>, usize), OpError> {
    let shape = dims
        .iter()
        .map(|&d| {
            usize::try_from(d).map_err(|_| OpError::new(format!("negative dimension in shape {dims:?}")))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let len = numel(&shape).ok_or_else(|| OpError::new(format!("shape {dims:?} overflows")))?;
    Ok((shape, len))
}

impl Value {
    /// Reads a tensor of the file. Memory is allocated only after the data were found to be there.
    ///
    /// # Errors
    /// Unsupported element type, negative or overflowing dimensions, more or fewer data than the shape says,
    /// external data outside the model's folder or beyond the end of their file.
    pub fn from_proto(tensor: &TensorProto, folder: &ExternalFolder) -> Result<Self, OpError> {
        let element = ElementType::from_code(i64::from(tensor.data_type))
            .ok_or_else(|| OpError::new(format!("element type {} is not supported", tensor.data_type)))?;
        let (shape, len) = checked_shape(&tensor.dims)?;
        let raw_len = len.checked_mul(element.bytes()).ok_or_else(|| OpError::new("size overflows"))?;
        let data = if element == ElementType::String {
            let text = |s: &Vec<u8>| {
                String::from_utf8(s.clone()).map_err(|_| OpError::new("a string that is not UTF-8"))
            };
            Data::Text(tensor.string_data.iter().map(text).collect::<Result<_, _>>()?)
        } else if tensor.data_location == 1 {
            from_raw(element, &folder.read(tensor, raw_len)?)?
        } else if let Some(raw) = &tensor.raw_data {
            if raw.len() != raw_len {
                return Err(OpError::new(format!(
                    "{} bytes of data, but shape {shape:?} of {element} needs {raw_len}",
                    raw.len()
                )));
            }
            from_raw(element, raw)?
        } else {
            from_fields(element, tensor)
        };
        Value::new(element, shape, data)
    }
}

fn from_raw(element: ElementType, raw: &[u8]) -> Result<Data, OpError> {
    macro_rules! numbers {
        ($n:literal, $convert:expr) => {
            raw.as_chunks::<$n>().0.iter().map(|b| $convert(*b)).collect()
        };
    }
    use ElementType::*;
    Ok(match element {
        F32 => Data::Float(numbers!(4, |b| f64::from(f32::from_le_bytes(b)))),
        F64 => Data::Float(numbers!(8, f64::from_le_bytes)),
        F16 => Data::Float(numbers!(2, |b| half::f16::from_le_bytes(b).to_f64())),
        Bf16 => Data::Float(numbers!(2, |b| half::bf16::from_le_bytes(b).to_f64())),
        I8 => Data::Int(numbers!(1, |b| i128::from(i8::from_le_bytes(b)))),
        I16 => Data::Int(numbers!(2, |b| i128::from(i16::from_le_bytes(b)))),
        I32 => Data::Int(numbers!(4, |b| i128::from(i32::from_le_bytes(b)))),
        I64 => Data::Int(numbers!(8, |b| i128::from(i64::from_le_bytes(b)))),
        U8 => Data::Int(numbers!(1, |b| i128::from(u8::from_le_bytes(b)))),
        U16 => Data::Int(numbers!(2, |b| i128::from(u16::from_le_bytes(b)))),
        U32 => Data::Int(numbers!(4, |b| i128::from(u32::from_le_bytes(b)))),
        U64 => Data::Int(numbers!(8, |b| i128::from(u64::from_le_bytes(b)))),
        Bool => Data::Bool(raw.iter().map(|&b| b != 0).collect()),
        String => return Err(OpError::new("strings cannot be raw data")),
    })
}

/// The typed field that the schema assigns to each element type; `Value::new` checks its length.
fn from_fields(element: ElementType, tensor: &TensorProto) -> Data {
    use ElementType::*;
    let int32 = || tensor.int32_data.iter();
    match element {
        F32 => Data::Float(tensor.float_data.iter().map(|&x| f64::from(x)).collect()),
        F64 => Data::Float(tensor.double_data.clone()),
        // The sixteen bits of a short float stand in the low half of an int32.
        F16 => Data::Float(int32().map(|&x| half::f16::from_bits(x as u16).to_f64()).collect()),
        Bf16 => Data::Float(int32().map(|&x| half::bf16::from_bits(x as u16).to_f64()).collect()),
        Bool => Data::Bool(int32().map(|&x| x != 0).collect()),
        I64 => Data::Int(tensor.int64_data.iter().map(|&x| i128::from(x)).collect()),
        U32 | U64 => Data::Int(tensor.uint64_data.iter().map(|&x| element.wrap(i128::from(x))).collect()),
        I8 | I16 | I32 | U8 | U16 => Data::Int(int32().map(|&x| element.wrap(i128::from(x))).collect()),
        String => Data::Text(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::StringStringEntryProto;

    fn external(location: &str, offset: &str, dims: Vec<i64>) -> TensorProto {
        let entry = |key: &str, value: &str| StringStringEntryProto { key: key.into(), value: value.into() };
        TensorProto {
            dims,
            data_type: 1,
            data_location: 1,
            external_data: vec![entry("location", location), entry("offset", offset)],
            ..Default::default()
        }
    }

    #[test]
    fn external_data_are_read_and_confined() {
        let dir = std::env::temp_dir().join(format!("saddlescope-external-{}", std::process::id()));
        let model_dir = dir.join("model");
        std::fs::create_dir_all(&model_dir).unwrap();
        let bytes: Vec<u8> = [1.0f32, 2.0, 3.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        std::fs::write(model_dir.join("w.bin"), &bytes).unwrap();
        std::fs::write(dir.join("secret.bin"), &bytes).unwrap();
        let folder = ExternalFolder::of_model(&model_dir.join("m.onnx"));
        let value = Value::from_proto(&external("w.bin", "4", vec![2]), &folder).unwrap();
        assert_eq!(value.as_floats().unwrap(), [2.0, 3.0]);
        for (location, offset, dims) in [
            ("../secret.bin", "0", vec![1]),
            ("/etc/hostname", "0", vec![1]),
            ("", "0", vec![1]),
            ("missing.bin", "0", vec![1]),
            ("w.bin", "8", vec![2]),
            ("w.bin", "18446744073709551615", vec![1]),
            ("w.bin", "0", vec![i64::MAX / 8]),
            ("w.bin", "x", vec![1]),
        ] {
            assert!(
                Value::from_proto(&external(location, offset, dims), &folder).is_err(),
                "{location} {offset}"
            );
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(dir.join("secret.bin"), model_dir.join("link.bin")).unwrap();
            assert!(Value::from_proto(&external("link.bin", "0", vec![1]), &folder).is_err());
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn sizes_are_checked_before_memory_is_taken() {
        let mut t = TensorProto { dims: vec![1 << 40, 1 << 40], data_type: 1, ..Default::default() };
        let folder = ExternalFolder::default();
        assert!(Value::from_proto(&t, &folder).is_err());
        t.dims = vec![1 << 40];
        assert!(Value::from_proto(&t, &folder).is_err());
        t.dims = vec![-1];
        assert!(Value::from_proto(&t, &folder).is_err());
        t.dims = vec![2];
        t.float_data = vec![1.0, 2.0];
        assert!(Value::from_proto(&t, &folder).is_ok());
        t.data_type = 999;
        assert!(Value::from_proto(&t, &folder).is_err());
    }
}
