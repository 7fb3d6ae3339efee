//! Buffers of a risk: what belongs to a network's weights without being a parameter, above all the running statistics of
//! batch normalisation.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex};

use super::empirical::Risk;
use super::error::RiskError;
use super::sums::Buffers;
use crate::execute::{Execution, Prepared};
use crate::op::Element;
use crate::parallel::ordered;
use crate::plan::{Pass, Plan};
use crate::train::batch_statistics::{Statistics, layers};

/// Samples of a batch from which statistics are taken, at most.
const STATISTICS_BATCH: usize = 128;

impl<T: Element> Risk<T> {
    /// The values of all buffers, one after the other, in file order.
    pub fn buffers(&self) -> Vec<f64> {
        self.objective.graph.buffers().iter().flat_map(|b| b.values.iter().copied()).collect()
    }

    /// The same risk with other values in its buffers (as [`Risk::buffers`] has them); the data are shared.
    ///
    /// # Errors
    /// Another number of values than the buffers have.
    pub fn with_buffers(&self, values: &[f64]) -> Result<Self, RiskError> {
        let mut objective = self.objective.clone();
        let expected = objective.graph.buffers().iter().map(|b| b.values.len()).sum();
        if values.len() != expected {
            return Err(RiskError::Buffers { found: values.len(), expected });
        }
        let mut rest = values;
        for buffer in objective.graph.buffers_mut() {
            let (own, others) = rest.split_at(buffer.values.len());
            buffer.values.copy_from_slice(own);
            rest = others;
        }
        Ok(Self {
            coupled: self.coupled,
            objective,
            unreadable: Mutex::new(None),
            micro: self.micro,
            chunk: self.chunk,
            per_sample: self.per_sample,
            options: self.options.clone(),
            plans: self.plans.clone(),
            workspaces: Mutex::new(Vec::new()),
            buffers: Buffers::new(),
        })
    }

    /// All buffers, with the running statistics of batch normalisation computed anew at θ from the samples of this risk: means
    /// and unbiased variances of equal batches of at most 128 samples in training mode, averaged over the batches (weights:
    /// their samples), as PyTorch's `update_bn` does. `None` where the loss depends on no running statistics.
    ///
    /// # Errors
    /// As [`Risk::new`]; samples that cannot be read from their file.
    pub fn buffers_anew(&self, theta: &[f64]) -> Result<Option<Vec<f64>>, RiskError> {
        let mut graph = self.objective.graph.clone();
        let before = layers(&graph).len();
        for node in graph.nodes_mut() {
            if let Some(op) = node.op.with_batch_statistics(true) {
                node.op = op;
            }
        }
        let layers = layers(&graph);
        if layers.len() == before {
            return Ok(None);
        }
        let samples = self.objective.samples;
        let batches = samples.div_ceil(STATISTICS_BATCH);
        let range = |i: usize| i * samples / batches..(i + 1) * samples / batches;
        // Named as outputs, the inputs of normalisations are still there after the forward pass.
        let outputs: Vec<_> = layers.iter().map(|l| l.input).collect();
        let mut plans: BTreeMap<usize, Arc<Plan>> = BTreeMap::new();
        for length in (0..batches).map(|i| range(i).len()) {
            if let Entry::Vacant(place) = plans.entry(length) {
                place.insert(Arc::new(Plan::compile(&graph, &outputs, length, Pass::Forward)?));
            }
        }
        let Some(first) = plans.values().next() else { return Ok(None) };
        let prepared = Prepared::new(&graph, first, theta, self.threads());
        let mut total = Statistics::default();
        let states = ordered(
            self.options.threads,
            batches,
            || (self.borrow_workspace(), Statistics::default(), Vec::new()),
            |i, (workspace, statistics, buffers)| {
                let range = range(i);
                let data = self.bind(range.start, range.end, buffers);
                let plan = &plans[&range.len()];
                let mut execution = Execution::new(&graph, plan, &prepared, None, data, workspace);
                execution.forward();
                *statistics = Statistics::of_part(&layers, &graph, &execution, range.len());
            },
            |_, (_, statistics, _)| total.add(statistics),
        );
        states.into_iter().for_each(|(w, ..)| self.return_workspace(w));
        if let Some(problem) = self.unreadable() {
            return Err(RiskError::Unreadable(problem));
        }
        total.replace(&layers, &mut graph);
        Ok(Some(graph.buffers().iter().flat_map(|b| b.values.iter().copied()).collect()))
    }
}
