//! Partial sums on their way to rank 0.
//!
//! Ranks are the leaves of a binomial tree. Rank r receives from r + 1, r + 2, r + 4, … as far as these are multiples of the step
//! away, so that every rank holds the contribution of a contiguous range of ranks, and of chunks, at any time; siblings among
//! the nodes are added as soon as they meet.

use bytemuck::{cast_slice, cast_slice_mut};
use saddlescope_landscape::{NodeSum, PartialSums};

use crate::communicator::{CommunicationError, Communicator, receive_text, send_text};

/// What a rank contributes: sums, or why it has none.
pub(crate) type Contribution = Result<PartialSums, String>;

/// Sends the contributions of all ranks towards rank 0, which gets them in one; the others get `None`.
pub(crate) fn reduce(
    ranks: &dyn Communicator,
    own: Contribution,
) -> Result<Option<Contribution>, CommunicationError> {
    let (rank, size) = (ranks.rank(), ranks.size());
    let mut all = own;
    let mut step = 1;
    while step < size {
        if rank % (2 * step) != 0 {
            send(ranks, &all, rank - step)?;
            return Ok(None);
        }
        if rank + step < size {
            let right = receive(ranks, rank + step)?;
            all = match (all, right) {
                (Ok(mut left), Ok(right)) => {
                    left.append(right);
                    Ok(left)
                }
                // Of several errors that of the lowest rank.
                (Err(left), _) => Err(left),
                (Ok(_), Err(right)) => Err(right),
            };
        }
        step *= 2;
    }
    Ok(Some(all))
}

/// Head of a message: 0 and the length of its description in words, or 1 before the text of an error.
fn send(ranks: &dyn Communicator, own: &Contribution, to: usize) -> Result<(), CommunicationError> {
    let sums = match own {
        Ok(sums) => sums,
        Err(text) => {
            ranks.send(cast_slice(&[1_u64, 0]), to)?;
            return send_text(ranks, text, to);
        }
    };
    let mut description: Vec<u64> = vec![sums.rows.len() as u64];
    for nodes in &sums.sums {
        description.push(nodes.len() as u64);
        for node in nodes {
            description.extend([u64::from(node.level), node.number as u64, node.values.len() as u64]);
        }
    }
    ranks.send(cast_slice(&[0, description.len() as u64]), to)?;
    ranks.send(cast_slice(&description), to)?;
    ranks.send(cast_slice(&sums.rows), to)?;
    for node in sums.sums.iter().flatten() {
        ranks.send(cast_slice(&node.values), to)?;
    }
    Ok(())
}

fn receive(ranks: &dyn Communicator, from: usize) -> Result<Contribution, CommunicationError> {
    let mut head = [0_u64; 2];
    ranks.receive(cast_slice_mut(&mut head), from)?;
    if head[0] == 1 {
        return Ok(Err(receive_text(ranks, from)?));
    }
    let mut description = vec![0_u64; head[1] as usize];
    ranks.receive(cast_slice_mut(&mut description), from)?;
    let mut words = description.into_iter();
    let mut next = || words.next();
    let numbers = |length: u64| -> Result<Vec<f64>, CommunicationError> {
        let mut values = vec![0.0; length as usize];
        ranks.receive(cast_slice_mut(&mut values), from)?;
        Ok(values)
    };
    let mut sums = PartialSums { sums: Vec::new(), rows: numbers(next().unwrap_or(0))? };
    while let Some(count) = next() {
        let mut nodes = Vec::new();
        for _ in 0..count {
            let (Some(level), Some(number), Some(length)) = (next(), next(), next()) else { break };
            nodes.push(NodeSum { level: level as u32, number: number as usize, values: numbers(length)? });
        }
        sums.sums.push(nodes);
    }
    Ok(Ok(sums))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::LocalRanks;
    use crate::split::chunks_of_ranks;

    fn part(range: std::ops::Range<usize>) -> PartialSums {
        let mut part = PartialSums::default();
        for i in range {
            let x = (i as f64 + 1.0).sqrt() * if i.is_multiple_of(3) { 1e8 } else { 1e-3 };
            let node = NodeSum { level: 0, number: i, values: vec![x; 3] };
            part.append(PartialSums { sums: vec![vec![node]], rows: vec![i as f64] });
        }
        part
    }

    /// Calls `work` on every rank; what rank 0 gives.
    fn on_ranks<R: Send>(size: usize, work: impl Fn(&dyn Communicator) -> R + Sync) -> R {
        std::thread::scope(|scope| {
            let work = &work;
            let handles: Vec<_> =
                LocalRanks::new(size).into_iter().map(|rank| scope.spawn(move || work(&rank))).collect();
            let mut results: Vec<R> = handles.into_iter().map(|h| h.join().unwrap()).collect();
            results.remove(0)
        })
    }

    #[test]
    fn any_number_of_ranks_gives_the_bits_of_one() {
        let chunks = 37;
        let expected = part(0..chunks).finish();
        for size in 1..12 {
            let found = on_ranks(size, |ranks| {
                let own = part(chunks_of_ranks(chunks, size)[ranks.rank()].clone());
                reduce(ranks, Ok(own)).unwrap()
            });
            assert_eq!(found.unwrap().unwrap().finish(), expected, "{size} ranks");
        }
    }

    #[test]
    fn the_error_of_the_lowest_rank_arrives() {
        let found = on_ranks(7, |ranks| {
            let rank = ranks.rank();
            let own = if rank == 3 || rank == 5 { Err(format!("rank {rank}")) } else { Ok(part(0..0)) };
            reduce(ranks, own).unwrap()
        });
        assert_eq!(found.unwrap().unwrap_err(), "rank 3");
    }
}
