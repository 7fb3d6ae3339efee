//! The stages in order.

use std::collections::BTreeMap;

use saddlescope_krylov::Estimate;
use serde_json::Value;

use super::checks::checks;
use super::drawing::{Known, draw};
use super::error::AnalysisError;
use super::folder::RunFolder;
use super::memory::MemoryPlan;
use super::monitor::Monitor;
use super::options::AnalysisOptions;
use super::results::{CutResult, MinimumResult, Results, SCHEMA, SurfaceResult};
use super::slices::{Cut, NamedSurface};
use super::subject::Subject;
use super::{density, eigen, escape, figures, files, page, probes, split, verdict};
use crate::numeric::norm;
use crate::projection::saddle_probability_closed_form;

/// What an analysis leaves in memory besides the files.
pub struct Analysis {
    /// The numbers, as in `results.json`.
    pub results: Results,
    /// The cuts.
    pub cuts: Vec<Cut>,
    /// The surfaces.
    pub surfaces: Vec<NamedSurface>,
}

/// Bytes that the analysis may use, if limited.
pub type MemoryLimit = Option<usize>;

/// Does what the options ask for, in a folder; continues what is there.
///
/// # Errors
/// Cancelled (everything finished is saved), a folder of something else, or a model that fails its own checks.
pub fn analyze(
    subject: &Subject<'_>,
    options: &AnalysisOptions,
    memory: MemoryLimit,
    out: &std::path::Path,
    monitor: &mut dyn Monitor,
) -> Result<Analysis, AnalysisError> {
    let plan = MemoryPlan::new(subject, options, memory)?;
    let mut identity = subject.identity();
    identity.extend(options.identity());
    let folder = RunFolder::open(out, &identity)?;
    if folder.resumed() {
        monitor.note("continuing the analysis in that folder");
    }
    let theta = subject.theta();
    let risk = subject.risk();
    let layout = risk.layout().clone();
    let other = subject.other.map(|s| s.risk);
    let point = risk.at(theta, plan.keep)?;
    let near = &*point;
    let precision = risk.offers().precision;

    let (check, cost) = checks(subject, near, options, &plan, &folder, monitor)?;

    let mut gradient = vec![0.0; theta.len()];
    let here = risk.gradient(theta, &mut gradient)?;
    let gradient_norm = norm(&gradient);
    let there = other.map(|r| r.evaluate(theta)).transpose()?;

    let stage = if options.largest + options.smallest > 0 {
        Some(eigen::eigenpairs(near, precision, options, &plan, &folder, monitor)?)
    } else {
        None
    };
    let stage = stage.as_ref();

    let measured = if options.probes > 0 {
        Some(probes::measure(near, &layout, options, &folder, monitor)?)
    } else {
        None
    };
    let fit = probes::fits(risk, theta, here.loss, options, &folder, monitor)?;
    let (curvatures, warning) =
        fit.map_or((Vec::new(), None), |f| (f.per_probe, f.warning.map(|w| w.to_string())));
    let trace = measured.as_ref().map(|m| probes::trace(m, &curvatures, warning));
    let planes = measured.as_ref().map(probes::planes);
    let density = density::density(near, stage, options, &plan, &folder, monitor)?;
    let probability = match &density {
        Some(d) if planes.is_some() => {
            Some(density::saddle_probability(stage, d, theta.len(), options.seed)?)
        }
        _ => None,
    };
    let parts = match stage {
        Some(stage) if options.split => {
            split::split(near, precision, stage, options, &plan, &folder, monitor)?
        }
        _ => None,
    };
    let filtered = if options.filtered_planes > 0 {
        Some(probes::filtered_planes(near, theta, &layout, options, &folder, monitor)?)
    } else {
        None
    };
    let escape = match stage {
        Some(stage) if options.escape => escape::search(risk, other, theta, stage, &folder, monitor)?,
        _ => None,
    };
    let known = Known { subject, near, stage, gradient: &gradient, loss: here.loss, escape: escape.as_ref() };
    let (cuts, surfaces) = draw(&known, options, &folder, monitor)?;
    files::save_directions(&known, options, &folder)?;

    let eigen = stage.map(|s| s.result.clone());
    let verdict = verdict::sentences(
        eigen.as_ref(),
        gradient_norm,
        trace.as_ref(),
        planes.as_ref().map(|p| (p, probability.map(|p| p.value))),
    );
    let results = Results {
        schema: SCHEMA,
        verb: options.verb.clone(),
        model: subject.model.clone(),
        loss: here.loss,
        accuracy: here.accuracy(),
        other_loss: there.as_ref().map(|e| e.loss),
        other_accuracy: there.as_ref().and_then(|e| e.accuracy()),
        gradient_norm,
        parameters: theta.len(),
        samples: risk.samples(),
        kind: eigen.as_ref().and_then(|e| verdict::kind(&e.pairs)),
        verdict,
        status: eigen.as_ref().map(|e| e.status),
        matvecs: eigen.as_ref().map_or(0, |e| e.products),
        eigenpairs: eigen.as_ref().map_or(Vec::new(), |e| e.pairs.clone()),
        eigen,
        mean_curvature: trace.as_ref().map(|t| scaled(&t.hutchinson, 1.0 / theta.len() as f64)),
        saddle_probability_closed_form: trace
            .as_ref()
            .map(|t| saddle_probability_closed_form(t.hutchinson.value, t.trace_of_square.value)),
        frobenius_norm: trace.as_ref().map(|t| root(&t.trace_of_square)),
        trace,
        layers: measured.as_ref().map_or(Vec::new(), |m| probes::layers(m, &layout)),
        random_planes: planes,
        filtered_planes: filtered,
        saddle_probability: probability,
        density,
        split: parts,
        cuts: cuts.iter().map(cut_result).collect(),
        surfaces: surfaces.iter().map(surface_result).collect(),
        escape,
        self_check: check,
        cost,
        provenance: provenance(subject, options),
    };
    let analysis = Analysis { results, cuts, surfaces };
    figures::save(&analysis, &folder)?;
    files::save(&analysis, measured.as_ref(), &folder)?;
    page::save(&analysis, &folder)?;
    Ok(analysis)
}

fn scaled(e: &Estimate, factor: f64) -> Estimate {
    Estimate { value: e.value * factor, std_error: e.std_error * factor, samples: e.samples }
}

/// √ of an estimate; its error to first order.
fn root(e: &Estimate) -> Estimate {
    let value = e.value.max(0.0).sqrt();
    let std_error = e.std_error / (2.0 * value.max(f64::MIN_POSITIVE));
    Estimate { value, std_error, samples: e.samples }
}

fn cut_result(cut: &Cut) -> CutResult {
    CutResult {
        name: cut.name.clone(),
        direction: cut.direction.clone(),
        curvature: cut.curvature,
        slope: cut.slope,
        range: [cut.alpha.first(), cut.alpha.last()].map(|a| a.copied().unwrap_or(f64::NAN)),
        points: cut.alpha.len(),
    }
}

fn surface_result(named: &NamedSurface) -> SurfaceResult {
    let s = &named.surface;
    let (rows, columns) = (s.a.count(), s.b.count());
    let minimum = s.minimum().map(|m| MinimumResult { alpha: m.alpha, beta: m.beta, loss: m.loss });
    SurfaceResult {
        name: named.name.clone(),
        directions: named.directions.clone(),
        split: named.split.clone(),
        shape: [rows, columns],
        ranges: [[s.a.lo(), s.a.hi()], [s.b.lo(), s.b.hi()]],
        minimum,
        center_loss: s.loss_at(rows / 2, columns / 2).unwrap_or(f64::NAN),
        not_finite: s.loss.iter().filter(|x| !x.is_finite()).count(),
    }
}

/// Everything needed to run it again.
fn provenance(subject: &Subject<'_>, options: &AnalysisOptions) -> BTreeMap<String, Value> {
    let mut map = subject.identity();
    map.extend(options.identity());
    map.insert("saddlescope".into(), env!("CARGO_PKG_VERSION").into());
    map.extend(subject.provenance.clone());
    map.insert("slice_samples".into(), subject.slice_split().risk.samples().into());
    map
}
