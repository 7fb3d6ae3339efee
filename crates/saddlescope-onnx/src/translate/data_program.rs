//! What the interpreter computes from the data, once per data set: masks, positions, casts, normalised inputs.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::builder::{Feed, ZEROS};
use super::symbol::{Known, PROBES, Symbol};
use super::walk::{Step, Walker};
use crate::element::ElementType;
use crate::error::{OnnxError, OpError};
use crate::eval::{self, Budget};
use crate::graph::Node;
use crate::interpret;
use crate::value::{Data, Value, numel};
use saddlescope_data::{Dataset, InputTensor, Targets, Values};

/// Samples that are computed at once.
const CHUNK: usize = 64;
/// Most elements that one chunk may produce.
const CHUNK_BUDGET: usize = 1 << 26;

/// An input of the model as the data set must provide it.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInput {
    /// Name in the file.
    pub name: String,
    /// Shape of one sample.
    pub shape: Vec<usize>,
    /// Which axis of the file's input counts the samples.
    pub batch_axis: usize,
    /// Element type.
    pub element: ElementType,
}

#[derive(Clone, Debug)]
enum Instruction {
    Node(Node),
    /// Integers that grow with the batch: their values at the two probe batch sizes.
    Affine(String, [Vec<i64>; 2], Vec<usize>),
}

/// The part of a model that depends on the data but not on parameters.
#[derive(Clone, Debug)]
pub(crate) struct DataProgram {
    inputs: Vec<ModelInput>,
    constants: BTreeMap<String, Value>,
    instructions: Vec<Instruction>,
    feeds: Vec<Feed>,
    /// No axis counts samples: there is one.
    one_sample: bool,
}

impl DataProgram {
    /// What the walker must have evaluated to provide `feeds`.
    pub(crate) fn new(
        walker: &Walker,
        inputs: &[ModelInput],
        feeds: Vec<Feed>,
        one_sample: bool,
    ) -> Result<Self, OnnxError> {
        let mut wanted: BTreeSet<String> = feeds.iter().map(|f| f.value.clone()).collect();
        let mut constants = BTreeMap::new();
        let mut instructions = Vec::new();
        let fixed = |name: &str| match walker.symbols.get(name) {
            Some(Symbol::Known(k)) => k.fixed().map(|v| v.as_ref().clone()),
            Some(Symbol::Weight { value, .. }) => Some(value.as_ref().clone()),
            _ => None,
        };
        let is_fixed = |name: &str| match walker.symbols.get(name) {
            Some(Symbol::Known(k)) => k.fixed().is_some(),
            symbol => matches!(symbol, Some(Symbol::Weight { .. })),
        };
        for step in walker.steps.iter().rev() {
            let node = match step {
                Step::Node(node) => node,
                Step::Shape(known) => {
                    if wanted.contains(&known.name) && known.fixed().is_none() {
                        instructions.push(affine(known)?);
                    }
                    continue;
                }
            };
            let is_wanted = node.outputs.iter().any(|o| wanted.contains(o) && !is_fixed(o));
            if is_wanted {
                wanted.extend(node.inputs.iter().filter(|i| !i.is_empty()).cloned());
                instructions.push(Instruction::Node(node.clone()));
            }
        }
        instructions.reverse();
        for name in &wanted {
            if let Some(value) = fixed(name) {
                constants.insert(name.clone(), value);
            }
        }
        let inputs = inputs.iter().filter(|i| wanted.contains(&i.name)).cloned().collect();
        Ok(Self { inputs, constants, instructions, feeds, one_sample })
    }

    /// Inputs of the model that are needed.
    pub(crate) fn inputs(&self) -> &[ModelInput] {
        &self.inputs
    }

    /// The data set with the engine's data inputs instead of the model's.
    pub(crate) fn apply(&self, dataset: &Dataset) -> Result<Dataset, OnnxError> {
        let samples = dataset.samples();
        if self.one_sample && samples != 1 {
            return Err(OnnxError::Invalid(format!(
                "the model was imported for data that are one sample; the data set has {samples}"
            )));
        }
        let sources = self.sources(dataset)?;
        let as_given: Vec<Option<&Values>> =
            self.feeds.iter().map(|feed| self.as_given(feed, &sources)).collect();
        let mut columns: Vec<Vec<f32>> = self
            .feeds
            .iter()
            .zip(&as_given)
            .map(|(feed, as_given)| match as_given {
                Some(_) => Vec::new(),
                None => Vec::with_capacity(samples.saturating_mul(numel(&feed.shape).unwrap_or(0))),
            })
            .collect();
        // What the network takes as it is given is shared with the data set, or stays in its file.
        let mut start = if as_given.iter().all(Option::is_some) { samples } else { 0 };
        let mut chunk = CHUNK;
        while start < samples {
            let end = (start + chunk).min(samples);
            let rows = match self.rows(&sources, start, end) {
                // Perhaps too much at once (masks of long sequences): fewer samples then.
                Err(e) if e.is_too_much() && end - start > 1 => {
                    chunk = (end - start) / 2;
                    continue;
                }
                rows => rows?,
            };
            for ((column, rows), as_given) in columns.iter_mut().zip(rows).zip(&as_given) {
                if as_given.is_none() {
                    column.extend(rows);
                }
            }
            if start == 0 {
                self.check_independence(&sources, end, &columns)?;
            }
            start = end;
        }
        let inputs = self
            .feeds
            .iter()
            .zip(columns)
            .zip(&as_given)
            .map(|((feed, values), as_given)| InputTensor {
                name: feed.value.clone(),
                shape_per_sample: feed.shape.clone(),
                values: as_given.map_or_else(|| values.into(), Values::clone),
                integer: false,
            })
            .collect();
        Dataset::new(inputs, dataset.targets().clone(), dataset.normalization().clone(), dataset.provenance())
            .map_err(|e| OnnxError::Invalid(format!("the data that the model computes from its inputs: {e}")))
    }

    /// The values of a feed that is an input of the model as the data set has it.
    fn as_given<'d>(&self, feed: &Feed, sources: &BTreeMap<String, Source<'d>>) -> Option<&'d Values> {
        let input = self.inputs.iter().find(|input| input.name == feed.value)?;
        let unchanged = matches!(input.element, ElementType::F32 | ElementType::F64)
            && (input.batch_axis, feed.batch_axis, feed.per_sample) == (0, 0, 1)
            && input.shape == feed.shape;
        match &sources.get(&input.name)?.numbers {
            Numbers::Values(values) if unchanged => Some(*values),
            _ => None,
        }
    }

    /// The first sample alone must give what it gives among others.
    fn check_independence(
        &self,
        sources: &BTreeMap<String, Source<'_>>,
        end: usize,
        columns: &[Vec<f32>],
    ) -> Result<(), OnnxError> {
        if end < 2 || self.instructions.is_empty() {
            return Ok(());
        }
        for ((feed, alone), together) in self.feeds.iter().zip(self.rows(sources, 0, 1)?).zip(columns) {
            // Those that the network takes as they are given have no column here, and nothing to compare.
            let same = |(a, b): (&f32, &f32)| a == b || (a.is_nan() && b.is_nan());
            if !alone.iter().zip(together).all(same) {
                return Err(OnnxError::Invalid(format!(
                    "`{}` mixes the samples of a batch; the loss would not be a mean over samples",
                    feed.value
                )));
            }
        }
        Ok(())
    }

    /// Values of all feeds for the samples `start..end`, sample after sample.
    fn rows(
        &self,
        sources: &BTreeMap<String, Source<'_>>,
        start: usize,
        end: usize,
    ) -> Result<Vec<Vec<f32>>, OnnxError> {
        let batch = end - start;
        let mut environment = self.constants.clone();
        for input in &self.inputs {
            let place = |v: Value| match self.one_sample {
                true => v.with_shape(input.shape.clone()),
                false => in_place(v, input),
            };
            let value = sources.get(&input.name).map(|s| s.value(input, start, end).and_then(place));
            let value = value.ok_or_else(|| OnnxError::Invalid(format!("no data for `{}`", input.name)))?;
            environment
                .insert(input.name.clone(), value.map_err(|reason| tensor_error(&input.name, reason))?);
        }
        let budget = Budget::new(CHUNK_BUDGET);
        for instruction in &self.instructions {
            match instruction {
                Instruction::Affine(name, at, shape) => {
                    let value = affine_at(at, shape, batch).map_err(|e| tensor_error(name, e))?;
                    environment.insert(name.clone(), value);
                }
                Instruction::Node(node) => {
                    let inputs: Vec<Option<&Value>> = node
                        .inputs
                        .iter()
                        .map(|n| if n.is_empty() { None } else { environment.get(n) })
                        .collect();
                    let outputs = interpret::node(node, &inputs, &budget)?;
                    for (name, value) in node.outputs.iter().zip(outputs) {
                        environment.insert(name.clone(), value);
                    }
                }
            }
        }
        self.feeds
            .iter()
            .map(|feed| {
                if feed.value == ZEROS {
                    return Ok(vec![0.0; batch]);
                }
                let value = environment.get(&feed.value);
                let value =
                    value.ok_or_else(|| OnnxError::Invalid(format!("no value for `{}`", feed.value)))?;
                if self.one_sample {
                    return value
                        .to_f64s()
                        .map(|v| v.into_iter().map(|x| x as f32).collect())
                        .map_err(|e| tensor_error(&feed.value, e));
                }
                rows_of(feed, value, batch).map_err(|e| tensor_error(&feed.value, e))
            })
            .collect()
    }

    /// Names of the data set's inputs that the model does not take.
    pub(crate) fn unused(&self, dataset: &Dataset) -> Vec<String> {
        if let ([_], [_]) = (self.inputs.as_slice(), dataset.inputs()) {
            return vec![];
        }
        let taken = |name: &str| self.inputs.iter().any(|i| i.name == name);
        let spare: Vec<String> =
            dataset.inputs().iter().filter(|d| !taken(&d.name)).map(|d| d.name.clone()).collect();
        // One of each is left over: they belong together whatever they are called.
        let unnamed = self.inputs.iter().filter(|i| dataset.input(&i.name).is_none()).count();
        if unnamed == 1 && spare.len() == 1 { vec![] } else { spare }
    }

    fn sources<'d>(&self, dataset: &'d Dataset) -> Result<BTreeMap<String, Source<'d>>, OnnxError> {
        let mut sources = BTreeMap::new();
        let named = |name: &str| dataset.inputs().iter().find(|i| i.name == name);
        let unnamed: Vec<&ModelInput> = self.inputs.iter().filter(|i| named(&i.name).is_none()).collect();
        let spare: Vec<&InputTensor> =
            dataset.inputs().iter().filter(|d| self.inputs.iter().all(|i| i.name != d.name)).collect();
        for input in &self.inputs {
            let source = match (named(&input.name), unnamed.as_slice(), spare.as_slice()) {
                (Some(tensor), ..) => Source::of(tensor),
                // One of each is left over: they belong together whatever they are called.
                (None, [_], [tensor]) => Source::of(tensor),
                // The labels of a model that computes its own loss.
                (None, [_], []) | (None, [_, _], [_]) => match Source::targets(dataset, input) {
                    Some(source) => source,
                    None => match (unnamed.as_slice(), spare.as_slice()) {
                        ([_, _], [tensor]) => Source::of(tensor),
                        _ => return Err(missing(input, dataset)),
                    },
                },
                _ => return Err(missing(input, dataset)),
            };
            if numel(&source.shape) != numel(&input.shape) {
                return Err(OnnxError::Invalid(format!(
                    "the model's input `{}` has shape {:?} per sample; the data set has {:?}",
                    input.name, input.shape, source.shape
                )));
            }
            sources.insert(input.name.clone(), source);
        }
        Ok(sources)
    }
}

fn missing(input: &ModelInput, dataset: &Dataset) -> OnnxError {
    let names: Vec<&str> = dataset.inputs().iter().map(|i| i.name.as_str()).collect();
    OnnxError::Invalid(format!(
        "the model's input `{}` ({} {:?} per sample) is not in the data set, which has {names:?}",
        input.name, input.element, input.shape
    ))
}

fn tensor_error(name: &str, reason: OpError) -> OnnxError {
    OnnxError::Tensor { name: name.into(), reason }
}

/// Where a model input finds its numbers in a data set.
struct Source<'d> {
    shape: Vec<usize>,
    numbers: Numbers<'d>,
}

enum Numbers<'d> {
    Values(&'d Values),
    Floats(&'d [f32]),
    Labels(Vec<i64>),
}

impl<'d> Source<'d> {
    fn of(tensor: &'d InputTensor) -> Self {
        Self { shape: tensor.shape_per_sample.clone(), numbers: Numbers::Values(&tensor.values) }
    }

    fn targets(dataset: &'d Dataset, input: &ModelInput) -> Option<Self> {
        let (shape, numbers) = match dataset.targets() {
            Targets::Classes { labels, .. } if !input.element.is_float() => {
                (vec![], Numbers::Labels(labels.iter().map(|&l| i64::from(l)).collect()))
            }
            Targets::ClassesPerPosition { labels, positions, .. } if !input.element.is_float() => {
                (vec![*positions], Numbers::Labels(labels.clone()))
            }
            Targets::Values { values, shape } => (shape.clone(), Numbers::Floats(values)),
            _ => return None,
        };
        (numel(&shape) == numel(&input.shape)).then_some(Self { shape, numbers })
    }

    fn value(&self, input: &ModelInput, start: usize, end: usize) -> Result<Value, OpError> {
        let each = numel(&input.shape).ok_or_else(|| OpError::new("shape overflows"))?;
        let (from, to) = (start * each, end * each);
        let shape = [&[end - start][..], &input.shape].concat();
        let outside = || OpError::new("the data set is too short");
        let floats: Vec<f64> = match &self.numbers {
            Numbers::Values(v) if to <= v.len() => {
                let part = v.slice(from..to).map_err(|e| OpError::new(e.to_string()))?;
                part.iter().map(|&x| f64::from(x)).collect()
            }
            Numbers::Values(_) => return Err(outside()),
            Numbers::Floats(v) => {
                v.get(from..to).ok_or_else(outside)?.iter().map(|&x| f64::from(x)).collect()
            }
            Numbers::Labels(v) => {
                let v: Vec<i128> =
                    v.get(from..to).ok_or_else(outside)?.iter().map(|&x| i128::from(x)).collect();
                return Value::new(ElementType::I64, shape, Data::Int(v))
                    .and_then(|v| eval::convert(&v, input.element));
            }
        };
        let floats = Value::new(ElementType::F64, shape, Data::Float(floats))?;
        eval::convert(&floats, input.element)
    }
}

/// The samples moved from the first axis to the one that the file has them in.
fn in_place(value: Value, input: &ModelInput) -> Result<Value, OpError> {
    if input.batch_axis == 0 {
        return Ok(value);
    }
    let mut order: Vec<usize> = (1..value.rank()).collect();
    order.insert(input.batch_axis, 0);
    eval::permuted(&value, &order)
}

/// The samples of a value one after the other.
fn rows_of(feed: &Feed, value: &Value, batch: usize) -> Result<Vec<f32>, OpError> {
    let mut expected = feed.shape.clone();
    if feed.per_sample == 1 {
        expected.insert(feed.batch_axis.min(expected.len()), batch);
    } else if let Some(first) = expected.first_mut() {
        *first *= batch;
    }
    if value.shape() != expected {
        return Err(OpError::new(format!(
            "shape {:?} for {batch} samples, expected {expected:?}",
            value.shape()
        )));
    }
    let numbers = if feed.batch_axis == 0 {
        value.to_f64s()?
    } else {
        let mut order: Vec<usize> = (0..value.rank()).collect();
        order.remove(feed.batch_axis);
        order.insert(0, feed.batch_axis);
        eval::permuted(value, &order)?.to_f64s()?
    };
    Ok(numbers.into_iter().map(|x| x as f32).collect())
}

fn affine(known: &Known) -> Result<Instruction, OnnxError> {
    let at = |v: &Rc<Value>| v.to_i64s().map_err(|e| tensor_error(&known.name, e));
    let values = [at(&known.values[0])?, at(&known.values[1])?];
    Ok(Instruction::Affine(known.name.clone(), values, known.values[0].shape().to_vec()))
}

fn affine_at([a, b]: &[Vec<i64>; 2], shape: &[usize], batch: usize) -> Result<Value, OpError> {
    let (batch, p, q) = (i64::try_from(batch)?, i64::try_from(PROBES[0])?, i64::try_from(PROBES[1])?);
    let values = a.iter().zip(b).map(|(&a, &b)| a + (b - a) / (q - p) * (batch - p));
    Value::int64_vector(values).with_shape(shape.to_vec())
}
