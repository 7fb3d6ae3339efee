//! From one point to another: the loss on the line and on a curve between two weights, and the barrier on the way.

use std::path::Path;

use super::align::{Alignment, matching, reordered};
use super::compare::{about, point_of, weights_provenance};
use super::compare_results::SCHEMA;
use super::curve::{Curve, CurveOptions, trained_curve};
use super::desk::{Desk, Part, Work};
use super::path_page;
use super::path_results::{AlignmentResult, Barrier, PathResults, Statistics, Way, WaySide};
use super::points::{Measured, PointJob, PointResult, Values, risk_identity};
use super::weights::{Bound, Member, ModelLosses, Weights, check, check_one_model};
use crate::analysis::{
    AnalysisError, Dependencies, EigenpairOptions, Fate, Forecast, MemoryLimit, Monitor, PlannedStage,
    Selection, Spent, capitalised, number,
};
use crate::risk::RiskError;

/// What is computed between two weights.
#[derive(Clone, Debug, PartialEq)]
pub struct PathOptions {
    /// Seed of every random number.
    pub seed: u64,
    /// Points on the line and on the curve, ends included; at least 3.
    pub points: usize,
    /// Extreme eigenpairs at both ends and at the highest point of the line; `None`: no eigenvalues.
    pub eigenpairs: Option<EigenpairOptions>,
    /// Random probes of the trace at the same points.
    pub probes: usize,
    /// Whether batch-norm statistics are also computed anew at every point.
    pub statistics_anew: bool,
    /// Whether the hidden units of B are also put in the order of those of A.
    pub align: bool,
    /// The low-loss curve that is looked for; `None`: none.
    pub curve: Option<CurveOptions>,
}

impl Default for PathOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            points: 25,
            eigenpairs: Some(EigenpairOptions { largest: 1, smallest: 1, ..EigenpairOptions::default() }),
            probes: 16,
            statistics_anew: true,
            align: true,
            curve: Some(CurveOptions::default()),
        }
    }
}

/// A curve with the statistics on it, ready to be evaluated.
struct Plan<'a> {
    name: &'static str,
    curve: Curve<'a>,
    statistics: Statistics,
}

/// What lies between two weights of one model.
///
/// # Errors
/// Weights that cannot be joined, cancelled (everything finished is kept), or whatever the risk reports.
pub fn path(
    members: &[Member<'_>; 2],
    options: &PathOptions,
    memory: MemoryLimit,
    out: &Path,
    monitor: &mut dyn Monitor,
) -> Result<PathResults, AnalysisError> {
    check(members, 2)?;
    check_one_model(members)?;
    let mut desk = Desk::open(out, monitor)?;
    let [a, b] = [&members[0].weights, &members[1].weights];
    let losses = members[0].losses;
    let normalised = losses.main.risk.buffers_anew(&a.theta)?.is_some();
    let mut plans = Vec::new();
    let line = |statistics| Plan { name: "line", curve: Curve::line(a, b), statistics };
    if normalised {
        if options.statistics_anew {
            plans.push(line(Statistics::Anew));
        }
        plans.push(line(Statistics::Interpolated));
    } else {
        plans.push(line(Statistics::None));
    }
    show(&mut desk, members, &plans, normalised, options, memory)?;

    let mut ways = Vec::new();
    for plan in &plans {
        ways.push(way(&mut desk, losses, plan, options.points)?);
    }
    let points = match &options.eigenpairs {
        Some(_) => curvatures(&mut desk, members, &plans[0], &ways[0], options, memory)?,
        None => Vec::new(),
    };
    let (alignment, mut left_out) =
        match options.align.then(|| aligned(&mut desk, losses, a, b)).transpose()? {
            Some(Ok(found)) => (Some(found), Vec::new()),
            Some(Err(reason)) => (None, vec![reason]),
            None => (None, Vec::new()),
        };
    if let Some(found) = &alignment {
        let statistics = if normalised { Statistics::Anew } else { Statistics::None };
        let plan = Plan { name: "aligned-line", curve: Curve::line(a, &found.weights), statistics };
        ways.push(way(&mut desk, losses, &plan, options.points)?);
    }
    let mut remark = None;
    if let Some(curve) = options.curve.as_ref().filter(|_| !losses.main.risk.offers().gradient) {
        left_out.push(format!("the curve ({} steps): the loss offers no gradient", curve.steps));
    }
    if let Some(curve) = options.curve.as_ref().filter(|_| losses.main.risk.offers().gradient) {
        let trained = trained_curve(&mut desk, losses, a, b, curve, options.seed)?;
        let statistics = if normalised { Statistics::Anew } else { Statistics::None };
        let plan = Plan { name: "curve", curve: Curve::quadratic(a, &trained.bend, b), statistics };
        let outcome = match trained.diverged {
            Some(reason) => Trained::Diverged(reason),
            None => {
                let found = way(&mut desk, losses, &plan, options.points)?;
                let outcome = outcome(&found, &ways);
                if !matches!(outcome, Trained::Diverged(_)) {
                    ways.push(found);
                }
                outcome
            }
        };
        let of = format!("the training of the curve ({} steps, rate {})", curve.steps, curve.rate);
        match outcome {
            Trained::Lowered => {}
            Trained::NotLowered(reason) => {
                remark = Some(format!("{of} did not lower its loss: {reason}; a smaller rate may help"));
            }
            Trained::Diverged(reason) => {
                let text =
                    format!("{of} diverged: {reason}; there is no curve to show. A smaller rate may help");
                left_out.push(format!("the curve: {text}"));
                remark = Some(text);
            }
        }
    }
    let mut verdict = path_page::verdict(&ways, [&a.name, &b.name]);
    verdict.extend(remark.map(|text| format!("{}.", capitalised(&text))));
    let mut about = about(members);
    if normalised {
        about.push(
            "Buffers are held fixed where a single point is analysed (the curvature at the ends and at the highest point); on lines \
             and curves running statistics of batch norm are interpolated or computed anew, as each says."
                .into(),
        );
    }
    let mut provenance = weights_provenance(members);
    provenance.insert("option.points".into(), options.points.into());
    provenance.insert("option.seed".into(), options.seed.into());
    if let Some(curve) = &options.curve {
        provenance.insert("option.curve".into(), serde_json::to_value(curve).unwrap_or_default());
    }
    let results = PathResults {
        schema: SCHEMA,
        verb: "path".into(),
        verdict,
        about,
        names: [a.name.clone(), b.name.clone()],
        distance: a.distance(b),
        cosine: a.cosine(b),
        alignment: alignment.map(|found| AlignmentResult {
            groups: found.orders.len(),
            units: found.moved[1],
            moved: found.moved[0],
            distance: a.distance(&found.weights),
        }),
        left_out,
        ways,
        points,
        provenance,
    };
    let dir = desk.folder.dir().join(format!("path-{}-{}", a.name, b.name));
    path_page::save(&results, &dir)?;
    Ok(results)
}

/// What the training made of a curve.
enum Trained {
    /// Its mean loss over t is below that of the line that it began as.
    Lowered,
    /// It is not.
    NotLowered(String),
    /// There are losses that are no numbers, or the mean is above that of the line by more than that mean and than the line's own range.
    Diverged(String),
}

fn outcome(curve: &Way, ways: &[Way]) -> Trained {
    if let Some(i) = curve.sides.iter().find_map(|s| s.loss.iter().position(|m| !m.value.is_finite())) {
        return Trained::Diverged(format!("the loss on it is not finite at t = {:.3}", curve.t[i]));
    }
    let losses = |way: &Way| -> Vec<f64> {
        way.sides.first().map_or(Vec::new(), |s| s.loss.iter().map(|m| m.value).collect())
    };
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len().max(1) as f64;
    let Some(line) = ways.iter().find(|w| w.name == "line" && w.statistics == curve.statistics) else {
        // The line is not known with the same statistics.
        return Trained::Lowered;
    };
    let line = losses(line);
    let (after, before) = (mean(&losses(curve)), mean(&line));
    let [low, high] = [f64::min, f64::max].map(|f: fn(f64, f64) -> f64| line.iter().copied().fold(before, f));
    let text = || {
        format!("its mean over t is {}, that of the line where it began {}", number(after), number(before))
    };
    if after > before + before.abs().max(high - low) {
        Trained::Diverged(text())
    } else if after > before {
        Trained::NotLowered(text())
    } else {
        Trained::Lowered
    }
}

/// How far a loss may move by rounding alone when units change places, relative to it (or to 1e-3, where it is small): sums in single
/// precision over another order differ by some 1e-6.
const SAME_LOSS: f64 = 1e-4;

/// B with its hidden units in the order of A's, or a word why not. The loss must be that of B.
fn aligned(
    desk: &mut Desk<'_>,
    losses: &ModelLosses<'_>,
    a: &Weights,
    b: &Weights,
) -> Result<Result<Alignment, String>, AnalysisError> {
    let risk = losses.main.risk;
    let Some(groups) = risk.unit_groups().filter(|g| !g.is_empty()) else {
        return Ok(Err("the alignment: it is not known which units of this model can change places".into()));
    };
    let mut of = risk_identity(risk, &a.theta)?;
    of.insert("ends.sha256".into(), vec![a.sha256.clone(), b.sha256.clone()].into());
    let part = Part {
        name: format!("alignment-{}-{}", a.name, b.name),
        title: format!("units of {} in the order of {}", b.name, a.name),
        of,
        forecast: Forecast { products: 0, evaluations: 2 },
    };
    let orders = desk.part(&part, |work, _| {
        let orders = matching(a, b, &groups);
        let found = reordered(a, b, &groups, orders.clone(), risk);
        let mut loss = |weights: &Weights| -> Result<f64, AnalysisError> {
            let risk = Bound::new(risk, &weights.buffers)?;
            Ok(work.evaluate(risk.risk(), &weights.theta)?.loss)
        };
        let (before, after) = (loss(b)?, loss(&found.weights)?);
        if (after - before).abs() > SAME_LOSS * before.abs().max(1e-3) {
            return Err(AnalysisError::Other(format!(
                "the permutation of hidden units changed the loss of {} from {before} to {after}; expected the same",
                b.origin
            )));
        }
        work.monitor.end("");
        Ok(orders)
    })?;
    Ok(Ok(reordered(a, b, &groups, orders, risk)))
}

/// What a way depends on.
fn dependencies(losses: &ModelLosses<'_>, plan: &Plan<'_>, points: usize) -> Result<Dependencies, RiskError> {
    let mut of = Dependencies::new();
    let [start, _] = plan.curve.ends();
    for split in losses.splits() {
        for (key, value) in risk_identity(split.risk, &start.theta)? {
            of.insert(format!("{}.{key}", split.name), value);
        }
    }
    of.insert("ends.sha256".into(), plan.curve.ends().map(|w| w.sha256.clone()).to_vec().into());
    of.insert("curve".into(), plan.curve.fingerprint().into());
    of.insert("points".into(), points.into());
    of.insert("statistics".into(), serde_json::to_value(plan.statistics).unwrap_or_default());
    Ok(of)
}

fn way_part(losses: &ModelLosses<'_>, plan: &Plan<'_>, points: usize) -> Result<Part, RiskError> {
    let [a, b] = plan.curve.ends().map(|w| w.name.clone());
    let each = losses.splits().len() + usize::from(plan.statistics == Statistics::Anew);
    Ok(Part {
        name: format!("{}-{a}-{b}{}", plan.name, plan.statistics.ending()),
        title: format!("{} from {a} to {b}", plan.name),
        of: dependencies(losses, plan, points)?,
        forecast: Forecast { products: 0, evaluations: each * points },
    })
}

/// Loss chunk by chunk at every point of a way, on every split.
fn way(
    desk: &mut Desk<'_>,
    losses: &ModelLosses<'_>,
    plan: &Plan<'_>,
    points: usize,
) -> Result<Way, AnalysisError> {
    let splits = losses.splits();
    let t: Vec<f64> = (0..points).map(|i| i as f64 / (points - 1) as f64).collect();
    let part = way_part(losses, plan, points)?;
    let found: Vec<Vec<Values>> = desk.part(&part, |work, kept: Option<Vec<Vec<Values>>>| {
        let mut found = kept.unwrap_or_default();
        work.monitor.begin(&part.title, Some(points as u64));
        for &t in t.iter().skip(found.len()) {
            work.check()?;
            found.push(at(work, losses, plan, t)?);
            work.monitor.advance(found.len() as u64, "");
            work.keep(&found)?;
        }
        work.monitor.end("");
        Ok(found)
    })?;
    let sides = splits
        .iter()
        .enumerate()
        .map(|(k, split)| {
            let values: Vec<&Values> = found.iter().filter_map(|v| v.get(k)).collect();
            side(split.name, split.risk.samples(), &t, &values)
        })
        .collect();
    Ok(Way { name: plan.name.into(), statistics: plan.statistics, length: plan.curve.length(), t, sides })
}

/// The values at one point of a way.
fn at(
    work: &mut Work<'_>,
    losses: &ModelLosses<'_>,
    plan: &Plan<'_>,
    t: f64,
) -> Result<Vec<Values>, AnalysisError> {
    let (theta, buffers) = place(losses, plan, t)?;
    let mut values = Vec::new();
    for split in losses.splits() {
        let risk = Bound::new(split.risk, &buffers)?;
        values.push(work.evaluate(risk.risk(), &theta)?.into());
    }
    Ok(values)
}

/// θ and buffers at one point of a way.
fn place(losses: &ModelLosses<'_>, plan: &Plan<'_>, t: f64) -> Result<(Vec<f64>, Vec<f64>), AnalysisError> {
    let (theta, mut buffers) = plan.curve.at(t);
    // Anew at the ends, too: both curves are then of one kind.
    if plan.statistics == Statistics::Anew
        && let Some(new) = losses.main.risk.buffers_anew(&theta)?
    {
        buffers = new;
    }
    Ok((theta, buffers))
}

/// One split's side of a way, with its barrier.
fn side(split: &str, samples: usize, t: &[f64], values: &[&Values]) -> WaySide {
    let ends = [values.first(), values.last()].map(|v| v.copied());
    let higher = match ends {
        [Some(a), Some(b)] if b.loss > a.loss => Some(b),
        [a, _] => a,
    };
    let zero = Values::default();
    let higher = higher.unwrap_or(&zero);
    let above_ends: Vec<Measured> = values.iter().map(|v| v.minus(higher)).collect();
    let mut top = 0;
    for (i, v) in values.iter().enumerate() {
        // A loss that is no number is no height; one that is infinite is the highest.
        if v.loss > values[top].loss || values[top].loss.is_nan() {
            top = i;
        }
    }
    let barrier =
        above_ends.get(top).map_or(Barrier { height: f64::NAN, std_error: None, at: f64::NAN }, |m| {
            if m.value > 0.0 {
                Barrier { height: m.value, std_error: m.std_error, at: t[top] }
            } else {
                Barrier { height: 0.0, std_error: Some(0.0), at: t[top] }
            }
        });
    WaySide {
        split: split.into(),
        samples,
        loss: values.iter().map(|v| v.loss()).collect(),
        above_ends,
        accuracy: values.iter().filter_map(|v| v.accuracy()).collect(),
        barrier,
    }
}

fn selection(options: &PathOptions) -> Selection {
    Selection {
        seed: options.seed,
        eigenpairs: options.eigenpairs.clone(),
        earlier_eigenpairs: true,
        probes: Some(options.probes),
        ..Selection::nothing("path")
    }
}

/// The point of a way at t, as weights of their own. Its name says what it is made of, so that another point gets another folder.
fn weights_at(losses: &ModelLosses<'_>, plan: &Plan<'_>, t: f64) -> Result<Weights, AnalysisError> {
    let (theta, buffers) = place(losses, plan, t)?;
    let [a, b] = plan.curve.ends();
    let origin = format!("{} from {} to {}, t = {t:.4}", plan.name, a.origin, b.origin);
    let mut weights = Weights::with_buffers("top", origin, theta, buffers, losses.main.risk);
    weights.name = format!("between-{}", &weights.sha256[..12]);
    Ok(weights)
}

/// What the highest point of the line is called.
pub(crate) const HIGHEST: &str = "highest point";

/// Curvature at both ends and at the highest point of the line.
fn curvatures(
    desk: &mut Desk<'_>,
    members: &[Member<'_>; 2],
    plan: &Plan<'_>,
    line: &Way,
    options: &PathOptions,
    memory: MemoryLimit,
) -> Result<Vec<PointResult>, AnalysisError> {
    let losses = members[0].losses;
    let mut all = vec![(members[0].weights.clone(), None)];
    let highest = line.sides.first().filter(|s| s.barrier.height > 0.0).map(|s| s.barrier.at);
    if let Some(t) = highest {
        all.push((weights_at(losses, plan, t)?, Some(format!("{HIGHEST} (t = {t:.2})"))));
    }
    all.push((members[1].weights.clone(), None));
    let mut points = Vec::new();
    for (weights, label) in &all {
        let selection = selection(options);
        let job = PointJob { losses, weights, split: losses.main, selection, label: label.clone() };
        let analysis = job.run(desk, memory, false)?;
        let values = job.values(desk)?;
        points.push(point_of(&job, job.side(&analysis, &values)));
    }
    desk.monitor.finished(HIGHEST);
    Ok(points)
}

/// Shows what everything costs.
fn show(
    desk: &mut Desk<'_>,
    members: &[Member<'_>; 2],
    plans: &[Plan<'_>],
    normalised: bool,
    options: &PathOptions,
    memory: MemoryLimit,
) -> Result<(), AnalysisError> {
    let losses = members[0].losses;
    let out = desk.folder.dir().to_path_buf();
    let mut stages = Vec::new();
    for plan in plans {
        stages.push(desk.planned(&way_part(losses, plan, options.points)?)?);
    }
    if options.eigenpairs.is_some() {
        let mut of_ends = Vec::new();
        for m in members {
            let selection = selection(options);
            let job = PointJob { losses, weights: &m.weights, split: losses.main, selection, label: None };
            of_ends.push(job.planned(&out, memory)?);
        }
        // Where the highest point lies is known once the line is.
        let known = stages.iter().chain(&of_ends).all(|s| s.fate == Fate::Reused);
        let forecast = of_ends.iter().map(|s| s.forecast).max_by_key(|f| f.products).unwrap_or_default();
        stages.extend(of_ends);
        stages.push(PlannedStage {
            name: HIGHEST.into(),
            fate: if known { Fate::Continued } else { Fate::ToDo },
            forecast,
            spent: Spent::default(),
            dense_seconds: 0.0,
        });
    }
    let [a, b] = [&members[0].weights, &members[1].weights];
    if options.align && losses.main.risk.unit_groups().is_some_and(|g| !g.is_empty()) {
        let known = stages.iter().all(|s| s.fate == Fate::Reused);
        let each = losses.splits().len() + usize::from(normalised);
        stages.push(PlannedStage {
            name: "aligned line".into(),
            fate: if known { Fate::Continued } else { Fate::ToDo },
            forecast: Forecast { products: 0, evaluations: 2 + each * options.points },
            spent: Spent::default(),
            dense_seconds: 0.0,
        });
    }
    if let Some(curve) = options.curve.as_ref().filter(|_| losses.main.risk.offers().gradient) {
        let part = super::curve::part(losses, a, b, curve, options.seed)?;
        stages.push(desk.planned(&part)?);
        let each = losses.splits().len() + usize::from(normalised);
        stages.push(PlannedStage {
            name: format!(
                "curve-{}-{}{}",
                a.name,
                b.name,
                if normalised { Statistics::Anew } else { Statistics::None }.ending()
            ),
            fate: if stages.iter().all(|s| s.fate == Fate::Reused) { Fate::Continued } else { Fate::ToDo },
            forecast: Forecast { products: 0, evaluations: each * options.points },
            spent: Spent::default(),
            dense_seconds: 0.0,
        });
    }
    let job = PointJob { losses, weights: a, split: losses.main, selection: selection(options), label: None };
    // A, B, the aligned B and the bend of the curve.
    let bytes = job.memory(&out, 4, memory)?;
    desk.show_plan(&stages, losses.main.risk, &a.theta, bytes)
}
