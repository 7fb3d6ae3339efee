//! Which planes and cuts are evaluated, and their stages: one for each cut and for each surface on each set of samples.

use serde::Serialize;

use super::super::directions::NamedDirection;
use super::super::error::AnalysisError;
use super::super::found::Found;
use super::super::found::{Cut, CutLosses, NamedSurface, Prediction};
use super::super::plan::Forecast;
use super::super::requests::DirectionRequest;
use super::super::rows::{Contents, ROWS, RowLog, evaluate_rows, fingerprint};
use super::super::selection::{AutoSamples, RandomDirectionOptions, Selection, SliceChoice};
use super::super::stage::{AnyStage, At, Env, Keys, Stage, of};
use super::super::store::{Dependencies, FolderError, Slot};
use super::super::subject::Split;
use super::growing::{Pilot, choose};
use super::reach::{radius, shown_change, symmetric_axis};
use crate::adaptive::{Value, evaluate_adaptively, measure};
use crate::axis::Axis;
use crate::direction::Origin;
use crate::numeric::dot;
use crate::plane::{Line, Plane};
use crate::risk::{Curvature, Evaluation, Risk};
use crate::sampling_error::{PointErrors, has_parts, loss_std_error, paired_difference};
use crate::surface::{SurfaceError, SurfaceRow};
use saddlescope_krylov::SpectrumEnd;

const LARGEST: DirectionRequest = DirectionRequest::Eigenvector { end: SpectrumEnd::Largest, index: 1 };
const SMALLEST: DirectionRequest = DirectionRequest::Eigenvector { end: SpectrumEnd::Smallest, index: 1 };

/// Curvature vᵀHv along a direction: λ where the direction is an eigenvector, one product otherwise; NaN without products.
fn curvature(at: &At<'_, '_>, direction: &NamedDirection) -> Result<f64, AnalysisError> {
    if let Origin::Eigenvector { value, .. } = direction.direction.origin() {
        return Ok(*value);
    }
    if !at.env.subject.risk().offers().product(Curvature::Hessian) {
        return Ok(f64::NAN);
    }
    let v = direction.direction.vector();
    let mut hv = vec![0.0; v.len()];
    at.env.product(Curvature::Hessian, v, &mut hv)?;
    Ok(dot(v, &hv))
}

/// How far an axis reaches.
#[derive(Clone, Debug, Serialize)]
enum Reach {
    /// As given.
    Given(Axis),
    /// A half-width and a number of points.
    Radius(f64, usize),
    /// So far that the quadratic model changes the loss visibly, with a number of points.
    FromCurvature(usize),
    /// A random direction reaches a given half-width, any other as far as its curvature says.
    ByKind { random: f64, points: usize },
}

impl Reach {
    fn points(&self) -> usize {
        match self {
            Self::Given(axis) => axis.count(),
            Self::Radius(_, points) | Self::FromCurvature(points) | Self::ByKind { points, .. } => points | 1,
        }
    }

    fn axis(&self, at: &At<'_, '_>, direction: &NamedDirection) -> Result<Axis, AnalysisError> {
        match *self {
            Self::Given(axis) => Ok(axis),
            Self::Radius(r, points) => symmetric_axis(r, points),
            Self::ByKind { random, points } if direction.filtered => symmetric_axis(random, points),
            Self::FromCurvature(points) | Self::ByKind { points, .. } => {
                let change = shown_change(at.found.point()?.loss);
                symmetric_axis(radius(change, curvature(at, direction)?), points)
            }
        }
    }
}

/// Whether any of the directions is an eigenvector of this run.
fn uses_eigenpairs(directions: &[DirectionRequest]) -> bool {
    directions.iter().any(|d| matches!(d, DirectionRequest::Eigenvector { .. }))
}

/// Whether the eigenvectors that these directions name were found.
fn have_eigenpairs(directions: &[DirectionRequest], found: &Found) -> bool {
    directions.iter().all(|d| match d {
        DirectionRequest::Eigenvector { end, index } => {
            found.eigenpairs.as_ref().is_some_and(|e| e.pair(*end, *index).is_some())
        }
        _ => true,
    })
}

/// What slices along these directions depend on.
fn direction_dependencies(
    directions: &[DirectionRequest],
    random: &RandomDirectionOptions,
    keys: &Keys,
) -> Dependencies {
    let mut of = of([
        ("directions", serde_json::to_value(directions).unwrap_or_default()),
        ("keep_biases", random.keep_biases.into()),
    ]);
    if uses_eigenpairs(directions) {
        keys.put_eigenpairs(&mut of);
    }
    of
}

/// Slope and curvature along a direction on the samples of slices; `all` are those on all samples.
fn prediction(env: &Env<'_>, v: &[f64], all: Prediction) -> Result<Option<Prediction>, AnalysisError> {
    let own = if env.subject.slices.is_none() {
        all
    } else {
        let offers = env.subject.slice_split().risk.offers();
        if !offers.gradient || !offers.product(Curvature::Hessian) {
            return Ok(None);
        }
        let mut hv = vec![0.0; v.len()];
        env.slice_point()?.product(Curvature::Hessian, v, &mut hv)?;
        env.count_products(1);
        Prediction { slope: dot(v, env.slice_gradient()?), curvature: dot(v, &hv) }
    };
    Ok((own.slope.is_finite() && own.curvature.is_finite()).then_some(own))
}

/// The losses of a cut in the making, on one set of samples.
struct Measured<'a> {
    risk: &'a dyn Risk,
    /// At θ, with its parts.
    center: Evaluation,
    losses: CutLosses,
}

impl<'a> Measured<'a> {
    /// `loss` is that at θ, as it is known already.
    fn new(env: &Env<'_>, risk: &'a dyn Risk, loss: f64) -> Result<Self, AnalysisError> {
        let center = env.evaluate(risk, env.subject.theta())?;
        let errors = has_parts(&center).then(PointErrors::default);
        let losses = CutLosses {
            samples: risk.samples(),
            center: loss,
            center_std_error: loss_std_error(&center),
            loss: Vec::new(),
            errors,
        };
        Ok(Self { risk, center, losses })
    }

    /// The next point.
    fn take(&mut self, env: &Env<'_>, alpha: f64, theta: &[f64]) -> Result<(), AnalysisError> {
        let here = alpha == 0.0;
        // The middle is θ itself.
        let found = if here { self.center.clone() } else { env.evaluate(self.risk, theta)? };
        self.losses.loss.push(if here { self.losses.center } else { found.loss });
        if let Some(errors) = &mut self.losses.errors {
            let difference = paired_difference(&self.center, &found).std_error;
            errors.loss.push(loss_std_error(&found).unwrap_or(f64::NAN));
            errors.difference.push(difference.unwrap_or(f64::NAN));
        }
        Ok(())
    }
}

/// What the stages of slices keep; a number of its own, so that what earlier versions kept is not taken for it.
const KEPT: usize = 2;

/// One cut on the samples of slices and on the other samples.
struct CutStage {
    name: String,
    direction: [DirectionRequest; 1],
    reach: Reach,
    random: RandomDirectionOptions,
    /// Whether it is one of the usual ones rather than one that was asked for by its directions.
    usual: bool,
}

impl Stage for CutStage {
    type Output = Cut;

    fn name(&self) -> String {
        format!("cut-{}", self.name)
    }

    fn title(&self) -> String {
        format!("cut {}", self.name)
    }

    fn dependencies(&self, keys: &Keys) -> Dependencies {
        let mut of = direction_dependencies(&self.direction, &self.random, keys);
        of.insert("axis".into(), serde_json::to_value(&self.reach).unwrap_or_default());
        of.insert("slices".into(), keys.slices.clone());
        of.insert("other".into(), keys.other.clone());
        of.insert("kept".into(), KEPT.into());
        of
    }

    fn forecast(&self, env: &Env<'_>) -> Forecast {
        let splits = 1 + usize::from(env.subject.other.is_some());
        let products =
            usize::from(!uses_eigenpairs(&self.direction)) + usize::from(env.subject.slices.is_some());
        Forecast { products, evaluations: splits * self.reach.points() }
    }

    fn may_be_left_out(&self) -> bool {
        self.usual
    }

    fn applies(&self, found: &Found) -> bool {
        have_eigenpairs(&self.direction, found)
    }

    fn compute(&self, at: &mut At<'_, '_>, _: Option<Cut>) -> Result<Cut, AnalysisError> {
        let env = at.env;
        let direction =
            self.direction[0].resolve(env.subject, at.found.eigenpairs.as_ref(), env.selection)?;
        let curvature = curvature(at, &direction)?;
        let axis = self.reach.axis(at, &direction)?;
        let gradient = &at.found.point()?.gradient;
        let vector = direction.direction.vector();
        let slope = if gradient.is_empty() { f64::NAN } else { dot(vector, gradient) };
        let prediction = prediction(env, vector, Prediction { slope, curvature })?;
        at.monitor.begin(&self.title(), Some(axis.count() as u64));
        let line = Line::new(env.subject.theta().to_vec(), direction.direction)?;
        let center = at.found.point()?;
        let (slices, other) = (env.subject.slice_split().risk, env.subject.other);
        let mut measured = Measured::new(env, slices, center.slices.0)?;
        let mut others = match (other, center.other) {
            (Some(split), Some((loss, _))) => Some(Measured::new(env, split.risk, loss)?),
            _ => None,
        };
        let mut moved = vec![0.0; env.subject.theta().len()];
        for (i, alpha) in axis.values().into_iter().enumerate() {
            at.check()?;
            line.point(alpha, &mut moved);
            for measured in [Some(&mut measured), others.as_mut()].into_iter().flatten() {
                measured.take(env, alpha, &moved)?;
            }
            at.monitor.advance(i as u64 + 1, "");
        }
        at.monitor.end("");
        Ok(Cut {
            name: self.name.clone(),
            direction: direction.words,
            curvature,
            slope,
            prediction,
            alpha: axis.values(),
            measured: measured.losses,
            other: others.map(|m| m.losses),
        })
    }

    fn file(&self, output: Cut, _slot: &Slot, found: &mut Found) -> Result<(), AnalysisError> {
        found.cuts.push(output);
        Ok(())
    }
}

/// How far both axes of a plane reach.
#[derive(Clone, Debug, Serialize)]
enum Axes {
    /// Each by itself.
    Each([Reach; 2]),
    /// The plane of the extreme eigenvectors: half-widths or `None` (from the curvatures and the escape), and points.
    Hessian(Option<[f64; 2]>, usize),
    /// Its neighbourhood of θ, where both axes change the quadratic model by the same small amount.
    Neighbourhood(usize),
}

/// One surface on one set of samples.
struct SurfaceStage {
    plane: String,
    heading: String,
    directions: [DirectionRequest; 2],
    axes: Axes,
    /// Axis labels instead of those of the directions.
    labels: Option<String>,
    other: bool,
    split: String,
    random: RandomDirectionOptions,
    /// Whether it is one of the usual ones rather than one that was asked for by its directions.
    usual: bool,
    /// Whether only points are evaluated where interpolation is wrong.
    adaptive: bool,
}

impl SurfaceStage {
    fn split<'a>(&self, env: &Env<'a>) -> Result<Split<'a>, AnalysisError> {
        if !self.other {
            return Ok(env.subject.slice_split());
        }
        env.subject.other.ok_or_else(|| AnalysisError::Other("there are no other samples".into()))
    }

    fn axes(&self, at: &At<'_, '_>, directions: [&NamedDirection; 2]) -> Result<[Axis; 2], AnalysisError> {
        let change = shown_change(at.found.point()?.loss);
        let around = |at: &At<'_, '_>, change: f64| -> Result<[f64; 2], AnalysisError> {
            let [u, v] = directions;
            Ok([radius(change, curvature(at, u)?), radius(change, curvature(at, v)?)])
        };
        let (radii, grid) = match &self.axes {
            Axes::Each([a, b]) => return Ok([a.axis(at, directions[0])?, b.axis(at, directions[1])?]),
            Axes::Hessian(Some(radii), grid) => (*radii, *grid),
            Axes::Hessian(None, grid) => {
                let mut radii = around(at, change)?;
                if let Some(e) = &at.found.escape {
                    // The smallest loss along negative curvature should lie well inside the picture.
                    radii[1] = radii[1].max(1.6 * e.step.abs());
                }
                (radii, *grid)
            }
            Axes::Neighbourhood(grid) => (around(at, 0.05 * change)?, *grid),
        };
        Ok([symmetric_axis(radii[0], grid)?, symmetric_axis(radii[1], grid)?])
    }
}

impl Stage for SurfaceStage {
    type Output = NamedSurface;

    fn name(&self) -> String {
        format!("surface-{}-{}", self.plane, self.split)
    }

    fn title(&self) -> String {
        format!("surface {}-{}", self.plane, self.split)
    }

    fn dependencies(&self, keys: &Keys) -> Dependencies {
        let mut of = direction_dependencies(&self.directions, &self.random, keys);
        of.insert("axes".into(), serde_json::to_value(&self.axes).unwrap_or_default());
        of.insert("kept".into(), KEPT.into());
        of.insert("samples".into(), if self.other { keys.other.clone() } else { keys.slices.clone() });
        if self.adaptive {
            of.insert("adaptive".into(), true.into());
        }
        if matches!(self.axes, Axes::Hessian(None, _)) {
            of.insert("stage.escape".into(), keys.escape.clone().into());
        }
        of
    }

    fn forecast(&self, _env: &Env<'_>) -> Forecast {
        let points = match &self.axes {
            Axes::Each([a, b]) => a.points() * b.points(),
            Axes::Hessian(_, grid) | Axes::Neighbourhood(grid) => (grid | 1) * (grid | 1),
        };
        Forecast { products: 0, evaluations: points }
    }

    fn may_be_left_out(&self) -> bool {
        self.usual
    }

    fn applies(&self, found: &Found) -> bool {
        have_eigenpairs(&self.directions, found)
    }

    fn compute(&self, at: &mut At<'_, '_>, _: Option<NamedSurface>) -> Result<NamedSurface, AnalysisError> {
        let env = at.env;
        let [u, v] = &self.directions;
        let found = at.found.eigenpairs.as_ref();
        let (u, v) =
            (u.resolve(env.subject, found, env.selection)?, v.resolve(env.subject, found, env.selection)?);
        let axes = self.axes(at, [&u, &v])?;
        let label = |own: &str| self.labels.clone().unwrap_or_else(|| own.to_string());
        let labels = [format!("$\\alpha$ ({})", label(&u.label)), format!("$\\beta$ ({})", label(&v.label))];
        let words = [u.words, v.words];
        let plane = Plane::new(env.subject.theta().to_vec(), u.direction, v.direction)?;
        let split = self.split(env)?;
        // Without parts there is nothing to learn from another evaluation at θ.
        let center = match (at.found.point()?, split.risk.offers().chunks) {
            (_, true) => env.evaluate(split.risk, plane.center())?,
            (point, false) if self.other => Evaluation::of_loss(point.other.map_or(f64::NAN, |o| o.0)),
            (point, false) => Evaluation::of_loss(point.slices.0),
        };
        let here = (split.risk, &center);
        let surface = if self.adaptive {
            evaluate_some(at, &self.title(), here, &plane, axes)?
        } else {
            evaluate(at, &self.title(), here, &plane, axes)?
        };
        Ok(NamedSurface {
            name: format!("{}-{}", self.plane, self.split),
            split: self.split.clone(),
            directions: words,
            labels,
            heading: self.heading.clone(),
            zoom: matches!(self.axes, Axes::Neighbourhood(_)),
            samples: split.risk.samples(),
            surface,
        })
    }

    fn file(&self, output: NamedSurface, slot: &Slot, found: &mut Found) -> Result<(), AnalysisError> {
        slot.remove(ROWS)?;
        found.surfaces.push(output);
        Ok(())
    }
}

/// Evaluates a surface row by row, going on from the rows that are on disk.
fn evaluate(
    at: &mut At<'_, '_>,
    title: &str,
    (risk, center): (&dyn Risk, &Evaluation),
    plane: &Plane,
    axes: [Axis; 2],
) -> Result<crate::surface::Surface, AnalysisError> {
    let env = at.env;
    let mut count = |evaluations: usize| env.count_evaluations(evaluations);
    evaluate_rows(at.slot, &mut *at.monitor, &mut count, title, (risk, Some(center)), plane, axes)
}

/// Evaluates a surface where interpolation is wrong by more than the errors, going on from the points that are on disk.
fn evaluate_some(
    at: &mut At<'_, '_>,
    title: &str,
    (risk, center): (&dyn Risk, &Evaluation),
    plane: &Plane,
    axes: [Axis; 2],
) -> Result<crate::surface::Surface, AnalysisError> {
    let path = at.slot.file(ROWS);
    let with = Contents { accuracy: risk.offers().accuracy, errors: has_parts(center) };
    // One point a row. They come in an order that depends on their values alone.
    let [a, b] = axes;
    let (mut log, finished) = RowLog::open(&path, 1, with, fingerprint(plane, [&a, &b]))?;
    let (env, monitor) = (at.env, &mut *at.monitor);
    monitor.begin(title, None);
    let (mut theta, mut known) = (vec![0.0; plane.center().len()], 0);
    let surface = evaluate_adaptively(center, axes, &mut |i, j| {
        let place = known;
        known += 1;
        if let Some(&loss) = finished.loss.get(place) {
            let accuracy = finished.accuracy.as_ref().map(|a| a[place]);
            let errors = finished.errors.as_ref().map(|e| [e.loss[place], e.difference[place]]);
            return Ok(Value { loss, accuracy, errors });
        }
        if monitor.cancelled() {
            return Err(AnalysisError::Cancelled);
        }
        let point = [a.value(i), b.value(j)];
        env.count_evaluations(1);
        let value = measure(risk, plane, center, point, &mut theta).map_err(SurfaceError::from)?;
        let errors = value
            .errors
            .map(|[loss, difference]| PointErrors { loss: vec![loss], difference: vec![difference] });
        let accuracy = value.accuracy.map(|a| [a]);
        let row = SurfaceRow {
            index: place,
            total: a.count() * b.count(),
            alpha: point[0],
            loss: &[value.loss],
            accuracy: accuracy.as_ref().map(|a| &a[..]),
            errors: errors.as_ref(),
        };
        log.push(&row).map_err(|reason| FolderError::Io { path: path.clone(), reason })?;
        monitor.advance(place as u64 + 1, "");
        Ok::<_, AnalysisError>(value)
    })?;
    monitor.end(&format!("{} of {} points evaluated", surface.evaluated_points(), surface.loss.len()));
    Ok(surface)
}

/// The stages of all cuts and surfaces that a selection asks for.
pub(crate) fn slice_stages(selection: &Selection, env: &Env<'_>) -> Vec<Box<dyn AnyStage>> {
    let mut stages: Vec<Box<dyn AnyStage>> = Vec::new();
    let random = &selection.random;
    let both = selection.eigenpairs.as_ref().is_some_and(|e| e.largest > 0 && e.smallest > 0);
    let cut = |name: &str, direction: DirectionRequest, reach: Reach, usual: bool| {
        Box::new(CutStage { name: name.into(), direction: [direction], reach, random: random.clone(), usual })
    };
    if let Some(cuts) = &selection.cuts {
        let reach = |place: usize| match cuts.hessian_radius {
            Some(r) => Reach::Radius(r[place], cuts.points),
            None => Reach::FromCurvature(cuts.points),
        };
        if let Some(pairs) = &selection.eigenpairs {
            if pairs.largest > 0 {
                stages.push(cut("lambda-max", LARGEST, reach(0), true));
            }
            if pairs.smallest > 0 {
                stages.push(cut("lambda-min", SMALLEST, reach(1), true));
            }
        }
        let direction = DirectionRequest::Filtered { stream: 0 };
        stages.push(cut("random", direction, Reach::Radius(random.radius, cuts.points), true));
    }
    for request in &selection.slices.requests {
        if let [direction] = request.directions.as_slice() {
            let reach = reach_of(selection, request.axes.first().copied().flatten());
            stages.push(cut(&request.name, direction.clone(), reach, false));
        }
    }
    let mut splits = vec![(false, env.subject.main.name)];
    splits.extend(env.subject.other.map(|s| (true, s.name)));
    let surface =
        |plane: &str, heading: &str, directions: [DirectionRequest; 2], axes: Axes, split: (bool, &str)| {
            SurfaceStage {
                plane: plane.into(),
                heading: heading.into(),
                labels: (heading == RANDOM).then(|| "random".into()),
                directions,
                axes,
                other: split.0,
                split: split.1.into(),
                random: random.clone(),
                usual: heading == RANDOM || heading == HESSIAN,
                adaptive: selection.adaptive,
            }
        };
    for &split in &splits {
        if let Some(surfaces) = &selection.surfaces {
            if both {
                let axes = Axes::Hessian(surfaces.hessian_radius, surfaces.grid);
                stages.push(Box::new(surface("hessian", HESSIAN, [LARGEST, SMALLEST], axes, split)));
            }
            let reach = Reach::Radius(random.radius, surfaces.grid);
            let axes = Axes::Each([reach.clone(), reach]);
            let directions = [0, 1].map(|stream| DirectionRequest::Filtered { stream });
            stages.push(Box::new(surface("random", RANDOM, directions, axes, split)));
        }
        for request in &selection.slices.requests {
            if let [u, v] = request.directions.as_slice()
                && (request.other || !split.0)
            {
                let reach = |i: usize| reach_of(selection, request.axes.get(i).copied().flatten());
                let axes = Axes::Each([reach(0), reach(1)]);
                let directions = [u.clone(), v.clone()];
                stages.push(Box::new(surface(&request.name, &request.name, directions, axes, split)));
            }
        }
    }
    if let Some(surfaces) = selection.surfaces.as_ref().filter(|_| both) {
        let axes = Axes::Neighbourhood(surfaces.grid);
        stages.push(Box::new(surface("hessian-zoom", HESSIAN, [LARGEST, SMALLEST], axes, splits[0])));
    }
    stages
}

/// How many lines that are.
pub(crate) fn line_count(selection: &Selection) -> usize {
    lines(selection).len()
}

/// The lines along which cuts and surfaces of a selection run, each once.
fn lines(selection: &Selection) -> Vec<(DirectionRequest, Reach)> {
    let mut lines: Vec<(DirectionRequest, Reach)> = Vec::new();
    let usual = selection.cuts.is_some() || selection.surfaces.is_some();
    let points = 9;
    if let Some(pairs) = selection.eigenpairs.as_ref().filter(|_| usual) {
        let ends = [(pairs.largest > 0, LARGEST), (pairs.smallest > 0, SMALLEST)];
        lines.extend(ends.into_iter().filter(|e| e.0).map(|e| (e.1, Reach::FromCurvature(points))));
    }
    if usual {
        let filtered = DirectionRequest::Filtered { stream: 0 };
        lines.push((filtered, Reach::Radius(selection.random.radius, points)));
    }
    for request in &selection.slices.requests {
        for (i, direction) in request.directions.iter().enumerate() {
            if lines.iter().all(|(known, _)| known != direction) {
                let axis = request.axes.get(i).copied().flatten();
                lines.push((direction.clone(), reach_of(selection, axis)));
            }
        }
    }
    lines
}

/// Chooses how many samples cuts and surfaces need.
pub(crate) struct SliceSamplesStage {
    auto: AutoSamples,
    lines: Vec<(DirectionRequest, Reach)>,
    random: RandomDirectionOptions,
}

impl SliceSamplesStage {
    /// For the cuts and surfaces of a selection.
    pub fn new(auto: AutoSamples, selection: &Selection) -> Self {
        Self { auto, lines: lines(selection), random: selection.random.clone() }
    }
}

impl Stage for SliceSamplesStage {
    type Output = SliceChoice;

    fn name(&self) -> String {
        "slice-samples".into()
    }

    fn title(&self) -> String {
        "samples of cuts and surfaces".into()
    }

    fn dependencies(&self, keys: &Keys) -> Dependencies {
        let directions: Vec<_> = self.lines.iter().map(|l| l.0.clone()).collect();
        let mut of = direction_dependencies(&directions, &self.random, keys);
        let reach: Vec<_> = self.lines.iter().map(|l| &l.1).collect();
        of.insert("reach".into(), serde_json::to_value(reach).unwrap_or_default());
        of.insert("share".into(), self.auto.share.into());
        of
    }

    fn forecast(&self, _env: &Env<'_>) -> Forecast {
        // Four points a line and the centre, seldom on all samples.
        Forecast { products: 0, evaluations: 4 * self.lines.len() + 1 }
    }

    fn compute(&self, at: &mut At<'_, '_>, _: Option<SliceChoice>) -> Result<SliceChoice, AnalysisError> {
        let (env, found) = (at.env, at.found.eigenpairs.as_ref());
        let theta = env.subject.theta();
        let mut pilots: Vec<Pilot> = Vec::new();
        for (request, reach) in &self.lines {
            if !have_eigenpairs(std::slice::from_ref(request), at.found) {
                continue;
            }
            let named = match request.resolve(env.subject, found, env.selection) {
                // A direction of no use at this point: its cuts and surfaces are left out too.
                Err(error) if error.is_of_the_point() => continue,
                other => other?,
            };
            let axis = reach.axis(at, &named)?;
            let radius = axis.lo().abs().max(axis.hi().abs());
            let points = NEAR.map(|share| share * radius);
            pilots.push(Pilot::new(named.words, named.direction.vector().to_vec(), &points));
        }
        choose(&self.auto, env.subject.risk(), theta, &mut pilots, at.monitor)
    }

    fn file(&self, output: SliceChoice, _slot: &Slot, found: &mut Found) -> Result<(), AnalysisError> {
        found.slice_choice = Some(output);
        Ok(())
    }
}

/// Where differences near the centre are looked at, in shares of the half-width of a line.
const NEAR: [f64; 4] = [-0.5, -0.25, 0.25, 0.5];

/// Heading of the plane of the extreme eigenvectors.
pub(crate) const HESSIAN: &str = "Hessian directions";
/// Heading of the random plane.
pub(crate) const RANDOM: &str = "Random directions";

fn reach_of(selection: &Selection, given: Option<Axis>) -> Reach {
    match given {
        Some(axis) => Reach::Given(axis),
        None => Reach::ByKind { random: selection.random.radius, points: selection.slices.grid },
    }
}
