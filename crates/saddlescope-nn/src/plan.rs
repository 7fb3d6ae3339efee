//! A graph compiled for one micro-batch size and one kind of pass: shapes, order, and which memory holds what.

use crate::graph::{Graph, GraphError, Source, ValueId};
use crate::op::{Reads, numel};

/// What a pass computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Pass {
    /// y only: activations are freed as soon as possible.
    Forward,
    /// y and the gradient.
    Gradient,
    /// Tangents and the gradient: what Gauss–Newton and Fisher products need.
    TangentGradient,
    /// Everything: Hessian-vector products.
    Hessian,
    /// As `Hessian`, but those primal values y and ȳ that further products read are kept.
    HessianKeepingPrimals,
}

impl Pass {
    /// All passes.
    pub(crate) const ALL: [Pass; 5] =
        [Pass::Forward, Pass::Gradient, Pass::TangentGradient, Pass::Hessian, Pass::HessianKeepingPrimals];

    fn backward(self) -> bool {
        self != Pass::Forward
    }

    /// Whether tangents are carried.
    pub(crate) fn tangents(self) -> bool {
        matches!(self, Pass::TangentGradient | Pass::Hessian | Pass::HessianKeepingPrimals)
    }

    fn second_order(self) -> bool {
        matches!(self, Pass::Hessian | Pass::HessianKeepingPrimals)
    }
}

/// One memory pool: each slot is a buffer that several values use one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool {
    /// Elements of each slot (per tangent, for pools that hold tangents).
    pub sizes: Vec<usize>,
}

impl Pool {
    fn total(&self) -> usize {
        self.sizes.iter().sum()
    }
}

/// A graph compiled for one micro-batch size and one kind of pass.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) batch: usize,
    pub(crate) pass: Pass,
    pub(crate) shapes: Vec<Vec<usize>>,
    /// The value whose memory a value uses: itself, or what it reshapes.
    pub(crate) root: Vec<usize>,
    /// Whether a value depends on the parameters.
    pub(crate) active: Vec<bool>,
    /// Nodes to run, in order.
    pub(crate) order: Vec<usize>,
    /// The first node in the order that reads a value.
    pub(crate) first_reader: Vec<Option<usize>>,
    /// Slot of y (in the primal pool), ȳ (primal pool), ẏ and ȳ˙ (tangent pool) of each root.
    pub(crate) y: Vec<Option<usize>>,
    pub(crate) gy: Vec<Option<usize>>,
    pub(crate) dy: Vec<Option<usize>>,
    pub(crate) dgy: Vec<Option<usize>>,
    pub(crate) primal: Pool,
    pub(crate) tangent: Pool,
    /// Slots of the primal pool whose contents further products need (with [`Pass::HessianKeepingPrimals`] only).
    pub(crate) kept: Vec<bool>,
    /// Nodes whose x and ȳ are kept and read by nothing else: their place is taken by derivatives after the first product.
    pub(crate) derived: Vec<bool>,
}

/// Gives out slots of a pool: the smallest free one that is large enough, else the largest free one enlarged.
#[derive(Default)]
struct Allocator {
    pool: Pool,
    free: Vec<usize>,
}

impl Allocator {
    /// A slot that nothing else has used.
    fn take_new(&mut self, len: usize) -> usize {
        self.pool.sizes.push(len);
        self.pool.sizes.len() - 1
    }

    fn take(&mut self, len: usize) -> usize {
        let sizes = &self.pool.sizes;
        let fitting =
            (self.free.iter().enumerate()).filter(|(_, s)| sizes[**s] >= len).min_by_key(|(_, s)| sizes[**s]);
        let best = fitting.or_else(|| self.free.iter().enumerate().max_by_key(|(_, s)| sizes[**s]));
        match best.map(|(i, _)| i) {
            Some(i) => {
                let slot = self.free.swap_remove(i);
                self.pool.sizes[slot] = self.pool.sizes[slot].max(len);
                slot
            }
            None => self.take_new(len),
        }
    }

    fn release(&mut self, slot: usize) {
        self.free.push(slot);
    }
}

/// When a buffer is first written and last read, in steps: node at position p runs forward at step p and backward
/// at step 2n − 1 − p.
#[derive(Clone, Copy)]
struct Lifetime {
    first: usize,
    last: usize,
}

impl Plan {
    /// Compiles `graph` for micro-batches of `batch` samples. `outputs` are the values that must still be there when
    /// the forward pass is done (losses, logits, and values the caller wants to look at).
    pub(crate) fn compile(
        graph: &Graph,
        outputs: &[ValueId],
        batch: usize,
        pass: Pass,
    ) -> Result<Plan, GraphError> {
        let shapes = graph.infer_shapes(batch)?;
        let count = graph.value_count();
        let mut root: Vec<usize> = (0..count).collect();
        let mut active: Vec<bool> =
            (0..count).map(|v| matches!(graph.source(ValueId(v)), Source::Parameter(_))).collect();
        for node in graph.nodes() {
            let out = node.output.0;
            active[out] = node.inputs.iter().any(|i| active[i.0]);
            if node.op.is_reshape() {
                root[out] = root[node.inputs[0].0];
            }
        }
        let mut needed = vec![false; count];
        for output in outputs {
            needed[output.0] = true;
        }
        for node in graph.nodes().iter().rev() {
            if needed[node.output.0] {
                for input in &node.inputs {
                    needed[input.0] = true;
                }
            }
        }
        let order: Vec<usize> = (graph.nodes().iter().enumerate())
            .filter(|(_, n)| needed[n.output.0] && !n.op.is_reshape())
            .map(|(i, _)| i)
            .collect();

        let mut plan = Plan {
            batch,
            pass,
            shapes,
            root,
            active,
            order,
            first_reader: vec![None; count],
            y: vec![None; count],
            gy: vec![None; count],
            dy: vec![None; count],
            dgy: vec![None; count],
            primal: Pool::default(),
            tangent: Pool::default(),
            kept: Vec::new(),
            derived: vec![false; graph.nodes().len()],
        };
        for &i in &plan.order {
            for input in &graph.nodes()[i].inputs {
                plan.first_reader[plan.root[input.0]].get_or_insert(i);
            }
        }
        plan.assign_memory(graph, outputs);
        if pass == Pass::HessianKeepingPrimals {
            plan.find_derived(graph, outputs);
        }
        Ok(plan)
    }

    fn assign_memory(&mut self, graph: &Graph, outputs: &[ValueId]) {
        let n = self.order.len();
        let count = self.root.len();
        let (mut value, mut adjoint): (Vec<Option<Lifetime>>, Vec<Option<Lifetime>>) =
            (vec![None; count], vec![None; count]);
        for (p, &i) in self.order.iter().enumerate() {
            let node = &graph.nodes()[i];
            let backward = 2 * n - 1 - p;
            let out = node.output.0;
            let reads = node.op.reads();
            let runs_backward = self.pass.backward() && self.active[out];
            let last = if runs_backward && reads.output { backward } else { p };
            value[out] = Some(Lifetime { first: p, last });
            if runs_backward {
                // ȳ is written by consumers' backward passes (or seeded), read by this node's.
                adjoint[out] = Some(Lifetime { first: backward, last: backward });
            }
            for (j, input) in node.inputs.iter().enumerate() {
                let r = self.root[input.0];
                if let Some(life) = &mut value[r] {
                    let read_back = runs_backward && reads.inputs >> j.min(31) & 1 == 1;
                    life.last = life.last.max(if read_back { backward } else { p });
                }
                if runs_backward && let Some(life) = &mut adjoint[r] {
                    life.first = life.first.min(backward);
                }
            }
        }
        if self.pass == Pass::TangentGradient {
            // Several reverse sweeps follow, one a tangent: what one reads the next reads again.
            for life in value.iter_mut().flatten() {
                life.last = if life.last >= n { 2 * n } else { life.last };
            }
        }
        for output in outputs {
            let r = self.root[output.0];
            if let Some(life) = &mut value[r] {
                life.last = life.last.max(if self.pass == Pass::TangentGradient { 2 * n } else { n });
            }
            if let Some(life) = &mut adjoint[r] {
                // Outputs may be seeded before the backward pass starts.
                life.first = life.first.min(n);
            }
        }

        // Further products run tangents and adjoints' tangents only. They read the values that backward passes read, and ȳ where
        // the node that made the value has a second derivative: none has that reads nothing.
        let keep = self.pass == Pass::HessianKeepingPrimals;
        let mut curved = vec![false; count];
        for &i in &self.order {
            let node = &graph.nodes()[i];
            curved[node.output.0] = node.op.reads() != Reads::NONE;
        }
        let kept = |is_adjoint: bool, r: usize| {
            keep && if is_adjoint { curved[r] } else { value[r].is_some_and(|life| life.last >= n) }
        };
        let mut primal = Allocator::default();
        let mut tangent = Allocator::default();
        // (step, kind, root): frees come after takes of the same step, because a step reads what it frees.
        let steps = 2 * n + 1;
        let mut takes: Vec<Vec<(bool, usize)>> = vec![Vec::new(); steps];
        let mut frees: Vec<Vec<(bool, usize)>> = vec![Vec::new(); steps];
        for r in 0..count {
            for (is_adjoint, life) in [(false, value[r]), (true, adjoint[r])] {
                if let Some(life) = life {
                    takes[life.first].push((is_adjoint, r));
                    frees[life.last].push((is_adjoint, r));
                }
            }
        }
        let second = self.pass.second_order();
        for (takes, frees) in takes.iter().zip(&frees) {
            for &(is_adjoint, r) in takes {
                let len = numel(&self.shapes[r]);
                let slot = if kept(is_adjoint, r) { primal.take_new(len) } else { primal.take(len) };
                self.kept.resize(primal.pool.sizes.len(), false);
                self.kept[slot] = kept(is_adjoint, r);
                if is_adjoint {
                    self.gy[r] = Some(slot);
                    if second {
                        self.dgy[r] = Some(tangent.take(len));
                    }
                } else {
                    self.y[r] = Some(slot);
                    if self.pass.tangents() && self.active[r] {
                        self.dy[r] = Some(tangent.take(len));
                    }
                }
            }
            for &(is_adjoint, r) in frees {
                let slots = if is_adjoint { [self.gy[r], self.dgy[r]] } else { [self.y[r], self.dy[r]] };
                if let Some(s) = slots[0].filter(|&s| !self.kept[s]) {
                    primal.release(s);
                }
                if let Some(s) = slots[1] {
                    tangent.release(s);
                }
            }
        }
        self.primal = primal.pool;
        self.tangent = tangent.pool;
    }

    /// Finds the nodes whose x and ȳ can be replaced by derivatives.
    fn find_derived(&mut self, graph: &Graph, outputs: &[ValueId]) {
        // How many passes of further products read each value.
        let mut readers = vec![0_usize; self.root.len()];
        for &i in self.order.iter().filter(|&&i| self.active[graph.nodes()[i].output.0]) {
            let node = &graph.nodes()[i];
            let reads = node.op.reads();
            for (j, input) in node.inputs.iter().enumerate() {
                readers[self.root[input.0]] += reads.inputs as usize >> j.min(31) & 1;
            }
            readers[node.output.0] += usize::from(reads.output);
        }
        for &i in &self.order {
            let node = &graph.nodes()[i];
            let [input] = node.inputs[..] else { continue };
            let (x, y) = (self.root[input.0], node.output.0);
            let looked_at = outputs.iter().any(|v| [x, y].contains(&self.root[v.0]));
            self.derived[i] = node.op.keeps_derivatives()
                && matches!(graph.source(ValueId(x)), Source::Node(_))
                && self.active[x]
                && readers[x] == 1
                && !looked_at;
        }
    }

    /// Samples of a micro-batch.
    pub(crate) fn batch(&self) -> usize {
        self.batch
    }

    /// Shape of a value.
    pub(crate) fn shape(&self, value: ValueId) -> &[usize] {
        &self.shapes[value.0]
    }

    /// Numbers that a workspace holds for `tangents` tangents, without parameters and data.
    pub(crate) fn workspace_len(&self, tangents: usize) -> usize {
        self.primal.total() + self.tangent.total() * tangents
    }

    /// Numbers of the largest value.
    pub(crate) fn largest(&self) -> usize {
        self.primal.sizes.iter().copied().max().unwrap_or(0)
    }

    /// Numbers that are kept between products: what keeping the primals of one micro-batch costs.
    pub(crate) fn kept_len(&self) -> usize {
        self.primal.sizes.iter().zip(&self.kept).filter(|(_, kept)| **kept).map(|(n, _)| n).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{DataInput, ParameterKind};
    use crate::ops;

    #[test]
    fn derivatives_take_the_place_of_what_nothing_else_reads() {
        let mut g = Graph::new();
        let x = g.data(DataInput { name: "x".into(), shape: vec![4], permutation: None });
        let w = g.parameter("w", &[4, 4], ParameterKind::LinearWeight);
        let of_data = g.node("of data", ops::Gelu::Exact, &[x]);
        let a = g.node("a", ops::Linear, &[of_data, w]);
        let alone = g.node("alone", ops::Gelu::Exact, &[a]);
        let b = g.node("b", ops::Linear, &[alone, w]);
        let shared = g.node("shared", ops::Gelu::Exact, &[b]);
        let product = g.node("product", ops::Mul, &[shared, b]);
        let c = g.node("c", ops::Linear, &[product, w]);
        let from_output = g.node("from output", ops::Tanh, &[c]);
        let last = g.node("last", ops::Gelu::Exact, &[from_output]);
        let derived = |pass| {
            let plan = Plan::compile(&g, &[last], 2, pass).unwrap();
            let names = g.nodes().iter().zip(&plan.derived).filter(|(_, d)| **d);
            names.map(|(n, _)| n.output).collect::<Vec<_>>()
        };
        // The first is a function of data, the third's input is read by the product, the last one is looked at.
        assert_eq!(derived(Pass::HessianKeepingPrimals), [alone]);
        assert_eq!(derived(Pass::Hessian), []);
    }
}
