//! The empirical risk L(θ) = (1/K) Σ ℓ(f(θ; xₛ), yₛ) of a network on a data set, and its exact derivatives.
//!
//! The samples are cut into micro-batches, and these into chunks. Chunks are spread over threads and summed in f64
//! in the fixed tree of [`tree`](crate::tree): the number of threads changes no bit of any result.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

pub use saddlescope_data::Curvature;
use saddlescope_data::{DataError, Values};

use crate::execute::{Execution, Prepared, Sweep, Workspace, permute};
use crate::fuse::fused;
use crate::graph::{Graph, GraphError, ValueId};
use crate::op::{Element, numel};
use crate::ops::loss::is_right;
use crate::parallel::ordered;
use crate::plan::{Pass, Plan};
use crate::tree::Tree;

mod batches;
mod buffers;
mod parts;
mod point;
mod sums;
mod tally;

pub use parts::Parts;
pub use point::{ProductReport, RiskPoint};
use sums::{Buffers, Sums};
use tally::Tally;
pub use tally::{NodeSums, Tallies};

/// How a risk is computed.
#[derive(Clone, Debug)]
pub struct RiskOptions {
    /// Threads; the results do not depend on it.
    pub threads: usize,
    /// Samples of a micro-batch; `None`: as many as keep a core's cache busy.
    pub micro_batch: Option<usize>,
    /// Bytes that primal values kept between products at the same θ may take; 0 keeps nothing.
    pub keep_bytes: usize,
}

impl Default for RiskOptions {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        Self { threads, micro_batch: None, keep_bytes: 0 }
    }
}

/// Values of a data input. Data sets hold f32; f64 is for callers whose data are that exact.
#[derive(Clone, Debug)]
pub enum Numbers {
    /// Single precision, in memory or in files.
    F32(Values),
    /// Double precision.
    F64(Arc<Vec<f64>>),
}

impl Numbers {
    fn len(&self) -> usize {
        match self {
            Numbers::F32(v) => v.len(),
            Numbers::F64(v) => v.len(),
        }
    }

    /// Some of the values.
    fn part(&self, range: Range<usize>) -> Self {
        match self {
            Numbers::F32(v) => Numbers::F32(v.part(range)),
            Numbers::F64(v) => Numbers::F64(Arc::new(v[range].to_vec())),
        }
    }

    /// Bytes of memory that they take.
    fn bytes(&self) -> usize {
        match self {
            Numbers::F32(v) => v.bytes_in_memory(),
            Numbers::F64(v) => v.len() * size_of::<f64>(),
        }
    }

    /// The first `len` values.
    fn first(&self, len: usize) -> Self {
        match self {
            Numbers::F32(v) => Numbers::F32(v.part(0..len.min(v.len()))),
            Numbers::F64(v) => Numbers::F64(Arc::new(v[..len.min(v.len())].to_vec())),
        }
    }

    /// Some of the values in single precision.
    ///
    /// # Errors
    /// Values in a file that cannot be read.
    pub fn slice_f32(&self, range: Range<usize>) -> Result<Cow<'_, [f32]>, DataError> {
        Ok(match self {
            Numbers::F32(v) => v.slice(range)?,
            Numbers::F64(v) => Cow::Owned(v[range].iter().map(|&x| x as f32).collect()),
        })
    }

    /// Binds the samples from number `sample` on, as many as fit, in the engine's order of axes.
    ///
    /// # Errors
    /// Values in a file that cannot be read.
    pub fn bind<T: Element>(
        &self,
        sample: usize,
        shape: &[usize],
        permutation: Option<&[usize]>,
        to: &mut [T],
    ) -> Result<(), DataError> {
        let len = numel(shape).max(1);
        let range = sample * len..sample * len + to.len();
        match self {
            Numbers::F32(v) => {
                for (from, to) in v.slice(range)?.chunks_exact(len).zip(to.chunks_exact_mut(len)) {
                    permute(shape, permutation, from, to, |x| T::from_f64(f64::from(x)));
                }
            }
            Numbers::F64(v) => {
                for (from, to) in v[range].chunks_exact(len).zip(to.chunks_exact_mut(len)) {
                    permute(shape, permutation, from, to, T::from_f64);
                }
            }
        }
        Ok(())
    }
}

/// A network with its loss, bound to data.
#[derive(Clone, Debug)]
pub struct Objective {
    /// The graph up to and including the loss.
    pub graph: Graph,
    /// The output of the network (logits, predictions); the loss node's first input.
    pub output: ValueId,
    /// The loss: `[batch]`, one number a sample; or a single number, the mean over the micro-batch.
    pub loss: ValueId,
    /// Values of the data inputs, sample after sample, in the file's order of axes.
    pub data: Vec<Numbers>,
    /// Number of samples.
    pub samples: usize,
    /// K, what the sum of the losses is divided by: the number of samples, or of positions with a label.
    pub normalizer: f64,
    /// Labels for the accuracy, if the loss is a classification: `positions` labels a sample, negative ones ignored.
    pub labels: Option<Arc<Vec<i64>>>,
}

impl Objective {
    /// The same loss on the first `samples` samples only (all of them if there are fewer).
    pub fn first_samples(&self, samples: usize) -> Self {
        let samples = samples.min(self.samples);
        let mut first = self.clone();
        for (input, numbers) in self.graph.data_inputs().iter().zip(&mut first.data) {
            *numbers = numbers.first(samples * numel(&input.shape));
        }
        if self.samples > 0 {
            first.normalizer *= samples as f64 / self.samples as f64;
            first.labels = (self.labels.as_ref())
                .map(|labels| Arc::new(labels[..labels.len() / self.samples * samples].to_vec()));
        }
        first.samples = samples;
        first
    }
}

impl Objective {
    /// The same loss on some of its samples; `samples` within them. K is their own number of labelled positions where it was that of all
    /// samples, else their share of it.
    pub fn samples_in(&self, samples: std::ops::Range<usize>) -> Self {
        let weights = parts::labelled_positions(self).map(|w| w[samples.clone()].iter().sum::<usize>());
        let mut part = self.clone();
        for (input, numbers) in self.graph.data_inputs().iter().zip(&mut part.data) {
            let len = numel(&input.shape);
            *numbers = numbers.part(samples.start * len..samples.end * len);
        }
        part.normalizer = match weights {
            Some(weights) => weights.max(1) as f64,
            None => self.normalizer * samples.len() as f64 / self.samples as f64,
        };
        part.labels = self.labels.as_ref().map(|labels| {
            let positions = labels.len() / self.samples;
            Arc::new(labels[samples.start * positions..samples.end * positions].to_vec())
        });
        part.samples = samples.len();
        part
    }
}

/// Loss and accuracy at one θ.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// L(θ). NaN and infinities are kept.
    pub loss: f64,
    /// Number of samples (positions) whose largest output is at the label, and how many were counted.
    pub correct: Option<(u64, u64)>,
    /// The losses of the parts of the data that are independent of each other.
    pub parts: Parts,
}

impl Evaluation {
    /// Share of correct answers.
    pub fn accuracy(&self) -> Option<f64> {
        self.correct.map(|(right, all)| right as f64 / all as f64)
    }
}

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

/// An empirical risk computed in numbers of type `T`.
pub struct Risk<T> {
    objective: Objective,
    /// Why samples could not be read, since somebody last asked.
    unreadable: Mutex<Option<String>>,
    micro: usize,
    chunk: usize,
    per_sample: bool,
    /// Whether samples influence each other's losses.
    coupled: bool,
    options: RiskOptions,
    /// For every pass: the plan of a full micro-batch and of the last one.
    plans: BTreeMap<Pass, Plans>,
    workspaces: Mutex<Vec<Workspace<T>>>,
    buffers: Buffers<T>,
}

impl<T: Element> Risk<T> {
    /// Binds an objective to memory and threads.
    pub fn new(objective: Objective, options: RiskOptions) -> Result<Self, RiskError> {
        let samples = objective.samples;
        if samples == 0 {
            return Err(RiskError::NoSamples);
        }
        let objective = Objective { graph: fused(&objective.graph, samples.min(2))?, ..objective };
        let graph = &objective.graph;
        for (i, input) in graph.data_inputs().iter().enumerate() {
            let len = numel(&input.shape);
            let found = objective.data.get(i).map_or(0, Numbers::len);
            if found != samples * len {
                return Err(RiskError::Data {
                    name: input.name.clone(),
                    found,
                    expected: samples * len,
                    samples,
                    shape: input.shape.clone(),
                });
            }
        }
        let coupled = graph.nodes().iter().any(|n| n.op.couples_samples());
        let micro = match options.micro_batch {
            _ if coupled => samples,
            Some(m) => m.clamp(1, samples),
            None => batches::micro_batch(graph, samples, size_of::<T>())?,
        };
        let chunk = batches::chunk(samples, micro);
        let found = graph.infer_shapes(micro)?[objective.loss.0].clone();
        let per_sample = match found.as_slice() {
            [n] if *n == micro && (micro > 1 || !is_mean_loss(graph, objective.loss)) => true,
            [] | [1] => false,
            _ => {
                return Err(GraphError::Output {
                    found,
                    expected: format!("one loss per sample ([{micro}]) or a single number"),
                }
                .into());
            }
        };
        let rest = samples % micro;
        let mut plans = BTreeMap::new();
        for pass in Pass::ALL {
            let compile = |batch| {
                Plan::compile(&objective.graph, &[objective.loss, objective.output], batch, pass)
                    .map(Arc::new)
            };
            let full = compile(micro)?;
            let last = if rest == 0 { full.clone() } else { compile(rest)? };
            plans.insert(pass, Plans { full, last });
        }
        Ok(Self {
            objective,
            unreadable: Mutex::new(None),
            micro,
            chunk,
            per_sample,
            coupled,
            options,
            plans,
            workspaces: Mutex::new(Vec::new()),
            buffers: Buffers::new(),
        })
    }

    /// How it is computed.
    pub fn options(&self) -> &RiskOptions {
        &self.options
    }

    /// The network, loss and data.
    pub fn objective(&self) -> &Objective {
        &self.objective
    }

    /// Threads in use.
    pub fn threads(&self) -> usize {
        self.options.threads.max(1)
    }

    /// Whether the loss is one number a sample, so that gradients of single samples exist.
    pub fn has_per_sample_loss(&self) -> bool {
        self.per_sample
    }

    /// Whether samples influence each other's losses (batch norm with batch statistics).
    pub fn couples_samples(&self) -> bool {
        self.coupled
    }

    /// N, the number of parameters.
    pub fn dim(&self) -> usize {
        self.objective.graph.parameter_count()
    }

    /// Samples of a micro-batch, and of a chunk (a fixed group of micro-batches).
    pub fn batches(&self) -> (usize, usize) {
        (self.micro, self.chunk)
    }

    /// Bytes that one thread's workspace takes for products with `tangents` vectors at once, that the accumulators
    /// take once, and that keeping the primals of all micro-batches would take.
    pub fn memory(&self, tangents: usize) -> MemoryEstimate {
        let n = self.dim();
        let plan = &self.plans(Pass::Hessian).full;
        let keeping = &self.plans(Pass::HessianKeepingPrimals).full;
        let size = size_of::<T>();
        let batches = self.objective.samples.div_ceil(self.micro);
        let data = self.objective.data.iter().map(Numbers::bytes).sum::<usize>();
        let inputs = self.objective.graph.data_inputs();
        let bound = self.micro * inputs.iter().map(|input| numel(&input.shape)).sum::<usize>();
        // Sums of chunks that wait for each other where there are many chunks.
        let waiting = (self.chunks().max(1).ilog2() as usize).saturating_sub(5);
        // Of every sample the label, and loss and weight: those at θ, those of the point in flight, and both on their way from the threads.
        let parts = if self.per_sample { 64 * self.objective.samples } else { 0 };
        MemoryEstimate {
            per_thread: (plan.workspace_len(tangents) + n * tangents + bound) * size,
            shared: 8 * n * tangents * (1 + waiting) + size * n * 3 * (1 + tangents) + data + parts,
            data,
            all_primals: keeping.kept_len() * size * batches,
        }
    }

    /// The plans of the full and of the last micro-batch; there for every pass.
    fn plans(&self, pass: Pass) -> &Plans {
        &self.plans[&pass]
    }

    fn micro_batches(&self, chunk: usize) -> impl Iterator<Item = (usize, usize)> + use<T> {
        let (micro, samples) = (self.micro, self.objective.samples);
        let start = chunk * self.chunk;
        let end = (start + self.chunk).min(samples);
        (start..end).step_by(micro).map(move |s| (s, (s + micro).min(samples)))
    }

    /// Number of chunks.
    pub fn chunks(&self) -> usize {
        self.objective.samples.div_ceil(self.chunk)
    }

    /// The samples `start..end` in the engine's order of axes, in buffers of the caller's. If they cannot be read, the loss becomes
    /// NaN and [`Risk::unreadable`] says why.
    fn bind<'b>(&self, start: usize, end: usize, buffers: &'b mut Vec<Vec<T>>) -> Vec<&'b [T]> {
        let inputs = self.objective.graph.data_inputs();
        buffers.resize_with(inputs.len(), Vec::new);
        for ((input, numbers), buffer) in inputs.iter().zip(&self.objective.data).zip(&mut *buffers) {
            buffer.resize((end - start) * numel(&input.shape), T::ZERO);
            if let Err(error) = numbers.bind(start, &input.shape, input.permutation.as_deref(), buffer) {
                *self.unreadable.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
                // Zeros are valid tokens and labels too.
                buffer.fill(T::ZERO);
            }
        }
        buffers.iter().map(Vec::as_slice).collect()
    }

    /// Why samples could not be read, if that has happened since this was last asked: what was computed from them is of no use.
    /// Never for data in memory.
    pub fn unreadable(&self) -> Option<String> {
        self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn borrow_workspace(&self) -> Workspace<T> {
        self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn return_workspace(&self, workspace: Workspace<T>) {
        self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).push(workspace);
    }

    /// ȳ of the loss value for a micro-batch of `batch` samples.
    fn loss_seed(&self, batch: usize) -> T {
        let weight = if self.per_sample { 1.0 } else { batch as f64 };
        T::from_f64(weight / self.objective.normalizer)
    }

    /// Adds up the losses of a micro-batch, keeps them, and counts correct answers.
    fn account(
        &self,
        execution: &Execution<'_, T>,
        start: usize,
        end: usize,
        sum: &mut Tally,
        kept: &mut Vec<f64>,
    ) {
        let losses = execution.value(self.objective.loss);
        kept.extend(losses.iter().map(|l| l.to_f64()));
        if self.per_sample {
            sum.loss += losses.iter().map(|l| l.to_f64()).sum::<f64>();
        } else {
            sum.loss += losses.iter().map(|l| l.to_f64()).sum::<f64>() * (end - start) as f64;
        }
        if let Some(labels) = &self.objective.labels {
            let positions = labels.len() / self.objective.samples;
            let labels = &labels[start * positions..end * positions];
            let outputs = execution.value(self.objective.output);
            if labels.is_empty() {
                return;
            }
            let classes = outputs.len() / labels.len();
            for (row, &label) in outputs.chunks_exact(classes.max(1)).zip(labels) {
                if let Ok(label) = usize::try_from(label) {
                    sum.counted += 1;
                    sum.correct += u64::from(is_right(row, label));
                }
            }
        }
    }

    /// What the parts of all chunks make.
    pub fn evaluation(&self, tallies: Tallies) -> Evaluation {
        let (mut sum, losses) = tallies.finish();
        if self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            sum.loss = f64::NAN;
        }
        let correct = self.objective.labels.as_ref().map(|_| (sum.correct, sum.counted));
        let loss = sum.loss / self.objective.normalizer;
        let parts = if self.coupled {
            Parts::whole(loss, self.objective.samples)
        } else if self.per_sample {
            Parts::samples(losses, &self.objective)
        } else {
            Parts::micro_batches(losses, self.micro, &self.objective)
        };
        Evaluation { loss, correct, parts }
    }

    /// L(θ) and the accuracy.
    pub fn evaluate(&self, theta: &[f64]) -> Evaluation {
        self.evaluation(self.evaluate_chunks(theta, 0..self.chunks()))
    }

    /// The part that a range of chunks has in [`Risk::evaluate`].
    pub fn evaluate_chunks(&self, theta: &[f64], chunks: Range<usize>) -> Tallies {
        let plans = self.plans(Pass::Forward);
        let graph = &self.objective.graph;
        let prepared = Prepared::new(graph, &plans.full, theta, self.threads());
        let mut total = Tree::starting_at(chunks.start);
        let mut losses = Vec::new();
        let states = ordered(
            self.options.threads,
            chunks.len(),
            || (self.borrow_workspace(), Tally::default(), Vec::new(), Vec::new()),
            |i, (workspace, sum, kept, buffers)| {
                *sum = Tally::default();
                kept.clear();
                for (start, end) in self.micro_batches(chunks.start + i) {
                    let plan = plans.get(end - start);
                    let data = self.bind(start, end, buffers);
                    let mut execution = Execution::new(graph, plan, &prepared, None, data, workspace);
                    execution.forward();
                    self.account(&execution, start, end, sum, kept);
                }
            },
            |_, (_, sum, kept, _)| {
                total.push(0, *sum, Tally::add);
                losses.append(kept);
            },
        );
        states.into_iter().for_each(|(w, ..)| self.return_workspace(w));
        Tallies { nodes: total.into_open(), losses }
    }

    /// L(θ), the accuracy, and ∇L(θ) into `gradient` (length N, file order).
    pub fn gradient(&self, theta: &[f64], gradient: &mut [f64]) -> Evaluation {
        let (tallies, sum) = self.sum_gradients(theta, 0..self.chunks());
        sum.write(self.threads(), gradient);
        self.evaluation(tallies)
    }

    /// The part that a range of chunks has in [`Risk::gradient`].
    pub fn gradient_chunks(&self, theta: &[f64], chunks: Range<usize>) -> (Tallies, NodeSums) {
        let (tallies, sum) = self.sum_gradients(theta, chunks);
        (tallies, sum.nodes(self.threads()))
    }

    fn sum_gradients(&self, theta: &[f64], chunks: Range<usize>) -> (Tallies, Sums<'_, T>) {
        let plans = self.plans(Pass::Gradient);
        let graph = &self.objective.graph;
        let prepared = Prepared::new(graph, &plans.full, theta, self.threads());
        let mut total = Tree::starting_at(chunks.start);
        let mut sum = Sums::new(graph, 1, &chunks, self.chunks(), &self.buffers);
        let mut losses = Vec::new();
        let states = ordered(
            self.options.threads,
            chunks.len(),
            || {
                (
                    self.borrow_workspace(),
                    Tally::default(),
                    self.buffers.take(graph, 1),
                    Vec::new(),
                    Vec::new(),
                )
            },
            |i, (workspace, tally, adjoints, kept, buffers)| {
                *tally = Tally::default();
                kept.clear();
                adjoints.reset();
                for (start, end) in self.micro_batches(chunks.start + i) {
                    let plan = plans.get(end - start);
                    let data = self.bind(start, end, buffers);
                    let mut execution = Execution::new(graph, plan, &prepared, None, data, workspace);
                    execution.forward();
                    self.account(&execution, start, end, tally, kept);
                    let seed = self.loss_seed(end - start);
                    execution.seed(self.objective.loss, |_| seed);
                    execution.reverse(Sweep::Gradient { part: 0, parts: 1 }, adjoints);
                }
            },
            |_, (_, tally, adjoints, kept, _)| {
                total.push(0, *tally, Tally::add);
                losses.append(kept);
                sum.push(std::mem::replace(adjoints, self.buffers.take(graph, 1)));
            },
        );
        for (workspace, _, adjoints, ..) in states {
            self.return_workspace(workspace);
            self.buffers.give(adjoints);
        }
        (Tallies { nodes: total.into_open(), losses }, sum)
    }

    /// The risk near θ, ready for products, keeping primal values as the options say.
    pub fn at(&self, theta: &[f64]) -> RiskPoint<'_, T> {
        self.at_keeping(theta, self.options.keep_bytes)
    }

    /// The risk near θ, ready for products; primal values kept between them may take `keep_bytes`.
    pub fn at_keeping(&self, theta: &[f64], keep_bytes: usize) -> RiskPoint<'_, T> {
        self.at_chunks(theta, 0..self.chunks(), keep_bytes)
    }

    /// The part that a range of chunks has in [`Risk::at_keeping`], for [`RiskPoint::product_chunks`].
    pub fn at_chunks(&self, theta: &[f64], chunks: Range<usize>, keep_bytes: usize) -> RiskPoint<'_, T> {
        let plan = &self.plans(Pass::Hessian).full;
        let keep_plan = &self.plans(Pass::HessianKeepingPrimals).full;
        let each = keep_plan.kept_len() * size_of::<T>();
        let samples = (chunks.end * self.chunk).min(self.objective.samples);
        let batches = samples.saturating_sub(chunks.start * self.chunk).div_ceil(self.micro);
        let keep = (keep_bytes / each.max(1)).min(batches);
        RiskPoint::new(self, Prepared::new(&self.objective.graph, plan, theta, self.threads()), chunks, keep)
    }
}

fn is_mean_loss(graph: &Graph, loss: ValueId) -> bool {
    // With one sample per micro-batch `[1]` may be either: look at two.
    // A graph that no two samples fit is that of a single sample.
    graph.infer_shapes(2).is_ok_and(|shapes| shapes[loss.0] != [2])
}

/// What a product needs in memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// For each thread.
    pub per_thread: usize,
    /// Once: parameters, directions, sums, data and the parts of losses over samples.
    pub shared: usize,
    /// The data's part of `shared`.
    pub data: usize,
    /// For keeping the primals of all micro-batches.
    pub all_primals: usize,
}

#[derive(Clone)]
struct Plans {
    full: Arc<Plan>,
    last: Arc<Plan>,
}

impl Plans {
    fn get(&self, batch: usize) -> &Plan {
        if batch == self.full.batch() { &self.full } else { &self.last }
    }
}
