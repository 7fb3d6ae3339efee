//! A trained network with its parameters, from a name and a weights file, from an ONNX file, or embedded.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use saddlescope_data::Dataset;
use saddlescope_data::weights::{TensorMap, WeightsError};
use saddlescope_nn::network::{LossKind, Network};
use saddlescope_nn::op::Element;
use saddlescope_nn::risk::{Curvature, Risk, RiskError, RiskOptions};
use saddlescope_nn::zoo;
use saddlescope_onnx::{
    Ending, ImportOptions, LossSuggestion, Measured, OnnxError, OnnxModel, ParameterSource, Reference,
    suggest_loss,
};

/// Largest relative difference between the file and what PyTorch computed in the exported model's own number type: f32
/// arithmetic leaves some 1e-5, a lost label smoothing or class weight is off by percents.
const EXPORT_TOLERANCE: f64 = 1e-3;
/// The same where memory is too small to compute in double precision here: products in f32 are off by up to some 1e-3 in deep networks.
const EXPORT_TOLERANCE_F32: f64 = 1e-2;

/// A network and the point θ it was trained to.
#[derive(Clone, Debug)]
pub struct Model {
    /// The network; its buffers (running statistics) are those of the weights file.
    pub network: Network,
    /// θ, in the order of the network's parameters.
    pub theta: Arc<[f64]>,
    /// Where both came from, in words.
    pub source: String,
    /// What a user should know about the import, one sentence each.
    pub notes: Vec<String>,
    /// The import behind the network, for ONNX files.
    onnx: Option<Box<OnnxModel>>,
}

impl Model {
    /// The loss that suits the model's ending and the data's targets, and how it was chosen.
    ///
    /// # Errors
    /// Several losses are as likely: one must be chosen.
    pub fn suggest_loss(&self, dataset: &Dataset) -> Result<LossSuggestion, ModelError> {
        match &self.onnx {
            Some(onnx) => Ok(onnx.suggest_loss(dataset)?),
            // What is described by name ends in logits or in values of a regression: labels leave no choice.
            None => {
                let found = suggest_loss(&self.network, Ending::Plain, dataset)?;
                Ok(match found.loss {
                    LossKind::CrossEntropy => LossSuggestion {
                        guess: false,
                        reason: "the targets are labels, and the network ends in logits".into(),
                        ..found
                    },
                    _ => found,
                })
            }
        }
    }

    /// What a user should know about a data set with this model: arrays that the network does not take.
    pub fn data_notes(&self, dataset: &Dataset) -> Vec<String> {
        if let Some(onnx) = &self.onnx {
            return onnx.data_notes(dataset);
        }
        let taken = self.network.graph.data_inputs();
        // A single input fits any name.
        if taken.len() == 1 && dataset.inputs().len() == 1 {
            return Vec::new();
        }
        let unused: Vec<String> = (dataset.inputs().iter())
            .filter(|i| taken.iter().all(|t| t.name != i.name))
            .map(|i| format!("`{}`", i.name))
            .collect();
        match unused.is_empty() {
            true => Vec::new(),
            false => vec![format!("the network does not take the data set's {}", unused.join(", "))],
        }
    }

    /// Compares the model with what PyTorch computed when the file was exported, if the file says it and the samples are
    /// the same: loss, gradient norm and one Hessian product in f64 on the first samples of `dataset`, which must begin with the
    /// first sample of the data. What differs, in words; `None` if nothing could be compared. Where double precision would take more
    /// than `memory` bytes, single precision is used, and the two must agree to a hundredth instead of a thousandth.
    ///
    /// # Errors
    /// Data that do not fit the network.
    pub fn compare_with_export(
        &self,
        loss: LossKind,
        dataset: &Dataset,
        memory: Option<usize>,
    ) -> Result<Option<Vec<String>>, ModelError> {
        let Some((onnx, reference)) = self.onnx.as_ref().and_then(|o| Some((o, o.reference.as_ref()?)))
        else {
            return Ok(None);
        };
        let whole = Arc::ptr_eq(&onnx.theta, &self.theta) || onnx.theta == self.theta;
        let others = onnx.parameter_source == ParameterSource::Given;
        if !whole || others || loss != reference.loss_kind() || dataset.samples() < reference.samples {
            return Ok(None);
        }
        let first = dataset.select(0..reference.samples).map_err(|e| ModelError::Export(e.to_string()))?;
        let first = self.prepare(first)?;
        let fit = |e: &dyn std::fmt::Display| ModelError::Export(e.to_string());
        let objective = || self.network.objective(loss, &first).map_err(|e| fit(&e));
        let double = Risk::<f64>::new(objective()?, RiskOptions::default()).map_err(|e| fit(&e))?;
        let needed = double.memory(1);
        // θ, the gradient, the direction and its product beside the engine.
        let needed = needed.shared + double.threads() * needed.per_thread + 4 * 8 * self.theta.len();
        if memory.is_none_or(|allowed| needed <= allowed) {
            let measured = self.measure(double).map_err(|e| fit(&e))?;
            return Ok(Some(reference.differences(&measured, EXPORT_TOLERANCE)));
        }
        drop(double);
        let single = Risk::<f32>::new(objective()?, RiskOptions::default()).map_err(|e| fit(&e))?;
        let measured = self.measure(single).map_err(|e| fit(&e))?;
        Ok(Some(reference.differences(&measured, EXPORT_TOLERANCE_F32)))
    }

    /// What [`Reference::direction`] and θ give on the samples of a risk.
    fn measure<T: Element>(&self, risk: Risk<T>) -> Result<Measured, RiskError> {
        let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
        let v = Reference::direction(&self.network);
        let mut product = vec![0.0; v.len()];
        risk.at(&self.theta).product(Curvature::Hessian, &v, &mut product)?;
        let (quadratic, product_norm) = (v.iter().zip(&product).map(|(a, b)| a * b).sum(), norm(&product));
        drop(v);
        let mut gradient = product;
        let loss = risk.gradient(&self.theta, &mut gradient).loss;
        Ok(Measured { loss, gradient_norm: norm(&gradient), quadratic, product_norm })
    }

    /// Ends the network where this loss begins (before a softmax that the loss contains). Before anything is frozen.
    pub fn end_for(&mut self, loss: LossKind) {
        if let Some(onnx) = &self.onnx {
            let ended = onnx.network_for(loss);
            self.network.output = ended.output;
        }
    }

    /// The data as the network takes them: what depends on the data alone is computed here, once.
    ///
    /// # Errors
    /// Data that the model cannot take.
    pub fn prepare(&self, dataset: Dataset) -> Result<Dataset, ModelError> {
        match &self.onnx {
            Some(onnx) => Ok(onnx.prepare(&dataset)?),
            None => Ok(dataset),
        }
    }

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
        self.theta = kept.into();
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
    /// A file that is no ONNX file.
    #[error(
        "model `{}` is no .onnx file. A file of weights (.pt, .bin, .safetensors) has no network in it: export the network to ONNX \
         (docs/from-pytorch.md) and give other weights beside it (--weights), as safetensors", .0.display()
    )]
    NotOnnx(PathBuf),
    /// A network of the zoo needs weights.
    #[error("model `{name}` has no embedded weights: a safetensors file with its weights is needed")]
    NeedsWeights {
        /// Name of the network.
        name: String,
    },
    /// The file cannot be compared with what was exported.
    #[error("the comparison with the exported model failed: {0}")]
    Export(String),
    /// The ONNX file cannot be used.
    #[error("{}: {reason}", path.display())]
    OnnxFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: OnnxError,
    },
    /// The network of an ONNX file does not do what is asked of it.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// The weights file cannot be read.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The weights are not those of the network.
    #[error("{path}: {reason}")]
    Misfit {
        /// The weights file.
        path: PathBuf,
        /// What does not fit.
        reason: WeightsError,
    },
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

/// Loads a model: `name` is a name or description of the zoo or the path of an ONNX file; `weights` a safetensors file;
/// `dataset` says the shapes that an ONNX file leaves open.
///
/// # Errors
/// An unknown name, missing weights, or weights that do not fit the network.
pub fn load(name: &str, weights: Option<&Path>, dataset: Option<&Dataset>) -> Result<Model, ModelError> {
    load_with(name, weights, &dataset.map_or_else(ImportOptions::default, ImportOptions::for_dataset))
}

/// [`load`] with everything that an ONNX import can be told.
///
/// # Errors
/// As [`load`].
pub fn load_with(name: &str, weights: Option<&Path>, options: &ImportOptions) -> Result<Model, ModelError> {
    if is_onnx(name) {
        return load_onnx(Path::new(name), weights, options);
    }
    let Some(mut network) = zoo::by_name(name) else {
        return Err(unknown(name));
    };
    let (tensors, path, source) = match (weights, zoo::TRAINED.iter().find(|e| e.0 == name)) {
        (Some(path), _) => {
            (TensorMap::read(path)?, path.to_path_buf(), format!("{name}, weights {}", path.display()))
        }
        (None, Some((_, bytes, how))) => {
            (TensorMap::parse(bytes)?, PathBuf::from(name), format!("{name}, embedded weights: {how}"))
        }
        (None, None) => return Err(ModelError::NeedsWeights { name: name.into() }),
    };
    let theta = fitting(&mut network, &tensors, &path)?;
    for (parameter, range) in network.graph.parameters().iter().zip(network.graph.parameter_ranges()) {
        if let Some(index) = theta[range.clone()].iter().position(|x| !x.is_finite()) {
            let value = theta[range][index];
            return Err(ModelError::NotFinite { path, tensor: parameter.name.clone(), index, value });
        }
    }
    Ok(Model { network, theta: theta.into(), source, notes: Vec::new(), onnx: None })
}

/// θ of a network, in file order, from a safetensors file; its buffers become those of the file.
///
/// # Errors
/// A file that cannot be read, or tensors that are not those of the network.
pub fn load_weights(network: &mut Network, path: &Path) -> Result<Vec<f64>, ModelError> {
    fitting(network, &TensorMap::read(path)?, path)
}

/// θ from tensors of a file; an error names the file.
fn fitting(network: &mut Network, tensors: &TensorMap, path: &Path) -> Result<Vec<f64>, ModelError> {
    network.load(tensors).map_err(|reason| ModelError::Misfit { path: path.into(), reason })
}

/// What is wrong with a name that is none of the zoo's.
fn unknown(name: &str) -> ModelError {
    if Path::new(name).is_file() {
        return ModelError::NotOnnx(name.into());
    }
    ModelError::Unknown { name: name.into(), known: zoo::NAMES }
}

/// Whether a model is named by an ONNX file.
pub fn is_onnx(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx"))
}

fn load_onnx(path: &Path, weights: Option<&Path>, options: &ImportOptions) -> Result<Model, ModelError> {
    let onnx = OnnxModel::load(path, options).map_err(|reason| match reason {
        // They name their file.
        OnnxError::Io { .. } | OnnxError::Data(_) => ModelError::Onnx(reason),
        reason => ModelError::OnnxFile { path: path.into(), reason },
    })?;
    let mut network = onnx.network.clone();
    let (theta, from) = match weights {
        Some(file) => {
            let theta = load_weights(&mut network, file)?;
            (theta.into(), format!(", weights {}", file.display()))
        }
        None => (Arc::clone(&onnx.theta), String::new()),
    };
    let mut notes = onnx.notes.clone();
    if !onnx.unused.is_empty() {
        notes.push(format!("not used by the output, left out: {}", onnx.unused.join(", ")));
    }
    Ok(Model {
        network,
        theta,
        source: format!("{}{from}", path.display()),
        notes,
        onnx: Some(Box::new(onnx)),
    })
}

/// A network for a look at its layers: no weights are needed.
#[derive(Clone, Debug)]
pub struct Description {
    /// The network.
    pub network: Network,
    /// What a user should know about the import, one sentence each.
    pub notes: Vec<String>,
    /// The import behind the network, for ONNX files.
    pub onnx: Option<Box<OnnxModel>>,
}

/// Describes a network by name or file; if `weights` are given, they must fit it. `shapes` says what an ONNX file leaves open.
///
/// # Errors
/// As [`load`], but weights may be missing.
pub fn describe(
    name: &str,
    weights: Option<&Path>,
    shapes: &ImportOptions,
) -> Result<Description, ModelError> {
    if is_onnx(name) {
        let Model { network, notes, onnx, .. } = load_onnx(Path::new(name), weights, shapes)?;
        return Ok(Description { network, notes, onnx });
    }
    if weights.is_some() {
        let Model { network, notes, onnx, .. } = load(name, weights, None)?;
        return Ok(Description { network, notes, onnx });
    }
    match zoo::by_name(name) {
        Some(network) => Ok(Description { network, notes: Vec::new(), onnx: None }),
        None => Err(unknown(name)),
    }
}
