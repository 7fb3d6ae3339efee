//! A plan at work on one micro-batch: the forward pass, tangents, and seeds of the reverse sweep.

use std::mem::take;
use std::time::Instant;

use super::prepared::{Prepared, PreparedTangents};
use super::workspace::{KeptPrimals, Workspace, fit};
use crate::aligned::AlignedVec;
use crate::graph::{Graph, Node, Source, ValueId};
use crate::op::{Context, Element, Operand, Packed, Slot, numel};
use crate::plan::Plan;
use crate::profile::Phase;

/// A plan at work on one micro-batch.
pub(crate) struct Execution<'a, T> {
    pub(crate) graph: &'a Graph,
    pub(crate) plan: &'a Plan,
    pub(crate) prepared: &'a Prepared<T>,
    pub(crate) tangents: Option<&'a PreparedTangents<T>>,
    /// Slices of the data inputs for this micro-batch.
    pub(crate) data: Vec<&'a [T]>,
    pub(crate) workspace: &'a mut Workspace<T>,
    /// Whether nothing is added to adjoints of the parameters after this micro-batch: their dot products with the directions are
    /// then computed as soon as they are complete, while they are in the cache.
    pub(crate) last: bool,
}

fn operand_value<'a, T>(
    source: Source,
    prepared: &'a Prepared<T>,
    data: &[&'a [T]],
    primal: &'a [AlignedVec<T>],
    slot: Option<usize>,
    len: usize,
) -> &'a [T] {
    match (source, slot) {
        (Source::Data(i), _) => data[i],
        (Source::Parameter(i), _) => &prepared.parameters[i],
        (Source::Buffer(i), _) => &prepared.buffers[i],
        (Source::Node(_), Some(s)) => primal[s].get(..len).unwrap_or(&[]),
        (Source::Node(_), None) => &[],
    }
}

impl<'a, T: Element> Execution<'a, T> {
    /// Makes the workspace fit the plan.
    pub(crate) fn new(
        graph: &'a Graph,
        plan: &'a Plan,
        prepared: &'a Prepared<T>,
        tangents: Option<&'a PreparedTangents<T>>,
        data: Vec<&'a [T]>,
        workspace: &'a mut Workspace<T>,
    ) -> Self {
        let k = tangents.map_or(0, |t| t.count);
        fit(&mut workspace.primal, &plan.primal.sizes, 1, &plan.kept);
        fit(&mut workspace.tangent, &plan.tangent.sizes, k, &[]);
        workspace.has_gy.clear();
        workspace.has_gy.resize(plan.root.len(), false);
        workspace.has_dgy.clear();
        workspace.has_dgy.resize(plan.root.len(), false);
        workspace.derived.clear();
        workspace.derived.resize(plan.derived.len(), false);
        workspace.tangents = k;
        Self { graph, plan, prepared, tangents, data, workspace, last: false }
    }

    pub(super) fn len(&self, value: usize) -> usize {
        numel(&self.plan.shapes[value])
    }

    /// Elements of a value after the forward pass; empty if its memory has been used for something else.
    pub(crate) fn value(&self, value: ValueId) -> &[T] {
        let root = self.plan.root[value.0];
        operand_value(
            self.graph.source(ValueId(root)),
            self.prepared,
            &self.data,
            &self.workspace.primal,
            self.plan.y[root],
            self.len(root),
        )
    }

    /// Tangents of a value (k · len); empty if it has none.
    pub(crate) fn tangent(&self, value: ValueId) -> &[T] {
        let root = self.plan.root[value.0];
        match self.plan.dy[root] {
            Some(s) => &self.workspace.tangent[s][..self.workspace.tangents * self.len(root)],
            None => &[],
        }
    }

    pub(super) fn operands<'b>(
        &'b self,
        node: &'b Node,
        index: usize,
        packed_tangents: &'b [Vec<Packed>],
    ) -> Vec<Operand<'b, T>> {
        let k = self.workspace.tangents;
        (node.inputs.iter().enumerate())
            .map(|(i, input)| {
                let root = self.plan.root[input.0];
                let source = self.graph.source(ValueId(root));
                let len = self.len(root);
                let tangent = match (self.tangents, source) {
                    (None, _) => None,
                    (Some(t), Source::Parameter(p)) => Some(t.parameters[p].as_slice()),
                    (Some(_), _) => {
                        self.plan.dy[root].map(|s| self.workspace.tangent[s].get(..k * len).unwrap_or(&[]))
                    }
                };
                Operand {
                    shape: &self.plan.shapes[input.0],
                    value: operand_value(
                        source,
                        self.prepared,
                        &self.data,
                        &self.workspace.primal,
                        self.plan.y[root],
                        len,
                    ),
                    tangent,
                    packed: self.prepared.packed[index].get(i).and_then(Option::as_ref),
                    packed_tangents: packed_tangents.get(i).map_or(&[], Vec::as_slice),
                }
            })
            .collect()
    }

    pub(super) fn packed_tangents(&self, index: usize) -> &'a [Vec<Packed>] {
        self.tangents.map_or(&[], |t| t.packed[index].as_slice())
    }

    /// Now, if costs are wanted.
    pub(super) fn clock(&self) -> Option<Instant> {
        self.workspace.profile.is_some().then(Instant::now)
    }

    /// Notes what a pass of a node cost.
    pub(super) fn record(&mut self, index: usize, phase: Phase, start: Option<Instant>) {
        let (Some(start), Some(profile)) = (start, &mut self.workspace.profile) else { return };
        let node = &self.graph.nodes()[index];
        let k = self.workspace.tangents as u64;
        let shapes: Vec<&[usize]> = node.inputs.iter().map(|i| self.plan.shapes[i.0].as_slice()).collect();
        let output = &self.plan.shapes[node.output.0];
        let numbers = shapes.iter().map(|s| numel(s)).sum::<usize>() + numel(output);
        let (flops, passes) = match phase {
            Phase::Forward | Phase::Around => (1, 1),
            Phase::Tangent => (2 * k, 1 + k),
            Phase::Adjoint => (2, 2),
            Phase::AdjointTangent => (4 * k, 2 * (1 + k)),
        };
        let bytes = (numbers * size_of::<T>()) as u64 * passes;
        profile.record(node.op.name(), phase, start, node.op.flops(&shapes, output) * flops, bytes);
    }

    /// The forward pass, with tangents where the plan carries them.
    pub(crate) fn forward(&mut self) {
        for p in 0..self.plan.order.len() {
            self.forward_node(self.plan.order[p], true);
        }
    }

    /// Tangents alone, the primal values being kept from before.
    pub(crate) fn forward_tangents(&mut self) {
        for p in 0..self.plan.order.len() {
            self.forward_node(self.plan.order[p], false);
        }
    }

    fn forward_node(&mut self, index: usize, primal: bool) {
        let node = &self.graph.nodes()[index];
        let op = T::op(&*node.op);
        let out = node.output.0;
        let len = self.len(out);
        let shape = &self.plan.shapes[out];
        let k = self.workspace.tangents;
        let Some(slot) = self.plan.y[out] else { return };
        let mut scratch = take(&mut self.workspace.scratch);
        if primal {
            let mut y = take(&mut self.workspace.primal[slot]);
            let inputs = self.operands(node, index, &[]);
            let c = Context { inputs: &inputs, shape, tangents: 0, y: &[], dy: &[], gy: &[], dgy: &[] };
            let start = self.clock();
            op.forward(&c, &mut y[..len], &mut scratch);
            drop(inputs);
            self.record(index, Phase::Forward, start);
            self.workspace.primal[slot] = y;
        }
        if k > 0
            && let Some(tangent_slot) = self.plan.dy[out]
        {
            let mut dy = take(&mut self.workspace.tangent[tangent_slot]);
            let inputs = self.operands(node, index, self.packed_tangents(index));
            let y = &self.workspace.primal[slot][..len];
            let c = Context { inputs: &inputs, shape, tangents: k, y, dy: &[], gy: &[], dgy: &[] };
            let start = self.clock();
            if self.workspace.derived[index] {
                op.tangent_from_derivatives(&c, &mut dy[..k * len]);
            } else {
                op.tangent(&c, &mut dy[..k * len], &mut scratch);
            }
            drop(inputs);
            self.record(index, Phase::Tangent, start);
            self.workspace.tangent[tangent_slot] = dy;
        }
        self.workspace.scratch = scratch;
    }

    /// Seeds ȳ of a value: `seed(i)` for element i.
    pub(crate) fn seed(&mut self, value: ValueId, seed: impl Fn(usize) -> T) {
        let root = self.plan.root[value.0];
        let len = self.len(root);
        if let Some(s) = self.plan.gy[root] {
            for (i, g) in self.workspace.primal[s][..len].iter_mut().enumerate() {
                *g = seed(i);
            }
            self.workspace.has_gy[root] = true;
        }
    }

    /// Forgets all seeds and adjoints, so that another reverse sweep can start.
    pub(crate) fn clear_adjoints(&mut self) {
        self.workspace.has_gy.fill(false);
        self.workspace.has_dgy.fill(false);
    }

    /// H_L ẑ of the loss node alone: the tangent of the loss's adjoint at the logits, k · len numbers.
    pub(crate) fn loss_hessian_times_tangent(
        &mut self,
        loss: ValueId,
        seed: impl Fn(usize) -> T,
        out: &mut Vec<T>,
    ) {
        let Source::Node(index) = self.graph.source(loss) else { return };
        let node = &self.graph.nodes()[index];
        let k = self.workspace.tangents;
        let logits = self.len(node.inputs[0].0);
        out.clear();
        out.resize(k * logits, T::ZERO);
        let len = self.len(loss.0);
        let gy: Vec<T> = (0..len).map(seed).collect();
        let dgy = vec![T::ZERO; k * len];
        let mut scratch = take(&mut self.workspace.scratch);
        let inputs = self.operands(node, index, self.packed_tangents(index));
        let c = Context {
            inputs: &inputs,
            shape: &self.plan.shapes[loss.0],
            tangents: k,
            y: self.value(loss),
            dy: self.tangent(loss),
            gy: &gy,
            dgy: &dgy,
        };
        let mut slots: Vec<Option<Slot<'_, T>>> = node.inputs.iter().map(|_| None).collect();
        slots[0] = Some(Slot::new(out, false));
        T::op(&*node.op).adjoint_tangent(&c, &mut slots, &mut scratch);
        drop(slots);
        drop(inputs);
        self.workspace.scratch = scratch;
    }

    /// Exchanges the primal values with those kept from before.
    pub(crate) fn swap_primals(&mut self, kept: &mut KeptPrimals<T>) {
        for (i, own) in kept.primal.iter_mut().enumerate().filter(|(i, _)| self.plan.kept[*i]) {
            std::mem::swap(&mut self.workspace.primal[i], own);
        }
        std::mem::swap(&mut self.workspace.has_gy, &mut kept.has_gy);
        std::mem::swap(&mut self.workspace.derived, &mut kept.derived);
    }
}
