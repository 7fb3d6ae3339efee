//! Writing safetensors, whole or not at all.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use super::{TensorData, TensorMap, WeightsError};

impl TensorMap {
    /// Writes a safetensors file: to a temporary file beside it, which then takes its place.
    ///
    /// So a reader sees the old file or the new one, also if the machine stops in between. The same map gives the same
    /// bytes. Tensors keep their order, except that 64-bit ones come first, which keeps every tensor aligned.
    ///
    /// # Errors
    /// A file that cannot be written; a header the format does not allow.
    pub fn write(&self, path: &Path) -> Result<(), WeightsError> {
        let header = self.header()?;
        write_atomically(path, |file| self.write_parts(&header, file)).map_err(|reason| WeightsError::Io {
            file: path.display().to_string(),
            action: "cannot write",
            reason,
        })
    }

    /// The bytes that [`TensorMap::write`] puts into the file.
    ///
    /// # Errors
    /// A header the format does not allow.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WeightsError> {
        let mut bytes = Vec::new();
        let failed = |e: io::Error| format_error(&e);
        self.write_parts(&self.header()?, &mut bytes).map_err(failed)?;
        Ok(bytes)
    }

    /// The tensors in the order in which the file holds them.
    fn stored_order(&self) -> impl Iterator<Item = (&str, &super::Tensor)> {
        let wide = |t: &super::Tensor| !matches!(t.data, TensorData::F32(_));
        self.iter().filter(move |(_, t)| wide(t)).chain(self.iter().filter(move |(_, t)| !wide(t)))
    }

    fn header(&self) -> Result<Vec<u8>, WeightsError> {
        let mut infos = Vec::with_capacity(self.len());
        let mut offset = 0usize;
        for (name, tensor) in self.stored_order() {
            let (dtype, width) = match tensor.data {
                TensorData::F32(_) => (Dtype::F32, 4),
                TensorData::F64(_) => (Dtype::F64, 8),
                TensorData::I64(_) => (Dtype::I64, 8),
            };
            let end = offset + tensor.data.len() * width;
            let info = TensorInfo { dtype, shape: tensor.shape.clone(), data_offsets: (offset, end) };
            infos.push((name.to_owned(), info));
            offset = end;
        }
        let tensors = Metadata::new(None, infos).map_err(|e| format_error(&e))?;
        let tensors = serde_json::to_string(&tensors).map_err(|e| format_error(&e))?;
        // The crate would write the metadata in the order of a hash map, which differs from run to run.
        let mut json = String::from("{");
        if !self.metadata.is_empty() {
            let metadata = serde_json::to_string(&self.metadata).map_err(|e| format_error(&e))?;
            json.push_str("\"__metadata__\":");
            json.push_str(&metadata);
            if !self.is_empty() {
                json.push(',');
            }
        }
        json.push_str(&tensors[1..]);
        // Spaces up to a multiple of eight bytes, so that the data is aligned.
        let mut bytes = json.into_bytes();
        bytes.resize(bytes.len().next_multiple_of(8), b' ');
        Ok(bytes)
    }

    fn write_parts(&self, header: &[u8], out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(header)?;
        for (_, tensor) in self.stored_order() {
            match &tensor.data {
                TensorData::F32(v) => write_elements(out, v, |x| x.to_le_bytes())?,
                TensorData::F64(v) => write_elements(out, v, |x| x.to_le_bytes())?,
                TensorData::I64(v) => write_elements(out, v, |x| x.to_le_bytes())?,
            }
        }
        Ok(())
    }
}

fn format_error(e: &dyn std::error::Error) -> WeightsError {
    WeightsError::Format { file: "weights to be written".into(), reason: e.to_string() }
}

fn write_elements<T: Copy, const N: usize>(
    out: &mut dyn Write,
    values: &[T],
    bytes: impl Fn(T) -> [u8; N],
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(8192 * N);
    for chunk in values.chunks(8192) {
        buffer.clear();
        chunk.iter().for_each(|&x| buffer.extend_from_slice(&bytes(x)));
        out.write_all(&buffer)?;
    }
    Ok(())
}

fn write_atomically(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".saddlescope-").suffix(".tmp");
    // Temporary files are private by default; the finished file should have the usual permissions.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let temporary = builder.tempfile_in(folder)?;
    let mut out = BufWriter::new(temporary.as_file());
    fill(&mut out)?;
    out.flush()?;
    drop(out);
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|e| e.error)?;
    Ok(())
}
