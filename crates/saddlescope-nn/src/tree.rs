//! The order in which sums over chunks are taken: a fixed binary tree.
//!
//! Node i of level l covers the chunks from i · 2ˡ up to, not including, (i + 1) · 2ˡ, as far as they exist. A node of level 0
//! is one chunk; any other is its left child plus its right child, or the left child alone where the right one covers nothing.
//! The sum over all chunks is the node at the top. It does not depend on who computes which node, when: whoever owns the
//! chunks of a whole node can send that node's sum and nothing else, and all get the same bits. A contiguous range of chunks
//! is at most 2 log₂ n whole nodes ([`nodes`]).

/// Sums the nodes of a tree as chunks come in, in order. Holds at most two nodes of each level, one if it began with the first.
#[derive(Debug)]
pub struct Tree<V> {
    /// The chunk that the next node begins with.
    next: usize,
    /// Nodes not yet added to their left sibling: the leftmost first.
    open: Vec<Node<V>>,
}

/// The sum over the chunks of one node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node<V> {
    /// Its level.
    pub level: u32,
    /// Its number in the level.
    pub number: usize,
    /// The sum.
    pub sum: V,
}

impl<V> Default for Tree<V> {
    fn default() -> Self {
        Self::starting_at(0)
    }
}

impl<V> Tree<V> {
    /// A tree whose first node will begin with chunk `first`.
    pub fn starting_at(first: usize) -> Self {
        Self { next: first, open: Vec::new() }
    }

    /// Takes the next node, of level `level`, which begins where the one before ended. `add(left, right)` is the sum of two
    /// siblings.
    pub fn push(&mut self, level: u32, node: V, mut add: impl FnMut(V, V) -> V) {
        let (mut level, mut number, mut node) = (level, self.next >> level, node);
        self.next += 1 << level;
        while let Some(left) =
            self.open.pop_if(|left| left.level == level && number % 2 == 1 && left.number + 1 == number)
        {
            node = add(left.sum, node);
            level += 1;
            number /= 2;
        }
        self.open.push(Node { level, number, sum: node });
    }

    /// The chunk that the next node begins with.
    pub fn next(&self) -> usize {
        self.next
    }

    /// The nodes that have not been added to a sibling, the leftmost first.
    pub fn into_open(self) -> Vec<Node<V>> {
        self.open
    }

    /// The sum of everything taken, which began with the first chunk and ended with the last; `None` if nothing was taken.
    pub fn finish(self, mut add: impl FnMut(V, V) -> V) -> Option<V> {
        self.open.into_iter().map(|node| node.sum).rev().reduce(|right, left| add(left, right))
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
    fn a_range_of_chunks_leaves_its_whole_nodes() {
        for count in 1..40 {
            for start in 0..count {
                let mut tree = Tree::starting_at(start);
                for i in start..count - 1 {
                    tree.push(0, chunk(i), |a, b| a + b);
                }
                let found: Vec<_> = tree.into_open();
                let expected = nodes(start, count - 1, count);
                assert_eq!(found.iter().map(|n| (n.level, n.number)).collect::<Vec<_>>(), expected);
                for found in found {
                    let sum = node(found.level, found.number, count - 1).unwrap();
                    assert_eq!(found.sum.to_bits(), sum.to_bits());
                }
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
