//! Reading a point: gradient, mean curvature, index, kind of critical point, and what random planes would have said.

use crate::Threading;
use crate::curvature_operator::CurvatureOperator;
use crate::number_text::scientific;
use crate::numeric::norm;
use crate::projection::{
    EnsembleError, EnsembleOptions, Fraction, PlaneEnsemble, PlaneShape, saddle_probability_closed_form,
    sample_planes,
};
use crate::risk::{Risk, RiskError, check_theta};
use saddlescope_krylov::{
    DensityError, DensityOptions, Eigenpair, Estimate, ExtremeEigen, LanczosError, Observer, Status,
    extreme_eigenpairs, spectral_density,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::ControlFlow;

/// What a reading may cost and what it calls zero.
#[derive(Clone, Debug)]
pub struct ReadingOptions {
    /// Seed of every random vector.
    pub seed: u64,
    /// Random planes: two Hessian products each.
    pub planes: usize,
    /// Largest ‖∇L‖₂ of a critical point.
    pub gradient_tolerance: f64,
    /// Relative tolerance of the extreme curvatures.
    pub eigen_tolerance: f64,
    /// Most Hessian products for the extreme curvatures.
    pub max_products: usize,
    /// Random vectors and Lanczos steps of the index estimate; their product is its number of Hessian products.
    pub index_probes: usize,
    /// See `index_probes`.
    pub index_steps: usize,
    /// A curvature below this fraction of the largest magnitude counts as zero.
    pub zero: f64,
    /// Spread the planes over threads, or not because the products use the threads themselves.
    pub threading: Threading,
}

impl Default for ReadingOptions {
    /// About 1,000 Hessian products at most: 200 for planes, 400 for the extreme curvatures, 400 for the index.
    fn default() -> Self {
        Self {
            seed: 0,
            planes: 100,
            gradient_tolerance: 1e-6,
            eigen_tolerance: 1e-6,
            max_products: 400,
            index_probes: 10,
            index_steps: 40,
            zero: 1e-9,
            threading: Threading::Sequential,
        }
    }
}

/// The kind of a critical point, as far as second derivatives decide it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CriticalKind {
    /// All curvatures are positive.
    Minimum,
    /// All curvatures are negative.
    Maximum,
    /// Curvatures of both signs.
    Saddle,
    /// No curvatures of both signs, but some are zero: second derivatives do not decide.
    Degenerate,
    /// Something is not finite, or the extreme curvatures have not converged.
    Undecided,
}

/// A kind with the reasons for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Classification {
    /// The kind.
    pub kind: CriticalKind,
    /// Whether ‖∇L‖ is within the tolerance: otherwise the kind is only that of the local quadratic.
    pub critical: bool,
    /// Why, one sentence a reason.
    pub reasons: Vec<String>,
}

/// A curvature with its error bound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExtremeCurvature {
    /// κ, a Rayleigh quotient.
    pub value: f64,
    /// ‖Hv − κv‖₂: an eigenvalue lies within this distance of κ.
    pub residual: f64,
    /// Whether the residual is within the tolerance.
    pub converged: bool,
}

/// What a person would have concluded from random planes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RandomPlaneVerdict {
    /// Planes that look like a minimum.
    pub minimum: Fraction,
    /// Planes that look like a maximum.
    pub maximum: Fraction,
    /// Planes that show a saddle.
    pub saddle: Fraction,
    /// exp(−(tr H)²/(4 tr H²))/√2 with the estimated traces: good when no curvature dominates.
    pub saddle_closed_form: f64,
    /// What most planes look like.
    pub says: PlaneShape,
}

/// Everything read at one point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointReading {
    /// L(θ).
    pub loss: f64,
    /// ‖∇L(θ)‖₂.
    pub gradient_norm: f64,
    /// tr H.
    pub trace: Estimate,
    /// tr H².
    pub trace_of_square: Estimate,
    /// 𝓗 = tr H / N (2.20).
    pub mean_curvature: Estimate,
    /// Largest curvature.
    pub largest: Option<ExtremeCurvature>,
    /// Smallest curvature.
    pub smallest: Option<ExtremeCurvature>,
    /// Estimated number of negative curvatures.
    pub index: Estimate,
    /// The kind of point.
    pub classification: Classification,
    /// What random planes say.
    pub random_planes: RandomPlaneVerdict,
}

/// Why a point cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadingError {
    /// θ has the wrong length, or the risk failed.
    #[error(transparent)]
    Risk(#[from] RiskError),
    /// Fewer than two parameters.
    #[error(transparent)]
    Planes(#[from] EnsembleError),
    /// The extreme curvatures cannot be computed as asked.
    #[error(transparent)]
    Eigen(#[from] LanczosError),
    /// The index cannot be estimated as asked.
    #[error(transparent)]
    Index(#[from] DensityError),
    /// The observer asked to stop.
    #[error("the reading was stopped")]
    Stopped,
}

/// Reads a point through Hessian products.
///
/// # Errors
/// θ of the wrong length, fewer than two parameters, impossible options, or the observer's wish to stop.
pub fn read_point(
    risk: &dyn Risk,
    theta: &[f64],
    options: &ReadingOptions,
    observer: &mut dyn Observer,
) -> Result<PointReading, ReadingError> {
    check_theta(risk, theta)?;
    let n = theta.len();
    let point = risk.at(theta, 0)?;
    let hessian = CurvatureOperator::hessian(&*point);
    let mut gradient = vec![0.0; n];
    let loss = risk.gradient(theta, &mut gradient)?.loss;
    let gradient_norm = norm(&gradient);

    let ensemble_options =
        EnsembleOptions { draws: options.planes, seed: options.seed, threading: options.threading };
    let planes = sample_planes(&*point, n, ensemble_options, &mut |_| ControlFlow::Continue(()))?;

    let eigen = ExtremeEigen {
        tolerance: options.eigen_tolerance,
        max_products: options.max_products,
        seed: options.seed,
        ..ExtremeEigen::ends(1, 1)
    };
    let solution = extreme_eigenpairs(&hessian, &eigen, observer)?;
    if solution.status == Status::Cancelled {
        return Err(ReadingError::Stopped);
    }
    // In one dimension too few pairs exist for both ends; the one there is serves as both.
    let first = |pairs: &[Eigenpair]| pairs.first().map(ExtremeCurvature::from);
    let largest = first(solution.largest()).or(first(solution.smallest()));
    let smallest = first(solution.smallest()).or(largest);

    let density_options = DensityOptions {
        probes: options.index_probes,
        steps: options.index_steps.min(n),
        seed: options.seed,
        ..Default::default()
    };
    let density = spectral_density(&hessian, &density_options, observer)?;
    if density.status == Status::Cancelled {
        return Err(ReadingError::Stopped);
    }
    let scale = [largest, smallest].iter().flatten().fold(0.0_f64, |m, c| m.max(c.value.abs()));
    let zero = options.zero * scale;
    Ok(PointReading {
        loss,
        gradient_norm,
        trace: planes.trace(),
        trace_of_square: planes.trace_of_square(),
        mean_curvature: planes.mean_curvature(),
        largest,
        smallest,
        // A node this close to zero cannot be told from zero by so few steps.
        index: density.index(zero.max(1e-7 * scale)),
        classification: classify(gradient_norm, options.gradient_tolerance, smallest, largest, zero),
        random_planes: RandomPlaneVerdict::of(&planes),
    })
}

/// Decides the kind of a point from its extreme curvatures. `zero` is the size below which a curvature counts as zero.
///
/// A saddle needs no convergence: two Rayleigh quotients of opposite signs whose residual intervals leave out zero
/// prove it. A minimum or maximum is as certain as the solver's claim that it has found the end of the spectrum.
pub fn classify(
    gradient_norm: f64,
    gradient_tolerance: f64,
    smallest: Option<ExtremeCurvature>,
    largest: Option<ExtremeCurvature>,
    zero: f64,
) -> Classification {
    let critical = gradient_norm <= gradient_tolerance;
    let mut reasons = Vec::new();
    if !critical {
        reasons.push(format!(
            "‖∇L‖ = {} exceeds {}: not a critical point; what follows is said of the local quadratic",
            scientific(gradient_norm, 3),
            scientific(gradient_tolerance, 1)
        ));
    }
    let kind = match (smallest, largest) {
        (Some(bottom), Some(top)) => kind_of(bottom, top, zero, &mut reasons),
        _ => {
            reasons.push("no extreme curvature was computed".into());
            CriticalKind::Undecided
        }
    };
    Classification { kind, critical, reasons }
}

fn kind_of(
    bottom: ExtremeCurvature,
    top: ExtremeCurvature,
    zero: f64,
    reasons: &mut Vec<String>,
) -> CriticalKind {
    if !(bottom.value.is_finite() && top.value.is_finite()) {
        reasons.push("a curvature is not finite".into());
        return CriticalKind::Undecided;
    }
    let certainly = |c: ExtremeCurvature, sign: f64| sign * c.value > c.residual.max(zero);
    if certainly(bottom, -1.0) && certainly(top, 1.0) {
        reasons.push(format!("a curvature {bottom} is negative and a curvature {top} is positive"));
        return CriticalKind::Saddle;
    }
    if !(bottom.converged && top.converged) {
        reasons.push(format!(
            "the extreme curvatures {bottom} and {top} have not converged: raise the budget of products"
        ));
        return CriticalKind::Undecided;
    }
    if certainly(bottom, 1.0) {
        reasons.push(format!("the smallest curvature {bottom} is positive"));
        CriticalKind::Minimum
    } else if certainly(top, -1.0) {
        reasons.push(format!("the largest curvature {top} is negative"));
        CriticalKind::Maximum
    } else if !certainly(top, 1.0) && !certainly(bottom, -1.0) {
        reasons.push("all curvatures are zero to this precision: second derivatives say nothing".into());
        CriticalKind::Degenerate
    } else {
        let (flat, curved) = if certainly(top, 1.0) { (bottom, top) } else { (top, bottom) };
        reasons.push(format!(
            "the curvature {flat} at one end cannot be told from zero, the other end is {curved}: second derivatives do not \
             decide along the flat directions"
        ));
        CriticalKind::Degenerate
    }
}

impl From<&Eigenpair> for ExtremeCurvature {
    fn from(pair: &Eigenpair) -> Self {
        Self { value: pair.value, residual: pair.residual, converged: pair.converged }
    }
}

impl fmt::Display for ExtremeCurvature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ± {}", scientific(self.value, 6), scientific(self.residual, 1))
    }
}

impl RandomPlaneVerdict {
    /// Counts what an ensemble of random planes shows.
    pub fn of(planes: &PlaneEnsemble) -> Self {
        let fraction = |shape| planes.fraction(shape);
        let counts = [PlaneShape::Minimum, PlaneShape::Maximum, PlaneShape::Saddle]
            .map(|shape| (shape, fraction(shape)));
        let says = counts
            .iter()
            .filter(|(_, fraction)| fraction.hits > 0)
            .max_by_key(|(_, fraction)| fraction.hits)
            .map_or(PlaneShape::Undecided, |(shape, _)| *shape);
        let [(_, minimum), (_, maximum), (_, saddle)] = counts;
        let saddle_closed_form =
            saddle_probability_closed_form(planes.trace().value, planes.trace_of_square().value);
        Self { minimum, maximum, saddle, saddle_closed_form, says }
    }
}

#[cfg(test)]
mod tests;
