//! The memory of one thread: values, tangents and adjoints of a micro-batch, and the sums over parameters.

use crate::aligned::AlignedVec;
use crate::graph::Graph;
use crate::kernels::Isa;
use crate::kernels::loops::{LANES, vectorised};
use crate::op::{Element, numel};
use crate::plan::Plan;
use crate::profile::Profile;
use crate::scratch::Scratch;

vectorised! {
    /// out = Σ aᵢ bᵢ in f64.
    fn dot_product['a, T](a: &'a [T], b: &'a [T], out: &'a mut f64) {
        let mut lanes = [0.0; LANES];
        let (chunks, rest) = a.as_chunks::<LANES>();
        let (other_chunks, other_rest) = b.as_chunks::<LANES>();
        for (a, b) in chunks.iter().zip(other_chunks) {
            for l in 0..LANES {
                lanes[l] += a[l].to_f64() * b[l].to_f64();
            }
        }
        for ((lane, &a), &b) in lanes.iter_mut().zip(rest).zip(other_rest) {
            *lane += a.to_f64() * b.to_f64();
        }
        *out = lanes.iter().sum::<f64>();
    }
}

/// Σ aᵢ bᵢ in f64.
fn dot<T: Element>(a: &[T], b: &[T]) -> f64 {
    let mut out = 0.0;
    dot_product(Isa::detect(), a, b, &mut out);
    out
}

/// Adjoints of the parameters that one thread accumulates, in the engine's order of axes.
#[derive(Debug, Default)]
pub(crate) struct ParameterAdjoints<T> {
    pub(crate) values: Vec<AlignedVec<T>>,
    pub(super) written: Vec<bool>,
    pub(super) count: usize,
    /// For every parameter, the dot products of its `count` adjoints with the directions, where they are known.
    dots: Vec<Option<Vec<f64>>>,
}

impl<T: Element> ParameterAdjoints<T> {
    /// Buffers for `count` adjoints of every parameter.
    pub(crate) fn new(graph: &Graph, count: usize) -> Self {
        let values: Vec<AlignedVec<T>> =
            graph.parameters().iter().map(|p| AlignedVec::zeroed(count * numel(&p.shape))).collect();
        let (written, dots) = (vec![false; values.len()], vec![None; values.len()]);
        Self { values, written, count, dots }
    }

    /// Adjoints of every parameter.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The sums of a parameter (count · len), if anything was added.
    pub(crate) fn written(&self, parameter: usize) -> Option<&[T]> {
        self.written[parameter].then(|| &*self.values[parameter])
    }

    /// Starts a new sum.
    pub(crate) fn reset(&mut self) {
        self.written.fill(false);
        self.dots.fill(None);
    }

    /// Starts a new sum of zeros: needed before sweeps that write only parts.
    pub(crate) fn zero(&mut self) {
        for value in &mut self.values {
            value.fill(T::ZERO);
        }
        self.written.fill(true);
        self.dots.fill(None);
    }

    /// Computes the dot products of a parameter's adjoints, to which nothing will be added, with the directions (count · len).
    pub(super) fn finish(&mut self, parameter: usize, directions: &[T]) {
        if self.written[parameter] {
            let values = &self.values[parameter];
            let len = (values.len() / self.count.max(1)).max(1);
            let pairs = values.chunks_exact(len).zip(directions.chunks_exact(len));
            self.dots[parameter] = Some(pairs.map(|(a, b)| dot(a, b)).collect());
        }
    }

    /// Adds the dot products of all adjoints with the directions, parameter by parameter, to `sums`.
    pub(crate) fn add_dots(&mut self, directions: &[Vec<T>], sums: &mut [f64]) {
        for (p, directions) in directions.iter().enumerate() {
            if self.dots[p].is_none() {
                self.finish(p, directions);
            }
            for (sum, dot) in sums.iter_mut().zip(self.dots[p].iter().flatten()) {
                *sum += dot;
            }
        }
    }

    /// The sums in file order, `f(parameter, values)`; parameters that nothing was added to are left out.
    pub(crate) fn for_each_written(&self, mut f: impl FnMut(usize, &[T])) {
        for (i, value) in self.values.iter().enumerate() {
            if self.written[i] {
                f(i, value);
            }
        }
    }
}

/// Memory of one thread for one plan.
#[derive(Debug, Default)]
pub(crate) struct Workspace<T> {
    pub(super) primal: Vec<AlignedVec<T>>,
    pub(super) tangent: Vec<AlignedVec<T>>,
    pub(super) has_gy: Vec<bool>,
    pub(super) has_dgy: Vec<bool>,
    /// Nodes whose x and ȳ have been replaced by derivatives.
    pub(super) derived: Vec<bool>,
    pub(super) scratch: Scratch<T>,
    pub(super) tangents: usize,
    /// Costs of the operations, while somebody wants to know.
    pub(crate) profile: Option<Profile>,
}

/// Those primal values y and ȳ of one micro-batch that products read, kept between products at the same θ.
#[derive(Debug, Default)]
pub(crate) struct KeptPrimals<T> {
    pub(super) primal: Vec<AlignedVec<T>>,
    pub(super) has_gy: Vec<bool>,
    pub(super) derived: Vec<bool>,
}

impl<T: Element> KeptPrimals<T> {
    /// Memory for the primals of one micro-batch.
    pub(crate) fn for_plan(plan: &Plan) -> Self {
        Self {
            primal: (plan.primal.sizes.iter().zip(&plan.kept))
                .map(|(&n, &kept)| if kept { AlignedVec::zeroed(n) } else { AlignedVec::new() })
                .collect(),
            has_gy: vec![false; plan.root.len()],
            derived: vec![false; plan.derived.len()],
        }
    }
}

/// Makes every buffer of a pool hold at least `factor` times its planned size, except those that are to be swapped for `kept`
/// ones.
pub(super) fn fit<T: Element>(pool: &mut Vec<AlignedVec<T>>, sizes: &[usize], factor: usize, kept: &[bool]) {
    if pool.len() < sizes.len() {
        pool.resize_with(sizes.len(), AlignedVec::new);
    }
    for (i, (buffer, &size)) in pool.iter_mut().zip(sizes).enumerate() {
        if !kept.get(i).is_some_and(|&kept| kept) {
            buffer.grow(size * factor);
        }
    }
}
