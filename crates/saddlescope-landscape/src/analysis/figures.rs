//! The figures of an analysis, from its results alone.

use std::collections::BTreeSet;

use super::differences::{from_center, samples_of};
use super::error::AnalysisError;
use super::files::remove_stale;
use super::found::{Analysis, Cut, CutLosses, NamedSurface};
use super::results::{Results, largest, smallest};
use super::settled;
use super::sharpness_result;
use super::store::Folder;
use crate::number_text::{number, plural, short};
use crate::presentation::{heat_map, range_and_scale};
use saddlescope_figure::{
    Axis, ColorRole, Eigenvalue, Figure, FigureWidth, Grid, HeatMap, Levels, LineStyle, Lines, PanelKind,
    Reference, Scale, Series, Spectrum, Surface3d, save_all,
};

/// All figures that an analysis may have, in the order of the report.
pub(crate) const IDS: [&str; 11] = [
    "surfaces",
    "zoom",
    "heatmaps",
    "accuracy",
    "cuts",
    "spectrum",
    "trace",
    "layers",
    "rescaling",
    "settle",
    "settled-spectrum",
];

/// The samples of a surface in words.
fn samples(analysis: &Analysis, named: &NamedSurface) -> String {
    let all = if analysis.results.splits.first() == Some(&named.split) {
        analysis.results.samples
    } else {
        named.samples
    };
    samples_of(named.samples, all, &named.split)
}

/// What the smallest losses of some surfaces are, with errors; `name` says which surface.
fn smallest_losses<'a>(
    surfaces: impl Iterator<Item = &'a NamedSurface>,
    name: impl Fn(&NamedSurface) -> String,
) -> String {
    let one =
        |named: &NamedSurface| named.surface.minimum().map(|m| (name(named), from_center(&m.difference)));
    in_words(surfaces.filter_map(one))
}

/// A heading inside a sentence.
fn inside(heading: &str) -> String {
    if heading.starts_with("Hessian") { heading.into() } else { heading.to_lowercase() }
}

/// Places and how the smallest loss there compares with the centre's, as a sentence.
fn in_words(found: impl Iterator<Item = (String, String)>) -> String {
    let mut text = String::new();
    for (place, difference) in found {
        if text.is_empty() {
            text = format!(" The smallest loss {place} is {difference}");
        } else {
            text += &format!("; {place} it is {difference}");
        }
    }
    if !text.is_empty() {
        text.push('.');
    }
    text
}

/// What the hatching of heat maps means, where there is any.
fn hatching<'a>(mut surfaces: impl Iterator<Item = &'a NamedSurface>) -> &'static str {
    if surfaces.any(|s| s.surface.errors.is_some()) { HATCHED } else { "" }
}

/// What hatched cells are.
const HATCHED: &str = " Hatched: not distinguishable from the centre (the difference is below two of its standard errors over \
                       the same samples).";

/// Surfaces side by side on the samples of the analysis: Hessian and random directions, or what was asked for.
fn surfaces(analysis: &Analysis) -> Option<Figure> {
    let split = &analysis.surfaces.first()?.split;
    let shown: Vec<&NamedSurface> =
        analysis.surfaces.iter().filter(|s| s.split == *split && !s.zoom).collect();
    let planes = if let [a, b] = shown.as_slice()
        && a.name.starts_with("hessian-")
        && b.name.starts_with("random-")
    {
        "(a) η, δ are the unit eigenvectors of the largest and the smallest Hessian eigenvalue. (b) A random plane, \
         filter-normalised (Li et al. 2018)."
            .to_string()
    } else {
        let lines = shown.iter().map(|s| format!("{}: {} × {}", s.heading, s.directions[0], s.directions[1]));
        format!("{}.", lines.collect::<Vec<_>>().join("; "))
    };
    let mut figure = Figure::new(
        "surfaces",
        "The loss around this point",
        format!(
            "Loss L(θ + αη + βδ) on {}. {planes} A cross marks the smallest loss.{}",
            shown.first().map_or_else(|| split.clone(), |s| samples(analysis, s)),
            smallest_losses(shown.iter().copied(), |s| format!("in {}", inside(&s.heading)))
        ),
    );
    for named in shown {
        figure = figure.panel(named.heading.clone(), named.surface3d());
    }
    (!figure.panels.is_empty()).then_some(figure)
}

/// The small neighbourhood in which the saddle is visible.
fn zoom(analysis: &Analysis) -> Option<Figure> {
    let named = analysis.surfaces.iter().find(|s| s.zoom)?;
    let range = range_and_scale(named.surface.loss.iter().copied());
    let map = HeatMap { levels: Levels::Auto(9), ..named.heat_map((range.0, Scale::Linear)) };
    let surface = Surface3d { scale: Scale::Linear, ..named.surface3d() };
    Some(
        Figure::new(
            "zoom",
            "Close to the point",
            format!(
                "The plane of the dominant Hessian directions, so close that both axes change the quadratic model by the same \
                 small amount ({}). The dashed line is the loss of the point studied.{}{}",
                samples(analysis, named),
                smallest_losses([named].into_iter(), |_| "here".into()),
                hatching([named].into_iter())
            ),
        )
        .panel("", surface)
        .panel("", map),
    )
}

/// Heat maps of all surfaces: rows are splits, columns Hessian and random. Both splits of a plane share one colour scale.
fn heat_maps(analysis: &Analysis) -> Option<Figure> {
    let shown = || analysis.surfaces.iter().filter(|s| !s.zoom);
    let mut splits: Vec<String> = Vec::new();
    for named in shown() {
        let of = samples(analysis, named);
        if !splits.contains(&of) {
            splits.push(of);
        }
    }
    let mut figure = Figure::new(
        "heatmaps",
        "The same planes from above",
        format!(
            "Loss over each plane, on {}. A cross marks the smallest loss on the grid, a ring the point studied, a dashed line its \
             loss. Both splits of a plane share one colour scale; where it spans more than a factor of 30 it is \
             logarithmic.{}{}",
            splits.join(" and "),
            hatching(shown()),
            smallest_losses(shown(), |s| format!("in {} ({})", inside(&s.heading), s.split))
        ),
    )
    .columns(2);
    for named in shown() {
        let plane = shown().filter(|s| s.heading == named.heading);
        let range = range_and_scale(plane.flat_map(|s| s.surface.loss.iter().copied()));
        figure = figure.panel(format!("{}, {}", named.heading, named.split), named.heat_map(range));
    }
    (!figure.panels.is_empty()).then_some(figure)
}

/// Accuracy on the same planes, for classifiers.
fn accuracies(analysis: &Analysis) -> Option<Figure> {
    let mut figure = Figure::new(
        "accuracy",
        "Accuracy on the same planes",
        "Share of samples classified correctly, one colour scale for all panels. A ring marks the point studied.",
    )
    .columns(2);
    let accuracies =
        analysis.surfaces.iter().filter(|s| !s.zoom).filter_map(|s| Some((s, s.accuracy_grid()?)));
    let accuracies: Vec<(&NamedSurface, Grid)> = accuracies.collect();
    let (range, _) = range_and_scale(accuracies.iter().flat_map(|(_, g)| g.z.iter().copied()));
    for (named, grid) in accuracies {
        let map =
            HeatMap { mark_minimum: false, levels: Levels::None, ..heat_map(grid, (range, Scale::Linear)) };
        figure = figure.panel(format!("{}, {}", named.heading, named.split), map);
    }
    (!figure.panels.is_empty()).then_some(figure)
}

/// One-dimensional cuts with the quadratic prediction.
fn cuts(analysis: &Analysis) -> Option<Figure> {
    let first = analysis.cuts.first()?;
    let results = &analysis.results;
    let split = |i: usize| results.splits.get(i).map_or("other", String::as_str);
    let mut caption = format!(
        "Measured loss along one direction (points), on {}",
        samples_of(first.measured.samples, results.samples, split(0))
    );
    if let Some(other) = &first.other {
        caption.push_str(&format!(" and on {}", plural(other.samples, &format!("{} sample", split(1)))));
    }
    let predicted = analysis.cuts.iter().any(|c| c.prediction.is_some());
    if predicted {
        caption.push_str(
            ", and what gradient and curvature of the same samples at the point predict, L + gα + ½ λα² (dashed). Where they \
             part, the landscape is no longer quadratic",
        );
    }
    caption.push('.');
    if let Some(error) = first.measured.center_std_error {
        caption.push_str(&format!(
            " Bands: ± one standard error of the difference from the loss at the point, on the same samples; the loss at the point \
             itself, and with it a whole curve, is known to ± {}",
            short(error)
        ));
        if let Some(error) = first.other.as_ref().and_then(|o| o.center_std_error) {
            caption.push_str(&format!(" ({}: ± {})", split(1), short(error)));
        }
        caption.push('.');
    } else if first.measured.errors.is_none() {
        caption.push_str(" Errors over the samples are not known.");
    }
    let lowest = |c: &Cut| {
        let i = c.measured.smallest()?;
        Some((format!("along the {}", c.direction), from_center(&c.measured.difference(i))))
    };
    caption.push_str(&in_words(analysis.cuts.iter().filter_map(lowest)));
    let mut figure =
        Figure::new("cuts", "Cuts through the point", caption).columns(analysis.cuts.len().min(3));
    for cut in &analysis.cuts {
        figure = figure.panel(cut.direction.clone(), cut_panel(cut, split(1)));
    }
    Some(figure)
}

fn cut_panel(cut: &Cut, other: &str) -> Lines {
    let losses = [Some(&cut.measured), cut.other.as_ref()];
    let measured =
        losses.into_iter().flatten().flat_map(|l| l.loss.iter().copied()).filter(|x| x.is_finite());
    let (low, high) = measured.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
    let pad = 0.25 * (high - low).max(1e-12);
    let line = |label: &str, losses: &CutLosses, color: ColorRole| {
        let series =
            Series::new(label, cut.alpha.clone(), losses.loss.clone(), color).style(LineStyle::LinePoints);
        match &losses.errors {
            Some(errors) => series.std_error(errors.difference.clone()),
            None => series,
        }
    };
    let mut series = vec![line("measured", &cut.measured, ColorRole::First)];
    if let Some(losses) = &cut.other {
        series.push(line(other, losses, ColorRole::Second));
    }
    if let Some(p) = &cut.prediction {
        let prediction = (cut.alpha.iter())
            .map(|a| cut.measured.center + p.slope * a + 0.5 * p.curvature * a * a)
            .map(|p| if p < low - pad || p > high + pad { f64::NAN } else { p })
            .collect();
        series.push(
            Series::new(
                format!("quadratic, curvature {}", number(p.curvature)),
                cut.alpha.clone(),
                prediction,
                ColorRole::Truth,
            )
            .style(LineStyle::Dashed),
        );
    }
    Lines { x: Axis::linear("$\\alpha$"), y: Axis::linear("loss"), series, references: vec![] }
}

/// The spectral density with the extreme eigenvalues.
fn spectrum(results: &Results) -> Option<Figure> {
    let density = results.density.as_ref()?;
    let floor = density.density.iter().copied().fold(0.0, f64::max) * 1e-7;
    let shown: Vec<f64> = density.density.iter().map(|&d| if d > floor { d } else { f64::NAN }).collect();
    let eigenvalues = (results.eigenpairs.iter())
        .map(|p| Eigenvalue { value: p.value, label: String::new(), converged: p.converged })
        .collect();
    let top = largest(&results.eigenpairs).map_or(1.0, |p| p.value.abs());
    let bottom = smallest(&results.eigenpairs).map_or(top, |p| p.value.abs());
    let scale = if top > 50.0 * bottom.max(1e-300) || bottom > 50.0 * top.max(1e-300) {
        Scale::SymLog { linear: top.min(bottom).max(1e-3 * top.max(bottom)) / 3.0 }
    } else {
        Scale::Linear
    };
    let panel = Spectrum {
        x: Axis { label: "eigenvalue $\\lambda$".into(), scale, range: None },
        y: Axis::log("density"),
        densities: vec![
            Series::new(
                "density (stochastic Lanczos quadrature)",
                density.at.clone(),
                shown,
                ColorRole::First,
            )
            .std_error(density.std_error.clone()),
        ],
        eigenvalues,
    };
    Some(
        Figure::new(
            "spectrum",
            "Spectrum of the Hessian",
            format!(
                "Spectral density by stochastic Lanczos quadrature, smoothed with a Gaussian of width {}, ± one standard error \
                 over probes; ticks are the certified extreme eigenvalues.",
                short(density.width)
            ),
        )
        .width(FigureWidth::Single)
        .panel("", PanelKind::from(panel)),
    )
}

/// Convergence of the two trace estimates.
fn traces(results: &Results) -> Option<Figure> {
    let trace = results.trace.as_ref()?;
    let count = |v: &[f64]| (1..=v.len()).map(|i| i as f64).collect::<Vec<_>>();
    let mut series = vec![
        Series::new(
            "Hutchinson $\\langle z^T H z \\rangle$",
            count(&trace.running_hutchinson),
            trace.running_hutchinson.clone(),
            ColorRole::Truth,
        )
        .std_error(trace.running_hutchinson_error.clone()),
    ];
    let fits = !trace.running_fit.is_empty();
    if fits {
        series.push(
            Series::new(
                "curvature fits",
                count(&trace.running_fit),
                trace.running_fit.clone(),
                ColorRole::Second,
            )
            .style(LineStyle::DashDot),
        );
    }
    let panel = Lines {
        x: Axis::linear("number of probes"),
        y: Axis::linear("estimate of tr $H$"),
        series,
        references: vec![Reference::horizontal(0.0, "")],
    };
    Some(
        Figure::new(
            "trace",
            "Trace of the Hessian",
            format!(
                "Running mean{} over Gaussian probes z: products zᵀHz (band: ± one standard error){}.",
                if fits { "s" } else { "" },
                if fits { " and least-squares curvatures of the loss along the same vectors" } else { "" }
            ),
        )
        .width(FigureWidth::Single)
        .panel("", panel),
    )
}

/// Share of the trace in each tensor.
fn layers(results: &Results) -> Option<Figure> {
    if results.layers.len() < 2 {
        return None;
    }
    let x: Vec<f64> = (0..results.layers.len()).map(|i| i as f64).collect();
    let y: Vec<f64> = results.layers.iter().map(|l| l.trace.value).collect();
    let error: Vec<f64> = results.layers.iter().map(|l| l.trace.known_error().unwrap_or(f64::NAN)).collect();
    let panel = Lines {
        x: Axis::linear("tensor, in the order of the network"),
        y: Axis::linear("trace of its block of $H$"),
        series: vec![Series::new("", x, y, ColorRole::First).std_error(error).style(LineStyle::Points)],
        references: vec![Reference::horizontal(0.0, "")],
    };
    Some(
        Figure::new(
            "layers",
            "Where the curvature sits",
            "Trace of the diagonal block of the Hessian of every parameter tensor, ± one standard error (the table has the names).",
        )
        .width(FigureWidth::Single)
        .panel("", panel),
    )
}

/// All figures of an analysis, in the order of the report.
pub fn all(analysis: &Analysis) -> Vec<Figure> {
    [
        surfaces(analysis),
        zoom(analysis),
        heat_maps(analysis),
        accuracies(analysis),
        cuts(analysis),
        spectrum(&analysis.results),
        traces(&analysis.results),
        layers(&analysis.results),
        analysis.results.sharpness.as_ref().and_then(sharpness_result::rescaling_figure),
        analysis.results.settle.as_ref().and_then(settled::way_figure),
        analysis.results.settle.as_ref().and_then(settled::spectrum_figure),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Writes every figure (data and pictures), and the surfaces for three-dimensional programs.
///
/// # Errors
/// If something cannot be drawn or written.
pub fn save(analysis: &Analysis, folder: &Folder) -> Result<(), AnalysisError> {
    let dir = folder.dir().join("figures");
    let mut written = BTreeSet::new();
    for figure in all(analysis) {
        save_all(&figure, &dir)?;
        written.insert(figure.id.clone());
    }
    Ok(remove_stale(&dir, &["json", "npz", "svg", "png"], |id| IDS.contains(&id), &written)?)
}
