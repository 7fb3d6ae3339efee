//! From what the stages found to the numbers of `results.json`.

use std::collections::BTreeMap;

use saddlescope_krylov::{Estimate, Precision};
use serde_json::Value;

use super::differences::smallest_sentence;
use super::error::AnalysisError;
use super::found::{Cut, CutLosses, Found, NamedSurface};
use super::results::{
    Cost, CutMinimum, CutResult, EigenResult, MinimumResult, Results, SCHEMA, SelfCheck, SettleResult,
    SurfaceResult,
};
use super::selection::Selection;
use super::stages::slices::{HESSIAN, RANDOM};
use super::stages::{density, probes};
use super::subject::Subject;
use super::{settled, sharpness_result, verdict};
use crate::projection::{PlaneHessian, saddle_probability_closed_form};
use crate::risk::RiskError;

/// `results.json` from what the stages found.
pub(super) fn results(
    subject: &Subject<'_>,
    selection: &Selection,
    found: &Found,
    cost: Cost,
    stages: BTreeMap<String, String>,
    not_offered: Vec<String>,
) -> Result<Results, AnalysisError> {
    let n = subject.theta().len();
    let point = found.point()?;
    let check = found.self_check.as_ref().map(|c| c.check.clone()).unwrap_or_default();
    let eigenpairs = found.eigenpairs.as_ref();
    let (curvatures, warning) = found
        .fits
        .as_ref()
        .map_or((Vec::new(), None), |f| (f.per_probe.clone(), f.warning.as_ref().map(ToString::to_string)));
    let trace = found.probes.as_ref().map(|m| probes::trace(m, &curvatures, warning));
    // One parameter spans no plane: what two vectors of one number each show is no slice.
    let planes = found.probes.as_ref().filter(|_| n > 1).map(probes::planes);
    let density = found.density.as_ref().and_then(|d| density::curve(d, eigenpairs, n));
    let probability = match &density {
        Some(d) if planes.is_some() => Some(density::saddle_probability(eigenpairs, d, n, selection.seed)?),
        _ => None,
    };
    let filtered = found.filtered_planes.as_ref().filter(|_| n > 1).map(|planes| {
        let planes: Vec<PlaneHessian> = planes.iter().map(|&[a, b, c]| PlaneHessian { a, b, c }).collect();
        probes::count(&planes)
    });
    let eigen = eigenpairs.map(|e| with_rounding(&e.result, &check, subject.risk().offers().precision));
    let signs = eigen.as_ref().and_then(|e| verdict::signs(&e.pairs));
    let theta = (subject.theta(), subject.risk().offers().precision.epsilon());
    let criticality = eigenpairs
        .and_then(|e| verdict::criticality(point.loss, theta, &point.gradient, e, found.escape.as_ref()));
    let surfaces: Vec<SurfaceResult> = found.surfaces.iter().map(surface_result).collect();
    let settle = selection.settle.as_ref().and_then(|o| settled::result(found, o.tolerance));
    let mut sentences = verdict::sentences(&verdict::Findings {
        eigen: eigen.as_ref(),
        signs,
        loss: point.loss,
        gradient_norm: point.gradient_norm,
        criticality: criticality.as_ref(),
        trace: trace.as_ref(),
        planes: planes.as_ref().map(|p| (p, probability.map(|p| p.value))),
    });
    sentences.extend(planes_in_words(found, &surfaces));
    sentences.extend(settle.iter().flat_map(SettleResult::sentences));
    Ok(Results {
        schema: SCHEMA,
        verb: selection.verb.clone(),
        model: subject.model.clone(),
        loss: point.loss,
        accuracy: point.accuracy,
        other_loss: point.other.map(|(loss, _)| loss),
        other_accuracy: point.other.and_then(|(_, accuracy)| accuracy),
        loss_std_error: point.std_error,
        other_loss_std_error: point.other_std_error,
        gradient_norm: point.gradient_norm,
        parameters: n,
        samples: subject.risk().samples(),
        slice_samples: subject.slice_split().risk.samples(),
        slice_choice: selection.slice_choice.clone(),
        other_samples: subject.other.map(|s| s.risk.samples()),
        splits: [Some(subject.main), subject.other].into_iter().flatten().map(|s| s.name.into()).collect(),
        hessian_signs: signs,
        kind: verdict::kind(signs, criticality.as_ref()),
        criticality,
        about: subject.about.clone(),
        verdict: sentences,
        status: eigen.as_ref().map(|e| e.status),
        matvecs: eigen.as_ref().map_or(0, |e| e.products),
        eigenpairs: eigen.as_ref().map_or(Vec::new(), |e| e.pairs.clone()),
        eigen,
        mean_curvature: trace.as_ref().map(|t| t.hutchinson.scaled(1.0 / n as f64)),
        saddle_probability_closed_form: trace
            .as_ref()
            .filter(|_| n > 1)
            .map(|t| saddle_probability_closed_form(t.hutchinson.value, t.trace_of_square.value)),
        frobenius_norm: trace.as_ref().map(|t| root(&t.trace_of_square)),
        trace,
        layers: found.probes.as_ref().map_or(Vec::new(), |m| probes::layers(m, subject.risk().layout())),
        random_planes: planes,
        filtered_planes: filtered,
        saddle_probability: probability,
        density,
        split: found.split.clone(),
        cuts: found.cuts.iter().map(cut_result).collect(),
        surfaces,
        escape: found.escape.clone(),
        sharpness: selection.sharpness.as_ref().and_then(|o| sharpness_result::result(found, o)),
        settle,
        self_check: check,
        cost,
        not_offered,
        left_out: found.left_out.clone(),
        stages,
        provenance: provenance(subject, selection)?,
    })
}

/// The eigenvalues with what rounding leaves uncertain.
fn with_rounding(found: &EigenResult, check: &SelfCheck, precision: Precision) -> EigenResult {
    let mut found = found.clone();
    let rounding = check.rounding_share(precision) * found.largest_magnitude();
    for pair in &mut found.pairs {
        pair.rounding = rounding;
        let radius = pair.residual + pair.rounding;
        pair.interval = [pair.value - radius, pair.value + radius];
    }
    found
}

/// What the planes that are always drawn show of smaller losses, with errors.
fn planes_in_words(found: &Found, surfaces: &[SurfaceResult]) -> Vec<String> {
    let place = |heading: &str| match heading {
        HESSIAN => Some("In the plane of the Hessian directions"),
        RANDOM => Some("In the random plane"),
        _ => None,
    };
    (found.surfaces.iter().zip(surfaces))
        .filter(|(named, _)| !named.zoom)
        .filter_map(|(named, s)| {
            Some(smallest_sentence(place(&named.heading)?, s.minimum.as_ref()?, s.samples, &s.split))
        })
        .collect()
}

/// √ of an estimate; its error to first order.
fn root(e: &Estimate) -> Estimate {
    let value = e.value.max(0.0).sqrt();
    let std_error = e.std_error / (2.0 * value.max(f64::MIN_POSITIVE));
    Estimate { value, std_error, samples: e.samples }
}

fn cut_minimum(cut: &Cut, losses: &CutLosses) -> Option<CutMinimum> {
    let i = losses.smallest()?;
    let d = losses.difference(i);
    Some(CutMinimum {
        alpha: cut.alpha.get(i).copied().unwrap_or(f64::NAN),
        loss: losses.loss[i],
        difference: d.value,
        difference_std_error: d.std_error,
        distinguishable: d.significant(),
    })
}

fn cut_result(cut: &Cut) -> CutResult {
    CutResult {
        name: cut.name.clone(),
        direction: cut.direction.clone(),
        curvature: cut.curvature,
        slope: cut.slope,
        prediction: cut.prediction,
        range: [cut.alpha.first(), cut.alpha.last()].map(|a| a.copied().unwrap_or(f64::NAN)),
        points: cut.alpha.len(),
        samples: cut.measured.samples,
        center_loss: cut.measured.center,
        center_std_error: cut.measured.center_std_error,
        minimum: cut_minimum(cut, &cut.measured),
        other_samples: cut.other.as_ref().map(|o| o.samples),
        other_minimum: cut.other.as_ref().and_then(|o| cut_minimum(cut, o)),
    }
}

fn surface_result(named: &NamedSurface) -> SurfaceResult {
    let s = &named.surface;
    let (rows, columns) = (s.a.count(), s.b.count());
    let minimum = s.minimum().map(|m| MinimumResult {
        alpha: m.alpha,
        beta: m.beta,
        loss: m.loss,
        difference: m.difference.value,
        difference_std_error: m.difference.std_error,
        distinguishable: m.difference.significant(),
    });
    SurfaceResult {
        name: named.name.clone(),
        directions: named.directions.clone(),
        split: named.split.clone(),
        shape: [rows, columns],
        evaluated: s.evaluated_points(),
        ranges: [[s.a.lo(), s.a.hi()], [s.b.lo(), s.b.hi()]],
        minimum,
        samples: named.samples,
        center_loss: s.center,
        center_std_error: s.center_std_error,
        not_finite: s.loss.iter().filter(|x| !x.is_finite()).count(),
    }
}

/// Everything needed to run it again.
fn provenance(subject: &Subject<'_>, selection: &Selection) -> Result<BTreeMap<String, Value>, RiskError> {
    let mut map = subject.identity()?;
    if let Ok(Value::Object(options)) = serde_json::to_value(selection) {
        map.extend(options.into_iter().map(|(k, v)| (format!("option.{k}"), v)));
    }
    map.insert("saddlescope".into(), env!("CARGO_PKG_VERSION").into());
    map.extend(subject.provenance.clone());
    map.insert("slice_samples".into(), subject.slice_split().risk.samples().into());
    Ok(map)
}
