//! What the tool checks about itself on the user's own model, and what a product costs.

use std::time::Instant;

use crate::risk::Curvature;
use saddlescope_krylov::Precision;
use saddlescope_krylov::Stream;

use super::error::AnalysisError;
use super::escape::moved;
use super::options::AnalysisOptions;
use super::results::{Cost, SelfCheck};
use super::slice_request::SliceRequest;
use super::subject::Subject;
use crate::numeric::{dot, norm};
use crate::risk::{Point, Risk, RiskError};

/// Samples that the derivative check is made on: in f64 even a large network does them in a second.
const CHECKED_SAMPLES: usize = 16;
/// Largest relative difference allowed between product and central difference, both in f64: truncation and rounding
/// leave 1e-6 or less at the best step, a wrong derivative is off by a factor.
const ALLOWED: f64 = 1e-4;
/// Largest relative difference allowed between a product in f32 and the same in f64. Rounding of 1e-7 is amplified by
/// some hundred layers and by cancellation; beyond 1e-2 eigenvalues would be wrong in their second digit.
const ALLOWED_ROUNDING: f64 = 1e-2;

/// A random direction of length 1; `relative`: every entry scaled by the parameter's size, so that parameters that are
/// zero stay zero and units that are off stay off.
fn direction(theta: &[f64], seed: u64, label: &str, relative: bool) -> Vec<f64> {
    let mut v = vec![0.0; theta.len()];
    Stream::new(seed, label, 0).fill_normal(&mut v);
    if relative {
        v.iter_mut().zip(theta).for_each(|(v, t)| *v *= t.abs());
    }
    let length = norm(&v).max(f64::MIN_POSITIVE);
    v.iter_mut().for_each(|x| *x /= length);
    v
}

/// A product beside central differences of gradients along the same direction.
struct Difference {
    /// H v.
    hv: Vec<f64>,
    /// Smallest relative error over the steps tried.
    error: f64,
    /// The longest step with an error of at most [`ALLOWED`].
    smooth_step: Option<f64>,
}

/// Compares H v with (∇L(θ + hv) − ∇L(θ − hv)) / 2h for steps h from 1e-2 down to 1e-11 of max(1, ‖θ‖), up to
/// the first that agrees.
///
/// The difference is only as good as its step: long ones cross kinks of ReLU (in networks with channels that weight
/// decay has emptied, from 1e-7 on), short ones drown in rounding, ε‖∇L‖/(h‖Hv‖).
fn difference(
    risk: &dyn Risk,
    theta: &[f64],
    v: &[f64],
    curvature: Curvature,
) -> Result<Difference, AnalysisError> {
    let n = theta.len();
    let mut hv = vec![0.0; n];
    risk.at(theta, 0)?.product(curvature, v, &mut hv)?;
    let length = norm(&hv).max(f64::MIN_POSITIVE);
    let size = norm(theta).max(1.0);
    let (mut plus, mut minus) = (vec![0.0; n], vec![0.0; n]);
    let (mut best, mut smooth_step) = (f64::INFINITY, None);
    for exponent in 2..=11 {
        let h = size * 10_f64.powi(-exponent);
        risk.gradient(&moved(theta, h, v), &mut plus)?;
        risk.gradient(&moved(theta, -h, v), &mut minus)?;
        let squares = plus.iter().zip(&minus).zip(&hv).map(|((p, m), hv)| ((p - m) / (2.0 * h) - hv).powi(2));
        let error = squares.sum::<f64>().sqrt() / length;
        best = best.min(error);
        if error <= ALLOWED {
            smooth_step = Some(h);
            break;
        }
    }
    Ok(Difference { hv, error: best, smooth_step })
}

/// Checks symmetry, repeatability, and the product against a central difference of gradients, and times a product.
///
/// The finite difference is taken in f64 on the first samples; a product in f32 is then compared with the one in f64.
///
/// # Errors
/// If products are not finite, two evaluations differ, or the product is not the derivative of the gradient.
pub fn self_check(
    subject: &Subject<'_>,
    near: &dyn Point,
    seed: u64,
) -> Result<(SelfCheck, f64), AnalysisError> {
    let theta = subject.theta();
    let n = theta.len();
    let precision = subject.risk().offers().precision;
    let u = direction(theta, seed, "self-check-u", false);
    let v = direction(theta, seed, "self-check-v", false);
    let (mut hu, mut hv, mut again) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    near.product(Curvature::Hessian, &u, &mut hu)?;
    near.product(Curvature::Hessian, &v, &mut hv)?;
    let start = Instant::now();
    near.product(Curvature::Hessian, &v, &mut again)?;
    let product_seconds = start.elapsed().as_secs_f64();
    if hv.iter().any(|x| !x.is_finite()) {
        return Err(AnalysisError::SelfCheck(
            "a Hessian-vector product is not finite: look for NaN or overflow in the parameters, the data or the loss".into(),
        ));
    }
    let (first, second) = (subject.risk().evaluate(theta)?, subject.risk().evaluate(theta)?);
    let repeatable = first == second && hv == again;
    if !repeatable {
        return Err(AnalysisError::SelfCheck("two evaluations at the same point gave different bits".into()));
    }
    let asymmetry = (dot(&u, &hv) - dot(&v, &hu)).abs() / norm(&hv).max(f64::MIN_POSITIVE);
    let eps = match precision {
        Precision::F32 => f64::from(f32::EPSILON),
        Precision::F64 => f64::EPSILON,
    };
    let mut warnings = Vec::new();
    if asymmetry > 1e3 * eps {
        warnings.push(format!(
            "products are symmetric only to {asymmetry:.1e}; eigenvalues below that share of ‖H‖ are not to be trusted"
        ));
    }

    let own = subject.risk().first_samples(CHECKED_SAMPLES, Precision::F64)?;
    let few = own.as_deref().unwrap_or(subject.risk());
    let mut found = difference(few, theta, &v, Curvature::Hessian)?;
    let rounding_error = match subject.risk().first_samples(CHECKED_SAMPLES, Precision::F32)? {
        Some(single) if precision == Precision::F32 => {
            single.at(theta, 0)?.product(Curvature::Hessian, &v, &mut again)?;
            Some(relative_distance(&again, &found.hv))
        }
        _ => None,
    };
    if found.error.is_nan() || found.error > ALLOWED {
        // A unit exactly at its kink (a filter of zeros, say) makes the gradient jump at any step; along a direction
        // that leaves zeros alone it does not.
        let kept = difference(few, theta, &direction(theta, seed, "self-check-v", true), Curvature::Hessian)?;
        if kept.error.is_nan() || kept.error > ALLOWED {
            return Err(AnalysisError::SelfCheck(format!(
                "the product differs from a finite difference of gradients by {:.1e} (allowed {ALLOWED:.0e}), also where zeros stay zero ({:.1e})",
                found.error, kept.error
            )));
        }
        warnings.push(format!(
            "the gradient jumps at this very point ({:.1e} away from the product along a random direction, {:.1e} along one that leaves zeros alone): units sit exactly at their kink, and the Hessian holds only on their side of it",
            found.error, kept.error
        ));
        found = kept;
    }
    if let Some(error) = rounding_error.filter(|e| e.is_nan() || *e > ALLOWED_ROUNDING) {
        warnings.push(format!(
            "a product in f32 differs from the same in f64 by {error:.1e}: use --dtype f64 for eigenvalues below that share of ‖H‖"
        ));
    }
    let check = SelfCheck {
        finite_difference_error: found.error,
        finite_difference_allowed: ALLOWED,
        finite_difference_samples: few.samples(),
        smooth_step: found.smooth_step,
        rounding_error,
        asymmetry,
        repeatable,
        warnings,
    };
    Ok((check, product_seconds))
}

impl SelfCheck {
    /// What was checked and found, in one sentence.
    pub fn sentence(&self) -> String {
        let smooth = self
            .smooth_step
            .map_or(String::new(), |h| format!("; along it the gradient is smooth up to a step of {h:.0e}"));
        let rounding = self
            .rounding_error
            .map_or(String::new(), |e| format!("; a product in f32 is within {e:.1e} of the same in f64"));
        format!(
            "Along a random direction the product is within {:.1e} of a central difference of gradients (f64, {} samples; allowed {:.0e}){smooth}{rounding}; asymmetry {:.1e}; repeated evaluations gave the same bits.",
            self.finite_difference_error,
            self.finite_difference_samples,
            self.finite_difference_allowed,
            self.asymmetry
        )
    }
}

/// ‖a − b‖ / ‖b‖.
fn relative_distance(a: &[f64], b: &[f64]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    squares.sqrt() / norm(b).max(f64::MIN_POSITIVE)
}

/// What the analysis will cost, from one product and one evaluation.
pub fn cost(
    subject: &Subject<'_>,
    options: &AnalysisOptions,
    product_seconds: f64,
    bytes: usize,
) -> Result<Cost, RiskError> {
    let start = Instant::now();
    subject.slice_split().risk.evaluate(subject.theta())?;
    let evaluation_seconds = start.elapsed().as_secs_f64();
    let pairs = options.largest + options.smallest;
    // A plain run needs about 45 products for one pair at each end, and some ten more for every further pair.
    let eigen = if pairs > 0 { 35 + 10 * pairs } else { 0 };
    let split = if options.split { 40 } else { 0 };
    let products = eigen
        + pairs
        + options.probes
        + options.density_probes * options.density_steps
        + split
        + 2 * options.filtered_planes;
    let both = 1 + usize::from(subject.other.is_some());
    let drawn: usize = if options.slices.is_empty() {
        // Two planes on both splits and the zoomed one.
        (1 + 2 * both) * options.grid * options.grid + 3 * both * options.cut_points
    } else {
        let points = |s: &SliceRequest| -> usize {
            s.axes.iter().map(|a| a.map_or(options.grid, |a| a.count())).product()
        };
        both * options.slices.iter().map(points).sum::<usize>()
    };
    let evaluations = drawn + options.probes * options.fit_points + if options.escape { 40 } else { 0 };
    Ok(Cost {
        product_seconds,
        evaluation_seconds,
        products,
        evaluations,
        seconds: products as f64 * product_seconds + evaluations as f64 * evaluation_seconds,
        bytes,
    })
}
