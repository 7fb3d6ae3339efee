//! Rank 0: a Krylov basis whose rows are split over the ranks.
//!
//! A block of vectors is sent out once; what is done with it afterwards costs a command, with coefficients one way and sums the
//! other. Sums run along the tree of one process, so that the bits are the same.

use std::ops::Range;
use std::sync::Arc;

use bytemuck::{cast_slice, cast_slice_mut};
use saddlescope_krylov::{BasisRows, BasisStore, Block, Precision, ProductError, Sweep};
use saddlescope_landscape::RiskError;

use crate::basis_step::{BasisStep, nodes, rows_of_ranks};
use crate::command::Command;
use crate::communicator::{CommunicationError, Communicator};
use crate::lead::Lead;
use crate::sums::reduce;

/// On rank 0; the other ranks have their rows as [`BasisPart`](crate::basis_part::BasisPart). Forgotten everywhere when it is
/// dropped.
pub(crate) struct SplitBasis {
    lead: Arc<Lead>,
    number: u64,
    precision: Precision,
    /// Number of rows of all.
    n: usize,
    /// The rows of each rank.
    rows: Vec<Range<usize>>,
    /// Those of rank 0.
    own: BasisRows,
    /// Why there is nothing on the other ranks.
    failed: Option<RiskError>,
}

impl std::fmt::Debug for SplitBasis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} vectors of {} rows over {} ranks", self.own.len(), self.n, self.rows.len())
    }
}

impl SplitBasis {
    /// No vectors yet, of length n.
    pub fn new(lead: &Arc<Lead>, n: usize, precision: Precision) -> Result<Self, RiskError> {
        let rows = rows_of_ranks(n, lead.size());
        let own = BasisRows::new(rows[0].len(), precision);
        let basis = Self { lead: lead.clone(), number: lead.next(), precision, n, rows, own, failed: None };
        basis.step(BasisStep::New { rows: n, single: precision == Precision::F32 }, &[], |_| Ok(()))?;
        Ok(basis)
    }

    /// Tells all ranks what to do, and does what is to be done here.
    fn step<R>(
        &self,
        step: BasisStep,
        values: &[f64],
        work: impl FnOnce(&dyn Communicator) -> Result<R, CommunicationError>,
    ) -> Result<R, RiskError> {
        match &self.failed {
            Some(error) => Err(error.clone()),
            None => self.lead.command(&Command::Basis { basis: self.number, step }, values, work),
        }
    }

    /// The other ranks, with the rows that they have.
    fn others(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        self.rows.iter().cloned().enumerate().skip(1).filter(|(_, rows)| !rows.is_empty())
    }

    /// Receives the rows of other ranks, of vectors stored one after the other.
    fn gather(&self, ranks: &dyn Communicator, out: &mut [f64]) -> Result<(), CommunicationError> {
        for (rank, rows) in self.others() {
            for v in out.chunks_exact_mut(self.n) {
                ranks.receive(cast_slice_mut(&mut v[rows.clone()]), rank)?;
            }
        }
        Ok(())
    }

    /// The own rows of vectors stored one after the other.
    fn own_rows<'a>(&self, values: &'a mut [f64]) -> Vec<&'a mut [f64]> {
        let own = self.own.rows();
        values.chunks_exact_mut(self.n).map(|v| &mut v[..own]).collect()
    }
}

impl BasisStore for SplitBasis {
    fn len(&self) -> usize {
        self.own.len()
    }

    fn load(&mut self, ws: &[f64]) -> Result<(), ProductError> {
        let vectors = ws.len() / self.n;
        Ok(self.step(BasisStep::Load { vectors }, &[], |ranks| {
            for (rank, rows) in self.others() {
                for w in ws.chunks_exact(self.n) {
                    ranks.send(cast_slice(&w[rows.clone()]), rank)?;
                }
            }
            Ok(())
        })?)
    }

    fn sweep(&self, block: &mut Block<'_>, sweep: &Sweep<'_>) -> Result<Vec<f64>, ProductError> {
        let step = BasisStep::Sweep {
            first: block.first,
            vectors: block.values.len() / self.n,
            minus: sweep.minus.clone(),
            dots: sweep.dots.clone(),
            squares: sweep.squares,
        };
        let all = self.step(step, sweep.c, |ranks| {
            let own = self.own.block_sums(self.own_rows(block.values), sweep);
            if sweep.width() == 0 { Ok(None) } else { reduce(ranks, Ok(nodes(0, own))) }
        })?;
        match all {
            None => Ok(Vec::new()),
            Some(Ok(sums)) => Ok(sums.finish().0.pop().unwrap_or_default()),
            Some(Err(text)) => Err(RiskError::failed(text).into()),
        }
    }

    fn fetch(&self, block: &mut Block<'_>) -> Result<(), ProductError> {
        let step = BasisStep::Fetch { first: block.first, vectors: block.values.len() / self.n };
        Ok(self.step(step, &[], |ranks| self.gather(ranks, block.values))?)
    }

    fn push(&mut self, factor: f64, block: &Block<'_>) -> Result<(), ProductError> {
        self.step(BasisStep::Push { vector: block.first }, &[factor], |_| Ok(()))?;
        self.own.push(factor, &block.values[..self.own.rows()]);
        Ok(())
    }

    fn drop_first(&mut self) -> Result<(), ProductError> {
        self.step(BasisStep::DropFirst, &[], |_| Ok(()))?;
        self.own.drop_first();
        Ok(())
    }

    fn column(&self, i: usize, out: &mut [f64]) -> Result<(), ProductError> {
        Ok(self.step(BasisStep::Column { index: i }, &[], |ranks| {
            self.own.column(i, &mut out[..self.own.rows()]);
            if self.precision == Precision::F64 {
                return self.gather(ranks, out);
            }
            for (rank, rows) in self.others() {
                let mut stored = vec![0.0_f32; rows.len()];
                ranks.receive(cast_slice_mut(&mut stored), rank)?;
                out[rows].iter_mut().zip(stored).for_each(|(out, x)| *out = f64::from(x));
            }
            Ok(())
        })?)
    }

    fn combine(&self, columns: usize, s: &[f64], out: &mut [f64]) -> Result<(), ProductError> {
        Ok(self.step(BasisStep::Combine { columns }, s, |ranks| {
            self.own.combine(columns, s, self.own_rows(out));
            self.gather(ranks, out)
        })?)
    }

    fn rotate(&mut self, columns: usize, s: &[f64]) -> Result<(), ProductError> {
        self.step(BasisStep::Rotate { columns }, s, |_| Ok(()))?;
        self.own.rotate(columns, s);
        Ok(())
    }

    fn duplicate(&self) -> Box<dyn BasisStore> {
        let to = self.lead.next();
        let failed = self.step(BasisStep::Copy { to }, &[], |_| Ok(())).err();
        Box::new(Self {
            lead: self.lead.clone(),
            number: to,
            precision: self.precision,
            n: self.n,
            rows: self.rows.clone(),
            own: self.own.clone(),
            failed,
        })
    }
}

impl Drop for SplitBasis {
    fn drop(&mut self) {
        if self.failed.is_none() {
            self.lead.forget(&Command::Basis { basis: self.number, step: BasisStep::Forget });
        }
    }
}
