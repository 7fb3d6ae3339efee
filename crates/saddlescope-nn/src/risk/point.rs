//! The risk near one θ: products with its curvature matrices.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use saddlescope_data::Curvature;

use super::empirical::Risk;
use super::error::RiskError;
use super::sums::Sums;
use super::tally::NodeSums;
use crate::execute::{
    Execution, KeptPrimals, ParameterAdjoints, Prepared, PreparedTangents, Sweep, Workspace,
};
use crate::op::Element;
use crate::parallel::ordered;
use crate::plan::Pass;
use crate::profile::Profile;

/// A risk near one θ.
pub struct RiskPoint<'a, T> {
    risk: &'a Risk<T>,
    prepared: Prepared<T>,
    /// The chunks whose part in products is computed.
    chunks: Range<usize>,
    /// Primal values of the first micro-batches of these chunks.
    kept: Vec<Mutex<Option<KeptPrimals<T>>>>,
}

/// What a block product says besides the product itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ProductReport {
    /// For each vector v: the Rayleigh quotient vᵀ A_c v of every chunk c of samples, scaled so that each estimates
    /// vᵀ A v (the mean over its own samples instead of all); weights are `chunk_samples`.
    pub quotients: Vec<Vec<f64>>,
    /// Number of samples of each chunk.
    pub chunk_samples: Vec<usize>,
}

impl<T: Element> Risk<T> {
    /// The risk near θ, ready for products, keeping primal values as the options say.
    pub fn at(&self, theta: &[f64]) -> RiskPoint<'_, T> {
        self.at_keeping(theta, self.options.keep_bytes)
    }

    /// The risk near θ, ready for products; primal values kept between them may take `keep_bytes`.
    pub fn at_keeping(&self, theta: &[f64], keep_bytes: usize) -> RiskPoint<'_, T> {
        self.at_chunks(theta, 0..self.chunks(), keep_bytes)
    }

    /// The part that a range of chunks has in [`Risk::at_keeping`], for [`RiskPoint::product_chunks`].
    pub fn at_chunks(&self, theta: &[f64], chunks: Range<usize>, keep_bytes: usize) -> RiskPoint<'_, T> {
        let plan = &self.plans(Pass::Hessian).full;
        let keep_plan = &self.plans(Pass::HessianKeepingPrimals).full;
        let each = keep_plan.kept_len() * size_of::<T>();
        let samples = (chunks.end * self.chunk).min(self.objective.samples);
        let batches = samples.saturating_sub(chunks.start * self.chunk).div_ceil(self.micro);
        let keep = (keep_bytes / each.max(1)).min(batches);
        RiskPoint::new(self, Prepared::new(&self.objective.graph, plan, theta, self.threads()), chunks, keep)
    }
}

impl<'a, T: Element> RiskPoint<'a, T> {
    /// Some chunks of the risk near the θ that was prepared; primal values of their first `keep` micro-batches are kept
    /// between products.
    pub(super) fn new(risk: &'a Risk<T>, prepared: Prepared<T>, chunks: Range<usize>, keep: usize) -> Self {
        let mut kept = Vec::with_capacity(keep);
        kept.resize_with(keep, || Mutex::new(None));
        Self { risk, prepared, chunks, kept }
    }

    /// Products A v of a block of vectors (k × N, file order) into `out`; the point is that of all chunks.
    ///
    /// # Errors
    /// If the product needs per-sample losses and the model has none.
    pub fn product(
        &self,
        curvature: Curvature,
        vs: &[f64],
        out: &mut [f64],
    ) -> Result<ProductReport, RiskError> {
        let (sum, report) = self.run(curvature, vs, None)?;
        sum.write(self.risk.threads(), out);
        Ok(report)
    }

    /// The part that the point's chunks have in [`RiskPoint::product`]: sums of whole nodes, each k × N, and a report of
    /// those chunks.
    ///
    /// # Errors
    /// As for [`RiskPoint::product`].
    pub fn product_chunks(
        &self,
        curvature: Curvature,
        vs: &[f64],
    ) -> Result<(NodeSums, ProductReport), RiskError> {
        let (sum, report) = self.run(curvature, vs, None)?;
        Ok((sum.nodes(self.risk.threads()), report))
    }

    /// The same product, with what each kind of operation cost. Its bits are those of [`RiskPoint::product`].
    ///
    /// # Errors
    /// As for [`RiskPoint::product`].
    pub fn profile(&self, curvature: Curvature, vs: &[f64], out: &mut [f64]) -> Result<Profile, RiskError> {
        let mut profile = Profile::default();
        let start = Instant::now();
        let (sum, _) = self.run(curvature, vs, Some(&mut profile))?;
        let end = Instant::now();
        sum.write(self.risk.threads(), out);
        profile.record_around("(sums written)", end);
        profile.wall = start.elapsed().as_secs_f64();
        Ok(profile)
    }

    fn run(
        &self,
        curvature: Curvature,
        vs: &[f64],
        mut profile: Option<&mut Profile>,
    ) -> Result<(Sums<'a, T>, ProductReport), RiskError> {
        let begin = Instant::now();
        let risk = self.risk;
        let chunks = &self.chunks;
        let graph = &risk.objective.graph;
        let n = risk.dim();
        let k = vs.len().checked_div(n).unwrap_or(0);
        if curvature == Curvature::PerSampleGradientFisher && !risk.per_sample {
            return Err(RiskError::NoPerSampleLoss);
        }
        let second = matches!(curvature, Curvature::Hessian | Curvature::Residual);
        let plans = risk.plans(if second { Pass::Hessian } else { Pass::TangentGradient });
        let keeping = (second && !self.kept.is_empty()).then(|| risk.plans(Pass::HessianKeepingPrimals));
        let tangents =
            PreparedTangents::new(graph, &plans.full, vs, risk.threads(), risk.buffers.take_tangents());
        let mut sum = Sums::new(graph, k, chunks, risk.chunks(), &risk.buffers);
        let mut quotients = vec![Vec::with_capacity(chunks.len()); k];
        let mut chunk_samples = Vec::with_capacity(chunks.len());
        struct State<T> {
            workspace: Workspace<T>,
            /// Of the chunk at work; none between chunks, so that no more are held than are needed.
            adjoints: Option<ParameterAdjoints<T>>,
            quotients: Vec<f64>,
            hz: Vec<T>,
            data: Vec<Vec<T>>,
        }
        let profiling = profile.is_some();
        if let Some(profile) = &mut profile {
            profile.record_around("(directions prepared)", begin);
        }
        let states = ordered(
            risk.options.threads,
            chunks.len(),
            || State {
                workspace: {
                    let mut workspace = risk.borrow_workspace();
                    workspace.profile = profiling.then(Profile::default);
                    workspace
                },
                adjoints: None,
                quotients: vec![0.0; k],
                hz: Vec::new(),
                data: Vec::new(),
            },
            |i, state| {
                let adjoints = state.adjoints.insert(risk.buffers.take(graph, k));
                if !second {
                    adjoints.zero();
                }
                let mut micro_batches = risk.micro_batches(chunks.start + i).peekable();
                while let Some((start, end)) = micro_batches.next() {
                    let kept = self.kept.get((start - chunks.start * risk.chunk) / risk.micro);
                    let plan = match (&keeping, kept) {
                        (Some(p), Some(_)) => p.get(end - start),
                        _ => plans.get(end - start),
                    };
                    let data = risk.bind(start, end, &mut state.data);
                    let mut execution = Execution::new(
                        graph,
                        plan,
                        &self.prepared,
                        Some(&tangents),
                        data,
                        &mut state.workspace,
                    );
                    execution.last = micro_batches.peek().is_none();
                    if second {
                        self.second_order(&mut execution, curvature, end - start, kept, adjoints);
                    } else {
                        self.first_order(&mut execution, curvature, end - start, adjoints, &mut state.hz);
                    }
                }
                let start = Instant::now();
                state.quotients.fill(0.0);
                adjoints.add_dots(&tangents.parameters, &mut state.quotients);
                if let Some(profile) = &mut state.workspace.profile {
                    profile.record_around("(quotients)", start);
                }
            },
            |i, state| {
                let start = Instant::now();
                let first = (chunks.start + i) * risk.chunk;
                let samples = (risk.objective.samples - first).min(risk.chunk);
                let scale = risk.objective.samples as f64 / samples as f64;
                for (all, q) in quotients.iter_mut().zip(&state.quotients) {
                    all.push(q * scale);
                }
                chunk_samples.push(samples);
                if let Some(adjoints) = state.adjoints.take() {
                    sum.push(adjoints);
                }
                if let Some(profile) = &mut state.workspace.profile {
                    profile.record_around("(sums over chunks)", start);
                }
            },
        );
        for mut state in states {
            if let (Some(all), Some(own)) = (&mut profile, state.workspace.profile.take()) {
                all.merge(&own);
            }
            risk.return_workspace(state.workspace);
        }
        risk.buffers.give_tangents(tangents.parameters);
        if let Some(problem) = risk.unreadable() {
            return Err(RiskError::Unreadable(problem));
        }
        Ok((sum, ProductReport { quotients, chunk_samples }))
    }

    fn second_order(
        &self,
        execution: &mut Execution<'_, T>,
        curvature: Curvature,
        batch: usize,
        kept: Option<&Mutex<Option<KeptPrimals<T>>>>,
        adjoints: &mut ParameterAdjoints<T>,
    ) {
        let loss = self.risk.objective.loss;
        let linear_at = (curvature == Curvature::Residual).then_some(loss);
        let seed = self.risk.loss_seed(batch);
        let Some(kept) = kept else {
            execution.forward();
            execution.seed(loss, |_| seed);
            execution.reverse(Sweep::Hessian { linear_at }, adjoints);
            return;
        };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.as_mut() {
            Some(primals) => {
                execution.swap_primals(primals);
                execution.forward_tangents();
                execution.reverse(Sweep::HessianFromKept { linear_at }, adjoints);
                execution.swap_primals(primals);
            }
            None => {
                // Buffers of exactly the planned size, not what an earlier plan left in the workspace.
                let mut primals = KeptPrimals::for_plan(execution.plan);
                execution.swap_primals(&mut primals);
                execution.forward();
                execution.seed(loss, |_| seed);
                execution.reverse(Sweep::Hessian { linear_at }, adjoints);
                execution.swap_primals(&mut primals);
                *kept = Some(primals);
            }
        }
    }

    fn first_order(
        &self,
        execution: &mut Execution<'_, T>,
        curvature: Curvature,
        batch: usize,
        adjoints: &mut ParameterAdjoints<T>,
        seeds: &mut Vec<T>,
    ) {
        let (loss, output) = (self.risk.objective.loss, self.risk.objective.output);
        execution.forward();
        let k = execution.tangents.map_or(0, |t| t.count);
        let weight = self.risk.loss_seed(batch);
        let at = match curvature {
            Curvature::PerSampleGradientFisher => {
                seeds.clear();
                seeds.extend(execution.tangent(loss).iter().map(|&t| t * weight));
                loss
            }
            Curvature::OutputJacobianGram => {
                let weight = T::from_f64(1.0 / self.risk.objective.samples as f64);
                seeds.clear();
                seeds.extend(execution.tangent(output).iter().map(|&t| t * weight));
                output
            }
            _ => {
                execution.loss_hessian_times_tangent(loss, |_| weight, seeds);
                output
            }
        };
        let len = seeds.len() / k.max(1);
        for j in 0..k {
            let seed = &seeds[j * len..(j + 1) * len];
            execution.clear_adjoints();
            execution.seed(at, |i| seed[i]);
            execution.reverse(Sweep::Gradient { part: j, parts: k }, adjoints);
        }
    }
}
