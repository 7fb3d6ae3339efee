//! Why a risk cannot be set up or computed.

use crate::graph::GraphError;

/// Why a risk cannot be set up.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RiskError {
    /// The graph does not fit the data.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A data input has the wrong number of elements.
    #[error(
        "data input `{name}`: {found} numbers found, expected {expected} ({samples} samples of shape {shape:?})"
    )]
    Data {
        /// Name of the input.
        name: String,
        /// Numbers found.
        found: usize,
        /// Numbers expected.
        expected: usize,
        /// Number of samples.
        samples: usize,
        /// Shape of a sample.
        shape: Vec<usize>,
    },
    /// Values for the buffers that are too few or too many.
    #[error("{found} numbers for the buffers; expected {expected}")]
    Buffers {
        /// Numbers given.
        found: usize,
        /// Numbers that the buffers hold.
        expected: usize,
    },
    /// Samples cannot be read from their file.
    #[error("{0}")]
    Unreadable(String),
    /// There is nothing to average over.
    #[error("the data set has no samples")]
    NoSamples,
    /// This product needs one loss per sample.
    #[error(
        "the per-sample Fisher matrix needs one loss per sample, but the model's own loss is a single number"
    )]
    NoPerSampleLoss,
}
