//! The fingerprint of a data set: what exactly was evaluated.

use std::io::Write;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{DataError, InputTensor, Targets};

/// SHA-256 over a canonical form of shapes, inputs (as normalised) and targets, as 64 hexadecimal digits.
///
/// The canonical form is: a version tag; per input its name, whether it is integer, its shape and its values; then the
/// targets. Lengths are 64-bit and everything is little-endian, so the result does not depend on the machine.
pub(crate) fn fingerprint(inputs: &[InputTensor], targets: &Targets) -> Result<String, DataError> {
    let mut hash = Canonical(Sha256::new());
    hash.text("saddlescope data set 1");
    hash.number(inputs.len());
    for input in inputs {
        hash.head(input);
        input.values.for_each_block(|block| {
            hash.floats(block);
            Ok(())
        })?;
    }
    hash.targets(targets);
    Ok(hash.hexadecimal())
}

/// The fingerprint, kept in a file of `folder` where inputs stay in their files: it is read from there as long as the files have the
/// same places, sizes and times.
pub(crate) fn kept(inputs: &[InputTensor], targets: &Targets, folder: &Path) -> Result<String, DataError> {
    let Some(before) = stamp(inputs, targets)? else { return fingerprint(inputs, targets) };
    let place = folder.join(&before);
    if let Ok(text) = std::fs::read_to_string(&place)
        && text.len() == DIGITS
        && text.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return Ok(text);
    }
    let found = fingerprint(inputs, targets)?;
    // A file that was changed while it was read.
    if stamp(inputs, targets)? != Some(before) {
        return Ok(found);
    }
    let keep = || -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(found.as_bytes())?;
        file.persist(&place)?;
        Ok(())
    };
    // What cannot be kept is computed again the next time.
    let _ = keep();
    Ok(found)
}

/// A name for a state of all files; `None` if all inputs are in memory, or a file changed just now.
fn stamp(inputs: &[InputTensor], targets: &Targets) -> Result<Option<String>, DataError> {
    // Data in memory are hashed once, for their fingerprint.
    if inputs.iter().all(|input| input.values.are_in_memory()) {
        return Ok(None);
    }
    let mut hash = Canonical(Sha256::new());
    hash.text("saddlescope stamp 1");
    for input in inputs {
        hash.head(input);
        if input.values.are_in_memory() {
            input.values.for_each_block(|block| {
                hash.floats(block);
                Ok(())
            })?;
            continue;
        }
        let Some(stamp) = input.values.stamp()? else { return Ok(None) };
        hash.text(&stamp);
    }
    hash.targets(targets);
    Ok(Some(hash.hexadecimal()))
}

/// Hexadecimal digits of a fingerprint.
const DIGITS: usize = 64;

struct Canonical(Sha256);

impl Canonical {
    fn head(&mut self, input: &InputTensor) {
        self.text(&input.name);
        self.number(usize::from(input.integer));
        self.shape(&input.shape_per_sample);
        self.number(input.values.len());
    }

    fn targets(&mut self, targets: &Targets) {
        match targets {
            Targets::None => self.text("none"),
            Targets::Classes { labels, classes } => {
                self.text("classes");
                self.number(*classes);
                self.number(labels.len());
                self.chunks(labels, |l| u64::from(*l).to_le_bytes());
            }
            Targets::ClassesPerPosition { labels, positions, classes } => {
                self.text("classes per position");
                self.number(*positions);
                self.number(*classes);
                self.number(labels.len());
                self.chunks(labels, |l| l.to_le_bytes());
            }
            Targets::Values { values, shape } => {
                self.text("values");
                self.shape(shape);
                self.number(values.len());
                self.floats(values);
            }
        }
    }

    fn hexadecimal(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn number(&mut self, n: usize) {
        self.0.update((n as u64).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.update(text.as_bytes());
    }

    fn shape(&mut self, shape: &[usize]) {
        self.number(shape.len());
        shape.iter().for_each(|&d| self.number(d));
    }

    fn floats(&mut self, values: &[f32]) {
        self.chunks(values, |v| v.to_bits().to_le_bytes());
    }

    fn chunks<T, const N: usize>(&mut self, values: &[T], bytes: impl Fn(&T) -> [u8; N]) {
        let mut buffer = Vec::with_capacity(4096 * N);
        for chunk in values.chunks(4096) {
            buffer.clear();
            chunk.iter().for_each(|v| buffer.extend_from_slice(&bytes(v)));
            self.0.update(&buffer);
        }
    }
}
