//! An ONNX file as a network of the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use super::ending::{Ending, classes_last, ending};
use super::error::{OnnxError, OpError};
use super::inputs::declare_inputs;
use super::model::Model;
use super::reference::Reference;
use super::roles::{ParameterSource, Role, Roles};
use super::translate::{DataProgram, DraftId, Feed, Symbol, Walker, identity, lifted};
use super::value::Value;
use crate::ElementType;
use saddlescope_data::Dataset;
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
    /// Names of the parameters (for example those of a safetensors file); every other tensor is then a constant. Where nothing is
    /// said, the file is asked, and where that says nothing either, it is assumed.
    pub parameters: Option<BTreeSet<String>>,
    /// Which axis of an input counts the samples, where it is not the first (sequences with the time first); under no name, of every
    /// input that is not named.
    pub batch_axes: BTreeMap<String, usize>,
    /// Inputs that are the same for all samples (a sampling rate, a flag), with their numbers: they become constants, so that control
    /// flow may depend on them. A single number fills the shape that the file declares; otherwise there is one for each element.
    pub fixed_inputs: BTreeMap<String, Vec<f64>>,
    /// No axis counts samples: all inputs together are one sample (a graph whose nodes are the first axis). The data set must have
    /// one sample.
    pub one_sample: bool,
}

impl ImportOptions {
    /// Shapes as the data set has them, under the names of its inputs; a single input fits any name.
    pub fn for_dataset(dataset: &Dataset) -> Self {
        let mut sample_shapes: BTreeMap<String, Vec<usize>> =
            dataset.inputs().iter().map(|i| (i.name.clone(), i.shape_per_sample.clone())).collect();
        if let [only] = dataset.inputs() {
            sample_shapes.insert(String::new(), only.shape_per_sample.clone());
        }
        Self { sample_shapes, ..Self::default() }
    }
}

/// A network read from an ONNX file, with its parameters.
#[derive(Clone, Debug)]
pub struct OnnxModel {
    /// The network. Where the file ends in softmax, log-softmax or sigmoid, its output is what goes into that, so that a
    /// cross-entropy can be computed stably; see [`OnnxModel::network_for`].
    pub network: Network,
    /// θ as the file has it, in the order of the network's parameters, widened to f64.
    pub theta: Arc<[f64]>,
    /// What the last operation was.
    pub ending: Ending,
    /// Inputs that the data set must provide, by name.
    pub inputs: Vec<ModelInput>,
    /// Float initialisers that the output does not depend on.
    pub unused: Vec<String>,
    /// Float tensors that were taken for constants rather than parameters, with the reason.
    pub constants: Vec<(String, String)>,
    /// How it is known which tensors are parameters.
    pub parameter_source: ParameterSource,
    /// Other names of parameters, where the file says them: `lm_head.weight` for a tied `wte.weight`.
    pub ties: BTreeMap<String, Vec<String>>,
    /// What PyTorch computed when the network was exported, if the file has it.
    pub reference: Option<Reference>,
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
    /// Input of the engine that is 1 for every label that the model's own mean counts.
    counted_labels: Option<String>,
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
        let reference = Reference::read(&model.metadata)?;
        let roles = Roles::new(model, options.parameters.as_ref())?;
        // A default value that is meant to be replaced looks like a weight.
        let both = |(name, _): &&(String, Value)| options.sample_shapes.contains_key(name);
        if let Some((name, _)) = graph.initializers.iter().find(both) {
            return Err(OnnxError::Invalid(format!(
                "`{name}` is an array of the data, and the file keeps a value of that name (an initialiser), which would be used \
                 instead: take one of the two away, or rename it"
            )));
        }
        let (whole, inner) = lifted(graph);
        let stored = graph.initializers.iter().chain(&inner);
        let numbers = stored.map(|(_, v)| v.len()).fold(0, usize::saturating_add);
        let mut walker = Walker::new(&whole, numbers, std::slice::from_ref(&output), roles.clone());
        walker.builder.one_sample = options.one_sample;
        walker.builder.declared = roles.declared_names();
        let inputs = declare_inputs(&mut walker, &graph.inputs, options)?;
        let mut set_aside = declare_initializers(&mut walker, &graph.initializers, &roles);
        set_aside.extend(declare_initializers(&mut walker, &inner, &roles));
        walker.graph(&whole).map_err(|e| explain(e, walker.declared_batch))?;

        let (ending, before) = ending(&walker, &whole.nodes, &output)?;
        let mut class_axis = None;
        let mut place = |walker: &mut Walker, name: &str| -> Result<[DraftId; 2], OnnxError> {
            let symbol = walker.symbols.get(name).cloned();
            let symbol = symbol.ok_or_else(|| OnnxError::Invalid(format!("no value for `{name}`")))?;
            let of_output = |reason| OnnxError::Tensor { name: name.to_string(), reason };
            walker.refuse_places(std::slice::from_ref(&symbol)).map_err(of_output)?;
            let Symbol::Engine(tensor) = symbol else {
                return Err(of_output(OpError::new(no_parameters(&roles, &set_aside))));
            };
            let first = samples_first(walker.builder.shapes(&tensor), identity(tensor.order.len()));
            let plain = walker.builder.moved(&tensor, &first).map_err(of_output)?;
            let classes = samples_first(walker.builder.shapes(&tensor), classes_last(&tensor.order));
            let last = walker.builder.moved(&tensor, &classes).map_err(of_output)?;
            // Where the file has the classes, of one sample.
            let there = first.iter().position(|d| Some(d) == classes.last());
            let there = there.filter(|&d| d + 1 < first.len());
            class_axis = there.and_then(|d| if options.one_sample { Some(d) } else { d.checked_sub(1) });
            if options.one_sample {
                let mut ids = [plain.id; 2];
                for (id, t) in ids.iter_mut().zip([plain, last]) {
                    *id = walker.builder.as_one_sample(&t).map_err(of_output)?.id;
                }
                return Ok(ids);
            }
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
        let mut notes = notes(&walker, model, &roles);
        let builder = std::mem::take(&mut walker.builder);
        let names: Vec<String> = builder.draft.candidates.iter().map(|c| c.name.clone()).collect();
        let stored: Vec<_> = builder.draft.candidates.iter().map(|c| c.value.clone()).collect();
        let constant: BTreeSet<usize> = builder.constants.keys().copied().collect();
        let used_as_constants = builder.constants.iter().map(|(c, why)| (names[*c].clone(), why.clone()));
        let set_aside = set_aside.into_iter().filter(|(name, _)| !builder.statistics.contains(name));
        let constants: Vec<(String, String)> = used_as_constants.chain(set_aside).collect();
        let statistics = builder.buffer_candidates;
        let done = builder.draft.finish(&[logits, classes, values]);
        if done.parameters.is_empty() {
            return Err(OnnxError::Invalid(no_parameters(&roles, &constants)));
        }
        let used: BTreeSet<&str> = done.graph.data_inputs().iter().map(|d| d.name.as_str()).collect();
        let feeds: Vec<Feed> =
            builder.feeds.into_iter().filter(|f| used.contains(f.value.as_str())).collect();
        let program = DataProgram::new(&walker, &inputs, feeds, options.one_sample)?;
        let mut theta = Vec::with_capacity(done.graph.parameter_count());
        for &c in &done.parameters {
            theta.extend(
                stored[c].to_f64s().map_err(|reason| OnnxError::Tensor { name: names[c].clone(), reason })?,
            );
        }
        let parameters: BTreeSet<usize> = done.parameters.iter().copied().collect();
        let unused = (0..names.len())
            .filter(|c| !parameters.contains(c) && !statistics.contains(c) && !constant.contains(c))
            .map(|c| names[c].clone())
            .collect();
        let ours: Vec<String> = done.parameters.iter().map(|&c| names[c].clone()).collect();
        notes.extend(assumptions(&roles, &ours, &constants));
        let ties =
            ours.iter().map(|n| (n.clone(), roles.ties(n))).filter(|(_, ties)| !ties.is_empty()).collect();
        let [logits, classes, values] = done.outputs[..] else {
            return Err(OnnxError::Invalid("the output was lost".into()));
        };
        Ok(Self {
            network: Network { name: name.into(), graph: done.graph, output: logits, class_axis },
            theta: theta.into(),
            ending: if own_loss { Ending::Loss } else { ending },
            inputs: program.inputs().to_vec(),
            unused,
            constants,
            parameter_source: roles.source,
            ties,
            reference,
            notes,
            producer: model.producer.clone(),
            opset: model.opset,
            classes,
            values,
            program,
            counted_labels: walker.counted_labels.clone(),
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
        let bytes = |i: &&ModelInput| {
            i.element == ElementType::U8 && dataset.input(&i.name).is_some_and(|found| !found.integer)
        };
        if let Some(input) = self.inputs.iter().find(bytes) {
            return Err(OnnxError::Invalid(format!(
                "the input `{}` takes numbers from 0 to 255 (uint8), and the data's images are scaled to 0 to 1: store the array as int16 \
                 or float32",
                input.name
            )));
        }
        let prepared = self.program.apply(dataset)?;
        self.check_counts(&prepared)?;
        if self.independent.get().is_none()
            && super::independence::check(&self.network.graph, self.values, &self.theta, &prepared)?
        {
            // Already set if another thread was first.
            let _ = self.independent.set(());
        }
        Ok(prepared)
    }

    /// A mean over the labels that are not left out is a mean over samples only if all samples have as many.
    fn check_counts(&self, prepared: &Dataset) -> Result<(), OnnxError> {
        let Some(counted) = self.counted_labels.as_ref().and_then(|name| prepared.input(name)) else {
            return Ok(());
        };
        let each = counted.values_per_sample().max(1);
        let (mut first, mut other) = (None, None);
        counted.values.for_each_block(|values| {
            for sample in values.chunks(each) {
                let count = sample.iter().filter(|&&x| x != 0.0).count();
                if *first.get_or_insert(count) != count {
                    other = Some(count);
                }
            }
            Ok(())
        })?;
        let first = first.unwrap_or(0);
        match other {
            None => Ok(()),
            Some(other) => Err(OnnxError::Invalid(format!(
                "the model's own loss is a mean over the labels that are not left out, of which samples have different numbers ({first} \
                 and {other}): it is no mean over samples; export the logits instead"
            ))),
        }
    }

    /// The network whose output this loss takes: before softmax or sigmoid for the losses that contain it, else the
    /// file's own output.
    pub fn network_for(&self, loss: LossKind) -> Network {
        let output = match (loss, self.ending) {
            (LossKind::CrossEntropy | LossKind::SoftCrossEntropy, Ending::Softmax | Ending::LogSoftmax)
            | (LossKind::BinaryCrossEntropyWithLogits, Ending::Sigmoid) => self.network.output,
            (
                LossKind::SquaredError
                | LossKind::MeanSquaredError
                | LossKind::BinaryCrossEntropyWithLogits
                | LossKind::Own,
                _,
            ) => self.values,
            _ => self.classes,
        };
        Network { output, ..self.network.clone() }
    }

    /// What the user should know about this data set: arrays that the network does not take.
    pub fn data_notes(&self, dataset: &Dataset) -> Vec<String> {
        let unused = self.program.unused(dataset);
        if unused.is_empty() {
            return vec![];
        }
        vec![format!("the network does not take the data set's {}", listed(&unused))]
    }
}

/// Names as a list in words, the first eight of them.
pub(crate) fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(8).map(|n| format!("`{n}`")).collect();
    match names.len().saturating_sub(8) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The order of axes with the one that counts the samples (the one that grows with the batch) first.
fn samples_first([a, b]: [Vec<usize>; 2], order: Vec<usize>) -> Vec<usize> {
    let grows: Vec<usize> = (0..a.len()).filter(|&d| a[d] != b[d]).collect();
    match grows[..] {
        [axis] => std::iter::once(axis).chain(order.into_iter().filter(|&d| d != axis)).collect(),
        _ => order,
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

/// Declares the initialisers; returns those that were taken for constants although they might be parameters, with the reason.
fn declare_initializers(
    walker: &mut Walker,
    initializers: &[(String, Value)],
    roles: &Roles,
) -> Vec<(String, String)> {
    let mut set_aside = Vec::new();
    for (name, value) in initializers {
        let symbol = match roles.of(name, value) {
            Role::Parameter => walker.candidate(name, Rc::new(value.clone())),
            Role::Plain => Walker::known(name, value.clone()),
            Role::Constant(reason) => {
                set_aside.push((name.clone(), reason));
                Walker::known(name, value.clone())
            }
        };
        walker.symbols.insert(name.clone(), symbol);
    }
    set_aside
}

/// Why a model without parameters is refused.
fn no_parameters(roles: &Roles, constants: &[(String, String)]) -> String {
    let mut text = "the output does not depend on any parameter".to_string();
    match roles.source {
        ParameterSource::Given => text += "; no tensor of the file has one of the names that were given",
        ParameterSource::List | ParameterSource::Signature => {
            text += "; no tensor of the file has one of the names in its list of parameters";
        }
        ParameterSource::Assumed => {}
    }
    if !constants.is_empty() {
        let each: Vec<String> =
            constants.iter().take(8).map(|(name, why)| format!("`{name}` ({why})")).collect();
        text += &format!("; taken for constants: {}", each.join(", "));
    }
    text + ". Name the parameters (those of a safetensors file, for example), or export the model with its weights as initialisers"
}

/// What was assumed about parameters, and what the file's list names but does not hold.
fn assumptions(roles: &Roles, parameters: &[String], constants: &[(String, String)]) -> Vec<String> {
    let mut notes = Vec::new();
    let by_guess: Vec<String> = match roles.source {
        ParameterSource::Given | ParameterSource::List => vec![],
        ParameterSource::Signature => parameters.iter().filter(|n| !roles.is_declared(n)).cloned().collect(),
        ParameterSource::Assumed => parameters.to_vec(),
    };
    if !by_guess.is_empty() {
        let set_aside: Vec<String> = constants.iter().map(|(name, _)| name.clone()).collect();
        let (who, rest) = if roles.source == ParameterSource::Assumed {
            ("the file does not say which tensors are parameters", set_aside)
        } else {
            ("the file's list of parameters does not name all tensors that could be parameters", vec![])
        };
        let constants =
            if rest.is_empty() { String::new() } else { format!("; taken for constants: {}", listed(&rest)) };
        notes.push(format!("{who}; assumed to be parameters: {}{constants}", listed(&by_guess)));
    }
    let there = |name: &str| parameters.iter().any(|p| p == name || roles.ties(p).iter().any(|t| t == name));
    let missing: Vec<String> =
        roles.declared().iter().filter(|d| d.used && !there(&d.name)).map(|d| d.name.clone()).collect();
    if !missing.is_empty() {
        notes.push(format!(
            "declared as parameters, but not used by the file's output: {} (the loss does not depend on them, or the exporter \
             folded them into other tensors or wrote equal tensors once)",
            listed(&missing)
        ));
    }
    notes
}

/// Traps of exporters that can be seen in the file.
fn notes(walker: &Walker, model: &Model, roles: &Roles) -> Vec<String> {
    let mut notes = walker.builder.notes.clone();
    let count = |op: &str| model.graph.nodes.iter().filter(|n| n.op_type == op).count();
    let biased = model.graph.nodes.iter().filter(|n| n.op_type == "Conv" && n.inputs.len() > 2).count();
    // A list of parameters would show what was folded; networks with another normalisation are seldom trained with this one.
    let other = ["LayerNormalization", "InstanceNormalization", "GroupNormalization", "RMSNormalization"];
    let normalised_otherwise = other.iter().any(|op| count(op) > 0);
    let unknown = roles.source == ParameterSource::Assumed && !normalised_otherwise;
    if unknown && count("Conv") > 2 && count("BatchNormalization") == 0 && biased == count("Conv") {
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
