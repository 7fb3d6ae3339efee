//! The empirical risk: evaluations and gradients.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::batches;
use super::error::RiskError;
use super::evaluation::{Evaluation, MemoryEstimate};
use super::numbers::{Numbers, check_data};
use super::objective::Objective;
use super::parts::Parts;
use super::sums::{self, Buffers, Sums};
use super::tally::{NodeSums, Tallies, Tally};
use crate::execute::{Execution, ParameterAdjoints, Prepared, PreparedLen, Sweep, Workspace};
use crate::fuse::fused;
use crate::graph::{Graph, GraphError, ValueId};
use crate::op::{Element, numel};
use crate::ops::loss::count_right;
use crate::parallel::ordered;
use crate::plan::{Pass, Plan};
use crate::tree::Tree;

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

/// An empirical risk computed in numbers of type `T`.
pub struct Risk<T> {
    pub(super) objective: Objective,
    /// Why samples could not be read, since somebody last asked.
    pub(super) unreadable: Mutex<Option<String>>,
    pub(super) micro: usize,
    pub(super) chunk: usize,
    pub(super) per_sample: bool,
    /// Whether samples influence each other's losses.
    pub(super) coupled: bool,
    pub(super) options: RiskOptions,
    /// For every pass: the plan of a full micro-batch and of the last one.
    pub(super) plans: BTreeMap<Pass, Plans>,
    pub(super) workspaces: Mutex<Vec<Workspace<T>>>,
    pub(super) buffers: Buffers<T>,
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
        check_data(graph, &objective.data, samples)?;
        let coupled = couples_samples(graph);
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
        // θ and directions with what is prepared of filters: those of Winograd's algorithm take several times their size.
        let prepared = PreparedLen::of::<T>(&self.objective.graph, plan);
        let chunks = self.chunks();
        let sums = n * tangents * sums::units(chunks, self.threads(), size);
        // Losses take some buffers as large as the output.
        let scratch = 4 * plan.largest() + prepared.sums;
        // Of every sample the label, and loss and weight: those at θ, those of the point in flight, and both on their way from the threads.
        let parts = if self.per_sample { 64 * self.objective.samples } else { 0 };
        MemoryEstimate {
            per_thread: (plan.workspace_len(tangents) + bound + scratch) * size,
            shared: sums + size * (prepared.values + tangents * prepared.tangent) + data + parts,
            data,
            in_files: self.objective.data.iter().map(Numbers::bytes_in_files).collect(),
            all_primals: keeping.kept_len() * size * batches,
        }
    }

    /// The plans of the full and of the last micro-batch; there for every pass.
    pub(super) fn plans(&self, pass: Pass) -> &Plans {
        &self.plans[&pass]
    }

    pub(super) fn micro_batches(&self, chunk: usize) -> impl Iterator<Item = (usize, usize)> + use<T> {
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
    pub(super) fn bind<'b>(&self, start: usize, end: usize, buffers: &'b mut Vec<Vec<T>>) -> Vec<&'b [T]> {
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

    /// The first number of the data that is NaN or infinite, in words; `None` if there is none. All data are read.
    ///
    /// # Errors
    /// Data in a file that cannot be read.
    pub fn not_finite_in_data(&self) -> Result<Option<String>, RiskError> {
        for (input, numbers) in self.objective.graph.data_inputs().iter().zip(&self.objective.data) {
            let found = numbers.first_not_finite().map_err(|e| RiskError::Unreadable(e.to_string()))?;
            if let Some((place, value)) = found {
                let row = numel(&input.shape).max(1);
                let (sample, element) = (place / row, place % row);
                return Ok(Some(format!(
                    "`{}` is {value} in sample {sample}, element {element} of shape {:?}",
                    input.name, input.shape
                )));
            }
        }
        Ok(None)
    }

    /// Why samples could not be read, if that has happened since this was last asked: what was computed from them must not be used.
    /// Never for data in memory.
    pub fn unreadable(&self) -> Option<String> {
        self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn borrow_workspace(&self) -> Workspace<T> {
        self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    pub(super) fn return_workspace(&self, workspace: Workspace<T>) {
        self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).push(workspace);
    }

    /// ȳ of the loss value for a micro-batch of `batch` samples.
    pub(super) fn loss_seed(&self, batch: usize) -> T {
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
            let (correct, counted) = count_right(outputs, labels.len(), labels.iter());
            sum.correct += correct;
            sum.counted += counted;
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
                    None::<ParameterAdjoints<T>>,
                    Vec::new(),
                    Vec::new(),
                )
            },
            |i, (workspace, tally, adjoints, kept, buffers)| {
                *tally = Tally::default();
                kept.clear();
                let adjoints = adjoints.insert(self.buffers.take(graph, 1));
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
                if let Some(adjoints) = adjoints.take() {
                    sum.push(adjoints);
                }
            },
        );
        states.into_iter().for_each(|(workspace, ..)| self.return_workspace(workspace));
        (Tallies { nodes: total.into_open(), losses }, sum)
    }
}

/// Whether an operation works along the first axis of its input and that axis counts samples: sequences may have their time there.
fn couples_samples(graph: &Graph) -> bool {
    let suspects: Vec<ValueId> =
        graph.nodes().iter().filter(|n| n.op.couples_samples()).map(|n| n.inputs[0]).collect();
    if suspects.is_empty() {
        return false;
    }
    // A graph that no two samples fit is that of a single one.
    let (Ok(two), Ok(three)) = (graph.infer_shapes(2), graph.infer_shapes(3)) else { return true };
    suspects.iter().any(|v| two[v.0].first() != three[v.0].first())
}

fn is_mean_loss(graph: &Graph, loss: ValueId) -> bool {
    // With one sample per micro-batch `[1]` may be either: look at two.
    // A graph that no two samples fit is that of a single sample.
    graph.infer_shapes(2).is_ok_and(|shapes| shapes[loss.0] != [2])
}

/// The plans of one pass: of a full micro-batch and of the last one.
#[derive(Clone)]
pub(super) struct Plans {
    pub(super) full: Arc<Plan>,
    last: Arc<Plan>,
}

impl Plans {
    pub(super) fn get(&self, batch: usize) -> &Plan {
        if batch == self.full.batch() { &self.full } else { &self.last }
    }
}
