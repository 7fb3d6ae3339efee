//! The loss of a network on a data set, computed by our engine, as a [`Risk`]: the only module that sees both.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

use saddlescope_krylov::Precision;
use saddlescope_landscape::{
    ChunkedPoint, ChunkedRisk, Curvature, Evaluation, MemoryEstimate, NodeSum, Offers, ParameterBlock,
    ParameterLayout, PartialSums, Point, Product, Risk, RiskError, UnitGroup, check_theta,
};
use saddlescope_nn::Dtype;
use saddlescope_nn::graph::Graph;
use saddlescope_nn::op::numel;
use saddlescope_nn::profile::Profile;
use saddlescope_nn::risk::{self, RiskOptions, RiskPoint, Tallies};
use saddlescope_nn::tree::Node;
use saddlescope_nn::units;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The empirical risk of a network, computed in f32 or f64.
pub struct NetworkRisk {
    inner: Inner,
    layout: ParameterLayout,
    /// SHA-256 of the operations and how they are connected.
    graph: String,
    identity: BTreeMap<String, Value>,
    /// λ of the penalty λ/2 ‖θ‖².
    weight_decay: f64,
}

enum Inner {
    F32(risk::Risk<f32>),
    F64(risk::Risk<f64>),
}

macro_rules! with_inner {
    ($self:expr, $risk:ident => $body:expr) => {
        match &$self.inner {
            Inner::F32($risk) => $body,
            Inner::F64($risk) => $body,
        }
    };
}

impl NetworkRisk {
    /// Binds a network with loss and data to the engine.
    ///
    /// # Errors
    /// If the data do not fit the graph.
    pub fn new(
        objective: risk::Objective,
        dtype: Dtype,
        options: RiskOptions,
    ) -> Result<Self, risk::RiskError> {
        let layout = layout(&objective.graph);
        let graph = graph_fingerprint(&objective.graph);
        let inner = match dtype {
            Dtype::F32 => Inner::F32(risk::Risk::new(objective, options)?),
            Dtype::F64 => Inner::F64(risk::Risk::new(objective, options)?),
        };
        Ok(Self { inner, layout, graph, identity: BTreeMap::new(), weight_decay: 0.0 })
    }

    /// What each kind of operation costs in a product with the Hessian at θ along v (both of length N): calls, seconds over all
    /// threads, FLOP/s and GB/s, as tables. The second of two products is measured; primals are kept as the options say.
    ///
    /// # Errors
    /// θ or v of another length.
    pub fn profile(&self, theta: &[f64], v: &[f64]) -> Result<Profile, RiskError> {
        check_theta(self, theta)?;
        let mut out = vec![0.0; theta.len()];
        with_inner!(self, r => {
            let point = r.at(theta);
            point.product(Curvature::Hessian, v, &mut out).map_err(RiskError::failed)?;
            let mut profile = point.profile(Curvature::Hessian, v, &mut out).map_err(RiskError::failed)?;
            if self.weight_decay != 0.0 {
                let start = Instant::now();
                out.iter_mut().zip(v).for_each(|(y, v)| *y += self.weight_decay * v);
                profile.record_around("(weight decay)", start);
                profile.wall += start.elapsed().as_secs_f64();
            }
            Ok(profile)
        })
    }

    /// Says what else results depend on: data, loss, mode of batch norm.
    #[must_use]
    pub fn with_identity(mut self, identity: BTreeMap<String, Value>) -> Self {
        self.identity = identity;
        self
    }

    /// Adds the penalty λ/2 ‖θ‖² to the loss: what stochastic gradient descent with weight decay λ lowers. Gradients get λθ, products
    /// with the Hessian and the Gauss–Newton matrix λv, the Fisher matrices nothing; frozen parameters count nothing.
    #[must_use]
    pub fn with_weight_decay(mut self, lambda: f64) -> Self {
        self.weight_decay = lambda;
        self
    }

    /// Adds the penalty to the loss at θ, and to that of every chunk.
    fn penalize(&self, theta: &[f64], mut evaluation: Evaluation) -> Evaluation {
        if self.weight_decay != 0.0 {
            let penalty = 0.5 * self.weight_decay * squared_norm(theta);
            evaluation.loss += penalty;
            evaluation.chunk_losses.iter_mut().for_each(|loss| *loss += penalty);
        }
        evaluation
    }

    /// Adds the gradient of the penalty.
    fn penalize_gradient(&self, theta: &[f64], gradient: &mut [f64]) {
        if self.weight_decay != 0.0 {
            gradient.iter_mut().zip(theta).for_each(|(g, t)| *g += self.weight_decay * t);
        }
    }

    /// Number type of the engine.
    pub fn dtype(&self) -> Dtype {
        match self.inner {
            Inner::F32(_) => Dtype::F32,
            Inner::F64(_) => Dtype::F64,
        }
    }

    /// Whether all samples could be read until now.
    fn readable(&self) -> Result<(), RiskError> {
        match with_inner!(self, r => r.unreadable()) {
            None => Ok(()),
            Some(problem) => Err(RiskError::failed(problem)),
        }
    }

    /// Samples of a micro-batch and of a chunk.
    pub fn batches(&self) -> (usize, usize) {
        with_inner!(self, r => r.batches())
    }
}

fn evaluation(found: risk::Evaluation) -> Evaluation {
    let risk::Parts { losses, weights } = found.parts;
    Evaluation { loss: found.loss, correct: found.correct, chunk_losses: losses, chunk_samples: weights }
}

fn squared_norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

/// Adds the penalty's part of a block of products.
fn penalize_product(lambda: f64, curvature: Curvature, vs: &[f64], out: &mut [f64], product: &mut Product) {
    if lambda == 0.0 || !matches!(curvature, Curvature::Hessian | Curvature::GaussNewton) {
        return;
    }
    out.iter_mut().zip(vs).for_each(|(y, v)| *y += lambda * v);
    let n = vs.len() / product.quotients.len().max(1);
    for (quotients, v) in product.quotients.iter_mut().zip(vs.chunks(n.max(1))) {
        let penalty = lambda * squared_norm(v);
        quotients.iter_mut().for_each(|q| *q += penalty);
    }
}

impl Risk for NetworkRisk {
    fn layout(&self) -> &ParameterLayout {
        &self.layout
    }

    fn samples(&self) -> usize {
        with_inner!(self, r => r.objective().samples)
    }

    fn offers(&self) -> Offers {
        let per_sample = with_inner!(self, r => r.has_per_sample_loss());
        let mut curvatures = vec![
            Curvature::Hessian,
            Curvature::GaussNewton,
            Curvature::Residual,
            Curvature::OutputJacobianGram,
        ];
        if per_sample {
            curvatures.push(Curvature::PerSampleGradientFisher);
        }
        Offers {
            gradient: true,
            curvatures,
            accuracy: with_inner!(self, r => r.objective().labels.is_some()),
            chunks: true,
            repeatable: true,
            precision: match self.dtype() {
                Dtype::F32 => Precision::F32,
                Dtype::F64 => Precision::F64,
            },
        }
    }

    fn evaluate(&self, theta: &[f64]) -> Result<Evaluation, RiskError> {
        check_theta(self, theta)?;
        let found = with_inner!(self, r => r.evaluate(theta));
        self.readable()?;
        Ok(self.penalize(theta, evaluation(found)))
    }

    fn gradient(&self, theta: &[f64], gradient: &mut [f64]) -> Result<Evaluation, RiskError> {
        check_theta(self, theta)?;
        let found = with_inner!(self, r => r.gradient(theta, gradient));
        self.readable()?;
        self.penalize_gradient(theta, gradient);
        Ok(self.penalize(theta, evaluation(found)))
    }

    fn at<'a>(&'a self, theta: &[f64], keep_bytes: usize) -> Result<Box<dyn Point + 'a>, RiskError> {
        check_theta(self, theta)?;
        let (dim, weight_decay) = (theta.len(), self.weight_decay);
        Ok(match &self.inner {
            Inner::F32(r) => {
                Box::new(NetworkPoint { dim, weight_decay, inner: r.at_keeping(theta, keep_bytes) })
            }
            Inner::F64(r) => {
                Box::new(NetworkPoint { dim, weight_decay, inner: r.at_keeping(theta, keep_bytes) })
            }
        })
    }

    fn memory(&self, tangents: usize) -> MemoryEstimate {
        let (found, threads) = with_inner!(self, r => (r.memory(tangents), r.threads().min(r.chunks())));
        MemoryEstimate {
            fixed: found.shared + threads * found.per_thread,
            data: found.data,
            in_files: found.in_files,
            keep: found.all_primals,
        }
    }

    fn first_samples(
        &self,
        samples: usize,
        precision: Precision,
    ) -> Result<Option<Box<dyn Risk + '_>>, RiskError> {
        let (objective, threads) =
            with_inner!(self, r => (r.objective().first_samples(samples), r.options().threads));
        let dtype = match precision {
            Precision::F32 => Dtype::F32,
            Precision::F64 => Dtype::F64,
        };
        let options = RiskOptions { threads, micro_batch: None, keep_bytes: 0 };
        let few = Self::new(objective, dtype, options).map_err(RiskError::failed)?;
        Ok(Some(Box::new(few.with_weight_decay(self.weight_decay))))
    }

    fn samples_in(&self, samples: Range<usize>) -> Result<Option<Box<dyn Risk + '_>>, RiskError> {
        if with_inner!(self, r => r.couples_samples()) || samples.is_empty() || samples.end > self.samples() {
            return Ok(None);
        }
        let (objective, options) =
            with_inner!(self, r => (r.objective().samples_in(samples.clone()), r.options().clone()));
        let options = RiskOptions { keep_bytes: 0, ..options };
        let part = Self::new(objective, self.dtype(), options).map_err(RiskError::failed)?;
        let part = part.with_weight_decay(self.weight_decay);
        let of = [("samples_of_analysis".to_string(), format!("{}..{}", samples.start, samples.end).into())];
        Ok(Some(Box::new(part.with_identity(of.into()))))
    }

    fn not_finite_in_data(&self) -> Result<Option<String>, RiskError> {
        with_inner!(self, r => r.not_finite_in_data()).map_err(RiskError::failed)
    }

    fn buffers(&self) -> Vec<f64> {
        with_inner!(self, r => r.buffers())
    }

    fn with_buffers(&self, buffers: &[f64]) -> Result<Box<dyn Risk + '_>, RiskError> {
        let inner = match &self.inner {
            Inner::F32(r) => Inner::F32(r.with_buffers(buffers).map_err(RiskError::failed)?),
            Inner::F64(r) => Inner::F64(r.with_buffers(buffers).map_err(RiskError::failed)?),
        };
        Ok(Box::new(Self {
            inner,
            layout: self.layout.clone(),
            graph: self.graph.clone(),
            identity: self.identity.clone(),
            weight_decay: self.weight_decay,
        }))
    }

    fn buffers_anew(&self, theta: &[f64]) -> Result<Option<Vec<f64>>, RiskError> {
        check_theta(self, theta)?;
        with_inner!(self, r => r.buffers_anew(theta)).map_err(RiskError::failed)
    }

    fn unit_groups(&self) -> Option<Vec<UnitGroup>> {
        with_inner!(self, r => {
            let objective = r.objective();
            units::unit_groups(&objective.graph, &[objective.output, objective.loss])
        })
    }

    fn identity(&self) -> BTreeMap<String, Value> {
        let mut identity = self.identity.clone();
        identity.insert("dtype".into(), self.dtype().to_string().into());
        identity.insert("graph.sha256".into(), self.graph.clone().into());
        if self.weight_decay != 0.0 {
            identity.insert("weight_decay".into(), self.weight_decay.into());
        }
        identity
    }
}

struct NetworkPoint<'a, T> {
    dim: usize,
    weight_decay: f64,
    inner: RiskPoint<'a, T>,
}

impl<T: saddlescope_nn::op::Element> Point for NetworkPoint<'_, T> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn product(&self, curvature: Curvature, vs: &[f64], out: &mut [f64]) -> Result<Product, RiskError> {
        let report = self.inner.product(curvature, vs, out).map_err(RiskError::failed)?;
        let mut product = Product { quotients: report.quotients, chunk_samples: report.chunk_samples };
        penalize_product(self.weight_decay, curvature, vs, out, &mut product);
        Ok(product)
    }
}

/// Sums of nodes as the seam knows them.
fn node_sums(nodes: Vec<Node<Vec<f64>>>) -> Vec<NodeSum> {
    nodes.into_iter().map(|n| NodeSum { level: n.level, number: n.number, values: n.sum }).collect()
}

/// The sums over all chunks, `N` of them, each of its length.
fn whole<const N: usize>(
    sums: PartialSums,
    lengths: [usize; N],
) -> Result<([Vec<f64>; N], Vec<f64>), RiskError> {
    let (sums, rows) = sums.finish();
    let found: Vec<usize> = sums.iter().map(Vec::len).collect();
    match sums.try_into() {
        Ok(sums) if found == lengths => Ok((sums, rows)),
        _ => Err(RiskError::failed(format!(
            "the sums over all chunks are of {found:?} numbers, expected {lengths:?}"
        ))),
    }
}

/// Numbers of a tally.
const TALLY: usize = 3;

impl ChunkedRisk for NetworkRisk {
    fn chunks(&self) -> usize {
        with_inner!(self, r => r.chunks())
    }

    fn evaluate_chunks(&self, theta: &[f64], chunks: Range<usize>) -> Result<PartialSums, RiskError> {
        check_theta(self, theta)?;
        let tallies = with_inner!(self, r => r.evaluate_chunks(theta, chunks));
        self.readable()?;
        let (nodes, losses) = tallies.into_numbers();
        Ok(PartialSums { sums: vec![node_sums(nodes)], rows: losses })
    }

    fn whole_evaluation(&self, theta: &[f64], sums: PartialSums) -> Result<Evaluation, RiskError> {
        let ([tally], losses) = whole(sums, [TALLY])?;
        let found = with_inner!(self, r => r.evaluation(Tallies::from_sum(&tally, losses)));
        Ok(self.penalize(theta, evaluation(found)))
    }

    fn gradient_chunks(&self, theta: &[f64], chunks: Range<usize>) -> Result<PartialSums, RiskError> {
        check_theta(self, theta)?;
        let (tallies, gradient) = with_inner!(self, r => r.gradient_chunks(theta, chunks));
        self.readable()?;
        let (nodes, losses) = tallies.into_numbers();
        Ok(PartialSums { sums: vec![node_sums(nodes), node_sums(gradient)], rows: losses })
    }

    fn whole_gradient(
        &self,
        theta: &[f64],
        sums: PartialSums,
        gradient: &mut [f64],
    ) -> Result<Evaluation, RiskError> {
        let ([tally, sum], losses) = whole(sums, [TALLY, gradient.len()])?;
        gradient.copy_from_slice(&sum);
        self.penalize_gradient(theta, gradient);
        let found = with_inner!(self, r => r.evaluation(Tallies::from_sum(&tally, losses)));
        Ok(self.penalize(theta, evaluation(found)))
    }

    fn at_chunks<'a>(
        &'a self,
        theta: &[f64],
        chunks: Range<usize>,
        keep_bytes: usize,
    ) -> Result<Box<dyn ChunkedPoint + 'a>, RiskError> {
        check_theta(self, theta)?;
        let (dim, weight_decay) = (theta.len(), self.weight_decay);
        Ok(match &self.inner {
            Inner::F32(r) => {
                Box::new(NetworkPoint { dim, weight_decay, inner: r.at_chunks(theta, chunks, keep_bytes) })
            }
            Inner::F64(r) => {
                Box::new(NetworkPoint { dim, weight_decay, inner: r.at_chunks(theta, chunks, keep_bytes) })
            }
        })
    }

    fn whole_product(
        &self,
        curvature: Curvature,
        vs: &[f64],
        sums: PartialSums,
        out: &mut [f64],
    ) -> Result<Product, RiskError> {
        let ([sum], rows) = whole(sums, [out.len()])?;
        out.copy_from_slice(&sum);
        let block = out.len().checked_div(self.dim()).unwrap_or(0);
        let mut product = Product { quotients: vec![Vec::new(); block], chunk_samples: Vec::new() };
        // The row of a chunk: its number of samples, then the quotient of each vector.
        for row in rows.chunks_exact(1 + block) {
            product.chunk_samples.push(row[0] as usize);
            product.quotients.iter_mut().zip(&row[1..]).for_each(|(all, &q)| all.push(q));
        }
        penalize_product(self.weight_decay, curvature, vs, out, &mut product);
        Ok(product)
    }
}

impl<T: saddlescope_nn::op::Element> ChunkedPoint for NetworkPoint<'_, T> {
    fn product_chunks(&self, curvature: Curvature, vs: &[f64]) -> Result<PartialSums, RiskError> {
        let (nodes, report) = self.inner.product_chunks(curvature, vs).map_err(RiskError::failed)?;
        let mut rows = Vec::with_capacity(report.chunk_samples.len() * (1 + report.quotients.len()));
        for (c, &samples) in report.chunk_samples.iter().enumerate() {
            rows.push(samples as f64);
            rows.extend(report.quotients.iter().map(|all| all[c]));
        }
        Ok(PartialSums { sums: vec![node_sums(nodes)], rows })
    }
}

/// SHA-256 of the operations of a graph with their attributes, and of how they are connected.
fn graph_fingerprint(graph: &Graph) -> String {
    let mut hash = Sha256::new();
    for node in graph.nodes() {
        hash.update(format!("{node:?}").as_bytes());
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// The named blocks of a graph's parameters.
pub fn layout(graph: &Graph) -> ParameterLayout {
    let blocks = (graph.parameters().iter().zip(graph.parameter_ranges()))
        .map(|(p, range)| {
            debug_assert_eq!(numel(&p.shape), range.len());
            ParameterBlock { name: p.name.clone(), shape: p.shape.clone(), range, kind: p.kind }
        })
        .collect();
    ParameterLayout { blocks }
}
