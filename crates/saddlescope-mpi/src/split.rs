//! Which rank owns which chunks.

use std::ops::Range;

/// The chunks of each rank: contiguous, in the order of ranks, and none with more than ⌈chunks / ranks⌉. Where that leaves a
/// choice, a range ends at the chunk where the largest node ends, so that there are few nodes to send.
pub fn chunks_of_ranks(chunks: usize, ranks: usize) -> Vec<Range<usize>> {
    let most = chunks.div_ceil(ranks.max(1));
    let mut start = 0;
    (1..=ranks)
        .map(|after| {
            // Those that follow must be able to take what is left.
            let least = chunks.saturating_sub((ranks - after) * most).max(start);
            let last = (start + most).min(chunks);
            let end = (least..=last).rev().max_by_key(|&end| roundness(end, chunks)).unwrap_or(last);
            let range = start..end;
            start = end;
            range
        })
        .collect()
}

/// How large a node can end there.
fn roundness(end: usize, chunks: usize) -> u32 {
    if end == chunks { usize::BITS } else { end.trailing_zeros() }
}

#[cfg(test)]
mod tests {
    use super::chunks_of_ranks;

    #[test]
    fn every_chunk_has_one_owner_and_no_rank_more_than_its_share() {
        for chunks in 0..70 {
            for ranks in 1..40 {
                let split = chunks_of_ranks(chunks, ranks);
                assert_eq!(split.len(), ranks);
                let mut next = 0;
                for range in &split {
                    assert_eq!(range.start, next);
                    assert!(range.end >= range.start && range.len() <= chunks.div_ceil(ranks));
                    next = range.end;
                }
                assert_eq!(next, chunks);
            }
        }
    }

    #[test]
    fn ranges_are_whole_nodes_where_that_costs_nothing() {
        assert_eq!(chunks_of_ranks(32, 4), [0..8, 8..16, 16..24, 24..32]);
        assert_eq!(chunks_of_ranks(30, 4), [0..8, 8..16, 16..24, 24..30]);
        assert_eq!(chunks_of_ranks(3, 2), [0..2, 2..3]);
    }
}
