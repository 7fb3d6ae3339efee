//! The measures, computed.

use std::ops::ControlFlow;

use saddlescope_krylov::{
    Estimate, ExtremeEigen, LanczosError, Progress, Stream, Wanted, extreme_eigenpairs,
};

use super::ascent::{Around, AscentOptions, climb};
use super::critical::critical_sharpness;
use super::kinds::MeasureKind;
use super::measure::{Measure, Measures, NotDefined, SharpnessOptions};
use super::metric::{FlatnessProbes, Form, RescaledHessian, form};
use crate::analysis::{mean_over_chunks, weighted_std_error};
use crate::curvature_operator::CurvatureOperator;
use crate::direction::{Unfiltered, filter_norms};
use crate::numeric::{dot, norm};
use crate::random;
use crate::risk::{Curvature, Evaluation, Point, Risk, RiskError, check_theta};

/// Losses that a gradient costs.
const GRADIENT: usize = 3;

/// A point with what several measures share.
pub struct Sharpness<'a> {
    risk: &'a dyn Risk,
    theta: &'a [f64],
    options: &'a SharpnessOptions,
    seed: u64,
    point: Box<dyn Point + 'a>,
    here: Evaluation,
    gradient: Vec<f64>,
    /// λ_max with its vector, once it is known.
    top: Option<(Measure, Vec<f64>)>,
    /// Once they are known.
    traces: Option<Traces>,
    /// Rounding of an eigenvalue, relative to it.
    rounding: f64,
}

/// Rounding of an eigenvalue in units of the last place, where nothing else is known of it.
const ROUNDING: f64 = 10.0;

/// tr H and tr H².
#[derive(Clone, Copy)]
struct Traces {
    trace: Estimate,
    square: Estimate,
    /// Standard error of the trace over the data.
    over_data: Option<f64>,
}

/// Sees the number of products or gradients of a measure so far; its error stops the measure.
type Watch<'w> = &'w mut dyn FnMut(usize) -> Result<(), RiskError>;

impl<'a> Sharpness<'a> {
    /// Evaluates loss and gradient. `keep_bytes`: as for [`Risk::at`].
    ///
    /// # Errors
    /// θ of another length, or a risk that fails.
    pub fn new(
        risk: &'a dyn Risk,
        theta: &'a [f64],
        options: &'a SharpnessOptions,
        seed: u64,
        keep_bytes: usize,
    ) -> Result<Self, RiskError> {
        check_theta(risk, theta)?;
        let mut gradient = Vec::new();
        let here = if risk.offers().gradient {
            gradient = vec![0.0; theta.len()];
            risk.gradient(theta, &mut gradient)?
        } else {
            risk.evaluate(theta)?
        };
        let point = risk.at(theta, keep_bytes)?;
        let rounding = ROUNDING * risk.offers().precision.epsilon();
        Ok(Self { risk, theta, options, seed, point, here, gradient, top: None, traces: None, rounding })
    }

    /// What rounding of the products may change of an eigenvalue, as a share of it, where it was measured.
    #[must_use]
    pub fn with_rounding(mut self, share: f64) -> Self {
        self.rounding = share;
        self
    }

    /// An eigenvalue that is known already, with its unit vector.
    #[must_use]
    pub fn with_largest(mut self, measure: Measure, vector: Vec<f64>) -> Self {
        self.top = Some((measure, vector));
        self
    }

    /// Estimates of tr H and tr H² that are known already, and the standard error of the trace over the data.
    #[must_use]
    pub fn with_traces(mut self, trace: Estimate, trace_of_square: Estimate, over_data: Option<f64>) -> Self {
        self.traces = Some(Traces { trace, square: trace_of_square, over_data });
        self
    }

    /// One measure; the inner error says why it has no meaning here, or that the risk does not offer what it needs. `watch`
    /// sees the number of products or gradients so far.
    ///
    /// # Errors
    /// A risk that fails, and whatever `watch` says.
    pub fn measure(
        &mut self,
        kind: MeasureKind,
        watch: Watch<'_>,
    ) -> Result<Result<Measure, NotDefined>, RiskError> {
        let offers = self.risk.offers();
        if let Some(needed) = kind.curvature().filter(|c| !offers.product(*c)) {
            return Ok(Err(NotDefined(format!("this loss does not offer products with {needed}"))));
        }
        if kind.needs_gradient() && !offers.gradient {
            return Ok(Err(NotDefined("this loss does not offer a gradient".into())));
        }
        if !self.here.loss.is_finite() {
            return Ok(Err(NotDefined("the loss is not finite here".into())));
        }
        match kind {
            MeasureKind::LargestEigenvalue => Ok(self.largest(watch)?.map(|(m, _)| m)),
            MeasureKind::Trace | MeasureKind::FrobeniusNorm => self.trace(kind, watch).map(Ok),
            MeasureKind::SamStep => self.sam_step(),
            MeasureKind::SamAscent => self.sam_ascent(watch),
            MeasureKind::Keskar => self.keskar(watch),
            MeasureKind::Critical => self.critical(),
            MeasureKind::FilterLargestEigenvalue => self.filter_largest(watch),
            MeasureKind::FilterTrace => self.filter_trace(watch),
            MeasureKind::FisherRao => self.fisher_rao(kind, Curvature::PerSampleGradientFisher).map(Ok),
            MeasureKind::FisherRaoModel => self.fisher_rao(kind, Curvature::GaussNewton).map(Ok),
            MeasureKind::RelativeFlatness => self.relative_flatness(watch),
        }
    }

    fn solve(&self, scales: Option<&[f64]>, watch: Watch<'_>) -> Result<Solved, RiskError> {
        let options = ExtremeEigen {
            wanted: Wanted::Ends { largest: 1, smallest: 0 },
            tolerance: self.options.tolerance,
            max_products: self.options.max_products,
            precision: self.risk.offers().precision,
            product_precision: self.risk.offers().precision,
            seed: self.seed,
            ..ExtremeEigen::default()
        };
        let mut stopped = Ok(());
        let mut progress = |p: &Progress<'_>| {
            stopped = watch(p.products);
            if stopped.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let found = match scales {
            None => extreme_eigenpairs(&CurvatureOperator::hessian(&*self.point), &options, &mut progress),
            Some(d) => extreme_eigenpairs(&RescaledHessian::new(&*self.point, d), &options, &mut progress),
        };
        let solution = found.map_err(|e| match e {
            LanczosError::Product(error) => RiskError::from(error),
            other => RiskError::failed(other),
        })?;
        stopped?;
        let products = solution.products;
        Ok(solution.pairs.into_iter().next().map(|pair| (pair, products)))
    }

    fn largest(&mut self, watch: Watch<'_>) -> Result<Result<(Measure, Vec<f64>), NotDefined>, RiskError> {
        if let Some(known) = &self.top {
            return Ok(Ok(known.clone()));
        }
        let Some((pair, products)) = self.solve(None, watch)? else {
            return Ok(Err(NotDefined("the eigenvalue solve found nothing".into())));
        };
        let quotient = form(&*self.point, Curvature::Hessian, &pair.vector)?;
        let measure = Measure {
            value: pair.value,
            error: Some(pair.residual + self.rounding * pair.value.abs()),
            std_error: weighted_std_error(&quotient.parts.0, &quotient.parts.1),
            converged: pair.converged,
            products: products + 1,
            ..Measure::of(MeasureKind::LargestEigenvalue)
        };
        self.top = Some((measure.clone(), pair.vector.clone()));
        Ok(Ok((measure, pair.vector)))
    }

    fn trace(&mut self, kind: MeasureKind, watch: Watch<'_>) -> Result<Measure, RiskError> {
        let (known, products) = match self.traces {
            Some(known) => (known, 0),
            None => {
                let found = self.probe_traces(watch)?;
                self.traces = Some(found);
                (found, self.options.probes)
            }
        };
        let (estimate, std_error) = match kind {
            MeasureKind::Trace => (known.trace, known.over_data),
            _ => {
                let value = known.square.value.max(0.0).sqrt();
                let error = known.square.std_error / (2.0 * value.max(f64::MIN_POSITIVE));
                (Estimate { value, std_error: error, samples: known.square.samples }, None)
            }
        };
        Ok(Measure { products, std_error, ..Measure::estimated(kind, estimate) })
    }

    fn probe_traces(&self, watch: Watch<'_>) -> Result<Traces, RiskError> {
        let n = self.theta.len();
        let (mut traces, mut squares, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        let mut chunks = Vec::new();
        let (mut z, mut hz) = (vec![0.0; n], vec![0.0; n]);
        for i in 0..self.options.probes {
            random::fill_probe(self.seed, i as u64, &mut z);
            let product = self.point.product(Curvature::Hessian, &z, &mut hz)?;
            watch(i + 1)?;
            parts.extend(product.quotients);
            chunks = product.chunk_samples;
            traces.push(dot(&z, &hz));
            squares.push(dot(&hz, &hz));
        }
        let parts: Vec<&[f64]> = parts.iter().map(Vec::as_slice).collect();
        Ok(Traces {
            trace: Estimate::from_samples(&traces),
            square: Estimate::from_samples(&squares),
            over_data: mean_over_chunks(&parts, &chunks),
        })
    }

    /// L(θ + ε) − L(θ) with its standard error over chunks of samples, ε held fixed.
    fn increase(&self, there: &Evaluation) -> Option<f64> {
        let (here, after) = (&self.here.chunk_losses, &there.chunk_losses);
        if here.len() != after.len() {
            return None;
        }
        let differences: Vec<f64> = after.iter().zip(here).map(|(a, b)| a - b).collect();
        weighted_std_error(&differences, &self.here.chunk_samples)
    }

    fn displaced(&self, by: &[f64]) -> Result<Evaluation, RiskError> {
        let point: Vec<f64> = self.theta.iter().zip(by).map(|(t, e)| t + e).collect();
        self.risk.evaluate(&point)
    }

    fn sam_step(&self) -> Result<Result<Measure, NotDefined>, RiskError> {
        let Some(step) = Around::Ball(self.options.rho).support(&self.gradient) else {
            return Ok(Err(NotDefined("the gradient is zero or not finite: it has no direction".into())));
        };
        let there = self.displaced(&step)?;
        Ok(Ok(Measure {
            value: there.loss - self.here.loss,
            std_error: self.increase(&there),
            evaluations: 1,
            ..Measure::of(MeasureKind::SamStep)
        }))
    }

    /// The points of a set to climb from: along the gradient, both ways along the eigenvector of λ_max, and along a random
    /// direction, which has a part in every other.
    fn starts(&mut self, around: &Around, watch: Watch<'_>) -> Result<(Vec<Vec<f64>>, usize), RiskError> {
        let mut starts: Vec<Vec<f64>> = around.support(&self.gradient).into_iter().collect();
        let mut random = vec![0.0; self.theta.len()];
        Stream::new(self.seed, "climb", 0).fill_normal(&mut random);
        starts.extend(around.support(&random));
        let mut products = 0;
        if self.risk.offers().product(Curvature::Hessian) {
            let known = self.top.is_some();
            if let Ok((measure, v)) = self.largest(watch)? {
                products = if known { 0 } else { measure.products };
                let back: Vec<f64> = v.iter().map(|x| -x).collect();
                starts.extend(around.support(&v));
                starts.extend(around.support(&back));
            }
        }
        Ok((starts, products))
    }

    fn highest(
        &mut self,
        kind: MeasureKind,
        around: &Around,
        watch: Watch<'_>,
    ) -> Result<Measure, RiskError> {
        let (starts, products) = self.starts(around, watch)?;
        let options =
            AscentOptions { gradients: self.options.gradients, tolerance: self.options.climb_tolerance };
        let top =
            climb(self.risk, self.theta, self.here.loss, around, starts, options, &mut |n, _| watch(n))?;
        let there = self.displaced(&top.displacement)?;
        Ok(Measure {
            value: top.increase,
            error: top.gap.is_finite().then_some(top.gap),
            std_error: self.increase(&there),
            converged: top.converged,
            products,
            evaluations: GRADIENT * top.gradients + 1,
            ..Measure::of(kind)
        })
    }

    fn sam_ascent(&mut self, watch: Watch<'_>) -> Result<Result<Measure, NotDefined>, RiskError> {
        self.highest(MeasureKind::SamAscent, &Around::Ball(self.options.rho), watch).map(Ok)
    }

    fn keskar(&mut self, watch: Watch<'_>) -> Result<Result<Measure, NotDefined>, RiskError> {
        let bounds = self.theta.iter().map(|t| self.options.epsilon * (t.abs() + 1.0)).collect();
        let found = self.highest(MeasureKind::Keskar, &Around::Box(bounds), watch)?;
        let scale = 1.0 + self.here.loss;
        if scale <= 0.0 {
            return Ok(Err(NotDefined(
                "1 + L is not positive: the measure is for losses that are not negative".into(),
            )));
        }
        // In percent of 1 + L. The error of the denominator over the data is left out: it does not change what is compared.
        let factor = 100.0 / scale;
        Ok(Ok(Measure {
            value: factor * found.value,
            error: found.error.map(|e| factor * e),
            std_error: found.std_error.map(|e| factor * e),
            ..found
        }))
    }

    fn critical(&self) -> Result<Result<Measure, NotDefined>, RiskError> {
        let guess = match &self.top {
            Some((measure, _)) => measure.value.abs(),
            // A step of 2 L/‖g‖² would bring a linear loss to −L.
            None => dot(&self.gradient, &self.gradient) / self.here.loss.abs().max(f64::MIN_POSITIVE),
        };
        let found = critical_sharpness(self.risk, self.theta, self.here.loss, &self.gradient, guess)?;
        Ok(found.map(|c| Measure {
            value: c.value,
            error: Some(0.5 * (c.interval[1] - c.interval[0])),
            evaluations: c.evaluations,
            ..Measure::of(MeasureKind::Critical)
        }))
    }

    fn scales(&self) -> Result<Vec<f64>, NotDefined> {
        let scales = filter_norms(self.theta, self.risk.layout(), Unfiltered::Zero)
            .map_err(|e| NotDefined(e.to_string()))?;
        if scales.iter().all(|d| *d == 0.0) {
            return Err(NotDefined("every filter of θ is zero".into()));
        }
        Ok(scales)
    }

    fn filter_largest(&mut self, watch: Watch<'_>) -> Result<Result<Measure, NotDefined>, RiskError> {
        let scales = match self.scales() {
            Ok(scales) => scales,
            Err(reason) => return Ok(Err(reason)),
        };
        let Some((pair, products)) = self.solve(Some(&scales), watch)? else {
            return Ok(Err(NotDefined("the eigenvalue solve found nothing".into())));
        };
        let v: Vec<f64> = pair.vector.iter().zip(&scales).map(|(v, d)| v * d).collect();
        let quotient = form(&*self.point, Curvature::Hessian, &v)?;
        Ok(Ok(Measure {
            value: pair.value,
            error: Some(pair.residual + self.rounding * pair.value.abs()),
            std_error: weighted_std_error(&quotient.parts.0, &quotient.parts.1),
            converged: pair.converged,
            products: products + 1,
            ..Measure::of(MeasureKind::FilterLargestEigenvalue)
        }))
    }

    fn filter_trace(&mut self, watch: Watch<'_>) -> Result<Result<Measure, NotDefined>, RiskError> {
        let scales = match self.scales() {
            Ok(scales) => scales,
            Err(reason) => return Ok(Err(reason)),
        };
        let mut samples = Vec::new();
        let mut z = vec![0.0; self.theta.len()];
        for i in 0..self.options.probes {
            random::fill_probe(self.seed, i as u64, &mut z);
            z.iter_mut().zip(&scales).for_each(|(z, d)| *z *= d);
            samples.push(form(&*self.point, Curvature::Hessian, &z)?);
            watch(i + 1)?;
        }
        Ok(Ok(over_probes(MeasureKind::FilterTrace, &samples)))
    }

    fn fisher_rao(&self, kind: MeasureKind, curvature: Curvature) -> Result<Measure, RiskError> {
        let found = form(&*self.point, curvature, self.theta)?;
        let value = found.value.max(0.0).sqrt();
        // √ to first order.
        let std_error = weighted_std_error(&found.parts.0, &found.parts.1)
            .map(|e| e / (2.0 * value.max(f64::MIN_POSITIVE)));
        Ok(Measure { value, std_error, products: 1, ..Measure::of(kind) })
    }

    fn relative_flatness(&mut self, watch: Watch<'_>) -> Result<Result<Measure, NotDefined>, RiskError> {
        let probes = match FlatnessProbes::new(self.risk.layout(), self.theta) {
            Ok(probes) => probes,
            Err(reason) => return Ok(Err(reason)),
        };
        let mut samples = Vec::new();
        for i in 0..self.options.probes {
            samples.push(form(&*self.point, Curvature::Hessian, &probes.probe(self.seed, i as u64))?);
            watch(i + 1)?;
        }
        let found = over_probes(MeasureKind::RelativeFlatness, &samples);
        Ok(Ok(Measure { of: Some(probes.layer), ..found }))
    }

    /// L(θ).
    pub fn loss(&self) -> f64 {
        self.here.loss
    }

    /// ‖∇L‖; `None` where no gradient is offered.
    pub fn gradient_norm(&self) -> Option<f64> {
        (!self.gradient.is_empty()).then(|| norm(&self.gradient))
    }
}

/// The mean of vᵀHv over probes, with its standard error over these, and over the data: the spread over chunks of samples of the mean of
/// vᵀH_b v over the same probes.
fn over_probes(kind: MeasureKind, forms: &[Form]) -> Measure {
    let values: Vec<f64> = forms.iter().map(|f| f.value).collect();
    let parts: Vec<&[f64]> = forms.iter().map(|f| f.parts.0.as_slice()).collect();
    let chunks = forms.first().map_or(&[][..], |f| &f.parts.1);
    Measure {
        std_error: mean_over_chunks(&parts, chunks),
        products: forms.len(),
        ..Measure::estimated(kind, Estimate::from_samples(&values))
    }
}

type Solved = Option<(saddlescope_krylov::Eigenpair, usize)>;

/// All measures that the risk offers and the point allows.
///
/// # Errors
/// A risk that fails, or that is cancelled.
pub fn measures(
    risk: &dyn Risk,
    theta: &[f64],
    options: &SharpnessOptions,
    seed: u64,
) -> Result<Measures, RiskError> {
    let mut at = Sharpness::new(risk, theta, options, seed, 0)?;
    let mut found = Measures::default();
    for kind in MeasureKind::ALL {
        match at.measure(kind, &mut |_| Ok(()))? {
            Ok(measure) => found.measured.push(measure),
            Err(NotDefined(reason)) => found.left_out.push((kind, reason)),
        }
    }
    Ok(found)
}
