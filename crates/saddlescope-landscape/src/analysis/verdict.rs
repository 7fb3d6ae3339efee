//! The verdict: what kind of point θ is, in two or three sentences that a supervisor understands.

use super::results::{EigenResult, EigenpairResult, PlanesResult, TraceResult, largest, smallest};
use crate::reading::{CriticalKind, ExtremeCurvature, classify};

/// The kind of point, from the extreme eigenvalues alone.
pub fn kind(pairs: &[EigenpairResult]) -> Option<CriticalKind> {
    let curvature = |p: &EigenpairResult| ExtremeCurvature {
        value: p.value,
        residual: p.residual,
        converged: p.converged,
    };
    let (top, bottom) = (largest(pairs).map(curvature)?, smallest(pairs).map(curvature)?);
    // The point need not be critical: the kind is that of the local quadratic. Whatever exceeds its residual counts.
    Some(classify(0.0, f64::INFINITY, Some(bottom), Some(top), 0.0).kind)
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
        Some(p) if p < 1e-4 => format!("{seen}; the chance that one shows a saddle is below 0.01 %."),
        Some(p) => format!("{seen}; the chance that one shows a saddle is about {:.2} %.", 100.0 * p),
        None => format!("{seen}."),
    }
}

/// The verdict in sentences.
pub fn sentences(
    eigen: Option<&EigenResult>,
    gradient_norm: f64,
    trace: Option<&TraceResult>,
    planes: Option<(&PlanesResult, Option<f64>)>,
) -> Vec<String> {
    let mut out = Vec::new();
    let pairs = eigen.map_or(&[][..], |e| &e.pairs);
    let (top, bottom) = (largest(pairs), smallest(pairs));
    if let (Some(eigen), Some(kind), Some(top), Some(bottom)) = (eigen, kind(pairs), top, bottom) {
        let numbers = format!(
            "λ_max = {} ± {}, λ_min = {} ± {} (true residuals)",
            number(top.value),
            short(top.residual),
            number(bottom.value),
            short(bottom.residual)
        );
        out.push(match kind {
            CriticalKind::Saddle => format!(
                "The Hessian has both signs here: this point is a saddle, not a minimum. {numbers}; each interval leaves out zero."
            ),
            CriticalKind::Minimum => {
                format!("The smallest eigenvalue of the Hessian is certainly positive: the loss is convex here. {numbers}.")
            }
            CriticalKind::Maximum => {
                format!("The largest eigenvalue of the Hessian is certainly negative: the loss is concave here. {numbers}.")
            }
            CriticalKind::Degenerate => {
                format!("An extreme eigenvalue cannot be told from zero: the point is degenerate to this precision. {numbers}.")
            }
            CriticalKind::Undecided => format!(
                "The eigenvalue solve did not reach its tolerance, so the kind of point is not certain: {}. {numbers}.",
                eigen.message
            ),
        });
        if kind == CriticalKind::Saddle {
            let sigma = if bottom.std_error > 0.0 { -bottom.value / bottom.std_error } else { f64::INFINITY };
            if sigma.is_finite() && sigma < 3.0 {
                out.push(format!(
                    "Over the data the negative curvature is only {sigma:.1} standard errors below zero: other samples may not show it."
                ));
            }
        }
    }
    if let Some(trace) = trace.filter(|_| eigen.is_none()) {
        let e = trace.hutchinson;
        out.push(format!(
            "The trace of the Hessian is {} ± {} (standard error over {} probes).",
            number(e.value),
            short(e.std_error),
            e.samples
        ));
    }
    if let Some((planes, probability)) = planes {
        out.push(capitalised(&random_slice_sentence(planes, probability, "random slices")));
    }
    if gradient_norm > 0.0 && gradient_norm.is_finite() {
        let newton = bottom.map_or(0.0, |b| b.value.abs().max(1e-30));
        if gradient_norm > newton {
            out.push(format!(
                "The gradient is not zero (norm {}): training has not come to rest, and these are the curvatures at a point on the way.",
                short(gradient_norm)
            ));
        } else {
            out.push(format!("The gradient has norm {}.", short(gradient_norm)));
        }
    }
    out
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// A number with five significant digits.
pub fn number(x: f64) -> String {
    if x == 0.0 || !x.is_finite() {
        return format!("{x}");
    }
    let digits = 4 - x.abs().log10().floor() as i32;
    if (0..=9).contains(&digits) { format!("{x:.*}", digits as usize) } else { format!("{x:.4e}") }
}

/// A small number with two significant digits.
pub fn short(x: f64) -> String {
    if x == 0.0 || !x.is_finite() {
        return format!("{x}");
    }
    let digits = 1 - x.abs().log10().floor() as i32;
    if (0..=4).contains(&digits) { format!("{x:.*}", digits as usize) } else { format!("{x:.1e}") }
}
