//! An analysis: the stages of a selection in order, and what comes of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::error::AnalysisError;
use super::found::{Analysis, Found};
use super::memory::MemoryPlan;
use super::monitor::Monitor;
use super::order::{offered, stages};
use super::plan::{Fate, PlannedStage};
use super::remembered::{earlier_selection, kept_selection, save_selection};
use super::results::{Cost, Results};
use super::selection::Selection;
use super::stage::Env;
use super::stages::lines::line_count;
use super::stages::rescaling;
use super::store::Folder;
use super::subject::Subject;
use super::summary::results;
use super::{figures, files, page};
use crate::risk::{Risk, check_theta};

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
    // Refused before anything is written, with the eigenpairs that the folder has.
    planned(subject, &kept_selection(out, selection)?, memory)?;
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
            theta: Arc::clone(&subject.theta),
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
    let plan = MemoryPlan::new(subject, &asked.0, line_count(&asked.0), memory)?;
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
    let first = wanted.first().map(|s| s.plan(&env, &wanted_keys)).transpose()?;
    let to_check = first.is_some_and(|self_check| self_check.is_left());
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
            if let (Some(first), true) = (plans.first_mut(), to_check) {
                first.fate = Fate::Done;
            }
            // A network that cannot be rescaled is refused before anything is computed of it.
            let copies = |p: &PlannedStage| p.name == rescaling::NAME && p.is_left();
            if let Some(factor) = asked.rescaling.filter(|_| plans.iter().any(copies)) {
                rescaling::check(subject.risk(), subject.theta(), factor, asked.seed)?;
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
        seconds: products as f64 * product_seconds
            + evaluations as f64 * evaluation_seconds
            + plans.iter().map(|p| p.dense_seconds).sum::<f64>(),
        bytes,
    }
}
