//! An ONNX file as a network of the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::OnceLock;

use super::ending::{Ending, classes_last, ending};
use super::error::{OnnxError, OpError};
use super::model::{Declaration, Dim, Model};
use super::translate::{DataProgram, DraftId, Feed, Symbol, Walker, data_symbol, identity, weight_symbol};
use super::value::Value;
use saddlescope_data::{Dataset, Targets};
use saddlescope_nn::graph::ValueId;
use saddlescope_nn::network::{LossKind, Network};

pub use super::translate::ModelInput;

/// What an import may be told.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Shape of one sample (without the batch) of inputs whose dimensions the file leaves open; the shape of the data.
    pub sample_shapes: BTreeMap<String, Vec<usize>>,
    /// Which output to use; the first if nothing is said.
    pub output: Option<String>,
}

impl ImportOptions {
    /// Shapes as the data set has them, under the names of its inputs; a single input fits any name.
    pub fn for_dataset(dataset: &Dataset) -> Self {
        let mut sample_shapes: BTreeMap<String, Vec<usize>> =
            dataset.inputs().iter().map(|i| (i.name.clone(), i.shape_per_sample.clone())).collect();
        if let [only] = dataset.inputs() {
            sample_shapes.insert(String::new(), only.shape_per_sample.clone());
        }
        Self { sample_shapes, output: None }
    }
}

/// A network read from an ONNX file, with its parameters.
#[derive(Clone, Debug)]
pub struct OnnxModel {
    /// The network. Where the file ends in softmax, log-softmax or sigmoid, its output is what goes into that, so that a
    /// cross-entropy can be computed stably; see [`OnnxModel::network_for`].
    pub network: Network,
    /// θ as the file has it, in the order of the network's parameters, widened to f64.
    pub theta: Vec<f64>,
    /// What the last operation was.
    pub ending: Ending,
    /// Inputs that the data set must provide, by name.
    pub inputs: Vec<ModelInput>,
    /// Float initialisers that the output does not depend on.
    pub unused: Vec<String>,
    /// Float initialisers that were taken for constants rather than parameters, with the reason.
    pub constants: Vec<(String, String)>,
    /// What the user should know: traps of exporters that were found.
    pub notes: Vec<String>,
    /// Program that wrote the file.
    pub producer: String,
    /// Version of the standard operator set.
    pub opset: i64,
    /// The file's own output, with the classes in the last axis.
    classes: ValueId,
    /// The file's own output, with its axes in the file's order.
    values: ValueId,
    program: DataProgram,
    /// Set once the samples of a batch were found to be independent.
    independent: OnceLock<()>,
}

impl OnnxModel {
    /// Reads a model file.
    ///
    /// # Errors
    /// See [`OnnxError`].
    pub fn load(path: &Path, options: &ImportOptions) -> Result<Self, OnnxError> {
        let model = Model::read(path)?;
        let name = path.file_stem().map_or_else(|| "onnx".into(), |s| s.to_string_lossy().into_owned());
        Self::import(&model, name, options)
    }

    /// Translates a checked model.
    ///
    /// # Errors
    /// See [`OnnxError`].
    pub fn import(
        model: &Model,
        name: impl Into<String>,
        options: &ImportOptions,
    ) -> Result<Self, OnnxError> {
        let graph = &model.graph;
        let output = match &options.output {
            None => graph.outputs.first().map(|o| o.name.clone()),
            Some(name) => graph.outputs.iter().find(|o| o.name == *name).map(|o| o.name.clone()),
        };
        let output = output.ok_or_else(|| {
            let names: Vec<&str> = graph.outputs.iter().map(|o| o.name.as_str()).collect();
            OnnxError::Invalid(format!(
                "no output `{}`; the model has {names:?}",
                options.output.as_deref().unwrap_or("")
            ))
        })?;
        let mut walker = Walker::new(graph, std::slice::from_ref(&output));
        let inputs = declare_inputs(&mut walker, &graph.inputs, options)?;
        let places = declare_initializers(&mut walker, &graph.initializers);
        walker.graph(graph).map_err(|e| explain(e, walker.declared_batch))?;

        let (ending, before) = ending(&walker, &graph.nodes, &output)?;
        let place = |walker: &mut Walker<'_>, name: &str| -> Result<[DraftId; 2], OnnxError> {
            let symbol = walker.symbols.get(name).cloned();
            let symbol = symbol.ok_or_else(|| OnnxError::Invalid(format!("no value for `{name}`")))?;
            let of_output = |reason| OnnxError::Tensor { name: name.to_string(), reason };
            let Symbol::Engine(tensor) = symbol else {
                return Err(of_output(OpError::new("the output does not depend on any parameter")));
            };
            let plain = walker.builder.moved(&tensor, &identity(tensor.order.len())).map_err(of_output)?;
            let last = walker.builder.moved(&tensor, &classes_last(&tensor.order)).map_err(of_output)?;
            Ok([plain.id, last.id])
        };
        let [values, classes] = place(&mut walker, &output)?;
        let logits = match (&before, ending) {
            (Some(name), Ending::Sigmoid) => place(&mut walker, name)?[0],
            (Some(name), _) => place(&mut walker, name)?[1],
            (None, _) => classes,
        };
        let own_loss = walker.loss_per_sample
            || ending == Ending::Plain && {
                let [a, b] = walker.builder.draft.shape(values);
                a == b && a.iter().all(|&d| d == 1)
            };
        let notes = notes(&walker, model);
        let builder = std::mem::take(&mut walker.builder);
        let names: Vec<String> = builder.draft.candidates.iter().map(|c| c.name.clone()).collect();
        let constant: BTreeSet<usize> = builder.constants.keys().copied().collect();
        let constants: Vec<(String, String)> =
            builder.constants.iter().map(|(c, why)| (names[*c].clone(), why.clone())).collect();
        let statistics = builder.buffer_candidates;
        let done = builder.draft.finish(&[logits, classes, values]);
        let used: BTreeSet<&str> = done.graph.data_inputs().iter().map(|d| d.name.as_str()).collect();
        let feeds: Vec<Feed> =
            builder.feeds.into_iter().filter(|f| used.contains(f.value.as_str())).collect();
        let program = DataProgram::new(&walker, &inputs, feeds)?;
        let mut theta = Vec::with_capacity(done.graph.parameter_count());
        for &c in &done.parameters {
            let value = &graph.initializers[places[c]].1;
            theta.extend(
                value.to_f64s().map_err(|reason| OnnxError::Tensor { name: names[c].clone(), reason })?,
            );
        }
        let parameters: BTreeSet<usize> = done.parameters.iter().copied().collect();
        let unused = (0..names.len())
            .filter(|c| !parameters.contains(c) && !statistics.contains(c) && !constant.contains(c))
            .map(|c| names[c].clone())
            .collect();
        let [logits, classes, values] = done.outputs[..] else {
            return Err(OnnxError::Invalid("the output was lost".into()));
        };
        Ok(Self {
            network: Network { name: name.into(), graph: done.graph, output: logits },
            theta,
            ending: if own_loss { Ending::Loss } else { ending },
            inputs: program.inputs().to_vec(),
            unused,
            constants,
            notes,
            producer: model.producer.clone(),
            opset: model.opset,
            classes,
            values,
            program,
            independent: OnceLock::new(),
        })
    }

    /// The data set as the network takes it: the part of the model that depends on the data alone (masks, positions,
    /// casts, normalisation of inputs) is computed here, once.
    ///
    /// # Errors
    /// Inputs are missing or have other shapes than the model was imported for, or samples of a batch influence each other
    /// (checked with the first data set of two samples or more).
    pub fn prepare(&self, dataset: &Dataset) -> Result<Dataset, OnnxError> {
        let prepared = self.program.apply(dataset)?;
        if self.independent.get().is_none()
            && super::independence::check(&self.network.graph, self.values, &self.theta, &prepared)?
        {
            // Already set if another thread was first.
            let _ = self.independent.set(());
        }
        Ok(prepared)
    }

    /// The network whose output this loss takes: before softmax or sigmoid for the losses that contain it, else the
    /// file's own output.
    pub fn network_for(&self, loss: LossKind) -> Network {
        let output = match (loss, self.ending) {
            (LossKind::CrossEntropy, Ending::Softmax | Ending::LogSoftmax)
            | (LossKind::BinaryCrossEntropyWithLogits, Ending::Sigmoid) => self.network.output,
            (LossKind::SquaredError | LossKind::BinaryCrossEntropyWithLogits | LossKind::Own, _) => {
                self.values
            }
            _ => self.classes,
        };
        Network { output, ..self.network.clone() }
    }

    /// The loss that suits the model's ending and the data's targets.
    pub fn default_loss(&self, dataset: &Dataset) -> LossKind {
        match (self.ending, dataset.targets()) {
            (Ending::Loss, _) | (_, Targets::None) => LossKind::Own,
            (Ending::Sigmoid, Targets::Values { .. }) => LossKind::BinaryCrossEntropyWithLogits,
            (_, Targets::Values { .. }) => LossKind::SquaredError,
            (Ending::Sigmoid, _) => LossKind::BinaryCrossEntropyWithLogits,
            _ => LossKind::CrossEntropy,
        }
    }
}

/// A fixed batch size in the file is the likely reason for an error about shapes.
fn explain(error: OnnxError, declared_batch: Option<usize>) -> OnnxError {
    match (error, declared_batch) {
        (OnnxError::Node { node, operator, reason }, Some(n)) => OnnxError::Node {
            node,
            operator,
            reason: OpError::new(format!(
                "{reason}. The file fixes the batch size to {n}: if that is the reason, export it with a dynamic batch \
                 dimension"
            )),
        },
        (error, _) => error,
    }
}

fn declare_inputs(
    walker: &mut Walker<'_>,
    declared: &[Declaration],
    options: &ImportOptions,
) -> Result<Vec<ModelInput>, OnnxError> {
    let mut inputs = Vec::new();
    for input in declared {
        let wrong = |text: String| OnnxError::Tensor { name: input.name.clone(), reason: OpError::new(text) };
        let given = options.sample_shapes.get(&input.name).or_else(|| {
            // The shape of a single input under no name.
            options.sample_shapes.get("").filter(|_| declared.len() == 1)
        });
        let element =
            input.element.ok_or_else(|| wrong("its element type is not declared or not supported".into()))?;
        let mut shape = Vec::new();
        match &input.shape {
            Some(dims) => {
                if let Some(Dim::Fixed(n)) = dims.first() {
                    walker.declared_batch = Some(*n);
                }
                for (d, dim) in dims.iter().enumerate().skip(1) {
                    let from_data = given.and_then(|g| g.get(d - 1)).copied();
                    shape.push(match (dim, from_data) {
                        (Dim::Fixed(n), _) => *n,
                        (_, Some(n)) => n,
                        (Dim::Named(name), None) => {
                            return Err(wrong(format!(
                                "dimension {d} (`{name}`) is open; the data must give it"
                            )));
                        }
                        (Dim::Open, None) => {
                            return Err(wrong(format!("dimension {d} is open; the data must give it")));
                        }
                    });
                }
            }
            None => match given {
                Some(given) => shape = given.clone(),
                None => return Err(wrong("its shape is not declared; the data must give it".into())),
            },
        }
        let symbol = data_symbol(&input.name, element, &shape, &walker.builder.budget)
            .map_err(|reason| OnnxError::Tensor { name: input.name.clone(), reason })?;
        walker.symbols.insert(input.name.clone(), symbol);
        inputs.push(ModelInput { name: input.name.clone(), shape, element });
    }
    Ok(inputs)
}

/// Float tensors of more than one number may be parameters; for each such candidate, its place among the initialisers.
fn declare_initializers(walker: &mut Walker<'_>, initializers: &[(String, Value)]) -> Vec<usize> {
    let mut candidates = Vec::new();
    for (i, (name, value)) in initializers.iter().enumerate() {
        let symbol = if is_candidate(name, value) {
            let candidate = walker.candidate(name, value.shape());
            candidates.push(i);
            weight_symbol(candidate, value)
        } else {
            Walker::known(name, value.clone())
        };
        walker.symbols.insert(name.clone(), symbol);
    }
    candidates
}

/// Whether a float initialiser may be a parameter.
fn is_candidate(name: &str, value: &Value) -> bool {
    let Ok(numbers) = value.as_floats() else { return false };
    // Single numbers that an exporter made (`val_12`, `/layer/Constant_output_0`) are constants of formulas; those that
    // carry the name of a module's attribute (`block.0.alpha`) are parameters.
    let single_constant =
        numbers.len() == 1 && (!name.contains('.') || name.starts_with('/') || name.starts_with("onnx::"));
    // Masks hold −∞ or the lowest number there is; weights do not.
    !numbers.is_empty() && !single_constant && numbers.iter().all(|x| x.is_finite() && x.abs() < 1e30)
}

/// Traps of exporters that can be seen in the file.
fn notes(walker: &Walker<'_>, model: &Model) -> Vec<String> {
    let mut notes = walker.builder.notes.clone();
    let count = |op: &str| model.graph.nodes.iter().filter(|n| n.op_type == op).count();
    let biased = model.graph.nodes.iter().filter(|n| n.op_type == "Conv" && n.inputs.len() > 2).count();
    if count("Conv") > 2 && count("BatchNormalization") == 0 && biased == count("Conv") {
        notes.push(
            "every convolution has a bias and there is no batch normalisation: if the network was trained with it, the \
             exporter folded it into the filters, and the curvature is that of the folded network; export in training mode \
             (torch.onnx.export(..., training=TrainingMode.TRAINING) or PRESERVE, do_constant_folding=False) to keep it"
                .into(),
        );
    }
    if count("Dropout") > 0 {
        notes.push("dropout is taken in evaluation mode: it does nothing".into());
    }
    notes
}
