//! An analysis: the stages of a selection in order, and what comes of them.

use std::collections::BTreeMap;
use std::path::Path;

use saddlescope_figure::write_atomic;
use saddlescope_krylov::Estimate;
use serde_json::Value;

use super::differences::smallest_sentence;
use super::error::AnalysisError;
use super::found::{Analysis, Cut, CutLosses, Found, NamedSurface};
use super::memory::MemoryPlan;
use super::monitor::Monitor;
use super::plan::PlannedStage;
use super::results::{Cost, CutMinimum, CutResult, MinimumResult, Results, SCHEMA, SurfaceResult};
use super::selection::Selection;
use super::stage::{AnyStage, Env, Keys};
use super::stages::critical_spectrum::CriticalSpectrumStage;
use super::stages::density::{self, DensityStage};
use super::stages::eigenpairs::EigenpairsStage;
use super::stages::escape::EscapeStage;
use super::stages::filtered_planes::FilteredPlanesStage;
use super::stages::fits::FitsStage;
use super::stages::point::PointStage;
use super::stages::probes::{self, ProbesStage};
use super::stages::rescaling::RescalingStage;
use super::stages::self_check::SelfCheckStage;
use super::stages::settle::SettleStage;
use super::stages::sharpness::SharpnessStage;
use super::stages::slice_samples::SliceSamplesStage;
use super::stages::slices::{HESSIAN, RANDOM, slice_stages};
use super::stages::split::SplitStage;
use super::store::{Dependencies, Folder, FolderError};
use super::subject::{Subject, identity_at};
use super::{figures, files, page, settled, sharpness_result, verdict};
use crate::projection::{PlaneHessian, saddle_probability_closed_form};
use crate::risk::{Curvature, Offers, Risk, RiskError, check_theta};

/// Bytes that the analysis may use, if limited.
pub type MemoryLimit = Option<usize>;

/// Does what the selection asks for in a folder, and writes results, figures and report.
///
/// Stages that the folder has are read, those that were begun are continued, and the rest is computed. The report also shows
/// what earlier commands found in the same folder.
///
/// # Errors
/// Cancelled (everything finished is saved), a folder of something else, or a risk that fails its own checks.
pub fn analyze(
    subject: &Subject<'_>,
    selection: &Selection,
    memory: MemoryLimit,
    out: &Path,
    monitor: &mut dyn Monitor,
) -> Result<Analysis, AnalysisError> {
    // Refused before anything is written.
    planned(subject, selection, memory)?;
    match chosen_samples(subject, selection, memory, out, monitor)? {
        Some(chosen) => analyze_samples(&chosen.subject(subject), &chosen.selection, memory, out, monitor),
        None => analyze_samples(subject, selection, memory, out, monitor),
    }
}

/// [`analyze`] on samples that are known.
fn analyze_samples(
    subject: &Subject<'_>,
    selection: &Selection,
    memory: MemoryLimit,
    out: &Path,
    monitor: &mut dyn Monitor,
) -> Result<Analysis, AnalysisError> {
    let folder = open(subject, out, monitor)?;
    let earlier = earlier_selection(&folder)?;
    let with_kept = earlier.as_ref().map(|e| selection.with_kept_eigenpairs(e));
    let selection = with_kept.as_ref().unwrap_or(selection);
    let (asked, plan) = planned(subject, selection, memory)?;
    let all = earlier.as_ref().map_or_else(|| selection.clone(), |e| selection.with_earlier(e));
    let (found, results, shown) = run_stages(subject, &asked, &all, &plan, &folder, monitor)?;
    let probes = found.probes.clone();
    files::save_directions(subject, &shown, &found, &folder)?;
    let analysis = finish(found, results);
    figures::save(&analysis, &folder)?;
    files::save(&analysis, probes.as_ref(), &folder)?;
    page::save(&analysis, &folder)?;
    save_selection(&folder, &shown)?;
    Ok(analysis)
}

/// [`analyze`] without results, figures and report on disk: stages are kept in the folder as there.
///
/// # Errors
/// As [`analyze`].
pub fn compute(
    subject: &Subject<'_>,
    selection: &Selection,
    memory: MemoryLimit,
    out: &Path,
    monitor: &mut dyn Monitor,
) -> Result<Analysis, AnalysisError> {
    match chosen_samples(subject, selection, memory, out, monitor)? {
        Some(chosen) => compute_samples(&chosen.subject(subject), &chosen.selection, memory, out, monitor),
        None => compute_samples(subject, selection, memory, out, monitor),
    }
}

/// [`compute`] on samples that are known.
fn compute_samples(
    subject: &Subject<'_>,
    selection: &Selection,
    memory: MemoryLimit,
    out: &Path,
    monitor: &mut dyn Monitor,
) -> Result<Analysis, AnalysisError> {
    let (asked, plan) = planned(subject, selection, memory)?;
    let folder = open(subject, out, monitor)?;
    let (found, results, _) = run_stages(subject, &asked, selection, &plan, &folder, monitor)?;
    Ok(finish(found, results))
}

/// The samples of cuts and surfaces as they were chosen.
struct ChosenSamples<'a> {
    /// The risk on them; `None`: all samples of the analysis.
    risk: Option<Box<dyn Risk + 'a>>,
    selection: Selection,
}

impl<'a> ChosenSamples<'a> {
    /// What is analysed, with these samples for cuts and surfaces.
    fn subject<'b>(&'b self, subject: &'b Subject<'a>) -> Subject<'b> {
        Subject {
            model: subject.model.clone(),
            theta: subject.theta.clone(),
            main: subject.main,
            slices: self.risk.as_deref(),
            other: subject.other,
            weights: subject.weights.clone(),
            about: subject.about.clone(),
            provenance: subject.provenance.clone(),
        }
    }
}

/// Chooses the samples of cuts and surfaces where the selection says how. All that follows is as if their number had been given.
fn chosen_samples<'a>(
    subject: &Subject<'a>,
    selection: &Selection,
    memory: MemoryLimit,
    out: &Path,
    monitor: &mut dyn Monitor,
) -> Result<Option<ChosenSamples<'a>>, AnalysisError> {
    if selection.slice_samples.is_none() {
        return Ok(None);
    }
    let folder = open(subject, out, monitor)?;
    let with_kept = earlier_selection(&folder)?.map(|e| selection.with_kept_eigenpairs(&e));
    let selection = with_kept.as_ref().unwrap_or(selection);
    let (asked, plan) = planned(subject, selection, memory)?;
    let (found, ..) = run_stages(subject, &asked, selection, &plan, &folder, monitor)?;
    let choice = found.slice_choice.unwrap_or_default();
    let all = subject.main.risk.samples();
    let risk = if choice.samples < all { subject.main.risk.samples_in(0..choice.samples)? } else { None };
    let selection = Selection { slice_samples: None, slice_choice: Some(choice), ..selection.clone() };
    Ok(Some(ChosenSamples { risk, selection }))
}

/// What [`compute`] would do with each stage, in order; computes nothing.
///
/// # Errors
/// As [`compute`], before anything is computed.
pub(crate) fn plan(
    subject: &Subject<'_>,
    selection: &Selection,
    memory: MemoryLimit,
    out: &Path,
) -> Result<Vec<PlannedStage>, AnalysisError> {
    let ((asked, _), plan) = planned(subject, selection, memory)?;
    let folder = Folder::open(out, &subject.identity()?)?;
    let env = Env::new(subject, &asked, &plan, &folder)?;
    let (stages, keys) = stages(&asked, &env)?;
    stages.iter().map(|s| s.plan(&env, &keys)).collect()
}

/// Bytes of memory that [`compute`] needs at most.
///
/// # Errors
/// A limit below what it needs.
pub(crate) fn memory_of(
    subject: &Subject<'_>,
    selection: &Selection,
    memory: MemoryLimit,
) -> Result<usize, AnalysisError> {
    Ok(planned(subject, selection, memory)?.1.total)
}

fn open(subject: &Subject<'_>, out: &Path, monitor: &mut dyn Monitor) -> Result<Folder, AnalysisError> {
    let folder = Folder::open(out, &subject.identity()?)?;
    if folder.resumed() {
        monitor.note("going on with the results in that folder");
    }
    Ok(folder)
}

/// What can be computed of a selection, and how memory is shared out; refused before anything is written.
fn planned(
    subject: &Subject<'_>,
    selection: &Selection,
    memory: MemoryLimit,
) -> Result<((Selection, Vec<String>), MemoryPlan), AnalysisError> {
    check_theta(subject.risk(), subject.theta())?;
    let asked = offered(selection, &subject.risk().offers());
    let plan = MemoryPlan::new(subject, &asked.0, memory)?;
    Ok((asked, plan))
}

fn finish(found: Found, results: Results) -> Analysis {
    Analysis {
        results,
        cuts: found.cuts,
        surfaces: found.surfaces,
        eigenvectors: found.eigenpairs.map_or_else(Vec::new, |e| e.vectors),
        settled: found.settled.map(|s| s.way.theta),
    }
}

const SELECTION: &str = "selection.json";

fn earlier_selection(folder: &Folder) -> Result<Option<Selection>, AnalysisError> {
    selection_in(folder.dir())
}

/// A selection with the eigenpairs of the one that a folder remembers where those will do.
///
/// # Errors
/// A file that cannot be read.
pub(crate) fn kept_selection(dir: &Path, selection: &Selection) -> Result<Selection, AnalysisError> {
    let earlier = selection_in(dir)?;
    Ok(earlier.map_or_else(|| selection.clone(), |e| selection.with_kept_eigenpairs(&e)))
}

fn selection_in(dir: &Path) -> Result<Option<Selection>, AnalysisError> {
    let path = dir.join(SELECTION);
    match std::fs::read(&path) {
        // A selection of another version of the program is of no use, and nothing is lost without it.
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(reason) => Err(FolderError::Io { path, reason }.into()),
    }
}

fn save_selection(folder: &Folder, selection: &Selection) -> Result<(), AnalysisError> {
    let path = folder.dir().join(SELECTION);
    let json = serde_json::to_vec_pretty(selection)
        .map_err(|e| FolderError::Damaged { path: path.clone(), problem: e.to_string() })?;
    write_atomic(&path, &json)?;
    Ok(())
}

/// The selection without what the risk does not offer, and what was left out.
fn offered(selection: &Selection, offers: &Offers) -> (Selection, Vec<String>) {
    let mut left = selection.clone();
    let mut out = Vec::new();
    if !offers.product(Curvature::Hessian) {
        let asked = left.eigenpairs.take().is_some()
            | left.probes.take().is_some()
            | left.density.take().is_some()
            | left.filtered_planes.take().is_some();
        left.fits = None;
        if asked {
            out.push("products with the Hessian, and so eigenpairs, trace and density".into());
        }
    }
    let parts = offers.product(Curvature::GaussNewton) && offers.product(Curvature::Residual);
    if !parts && left.split.take().is_some() && left.eigenpairs.is_some() {
        out.push("products with the Gauss–Newton matrix, and so the split H = G + R".into());
    }
    let can_settle = offers.product(Curvature::Hessian) && offers.gradient;
    if !can_settle && left.settle.take().is_some() {
        out.push("gradients and products with the Hessian, and so a critical point nearby".into());
    }
    if !offers.gradient {
        out.push("a gradient, and so whether the point is critical".into());
    }
    if !offers.chunks && left.eigenpairs.is_some() {
        out.push("the parts of groups of samples, and so errors over the data".into());
    }
    (left, out)
}

/// All stages of a selection, in order.
fn stages(selection: &Selection, env: &Env<'_>) -> Result<(Vec<Box<dyn AnyStage>>, Keys), RiskError> {
    let basis = env.plan.basis;
    let identity = |risk: &dyn Risk, name: &str| -> Result<Value, RiskError> {
        let mut of: Dependencies = identity_at(risk, env.subject.theta())?;
        of.insert("samples".into(), risk.samples().into());
        of.insert("split".into(), name.into());
        Ok(serde_json::to_value(of).unwrap_or_default())
    };
    let split = env.subject.slice_split();
    let mut keys = Keys {
        slices: identity(split.risk, split.name)?,
        other: env.subject.other.map_or(Ok(Value::Null), |s| identity(s.risk, s.name))?,
        ..Keys::default()
    };
    let mut stages: Vec<Box<dyn AnyStage>> = vec![Box::new(SelfCheckStage), Box::new(PointStage)];
    if let Some(options) = selection.eigenpairs.clone().filter(|_| selection.pairs() > 0) {
        let stage = EigenpairsStage { options, basis };
        keys.eigenpairs = Some(AnyStage::slot(&stage, env, &keys).key().into());
        stages.push(Box::new(stage));
    }
    if let Some(auto) = selection.slice_samples.clone() {
        // Nothing else before it is known on which samples.
        stages.push(Box::new(SliceSamplesStage::new(auto, selection)));
        return Ok((stages, keys));
    }
    if selection.probe_count() > 0 {
        stages.push(Box::new(ProbesStage { wanted: selection.probe_count() }));
        if let Some(options) = selection.fits.clone() {
            stages.push(Box::new(FitsStage { options, probes: selection.probe_count() }));
        }
    }
    if let Some(options) = selection.density.clone().filter(|d| d.probes > 0) {
        stages.push(Box::new(DensityStage { options, basis }));
    }
    if let Some(options) = selection.split.clone().filter(|_| keys.eigenpairs.is_some()) {
        stages.push(Box::new(SplitStage { options, basis }));
    }
    if let Some(wanted) = selection.filtered_planes.filter(|n| *n > 0) {
        let keep_biases = selection.random.keep_biases;
        stages.push(Box::new(FilteredPlanesStage { wanted, keep_biases }));
    }
    if selection.escape && keys.eigenpairs.is_some() {
        keys.escape = Some(AnyStage::slot(&EscapeStage, env, &keys).key().into());
        stages.push(Box::new(EscapeStage));
    }
    if let Some(options) = selection.sharpness.clone() {
        let probes = selection.probe_count();
        stages.push(Box::new(SharpnessStage { options: options.clone(), probes }));
        if let Some(factor) = selection.rescaling {
            stages.push(Box::new(RescalingStage { options, factor }));
        }
    }
    if let Some(options) = selection.settle.clone() {
        let stage = SettleStage { options };
        keys.settle = Some(AnyStage::slot(&stage, env, &keys).key().into());
        stages.push(Box::new(stage));
        if let Some(options) = selection.critical_spectrum.clone() {
            stages.push(Box::new(CriticalSpectrumStage { options, basis }));
        }
    }
    stages.extend(slice_stages(selection, env));
    Ok((stages, keys))
}

/// Runs what `asked` asks for and reads what `all` adds to it. Returns what was found, the results, and the selection that
/// the results show.
fn run_stages(
    subject: &Subject<'_>,
    (asked, not_offered): &(Selection, Vec<String>),
    all: &Selection,
    plan: &MemoryPlan,
    folder: &Folder,
    monitor: &mut dyn Monitor,
) -> Result<(Found, Results, Selection), AnalysisError> {
    let offers = subject.risk().offers();
    let (all, _) = offered(all, &offers);
    let env = Env::new(subject, &all, plan, folder)?;
    let (wanted, wanted_keys) = stages(asked, &env)?;
    let (stages, keys) = stages(&all, &env)?;
    let mine: Vec<_> = wanted.iter().map(|s| s.slot(&env, &wanted_keys).file("msgpack")).collect();

    let mut found = Found::default();
    let mut kept = BTreeMap::new();
    let mut cost = None;
    let self_check = wanted.first().map(|s| s.plan(&env, &wanted_keys)).transpose()?;
    for (i, stage) in stages.iter().enumerate() {
        let slot = stage.slot(&env, &keys);
        let only_kept = !mine.contains(&slot.file("msgpack"));
        stage.run(&env, &keys, &mut found, only_kept, monitor)?;
        if slot.state()?.is_some() {
            let (name, key) = slot.name();
            kept.insert(name.to_string(), key.to_string());
        }
        if i == 0 {
            // The self-check comes first: it says how long a product takes.
            let mut plans: Vec<PlannedStage> =
                wanted.iter().map(|s| s.plan(&env, &wanted_keys)).collect::<Result<_, _>>()?;
            if let (Some(first), Some(before)) = (plans.first_mut(), self_check.clone()) {
                // It is done by now; the table says what it was before.
                *first = before;
            }
            let expected = cost_of(&plans, &found, plan.total);
            for warning in found.self_check.iter().flat_map(|c| &c.check.warnings) {
                monitor.note(&format!("warning: {warning}"));
            }
            monitor.plan(&plans, &expected);
            cost = Some(expected);
        }
    }
    let cost = cost.unwrap_or_default();
    let results = results(subject, &all, &found, cost, kept, not_offered.clone())?;
    drop(stages);
    Ok((found, results, all.clone()))
}

/// What the stages asked for cost when computed from nothing.
fn cost_of(plans: &[PlannedStage], found: &Found, bytes: usize) -> Cost {
    let (product_seconds, evaluation_seconds) =
        found.self_check.as_ref().map_or((0.0, 0.0), |c| (c.product_seconds, c.evaluation_seconds));
    let products = plans.iter().map(|p| p.forecast.products).sum();
    let evaluations = plans.iter().map(|p| p.forecast.evaluations).sum();
    Cost {
        product_seconds,
        evaluation_seconds,
        products,
        evaluations,
        seconds: products as f64 * product_seconds + evaluations as f64 * evaluation_seconds,
        bytes,
    }
}

fn results(
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
    let planes = found.probes.as_ref().map(probes::planes);
    let density = found.density.as_ref().and_then(|d| density::curve(d, eigenpairs, n));
    let probability = match &density {
        Some(d) if planes.is_some() => Some(density::saddle_probability(eigenpairs, d, n, selection.seed)?),
        _ => None,
    };
    let filtered = found.filtered_planes.as_ref().map(|planes| {
        let planes: Vec<PlaneHessian> = planes.iter().map(|&[a, b, c]| PlaneHessian { a, b, c }).collect();
        probes::count(&planes)
    });
    let eigen = eigenpairs.map(|e| e.result.clone());
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
    sentences.extend(settle.iter().flat_map(settled::SettleResult::sentences));
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
