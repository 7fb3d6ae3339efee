//! The page of a comparison: computes nothing, says what was found.

use std::path::Path;

use saddlescope_figure::page::{Align, Report, Section, Table};
use saddlescope_figure::{ColorRole, Figure, LineStyle, Series, Surface3d, read_json};

use super::compare_results::{CompareResults, Compared, PairResult, PlacedPoint, PlaneResult};
use super::points::{Measured, PointResult, SideResult};
use super::subspace::Overlap;
use super::write::{provenance_rows, save_figures, save_report, save_results};
use crate::analysis::{
    AnalysisError, EigenpairResult, Estimate, MeasureResult, NamedSurface, fixed, number, percent_with_error,
    plus_minus, short, vanishes,
};
use crate::presentation::{heat_map, range_and_scale, surface_grid};
use crate::settle::negligible;

/// A number with its error, or without one where that is not known.
pub(crate) fn measured(m: &Measured) -> String {
    match m.std_error {
        Some(error) => plus_minus(m.value, error),
        None => number(m.value),
    }
}

/// A share in per cent.
pub(crate) fn percent(m: &Measured) -> String {
    percent_with_error(m.value, m.std_error)
}

fn eigenvalue(p: &EigenpairResult) -> Measured {
    Measured { value: p.value, std_error: p.std_error }
}

fn estimate(e: &Estimate) -> Measured {
    Measured { value: e.value, std_error: e.known_error() }
}

/// The same quantity of every point on one split.
type Quantity = (&'static str, fn(&SideResult) -> Option<String>, &'static str);

const QUANTITIES: [Quantity; 6] = [
    ("loss", |s| Some(measured(&s.loss)), "standard error over chunks of samples, where they are known"),
    ("accuracy", |s| s.accuracy.as_ref().map(percent), "binomial standard error"),
    ("gradient norm ‖∇L‖", |s| s.gradient_norm.map(short), "error not known"),
    (
        "λ_max",
        |s| s.lambda_max.as_ref().map(|p| with_residual(p, eigenvalue(p))),
        "± over the data; an eigenvalue lies within the residual and rounding in brackets",
    ),
    ("λ_min", |s| s.lambda_min.as_ref().map(|p| with_residual(p, eigenvalue(p))), "as for λ_max"),
    (
        "trace",
        |s| s.trace.as_ref().map(|t| trace(t, s)),
        "Hutchinson; standard error over probes, then over the data",
    ),
];

pub(crate) fn trace(t: &Estimate, side: &SideResult) -> String {
    let of_probes = measured(&estimate(t));
    match side.trace_over_data {
        Some(error) => format!("{of_probes} (data: ± {})", short(error)),
        None => of_probes,
    }
}

/// The trace with its error over probes and data together; over the probes alone where the other one is not known.
pub(crate) fn whole_trace(side: &SideResult) -> Option<Measured> {
    let m = estimate(side.trace.as_ref()?);
    let both = m.std_error.zip(side.trace_over_data).map(|(a, b)| a.hypot(b));
    Some(Measured { std_error: both.or(m.std_error), ..m })
}

fn with_residual(p: &EigenpairResult, m: Measured) -> String {
    let mark = if p.converged { "" } else { ", not converged" };
    format!("{} ({}{mark})", measured(&m), short(p.residual + p.rounding))
}

/// Rows are quantities, columns points; one block of rows for each split.
pub(crate) fn points_table(points: &[PointResult]) -> Table {
    let mut columns = vec![("quantity", Align::Left)];
    columns.extend(points.iter().map(|p| (p.name.as_str(), Align::Right)));
    let mut table = Table::new("The points side by side", &columns);
    let cells = |name: &str, value: &dyn Fn(&PointResult) -> String| {
        std::iter::once(name.to_string()).chain(points.iter().map(value)).collect::<Vec<_>>()
    };
    if points.iter().any(|p| p.model != points[0].model) {
        table = table.row(cells("model", &|p| p.model.clone()));
    }
    table = table.row(cells("parameters N", &|p| p.parameters.to_string()));
    table = table.row(cells("norm ‖θ‖", &|p| number(p.norm)));
    let splits = points.iter().map(|p| p.sides.len()).max().unwrap_or(0);
    for split in 0..splits {
        let side = |p: &PointResult| p.sides.get(split).cloned();
        let name = points.iter().find_map(side).map_or(String::new(), |s| s.split);
        let samples = |p: &PointResult| side(p).map_or("-".into(), |s| s.samples.to_string());
        table = table.row(cells(&format!("{name}: samples"), &samples));
        for (quantity, of, note) in QUANTITIES {
            let value = |p: &PointResult| side(p).as_ref().and_then(of).unwrap_or_else(|| "-".into());
            if points.iter().all(|p| value(p) == "-") {
                continue;
            }
            let note = if split == 0 { note } else { "" };
            table = table.row_with_note(cells(&format!("{name}: {quantity}"), &value), note);
        }
        for (measure, source) in measures(points, split) {
            let value = |p: &PointResult| {
                let side = side(p);
                let found = side.as_ref().and_then(|s| s.sharpness.iter().find(|m| title(m) == measure));
                found.map_or("-".into(), |m| {
                    let mark = if m.measure.converged { "" } else { " (not converged)" };
                    let shown = Measured { value: m.measure.value, std_error: m.measure.std_error };
                    let bound = if m.measure.kind.is_lower_bound() { "≥ " } else { "" };
                    format!("{bound}{}{mark}", measured(&shown))
                })
            };
            let note = if split == 0 { source.as_str() } else { "" };
            table = table.row_with_note(cells(&format!("{name}: {measure}"), &value), note);
        }
    }
    table
}

/// A measure of sharpness with what it is of.
fn title(m: &MeasureResult) -> String {
    m.measure.of.as_ref().map_or_else(|| m.name.clone(), |of| format!("{}, {of}", m.name))
}

/// The measures of sharpness that any point has on a split, each once, with their sources.
fn measures(points: &[PointResult], split: usize) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for m in points.iter().filter_map(|p| p.sides.get(split)).flat_map(|s| &s.sharpness) {
        if found.iter().all(|(name, _)| *name != title(m)) {
            found.push((title(m), m.source.clone()));
        }
    }
    found
}

/// A name that is not broken at its hyphens.
fn unbroken(name: &str) -> String {
    name.replace('-', "\u{2011}")
}

/// What stands for the angles between spans that are not known.
const NOT_RESOLVED: &str = "not resolved";

/// The cosines, with what they may be off by where that can be seen in their digits.
fn cosines(o: &Overlap) -> String {
    if o.cosines.is_empty() {
        return NOT_RESOLVED.into();
    }
    let list = o.cosines.iter().map(|&c| fixed(c, 2)).collect::<Vec<_>>().join(", ");
    match o.uncertainty.filter(|u| *u >= 0.005) {
        Some(u) => format!("{list} (± {} at most)", short(u)),
        None => list,
    }
}

fn mean_square(o: &Overlap) -> String {
    let found = o.mean_square.map_or(NOT_RESOLVED.into(), short);
    format!("{found} ({})", short(o.by_chance))
}

fn pairs_table(pairs: &[PairResult]) -> Table {
    let splits: Vec<String> =
        pairs.first().map_or(Vec::new(), |p| p.loss_differences.keys().cloned().collect());
    let names: Vec<String> = splits.iter().map(|s| format!("L − L′, {s}")).collect();
    let mut columns =
        vec![("pair", Align::Left), ("distance ‖θ − θ′‖", Align::Right), ("cosine of θ, θ′", Align::Right)];
    columns.extend(names.iter().map(|n| (n.as_str(), Align::Right)));
    columns.extend([
        ("cosines, largest λ", Align::Right),
        ("cosines, smallest λ", Align::Right),
        ("mean cos², largest λ (by chance)", Align::Right),
    ]);
    let mut table = Table::new("Every two of them", &columns);
    for p in pairs {
        let mut cells = vec![
            format!("{}, {}", unbroken(&p.names[0]), unbroken(&p.names[1])),
            number(p.distance),
            fixed(p.cosine, 4),
        ];
        cells.extend(splits.iter().map(|s| p.loss_differences.get(s).map_or("-".into(), measured)));
        cells.extend([&p.largest, &p.smallest].map(|o| o.as_ref().map_or("-".into(), cosines)));
        cells.push(p.largest.as_ref().map_or("-".into(), mean_square));
        table = table.row(cells);
    }
    table
}

/// Whether the Hessian is zero at a point, as far as can be told: within its errors, or beside the gradient, as settling has it.
fn degenerate(point: &PointResult) -> bool {
    let Some(side) = point.main() else { return false };
    let none = |p: &EigenpairResult| {
        let beside = |g| p.converged && negligible(p.value.abs() + p.residual, g, point.norm);
        vanishes(p) || side.gradient_norm.is_some_and(beside)
    };
    [&side.lambda_max, &side.lambda_min].iter().all(|end| end.as_ref().is_some_and(none))
}

/// The points in order of a measure, flattest first, without those where the Hessian is zero.
fn ordered(points: &[PointResult], of: impl Fn(&SideResult) -> Option<Measured>) -> Vec<(String, Measured)> {
    let mut found: Vec<(String, Measured)> = points
        .iter()
        .filter(|p| !degenerate(p))
        .filter_map(|p| Some((p.name.clone(), of(p.main()?)?)))
        .collect();
    found.sort_by(|a, b| a.1.value.total_cmp(&b.1.value));
    found
}

fn order_sentence(measure: &str, order: &[(String, Measured)]) -> Option<String> {
    let [first, second, ..] = order else { return None };
    let list: Vec<String> = order.iter().map(|(name, m)| format!("{name} {}", measured(m))).collect();
    let gap = match (first.1.std_error, second.1.std_error) {
        (Some(a), Some(b)) if a.hypot(b) > 0.0 => {
            let errors = (second.1.value - first.1.value) / a.hypot(b);
            let word = if errors < 2.0 { "which does not decide between them" } else { "" };
            let comma = if word.is_empty() { "" } else { ", " };
            format!(" First and second differ by {errors:.1} standard errors{comma}{word}.")
        }
        _ => String::new(),
    };
    Some(format!("By {measure}, flattest first: {}.{gap}", list.join(", ")))
}

/// Whose loss is smallest on the other samples, and whether it can be told from the next one: by the difference on the same samples
/// where it is known, else by the errors of both.
fn smallest_loss(points: &[PointResult], pairs: &[PairResult]) -> Option<String> {
    let index = points.first().map(|p| p.sides.len()).filter(|n| *n > 1)? - 1;
    let mut order: Vec<(&PointResult, &SideResult)> =
        points.iter().filter_map(|p| Some((p, p.sides.get(index)?))).collect();
    order.sort_by(|a, b| a.1.loss.value.total_cmp(&b.1.loss.value));
    let [(p, side), (next, beside), ..] = order.as_slice() else { return None };
    let pair = pairs.iter().find(|pair| pair.names.contains(&p.name) && pair.names.contains(&next.name));
    let above = beside.loss.value - side.loss.value;
    let (error, same) = match pair.and_then(|pair| pair.loss_differences.get(&side.split)) {
        Some(difference) => (difference.std_error, " on the same samples"),
        None => (side.loss.std_error.zip(beside.loss.std_error).map(|(a, b)| a.hypot(b)), ""),
    };
    let told = match error {
        Some(e) if e > 0.0 && above < 2.0 * e => ", which does not decide between them",
        _ => "",
    };
    Some(format!(
        "Smallest loss on the {} samples: {}, {}; that of {} is {} higher{same}{told}.",
        side.split,
        p.name,
        measured(&side.loss),
        next.name,
        measured(&Measured { value: above, std_error: error })
    ))
}

/// The finding in sentences.
pub(crate) fn verdict(points: &[PointResult], pairs: &[PairResult], one_model: bool) -> Vec<String> {
    let mut sentences = Vec::new();
    for p in points.iter().filter(|p| degenerate(p)) {
        sentences.push(format!(
            "{} is degenerate: the Hessian vanishes there, as far as can be told, as it does where a network is dead or its \
             outputs are saturated. It is not compared by its curvature.",
            p.name
        ));
    }
    let by_lambda = ordered(points, |s| s.lambda_max.as_ref().map(eigenvalue));
    let by_trace = ordered(points, whole_trace);
    sentences.extend(order_sentence("λ_max", &by_lambda));
    let known = points.iter().filter_map(PointResult::main).all(|s| s.trace_over_data.is_some());
    let trace = match known {
        true => "the trace (errors over probes and data together)",
        false => "the trace (errors over the probes; other samples would add theirs)",
    };
    sentences.extend(order_sentence(trace, &by_trace));
    let names = |order: &[(String, Measured)]| order.iter().map(|o| o.0.clone()).collect::<Vec<_>>();
    if by_lambda.len() > 1 && by_trace.len() > 1 {
        let same =
            if names(&by_lambda) == names(&by_trace) { "the same order as" } else { "another order than" };
        sentences.push(format!(
            "The trace gives {same} λ_max. Neither is flatness as such: both change when a network is rescaled without changing \
             its function (Dinh et al. 2017)."
        ));
    }
    sentences.extend(smallest_loss(points, pairs));
    // Where the Hessian is zero, its eigenvectors are any vectors.
    let flat: Vec<&String> = points.iter().filter(|p| degenerate(p)).map(|p| &p.name).collect();
    let curved = pairs.iter().filter(|p| p.names.iter().all(|n| !flat.contains(&n)));
    let common = curved.filter_map(|p| Some((p, p.largest.as_ref()?, p.largest.as_ref()?.mean_square?)));
    if let Some((p, o, mean_square)) = common.max_by(|a, b| a.2.total_cmp(&b.2)) {
        sentences.push(format!(
            "The directions of the largest eigenvalues are most alike in {} and {}: the mean squared cosine between their spans \
             ({} dimensions) is {}; random directions have {}.",
            p.names[0],
            p.names[1],
            o.dimensions[0],
            short(mean_square),
            short(o.by_chance)
        ));
    }
    if !one_model {
        sentences.push(
            "The weights are of different models: the table compares them, but they have no plane, no distance and no \
             directions in common."
                .into(),
        );
    }
    sentences
}

/// Points in a plane, as labelled marks.
pub(crate) fn marks(points: &[PlacedPoint]) -> Vec<Series> {
    points
        .iter()
        .map(|p| {
            Series::new(p.name.clone(), vec![p.at[0]], vec![p.at[1]], ColorRole::Truth)
                .style(LineStyle::Points)
        })
        .collect()
}

/// Names of eigenvalues as formulas.
pub(crate) fn typeset(words: &str) -> String {
    words.replace("λ_max", "$\\lambda_{max}$").replace("λ_min", "$\\lambda_{min}$")
}

fn plane_figure(plane: &PlaneResult) -> Figure {
    let [x, y] = plane.directions.each_ref().map(|words| typeset(words));
    let grid =
        surface_grid(&plane.surface).labels(format!("$\\alpha$ ({x})"), format!("$\\beta$ ({y})"), "loss");
    let mut map = heat_map(grid.clone(), range_and_scale(grid.z.iter().copied()));
    map.mark_origin = false;
    map.tracks = marks(&plane.points);
    let off = plane.points.iter().map(|p| p.off_plane).fold(0.0, f64::max);
    let shares = plane.shares.map_or(String::new(), |[a, b]| {
        format!(
            " The two directions hold {:.0} % and {:.0} % of the variance of the points.",
            100.0 * a,
            100.0 * b
        )
    });
    let scale = map.scale;
    // Long names do not fit beside axes in perspective; the map beside it has them.
    let mut surface = Surface3d::new(grid.labels("$\\alpha$", "$\\beta$", "loss"));
    surface.scale = scale;
    Figure::new(
        "plane",
        "The points in one plane",
        format!(
            "Loss on {} {} samples; dots are the points, which lie at most {} off this plane, and the cross is the smallest loss on the \
             grid.{shares} Batch-norm statistics, where there are any, are computed anew at each point of the grid.",
            plane.samples,
            plane.split,
            short(off)
        ),
    )
    .panel("", map)
    .panel("", surface)
}

/// Rows are points, columns the plane of the point's extreme eigenvectors and the random plane; one colour scale.
fn neighbourhoods(surfaces: &[(String, Vec<NamedSurface>)]) -> Option<Figure> {
    let shown = || surfaces.iter().flat_map(|(name, s)| s.iter().filter(|s| !s.zoom).map(move |s| (name, s)));
    shown().next()?;
    let range = range_and_scale(shown().flat_map(|(_, s)| s.surface.loss.iter().copied()));
    let mut figure = Figure::new(
        "neighbourhoods",
        "Around every point, on the same axes and one colour scale",
        "Of every point, first the plane of its own extreme eigenvectors, whose axes have the same length for all points, then that of the \
         same random draw for all, filter-normalised to each (Li et al. 2018). A cross marks the smallest loss on the grid, a \
         ring the point, a dashed line its loss; hatched: not distinguishable from it.",
    )
    .columns(2);
    for (name, s) in shown() {
        figure = figure.panel(format!("{name}: {}", s.heading), s.heat_map(range));
    }
    Some(figure)
}

/// The same in perspective: the planes of the extreme eigenvectors.
fn perspectives(surfaces: &[(String, Vec<NamedSurface>)]) -> Option<Figure> {
    let hessian: Vec<(&String, &NamedSurface)> = surfaces
        .iter()
        .filter_map(|(name, s)| Some((name, s.iter().find(|s| s.name.starts_with("hessian-"))?)))
        .collect();
    let (range, scale) = range_and_scale(hessian.iter().flat_map(|(_, s)| s.surface.loss.iter().copied()));
    let mut figure = Figure::new(
        "surfaces",
        "The planes of the extreme eigenvectors",
        "α along the eigenvector of λ_max, β along that of λ_min, which the maps below have too. The same range of heights and colours \
         for all points. A cross marks the smallest loss on the grid.",
    )
    .columns(hessian.len().clamp(1, 3));
    for (name, s) in hessian {
        let range = (range[0] < range[1]).then_some(range);
        let surface = s.surface3d();
        // Three panels stand side by side: what is written at length beside the maps below has no room here.
        let grid = surface.grid.labels("$\\alpha$", "$\\beta$", "loss");
        let surface = Surface3d { grid, scale, range, minimum_note: String::new(), ..surface };
        figure = figure.panel(name.clone(), surface);
    }
    (!figure.panels.is_empty()).then_some(figure)
}

/// Writes results, figures and report.
pub(crate) fn save(compared: &Compared, dir: &Path) -> Result<(), AnalysisError> {
    let results = &compared.results;
    let figures: Vec<Figure> = [
        results.plane.as_ref().map(plane_figure),
        perspectives(&compared.surfaces),
        neighbourhoods(&compared.surfaces),
    ]
    .into_iter()
    .flatten()
    .collect();
    save_figures(&figures, dir)?;
    save_results(results, dir)?;
    save_report(&report(results, figures), dir)
}

/// The page again from saved results and figures.
pub(crate) fn rebuild(results: &CompareResults, dir: &Path) -> Result<(), AnalysisError> {
    let mut figures = Vec::new();
    for id in ["plane", "surfaces", "neighbourhoods"] {
        let path = dir.join("figures").join(format!("{id}.json"));
        if path.exists() {
            figures.push(read_json(&path)?);
        }
    }
    save_report(&report(results, figures), dir)
}

fn report(results: &CompareResults, figures: Vec<Figure>) -> Report {
    let mut about = Section::new("What was analysed");
    about.paragraphs.clone_from(&results.about);
    let mut sections = vec![about, Section::new("Numbers").table(points_table(&results.points))];
    if !results.pairs.is_empty() {
        let mut common = Section::new("What they have in common")
            .paragraph(
                "Differences of losses are taken sample by sample, so that their errors are those of the difference. Cosines \
                 are those of the principal angles between the spans of the eigenvectors: 1 where the spans share a direction. \
                 The mean of their squares is compared with that of random directions.",
            )
            .table(pairs_table(&results.pairs));
        let open = |o: &Option<Overlap>| o.as_ref().is_some_and(|o| o.cosines.is_empty());
        if results.pairs.iter().any(|p| open(&p.largest) || open(&p.smallest)) {
            common = common.paragraph(
                "Not resolved: the residuals of the eigenvectors, over the distance of their eigenvalues from the next one, allow \
                 the angles to be off by more than 0.1 radians (Davis & Kahan 1970), or that distance is not known. Smaller \
                 residuals (--tol 1e-5) resolve them where there is such a distance.",
            );
        }
        sections.push(common);
    }
    let mut landscape = Section::new("The landscape");
    landscape.figures = figures;
    if !landscape.figures.is_empty() {
        sections.push(landscape);
    }
    if !results.left_out.is_empty() {
        let mut left = Section::new("What cannot be compared");
        left.paragraphs.clone_from(&results.left_out);
        sections.push(left);
    }
    let mut folders = Section::new("More about each point");
    for p in &results.points {
        for s in &p.sides {
            folders = folders.paragraph(format!("{}, {}: ../{}", p.name, s.split, s.folder));
        }
    }
    sections.push(folders);
    let names: Vec<&str> = results.points.iter().map(|p| p.name.as_str()).collect();
    Report {
        title: format!("Side by side: {}", names.join(", ")),
        verdict: results.verdict.clone(),
        sections,
        provenance: provenance_rows(&results.provenance),
    }
}
