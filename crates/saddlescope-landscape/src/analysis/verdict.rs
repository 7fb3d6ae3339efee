//! The verdict: what is known about the point, in a few sentences that a supervisor understands.

use super::found::Eigenpairs;
use super::results::{
    Criticality, EigenResult, EigenpairResult, EscapeResult, HessianSigns, PlanesResult, TraceResult,
    largest, smallest,
};
use crate::number_text::{plus_minus, short, with_error};
use crate::numeric::dot;
use crate::reading::{CriticalKind, ExtremeCurvature, classify};

/// A point counts as critical if neither a gradient step nor a Newton step along an extreme eigenvector would change the
/// loss by more than this share of it, to second order.
pub const CRITICAL_SHARE: f64 = 1e-4;

/// The signs of the Hessian, from the extreme eigenvalues alone.
pub fn signs(pairs: &[EigenpairResult]) -> Option<HessianSigns> {
    let curvature = |p: &EigenpairResult| ExtremeCurvature {
        value: p.value,
        residual: p.residual + p.rounding,
        converged: p.converged,
    };
    let (top, bottom) = (largest(pairs).map(curvature)?, smallest(pairs).map(curvature)?);
    // Whatever exceeds its residual and rounding counts; the gradient is another question.
    Some(match classify(0.0, f64::INFINITY, Some(bottom), Some(top), 0.0).kind {
        CriticalKind::Saddle => HessianSigns::Indefinite,
        CriticalKind::Minimum => HessianSigns::Positive,
        CriticalKind::Maximum => HessianSigns::Negative,
        CriticalKind::Degenerate => HessianSigns::Degenerate,
        CriticalKind::Undecided => HessianSigns::Undecided,
    })
}

/// Whether an eigenvalue cannot be told from zero. Where the largest and the smallest one cannot, the Hessian is zero as far as
/// can be told.
pub(crate) fn vanishes(pair: &EigenpairResult) -> bool {
    pair.converged && pair.value.abs() <= pair.residual + pair.rounding
}

/// How far from critical the point is, in units of the loss. `rounding` is the relative rounding error of θ's number type.
pub(crate) fn criticality(
    loss: f64,
    (theta, rounding): (&[f64], f64),
    gradient: &[f64],
    eigenpairs: &Eigenpairs,
    escape: Option<&EscapeResult>,
) -> Option<Criticality> {
    let ends = [eigenpairs.largest(), eigenpairs.smallest()];
    let steepest = ends.iter().flatten().map(|(p, _)| p.value.abs()).fold(0.0, f64::max);
    if gradient.is_empty() || steepest == 0.0 || ends.iter().any(Option::is_none) {
        return None;
    }
    let step =
        |end: Option<(&EigenpairResult, &[f64])>| end.map_or(0.0, |(p, v)| -dot(gradient, v) / p.value);
    let newton_steps = ends.map(step);
    // ½ (gᵀv)²/|λ| = ½ |λ| step².
    let gain = |i: usize| 0.5 * ends[i].map_or(0.0, |(p, _)| p.value.abs()) * newton_steps[i].powi(2);
    let newton_changes = [gain(0), gain(1)];
    let gradient_change = dot(gradient, gradient) / (2.0 * steepest);
    // Where the loss is zero, no θ can be critical to better than ½ max|λ| ‖δθ‖², what rounding θ itself changes.
    let floor = 0.5 * steepest * rounding.powi(2) * dot(theta, theta);
    let allowed = (CRITICAL_SHARE * loss.abs()).max(floor);
    Some(Criticality {
        gradient_change,
        newton_steps,
        newton_changes,
        escape_distance: escape.map(|e| e.step.abs()),
        allowed,
        critical: newton_changes.iter().chain([&gradient_change]).all(|x| *x <= allowed),
    })
}

/// The kind of critical point; `None` where the point is not critical.
pub fn kind(signs: Option<HessianSigns>, criticality: Option<&Criticality>) -> Option<CriticalKind> {
    criticality.filter(|c| c.critical)?;
    Some(match signs? {
        HessianSigns::Indefinite => CriticalKind::Saddle,
        HessianSigns::Positive => CriticalKind::Minimum,
        HessianSigns::Negative => CriticalKind::Maximum,
        HessianSigns::Degenerate => CriticalKind::Degenerate,
        HessianSigns::Undecided => CriticalKind::Undecided,
    })
}

/// What the random slices would have said.
pub fn random_slice_sentence(planes: &PlanesResult, probability: Option<f64>, what: &str) -> String {
    let all = planes.curvatures.len();
    let seen = if planes.minima == all {
        format!("all {all} {what} looked like a minimum")
    } else if planes.saddles == 0 {
        format!("none of {all} {what} showed a saddle ({} looked like a minimum)", planes.minima)
    } else {
        format!("{} of {all} {what} showed a saddle, {} a minimum", planes.saddles, planes.minima)
    };
    match probability {
        // 0 or 1 of 20,000 draws: the upper end of the 95 % interval is 0.015 or 0.028 %.
        Some(p) if p < 1e-4 => format!("{seen}; the chance that one shows a saddle is below 0.03 %."),
        Some(p) => format!("{seen}; the chance that one shows a saddle is about {:.2} %.", 100.0 * p),
        None => format!("{seen}."),
    }
}

/// What the verdict is made from.
pub struct Findings<'a> {
    /// The eigenvalue stage.
    pub eigen: Option<&'a EigenResult>,
    /// Signs of the Hessian.
    pub signs: Option<HessianSigns>,
    /// L(θ).
    pub loss: f64,
    /// ‖∇L‖, where it is known.
    pub gradient_norm: Option<f64>,
    /// How far from critical.
    pub criticality: Option<&'a Criticality>,
    /// Trace estimates.
    pub trace: Option<&'a TraceResult>,
    /// What random planes showed, and the chance that one shows a saddle.
    pub planes: Option<(&'a PlanesResult, Option<f64>)>,
}

/// The verdict in sentences.
pub fn sentences(found: &Findings<'_>) -> Vec<String> {
    let mut out = Vec::new();
    let pairs = found.eigen.map_or(&[][..], |e| &e.pairs);
    let (top, bottom) = (largest(pairs), smallest(pairs));
    if let (Some(eigen), Some(signs), Some(top), Some(bottom)) = (found.eigen, found.signs, top, bottom) {
        let numbers = format!(
            "λ_max = {}, λ_min = {} (true residuals and rounding)",
            plus_minus(top.value, top.residual + top.rounding),
            plus_minus(bottom.value, bottom.residual + bottom.rounding)
        );
        out.push(match signs {
            HessianSigns::Indefinite => {
                format!("The Hessian is indefinite here: {numbers}; each interval excludes zero.")
            }
            HessianSigns::Positive => {
                format!("The Hessian is positive definite here: its smallest eigenvalue is certainly positive. {numbers}.")
            }
            HessianSigns::Negative => {
                format!("The Hessian is negative definite here: its largest eigenvalue is certainly negative. {numbers}.")
            }
            HessianSigns::Degenerate if vanishes(top) && vanishes(bottom) => {
                format!("Degenerate: the Hessian vanishes here, as far as can be told. {numbers}.")
            }
            HessianSigns::Degenerate => {
                format!("An extreme eigenvalue of the Hessian cannot be told from zero to this precision. {numbers}.")
            }
            HessianSigns::Undecided => format!(
                "The signs of the Hessian are not certain, because the eigenvalue solve did not reach its tolerance: {}. {numbers}.",
                eigen.message
            ),
        });
        if signs == HessianSigns::Indefinite {
            match bottom.std_error {
                Some(error) if error > 0.0 && -bottom.value < 3.0 * error => out.push(format!(
                    "Over the data the negative curvature is only {:.1} standard errors below zero: other samples may not show it.",
                    -bottom.value / error
                )),
                Some(_) => {}
                None => out.push(
                    "How much λ_min would change with other samples is not known: there are too few groups of samples to tell."
                        .into(),
                ),
            }
        }
    }
    out.extend(critical_sentence(found));
    if let Some(trace) = found.trace.filter(|_| found.eigen.is_none()) {
        out.push(format!("The trace of the Hessian is {}.", with_error(&trace.hutchinson)));
    }
    if let Some((planes, probability)) = found.planes {
        out.push(capitalised(&random_slice_sentence(planes, probability, "random slices")));
    }
    out
}

/// Whether the point is critical, and so a minimum or a saddle at all.
fn critical_sentence(found: &Findings<'_>) -> Option<String> {
    let norm = found.gradient_norm?;
    let Some(c) = found.criticality else {
        return Some(format!("The gradient has norm {}.", short(norm)));
    };
    let share = |x: f64| match 100.0 * x / found.loss.abs() {
        p if p.is_finite() => format!("{} ({} % of it)", short(x), short(p)),
        _ => short(x),
    };
    if c.critical {
        let kind = match found.signs {
            Some(HessianSigns::Indefinite) => "a saddle",
            Some(HessianSigns::Positive) => "a minimum",
            Some(HessianSigns::Negative) => "a maximum",
            _ => "critical, and second derivatives do not say more",
        };
        return Some(format!(
            "The point is {kind}: its gradient (norm {}) counts as zero, since a gradient step would lower the loss by about {} only, and up to {} is allowed.",
            short(norm),
            share(c.gradient_change),
            short(c.allowed)
        ));
    }
    let mut text = format!(
        "The point is not critical (‖∇L‖ = {}): one gradient step of length 1/max|λ| would lower the loss by about {}",
        short(norm),
        share(c.gradient_change)
    );
    let newton = c.newton_steps[1].abs();
    match c.escape_distance.filter(|d| *d > 0.0) {
        Some(distance) => text.push_str(&format!(
            "; along λ_min the quadratic model is stationary {} away, while the smallest loss found along it lies {} away.",
            short(newton),
            short(distance)
        )),
        None => text.push_str("; what is said here holds at this point, not at a minimum or saddle nearby."),
    }
    Some(text)
}

/// Text with a capital at its beginning.
pub(crate) fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}
