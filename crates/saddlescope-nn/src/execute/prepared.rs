//! Parameters and their tangents as the operations take them.

use super::permuted::permute;
use crate::graph::{Graph, Node, Source, ValueId};
use crate::op::{Element, Packed, numel};
use crate::parallel::each;
use crate::plan::Plan;

/// Parameters and buffers in the engine's order of axes, with what the operations prepared of them.
pub(crate) struct Prepared<T> {
    pub(crate) parameters: Vec<Vec<T>>,
    pub(crate) buffers: Vec<Vec<T>>,
    /// Per node and input.
    pub(super) packed: Vec<Vec<Option<Packed>>>,
}

/// k tangents of the parameters, with what the operations prepared of them.
pub(crate) struct PreparedTangents<T> {
    pub(crate) count: usize,
    /// Per parameter, k · len.
    pub(crate) parameters: Vec<Vec<T>>,
    /// Per node and input, one per tangent (or none).
    pub(super) packed: Vec<Vec<Vec<Packed>>>,
}

fn pack_inputs<T: Element>(
    graph: &Graph,
    plan: &Plan,
    node: &Node,
    mut values: impl FnMut(Source, &mut dyn FnMut(&[T])),
) -> Vec<Vec<Packed>> {
    let shapes: Vec<&[usize]> = node.inputs.iter().map(|i| plan.shapes[i.0].as_slice()).collect();
    let op = T::op(&*node.op);
    (node.inputs.iter().enumerate())
        .map(|(i, input)| {
            let mut packed = Vec::new();
            values(graph.source(ValueId(plan.root[input.0])), &mut |value| {
                packed.extend(op.pack(&shapes, i, value));
            });
            packed
        })
        .collect()
}

/// [`pack_inputs`] of every node of the plan, spread over threads.
fn pack_all<T: Element, V: Fn(Source, &mut dyn FnMut(&[T])) + Sync>(
    graph: &Graph,
    plan: &Plan,
    threads: usize,
    values: V,
) -> Vec<Vec<Vec<Packed>>> {
    let mut packed: Vec<Vec<Vec<Packed>>> = Vec::with_capacity(graph.nodes().len());
    packed.resize_with(graph.nodes().len(), Vec::new);
    let mut wanted = vec![false; graph.nodes().len()];
    plan.order.iter().for_each(|&n| wanted[n] = true);
    let items = packed.iter_mut().enumerate().filter(|(n, _)| wanted[*n]).collect();
    each(threads, items, |(n, packed)| {
        *packed = pack_inputs::<T>(graph, plan, &graph.nodes()[n], &values);
    });
    packed
}

/// Numbers of what one product prepares.
pub(crate) struct PreparedLen {
    /// Of the parameters and buffers.
    pub(crate) values: usize,
    /// Of each tangent.
    pub(crate) tangent: usize,
    /// Of the largest buffer that a thread takes beside values ([`Op::sums_len`](crate::op::Op::sums_len)).
    pub(crate) sums: usize,
}

impl PreparedLen {
    pub(crate) fn of<T: Element>(graph: &Graph, plan: &Plan) -> Self {
        let parameters = graph.parameter_count();
        let buffers: usize = graph.buffers().iter().map(|b| b.values.len()).sum();
        let mut found = Self { values: parameters + buffers, tangent: parameters, sums: 0 };
        for node in plan.order.iter().map(|&n| &graph.nodes()[n]) {
            let shapes: Vec<&[usize]> = node.inputs.iter().map(|i| plan.shapes[i.0].as_slice()).collect();
            let op = T::op(&*node.op);
            found.sums = found.sums.max(op.sums_len(&shapes));
            for (i, input) in node.inputs.iter().enumerate() {
                let source = graph.source(ValueId(plan.root[input.0]));
                let parameter = matches!(source, Source::Parameter(_));
                if parameter || matches!(source, Source::Buffer(_)) {
                    let len = op.packed_len(&shapes, i);
                    found.values += len;
                    found.tangent += if parameter { len } else { 0 };
                }
            }
        }
        found
    }
}

impl<T: Element> Prepared<T> {
    /// Prepares θ (file order, as it lies in `graph.parameters()`) for products.
    pub(crate) fn new(graph: &Graph, plan: &Plan, theta: &[f64], threads: usize) -> Self {
        let mut parameters: Vec<Vec<T>> = Vec::new();
        parameters.resize_with(graph.parameters().len(), Vec::new);
        let items = graph.parameters().iter().zip(graph.parameter_ranges()).zip(&mut parameters).collect();
        each(threads, items, |((p, range), value)| {
            *value = vec![T::ZERO; range.len()];
            permute(&p.shape, p.permutation.as_deref(), &theta[range], value, T::from_f64);
        });
        let buffers: Vec<Vec<T>> = (graph.buffers().iter())
            .map(|b| {
                let mut value = vec![T::ZERO; b.values.len()];
                permute(&b.shape, b.permutation.as_deref(), &b.values, &mut value, T::from_f64);
                value
            })
            .collect();
        let packed = pack_all::<T, _>(graph, plan, threads, |source, f| match source {
            Source::Parameter(i) => f(&parameters[i]),
            Source::Buffer(i) => f(&buffers[i]),
            _ => {}
        });
        let first = |mut packed: Vec<Packed>| packed.pop();
        let packed = packed.into_iter().map(|inputs| inputs.into_iter().map(first).collect()).collect();
        Self { parameters, buffers, packed }
    }
}

impl<T: Element> PreparedTangents<T> {
    /// Prepares a block of k directions (k × N, file order), in the memory of earlier ones where it has the right size.
    pub(crate) fn new(
        graph: &Graph,
        plan: &Plan,
        directions: &[f64],
        threads: usize,
        mut parameters: Vec<Vec<T>>,
    ) -> Self {
        let n = graph.parameter_count();
        let count = directions.len().checked_div(n).unwrap_or(0);
        parameters.resize_with(graph.parameters().len(), Vec::new);
        for (p, value) in graph.parameters().iter().zip(&mut parameters) {
            let len = count * numel(&p.shape);
            if value.len() != len {
                *value = vec![T::ZERO; len];
            }
        }
        let items = graph.parameters().iter().zip(graph.parameter_ranges()).zip(&mut parameters).collect();
        each(threads, items, |((p, range), value)| {
            let len = range.len();
            for j in 0..count {
                let from = &directions[j * n + range.start..j * n + range.end];
                let to = &mut value[j * len..(j + 1) * len];
                permute(&p.shape, p.permutation.as_deref(), from, to, T::from_f64);
            }
        });
        let packed = pack_all::<T, _>(graph, plan, threads, |source, f| {
            if let Source::Parameter(p) = source {
                let value = &parameters[p];
                for tangent in value.chunks_exact((value.len() / count.max(1)).max(1)) {
                    f(tangent);
                }
            }
        });
        Self { count, parameters, packed }
    }
}
