//! What can be wrong with a file of weights.

use std::fmt;
use std::io;

/// How many differences an error shows before it only counts them.
const SHOWN: usize = 8;

/// An error in a file of weights, or between it and the network it is meant for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The operating system refused a read or write.
    #[error("{file}: {action}: {reason}")]
    Io {
        /// The file.
        file: String,
        /// What was attempted.
        action: &'static str,
        /// The system's reason.
        reason: io::Error,
    },
    /// The file is not valid safetensors.
    #[error("{file}: not a valid safetensors file: {reason}")]
    Format {
        /// The file, or a note that the bytes came from memory.
        file: String,
        /// What the safetensors reader found.
        reason: String,
    },
    /// A tensor of the file has a number type that is not supported.
    #[error("{file}: tensor {name:?}: found type {found}, expected F64, F32, F16, BF16 or I64")]
    Dtype {
        /// The file, or a note that the bytes came from memory.
        file: String,
        /// The tensor.
        name: String,
        /// Its type.
        found: String,
    },
    /// A tensor put into a map does not fit its own shape, or its name is taken.
    #[error("tensor {name:?}: found {found}, expected {expected}")]
    Tensor {
        /// The tensor.
        name: String,
        /// What was given.
        found: String,
        /// What would have been right.
        expected: String,
    },
    /// The tensors are not those of the network.
    #[error("the weights do not fit the network: {}", list(differences))]
    Mismatch {
        /// Every difference, in the order of the network, unexpected tensors last.
        differences: Vec<Difference>,
    },
}

/// One difference between the tensors there are and those expected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// An expected tensor is not there.
    Missing {
        /// Its name.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// A tensor has another shape.
    Shape {
        /// Its name.
        name: String,
        /// The shape there is.
        found: Vec<usize>,
        /// The shape expected.
        expected: Vec<usize>,
    },
    /// A tensor is there that nothing expects.
    Unexpected {
        /// Its name.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// A tensor holds integers where real numbers are expected.
    Integer {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { name, shape } => write!(f, "missing {name:?} of shape {shape:?}"),
            Self::Shape { name, found, expected } => {
                write!(f, "{name:?} has shape {found:?}, expected {expected:?}")
            }
            Self::Unexpected { name, shape } => write!(f, "unexpected {name:?} of shape {shape:?}"),
            Self::Integer { name } => write!(f, "{name:?} holds integers, expected real numbers"),
        }
    }
}

fn list(differences: &[Difference]) -> String {
    let mut text = differences.iter().take(SHOWN).map(Difference::to_string).collect::<Vec<_>>().join("; ");
    if differences.len() > SHOWN {
        text.push_str(&format!("; and {} more", differences.len() - SHOWN));
    }
    text
}
