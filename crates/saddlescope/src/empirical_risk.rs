//! The loss of a network on a data set as an [`Objective`]: the only module that sees both.

use saddlescope_krylov::{LinearOperator, ProductError, SymmetricOperator};
use saddlescope_nn::Dtype;
use saddlescope_nn::graph::{Graph, ParameterKind};
use saddlescope_nn::op::numel;
use saddlescope_nn::risk::{
    self, Curvature, Evaluation, MemoryEstimate, ProductReport, Risk, RiskError, RiskOptions, RiskPoint,
};

use crate::objective::{Objective, ParamBlock, ParamKind, ParamLayout, Point};

/// The empirical risk of a network, computed in f32 or f64.
pub struct EmpiricalRisk {
    inner: Inner,
    layout: ParamLayout,
}

enum Inner {
    F32(Risk<f32>),
    F64(Risk<f64>),
}

macro_rules! with_inner {
    ($self:expr, $risk:ident => $body:expr) => {
        match &$self.inner {
            Inner::F32($risk) => $body,
            Inner::F64($risk) => $body,
        }
    };
}

impl EmpiricalRisk {
    /// Binds a network with loss and data to the engine.
    ///
    /// # Errors
    /// If the data do not fit the graph.
    pub fn new(objective: risk::Objective, dtype: Dtype, options: RiskOptions) -> Result<Self, RiskError> {
        let layout = layout(&objective.graph);
        let inner = match dtype {
            Dtype::F32 => Inner::F32(Risk::new(objective, options)?),
            Dtype::F64 => Inner::F64(Risk::new(objective, options)?),
        };
        Ok(Self { inner, layout })
    }

    /// The same risk on its first `samples` samples, computed in numbers of type `dtype`, keeping nothing.
    ///
    /// # Errors
    /// If the graph cannot be bound to fewer samples.
    pub fn first_samples(&self, samples: usize, dtype: Dtype) -> Result<Self, RiskError> {
        let (objective, threads) =
            with_inner!(self, r => (r.objective().first_samples(samples), r.options().threads));
        Self::new(objective, dtype, RiskOptions { threads, micro_batch: None, keep_bytes: 0 })
    }

    /// Number type of the engine.
    pub fn dtype(&self) -> Dtype {
        match self.inner {
            Inner::F32(_) => Dtype::F32,
            Inner::F64(_) => Dtype::F64,
        }
    }

    /// Number of samples the mean is over.
    pub fn samples(&self) -> usize {
        with_inner!(self, r => r.objective().samples)
    }

    /// Samples of a micro-batch and of a chunk.
    pub fn batches(&self) -> (usize, usize) {
        with_inner!(self, r => r.batches())
    }

    /// Whether an accuracy comes with the loss.
    pub fn has_accuracy(&self) -> bool {
        with_inner!(self, r => r.objective().labels.is_some())
    }

    /// Threads in use.
    pub fn threads(&self) -> usize {
        with_inner!(self, r => r.threads())
    }

    /// Loss and accuracy at θ.
    pub fn evaluate(&self, theta: &[f64]) -> Evaluation {
        with_inner!(self, r => r.evaluate(theta))
    }

    /// Loss and accuracy at θ, and the gradient (length N).
    pub fn gradient(&self, theta: &[f64], gradient: &mut [f64]) -> Evaluation {
        with_inner!(self, r => r.gradient(theta, gradient))
    }

    /// Bytes that products with `tangents` vectors at once take.
    pub fn memory(&self, tangents: usize) -> MemoryEstimate {
        with_inner!(self, r => r.memory(tangents))
    }

    /// The risk near θ with all its curvature matrices, keeping primal values as the options of the risk say.
    pub fn near(&self, theta: &[f64]) -> NearPoint<'_> {
        let inner = match &self.inner {
            Inner::F32(r) => NearInner::F32(r.at(theta)),
            Inner::F64(r) => NearInner::F64(r.at(theta)),
        };
        NearPoint { risk: self, theta: theta.to_vec(), inner }
    }

    /// The same; primal values kept between products may take `keep_bytes`.
    pub fn near_keeping(&self, theta: &[f64], keep_bytes: usize) -> NearPoint<'_> {
        let inner = match &self.inner {
            Inner::F32(r) => NearInner::F32(r.at_keeping(theta, keep_bytes)),
            Inner::F64(r) => NearInner::F64(r.at_keeping(theta, keep_bytes)),
        };
        NearPoint { risk: self, theta: theta.to_vec(), inner }
    }
}

impl Objective for EmpiricalRisk {
    fn layout(&self) -> &ParamLayout {
        &self.layout
    }

    fn value(&self, theta: &[f64]) -> f64 {
        self.evaluate(theta).loss
    }

    fn at<'a>(&'a self, theta: &[f64]) -> Box<dyn Point + 'a> {
        Box::new(self.near(theta))
    }
}

enum NearInner<'a> {
    F32(RiskPoint<'a, f32>),
    F64(RiskPoint<'a, f64>),
}

/// An empirical risk near one θ.
pub struct NearPoint<'a> {
    risk: &'a EmpiricalRisk,
    theta: Vec<f64>,
    inner: NearInner<'a>,
}

impl NearPoint<'_> {
    /// N, the number of parameters.
    pub fn dim(&self) -> usize {
        self.theta.len()
    }

    /// Products with one of the curvature matrices for a block of vectors (k × N), and the Rayleigh quotients of every
    /// chunk of samples.
    ///
    /// # Errors
    /// If the matrix needs per-sample losses and the model's own loss has none.
    pub fn product(
        &self,
        curvature: Curvature,
        vs: &[f64],
        out: &mut [f64],
    ) -> Result<ProductReport, RiskError> {
        match &self.inner {
            NearInner::F32(p) => p.product(curvature, vs, out),
            NearInner::F64(p) => p.product(curvature, vs, out),
        }
    }

    /// One of the curvature matrices as an operator.
    pub fn operator(&self, curvature: Curvature) -> CurvatureOperator<'_> {
        CurvatureOperator { point: self, curvature }
    }
}

impl Point for NearPoint<'_> {
    fn value(&self) -> f64 {
        self.risk.evaluate(&self.theta).loss
    }

    fn gradient(&self, grad: &mut [f64]) {
        self.risk.gradient(&self.theta, grad);
    }

    fn hvp(&self, vs: &[f64], hvs: &mut [f64]) {
        if self.product(Curvature::Hessian, vs, hvs).is_err() {
            // Hessian products have no way to fail; NaN is what every solver reports.
            hvs.fill(f64::NAN);
        }
    }
}

/// A curvature matrix of a network, known through its products.
pub struct CurvatureOperator<'a> {
    point: &'a NearPoint<'a>,
    curvature: Curvature,
}

impl LinearOperator for CurvatureOperator<'_> {
    fn nrows(&self) -> usize {
        self.point.risk.dim()
    }

    fn ncols(&self) -> usize {
        self.point.risk.dim()
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) -> Result<(), ProductError> {
        self.apply_block(x, y)
    }

    fn apply_block(&self, xs: &[f64], ys: &mut [f64]) -> Result<(), ProductError> {
        self.point.product(self.curvature, xs, ys).map(|_| ()).map_err(ProductError::failed)
    }
}

impl SymmetricOperator for CurvatureOperator<'_> {}

/// The named blocks of a graph's parameters.
pub fn layout(graph: &Graph) -> ParamLayout {
    let blocks = (graph.parameters().iter().zip(graph.parameter_ranges()))
        .map(|(p, range)| {
            debug_assert_eq!(numel(&p.shape), range.len());
            let kind = match p.kind {
                ParameterKind::ConvFilter => ParamKind::ConvFilter,
                ParameterKind::LinearWeight => ParamKind::LinearWeight,
                ParameterKind::LinearWeightTransposed => ParamKind::LinearWeightTransposed,
                ParameterKind::Bias => ParamKind::Bias,
                ParameterKind::Normalization => ParamKind::Normalization,
                ParameterKind::Embedding => ParamKind::Embedding,
                ParameterKind::Other => ParamKind::Other,
            };
            ParamBlock { name: p.name.clone(), shape: p.shape.clone(), range, kind }
        })
        .collect();
    ParamLayout { blocks }
}
