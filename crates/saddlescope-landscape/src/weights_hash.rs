//! Fingerprints of weights.

use sha2::{Digest, Sha256};

use crate::layout::ParameterLayout;

/// SHA-256 over names and shapes of the tensors of θ, then over values.
pub struct WeightsHash(Sha256);

impl WeightsHash {
    /// Begins with names and shapes.
    pub fn new(layout: &ParameterLayout) -> Self {
        let mut hash = Sha256::new();
        for block in &layout.blocks {
            hash.update(block.name.as_bytes());
            hash.update(format!("{:?}", block.shape).as_bytes());
        }
        Self(hash)
    }

    /// Adds values.
    pub fn values(&mut self, values: &[f64]) {
        values.iter().for_each(|value| self.0.update(value.to_le_bytes()));
    }

    /// Adds the name of something that belongs to the weights without being a parameter.
    pub fn name(&mut self, name: &str) {
        self.0.update(name.as_bytes());
    }

    /// The hash in hexadecimal digits.
    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// Bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
