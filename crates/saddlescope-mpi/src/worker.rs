//! The other ranks: they wait for commands of rank 0 and compute their chunks.

use std::collections::BTreeMap;
use std::ops::Range;

use saddlescope_landscape::{ChunkedPoint, ChunkedRisk, PartialSums, RiskError};

use crate::basis_part::BasisParts;
use crate::command::Command;
use crate::communicator::{CommunicationError, Communicator};
use crate::split::chunks_of_ranks;
use crate::sums::reduce;

/// Computes this rank's part of whatever rank 0 asks for, until rank 0 has finished. `risks` are the same, in the same order,
/// on all ranks. What goes wrong here becomes an error on rank 0.
///
/// # Errors
/// If the other ranks cannot be reached.
pub fn serve(ranks: &dyn Communicator, risks: &[&dyn ChunkedRisk]) -> Result<(), CommunicationError> {
    let mut worker = Worker { ranks, risks, points: BTreeMap::new() };
    let mut bases = BasisParts::default();
    loop {
        let (command, values) = Command::hear(ranks)?;
        match command {
            Command::Finish => return Ok(()),
            Command::Forget { point } => {
                worker.points.remove(&point);
            }
            Command::Basis { basis, step } => bases.step(ranks, basis, step, &values)?,
            _ => {
                let own = worker.own(command, &values);
                reduce(ranks, own.map_err(|e| format!("rank {} on {}: {e}", ranks.rank(), ranks.host())))?;
            }
        }
    }
}

struct Worker<'a> {
    ranks: &'a dyn Communicator,
    risks: &'a [&'a dyn ChunkedRisk],
    points: BTreeMap<u64, Box<dyn ChunkedPoint + 'a>>,
}

impl<'a> Worker<'a> {
    fn own(&mut self, command: Command, values: &[f64]) -> Result<PartialSums, RiskError> {
        match command {
            Command::Evaluate { risk } => {
                let (risk, chunks) = self.risk(risk)?;
                risk.evaluate_chunks(values, chunks)
            }
            Command::Gradient { risk } => {
                let (risk, chunks) = self.risk(risk)?;
                risk.gradient_chunks(values, chunks)
            }
            Command::At { risk, point, keep_bytes } => {
                let (risk, chunks) = self.risk(risk)?;
                self.points.insert(point, risk.at_chunks(values, chunks, keep_bytes)?);
                Ok(PartialSums::default())
            }
            Command::Product { point, curvature, .. } => match self.points.get(&point) {
                Some(point) => point.product_chunks(curvature, values),
                None => Err(RiskError::failed("a product at a point that is not known")),
            },
            Command::Forget { .. } | Command::Basis { .. } | Command::Finish => Ok(PartialSums::default()),
        }
    }

    fn risk(&self, number: usize) -> Result<(&'a dyn ChunkedRisk, Range<usize>), RiskError> {
        let risk = *self.risks.get(number).ok_or_else(|| RiskError::failed("a loss that is not known"))?;
        let chunks = chunks_of_ranks(risk.chunks(), self.ranks.size()).swap_remove(self.ranks.rank());
        Ok((risk, chunks))
    }
}
