//! The trace of the Hessian from function values alone: parabolas fitted to the loss along random lines.
//!
//! Along θ* + αη the second derivative at 0 is ηᵀHη, whose mean over Gaussian η is tr H (2.19). Böttcher & Wheeler (2022)
//! fit a quadratic to L(θ* + αη) over an interval by least squares and average its curvature; no derivative is needed.

mod interval;
mod polynomials;

use crate::evaluation::{Threading, in_batches};
use crate::numeric::add_scaled;
use crate::risk::{Risk, RiskError, check_theta};
use crate::{Axis, AxisError, random};
pub(crate) use interval::INTERVAL_LINES;
pub use polynomials::LineFit;
use polynomials::QuadraticFit;
use saddlescope_figure::floats;
use saddlescope_krylov::Estimate;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// How the trace is estimated.
#[derive(Clone, Copy, Debug)]
pub struct CurvatureFitOptions {
    /// Number of random lines.
    pub probes: usize,
    /// Seed of the lines: probe i is the vector that Hutchinson's estimator with Gaussian probes uses.
    pub seed: u64,
    /// Where the loss is evaluated along a line.
    pub interval: FitInterval,
    /// Largest share of the fitted parabolas' variation that other terms may have before a warning is given, as an
    /// amplitude: √(Σ residual² / Σ quadratic part²).
    pub tolerance: f64,
    /// Spread the lines over threads, or not because the objective uses the threads itself.
    pub threading: Threading,
}

impl Default for CurvatureFitOptions {
    /// The paper's interval with 21 points, 100 probes, a warning above a tenth.
    fn default() -> Self {
        let interval = FitInterval::Points { lo: -0.05, hi: 0.05, count: 21 };
        Self { probes: 100, seed: 0, interval, tolerance: 0.1, threading: Threading::Sequential }
    }
}

/// Where the loss is evaluated along a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FitInterval {
    /// `count` evenly spaced α from `lo` to `hi`.
    Points {
        /// First α.
        lo: f64,
        /// Last α.
        hi: f64,
        /// Number of points, at least 3; cubic and quartic terms are seen from 5 on.
        count: usize,
    },
    /// `count` points over ±√(2ΔL/|κ|), where a parabola of curvature κ rises by ΔL. κ is the largest curvature
    /// along the first few lines, found by second differences of the loss.
    FromCurvature {
        /// ΔL, in units of the loss.
        loss_change: f64,
        /// Number of points, at least 3.
        count: usize,
    },
}

/// The trace from fits, and how well parabolas fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvatureFit {
    /// tr H as the mean curvature of the parabolas, with its standard error over lines.
    pub trace: Estimate,
    /// Curvature of each line's parabola.
    #[serde(with = "floats")]
    pub per_probe: Vec<f64>,
    /// Standard error of each line's curvature from the residuals of its fit; NaN with three points.
    #[serde(with = "floats")]
    pub fit_errors: Vec<f64>,
    /// α of the evaluations.
    pub axis: Axis,
    /// Number of loss evaluations, those for the choice of the interval included.
    pub evaluations: usize,
    /// What each line's fit found, for more lines later.
    pub lines: Vec<LineFit>,
    /// Evaluations that the choice of the interval took.
    pub interval_evaluations: usize,
    /// The share of what is not quadratic above which a warning is given.
    #[serde(with = "floats::scalar")]
    pub tolerance: f64,
    /// What the loss holds beside parabolas on this interval.
    pub content: FitContent,
    /// Why the trace should not be trusted, if there is a reason.
    pub warning: Option<FitWarning>,
}

/// Amplitudes of what is not quadratic, relative to the quadratic part and taken over all lines. 0 is a perfect
/// parabola. The parts are orthogonal on the points: a cubic or quartic part here is what lower orders cannot follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FitContent {
    /// Cubic part. On an interval symmetric about 0 it does not change the curvature.
    #[serde(with = "floats::scalar")]
    pub cubic: f64,
    /// Quartic part. It biases the curvature.
    #[serde(with = "floats::scalar")]
    pub quartic: f64,
    /// Everything that is not quadratic, cubic and quartic parts included.
    #[serde(with = "floats::scalar")]
    pub residual: f64,
}

/// Why a trace from fits should not be trusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FitWarning {
    /// The loss is not a parabola on the interval.
    #[error(
        "the loss is not quadratic on [{lo}, {hi}]: {:.0} % of the parabolas' amplitude is left over (cubic {:.0} %, quartic {:.0} %); take a shorter interval",
        100.0 * content.residual, 100.0 * content.cubic, 100.0 * content.quartic
    )]
    NotQuadratic {
        /// First α.
        lo: f64,
        /// Last α.
        hi: f64,
        /// What is left over.
        content: FitContent,
    },
    /// The loss is NaN or infinite somewhere on a line.
    #[error("the loss is not finite on {lines} of the lines; take a shorter interval")]
    NotFinite {
        /// Number of lines with such values.
        lines: usize,
    },
}

/// Why no trace can be fitted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CurvatureFitError {
    /// The loss could not be evaluated.
    #[error(transparent)]
    Risk(#[from] RiskError),
    /// The risk has no parameters.
    #[error("the risk has no parameters")]
    Empty,
    /// A parabola needs three points.
    #[error("{count} points on a line; a parabola needs at least 3")]
    Points {
        /// Points asked for.
        count: usize,
    },
    /// The interval is impossible.
    #[error(transparent)]
    Axis(#[from] AxisError),
    /// The change of the loss to aim for is not positive.
    #[error("a loss change of {found}; expected a finite number above 0")]
    LossChange {
        /// What was given.
        found: f64,
    },
    /// No interval gives a visible, finite change of the loss.
    #[error("no interval changes the loss by {loss_change} along the first lines; give the interval instead")]
    NoInterval {
        /// The change aimed for.
        loss_change: f64,
    },
}

/// Estimates tr H at `theta` from values of the loss along `options.probes` random lines.
///
/// `on_progress` is told how many lines are done and may stop; the lines so far are then used. Results have the same
/// bits on any number of threads.
///
/// # Errors
/// θ of the wrong length, fewer than three points, an impossible interval.
pub fn fit_trace(
    risk: &dyn Risk,
    theta: &[f64],
    options: &CurvatureFitOptions,
    on_progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<CurvatureFit, CurvatureFitError> {
    continue_fit_trace(risk, theta, options, None, on_progress)
}

/// [`fit_trace`] going on from the lines of an earlier fit of the same θ, seed and interval. The result is bitwise that of
/// one fit of all lines.
///
/// # Errors
/// As [`fit_trace`].
pub fn continue_fit_trace(
    risk: &dyn Risk,
    theta: &[f64],
    options: &CurvatureFitOptions,
    finished: Option<CurvatureFit>,
    on_progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<CurvatureFit, CurvatureFitError> {
    check_theta(risk, theta)?;
    let n = theta.len();
    if n == 0 {
        return Err(CurvatureFitError::Empty);
    }
    // The interval is chosen from the first lines: with fewer lines than those it may be another.
    let finished = finished.filter(|f| f.lines.len() >= INTERVAL_LINES.min(options.probes));
    let (axis, spent) = match (&finished, options.interval) {
        (Some(before), _) => (before.axis, before.interval_evaluations),
        (None, wanted) => choose_axis(risk, theta, options, wanted)?,
    };
    if axis.count() < 3 {
        return Err(CurvatureFitError::Points { count: axis.count() });
    }
    let alphas = axis.values();
    let fit = QuadraticFit::new(&alphas);
    let mut fits: Vec<LineFit> = finished.map_or_else(Vec::new, |f| f.lines);
    fits.truncate(options.probes);
    let done = fits.len();
    let line = |(eta, moved): &mut (Vec<f64>, Vec<f64>), probe: usize| {
        random::fill_probe(options.seed, (done + probe) as u64, eta);
        let losses = alphas
            .iter()
            .map(|&alpha| {
                moved.copy_from_slice(theta);
                add_scaled(moved, alpha, eta);
                Ok(risk.evaluate(moved)?.loss)
            })
            .collect::<Result<Vec<f64>, RiskError>>()?;
        Ok(fit.apply(&losses))
    };
    let mut failure: Option<RiskError> = None;
    in_batches(
        options.probes - done,
        options.threading,
        || (vec![0.0; n], vec![0.0; n]),
        line,
        &mut |batch| {
            for result in batch {
                match result {
                    Ok(one) => fits.push(one),
                    Err(error) => {
                        failure = Some(error);
                        return ControlFlow::Break(());
                    }
                }
            }
            on_progress(fits.len())
        },
    );
    if let Some(error) = failure {
        return Err(error.into());
    }
    Ok(summarize(fits, axis, spent, options.tolerance))
}

fn choose_axis(
    risk: &dyn Risk,
    theta: &[f64],
    options: &CurvatureFitOptions,
    interval: FitInterval,
) -> Result<(Axis, usize), CurvatureFitError> {
    match interval {
        FitInterval::Points { lo, hi, count } => Ok((Axis::new(lo, hi, count)?, 0)),
        FitInterval::FromCurvature { loss_change, count } => {
            let (half_width, spent) = interval::half_width(risk, theta, options, loss_change)?;
            Ok((Axis::symmetric(half_width, count)?, spent))
        }
    }
}

impl CurvatureFit {
    /// What the first `lines` lines alone say.
    #[must_use]
    pub fn first(mut self, lines: usize) -> Self {
        self.lines.truncate(lines);
        summarize(self.lines, self.axis, self.interval_evaluations, self.tolerance)
    }
}

fn summarize(fits: Vec<LineFit>, axis: Axis, interval_evaluations: usize, tolerance: f64) -> CurvatureFit {
    let per_probe: Vec<f64> = fits.iter().map(|fit| fit.curvature).collect();
    let energy = |part: fn(&LineFit) -> f64| fits.iter().map(part).sum::<f64>();
    let quadratic = energy(|fit| fit.quadratic_energy);
    let amplitude = |part: f64| if part == 0.0 { 0.0 } else { (part / quadratic).sqrt() };
    let content = FitContent {
        cubic: amplitude(energy(|fit| fit.cubic_energy)),
        quartic: amplitude(energy(|fit| fit.quartic_energy)),
        residual: amplitude(energy(|fit| fit.residual_energy)),
    };
    let broken = per_probe.iter().filter(|curvature| !curvature.is_finite()).count();
    let warning = if broken > 0 {
        Some(FitWarning::NotFinite { lines: broken })
    } else if content.residual > tolerance {
        Some(FitWarning::NotQuadratic { lo: axis.lo(), hi: axis.hi(), content })
    } else {
        None
    };
    CurvatureFit {
        trace: Estimate::from_samples(&per_probe),
        fit_errors: fits.iter().map(|fit| fit.std_error).collect(),
        per_probe,
        axis,
        evaluations: interval_evaluations + fits.len() * axis.count(),
        content,
        warning,
        lines: fits,
        interval_evaluations,
        tolerance,
    }
}

#[cfg(test)]
mod tests;
