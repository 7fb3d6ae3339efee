//! Rank 0: risks like any other, whose chunks all ranks compute.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use saddlescope_krylov::Precision;
use saddlescope_landscape::{
    ChunkedPoint, ChunkedRisk, Curvature, Evaluation, MemoryEstimate, Offers, ParameterLayout, PartialSums,
    Point, Product, Risk, RiskError, check_theta,
};
use serde_json::Value;

use crate::command::Command;
use crate::communicator::{CommunicationError, Communicator};
use crate::split::chunks_of_ranks;
use crate::sums::reduce;

/// Rank 0 of a group whose other ranks [`serve`](crate::serve). They are told to stop when it is dropped.
pub struct Root<'a> {
    ranks: &'a dyn Communicator,
    /// The number of the next point. Held from a command to its result, so that commands do not mix.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    points: u64,
    /// After an error in communication nothing more can be agreed upon.
    broken: bool,
}

impl<'a> Root<'a> {
    /// Takes the lead.
    pub fn new(ranks: &'a dyn Communicator) -> Self {
        Self { ranks, state: Mutex::new(State::default()) }
    }

    /// The risk that the other ranks serve as their `number`-th; `own` is that of rank 0.
    pub fn risk<'b>(&'b self, number: usize, own: &'b dyn ChunkedRisk) -> DistributedRisk<'b> {
        let chunks = chunks_of_ranks(own.chunks(), self.ranks.size()).swap_remove(0);
        DistributedRisk { root: self, number, own, chunks }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells everybody what to do with `values`, does the own part, and collects the sums.
    fn together(
        &self,
        command: impl FnOnce(&mut State) -> Command,
        values: &[f64],
        own: impl FnOnce() -> Result<PartialSums, RiskError>,
    ) -> Result<PartialSums, RiskError> {
        let mut state = self.lock();
        if state.broken {
            return Err(RiskError::failed("the other ranks cannot be reached any more"));
        }
        let command = command(&mut state);
        let mut error = None;
        let collected = (|| {
            command.tell(self.ranks, values)?;
            // Rank 0's own error stays what it is.
            let own = own().map_err(|e| {
                let text = e.to_string();
                error = Some(e);
                text
            });
            reduce(self.ranks, own)
        })();
        let collected = collected.map_err(|e: CommunicationError| {
            state.broken = true;
            RiskError::failed(e)
        })?;
        match (error, collected) {
            (Some(error), _) => Err(error),
            (None, Some(Ok(sums))) => Ok(sums),
            (None, Some(Err(text))) => Err(RiskError::failed(text)),
            (None, None) => Err(RiskError::failed("only rank 0 can lead")),
        }
    }
}

impl Drop for Root<'_> {
    fn drop(&mut self) {
        let state = self.lock();
        if !state.broken {
            // If the others cannot be told they are gone, which whoever started them notices.
            let _ = Command::Finish.tell(self.ranks, &[]);
        }
    }
}

/// A risk whose chunks are split over ranks; on rank 0. Results have the bits of the risk itself.
pub struct DistributedRisk<'a> {
    root: &'a Root<'a>,
    number: usize,
    own: &'a dyn ChunkedRisk,
    /// Those of rank 0.
    chunks: Range<usize>,
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
        let command = |_: &mut State| Command::Evaluate { risk: self.number };
        let sums =
            self.root.together(command, theta, || self.own.evaluate_chunks(theta, self.chunks.clone()))?;
        self.own.whole_evaluation(theta, sums)
    }

    fn gradient(&self, theta: &[f64], gradient: &mut [f64]) -> Result<Evaluation, RiskError> {
        check_theta(self, theta)?;
        let command = |_: &mut State| Command::Gradient { risk: self.number };
        let sums =
            self.root.together(command, theta, || self.own.gradient_chunks(theta, self.chunks.clone()))?;
        self.own.whole_gradient(theta, sums, gradient)
    }

    fn at<'a>(&'a self, theta: &[f64], keep_bytes: usize) -> Result<Box<dyn Point + 'a>, RiskError> {
        check_theta(self, theta)?;
        let mut number = 0;
        let mut own = None;
        let command = |state: &mut State| {
            number = state.points;
            state.points += 1;
            Command::At { risk: self.number, point: number, keep_bytes }
        };
        self.root.together(command, theta, || {
            own = Some(self.own.at_chunks(theta, self.chunks.clone(), keep_bytes)?);
            Ok(PartialSums::default())
        })?;
        let own = own.ok_or_else(|| RiskError::failed("there is no point"))?;
        Ok(Box::new(DistributedPoint { risk: self, number, own }))
    }

    fn memory(&self, tangents: usize) -> MemoryEstimate {
        self.own.memory(tangents)
    }

    fn first_samples(
        &self,
        samples: usize,
        precision: Precision,
    ) -> Result<Option<Box<dyn Risk + '_>>, RiskError> {
        // A few samples: not worth a message.
        self.own.first_samples(samples, precision)
    }

    fn identity(&self) -> BTreeMap<String, Value> {
        self.own.identity()
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
        let command = |_: &mut State| Command::Product { point: self.number, curvature };
        let sums = self.risk.root.together(command, vs, || self.own.product_chunks(curvature, vs))?;
        self.risk.own.whole_product(curvature, vs, sums, out)
    }
}

impl Drop for DistributedPoint<'_> {
    fn drop(&mut self) {
        let mut state = self.risk.root.lock();
        let forget = Command::Forget { point: self.number };
        if !state.broken && forget.tell(self.risk.root.ranks, &[]).is_err() {
            // The next command says so.
            state.broken = true;
        }
    }
}
