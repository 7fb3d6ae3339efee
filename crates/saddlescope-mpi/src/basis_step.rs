//! What rank 0 tells the others to do with the vectors of a Krylov basis whose rows are split over the ranks.

use std::ops::Range;

use saddlescope_krylov::DOT_BLOCK;
use saddlescope_landscape::{NodeSum, PartialSums};

use crate::split::chunks_of_ranks;

/// One step, on all ranks, each with its own rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BasisStep {
    /// A basis without vectors, of this many rows in all; `single`: stored as f32.
    New { rows: usize, single: bool },
    /// A copy, called `to` from now on.
    Copy { to: u64 },
    /// It is not needed any more.
    Forget,
    /// A block of this many vectors: each rank is sent its rows, one vector after the other.
    Load { vectors: usize },
    /// A pass over the basis with some vectors of the block; the coefficients C follow.
    Sweep { first: usize, vectors: usize, minus: Range<usize>, dots: Range<usize>, squares: bool },
    /// Each rank sends its rows of some vectors of the block.
    Fetch { first: usize, vectors: usize },
    /// A vector of the block becomes one of the basis; the factor follows.
    Push { vector: usize },
    /// The oldest vector is forgotten.
    DropFirst,
    /// Each rank sends its rows of a vector of the basis, as they are stored.
    Column { index: usize },
    /// Each rank sends its rows of combinations of the first vectors; the factors follow.
    Combine { columns: usize },
    /// The first vectors are replaced by combinations; the factors follow.
    Rotate { columns: usize },
}

/// Words of a step.
pub(crate) const WORDS: usize = 8;

impl BasisStep {
    pub fn words(&self) -> [u64; WORDS] {
        let mut words = [0; WORDS];
        let numbers: &[usize] = match self {
            Self::New { rows, single } => &[0, *rows, usize::from(*single)],
            Self::Copy { to } => return [1, *to, 0, 0, 0, 0, 0, 0],
            Self::Forget => &[2],
            Self::Load { vectors } => &[3, *vectors],
            Self::Sweep { first, vectors, minus, dots, squares } => {
                &[4, *first, *vectors, minus.start, minus.end, dots.start, dots.end, usize::from(*squares)]
            }
            Self::Fetch { first, vectors } => &[5, *first, *vectors],
            Self::Push { vector } => &[6, *vector],
            Self::DropFirst => &[7],
            Self::Column { index } => &[8, *index],
            Self::Combine { columns } => &[9, *columns],
            Self::Rotate { columns } => &[10, *columns],
        };
        words.iter_mut().zip(numbers).for_each(|(word, number)| *word = *number as u64);
        words
    }

    pub fn of(words: [u64; WORDS]) -> Option<Self> {
        let [kind, a, b, c, d, e, f, g] = words.map(|word| word as usize);
        Some(match kind {
            0 => Self::New { rows: a, single: b != 0 },
            1 => Self::Copy { to: words[1] },
            2 => Self::Forget,
            3 => Self::Load { vectors: a },
            4 => Self::Sweep { first: a, vectors: b, minus: c..d, dots: e..f, squares: g != 0 },
            5 => Self::Fetch { first: a, vectors: b },
            6 => Self::Push { vector: a },
            7 => Self::DropFirst,
            8 => Self::Column { index: a },
            9 => Self::Combine { columns: a },
            10 => Self::Rotate { columns: a },
            _ => return None,
        })
    }
}

/// The rows of each rank: whole blocks of [`DOT_BLOCK`], so that each holds whole nodes of the tree of sums.
pub(crate) fn rows_of_ranks(rows: usize, ranks: usize) -> Vec<Range<usize>> {
    let row = |block: usize| (block * DOT_BLOCK).min(rows);
    chunks_of_ranks(rows.div_ceil(DOT_BLOCK), ranks).into_iter().map(|b| row(b.start)..row(b.end)).collect()
}

/// Sums of the blocks from `start` on, a row of the whole, put together to nodes of the tree.
pub(crate) fn nodes(start: usize, sums: Vec<Vec<f64>>) -> PartialSums {
    let mut all = PartialSums::default();
    for (number, values) in (start / DOT_BLOCK..).zip(sums) {
        let node = NodeSum { level: 0, number, values };
        all.append(PartialSums { sums: vec![vec![node]], rows: Vec::new() });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_back() {
        let all = [
            BasisStep::New { rows: 1 << 33, single: true },
            BasisStep::Copy { to: u64::MAX },
            BasisStep::Forget,
            BasisStep::Load { vectors: 2 },
            BasisStep::Sweep { first: 1, vectors: 3, minus: 4..7, dots: 0..9, squares: true },
            BasisStep::Fetch { first: 1, vectors: 2 },
            BasisStep::Push { vector: 5 },
            BasisStep::DropFirst,
            BasisStep::Column { index: 6 },
            BasisStep::Combine { columns: 7 },
            BasisStep::Rotate { columns: 8 },
        ];
        for step in all {
            assert_eq!(BasisStep::of(step.words()), Some(step));
        }
        assert_eq!(BasisStep::of([99; WORDS]), None);
    }

    #[test]
    fn every_row_has_one_owner_and_no_rank_more_than_its_blocks() {
        for rows in [0, 1, DOT_BLOCK, DOT_BLOCK + 1, 10 * DOT_BLOCK - 3] {
            for ranks in 1..13 {
                let split = rows_of_ranks(rows, ranks);
                let mut next = 0;
                for range in &split {
                    assert_eq!(range.start, next);
                    assert!(range.len() <= rows.div_ceil(DOT_BLOCK).div_ceil(ranks) * DOT_BLOCK);
                    assert!(range.start.is_multiple_of(DOT_BLOCK) || range.is_empty());
                    next = range.end;
                }
                assert_eq!((split.len(), next), (ranks, rows));
            }
        }
    }
}
