//! Errors of the importer: they name the file, the node or tensor, what was found and what was expected.

use std::path::PathBuf;

/// What went wrong inside one operator or tensor; the caller adds which one and in which file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct OpError {
    text: String,
    /// More would have been computed than is allowed at once.
    too_much: bool,
}

impl OpError {
    /// An error with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), too_much: false }
    }

    /// An error about more than may be computed at once: less at once may do.
    pub(crate) fn too_much(text: impl Into<String>) -> Self {
        Self { text: text.into(), too_much: true }
    }

    /// Whether less at once may do.
    pub(crate) fn is_too_much(&self) -> bool {
        self.too_much
    }
}

/// Why an ONNX file could not be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// The file, or one it refers to, could not be read.
    #[error("{path}: {reason}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: std::io::Error,
    },
    /// The bytes are not an ONNX model.
    #[error("not an ONNX model: {0}")]
    Decode(String),
    /// The model breaks a rule of the standard, or a limit of this importer.
    #[error("invalid ONNX model: {0}")]
    Invalid(String),
    /// Several losses suit the model and its data as well.
    #[error("the loss must be named: {0}")]
    Loss(String),
    /// An initialiser or constant is wrong.
    #[error("tensor `{name}`: {reason}")]
    Tensor {
        /// Its name in the file.
        name: String,
        /// What is wrong.
        reason: OpError,
    },
    /// Samples cannot be read from their file.
    #[error(transparent)]
    Data(#[from] saddlescope_data::DataError),
    /// A node uses an operator that is not supported.
    #[error("node `{node}`: operator {operator} is not supported; supported are: {supported}")]
    Unsupported {
        /// Name of the node, or of its first output.
        node: String,
        /// Operator with its domain and operator-set version.
        operator: String,
        /// All supported operators.
        supported: String,
    },
    /// A node cannot be evaluated or translated.
    #[error("node `{node}` ({operator}): {reason}")]
    Node {
        /// Name of the node, or of its first output.
        node: String,
        /// Operator type.
        operator: String,
        /// What is wrong.
        reason: OpError,
    },
}

impl OnnxError {
    /// Whether computing less at once may do.
    pub(crate) fn is_too_much(&self) -> bool {
        match self {
            Self::Tensor { reason, .. } | Self::Node { reason, .. } => reason.is_too_much(),
            _ => false,
        }
    }
}

impl From<std::num::TryFromIntError> for OpError {
    fn from(_: std::num::TryFromIntError) -> Self {
        Self::new("a size or index does not fit")
    }
}
