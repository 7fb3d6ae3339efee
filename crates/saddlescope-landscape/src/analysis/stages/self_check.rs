//! What the tool checks about itself on the user's own model, and what a product costs.

use std::time::Instant;

use saddlescope_krylov::{Precision, Stream};

use super::super::error::AnalysisError;
use super::super::found::{Checked, Found};
use super::super::plan::Forecast;
use super::super::results::SelfCheck;
use super::super::stage::{At, Env, Keys, Samples, Stage, of};
use super::super::store::{Dependencies, Slot};
use super::super::subject::Subject;
use super::escape::moved;
use crate::number_text::scientific;
use crate::numeric::{dot, norm};
use crate::risk::{Curvature, Risk, RiskError};

/// Samples that the derivative check is made on. Each adds its own branches (units off, maxima elsewhere) and as much time;
/// with 16 the check took a quarter of a whole solve of BERT.
const CHECKED_SAMPLES: usize = 4;
/// The samples that it is made on where the gradients of four would take more than [`CHECKED_BYTES`], which is from 8 million
/// parameters on.
const FEWEST_SAMPLES: usize = 2;
const CHECKED_BYTES: usize = 256 << 20;
/// Largest relative difference allowed between product and central difference, both in f64: truncation and rounding
/// leave 1e-6 or less at the best step, a wrong derivative is off by a factor.
pub const ALLOWED: f64 = 1e-4;
/// Largest relative difference allowed between a product in f32 and the same in f64. Rounding of 1e-7 is amplified by
/// some hundred layers and by cancellation; beyond 1e-2 eigenvalues would be wrong in their second digit.
const ALLOWED_ROUNDING: f64 = 1e-2;

/// Samples that the derivative of a risk of N parameters is checked on.
fn checked_samples(n: usize) -> usize {
    if CHECKED_SAMPLES.saturating_mul(8 * n) > CHECKED_BYTES { FEWEST_SAMPLES } else { CHECKED_SAMPLES }
}

/// What the check of the derivative takes.
pub(crate) struct CheckMemory {
    /// Bytes: the data, the engine in double precision on its samples, θ, v and Hv, and a moved point with two gradients; at kinks another direction or
    /// point.
    pub bytes: usize,
    /// Bytes of its samples of each input that stays in its files, as in [`MemoryEstimate::in_files`](crate::MemoryEstimate).
    pub in_files: Vec<usize>,
}

/// What the check of the derivative takes.
pub(crate) fn memory(subject: &Subject<'_>) -> CheckMemory {
    let n = subject.theta().len();
    let risk = subject.risk();
    let data = risk.memory(0).data;
    let few = risk.first_samples(checked_samples(n), Precision::F64).ok().flatten();
    let few = few.as_deref().unwrap_or(risk).memory(1);
    CheckMemory { bytes: data + few.fixed + 8 * n * 7, in_files: few.in_files }
}

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
#[derive(Clone, Debug)]
pub struct Difference {
    /// H v.
    pub hv: Vec<f64>,
    /// Smallest relative error over the steps tried.
    pub error: f64,
    /// The longest step with an error of at most [`ALLOWED`].
    pub smooth_step: Option<f64>,
}

impl Difference {
    /// Whether the product agrees with the difference at one of the steps.
    fn agrees(&self) -> bool {
        self.smooth_step.is_some()
    }
}

/// Steps of the differences, as powers of ten of max(1, ‖θ‖).
const EXPONENTS: std::ops::RangeInclusive<i32> = 2..=11;
/// Steps that are tried before the shortest one decides whether the others are worth trying.
const BEFORE_SHORTEST: i32 = 3;

/// Compares H v with (∇L(θ + hv) − ∇L(θ − hv)) / 2h for steps h from 1e-2 down to 1e-11 of max(1, ‖θ‖), up to
/// the first that agrees.
///
/// The difference is only as good as its step: long ones cross kinks of ReLU (in networks with channels that weight
/// decay has emptied, from 1e-7 on), short ones drown in rounding, ε‖∇L‖/(h‖Hv‖). Where units sit exactly at a kink, the gradient
/// jumps at θ itself and no step agrees: such a jump is what the difference at the shortest step consists of, and the steps
/// between are left out where it would be too much in all of them.
///
/// # Errors
/// A risk that fails.
pub fn product_against_difference(
    risk: &dyn Risk,
    theta: &[f64],
    v: &[f64],
    curvature: Curvature,
) -> Result<Difference, RiskError> {
    let n = theta.len();
    let mut hv = vec![0.0; n];
    risk.at(theta, 0)?.product(curvature, v, &mut hv)?;
    let length = norm(&hv).max(f64::MIN_POSITIVE);
    let size = norm(theta).max(1.0);
    let step = |exponent: i32| size * 10_f64.powi(-exponent);
    let (mut plus, mut minus) = (vec![0.0; n], vec![0.0; n]);
    let mut error = |h: f64| -> Result<f64, RiskError> {
        risk.gradient(&moved(theta, h, v), &mut plus)?;
        risk.gradient(&moved(theta, -h, v), &mut minus)?;
        let squares = plus.iter().zip(&minus).zip(&hv).map(|((p, m), hv)| ((p - m) / (2.0 * h) - hv).powi(2));
        Ok(squares.sum::<f64>().sqrt() / length)
    };
    let (mut best, mut smooth_step) = (f64::INFINITY, None);
    for exponent in EXPONENTS {
        let h = step(exponent);
        if exponent == EXPONENTS.start() + BEFORE_SHORTEST {
            // A jump (or rounding) of this size weighs less in a longer step, and least in the longest that is left.
            let shortest = step(*EXPONENTS.end());
            if error(shortest)? * shortest / h > ALLOWED {
                break;
            }
        }
        let error = error(h)?;
        best = best.min(error);
        if error <= ALLOWED {
            smooth_step = Some(h);
            break;
        }
    }
    Ok(Difference { hv, error: best, smooth_step })
}

/// Checks symmetry, repeatability, and the product against a central difference of gradients, and times product and
/// evaluation.
///
/// The finite difference is taken in f64 on the first samples where the engine can do that; a product in f32 is then
/// compared with the one in f64.
pub(crate) struct SelfCheckStage;

fn failed(text: impl Into<String>) -> AnalysisError {
    AnalysisError::SelfCheck(text.into())
}

/// A product that is not finite is an error; the data are searched for the reason.
fn finite(at: &At<'_, '_>, hv: &[f64]) -> Result<(), AnalysisError> {
    if hv.iter().all(|x| x.is_finite()) {
        Ok(())
    } else {
        Err(not_finite(at, "a Hessian-vector product is not finite"))
    }
}

/// So is a loss that is not a number.
pub(super) fn a_number(at: &At<'_, '_>, loss: f64) -> Result<(), AnalysisError> {
    if loss.is_nan() { Err(not_finite(at, "the loss is not a number")) } else { Ok(()) }
}

fn not_finite(at: &At<'_, '_>, what: &str) -> AnalysisError {
    match at.env.subject.risk().not_finite_in_data() {
        Err(error) => error.into(),
        Ok(Some(place)) => failed(format!("{what}: in the data, {place}")),
        Ok(None) => failed(format!(
            "{what}: look for NaN or overflow in the parameters, the data or the loss, and for indices in the data beyond the end of \
             a table (token ids)"
        )),
    }
}

/// Symmetry of the products, and whether a repeated product is bitwise identical; seconds of a product.
struct Products {
    asymmetry: f64,
    same: bool,
    seconds: f64,
}

fn products(at: &At<'_, '_>, v: &[f64]) -> Result<Products, AnalysisError> {
    let (theta, seed) = (at.env.subject.theta(), at.env.selection.seed);
    let n = theta.len();
    let u = direction(theta, seed, "self-check-u", false);
    let (mut hu, mut hv, mut again) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    at.env.product(Curvature::Hessian, &u, &mut hu)?;
    at.env.product(Curvature::Hessian, v, &mut hv)?;
    let start = Instant::now();
    at.env.product(Curvature::Hessian, v, &mut again)?;
    let seconds = start.elapsed().as_secs_f64();
    finite(at, &hv)?;
    let asymmetry = (dot(&u, &hv) - dot(v, &hu)).abs() / norm(&hv).max(f64::MIN_POSITIVE);
    Ok(Products { asymmetry, same: hv == again, seconds })
}

impl Stage for SelfCheckStage {
    type Output = Checked;

    fn name(&self) -> String {
        "self-check".into()
    }

    fn title(&self) -> String {
        "self-check on this model".into()
    }

    fn dependencies(&self, keys: &Keys) -> Dependencies {
        of([("slices", keys.slices.clone())])
    }

    fn forecast(&self, env: &Env<'_>) -> Forecast {
        // Beside these: two products and usually one to four pairs of gradients (three losses each) on a few samples, in f64, which takes
        // twice as long.
        let share = |of: &dyn Risk, count: usize| {
            (2 * count * checked_samples(of.dim()).min(of.samples())).div_ceil(of.samples().max(1))
        };
        Forecast {
            products: 3 + share(env.subject.risk(), 2),
            evaluations: 3 + share(env.subject.slice_split().risk, 3 * 2 * 4),
        }
    }

    fn compute(&self, at: &mut At<'_, '_>, _: Option<Checked>) -> Result<Checked, AnalysisError> {
        let subject = at.env.subject;
        let (theta, offers) = (subject.theta(), subject.risk().offers());
        let slices = subject.slice_split().risk;
        let first = at.env.here(Samples::Slices)?;
        a_number(at, first.loss)?;
        let start = Instant::now();
        let second = at.env.evaluate(slices, theta)?;
        let evaluation_seconds = start.elapsed().as_secs_f64();
        let mut check = SelfCheck {
            // NaN is the same as NaN here.
            repeatable: first.loss.to_bits() == second.loss.to_bits() && first.correct == second.correct,
            ..SelfCheck::default()
        };
        let mut product_seconds = 0.0;
        if offers.product(Curvature::Hessian) {
            let v = direction(theta, at.env.selection.seed, "self-check-v", false);
            // First, so that the memory of the engine in double precision is free again when all samples are multiplied.
            if offers.gradient {
                derivative(at, &v, &mut check)?;
            }
            let products = products(at, &v)?;
            product_seconds = products.seconds;
            check.repeatable &= products.same;
            check.asymmetry = Some(products.asymmetry);
            let allowed = 1e3 * offers.precision.epsilon();
            if products.asymmetry > allowed {
                check.warnings.push(format!(
                    "products are symmetric only to {}; eigenvalues below that share of ‖H‖ are not to be trusted",
                    scientific(products.asymmetry, 1)
                ));
            }
        }
        if offers.repeatable && !check.repeatable {
            return Err(failed("two evaluations at the same point gave different bits"));
        }
        at.monitor.end(&check.sentence());
        Ok(Checked { check, product_seconds, evaluation_seconds })
    }

    fn file(&self, output: Checked, _slot: &Slot, found: &mut Found) -> Result<(), AnalysisError> {
        found.self_check = Some(output);
        Ok(())
    }
}

/// How far aside of a point at whose kinks nothing can be compared, in units of max(1, ‖θ‖): far enough to leave them, near enough
/// to be the same network.
const ASIDE: f64 = 1e-4;

/// Where the product along v does not agree with differences of gradients: whether this is so because units sit exactly at their kink, where
/// the gradient jumps. `error`: how far they are apart. Returns the error and the smooth step elsewhere, and a warning.
///
/// # Errors
/// A risk that fails, and a product that is wrong elsewhere too.
fn at_kinks(
    risk: &dyn Risk,
    theta: &[f64],
    seed: u64,
    v: &[f64],
    error: f64,
) -> Result<(f64, Option<f64>, String), AnalysisError> {
    let jump = |elsewhere: String| {
        format!(
            "the gradient jumps at this very point ({} away from the product along a random direction, {elsewhere}): units sit exactly at their kink, and the Hessian holds only on their side of it",
            scientific(error, 1)
        )
    };
    // A unit exactly at its kink (a filter of zeros, say) makes the gradient jump at any step; along a direction that leaves zeros
    // alone it does not.
    let relative = direction(theta, seed, "self-check-v", true);
    let kept = product_against_difference(risk, theta, &relative, Curvature::Hessian)?;
    if kept.agrees() {
        let elsewhere = format!("{} along one that leaves zeros alone", scientific(kept.error, 1));
        return Ok((kept.error, kept.smooth_step, jump(elsewhere)));
    }
    let text = format!(
        "the product differs from a finite difference of gradients by {} (allowed {}), also where zeros stay zero ({})",
        scientific(error, 1),
        scientific(ALLOWED, 0),
        scientific(kept.error, 1)
    );
    // The memory of these vectors is for those of the next difference.
    drop((relative, kept));
    if risk.offers().precision == Precision::F32 {
        // No step is both longer than rounding needs and shorter than the distance to the next kink.
        return Ok((error, None, format!("{text}; in f32 this need not mean that products are wrong")));
    }
    // Kinks of other kinds (two equal branches of a maximum) are left by a step aside, where a wrong product stays wrong.
    let step = ASIDE * norm(theta).max(1.0);
    let point = moved(theta, step, &direction(theta, seed, "self-check-aside", false));
    let near = product_against_difference(risk, &point, v, Curvature::Hessian)?;
    let (aside, number) = (scientific(ASIDE, 0), scientific(near.error, 1));
    if near.agrees() {
        return Ok((near.error, None, jump(format!("{number} a step of {aside} aside"))));
    }
    Err(failed(format!("{text}, and a step of {aside} aside ({number})")))
}

/// The product along v against differences of gradients, in f64 on the first samples where that is offered.
fn derivative(at: &At<'_, '_>, v: &[f64], check: &mut SelfCheck) -> Result<(), AnalysisError> {
    let (risk, theta, seed) = (at.env.subject.risk(), at.env.subject.theta(), at.env.selection.seed);
    let precision = risk.offers().precision;
    let samples = checked_samples(theta.len());
    let own = risk.first_samples(samples, Precision::F64)?;
    let few = own.as_deref().unwrap_or(risk);
    let in_f64 = few.offers().precision == Precision::F64;
    check.finite_difference_samples = few.samples();
    let found = product_against_difference(few, theta, v, Curvature::Hessian)?;
    finite(at, &found.hv)?;
    let agrees = found.agrees();
    let Difference { mut hv, mut error, mut smooth_step } = found;
    if !agrees {
        // Its memory is for the vectors of the next differences.
        hv = Vec::new();
        let warning;
        (error, smooth_step, warning) = at_kinks(few, theta, seed, v, error)?;
        check.warnings.push(warning);
        hv.resize(theta.len(), 0.0);
        few.at(theta, 0)?.product(Curvature::Hessian, v, &mut hv)?;
    }
    // What the engine in double precision needs is given back before the one in single precision begins.
    drop(own);
    let single = match precision {
        Precision::F32 if in_f64 => risk.first_samples(samples, Precision::F32)?,
        _ => None,
    };
    if let Some(single) = single {
        let mut product = vec![0.0; theta.len()];
        single.at(theta, 0)?.product(Curvature::Hessian, v, &mut product)?;
        check.rounding_error = Some(relative_distance(&product, &hv));
    }
    if let Some(error) = check.rounding_error.filter(|e| e.is_nan() || *e > ALLOWED_ROUNDING) {
        check.warnings.push(format!(
            "a product in f32 differs from the same in f64 by {}: use f64 for eigenvalues below that share of ‖H‖",
            scientific(error, 1)
        ));
    }
    check.finite_difference_error = Some(error);
    check.finite_difference_allowed = ALLOWED;
    check.finite_difference_precision = if in_f64 { "f64" } else { "f32" }.into();
    check.smooth_step = smooth_step;
    Ok(())
}

impl SelfCheck {
    /// What was checked and found, in one sentence.
    pub fn sentence(&self) -> String {
        let mut parts = Vec::new();
        if let Some(error) = self.finite_difference_error {
            let smooth = self.smooth_step.map_or(String::new(), |h| {
                format!("; along it the gradient is smooth up to a step of {}", scientific(h, 0))
            });
            parts.push(format!(
                "along a random direction the product is within {} of a central difference of gradients ({}, {} samples; allowed {}){smooth}",
                scientific(error, 1),
                self.finite_difference_precision,
                self.finite_difference_samples,
                scientific(self.finite_difference_allowed, 0),
            ));
        }
        if let Some(error) = self.rounding_error {
            parts.push(format!("a product in f32 is within {} of the same in f64", scientific(error, 1)));
        }
        if let Some(asymmetry) = self.asymmetry {
            parts.push(format!("asymmetry {}", scientific(asymmetry, 1)));
        }
        parts.push(match self.repeatable {
            true => "repeated evaluations gave the same bits".into(),
            false => "repeated evaluations differ in their bits, as this engine says they may".into(),
        });
        let mut text = parts.join("; ");
        // The first letter is ASCII whatever was checked.
        if let Some(first) = text.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        text.push('.');
        text
    }
}

/// ‖a − b‖ / ‖b‖.
fn relative_distance(a: &[f64], b: &[f64]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    squares.sqrt() / norm(b).max(f64::MIN_POSITIVE)
}
