//! Loss and gradient of one mini-batch: a fixed number of parts, spread over threads, summed in the parts' order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::batch_statistics::{Layer, Statistics};
use crate::execute::{Execution, ParameterAdjoints, Prepared, Sweep, Workspace, for_each_permuted, permute};
use crate::graph::GraphError;
use crate::op::numel;
use crate::ops::loss::count_right;
use crate::parallel::ordered;
use crate::plan::{Pass, Plan};
use crate::risk::Objective;
use saddlescope_data::CropFlip;

/// Sums over samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tally {
    /// Sum of the losses.
    pub loss: f64,
    /// What divides it: samples, or positions with a label.
    pub weight: f64,
    pub correct: u64,
    pub counted: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.loss += other.loss;
        self.weight += other.weight;
        self.correct += other.correct;
        self.counted += other.counted;
    }
}

/// How the images of data input `input` are augmented.
#[derive(Clone, Debug)]
pub(super) struct Augmentation {
    pub input: usize,
    pub how: CropFlip,
    pub seed: u64,
}

/// What a thread works with.
struct Memory {
    workspace: Workspace<f32>,
    adjoints: ParameterAdjoints<f32>,
    data: Vec<Vec<f32>>,
    sample: Vec<f32>,
    tally: Tally,
    statistics: Statistics,
}

/// The objective on mini-batches.
pub(super) struct MiniBatches {
    pub objective: Objective,
    pub layers: Vec<Layer>,
    parts: usize,
    threads: usize,
    per_sample: bool,
    augmentation: Option<Augmentation>,
    plans: BTreeMap<usize, Arc<Plan>>,
    memory: Mutex<Vec<Memory>>,
}

impl MiniBatches {
    pub(super) fn new(
        objective: Objective,
        layers: Vec<Layer>,
        parts: usize,
        threads: usize,
        augmentation: Option<Augmentation>,
    ) -> Result<Self, GraphError> {
        // With one sample `[1]` could be either: look at two.
        let found = objective.graph.infer_shapes(2)?[objective.loss.0].clone();
        let per_sample = match found[..] {
            [2] => true,
            [] | [1] => false,
            _ => {
                let expected = "one loss per sample ([2] for two) or a single number".into();
                return Err(GraphError::Output { found, expected });
            }
        };
        let (plans, memory) = (BTreeMap::new(), Mutex::new(Vec::new()));
        Ok(Self { objective, layers, parts, threads, per_sample, augmentation, plans, memory })
    }

    fn plan(&mut self, samples: usize) -> Result<Arc<Plan>, GraphError> {
        if let Some(plan) = self.plans.get(&samples) {
            return Ok(plan.clone());
        }
        let mut outputs = vec![self.objective.loss, self.objective.output];
        // Named as outputs, the inputs of normalisations are still there after the forward pass.
        outputs.extend(self.layers.iter().map(|l| l.input));
        let plan = Arc::new(Plan::compile(&self.objective.graph, &outputs, samples, Pass::Gradient)?);
        self.plans.insert(samples, plan.clone());
        Ok(plan)
    }

    /// What the loss of the listed samples is divided by.
    fn weight(&self, indices: &[usize]) -> f64 {
        let samples = self.objective.samples;
        match &self.objective.labels {
            Some(labels) => {
                let each = labels.len() / samples;
                let labels = indices.iter().flat_map(|i| &labels[i * each..(i + 1) * each]);
                labels.filter(|&&l| l >= 0).count() as f64
            }
            None => self.objective.normalizer / samples as f64 * indices.len() as f64,
        }
    }

    /// Mean loss and gradient (file order, f64) over the listed samples at θ, and the statistics of the normalisations.
    pub(super) fn gradient(
        &mut self,
        theta: &[f64],
        indices: &[usize],
        epoch: u64,
        gradient: &mut [f64],
    ) -> Result<(Tally, Statistics), GraphError> {
        let n = indices.len();
        // Batch statistics need two samples at least.
        let least = if self.layers.is_empty() { 1 } else { 2 };
        let parts = self.parts.min(n / least).max(1);
        let ranges: Vec<_> = (0..parts).map(|p| p * n / parts..(p + 1) * n / parts).collect();
        let plans = ranges.iter().map(|r| self.plan(r.len())).collect::<Result<Vec<_>, _>>()?;
        let weight = self.weight(indices);
        let graph = &self.objective.graph;
        let Some(first) = plans.first() else { return Ok((Tally::default(), Statistics::default())) };
        let prepared = Prepared::<f32>::new(graph, first, theta, self.threads);
        let places = graph.parameter_ranges();
        let mut total = Tally { weight, ..Tally::default() };
        let mut statistics = Statistics::default();
        gradient.fill(0.0);
        let this = &*self;
        let memories = ordered(
            this.threads,
            parts,
            || this.borrow(),
            |part, memory| {
                this.part(&prepared, &plans[part], &indices[ranges[part].clone()], epoch, weight, memory)
            },
            |_, memory| {
                total.add(&memory.tally);
                statistics.add(&memory.statistics);
                memory.adjoints.for_each_written(|i, values| {
                    let p = &graph.parameters()[i];
                    let sum = &mut gradient[places[i].clone()];
                    match &p.permutation {
                        None => sum.iter_mut().zip(values).for_each(|(s, &v)| *s += f64::from(v)),
                        Some(permutation) => for_each_permuted(&p.shape, permutation, |engine, file| {
                            sum[file] += f64::from(values[engine]);
                        }),
                    }
                });
            },
        );
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).extend(memories);
        Ok((total, statistics))
    }

    fn borrow(&self) -> Memory {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_else(|| Memory {
            workspace: Workspace::default(),
            adjoints: ParameterAdjoints::new(&self.objective.graph, 1),
            data: Vec::new(),
            sample: Vec::new(),
            tally: Tally::default(),
            statistics: Statistics::default(),
        })
    }

    fn part(
        &self,
        prepared: &Prepared<f32>,
        plan: &Plan,
        indices: &[usize],
        epoch: u64,
        weight: f64,
        memory: &mut Memory,
    ) {
        self.gather(indices, epoch, memory);
        let objective = &self.objective;
        let graph = &objective.graph;
        let data = memory.data.iter().map(Vec::as_slice).collect();
        let mut execution = Execution::new(graph, plan, prepared, None, data, &mut memory.workspace);
        execution.forward();
        // A loss that is a mean over the part stands for all its samples.
        let each = if self.per_sample { 1.0 } else { indices.len() as f64 };
        let losses = execution.value(objective.loss);
        memory.tally =
            Tally { loss: each * losses.iter().map(|&l| f64::from(l)).sum::<f64>(), ..Tally::default() };
        if let Some(labels) = &objective.labels {
            let positions = labels.len() / objective.samples;
            let labels = indices.iter().flat_map(|i| &labels[i * positions..(i + 1) * positions]);
            let outputs = execution.value(objective.output);
            (memory.tally.correct, memory.tally.counted) =
                count_right(outputs, indices.len() * positions, labels);
        }
        memory.statistics = Statistics::of_part(&self.layers, graph, &execution, indices.len());
        memory.adjoints.reset();
        // A mini-batch whose positions are all ignored has no loss and no gradient.
        let seed = (each / weight.max(1.0)) as f32;
        execution.seed(objective.loss, |_| seed);
        execution.reverse(Sweep::Gradient { part: 0, parts: 1 }, &mut memory.adjoints);
    }

    /// Puts the samples together, in the engine's order of axes.
    fn gather(&self, indices: &[usize], epoch: u64, memory: &mut Memory) {
        let inputs = self.objective.graph.data_inputs();
        memory.data.resize_with(inputs.len(), Vec::new);
        for (i, (input, values)) in inputs.iter().zip(&self.objective.data).enumerate() {
            let len = numel(&input.shape);
            let out = &mut memory.data[i];
            out.clear();
            out.resize(len * indices.len(), 0.0);
            if len == 0 {
                continue;
            }
            for (&sample, out) in indices.iter().zip(out.chunks_exact_mut(len)) {
                let range = sample * len..(sample + 1) * len;
                // In memory since the trainer was made; a failure would be a loss that is no number.
                let stored = values.slice_f32(range).unwrap_or_else(|_| vec![f32::NAN; len].into());
                let mut from: &[f32] = &stored;
                if let Some(a) = self.augmentation.as_ref().filter(|a| a.input == i) {
                    memory.sample.resize(len, 0.0);
                    a.how.apply(from, &mut memory.sample, a.seed, epoch, sample);
                    from = &memory.sample;
                }
                permute(&input.shape, input.permutation.as_deref(), from, out, |x| x);
            }
        }
    }
}
