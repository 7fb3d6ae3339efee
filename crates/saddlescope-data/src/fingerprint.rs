//! The fingerprint of a data set: what exactly was evaluated.

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
        hash.text(&input.name);
        hash.number(usize::from(input.integer));
        hash.shape(&input.shape_per_sample);
        hash.number(input.values.len());
        input.values.for_each_block(|block| {
            hash.floats(block);
            Ok(())
        })?;
    }
    match targets {
        Targets::None => hash.text("none"),
        Targets::Classes { labels, classes } => {
            hash.text("classes");
            hash.number(*classes);
            hash.number(labels.len());
            hash.chunks(labels, |l| u64::from(*l).to_le_bytes());
        }
        Targets::ClassesPerPosition { labels, positions, classes } => {
            hash.text("classes per position");
            hash.number(*positions);
            hash.number(*classes);
            hash.number(labels.len());
            hash.chunks(labels, |l| l.to_le_bytes());
        }
        Targets::Values { values, shape } => {
            hash.text("values");
            hash.shape(shape);
            hash.number(values.len());
            hash.floats(values);
        }
    }
    Ok(hash.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

struct Canonical(Sha256);

impl Canonical {
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
