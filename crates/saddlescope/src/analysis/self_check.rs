//! What the tool checks about itself on the user's own model, and what a product costs.

use std::time::Instant;

use saddlescope_krylov::Stream;
use saddlescope_nn::Dtype;
use saddlescope_nn::risk::Curvature;

use super::error::AnalysisError;
use super::options::AnalysisOptions;
use super::results::{Cost, SelfCheck};
use super::subject::Subject;
use crate::empirical_risk::NearPoint;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn unit(n: usize, seed: u64, label: &str) -> Vec<f64> {
    let mut v = vec![0.0; n];
    Stream::new(seed, label, 0).fill_normal(&mut v);
    let norm = dot(&v, &v).sqrt();
    v.iter_mut().for_each(|x| *x /= norm);
    v
}

/// Checks symmetry, repeatability and the product against a central difference of gradients, and times a product.
///
/// The finite difference is only as good as the number type: gradients carry a relative error of a few hundred ε, the
/// step h leaves ε·‖∇L‖/(h‖Hv‖) and h²; kinks (ReLU) add to that. In f64 1e-4 is allowed, in f32 0.1: enough to catch
/// a wrong derivative, which is off by a factor.
///
/// # Errors
/// If products are not finite while the loss is, or if the check fails.
pub fn self_check(
    subject: &Subject,
    near: &NearPoint<'_>,
    seed: u64,
) -> Result<(SelfCheck, f64), AnalysisError> {
    let theta = subject.theta();
    let n = theta.len();
    let (u, v) = (unit(n, seed, "self-check-u"), unit(n, seed, "self-check-v"));
    let (mut hu, mut hv, mut again) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    near.product(Curvature::Hessian, &u, &mut hu)?;
    near.product(Curvature::Hessian, &v, &mut hv)?;
    let start = Instant::now();
    near.product(Curvature::Hessian, &v, &mut again)?;
    let product_seconds = start.elapsed().as_secs_f64();
    let mut warnings = Vec::new();
    if hv.iter().any(|x| !x.is_finite()) {
        return Err(AnalysisError::SelfCheck(
            "a Hessian-vector product is not finite: look for NaN or overflow in the parameters, the data or the loss".into(),
        ));
    }
    let (first, second) = (subject.risk.evaluate(theta), subject.risk.evaluate(theta));
    let repeatable = first == second && hv == again;
    let norm = dot(&hv, &hv).sqrt();
    let asymmetry = (dot(&u, &hv) - dot(&v, &hu)).abs() / norm.max(f64::MIN_POSITIVE);
    let (eps, allowed) = match subject.risk.dtype() {
        Dtype::F32 => (f64::from(f32::EPSILON), 0.1),
        Dtype::F64 => (f64::EPSILON, 1e-4),
    };
    let mut gradient = vec![0.0; n];
    subject.risk.gradient(theta, &mut gradient);
    // Balances rounding ε·‖g‖/h against truncation: h of the order of the cube root of ε times the size of θ.
    let size = dot(theta, theta).sqrt().max(1.0);
    let mut error = f64::INFINITY;
    // Large networks in f32 need far longer steps than small ones: the best of several counts.
    for factor in [1.0, 30.0, 1000.0] {
        let h = factor * eps.cbrt() * 0.1 * size / (n as f64).sqrt().max(1.0);
        let (mut plus, mut minus) = (vec![0.0; n], vec![0.0; n]);
        let moved = |s: f64| -> Vec<f64> { theta.iter().zip(&v).map(|(t, v)| t + s * h * v).collect() };
        subject.risk.gradient(&moved(1.0), &mut plus);
        subject.risk.gradient(&moved(-1.0), &mut minus);
        let difference: f64 =
            (plus.iter().zip(&minus).zip(&hv)).map(|((p, m), hv)| ((p - m) / (2.0 * h) - hv).powi(2)).sum();
        error = error.min(difference.sqrt() / norm.max(f64::MIN_POSITIVE));
    }
    if !repeatable {
        return Err(AnalysisError::SelfCheck("two evaluations at the same point gave different bits".into()));
    }
    if asymmetry > 1e3 * eps {
        warnings.push(format!("products are symmetric only to {asymmetry:.1e}; eigenvalues below that share of ‖H‖ are not to be trusted"));
    }
    if error.is_nan() || error > allowed {
        warnings.push(format!(
            "the product differs from a finite difference of gradients by {error:.1e} (allowed {allowed:.0e}): a kink or strong curvature nearby, or a loss too flat for {}; --dtype f64 tells",
            subject.risk.dtype()
        ));
    }
    let check = SelfCheck {
        finite_difference_error: error,
        finite_difference_allowed: allowed,
        asymmetry,
        repeatable,
        warnings,
    };
    Ok((check, product_seconds))
}

/// What the analysis will cost, from one product and one evaluation.
pub fn cost(subject: &Subject, options: &AnalysisOptions, product_seconds: f64) -> Cost {
    let start = Instant::now();
    subject.slice_risk().evaluate(subject.theta());
    let evaluation_seconds = start.elapsed().as_secs_f64();
    let n = subject.theta().len();
    let pairs = options.largest + options.smallest;
    // A plain run needs about 45 products for one pair at each end, and some ten more for every further pair.
    let eigen = 35 + 10 * pairs;
    let split = if options.split { 40 } else { 0 };
    let products = eigen
        + pairs
        + options.probes
        + options.density_probes * options.density_steps
        + split
        + 2 * options.filtered_planes;
    let surfaces = if options.grid > 0 { 3 + 2 * usize::from(subject.other.is_some()) } else { 0 };
    let both = 1 + usize::from(subject.other.is_some());
    let evaluations = surfaces * options.grid * options.grid
        + 3 * both * options.cut_points
        + options.probes * options.fit_points
        + if options.escape { 40 } else { 0 };
    let memory = subject.risk.memory(4);
    let element = subject.risk.dtype().size();
    let basis = (eigen + 8).min(128) * n * element;
    Cost {
        product_seconds,
        evaluation_seconds,
        products,
        evaluations,
        seconds: products as f64 * product_seconds + evaluations as f64 * evaluation_seconds,
        bytes: memory.shared + subject.risk.threads() * memory.per_thread + basis + 8 * n * (2 * pairs + 8),
    }
}
