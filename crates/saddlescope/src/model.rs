//! A trained network with its parameters, from a name and a weights file, from an ONNX file, or embedded.

use std::path::{Path, PathBuf};

use saddlescope_nn::network::{LossKind, Network};
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
    /// The loss that the model itself suggests (for example because it ends in probabilities).
    pub loss: Option<LossKind>,
}

impl Model {
    /// Freezes all parameters but those whose name `keep` accepts: they become buffers and leave θ.
    pub fn freeze_all_but(&mut self, keep: impl Fn(&str) -> bool) {
        let ranges = self.network.graph.parameter_ranges();
        let names: Vec<String> = self.network.graph.parameters().iter().map(|p| p.name.clone()).collect();
        let mut kept = Vec::new();
        let mut place = 0;
        self.network.graph.freeze(|parameter| {
            let values = &self.theta[ranges[place].clone()];
            debug_assert_eq!(parameter.name, names[place]);
            place += 1;
            if keep(&parameter.name) {
                kept.extend_from_slice(values);
                None
            } else {
                Some(values.to_vec())
            }
        });
        self.theta = kept;
    }
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
    Ok(Model { network, theta, source, notes: Vec::new(), loss: None })
}

/// A network without weights, for a look at its layers, and notes on its import.
///
/// # Errors
/// An unknown name.
pub fn describe(name: &str) -> Result<(Network, Vec<String>), ModelError> {
    match zoo::by_name(name) {
        Some(network) => Ok((network, Vec::new())),
        None => Err(ModelError::Unknown { name: name.into(), known: zoo::NAMES }),
    }
}
