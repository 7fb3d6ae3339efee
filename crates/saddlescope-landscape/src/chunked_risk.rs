//! Risks whose sums over samples can be computed in parts, by several owners, with the same bits as by one.
//!
//! The samples of such a risk are cut into chunks, and sums over chunks are taken along a fixed binary tree: node i of level l
//! covers the chunks i · 2ˡ up to, not including, (i + 1) · 2ˡ, as far as they exist. A node of level 0 is one chunk; any
//! other is its left child plus its right child, or the left child alone where the right one covers nothing. Whoever owns a
//! contiguous range of chunks computes the sums of the whole nodes in it, and nothing depends on who owns what.

use std::ops::Range;

use crate::risk::{Curvature, Evaluation, Product, Risk, RiskError};

/// The sum over the chunks of one node, one or several numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSum {
    /// Level of the node.
    pub level: u32,
    /// Its number in the level.
    pub number: usize,
    /// The sum.
    pub values: Vec<f64>,
}

/// What a contiguous range of chunks contributes to a result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PartialSums {
    /// For each quantity that is summed over chunks: the sums of whole nodes, from left to right. Empty for no chunks.
    pub sums: Vec<Vec<NodeSum>>,
    /// Numbers of every chunk that are not summed, one chunk after the other.
    pub rows: Vec<f64>,
}

impl PartialSums {
    /// Adds the contribution of the chunks that follow.
    pub fn append(&mut self, right: Self) {
        if self.sums.len() < right.sums.len() {
            self.sums.resize_with(right.sums.len(), Vec::new);
        }
        for (nodes, more) in self.sums.iter_mut().zip(right.sums) {
            for mut node in more {
                while let Some(left) = nodes.pop_if(|left| {
                    left.level == node.level && node.number % 2 == 1 && left.number + 1 == node.number
                }) {
                    node = add(left, node);
                }
                nodes.push(node);
            }
        }
        self.rows.extend(right.rows);
    }

    /// The sums over all chunks, where all have been appended from the first to the last, and the rows of all chunks.
    pub fn finish(self) -> (Vec<Vec<f64>>, Vec<f64>) {
        let whole = |nodes: Vec<NodeSum>| {
            let sum = nodes.into_iter().rev().reduce(|right, left| add(left, right));
            sum.map_or_else(Vec::new, |node| node.values)
        };
        (self.sums.into_iter().map(whole).collect(), self.rows)
    }
}

/// The sum of two nodes, as their parent.
fn add(mut left: NodeSum, right: NodeSum) -> NodeSum {
    left.values.iter_mut().zip(&right.values).for_each(|(left, right)| *left += right);
    NodeSum { level: left.level + 1, number: left.number / 2, values: left.values }
}

/// A risk that can be computed in parts. A range of chunks may be empty; the sums of all ranges together are given back to
/// the risk, which makes of them what it would have computed alone, bit for bit.
pub trait ChunkedRisk: Risk {
    /// Number of chunks that the samples are cut into, whoever computes them.
    fn chunks(&self) -> usize;

    /// The contribution of some chunks to L(θ) and what comes with it.
    ///
    /// # Errors
    /// As [`Risk::evaluate`].
    fn evaluate_chunks(&self, theta: &[f64], chunks: Range<usize>) -> Result<PartialSums, RiskError>;

    /// What the contributions of all chunks to an evaluation at θ make.
    ///
    /// # Errors
    /// Contributions that are not of this risk.
    fn whole_evaluation(&self, theta: &[f64], sums: PartialSums) -> Result<Evaluation, RiskError>;

    /// The contribution of some chunks to ∇L(θ) and L(θ).
    ///
    /// # Errors
    /// As [`Risk::gradient`].
    fn gradient_chunks(&self, theta: &[f64], chunks: Range<usize>) -> Result<PartialSums, RiskError>;

    /// What the contributions of all chunks to a gradient at θ make.
    ///
    /// # Errors
    /// Contributions that are not of this risk.
    fn whole_gradient(
        &self,
        theta: &[f64],
        sums: PartialSums,
        gradient: &mut [f64],
    ) -> Result<Evaluation, RiskError>;

    /// Some chunks of the risk near one θ, for products; `keep_bytes` as in [`Risk::at`].
    ///
    /// # Errors
    /// As [`Risk::at`].
    fn at_chunks<'a>(
        &'a self,
        theta: &[f64],
        chunks: Range<usize>,
        keep_bytes: usize,
    ) -> Result<Box<dyn ChunkedPoint + 'a>, RiskError>;

    /// What the contributions of all chunks to products with a block of vectors make.
    ///
    /// # Errors
    /// Contributions that are not of this risk.
    fn whole_product(
        &self,
        curvature: Curvature,
        vs: &[f64],
        sums: PartialSums,
        out: &mut [f64],
    ) -> Result<Product, RiskError>;
}

/// Some chunks of a risk near one θ.
pub trait ChunkedPoint: Sync {
    /// Their contribution to products with a block of vectors stored one after the other (k × N).
    ///
    /// # Errors
    /// As [`Point::product`](crate::risk::Point::product).
    fn product_chunks(&self, curvature: Curvature, vs: &[f64]) -> Result<PartialSums, RiskError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers whose sum depends on the order of additions.
    fn chunk(i: usize) -> NodeSum {
        let x = (i as f64 + 1.0).sqrt() * if i.is_multiple_of(3) { 1e8 } else { 1e-3 };
        NodeSum { level: 0, number: i, values: vec![x, -x] }
    }

    fn part(range: Range<usize>) -> PartialSums {
        let mut part = PartialSums::default();
        for i in range {
            part.append(PartialSums { sums: vec![vec![chunk(i)]], rows: vec![i as f64] });
        }
        part
    }

    /// The definition, word for word.
    fn node(level: u32, i: usize, count: usize) -> Option<f64> {
        if i << level >= count {
            return None;
        }
        if level == 0 {
            return Some(chunk(i).values[0]);
        }
        let left = node(level - 1, 2 * i, count)?;
        Some(node(level - 1, 2 * i + 1, count).map_or(left, |right| left + right))
    }

    #[test]
    fn any_three_owners_give_the_bits_of_the_definition() {
        for count in 1..24 {
            let expected = node(5, 0, count).unwrap();
            for a in 0..=count {
                for b in a..=count {
                    let mut all = part(0..a);
                    let mut right = part(a..b);
                    right.append(part(b..count));
                    all.append(right);
                    let (sums, rows) = all.finish();
                    assert_eq!(sums, [[expected, -expected]], "{count} chunks cut at {a} and {b}");
                    assert_eq!(rows, (0..count).map(|i| i as f64).collect::<Vec<_>>());
                }
            }
        }
    }
}
