//! What an evaluation adds up: losses and correct answers.

use crate::tree::Node;

/// Sums of whole nodes of the tree, from left to right; each is one vector.
pub type NodeSums = Vec<Node<Vec<f64>>>;

/// What the losses of some samples add up to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub loss: f64,
    pub correct: u64,
    pub counted: u64,
}

impl Tally {
    pub(super) fn add(self, right: Tally) -> Tally {
        Tally {
            loss: self.loss + right.loss,
            correct: self.correct + right.correct,
            counted: self.counted + right.counted,
        }
    }
}

/// The part that a range of chunks has in an evaluation.
#[derive(Clone, Debug, Default)]
pub struct Tallies {
    /// The sums of whole nodes, from left to right.
    pub(super) nodes: Vec<Node<Tally>>,
    /// The losses of the independent parts of the data in these chunks, in order.
    pub losses: Vec<f64>,
}

impl Tallies {
    /// The sum over all chunks, and the losses of all parts.
    pub(super) fn finish(self) -> (Tally, Vec<f64>) {
        let sums = self.nodes.into_iter().map(|node| node.sum);
        (sums.rev().reduce(|right, left| left.add(right)).unwrap_or_default(), self.losses)
    }

    /// As plain numbers and the losses of parts, for the way to another process; counts are exact up to 2⁵³.
    pub fn into_numbers(self) -> (NodeSums, Vec<f64>) {
        let numbers = |t: Tally| vec![t.loss, t.correct as f64, t.counted as f64];
        let nodes = self.nodes.into_iter();
        let nodes = nodes.map(|n| Node { level: n.level, number: n.number, sum: numbers(n.sum) }).collect();
        (nodes, self.losses)
    }

    /// The sum over all chunks from what [`Tallies::into_numbers`] gives when the nodes of all ranges are added up and the losses
    /// strung together.
    pub fn from_sum(sum: &[f64], losses: Vec<f64>) -> Self {
        let at = |i: usize| sum.get(i).copied().unwrap_or(0.0);
        let tally = Tally { loss: at(0), correct: at(1) as u64, counted: at(2) as u64 };
        Self { nodes: vec![Node { level: 0, number: 0, sum: tally }], losses }
    }
}
