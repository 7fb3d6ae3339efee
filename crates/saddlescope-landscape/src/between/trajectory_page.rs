//! The page of a trajectory: computes nothing, says what was found.

use std::path::Path;

use saddlescope_figure::page::{Align, Report, Row, Section, Table};
use saddlescope_figure::{Axis, ColorRole, Figure, LineStyle, Lines, Reference, Series};

use super::compare_page::{measured, percent, trace, typeset, whole_trace};
use super::compare_results::PlaneResult;
use super::points::SideResult;
use super::trajectory_results::TrajectoryResults;
use super::write::{provenance_rows, save_figures, save_report, save_results};
use crate::analysis::{AnalysisError, number, short};
use crate::presentation::{heat_map, range_and_scale, surface_grid};

/// Where a checkpoint stands on the horizontal axis: its epoch where all say theirs, else its number.
fn positions(results: &TrajectoryResults) -> (Vec<f64>, &'static str) {
    let epochs: Option<Vec<f64>> = results.points.iter().map(|p| p.position.epoch).collect();
    match epochs {
        Some(epochs) if epochs.windows(2).all(|w| w[0] < w[1]) => (epochs, "epoch"),
        _ => ((0..results.points.len()).map(|i| i as f64).collect(), "checkpoint"),
    }
}

fn shares_sentence(results: &TrajectoryResults) -> String {
    let percent = |x: f64| format!("{:.0} %", 100.0 * x);
    let [a, b] = results.random_walk_shares;
    format!(
        "Of the variance of the {} checkpoints the first principal component holds {}, the second {}. A random walk of as many \
         steps in as many dimensions has {} and {}: a large share alone says nothing about the landscape.",
        results.points.len(),
        percent(results.shares.first().copied().unwrap_or(0.0)),
        percent(results.shares.get(1).copied().unwrap_or(0.0)),
        percent(a),
        percent(b)
    )
}

/// The finding in sentences.
pub(crate) fn verdict(results: &TrajectoryResults) -> Vec<String> {
    let mut sentences = Vec::new();
    let (at, unit) = positions(results);
    let lambda: Vec<Option<f64>> = results
        .points
        .iter()
        .map(|p| p.main().and_then(|s| s.lambda_max.as_ref()).map(|p| p.value))
        .collect();
    if let (Some(Some(first)), Some(Some(last))) = (lambda.first(), lambda.last()) {
        let top = lambda.iter().enumerate().filter_map(|(i, v)| Some((i, (*v)?)));
        let (i, top) = top.fold((0, *first), |best, x| if x.1 > best.1 { x } else { best });
        sentences.push(format!(
            "λ_max went from {} to {}; it was largest, {}, at {unit} {}.",
            number(*first),
            number(*last),
            number(top),
            at.get(i).copied().unwrap_or(f64::NAN)
        ));
    }
    if let Some(limit) = &results.stability_limit {
        let above = lambda.iter().zip(limit).filter(|(v, l)| v.is_some_and(|v| v > **l)).count();
        let momentum = results.momentum_limit.as_ref().map_or(String::new(), |limit| {
            let above = lambda.iter().zip(limit).filter(|(v, l)| v.is_some_and(|v| v > **l)).count();
            format!(" With the momentum the limit is 2(1 + μ)/η; it is exceeded at {above}.")
        });
        let ends = [limit.first(), limit.last()].map(|l| l.copied().unwrap_or(f64::NAN));
        sentences.push(format!(
            "λ_max is above 2/η ({} at first, {} at last) at {above} of {} checkpoints.{momentum} These limits are those of full-batch descent; with mini-batches \
             λ_max settles below them.",
            short(ends[0]),
            short(ends[1]),
            lambda.len()
        ));
    }
    let negative = results
        .points
        .iter()
        .filter(|p| {
            p.main().and_then(|s| s.lambda_min.as_ref()).is_some_and(|p| p.converged && p.interval[1] < 0.0)
        })
        .count();
    sentences.push(format!(
        "The Hessian certainly has a negative eigenvalue at {negative} of {} checkpoints.",
        results.points.len()
    ));
    if results.points.len() > 2 {
        sentences.push(shares_sentence(results));
    }
    sentences
}

/// One quantity of a checkpoint on one split, with its standard error.
type Quantity = fn(&SideResult) -> Option<(f64, Option<f64>)>;

fn curve(results: &TrajectoryResults, split: usize, name: &str, color: ColorRole, of: Quantity) -> Series {
    let (x, _) = positions(results);
    let values: Vec<Option<(f64, Option<f64>)>> =
        results.points.iter().map(|p| p.sides.get(split).and_then(of)).collect();
    let y = values.iter().map(|v| v.map_or(f64::NAN, |v| v.0)).collect();
    let errors: Vec<f64> = values.iter().map(|v| v.and_then(|v| v.1).unwrap_or(f64::NAN)).collect();
    let series = Series::new(name, x, y, color).style(LineStyle::LinePoints);
    if errors.iter().any(|e| e.is_finite()) { series.std_error(errors) } else { series }
}

fn way_figure(results: &TrajectoryResults) -> Figure {
    let (x, unit) = positions(results);
    let splits: Vec<String> = results.points[0].sides.iter().map(|s| s.split.clone()).collect();
    let panel = |label: &str, series: Vec<Series>, references: Vec<Reference>| Lines {
        x: Axis::linear(unit),
        y: Axis::linear(label),
        series,
        references,
    };
    let both = |of: Quantity| -> Vec<Series> {
        let colors = [ColorRole::First, ColorRole::Second];
        splits.iter().zip(colors).enumerate().map(|(k, (s, c))| curve(results, k, s, c, of)).collect()
    };
    let mut top = vec![curve(results, 0, "$\\lambda_{max}$", ColorRole::First, |s| {
        s.lambda_max.as_ref().map(|p| (p.value, p.std_error))
    })];
    let highest = top[0].y.iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
    for (limit, name, color) in [
        (&results.stability_limit, "2/$\\eta$", ColorRole::Truth),
        (&results.momentum_limit, "2(1+$\\mu$)/$\\eta$", ColorRole::Muted),
    ] {
        if let Some(limit) = limit {
            // A schedule that ends at zero drives the limit to infinity: what lies far above λ_max is not shown.
            let y = limit.iter().map(|&v| if v > 8.0 * highest.max(1e-300) { f64::NAN } else { v }).collect();
            top.push(Series::new(name, x.clone(), y, color).style(LineStyle::Dashed));
        }
    }
    top.retain(|s| s.y.iter().any(|v| v.is_finite()));
    let bottom =
        curve(results, 0, "", ColorRole::Second, |s| s.lambda_min.as_ref().map(|p| (p.value, p.std_error)));
    let trace = curve(results, 0, "", ColorRole::Third, |s| whole_trace(s).map(|t| (t.value, t.std_error)));
    let gradient = curve(results, 0, "", ColorRole::Fourth, |s| s.gradient_norm.map(|g| (g, None)));
    let zero = || vec![Reference::horizontal(0.0, "")];
    let mut figure = Figure::new(
        "way",
        "Along the training",
        format!(
            "λ_max, λ_min, trace and gradient norm on the {} samples. Bands: ± one standard error, over the data for eigenvalues and \
             losses (where it is known), over probes and data together for the trace (over probes alone where the other is not known). Dashed: where full-batch gradient descent with the learning rate η \
             is no longer stable (the edge of stability; Cohen et al. 2021), without and with momentum μ; a limit more than eight times as high as \
             the largest λ_max is not drawn.",
            splits[0]
        ),
    )
    .columns(2)
    .panel("loss", panel("loss", both(|s| Some((s.loss.value, s.loss.std_error))), vec![]));
    if results.points.iter().all(|p| p.main().is_some_and(|s| s.accuracy.is_some())) {
        let accuracy = both(|s| s.accuracy.map(|a| (a.value, a.std_error)));
        figure = figure.panel("accuracy", panel("accuracy", accuracy, vec![]));
    }
    if !top.is_empty() {
        figure = figure.panel("largest eigenvalue", panel("$\\lambda_{max}$", top, vec![]));
    }
    for (title, label, series, references) in [
        ("smallest eigenvalue", "$\\lambda_{min}$", bottom, zero()),
        ("trace", "tr $H$", trace, zero()),
        ("gradient norm", "$\\|\\nabla L\\|$", gradient, vec![]),
    ] {
        if series.y.iter().any(|v| v.is_finite()) {
            figure = figure.panel(title, panel(label, vec![series], references));
        }
    }
    figure
}

fn plane_figure(
    results: &TrajectoryResults,
    plane: &PlaneResult,
    id: &str,
    title: &str,
    text: &str,
) -> Figure {
    let [x, y] = plane.directions.each_ref().map(|words| typeset(words));
    let grid =
        surface_grid(&plane.surface).labels(format!("$\\alpha$ ({x})"), format!("$\\beta$ ({y})"), "loss");
    let mut map = heat_map(grid.clone(), range_and_scale(grid.z.iter().copied()));
    let (xs, ys) = plane.points.iter().map(|p| (p.at[0], p.at[1])).unzip();
    // The last checkpoint has a dot with its name.
    map.mark_origin = false;
    map.tracks = vec![Series::new("", xs, ys, ColorRole::Second).style(LineStyle::LinePoints)];
    let (at, unit) = positions(results);
    for place in [0, plane.points.len() - 1] {
        let p = &plane.points[place];
        map.tracks.push(
            Series::new(format!("{unit} {}", at[place]), vec![p.at[0]], vec![p.at[1]], ColorRole::Truth)
                .style(LineStyle::Points),
        );
    }
    Figure::new(
        id,
        title,
        format!(
            "Loss on {} {} samples over the plane through the last checkpoint; the line joins the checkpoints, projected onto the plane, \
             of which the first and the last have their names. A cross marks the smallest loss on the grid. {text} Batch-norm statistics, where there are any, are computed anew at each point of the grid.",
            plane.samples, plane.split
        ),
    )
    .width(saddlescope_figure::FigureWidth::Single)
    .panel("", map)
}

/// How much of the squared distances to the last checkpoint lies in a plane.
fn share_in_plane(plane: &PlaneResult) -> f64 {
    let inside: f64 = plane.points.iter().map(|p| p.at[0] * p.at[0] + p.at[1] * p.at[1]).sum();
    let off: f64 = plane.points.iter().map(|p| p.off_plane * p.off_plane).sum();
    inside / (inside + off)
}

fn figures(results: &TrajectoryResults) -> Vec<Figure> {
    let mut figures = vec![way_figure(results)];
    let percent = |x: f64| format!("{} %", short(100.0 * x));
    if let Some(plane) = &results.principal_plane {
        let text = shares_sentence(results);
        let title = "The way in the plane of its principal components";
        figures.push(plane_figure(results, plane, "principal-plane", title, &text));
    }
    if let Some(plane) = &results.hessian_plane {
        let text = format!(
            "{} of the squared distances to the last checkpoint lie in this plane.",
            percent(share_in_plane(plane))
        );
        let title = "The way in the Hessian plane of the last checkpoint";
        figures.push(plane_figure(results, plane, "hessian-plane", title, &text));
    }
    figures
}

/// Loss and accuracy of the checkpoints, and their curvature.
fn tables(results: &TrajectoryResults) -> [Table; 2] {
    let splits: Vec<&str> = results.points[0].sides.iter().map(|s| s.split.as_str()).collect();
    let (at, unit) = positions(results);
    let first = || vec![(unit.to_string(), Align::Right), ("checkpoint".to_string(), Align::Left)];
    let (mut losses, mut curvatures) = (first(), first());
    for s in &splits {
        losses.push((format!("loss, {s}"), Align::Right));
        losses.push((format!("accuracy, {s}"), Align::Right));
    }
    for name in ["‖∇L‖", "distance to the last"] {
        losses.push((name.into(), Align::Right));
    }
    for name in ["λ_max", "2/η", "λ_min", "trace"] {
        curvatures.push((name.into(), Align::Right));
    }
    let table = |title: &str, names: &[(String, Align)]| {
        Table::new(title, &names.iter().map(|(n, a)| (n.as_str(), *a)).collect::<Vec<_>>())
    };
    let mut tables = [
        table("The checkpoints", &losses),
        table(
            "Their curvature (errors of λ over the data, of the trace over the probes, then over the data)",
            &curvatures,
        ),
    ];
    let lambda = |p: &Option<crate::analysis::EigenpairResult>| {
        let with_error = |p: &crate::analysis::EigenpairResult| {
            measured(&super::points::Measured { value: p.value, std_error: p.std_error })
        };
        p.as_ref().map_or("-".into(), with_error)
    };
    for (i, p) in results.points.iter().enumerate() {
        let Some(main) = p.main() else { continue };
        let first = || vec![format!("{}", at[i]), p.name.clone()];
        let mut cells = first();
        for s in &p.sides {
            cells.push(measured(&s.loss));
            cells.push(s.accuracy.as_ref().map_or("-".into(), percent));
        }
        cells.push(main.gradient_norm.map_or("-".into(), short));
        let away = results.principal_plane.as_ref().or(results.hessian_plane.as_ref()).map(|plane| {
            let p = &plane.points[i];
            (p.at[0].powi(2) + p.at[1].powi(2) + p.off_plane.powi(2)).sqrt()
        });
        cells.push(away.map_or("-".into(), number));
        tables[0].rows.push(Row { cells, note: String::new() });
        let mut cells = first();
        cells.push(lambda(&main.lambda_max));
        cells.push(results.stability_limit.as_ref().map_or("-".into(), |l| short(l[i])));
        cells.push(lambda(&main.lambda_min));
        cells.push(main.trace.as_ref().map_or("-".into(), |t| trace(t, main)));
        tables[1].rows.push(Row { cells, note: String::new() });
    }
    tables
}

/// Writes results, figures and report.
pub(crate) fn save(results: &TrajectoryResults, dir: &Path) -> Result<(), AnalysisError> {
    let figures = figures(results);
    save_figures(&figures, dir)?;
    save_results(results, dir)?;
    save_report(&report(results, figures), dir)
}

fn report(results: &TrajectoryResults, figures: Vec<Figure>) -> Report {
    let mut about = Section::new("What was analysed");
    about.paragraphs.clone_from(&results.about);
    let mut way = Section::new("The way").paragraph(format!(
        "{} checkpoints; the way through them is {} long, first and last are {} apart.",
        results.points.len(),
        number(results.steps.iter().sum()),
        number(results.distance)
    ));
    way.figures = figures;
    let mut numbers = Section::new("Numbers");
    numbers.tables.extend(tables(results));
    let mut sections = vec![about, way, numbers];
    if !results.left_out.is_empty() {
        let mut left = Section::new("Left out");
        left.paragraphs = results.left_out.iter().map(|s| format!("{s}.")).collect();
        sections.push(left);
    }
    let name = results.points.last().map_or("", |p| p.model.as_str());
    Report {
        title: format!("The way of a training: {name}, {} checkpoints", results.points.len()),
        verdict: results.verdict.clone(),
        sections,
        provenance: provenance_rows(&results.provenance),
    }
}
