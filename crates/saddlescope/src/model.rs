//! A trained network with its parameters, from a name and a weights file, from an ONNX file, or embedded.

use std::path::{Path, PathBuf};

use saddlescope_nn::network::Network;
use saddlescope_nn::weights::{TensorMap, WeightsError};
use saddlescope_nn::zoo;

/// A network and the point θ it was trained to.
#[derive(Clone, Debug)]
pub struct Model {
    /// The network; its buffers (running statistics) are those of the weights file.
    pub network: Network,
    /// θ, in the order of the network's parameters.
    pub theta: Vec<f64>,
    /// Where both came from, in words.
    pub source: String,
    /// What a user should know about the import, one sentence each.
    pub notes: Vec<String>,
}

/// Why a model cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// There is no network of that name and no such file.
    #[error("unknown model `{name}`: expected an .onnx file or one of {known}")]
    Unknown {
        /// The name given.
        name: String,
        /// What there is.
        known: &'static str,
    },
    /// A network of the zoo needs weights.
    #[error(
        "model `{name}` has no embedded weights: give a safetensors file with --weights (train one with `saddlescope train`)"
    )]
    NeedsWeights {
        /// Name of the network.
        name: String,
    },
    /// The weights file does not fit.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The weights are not finite.
    #[error("{path}: tensor `{tensor}` holds {value} at position {index}; expected finite numbers")]
    NotFinite {
        /// The weights file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Where in the tensor.
        index: usize,
        /// What is there.
        value: f64,
    },
}

/// Networks whose trained weights are part of the binary: name, weights, how they were trained.
const EMBEDDED: &[(&str, &[u8], &str)] = &[];

/// Loads a model: `name` is a name or description of the zoo or the path of an ONNX file; `weights` a safetensors file.
///
/// # Errors
/// An unknown name, missing weights, or weights that do not fit the network.
pub fn load(name: &str, weights: Option<&Path>) -> Result<Model, ModelError> {
    let Some(mut network) = zoo::by_name(name) else {
        return Err(ModelError::Unknown { name: name.into(), known: zoo::NAMES });
    };
    let (tensors, path, source) = match (weights, EMBEDDED.iter().find(|e| e.0 == name)) {
        (Some(path), _) => {
            (TensorMap::read(path)?, path.to_path_buf(), format!("{name}, weights {}", path.display()))
        }
        (None, Some((_, bytes, how))) => {
            (TensorMap::parse(bytes)?, PathBuf::from(name), format!("{name}, embedded weights: {how}"))
        }
        (None, None) => return Err(ModelError::NeedsWeights { name: name.into() }),
    };
    let theta = network.load(&tensors)?;
    for (parameter, range) in network.graph.parameters().iter().zip(network.graph.parameter_ranges()) {
        if let Some(index) = theta[range.clone()].iter().position(|x| !x.is_finite()) {
            let value = theta[range][index];
            return Err(ModelError::NotFinite { path, tensor: parameter.name.clone(), index, value });
        }
    }
    Ok(Model { network, theta, source, notes: Vec::new() })
}
