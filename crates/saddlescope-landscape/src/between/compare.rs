//! Several weights side by side: which is flatter, in which measure, and do they have anything in common?

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::anew::Anew;
use super::compare_page;
use super::compare_results::{CompareResults, Compared, PairResult, PlacedPoint, PlaneResult, SCHEMA};
use super::desk::{Desk, Part};
use super::error::BetweenError;
use super::points::{PointJob, PointResult, SideResult, Values, risk_identity};
use super::principal::principal;
use super::subspace::{Span, overlap};
use super::weights::{Member, check, check_one_model};
use crate::analysis::{
    Analysis, AnalysisError, EigenpairOptions, Fate, Forecast, MemoryLimit, Monitor, NamedSurface, ROWS,
    Selection, SpectrumEnd, SurfaceOptions, evaluate_rows, number, radius, shown_change, symmetric_axis,
};
use crate::axis::Axis;
use crate::direction::{Direction, Origin};
use crate::numeric::{add_scaled, dot, norm};
use crate::plane::Plane;
use crate::sharpness::SharpnessOptions;
use crate::surface::Surface;

/// What is computed of every point.
#[derive(Clone, Debug, PartialEq)]
pub struct CompareOptions {
    /// Seed of every random number.
    pub seed: u64,
    /// Extreme eigenpairs.
    pub eigenpairs: EigenpairOptions,
    /// Random probes of the trace.
    pub probes: usize,
    /// Points along each side of a surface; 0: no surfaces.
    pub grid: usize,
    /// Measures of sharpness; `None`: none but λ_max and the trace.
    pub sharpness: Option<SharpnessOptions>,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self { seed: 0, eigenpairs: EigenpairOptions::default(), probes: 16, grid: 21, sharpness: None }
    }
}

impl CompareOptions {
    /// The stages of one point, without surfaces.
    pub(crate) fn selection(&self) -> Selection {
        Selection {
            seed: self.seed,
            eigenpairs: Some(self.eigenpairs.clone()),
            probes: Some(self.probes),
            sharpness: self.sharpness.clone(),
            ..Selection::nothing("compare")
        }
    }
}

/// Compares two or more weights, of one model or (by table only) of several.
///
/// # Errors
/// Weights that cannot be compared, cancelled (everything finished is kept), or whatever an analysis reports.
pub fn compare(
    members: &[Member<'_>],
    options: &CompareOptions,
    memory: MemoryLimit,
    out: &Path,
    monitor: &mut dyn Monitor,
) -> Result<CompareResults, AnalysisError> {
    check(members, 2)?;
    let one_model = check_one_model(members).err();
    let mut desk = Desk::open(out, monitor)?;
    let jobs: Vec<PointJob<'_>> = members
        .iter()
        .flat_map(|m| {
            m.losses.splits().into_iter().map(|split| PointJob {
                losses: m.losses,
                weights: &m.weights,
                split,
                selection: options.selection(),
                label: None,
            })
        })
        .collect();
    plan(&mut desk, &jobs, members, options, memory)?;

    let (mut analyses, mut points, mut values) = (Vec::new(), Vec::<PointResult>::new(), Vec::new());
    for job in &jobs {
        // Where surfaces follow, so does the page.
        let pages = options.grid == 0 || job.split.name != job.losses.main.name;
        let analysis = job.run(&mut desk, memory, pages)?;
        let found = job.values(&mut desk)?;
        let side = job.side(&analysis, &found);
        match points.last_mut().filter(|p| p.name == job.weights.name) {
            Some(point) => point.sides.push(side),
            None => points.push(point_of(job, side)),
        }
        if job.split.name == job.losses.main.name {
            analyses.push(analysis);
        }
        values.push((job.weights.name.clone(), job.split.name.to_string(), found));
    }
    let surfaces = own_surfaces(&mut desk, members, &analyses, options, memory)?;
    let mut left_out = Vec::new();
    let plane = match &one_model {
        None if options.grid > 0 => match common_plane(&mut desk, members, &analyses, options.grid) {
            Ok(plane) => Some(plane),
            Err(AnalysisError::Between(error)) => {
                left_out.push(format!("a common plane: {error}"));
                None
            }
            Err(error) => return Err(error),
        },
        None => None,
        Some(BetweenError::Models { first, model, second, other }) => {
            left_out.push(format!(
                "Planes, distances and eigenvectors: {first} is of {model} and {second} of {other}, whose parameters are not the same."
            ));
            None
        }
        Some(error) => {
            left_out.push(format!("Planes, distances and eigenvectors: {error}."));
            None
        }
    };
    let pairs = pairs(members, &analyses, &values);
    let results = CompareResults {
        schema: SCHEMA,
        verb: "compare".into(),
        verdict: compare_page::verdict(&points, &pairs, one_model.is_none()),
        about: about(members),
        points,
        pairs,
        plane,
        left_out,
        provenance: provenance(members, options),
    };
    let compared = Compared { results, surfaces };
    compare_page::save(&compared, &desk.folder.dir().join("compare"))?;
    Ok(compared.results)
}

/// What was analysed, each sentence once.
pub(crate) fn about(members: &[Member<'_>]) -> Vec<String> {
    let mut about: Vec<String> = Vec::new();
    let several = check_one_model(members).is_err();
    for m in members {
        // Whoever speaks of the other split themselves need not be repeated.
        let said =
            |name: &str| m.losses.about.iter().any(|s| s.contains(&format!("The {name} split beside it")));
        let other = m.losses.other.filter(|other| !said(other.name)).map(|other| {
            format!("{} samples of the {} split beside them.", other.risk.samples(), other.name)
        });
        for sentence in m.losses.about.iter().cloned().chain(other) {
            let sentence = if several { format!("{}: {sentence}", m.losses.model) } else { sentence };
            if !about.contains(&sentence) {
                about.push(sentence);
            }
        }
    }
    about
}

fn provenance(members: &[Member<'_>], options: &CompareOptions) -> BTreeMap<String, Value> {
    let mut map = weights_provenance(members);
    map.insert("option.seed".into(), options.seed.into());
    map.insert("option.probes".into(), options.probes.into());
    map.insert("option.grid".into(), options.grid.into());
    map.insert("option.sharpness".into(), serde_json::to_value(&options.sharpness).unwrap_or_default());
    map.insert("option.eigenpairs".into(), serde_json::to_value(&options.eigenpairs).unwrap_or_default());
    map
}

/// Versions, data and fingerprints.
pub(crate) fn weights_provenance(members: &[Member<'_>]) -> BTreeMap<String, Value> {
    let mut map = BTreeMap::new();
    map.insert("saddlescope".into(), env!("CARGO_PKG_VERSION").into());
    for m in members {
        let name = &m.weights.name;
        map.insert(format!("weights.{name}"), m.weights.origin.clone().into());
        map.insert(format!("weights.{name}.sha256"), m.weights.sha256.clone().into());
        let risk = m.losses.main.risk;
        for (key, value) in risk.identity() {
            map.insert(format!("{}.{key}", m.losses.model), value);
        }
        map.insert(format!("{}.samples", m.losses.model), risk.samples().into());
    }
    map
}

pub(crate) fn point_of(job: &PointJob<'_>, side: SideResult) -> PointResult {
    PointResult {
        name: job.label().into(),
        origin: job.weights.origin.clone(),
        model: job.losses.model.clone(),
        parameters: job.weights.theta.len(),
        norm: job.weights.norm(),
        position: job.weights.position,
        sides: vec![side],
    }
}

/// Shows what everything costs. Surfaces depend on what the points are like: whether they are kept is known once the points are.
fn plan(
    desk: &mut Desk<'_>,
    jobs: &[PointJob<'_>],
    members: &[Member<'_>],
    options: &CompareOptions,
    memory: MemoryLimit,
) -> Result<(), AnalysisError> {
    let out = desk.folder.dir().to_path_buf();
    let mut stages = jobs.iter().map(|j| j.planned(&out, memory)).collect::<Result<Vec<_>, _>>()?;
    if options.grid > 0 {
        let cells = (options.grid | 1).pow(2);
        let fate = if stages.iter().all(|s| s.fate == Fate::Reused) { Fate::Continued } else { Fate::ToDo };
        let mut shared = |name: String, evaluations: usize| {
            stages.push(crate::analysis::PlannedStage {
                name,
                fate,
                forecast: Forecast { products: 0, evaluations },
                spent: Default::default(),
                dense_seconds: 0.0,
            });
        };
        members.iter().for_each(|m| shared(format!("{} surfaces", m.weights.name), 3 * cells));
        if check_one_model(members).is_ok() {
            shared("plane".into(), cells);
        }
    }
    let Some(first) = jobs.first() else { return Ok(()) };
    let bytes = first.memory(&out, members.len(), memory)?;
    desk.show_plan(&stages, first.split.risk, &first.weights.theta, bytes)
}

/// Surfaces around every point: along its own extreme eigenvectors and along the same random draw, on axes that all share.
fn own_surfaces(
    desk: &mut Desk<'_>,
    members: &[Member<'_>],
    analyses: &[Analysis],
    options: &CompareOptions,
    memory: MemoryLimit,
) -> Result<Vec<(String, Vec<NamedSurface>)>, AnalysisError> {
    if options.grid == 0 {
        return Ok(Vec::new());
    }
    let reach = |end: fn(&[_]) -> Option<&crate::analysis::EigenpairResult>| -> f64 {
        let radii: Vec<f64> = analyses
            .iter()
            .filter_map(|a| {
                Some(radius(shown_change(a.results.loss), end(&a.results.eigenpairs)?.value).ln())
            })
            .collect();
        // The geometric mean: neither the flattest nor the sharpest point decides alone.
        (radii.iter().sum::<f64>() / radii.len().max(1) as f64).exp()
    };
    let radii = [reach(crate::analysis::largest), reach(crate::analysis::smallest)];
    let mut surfaces = Vec::new();
    for m in members {
        let mut selection = options.selection();
        selection.surfaces = Some(SurfaceOptions { grid: options.grid, hessian_radius: Some(radii) });
        let job =
            PointJob { losses: m.losses, weights: &m.weights, split: m.losses.main, selection, label: None };
        let analysis = job.run(desk, memory, true)?;
        desk.monitor.finished(&format!("{} surfaces", m.weights.name));
        surfaces.push((m.weights.name.clone(), analysis.surfaces));
    }
    Ok(surfaces)
}

/// The points in a plane: the first two principal components, or the line between two and the direction of the first one's
/// largest eigenvalue.
fn common_plane(
    desk: &mut Desk<'_>,
    members: &[Member<'_>],
    analyses: &[Analysis],
    grid: usize,
) -> Result<PlaneResult, AnalysisError> {
    let thetas: Vec<&[f64]> = members.iter().map(|m| m.weights.theta.as_slice()).collect();
    let parts = principal(&thetas, members.len().min(3) - 1)?;
    let mut directions = parts.directions;
    let mut words = ["first principal component".to_string(), "second principal component".to_string()];
    let mut shares = parts.shares.get(1).map(|&second| [parts.shares[0], second]);
    let mut least_reach = 0.0;
    if let ([line], [first, second, ..]) = (directions.as_slice(), members) {
        words[0] = format!("from {} to {}", first.weights.name, second.weights.name);
        shares = None;
        // Its part across the line; an eigenvector along the line spans no plane with it.
        let across = |mut v: Vec<f64>| {
            let along = dot(&v, line);
            add_scaled(&mut v, -along, line);
            let length = norm(&v);
            v.iter_mut().for_each(|x| *x /= length);
            (length > 1e-3).then_some(v)
        };
        let found = analyses.first().and_then(|a| {
            let pairs = a.results.eigenpairs.iter().zip(&a.eigenvectors).enumerate();
            pairs.filter_map(|(i, (pair, v))| Some((a, i, pair.value, across(v.clone())?))).next()
        });
        let v = match found {
            Some((a, i, value, v)) => {
                words[1] = match i {
                    0 => format!("eigenvector of λ_max at {}", first.weights.name),
                    _ => format!("eigenvector of λ = {} at {}", number(value), first.weights.name),
                };
                least_reach = radius(shown_change(a.results.loss), value);
                v
            }
            None => {
                words[1] = "random direction".into();
                least_reach = 0.5 * first.weights.distance(&second.weights);
                let random = Direction::random(line.len(), 0, 0)?.into_vector();
                across(random)
                    .ok_or_else(|| AnalysisError::Other("the points span the whole space".into()))?
            }
        };
        directions.push(v);
    }
    let losses = members[0].losses;
    let placed = place(members, &parts.mean, &directions);
    let axes = axes_around(&placed, least_reach, grid)?;
    let surface = plane_surface(desk, "plane", members, &parts.mean, &directions, axes)?;
    let split = losses.slices.unwrap_or(losses.main.risk);
    Ok(PlaneResult {
        directions: words,
        split: losses.main.name.into(),
        samples: split.samples(),
        points: placed,
        shares,
        surface,
    })
}

/// Coordinates of all points in the plane through `center` along two orthonormal directions.
pub(crate) fn place(members: &[Member<'_>], center: &[f64], directions: &[Vec<f64>]) -> Vec<PlacedPoint> {
    let one = |m: &Member<'_>| {
        let mut rest: Vec<f64> = m.weights.theta.iter().zip(center).map(|(x, c)| x - c).collect();
        let at = [0, 1].map(|k| directions.get(k).map_or(0.0, |d| dot(&rest, d)));
        for (x, d) in at.iter().zip(directions) {
            add_scaled(&mut rest, -x, d);
        }
        PlacedPoint { name: m.weights.name.clone(), at, off_plane: norm(&rest) }
    };
    members.iter().map(one).collect()
}

/// Axes symmetric about 0 that hold all points with a margin.
pub(crate) fn axes_around(
    points: &[PlacedPoint],
    least: f64,
    grid: usize,
) -> Result<[Axis; 2], AnalysisError> {
    let reach = |k: usize| points.iter().map(|p| p.at[k].abs()).fold(0.0, f64::max);
    let (x, y) = (1.4 * reach(0), 1.4 * reach(1));
    // In a principal direction with little in it, a line would be drawn: keep some breadth.
    let y = if least > 0.0 { y.max(least) } else { y.max(0.2 * x) };
    Ok([symmetric_axis(x.max(0.2 * y), grid)?, symmetric_axis(y, grid)?])
}

/// The loss over a plane on the samples of slices, with batch-norm statistics anew at each point of the grid.
pub(crate) fn plane_surface(
    desk: &mut Desk<'_>,
    name: &str,
    members: &[Member<'_>],
    center: &[f64],
    directions: &[Vec<f64>],
    axes: [Axis; 2],
) -> Result<Surface, AnalysisError> {
    let losses = members[0].losses;
    let split = losses.slices.unwrap_or(losses.main.risk);
    let risk = Anew { statistics: losses.main.risk, risk: split };
    let mut of = risk_identity(&risk, center)?;
    of.insert("statistics.samples".into(), losses.main.risk.samples().into());
    let mut hash = crate::analysis::WeightsHash::new(losses.main.risk.layout());
    hash.values(center);
    directions.iter().for_each(|d| hash.values(d));
    of.insert("plane.sha256".into(), hash.finish().into());
    of.insert("axes".into(), serde_json::to_value(axes).unwrap_or_default());
    let part = Part {
        name: name.into(),
        title: format!("surface {name}"),
        of,
        forecast: Forecast { products: 0, evaluations: axes[0].count() * axes[1].count() },
    };
    desk.part(&part, |work, _| {
        let direction = |k: usize| Direction::new(directions[k].clone(), Origin::Displacement);
        let plane = Plane::new(center.to_vec(), direction(0)?, direction(1)?)?;
        let mut evaluations = 0;
        let mut count = |n: usize| evaluations += n;
        let surface = evaluate_rows(
            work.slot,
            &mut *work.monitor,
            &mut count,
            &part.title,
            (&risk, None),
            &plane,
            axes,
        )?;
        work.evaluations += evaluations;
        work.slot.remove(ROWS)?;
        Ok(surface)
    })
}

fn pairs(
    members: &[Member<'_>],
    analyses: &[Analysis],
    values: &[(String, String, Values)],
) -> Vec<PairResult> {
    let mut pairs = Vec::new();
    for (i, a) in members.iter().enumerate() {
        for (j, b) in members.iter().enumerate().skip(i + 1) {
            if !std::ptr::eq(a.losses, b.losses) {
                continue;
            }
            let find = |name: &str, split: &str| {
                values.iter().find(|(n, s, _)| n == name && s == split).map(|(_, _, v)| v)
            };
            let mut loss_differences = BTreeMap::new();
            for split in a.losses.splits() {
                if let (Some(x), Some(y)) =
                    (find(&a.weights.name, split.name), find(&b.weights.name, split.name))
                {
                    loss_differences.insert(split.name.to_string(), x.minus(y));
                }
            }
            let common = |end| {
                let of = |analysis: usize| {
                    let a: &Analysis = &analyses[analysis];
                    Some(Span::of(a.results.eigen.as_ref()?, &a.eigenvectors, end))
                };
                overlap(&of(i)?, &of(j)?)
            };
            pairs.push(PairResult {
                names: [a.weights.name.clone(), b.weights.name.clone()],
                distance: a.weights.distance(&b.weights),
                cosine: a.weights.cosine(&b.weights),
                loss_differences,
                largest: common(SpectrumEnd::Largest),
                smallest: common(SpectrumEnd::Smallest),
            });
        }
    }
    pairs
}
