//! The other ranks: the rows of Krylov bases that rank 0 has given them.

use std::collections::BTreeMap;

use bytemuck::{cast_slice, cast_slice_mut};
use saddlescope_krylov::{BasisRows, Precision, Sweep};

use crate::basis_step::{BasisStep, nodes, rows_of_ranks};
use crate::communicator::{CommunicationError, Communicator};
use crate::sums::reduce;

/// This rank's rows of a basis, and of the block of vectors that is worked at.
#[derive(Clone)]
struct BasisPart {
    rows: BasisRows,
    /// The first of them.
    start: usize,
    single: bool,
    /// One vector after the other.
    block: Vec<f64>,
}

/// All bases, by number.
#[derive(Default)]
pub(crate) struct BasisParts(BTreeMap<u64, BasisPart>);

impl BasisParts {
    /// Carries out a step, with the numbers that came with it.
    ///
    /// # Errors
    /// If rank 0 cannot be reached, or means a basis that is not known.
    pub fn step(
        &mut self,
        ranks: &dyn Communicator,
        basis: u64,
        step: BasisStep,
        values: &[f64],
    ) -> Result<(), CommunicationError> {
        match step {
            BasisStep::New { rows, single } => {
                let own = rows_of_ranks(rows, ranks.size()).swap_remove(ranks.rank());
                let precision = if single { Precision::F32 } else { Precision::F64 };
                let rows = BasisRows::new(own.len(), precision);
                self.0.insert(basis, BasisPart { rows, start: own.start, single, block: Vec::new() });
                Ok(())
            }
            BasisStep::Copy { to } => {
                let copy = self.known(ranks, basis)?.clone();
                self.0.insert(to, copy);
                Ok(())
            }
            BasisStep::Forget => {
                self.0.remove(&basis);
                Ok(())
            }
            step => self.known(ranks, basis)?.step(ranks, step, values),
        }
    }

    fn known(&mut self, ranks: &dyn Communicator, basis: u64) -> Result<&mut BasisPart, CommunicationError> {
        self.0.get_mut(&basis).ok_or_else(|| CommunicationError {
            rank: ranks.rank(),
            host: ranks.host().into(),
            problem: format!("Krylov basis {basis} is not known"),
        })
    }
}

impl BasisPart {
    fn step(
        &mut self,
        ranks: &dyn Communicator,
        step: BasisStep,
        values: &[f64],
    ) -> Result<(), CommunicationError> {
        let len = self.rows.rows();
        let send = |rows: &[f64]| if rows.is_empty() { Ok(()) } else { ranks.send(cast_slice(rows), 0) };
        match step {
            BasisStep::Load { vectors } => {
                self.block.resize(vectors * len, 0.0);
                self.block
                    .chunks_exact_mut(len.max(1))
                    .try_for_each(|w| ranks.receive(cast_slice_mut(w), 0))?;
            }
            BasisStep::Sweep { first, vectors, minus, dots, squares } => {
                let sweep = Sweep { minus, c: values, dots, squares };
                let ws = self.block[first * len..(first + vectors) * len].chunks_exact_mut(len.max(1));
                let sums = self.rows.block_sums(ws.collect(), &sweep);
                if sweep.width() > 0 {
                    reduce(ranks, Ok(nodes(self.start, sums)))?;
                }
            }
            BasisStep::Fetch { first, vectors } => {
                let block = &self.block[first * len..(first + vectors) * len];
                block.chunks_exact(len.max(1)).try_for_each(send)?;
            }
            BasisStep::Push { vector } => {
                let factor = values.first().copied().unwrap_or(f64::NAN);
                self.rows.push(factor, &self.block[vector * len..(vector + 1) * len]);
            }
            BasisStep::DropFirst => self.rows.drop_first(),
            BasisStep::Column { index } => {
                let mut column = vec![0.0; len];
                self.rows.column(index, &mut column);
                if self.single && len > 0 {
                    // Exact: that is how they are stored.
                    let stored: Vec<f32> = column.iter().map(|x| *x as f32).collect();
                    ranks.send(cast_slice(&stored), 0)?;
                } else {
                    send(&column)?;
                }
            }
            BasisStep::Combine { columns } => {
                let vectors = values.len().checked_div(columns).unwrap_or(0);
                let mut out = vec![0.0; vectors * len];
                self.rows.combine(columns, values, out.chunks_exact_mut(len.max(1)).collect());
                out.chunks_exact(len.max(1)).try_for_each(send)?;
            }
            BasisStep::Rotate { columns } => self.rows.rotate(columns, values),
            // Not steps of one part.
            BasisStep::New { .. } | BasisStep::Copy { .. } | BasisStep::Forget => {}
        }
        Ok(())
    }
}
