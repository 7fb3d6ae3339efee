//! The order in which sums over chunks are taken: a fixed binary tree.
//!
//! Node i of level l covers the chunks from i · 2ˡ up to, not including, (i + 1) · 2ˡ, as far as they exist. A node of level 0
//! is one chunk; any other is its left child plus its right child, or the left child alone where the right one covers nothing.
//! The sum over all chunks is the node at the top. It does not depend on who computes which node, when: whoever owns the
//! chunks of a whole node can send that node's sum and nothing else, and all get the same bits. A contiguous range of chunks
//! is at most 2 log₂ n whole nodes ([`nodes`]).

/// Sums the nodes of a tree as chunks come in, in order. Holds at most one node of each level.
#[derive(Debug)]
pub struct Tree<V> {
    /// Nodes not yet added to their left sibling, with their levels: the leftmost first, levels falling.
    open: Vec<(u32, V)>,
}

impl<V> Default for Tree<V> {
    fn default() -> Self {
        Self { open: Vec::new() }
    }
}

impl<V> Tree<V> {
    /// Takes the next node, of level `level`; everything to its left has been taken, and no node of a lower level waits
    /// there. `add(left, right)` is the sum of two siblings.
    pub fn push(&mut self, level: u32, node: V, mut add: impl FnMut(V, V) -> V) {
        let (mut level, mut node) = (level, node);
        while let Some((_, left)) = self.open.pop_if(|(l, _)| *l == level) {
            node = add(left, node);
            level += 1;
        }
        self.open.push((level, node));
    }

    /// The nodes that wait for a right sibling, the leftmost first, with their levels.
    pub fn into_open(self) -> Vec<(u32, V)> {
        self.open
    }

    /// The sum of everything taken, there being nothing more to the right; `None` if nothing was.
    pub fn finish(self, mut add: impl FnMut(V, V) -> V) -> Option<V> {
        self.open.into_iter().map(|(_, node)| node).rev().reduce(|right, left| add(left, right))
    }
}

/// The whole nodes, as (level, number), that make up the chunks `start..end` of a tree over `count` chunks, from left to
/// right. Only the last node of all may reach beyond the last chunk.
pub fn nodes(start: usize, end: usize, count: usize) -> Vec<(u32, usize)> {
    let mut nodes = Vec::new();
    let mut at = start;
    while at < end {
        let mut level = 0;
        // As high as the alignment and the end of the range allow; the end of all chunks is no limit.
        while at >> level & 1 == 0 {
            let next = at + (2_usize << level);
            if next <= end || (end == count && at + (1 << level) < count) {
                level += 1;
            } else {
                break;
            }
        }
        nodes.push((level, at >> level));
        at += 1 << level;
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers whose sum depends on the order of additions.
    fn chunk(i: usize) -> f64 {
        (i as f64 + 1.0).sqrt() * if i.is_multiple_of(3) { 1e8 } else { 1e-3 }
    }

    /// The definition, word for word.
    fn node(level: u32, i: usize, count: usize) -> Option<f64> {
        if i << level >= count {
            return None;
        }
        if level == 0 {
            return Some(chunk(i));
        }
        let left = node(level - 1, 2 * i, count)?;
        Some(node(level - 1, 2 * i + 1, count).map_or(left, |right| left + right))
    }

    fn by_definition(count: usize) -> f64 {
        node(usize::BITS - count.leading_zeros(), 0, count).unwrap()
    }

    #[test]
    fn one_after_the_other_is_the_definition() {
        for count in 1..70 {
            let mut tree = Tree::default();
            for i in 0..count {
                tree.push(0, chunk(i), |a, b| a + b);
            }
            assert_eq!(tree.finish(|a, b| a + b).unwrap().to_bits(), by_definition(count).to_bits());
        }
        assert_eq!(Tree::<f64>::default().finish(|a, b| a + b), None);
    }

    #[test]
    fn any_split_at_whole_nodes_gives_the_same_bits() {
        for count in 1..40 {
            for cut in 0..=count {
                // Two owners; each sends the sums of its whole nodes.
                let mut tree = Tree::default();
                for (start, end) in [(0, cut), (cut, count)] {
                    for (level, i) in nodes(start, end, count) {
                        tree.push(level, node(level, i, count).unwrap(), |a, b| a + b);
                    }
                }
                let all = tree.finish(|a, b| a + b).unwrap();
                assert_eq!(all.to_bits(), by_definition(count).to_bits(), "{count} chunks cut at {cut}");
            }
        }
    }

    #[test]
    fn a_range_is_few_nodes() {
        assert_eq!(nodes(0, 8, 8), [(3, 0)]);
        assert_eq!(nodes(1, 7, 8), [(0, 1), (1, 1), (1, 2), (0, 6)]);
        assert!(nodes(3, 1000, 1024).len() <= 20);
        assert!(nodes(5, 5, 9).is_empty());
    }
}
