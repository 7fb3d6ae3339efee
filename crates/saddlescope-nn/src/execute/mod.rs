//! Running a plan on one micro-batch: forward, tangents, and the reverse sweep on dual numbers.
//!
//! Everything here is single-threaded and depends only on its arguments; threads run different micro-batches.

mod permuted;
mod prepared;
mod workspace;

pub(crate) use permuted::{for_each_permuted, permute};
pub use prepared::{Prepared, PreparedTangents};
pub use workspace::{KeptPrimals, ParameterAdjoints, Workspace};

use std::mem::take;
use std::time::Instant;

use workspace::fit;

use crate::aligned::AlignedVec;
use crate::graph::{Graph, Node, Source, ValueId};
use crate::op::{Context, Element, Operand, Packed, Slot, numel};
use crate::ops::unary::{adjoint_tangent_from_derivatives, tangent_from_derivatives};
use crate::plan::Plan;
use crate::profile::Phase;

/// Which adjoints a reverse sweep computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// ȳ of every value and of the parameters: the gradient, into part `part` of `parts` equal parts of every
    /// parameter's buffer.
    Gradient {
        /// Which part.
        part: usize,
        /// Of how many.
        parts: usize,
    },
    /// ȳ and ȳ˙ of every value, ȳ˙ of the parameters: a Hessian-vector product. The node that makes `linear_at`
    /// is taken to be linear: at the loss this leaves out the Gauss–Newton term.
    Hessian {
        /// Output of the node without second derivative.
        linear_at: Option<ValueId>,
    },
    /// ȳ˙ alone, ȳ being kept from before.
    HessianFromKept {
        /// As in `Hessian`.
        linear_at: Option<ValueId>,
    },
}

/// Where a buffer that was taken for an operation goes back to.
enum Home {
    Parameter(usize),
    Value(usize, usize),
    /// A second buffer for an input that occurs twice: added to the first afterwards.
    Twin(usize),
}

/// A buffer taken out of its pool while an operation writes to it.
struct Taken<T> {
    home: Home,
    buffer: AlignedVec<T>,
    range: std::ops::Range<usize>,
    fresh: bool,
}

/// A plan at work on one micro-batch.
pub struct Execution<'a, T> {
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
    pub fn new(
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

    fn len(&self, value: usize) -> usize {
        numel(&self.plan.shapes[value])
    }

    /// Elements of a value after the forward pass; empty if its memory has been used for something else.
    pub fn value(&self, value: ValueId) -> &[T] {
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
    pub fn tangent(&self, value: ValueId) -> &[T] {
        let root = self.plan.root[value.0];
        match self.plan.dy[root] {
            Some(s) => &self.workspace.tangent[s][..self.workspace.tangents * self.len(root)],
            None => &[],
        }
    }

    fn operands<'b>(
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

    fn packed_tangents(&self, index: usize) -> &'a [Vec<Packed>] {
        self.tangents.map_or(&[], |t| t.packed[index].as_slice())
    }

    /// Now, if costs are wanted.
    fn clock(&self) -> Option<Instant> {
        self.workspace.profile.is_some().then(Instant::now)
    }

    /// Notes what a pass of a node cost.
    fn record(&mut self, index: usize, phase: Phase, start: Option<Instant>) {
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
    pub fn forward(&mut self) {
        for p in 0..self.plan.order.len() {
            self.forward_node(self.plan.order[p], true);
        }
    }

    /// Tangents alone, the primal values being kept from before.
    pub fn forward_tangents(&mut self) {
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
                tangent_from_derivatives(&c, &mut dy[..k * len]);
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
    pub fn seed(&mut self, value: ValueId, seed: impl Fn(usize) -> T) {
        let root = self.plan.root[value.0];
        let len = self.len(root);
        if let Some(s) = self.plan.gy[root] {
            for (i, g) in self.workspace.primal[s][..len].iter_mut().enumerate() {
                *g = seed(i);
            }
            self.workspace.has_gy[root] = true;
        }
    }

    /// Seeds ȳ˙ of a value with the numbers given (k · len).
    pub fn seed_tangent(&mut self, value: ValueId, seed: &[T]) {
        let root = self.plan.root[value.0];
        if let Some(s) = self.plan.dgy[root] {
            self.workspace.tangent[s][..seed.len()].copy_from_slice(seed);
            self.workspace.has_dgy[root] = true;
        }
    }

    /// Forgets all seeds and adjoints, so that another reverse sweep can start.
    pub fn clear_adjoints(&mut self) {
        self.workspace.has_gy.fill(false);
        self.workspace.has_dgy.fill(false);
    }

    /// H_L ẑ of the loss node alone: the tangent of the loss's adjoint at the logits, k · len numbers.
    pub fn loss_hessian_times_tangent(&mut self, loss: ValueId, seed: impl Fn(usize) -> T, out: &mut Vec<T>) {
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

    /// The reverse sweep from whatever was seeded. Adjoints of the parameters are added to `adjoints`.
    pub fn reverse(&mut self, sweep: Sweep, adjoints: &mut ParameterAdjoints<T>) {
        for p in (0..self.plan.order.len()).rev() {
            let index = self.plan.order[p];
            let out = self.graph.nodes()[index].output.0;
            let (has_gy, has_dgy) = (self.workspace.has_gy[out], self.workspace.has_dgy[out]);
            if !self.plan.active[out] || !(has_gy || has_dgy) {
                continue;
            }
            if let Sweep::Gradient { part, parts } = sweep {
                self.reverse_node(index, false, true, adjoints, (part, parts));
                continue;
            }
            let len = self.len(out);
            if !has_gy && let Some(s) = self.plan.gy[out] {
                self.workspace.primal[s][..len].fill(T::ZERO);
                self.workspace.has_gy[out] = true;
            }
            if !has_dgy && let Some(s) = self.plan.dgy[out] {
                let k = self.workspace.tangents;
                self.workspace.tangent[s][..k * len].fill(T::ZERO);
                self.workspace.has_dgy[out] = true;
            }
            if !matches!(sweep, Sweep::HessianFromKept { .. }) {
                self.reverse_node(index, false, false, adjoints, (0, 1));
            }
            let (Sweep::Hessian { linear_at } | Sweep::HessianFromKept { linear_at }) = sweep else {
                continue;
            };
            if linear_at != Some(ValueId(out)) {
                self.reverse_node(index, true, true, adjoints, (0, 1));
                if self.last {
                    self.finish_parameters(index, adjoints);
                }
                if self.plan.derived[index] && matches!(sweep, Sweep::Hessian { .. }) {
                    self.replace_by_derivatives(index);
                }
            }
        }
    }

    /// One node of a reverse sweep: its adjoint (`second` false) or its adjoint's tangent.
    fn reverse_node(
        &mut self,
        index: usize,
        second: bool,
        parameters: bool,
        adjoints: &mut ParameterAdjoints<T>,
        (part, parts): (usize, usize),
    ) {
        let node = &self.graph.nodes()[index];
        let op = T::op(&*node.op);
        let out = node.output.0;
        let len = self.len(out);
        let k = self.workspace.tangents;
        let factor = if second { k } else { 1 };

        // Take the buffers of the wanted adjoints out of their pools. An input that occurs twice gets a buffer of
        // its own the second time.
        let mut taken: Vec<Option<Taken<T>>> = Vec::with_capacity(node.inputs.len());
        for (i, input) in node.inputs.iter().enumerate() {
            let root = self.plan.root[input.0];
            let source = self.graph.source(ValueId(root));
            let wanted = self.plan.active[root] && (parameters || !matches!(source, Source::Parameter(_)));
            if !wanted {
                taken.push(None);
                continue;
            }
            let length = factor * self.len(root);
            let twin = node.inputs[..i].iter().any(|o| self.plan.root[o.0] == root);
            taken.push(Some(if twin {
                let buffer = self.workspace.scratch.take(length);
                Taken { home: Home::Twin(root), buffer, range: 0..length, fresh: true }
            } else if let Source::Parameter(p) = source {
                let buffer = take(&mut adjoints.values[p]);
                let each = buffer.len() / parts;
                let range = if second { 0..buffer.len() } else { part * each..(part + 1) * each };
                Taken { home: Home::Parameter(p), buffer, range, fresh: !adjoints.written[p] }
            } else {
                let (slot, pool, has) = if second {
                    (self.plan.dgy[root], &mut self.workspace.tangent, &self.workspace.has_dgy)
                } else {
                    (self.plan.gy[root], &mut self.workspace.primal, &self.workspace.has_gy)
                };
                match slot {
                    Some(s) => Taken {
                        home: Home::Value(root, s),
                        buffer: take(&mut pool[s]),
                        range: 0..length,
                        fresh: !has[root],
                    },
                    None => {
                        taken.push(None);
                        continue;
                    }
                }
            }));
        }

        let mut scratch = take(&mut self.workspace.scratch);
        let start = self.clock();
        {
            let inputs = self.operands(node, index, self.packed_tangents(index));
            let get = |s: Option<usize>, primal: bool, n: usize| -> &[T] {
                let pool = if primal { &self.workspace.primal } else { &self.workspace.tangent };
                s.and_then(|s| pool[s].get(..n)).unwrap_or(&[])
            };
            let c = Context {
                inputs: &inputs,
                shape: &self.plan.shapes[out],
                tangents: k,
                y: get(self.plan.y[out], true, len),
                dy: get(self.plan.dy[out], false, k * len),
                gy: get(self.plan.gy[out], true, len),
                dgy: if second { get(self.plan.dgy[out], false, k * len) } else { &[] },
            };
            let mut slots: Vec<Option<Slot<'_, T>>> = (taken.iter_mut())
                .map(|t| t.as_mut().map(|t| Slot::new(&mut t.buffer[t.range.clone()], t.fresh)))
                .collect();
            if second && self.workspace.derived[index] {
                adjoint_tangent_from_derivatives(&c, &mut slots);
            } else if second {
                op.adjoint_tangent(&c, &mut slots, &mut scratch);
            } else {
                op.adjoint(&c, &mut slots, &mut scratch);
            }
            let fresh: Vec<bool> = slots.iter().map(|s| s.as_ref().is_none_or(|s| !s.is_written())).collect();
            drop(slots);
            for (t, fresh) in taken.iter_mut().zip(fresh) {
                if let Some(t) = t {
                    t.fresh = fresh;
                }
            }
        }
        self.workspace.scratch = scratch;
        self.record(index, if second { Phase::AdjointTangent } else { Phase::Adjoint }, start);

        for t in taken.into_iter().flatten() {
            match t.home {
                Home::Parameter(p) => {
                    adjoints.values[p] = t.buffer;
                    // With several parts (one sweep a tangent) the buffer counts as written from the first sweep
                    // on; the caller zeroes it beforehand.
                    adjoints.written[p] |= !t.fresh;
                }
                Home::Value(root, s) => {
                    let (pool, has) = if second {
                        (&mut self.workspace.tangent, &mut self.workspace.has_dgy)
                    } else {
                        (&mut self.workspace.primal, &mut self.workspace.has_gy)
                    };
                    pool[s] = t.buffer;
                    has[root] |= !t.fresh;
                }
                Home::Twin(root) => {
                    if !t.fresh {
                        self.add_twin(root, second, &t.buffer[t.range.clone()], adjoints, (part, parts));
                    }
                    self.workspace.scratch.give(t.buffer);
                }
            }
        }
    }

    /// Computes the dot products of the adjoints to which this node, the first in the order that reads the parameters, added last.
    fn finish_parameters(&self, index: usize, adjoints: &mut ParameterAdjoints<T>) {
        let Some(tangents) = self.tangents else { return };
        for input in &self.graph.nodes()[index].inputs {
            let root = self.plan.root[input.0];
            if self.plan.first_reader[root] == Some(index)
                && let Source::Parameter(p) = self.graph.source(ValueId(root))
            {
                adjoints.finish(p, &tangents.parameters[p]);
            }
        }
    }

    /// Replaces x and ȳ of a node, which are kept and which nothing else reads, by derivatives.
    fn replace_by_derivatives(&mut self, index: usize) {
        let node = &self.graph.nodes()[index];
        let (x, out) = (self.plan.root[node.inputs[0].0], node.output.0);
        let (Some(x_slot), Some(gy_slot)) = (self.plan.y[x], self.plan.gy[out]) else { return };
        let len = self.len(out);
        let mut values = take(&mut self.workspace.primal[x_slot]);
        let gy = &mut self.workspace.primal[gy_slot][..len];
        T::op(&*node.op).replace_by_derivatives(&mut values[..len], gy);
        self.workspace.primal[x_slot] = values;
        self.workspace.derived[index] = true;
    }

    /// Adds the adjoint of a second occurrence of an input to that of the first.
    fn add_twin(
        &mut self,
        root: usize,
        second: bool,
        twin: &[T],
        adjoints: &mut ParameterAdjoints<T>,
        (part, parts): (usize, usize),
    ) {
        let source = self.graph.source(ValueId(root));
        let (target, written): (&mut [T], &mut bool) = if let Source::Parameter(p) = source {
            let buffer = &mut adjoints.values[p];
            let each = buffer.len() / parts;
            let range = if second { 0..buffer.len() } else { part * each..(part + 1) * each };
            (&mut buffer[range], &mut adjoints.written[p])
        } else {
            let (slot, pool, has) = if second {
                (self.plan.dgy[root], &mut self.workspace.tangent, &mut self.workspace.has_dgy)
            } else {
                (self.plan.gy[root], &mut self.workspace.primal, &mut self.workspace.has_gy)
            };
            let Some(s) = slot else { return };
            (&mut pool[s][..twin.len()], &mut has[root])
        };
        if *written {
            for (t, &x) in target.iter_mut().zip(twin) {
                *t += x;
            }
        } else {
            target.copy_from_slice(twin);
            *written = true;
        }
    }

    /// Exchanges the primal values with those kept from before.
    pub fn swap_primals(&mut self, kept: &mut KeptPrimals<T>) {
        for (i, own) in kept.primal.iter_mut().enumerate().filter(|(i, _)| self.plan.kept[*i]) {
            std::mem::swap(&mut self.workspace.primal[i], own);
        }
        std::mem::swap(&mut self.workspace.has_gy, &mut kept.has_gy);
        std::mem::swap(&mut self.workspace.derived, &mut kept.derived);
    }
}
