//! A network with its named tensors: weights in and out, the loss, and the data it is bound to.

use std::sync::Arc;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::graph::{DataInput, Graph, GraphError, ParameterKind, ValueId};
use crate::op::numel;
use crate::ops::loss::{
    BinaryCrossEntropyWithLogits, CrossEntropy, CrossEntropyOfProbabilities, NegativeLogLikelihood,
    SoftCrossEntropy, SquaredError,
};
use crate::plan::{Pass, Plan};
use crate::risk::{Numbers, Objective};
use crate::zoo;
use saddlescope_data::weights::{ExpectedTensor, TensorData, TensorMap, WeightsError};
use saddlescope_data::{Dataset, Targets};

/// A network as a graph with one output.
#[derive(Clone, Debug)]
pub struct Network {
    /// Name for reports, for example `resnet56-b`.
    pub name: String,
    /// The graph up to the output.
    pub graph: Graph,
    /// Logits, predictions, or the model's own loss.
    pub output: ValueId,
    /// The axis that has the classes in targets with a number for each class ([`LossKind::SoftCrossEntropy`]), of those of one sample.
    /// The output has them in its last axis; `None`: so have the targets.
    pub class_axis: Option<usize>,
}

/// The loss that follows the network's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LossKind {
    /// Mean softmax cross-entropy of logits.
    CrossEntropy,
    /// Mean over samples (and positions) of the softmax cross-entropy of logits against a weight for every class: one-hot
    /// rows or smoothed labels.
    SoftCrossEntropy,
    /// (1/2T) Σ ‖y − f‖² (equation 2.7): ½, summed over the outputs of a sample, mean over samples. PyTorch's `MSELoss` is
    /// this times 2 / outputs.
    SquaredError,
    /// (1/(T·outputs)) Σ ‖y − f‖²: the mean over all elements, as PyTorch's `MSELoss` and `mse_loss`. It is
    /// [`LossKind::SquaredError`] times 2 / outputs.
    MeanSquaredError,
    /// Mean binary cross-entropy of logits, over samples and outputs.
    BinaryCrossEntropyWithLogits,
    /// Mean of −f_label for outputs that are log-probabilities.
    NegativeLogLikelihood,
    /// Mean of −log f_label for outputs that are probabilities.
    CrossEntropyOfProbabilities,
    /// The output is the loss: one number a sample, or the mean over the batch.
    Own,
}

impl LossKind {
    /// The loss of this name, one of [`LossKind::NAMES`] or a longer form of it.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "cross-entropy" => Self::CrossEntropy,
            "soft-cross-entropy" => Self::SoftCrossEntropy,
            "mse" | "squared-error" => Self::SquaredError,
            "mse-mean" | "mean-squared-error" => Self::MeanSquaredError,
            "bce" | "binary-cross-entropy" => Self::BinaryCrossEntropyWithLogits,
            "nll" => Self::NegativeLogLikelihood,
            "probabilities" => Self::CrossEntropyOfProbabilities,
            "own" => Self::Own,
            _ => return None,
        })
    }

    /// The names that [`LossKind::parse`] reads, one for each loss.
    pub const NAMES: [&'static str; 8] =
        ["cross-entropy", "soft-cross-entropy", "mse", "mse-mean", "bce", "nll", "probabilities", "own"];

    /// What is summed and what averaged, in words.
    pub fn reduction(self) -> &'static str {
        match self {
            Self::CrossEntropy
            | Self::SoftCrossEntropy
            | Self::NegativeLogLikelihood
            | Self::CrossEntropyOfProbabilities => "mean over samples and positions",
            Self::SquaredError => "½ of the sum over outputs, mean over samples",
            Self::MeanSquaredError => "mean over samples and outputs, as PyTorch's MSELoss",
            Self::BinaryCrossEntropyWithLogits => "mean over samples and outputs",
            Self::Own => "mean over samples of what the model computes",
        }
    }

    /// The name that [`LossKind::parse`] reads.
    pub fn name(self) -> &'static str {
        match self {
            Self::CrossEntropy => "cross-entropy",
            Self::SoftCrossEntropy => "soft-cross-entropy",
            Self::SquaredError => "mse",
            Self::MeanSquaredError => "mse-mean",
            Self::BinaryCrossEntropyWithLogits => "bce",
            Self::NegativeLogLikelihood => "nll",
            Self::CrossEntropyOfProbabilities => "probabilities",
            Self::Own => "own",
        }
    }
}

/// Why a network cannot be bound to a data set.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The graph does not compile.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The data set's inputs are not those of the network.
    #[error(
        "the network's input `{name}` has shape {expected:?} per sample; the data set has {found}{}",
        fits(fitting)
    )]
    Input {
        /// Name of the network's input.
        name: String,
        /// Shape of one sample that the network takes.
        expected: Vec<usize>,
        /// What the data set has.
        found: String,
        /// The description of a network of the same layers that would fit, where there is one.
        fitting: Option<String>,
    },
    /// The targets do not fit the loss.
    #[error("loss {loss} needs {expected}; the data set has {found}")]
    Targets {
        /// Name of the loss.
        loss: &'static str,
        /// What it needs.
        expected: String,
        /// What there is.
        found: String,
    },
}

/// The hint at a network that would fit.
fn fits(fitting: &Option<String>) -> String {
    fitting.as_ref().map_or(String::new(), |name| format!(" (`{name}` would fit)"))
}

impl Network {
    /// Number of parameters N.
    pub fn parameter_count(&self) -> usize {
        self.graph.parameter_count()
    }

    /// Names and shapes of all tensors, parameters first.
    pub fn expected_tensors(&self) -> Vec<ExpectedTensor> {
        let parameters = self.graph.parameters().iter().map(|p| (&p.name, &p.shape));
        let buffers = self.graph.buffers().iter().map(|b| (&b.name, &b.shape));
        parameters.chain(buffers).map(|(n, s)| ExpectedTensor { name: n.clone(), shape: s.clone() }).collect()
    }

    /// Loads a state dict: buffers into the network, parameters as θ (file order of axes, f64).
    ///
    /// # Errors
    /// If names or shapes differ from the network's; the error lists every difference.
    pub fn load(&mut self, tensors: &TensorMap) -> Result<Vec<f64>, WeightsError> {
        tensors.check(&self.expected_tensors())?;
        for buffer in self.graph.buffers_mut() {
            if let Some(tensor) = tensors.get(&buffer.name) {
                buffer.values = tensor.data.to_f64();
            }
        }
        let mut theta = Vec::with_capacity(self.graph.parameter_count());
        for parameter in self.graph.parameters() {
            if let Some(tensor) = tensors.get(&parameter.name) {
                theta.extend(tensor.data.to_f64());
            }
        }
        Ok(theta)
    }

    /// The state dict of the network at θ, in f32.
    ///
    /// # Errors
    /// If two tensors have the same name.
    pub fn to_tensors(&self, theta: &[f64]) -> Result<TensorMap, WeightsError> {
        let mut map = TensorMap::new();
        for (parameter, range) in self.graph.parameters().iter().zip(self.graph.parameter_ranges()) {
            let values = theta[range].iter().map(|&x| x as f32).collect();
            map.insert(parameter.name.clone(), parameter.shape.clone(), TensorData::F32(values))?;
        }
        for buffer in self.graph.buffers() {
            let values = buffer.values.iter().map(|&x| x as f32).collect();
            map.insert(buffer.name.clone(), buffer.shape.clone(), TensorData::F32(values))?;
        }
        Ok(map)
    }

    /// The same in f64, nothing rounded.
    ///
    /// # Errors
    /// As [`Network::to_tensors`].
    pub fn to_f64_tensors(&self, theta: &[f64]) -> Result<TensorMap, WeightsError> {
        let mut map = TensorMap::new();
        for (parameter, range) in self.graph.parameters().iter().zip(self.graph.parameter_ranges()) {
            let values = theta[range].to_vec();
            map.insert(parameter.name.clone(), parameter.shape.clone(), TensorData::F64(values))?;
        }
        for buffer in self.graph.buffers() {
            let values = buffer.values.clone();
            map.insert(buffer.name.clone(), buffer.shape.clone(), TensorData::F64(values))?;
        }
        Ok(map)
    }

    /// Random parameters to start a training from: filters and weights uniform with He's variance 2/fan-in (1/fan-in/3
    /// for the weights of linear maps, as PyTorch does), normalisation scales 1, biases and shifts 0.
    pub fn initialise(&self, seed: u64) -> Vec<f64> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut uniform =
            |bound: f64| bound * (2.0 * (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64 - 1.0);
        let mut theta = Vec::with_capacity(self.parameter_count());
        for p in self.graph.parameters() {
            let n = numel(&p.shape);
            let rows = p.shape.first().copied().unwrap_or(1).max(1);
            let fan_in = match p.kind {
                ParameterKind::LinearWeightTransposed => rows,
                _ => n / rows,
            }
            .max(1) as f64;
            match p.kind {
                ParameterKind::ConvFilter => theta.extend((0..n).map(|_| uniform((6.0 / fan_in).sqrt()))),
                ParameterKind::LinearWeight | ParameterKind::LinearWeightTransposed => {
                    theta.extend((0..n).map(|_| uniform((1.0 / fan_in).sqrt())));
                }
                ParameterKind::Normalization if p.name.ends_with("weight") => {
                    theta.extend((0..n).map(|_| 1.0))
                }
                ParameterKind::Embedding | ParameterKind::Other => {
                    theta.extend((0..n).map(|_| uniform(0.05)))
                }
                ParameterKind::Bias | ParameterKind::Normalization => theta.extend((0..n).map(|_| 0.0)),
            }
        }
        theta
    }

    /// Numbers that one thread holds during a block product with `directions` vectors, per sample, without parameters and data.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn workspace_len(&self, directions: usize) -> Result<usize, GraphError> {
        Ok(Plan::compile(&self.graph, &[self.output], 1, Pass::Hessian)?.workspace_len(directions))
    }

    /// Whether some normalisation can use the statistics of the batch instead of running ones.
    pub fn has_batch_norm(&self) -> bool {
        self.graph.nodes().iter().any(|n| n.op.with_batch_statistics(true).is_some())
    }

    /// Switches batch normalisation between running statistics (evaluation mode, `false`) and the statistics of the
    /// whole batch (training mode, `true`), in which samples influence each other.
    pub fn use_batch_statistics(&mut self, on: bool) {
        for node in self.graph.nodes_mut() {
            if let Some(op) = node.op.with_batch_statistics(on) {
                node.op = op;
            }
        }
    }

    /// Binds the network to a loss and a data set.
    ///
    /// # Errors
    /// If inputs or targets do not fit.
    pub fn objective(&self, loss: LossKind, dataset: &Dataset) -> Result<Objective, NetworkError> {
        let mut graph = self.graph.clone();
        let samples = dataset.samples();
        let mut data = Vec::new();
        let single = graph.data_inputs().len() == 1 && dataset.inputs().len() == 1;
        for input in graph.data_inputs() {
            let found = if single { dataset.inputs().first() } else { dataset.input(&input.name) };
            match found {
                Some(t) if t.shape_per_sample == input.shape => data.push(Numbers::F32(t.values.clone())),
                Some(t) => {
                    return Err(NetworkError::Input {
                        name: input.name.clone(),
                        expected: input.shape.clone(),
                        found: format!("shape {:?}", t.shape_per_sample),
                        fitting: zoo::for_samples(&self.name, &t.shape_per_sample),
                    });
                }
                None => {
                    let names: Vec<&str> = dataset.inputs().iter().map(|i| i.name.as_str()).collect();
                    return Err(NetworkError::Input {
                        name: input.name.clone(),
                        expected: input.shape.clone(),
                        found: format!("only {names:?}"),
                        fitting: None,
                    });
                }
            }
        }
        if loss == LossKind::Own {
            let normalizer = samples as f64;
            let (output, loss) = (self.output, self.output);
            return Ok(Objective { graph, output, loss, data, samples, normalizer, labels: None });
        }
        let output_shape = graph.infer_shapes(1)?[self.output.0].clone();
        let (shape, values, labels, normalizer) = targets(loss, dataset, &output_shape, self.class_axis)?;
        let target = graph.data(DataInput { name: "target".into(), shape, permutation: None });
        data.push(Numbers::F32(values.into()));
        let inputs = [self.output, target];
        let node = match loss {
            LossKind::CrossEntropy => graph.node("loss", CrossEntropy, &inputs),
            LossKind::SoftCrossEntropy => graph.node("loss", SoftCrossEntropy, &inputs),
            LossKind::SquaredError | LossKind::MeanSquaredError => graph.node("loss", SquaredError, &inputs),
            LossKind::BinaryCrossEntropyWithLogits => {
                graph.node("loss", BinaryCrossEntropyWithLogits, &inputs)
            }
            LossKind::NegativeLogLikelihood => graph.node("loss", NegativeLogLikelihood, &inputs),
            LossKind::CrossEntropyOfProbabilities | LossKind::Own => {
                graph.node("loss", CrossEntropyOfProbabilities, &inputs)
            }
        };
        graph.infer_shapes(1)?;
        Ok(Objective {
            graph,
            output: self.output,
            loss: node,
            data,
            samples,
            normalizer,
            labels: labels.map(Arc::new),
        })
    }
}

type BoundTargets = (Vec<usize>, Vec<f32>, Option<Vec<i64>>, f64);

/// Values of samples of this shape with one axis moved behind all others.
fn classes_last(values: &[f32], shape: &[usize], axis: usize) -> Vec<f32> {
    let (classes, inner) = (shape[axis].max(1), numel(&shape[axis + 1..]).max(1));
    let mut out = Vec::with_capacity(values.len());
    for block in values.chunks_exact(classes * inner) {
        (0..inner).for_each(|i| out.extend(block.iter().skip(i).step_by(inner)));
    }
    out
}

/// Shape per sample, values, labels for the accuracy, and K.
fn targets(
    loss: LossKind,
    dataset: &Dataset,
    output: &[usize],
    class_axis: Option<usize>,
) -> Result<BoundTargets, NetworkError> {
    let samples = dataset.samples();
    let classification = matches!(
        loss,
        LossKind::CrossEntropy | LossKind::NegativeLogLikelihood | LossKind::CrossEntropyOfProbabilities
    );
    let wrong = |expected: &str, found: String| NetworkError::Targets {
        loss: loss.name(),
        expected: expected.into(),
        found,
    };
    let outputs = output.last().copied().unwrap_or(1);
    match dataset.targets() {
        Targets::Classes { labels, classes } if classification => {
            if *classes > outputs {
                return Err(wrong(&format!("labels below {outputs}"), format!("{classes} classes")));
            }
            let values = labels.iter().map(|&l| l as f32).collect();
            let labels = labels.iter().map(|&l| i64::from(l)).collect();
            Ok((vec![], values, Some(labels), samples as f64))
        }
        Targets::ClassesPerPosition { labels, positions, classes } if classification => {
            if *classes > outputs {
                return Err(wrong(&format!("labels below {outputs}"), format!("{classes} classes")));
            }
            let counted = labels.iter().filter(|&&l| l >= 0).count();
            let shape =
                if output.len() > 2 { output[1..output.len() - 1].to_vec() } else { vec![*positions] };
            if numel(&shape) != *positions {
                return Err(wrong(&format!("labels of shape {shape:?}"), format!("{positions} positions")));
            }
            let values = labels.iter().map(|&l| l as f32).collect();
            Ok((shape, values, Some(labels.clone()), counted.max(1) as f64))
        }
        Targets::Classes { labels, classes: 0..=2 }
            if loss == LossKind::BinaryCrossEntropyWithLogits && outputs == 1 =>
        {
            let values = labels.iter().map(|&l| l as f32).collect();
            let labels = labels.iter().map(|&l| i64::from(l)).collect();
            Ok((output[1..].to_vec(), values, Some(labels), samples as f64))
        }
        Targets::Values { values, shape } if !classification => {
            if shape[..] != output[1..] && numel(shape) != numel(&output[1..]) {
                return Err(wrong(
                    &format!("values of shape {:?}", &output[1..]),
                    format!("shape {shape:?}"),
                ));
            }
            let moved = match class_axis.filter(|_| loss == LossKind::SoftCrossEntropy) {
                None => values.clone(),
                Some(axis) => {
                    let mut expected = output[1..output.len() - 1].to_vec();
                    expected.insert(axis, outputs);
                    if *shape != expected {
                        return Err(wrong(
                            &format!("values of shape {expected:?}"),
                            format!("shape {shape:?}"),
                        ));
                    }
                    classes_last(values, &expected, axis)
                }
            };
            let each = match loss {
                LossKind::BinaryCrossEntropyWithLogits => numel(shape) as f64,
                // The operation has the factor ½ and no mean over the outputs.
                LossKind::MeanSquaredError => numel(shape) as f64 / 2.0,
                LossKind::SoftCrossEntropy => (numel(shape) / outputs.max(1)) as f64,
                _ => 1.0,
            };
            Ok((output[1..].to_vec(), moved, None, samples as f64 * each))
        }
        Targets::Classes { classes, .. } => Err(wrong(
            if classification { "labels" } else { "values" },
            format!("labels of {classes} classes"),
        )),
        Targets::ClassesPerPosition { positions, .. } => {
            Err(wrong("values", format!("labels of {positions} positions")))
        }
        Targets::Values { shape, .. } => Err(wrong("labels", format!("values of shape {shape:?}"))),
        _ => Err(wrong("targets", "none".into())),
    }
}
