//! Rank 0: risks like any other, whose chunks all ranks compute.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use saddlescope_krylov::{BasisRows, BasisStore, DOT_BLOCK, Precision};
use saddlescope_landscape::{
    ChunkedPoint, ChunkedRisk, Curvature, Evaluation, MemoryEstimate, Offers, ParameterLayout, PartialSums,
    Point, Product, Risk, RiskError, check_theta,
};
use serde_json::Value;

use crate::basis_step::rows_of_ranks;
use crate::command::Command;
use crate::communicator::Communicator;
use crate::lead::Lead;
use crate::split::chunks_of_ranks;
use crate::split_basis::SplitBasis;

/// Rank 0 of a group whose other ranks [`serve`](crate::serve). They are told to stop when it is dropped.
pub struct Root {
    lead: Arc<Lead>,
}

impl Root {
    /// Takes the lead.
    pub fn new(ranks: impl Communicator + Send + 'static) -> Self {
        Self { lead: Arc::new(Lead::new(ranks)) }
    }

    /// The risk that the other ranks serve as their `number`-th; `own` is that of rank 0.
    pub fn risk<'a>(&self, number: usize, own: &'a dyn ChunkedRisk) -> DistributedRisk<'a> {
        let chunks = chunks_of_ranks(own.chunks(), self.lead.size()).swap_remove(0);
        DistributedRisk { lead: self.lead.clone(), number, own, chunks }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        self.lead.finish();
    }
}

/// A risk whose chunks are split over ranks; on rank 0. Results have the bits of the risk itself.
pub struct DistributedRisk<'a> {
    lead: Arc<Lead>,
    number: usize,
    own: &'a dyn ChunkedRisk,
    /// Those of rank 0.
    chunks: Range<usize>,
}

impl DistributedRisk<'_> {
    /// A basis of one block of rows, or one rank, leaves nothing to split.
    fn splits_bases(&self) -> bool {
        self.lead.size() > 1 && self.dim() > DOT_BLOCK
    }
}

impl Risk for DistributedRisk<'_> {
    fn layout(&self) -> &ParameterLayout {
        self.own.layout()
    }

    fn samples(&self) -> usize {
        self.own.samples()
    }

    fn offers(&self) -> Offers {
        self.own.offers()
    }

    fn evaluate(&self, theta: &[f64]) -> Result<Evaluation, RiskError> {
        check_theta(self, theta)?;
        let command = Command::Evaluate { risk: self.number };
        let sums =
            self.lead.together(&command, theta, || self.own.evaluate_chunks(theta, self.chunks.clone()))?;
        self.own.whole_evaluation(theta, sums)
    }

    fn gradient(&self, theta: &[f64], gradient: &mut [f64]) -> Result<Evaluation, RiskError> {
        check_theta(self, theta)?;
        let command = Command::Gradient { risk: self.number };
        let sums =
            self.lead.together(&command, theta, || self.own.gradient_chunks(theta, self.chunks.clone()))?;
        self.own.whole_gradient(theta, sums, gradient)
    }

    fn at<'a>(&'a self, theta: &[f64], keep_bytes: usize) -> Result<Box<dyn Point + 'a>, RiskError> {
        check_theta(self, theta)?;
        let number = self.lead.next();
        let mut own = None;
        let command = Command::At { risk: self.number, point: number, keep_bytes };
        self.lead.together(&command, theta, || {
            own = Some(self.own.at_chunks(theta, self.chunks.clone(), keep_bytes)?);
            Ok(PartialSums::default())
        })?;
        let own = own.ok_or_else(|| RiskError::failed("there is no point"))?;
        Ok(Box::new(DistributedPoint { risk: self, number, own }))
    }

    fn memory(&self, tangents: usize) -> MemoryEstimate {
        self.own.memory(tangents)
    }

    fn basis_rows(&self) -> usize {
        let n = self.dim();
        let most = || rows_of_ranks(n, self.lead.size()).iter().map(Range::len).max();
        if self.splits_bases() { most().unwrap_or(n) } else { n }
    }

    fn first_samples(
        &self,
        samples: usize,
        precision: Precision,
    ) -> Result<Option<Box<dyn Risk + '_>>, RiskError> {
        // A few samples: not worth a message.
        self.own.first_samples(samples, precision)
    }

    fn samples_in(&self, samples: Range<usize>) -> Result<Option<Box<dyn Risk + '_>>, RiskError> {
        // Computed by this rank alone, to the same bits: the other ranks know only the risks that all have loaded.
        self.own.samples_in(samples)
    }

    fn not_finite_in_data(&self) -> Result<Option<String>, RiskError> {
        self.own.not_finite_in_data()
    }

    fn identity(&self) -> BTreeMap<String, Value> {
        self.own.identity()
    }

    fn fingerprint(&self, theta: &[f64]) -> Result<Option<String>, RiskError> {
        self.own.fingerprint(theta)
    }
}

struct DistributedPoint<'a> {
    risk: &'a DistributedRisk<'a>,
    number: u64,
    own: Box<dyn ChunkedPoint + 'a>,
}

impl Point for DistributedPoint<'_> {
    fn dim(&self) -> usize {
        self.risk.dim()
    }

    fn product(&self, curvature: Curvature, vs: &[f64], out: &mut [f64]) -> Result<Product, RiskError> {
        let command = Command::Product { point: self.number, curvature };
        let sums = self.risk.lead.together(&command, vs, || self.own.product_chunks(curvature, vs))?;
        self.risk.own.whole_product(curvature, vs, sums, out)
    }

    fn new_basis(&self, precision: Precision) -> Result<Box<dyn BasisStore>, RiskError> {
        let n = self.dim();
        Ok(if self.risk.splits_bases() {
            Box::new(SplitBasis::new(&self.risk.lead, n, precision)?)
        } else {
            Box::new(BasisRows::new(n, precision))
        })
    }
}

impl Drop for DistributedPoint<'_> {
    fn drop(&mut self) {
        self.risk.lead.forget(&Command::Forget { point: self.number });
    }
}
