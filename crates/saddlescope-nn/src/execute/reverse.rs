//! The reverse sweep on dual numbers.

use std::mem::take;

use super::execution::Execution;
use super::workspace::ParameterAdjoints;
use crate::aligned::AlignedVec;
use crate::graph::{Source, ValueId};
use crate::op::{Context, Element, Slot};
use crate::profile::Phase;

/// Which adjoints a reverse sweep computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sweep {
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

impl<T: Element> Execution<'_, T> {
    /// The reverse sweep from whatever was seeded. Adjoints of the parameters are added to `adjoints`.
    pub(crate) fn reverse(&mut self, sweep: Sweep, adjoints: &mut ParameterAdjoints<T>) {
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
                op.adjoint_tangent_from_derivatives(&c, &mut slots);
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
}
