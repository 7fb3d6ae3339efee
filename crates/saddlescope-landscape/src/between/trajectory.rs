//! The way that a training went: its checkpoints in a plane, and how loss and curvature changed.

use std::path::Path;

use super::compare::{about, axes_around, place, plane_surface, point_of, weights_provenance};
use super::compare_results::{PlacedPoint, PlaneResult, SCHEMA};
use super::desk::Desk;
use super::error::BetweenError;
use super::points::PointJob;
use super::principal::{principal, random_walk_share};
use super::trajectory_page;
use super::trajectory_results::TrajectoryResults;
use super::weights::{Member, check, check_one_model, distinct};
use crate::analysis::{
    Analysis, AnalysisError, EigenpairOptions, Fate, Forecast, MemoryLimit, Monitor, PlannedStage, Selection,
    SpectrumEnd, Spent, Split, radius, shown_change,
};

/// What is computed of a training.
#[derive(Clone, Debug, PartialEq)]
pub struct TrajectoryOptions {
    /// Seed of every random number.
    pub seed: u64,
    /// Extreme eigenpairs at every checkpoint.
    pub eigenpairs: EigenpairOptions,
    /// Random probes of the trace at every checkpoint.
    pub probes: usize,
    /// Points along each side of a surface; 0: no surfaces.
    pub grid: usize,
    /// Learning rate η where the checkpoints do not say it.
    pub learning_rate: Option<f64>,
    /// Momentum μ where they do not say it.
    pub momentum: Option<f64>,
}

impl Default for TrajectoryOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            eigenpairs: EigenpairOptions { largest: 1, smallest: 1, ..EigenpairOptions::default() },
            probes: 16,
            grid: 25,
            learning_rate: None,
            momentum: None,
        }
    }
}

/// The way of a training through its checkpoints, in the order given. A new checkpoint costs only itself (and new planes). A copy of
/// another checkpoint is left out, and the results say so.
///
/// # Errors
/// Fewer than two different checkpoints, weights of several models, cancelled (everything finished is kept), or whatever an analysis
/// reports.
pub fn trajectory(
    members: &[Member<'_>],
    options: &TrajectoryOptions,
    memory: MemoryLimit,
    out: &Path,
    monitor: &mut dyn Monitor,
) -> Result<TrajectoryResults, AnalysisError> {
    let given = members;
    let (members, mut left_out) = distinct(given);
    let members = &*members;
    if let ([only], [first, second, ..]) = (members, given) {
        let copy = if only.weights.origin == first.weights.origin { second } else { first };
        let [first, second] = [only, copy].map(|m| m.weights.origin.clone());
        return Err(BetweenError::Identical { first, second }.into());
    }
    check(members, 2)?;
    check_one_model(members)?;
    left_out.iter().for_each(|sentence| monitor.note(sentence));
    let mut desk = Desk::open(out, monitor)?;
    let losses = members[0].losses;
    show(&mut desk, members, options, memory)?;

    let (mut points, mut last) = (Vec::new(), None);
    for m in 0..members.len() {
        let main = job(members, m, losses.main, options);
        let analysis = main.run(&mut desk, memory, false)?;
        let values = main.values(&mut desk)?;
        let mut point = point_of(&main, main.side(&analysis, &values));
        if let Some(other) = losses.other {
            // The other samples: loss and accuracy alone.
            let other = job(members, m, other, options);
            let values = other.values(&mut desk)?;
            point.sides.push(other.side_of_values(&values));
        }
        points.push(point);
        last = Some(analysis);
    }

    let thetas: Vec<&[f64]> = members.iter().map(|m| m.weights.theta.as_slice()).collect();
    let parts = principal(&thetas, 2).or_else(|error| {
        left_out.push(format!("the plane of the principal components: {error}"));
        principal(&thetas, 1)
    })?;
    let center = &members[members.len() - 1].weights.theta;
    let mut principal_plane = None;
    if parts.directions.len() == 2 && options.grid > 0 {
        let words = [1, 2].map(|k| format!("principal component {k}"));
        let shares = Some([parts.shares[0], parts.shares[1]]);
        let name = "principal-plane";
        principal_plane = Some(plane(
            &mut desk,
            name,
            members,
            center,
            &parts.directions,
            words,
            shares,
            [0.0; 2],
            options.grid,
        )?);
    }
    let hessian_plane = match last.as_ref().filter(|_| options.grid > 0) {
        Some(analysis) => hessian_plane(&mut desk, members, center, analysis, options.grid)?,
        None => None,
    };
    let steps: Vec<f64> = members.windows(2).map(|w| w[1].weights.distance(&w[0].weights)).collect();
    let rates: Option<Vec<f64>> =
        members.iter().map(|m| m.weights.position.learning_rate.or(options.learning_rate)).collect();
    let momentum = members.iter().find_map(|m| m.weights.position.momentum).or(options.momentum);
    let limit = |factor: f64| rates.as_ref().map(|r| r.iter().map(|eta| factor / eta).collect::<Vec<_>>());
    let mut provenance = weights_provenance(members);
    provenance.insert("option.seed".into(), options.seed.into());
    provenance.insert("option.probes".into(), options.probes.into());
    provenance.insert("option.grid".into(), options.grid.into());
    let mut results = TrajectoryResults {
        schema: SCHEMA,
        verb: "trajectory".into(),
        verdict: Vec::new(),
        about: about(members),
        distance: members[0].weights.distance(&members[members.len() - 1].weights),
        steps,
        random_walk_shares: [1, 2].map(|k| random_walk_share(k, members.len())),
        shares: parts.shares,
        stability_limit: limit(2.0),
        momentum_limit: momentum.filter(|m| *m > 0.0).and_then(|m| limit(2.0 * (1.0 + m))),
        points,
        principal_plane,
        hessian_plane,
        left_out,
        provenance,
    };
    results.verdict = trajectory_page::verdict(&results);
    trajectory_page::save(&results, &desk.folder.dir().join("trajectory"))?;
    Ok(results)
}

/// The plane of the eigenvectors of λ_max and λ_min of the last checkpoint.
fn hessian_plane(
    desk: &mut Desk<'_>,
    members: &[Member<'_>],
    center: &[f64],
    analysis: &Analysis,
    grid: usize,
) -> Result<Option<PlaneResult>, AnalysisError> {
    let of = |end: SpectrumEnd| {
        let mut pairs = analysis.results.eigenpairs.iter().zip(&analysis.eigenvectors);
        match end {
            SpectrumEnd::Largest => pairs.find(|(p, _)| p.end == end),
            SpectrumEnd::Smallest => pairs.rfind(|(p, _)| p.end == end),
        }
    };
    let (Some((top, u)), Some((bottom, v))) = (of(SpectrumEnd::Largest), of(SpectrumEnd::Smallest)) else {
        return Ok(None);
    };
    let words = ["eigenvector of λ_max".to_string(), "eigenvector of λ_min".to_string()];
    let change = shown_change(analysis.results.loss);
    let least = [radius(change, top.value), radius(change, bottom.value)];
    let directions = [u.clone(), v.clone()];
    plane(desk, "hessian-plane", members, center, &directions, words, None, least, grid).map(Some)
}

/// The loss over a plane through the last checkpoint, with the checkpoints in it.
fn plane(
    desk: &mut Desk<'_>,
    name: &str,
    members: &[Member<'_>],
    center: &[f64],
    directions: &[Vec<f64>],
    words: [String; 2],
    shares: Option<[f64; 2]>,
    least: [f64; 2],
    grid: usize,
) -> Result<PlaneResult, AnalysisError> {
    let losses = members[0].losses;
    let points: Vec<PlacedPoint> = place(members, center, directions);
    let mut axes = axes_around(&points, 0.0, grid)?;
    for (axis, least) in axes.iter_mut().zip(least) {
        if axis.hi() < least {
            *axis = crate::analysis::symmetric_axis(least, grid)?;
        }
    }
    let surface = plane_surface(desk, name, members, center, directions, axes)?;
    let samples = losses.slices.unwrap_or(losses.main.risk).samples();
    Ok(PlaneResult { directions: words, split: losses.main.name.into(), samples, points, shares, surface })
}

/// The analysis of one checkpoint on one set of samples.
fn job<'b>(
    members: &'b [Member<'b>],
    m: usize,
    split: Split<'b>,
    options: &TrajectoryOptions,
) -> PointJob<'b> {
    let selection = Selection {
        seed: options.seed,
        eigenpairs: Some(options.eigenpairs.clone()),
        earlier_eigenpairs: true,
        probes: Some(options.probes),
        ..Selection::nothing("trajectory")
    };
    PointJob { losses: members[m].losses, weights: &members[m].weights, split, selection, label: None }
}

/// Shows what everything costs. Planes depend on the checkpoints: whether they are kept is known once those are.
fn show(
    desk: &mut Desk<'_>,
    members: &[Member<'_>],
    options: &TrajectoryOptions,
    memory: MemoryLimit,
) -> Result<(), AnalysisError> {
    let out = desk.folder.dir().to_path_buf();
    let losses = members[0].losses;
    let mut stages = Vec::new();
    for m in 0..members.len() {
        stages.push(job(members, m, losses.main, options).planned(&out, memory)?);
    }
    if options.grid > 0 {
        let known = stages.iter().all(|s| s.fate == Fate::Reused);
        for name in ["principal-plane", "hessian-plane"] {
            stages.push(PlannedStage {
                name: name.into(),
                fate: if known { Fate::Continued } else { Fate::ToDo },
                forecast: Forecast { products: 0, evaluations: (options.grid | 1).pow(2) },
                spent: Spent::default(),
                dense_seconds: 0.0,
            });
        }
    }
    let bytes = job(members, 0, losses.main, options).memory(&out, members.len(), memory)?;
    desk.show_plan(&stages, losses.main.risk, &members[0].weights.theta, bytes)
}
