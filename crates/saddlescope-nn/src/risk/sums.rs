//! Sums of the chunks' adjoints over all chunks: the fixed tree of [`tree`](crate::tree), on vectors as long as θ.
//!
//! A chunk's adjoints are numbers of type `T` in the engine's order of axes; sums are in f64. Up to [`GROUP`] chunks wait as they
//! are (the nodes of the lowest levels are then added in one pass over memory); what is above is added up as soon as it can be.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::execute::{ParameterAdjoints, for_each_permuted};
use crate::graph::Graph;
use crate::kernels::Isa;
use crate::kernels::loops::vectorised;
use crate::op::Element;
use crate::parallel::each;
use crate::tree::{self, Tree};

/// Chunks that wait as they are where there are no more than that; pairs where there are more.
const GROUP: usize = 4;

/// Bytes that a sum over so many chunks holds at most for every number, beside the result: chunks that are at work or wait, each
/// number of `size` bytes, and sums in double precision, one for each level of the tree above the groups.
pub(super) fn units(chunks: usize, threads: usize, size: usize) -> usize {
    if chunks <= GROUP {
        return chunks * size;
    }
    let levels = chunks.ilog2() as usize - 1;
    (threads.min(chunks) + 2) * size + 8 * levels
}

/// Elements of one piece of work of the last pass.
const PIECE: usize = 1 << 16;

/// Part of a sum: some chunks as they are (one, two or four, or fewer at the end), or a sum of more.
enum Node<T> {
    Chunks(Vec<ParameterAdjoints<T>>),
    /// Per parameter.
    Sum(Vec<Vec<f64>>),
}

/// A sum over chunks in the making.
pub(super) struct Sums<'a, T> {
    graph: &'a Graph,
    /// Adjoints of each parameter.
    count: usize,
    /// Chunks of a group, and the level of its node.
    group: usize,
    level: u32,
    waiting: Vec<ParameterAdjoints<T>>,
    tree: Tree<Node<T>>,
    /// Buffers for chunks that nobody uses.
    free: &'a Buffers<T>,
}

/// Memory that is kept between products.
#[derive(Debug, Default)]
pub(super) struct Buffers<T> {
    /// For the adjoints of one chunk.
    adjoints: Mutex<Vec<ParameterAdjoints<T>>>,
    /// For the tangents of all parameters.
    tangents: Mutex<Vec<Vec<Vec<T>>>>,
}

impl<T: Element> Buffers<T> {
    /// None yet.
    pub(super) fn new() -> Self {
        Self { adjoints: Mutex::new(Vec::new()), tangents: Mutex::new(Vec::new()) }
    }

    /// Memory of earlier tangents, or none.
    pub(super) fn take_tangents(&self) -> Vec<Vec<T>> {
        self.tangents.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Takes memory of tangents back.
    pub(super) fn give_tangents(&self, tangents: Vec<Vec<T>>) {
        self.tangents.lock().unwrap_or_else(PoisonError::into_inner).push(tangents);
    }

    /// A buffer for `count` adjoints of every parameter, with nothing written.
    pub(super) fn take(&self, graph: &Graph, count: usize) -> ParameterAdjoints<T> {
        let mut free = self.adjoints.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of another size are of no more use.
        free.retain(|b| b.count() == count);
        match free.pop() {
            Some(mut buffer) => {
                buffer.reset();
                buffer
            }
            None => {
                drop(free);
                ParameterAdjoints::new(graph, count)
            }
        }
    }

    /// Takes a buffer back.
    pub(super) fn give(&self, buffer: ParameterAdjoints<T>) {
        self.adjoints.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

impl<'a, T: Element> Sums<'a, T> {
    /// The sum over the chunks `range` of `chunks` in all, of `count` adjoints of every parameter.
    pub(super) fn new(
        graph: &'a Graph,
        count: usize,
        range: &Range<usize>,
        chunks: usize,
        free: &'a Buffers<T>,
    ) -> Self {
        let whole = |group: usize| {
            range.start.is_multiple_of(group) && (range.end.is_multiple_of(group) || range.end == chunks)
        };
        // A group is a node: the largest that the range consists of.
        let (group, level) = match () {
            () if chunks <= GROUP && whole(4) => (4, 2),
            () if whole(2) => (2, 1),
            () => (1, 0),
        };
        let tree = Tree::starting_at(range.start);
        Self { graph, count, group, level, waiting: Vec::new(), tree, free }
    }

    /// Takes the next chunk.
    pub(super) fn push(&mut self, chunk: ParameterAdjoints<T>) {
        self.waiting.push(chunk);
        if self.waiting.len() == self.group {
            let group = std::mem::take(&mut self.waiting);
            let (graph, count, free) = (self.graph, self.count, self.free);
            self.tree.push(self.level, Node::Chunks(group), |left, right| {
                let mut sum = left.into_sum(graph, count, free);
                right.add_to(&mut sum);
                right.recycle(free);
                Node::Sum(sum)
            });
        }
    }

    /// Writes the sum in file order, one vector of N after the other, into `out`. The range is that of all chunks.
    pub(super) fn write(self, threads: usize, out: &mut [f64]) {
        let (graph, free) = (self.graph, self.free);
        let open: Vec<Node<T>> = self.into_open().into_iter().map(|node| node.sum).collect();
        write_sum(graph, &open, threads, out);
        open.into_iter().for_each(|node| node.recycle(free));
    }

    /// The sums of the whole nodes that the range consists of, each in file order, one vector of N after the other.
    pub(super) fn nodes(self, threads: usize) -> Vec<tree::Node<Vec<f64>>> {
        let (graph, free, len) = (self.graph, self.free, self.count * self.graph.parameter_count());
        (self.into_open().into_iter())
            .map(|node| {
                let mut sum = vec![0.0; len];
                let open = [node.sum];
                write_sum(graph, &open, threads, &mut sum);
                let [only] = open;
                only.recycle(free);
                tree::Node { level: node.level, number: node.number, sum }
            })
            .collect()
    }

    /// The nodes that are yet to be added up, from left to right.
    fn into_open(self) -> Vec<tree::Node<Node<T>>> {
        let number = self.tree.next() >> self.level;
        let mut open = self.tree.into_open();
        if !self.waiting.is_empty() {
            // The rightmost node of all, with children missing.
            open.push(tree::Node { level: self.level, number, sum: Node::Chunks(self.waiting) });
        }
        open
    }
}

/// Writes the sum of nodes, from the last to the first, in file order into `out`.
fn write_sum<T: Element>(graph: &Graph, open: &[Node<T>], threads: usize, out: &mut [f64]) {
    let n = graph.parameter_count();
    let mut pieces = Vec::new();
    for (j, mut out) in out.chunks_exact_mut(n.max(1)).enumerate() {
        for (p, range) in graph.parameter_ranges().into_iter().enumerate() {
            let (own, rest) = out.split_at_mut(range.len());
            out = rest;
            if graph.parameters()[p].permutation.is_some() {
                pieces.push((j, p, 0, own));
            } else {
                pieces.extend(own.chunks_mut(PIECE).enumerate().map(|(i, own)| (j, p, i * PIECE, own)));
            }
        }
    }
    each(threads, pieces, |(j, p, first, out)| {
        let parameter = &graph.parameters()[p];
        let len = crate::op::numel(&parameter.shape);
        let at = j * len + first;
        match &parameter.permutation {
            None => sum_of_open(open, p, at, out),
            Some(permutation) => {
                let mut sum = vec![0.0; len];
                sum_of_open(open, p, at, &mut sum);
                for_each_permuted(&parameter.shape, permutation, |engine, file| out[file] = sum[engine]);
            }
        }
    });
}

/// The top of the tree for elements `at..` of parameter `p`, from the nodes that wait.
fn sum_of_open<T: Element>(open: &[Node<T>], p: usize, at: usize, out: &mut [f64]) {
    let Some((last, others)) = open.split_last() else {
        out.fill(0.0);
        return;
    };
    last.write(p, at, out, false);
    for node in others.iter().rev() {
        node.write(p, at, out, true);
    }
}

impl<T: Element> Node<T> {
    /// out = the node's elements, or the node's elements plus `out`.
    fn write(&self, p: usize, at: usize, out: &mut [f64], add: bool) {
        let isa = Isa::detect();
        match self {
            Node::Sum(sum) => add_sum::<T>(isa, &sum[p][at..at + out.len()], out, add),
            Node::Chunks(chunks) => {
                let part =
                    |i: usize| chunks.get(i).and_then(|c| c.written(p)).map(|v| &v[at..at + out.len()]);
                match [part(0), part(1), part(2), part(3)] {
                    [Some(a), Some(b), Some(c), Some(d)] => add_four(isa, [a, b, c, d], out, add),
                    [Some(a), Some(b), None, None] => add_two(isa, [a, b], out, add),
                    parts => {
                        // Rare: fewer chunks than a group, or a parameter that some chunks do not reach. A number that is not
                        // there counts as −0, which changes no bit of what it is added to.
                        for (i, out) in out.iter_mut().enumerate() {
                            let [a, b, c, d] = parts.map(|x| x.map_or(-0.0, |x| x[i].to_f64()));
                            let sum = (a + b) + (c + d);
                            *out = if add { sum + *out } else { sum };
                        }
                    }
                }
            }
        }
    }

    fn add_to(&self, sum: &mut [Vec<f64>]) {
        for (p, sum) in sum.iter_mut().enumerate() {
            // Left plus right is right plus left.
            self.write(p, 0, sum, true);
        }
    }

    fn into_sum(self, graph: &Graph, count: usize, free: &Buffers<T>) -> Vec<Vec<f64>> {
        match self {
            Node::Sum(sum) => sum,
            Node::Chunks(_) => {
                let mut sum: Vec<Vec<f64>> = (graph.parameters().iter())
                    .map(|p| vec![0.0; count * crate::op::numel(&p.shape)])
                    .collect();
                for (p, sum) in sum.iter_mut().enumerate() {
                    self.write(p, 0, sum, false);
                }
                self.recycle(free);
                sum
            }
        }
    }

    fn recycle(self, free: &Buffers<T>) {
        if let Node::Chunks(chunks) = self {
            chunks.into_iter().for_each(|chunk| free.give(chunk));
        }
    }
}

vectorised! {
    /// out = a + b, or that plus out.
    fn add_two['a, T](of: [&'a [T]; 2], out: &'a mut [f64], add: bool) {
        let n = out.len();
        let [a, b] = of.map(|x| &x[..n]);
        for (i, out) in out.iter_mut().enumerate() {
            let sum = a[i].to_f64() + b[i].to_f64();
            *out = if add { sum + *out } else { sum };
        }
    }
}

vectorised! {
    /// out = (a + b) + (c + d), or that plus out.
    fn add_four['a, T](of: [&'a [T]; 4], out: &'a mut [f64], add: bool) {
        let n = out.len();
        let [a, b, c, d] = of.map(|x| &x[..n]);
        for (i, out) in out.iter_mut().enumerate() {
            let sum = (a[i].to_f64() + b[i].to_f64()) + (c[i].to_f64() + d[i].to_f64());
            *out = if add { sum + *out } else { sum };
        }
    }
}

vectorised! {
    /// out = sum, or sum + out.
    fn add_sum['a, T](sum: &'a [f64], out: &'a mut [f64], add: bool) {
        for (out, &s) in out.iter_mut().zip(sum) {
            *out = if add { s + *out } else { s };
        }
    }
}
