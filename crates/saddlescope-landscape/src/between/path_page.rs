//! The page of a path: computes nothing, says what was found.

use std::path::Path;

use saddlescope_figure::page::{Align, Report, Section, Table};
use saddlescope_figure::{Axis, ColorRole, Figure, LineStyle, Lines, Reference, Series};

use super::compare_page::{measured, points_table};
use super::path::HIGHEST;
use super::path_results::{PathResults, Statistics, Way, WaySide};
use super::points::Measured;
use super::write::{provenance_rows, save_figures, save_report, save_results};
use crate::analysis::{AnalysisError, fixed, number};

/// A way in words.
fn words(way: &Way) -> String {
    let statistics = match way.statistics {
        Statistics::None => "",
        Statistics::Interpolated => " (batch-norm statistics interpolated)",
        Statistics::Anew => " (batch-norm statistics anew)",
    };
    format!("{}{statistics}", way.name.replace('-', " "))
}

/// What stands on a way in the words of one split; `again`: after a barrier of another split.
fn barrier_clause(side: &WaySide, points: usize, again: bool) -> String {
    let barrier = &side.barrier;
    if barrier.height.is_nan() {
        return format!("the loss is no number ({})", side.split);
    }
    if barrier.height == 0.0 {
        return format!(
            "no barrier is seen ({}: at none of {points} points the loss exceeds that of the higher end)",
            side.split
        );
    }
    let clear = match barrier.std_error {
        Some(e) if e > 0.0 && barrier.height < 2.0 * e => {
            "; below two standard errors, it cannot be told from zero"
        }
        _ => "",
    };
    format!(
        "{} of {} ({}, highest at t = {:.3}{clear})",
        if again { "one" } else { "there is a barrier" },
        measured(&Measured { value: barrier.height, std_error: barrier.std_error }),
        side.split,
        barrier.at
    )
}

/// All splits of a way in one sentence.
fn barrier_sentence(way: &Way, ends: [&str; 2]) -> Option<String> {
    let [a, b] = ends;
    let mut text = String::new();
    let mut before = false;
    for (i, side) in way.sides.iter().enumerate() {
        let stands = side.barrier.height > 0.0;
        text += match i {
            0 => "",
            _ if before && stands => " and ",
            _ => "; ",
        };
        text += &barrier_clause(side, way.t.len(), before && stands);
        before = stands;
    }
    (!text.is_empty()).then(|| format!("On the {} from {a} to {b} {text}.", words(way)))
}

/// The finding in sentences.
pub(crate) fn verdict(ways: &[Way], ends: [&str; 2]) -> Vec<String> {
    ways.iter().filter_map(|w| barrier_sentence(w, ends)).collect()
}

const COLORS: [ColorRole; 5] =
    [ColorRole::First, ColorRole::Second, ColorRole::Third, ColorRole::Fourth, ColorRole::Fifth];

fn errors(values: &[Measured]) -> Vec<f64> {
    values.iter().map(|m| m.std_error.unwrap_or(f64::NAN)).collect()
}

fn series(way: &Way, values: &[Measured], color: ColorRole, dashed: bool) -> Series {
    let y = values.iter().map(|m| m.value).collect();
    let style = if dashed { LineStyle::Dashed } else { LineStyle::LinePoints };
    let mut series = Series::new(words(way), way.t.clone(), y, color).style(style);
    if values.iter().any(|m| m.std_error.is_some()) {
        series = series.std_error(errors(values));
    }
    series
}

fn dashed(way: &Way) -> bool {
    way.statistics == Statistics::Interpolated
}

/// One panel a split.
fn figure(
    results: &PathResults,
    id: &str,
    title: &str,
    caption: &str,
    label: &str,
    of: impl Fn(&WaySide) -> &Vec<Measured>,
) -> Option<Figure> {
    let splits = results.ways.first()?.sides.len();
    let mut figure = Figure::new(id, title, caption);
    for k in 0..splits {
        let mut lines = Vec::new();
        for (way, color) in results.ways.iter().zip(COLORS) {
            if let Some(side) = way.sides.get(k).filter(|s| !of(s).is_empty()) {
                lines.push(series(way, of(side), color, dashed(way)));
            }
        }
        let split = results.ways.first()?.sides.get(k)?;
        if lines.is_empty() {
            continue;
        }
        let x = Axis::linear(format!("$t$ (0: {}, 1: {})", results.names[0], results.names[1]));
        let panel = Lines { x, y: Axis::linear(label), series: lines, references: vec![] };
        figure = figure.panel(format!("{} ({} samples)", split.split, split.samples), panel);
    }
    (!figure.panels.is_empty()).then_some(figure)
}

fn figures(results: &PathResults) -> Vec<Figure> {
    let loss = figure(
        results,
        "loss",
        "Loss on the way",
        "Bands: ± one standard error of the loss over chunks of samples, where they are known.",
        "loss",
        |s| &s.loss,
    );
    let above = figure(
        results,
        "barrier",
        "Loss above the higher end",
        "L(t) − max(L(A), L(B)). Both losses are of the same samples: bands are ± one standard error of the difference, where it is \
         known. The largest value is the barrier.",
        "loss above the higher end",
        |s| &s.above_ends,
    )
    .map(|mut figure| {
        for panel in &mut figure.panels {
            if let saddlescope_figure::PanelKind::Lines(lines) = &mut panel.kind {
                lines.references.push(Reference::horizontal(0.0, ""));
            }
        }
        figure
    });
    let accuracy = figure(
        results,
        "accuracy",
        "Accuracy on the way",
        "Share of right answers, ± one binomial standard error.",
        "accuracy",
        |s| &s.accuracy,
    );
    [loss, above, accuracy].into_iter().flatten().collect()
}

fn barriers(results: &PathResults) -> Table {
    let mut table = Table::new(
        "Barriers: max L − max(L(A), L(B))",
        &[
            ("way", Align::Left),
            ("length", Align::Right),
            ("samples", Align::Left),
            ("barrier, ± over the data", Align::Right),
            ("highest at t", Align::Right),
        ],
    );
    for way in &results.ways {
        for side in &way.sides {
            table = table.row([
                words(way),
                number(way.length),
                side.split.clone(),
                match side.barrier.height {
                    0.0 => "0".into(),
                    value => measured(&Measured { value, std_error: side.barrier.std_error }),
                },
                format!("{:.3}", side.barrier.at),
            ]);
        }
    }
    table
}

/// Writes results, figures and report.
pub(crate) fn save(results: &PathResults, dir: &Path) -> Result<(), AnalysisError> {
    let figures = figures(results);
    save_figures(&figures, dir)?;
    save_results(results, dir)?;
    save_report(&report(results, figures), dir)
}

fn report(results: &PathResults, figures: Vec<Figure>) -> Report {
    let mut about = Section::new("What was analysed");
    about.paragraphs.clone_from(&results.about);
    let distance = format!(
        "The two weights are {} apart; seen from the origin, the cosine of the angle between them is {}.",
        number(results.distance),
        fixed(results.cosine, 4)
    );
    let mut way = Section::new("The way")
        .paragraph(distance)
        .paragraph(
            "The line is A + t (B − A). The curve is (1−t)² A + 2t(1−t) C + t² B; its bend C was trained so that the mean loss over t is \
             low (Garipov et al. 2018). The barrier is that of the points computed: a higher one may lie between two of them.",
        )
        .table(barriers(results));
    if let Some(found) = &results.alignment {
        way = way.paragraph(format!(
            "Aligned: the hidden units of {} are put in the order of those of {} by weight matching (Ainsworth et al. 2023), which changes \
             no output. {} of {} units in {} groups have another place; the distance falls from {} to {}.",
            results.names[1],
            results.names[0],
            found.moved,
            found.units,
            found.groups,
            number(results.distance),
            number(found.distance)
        ));
    }
    for sentence in &results.left_out {
        way = way.paragraph(format!("Left out: {sentence}."));
    }
    if results.ways.iter().any(|w| w.statistics == Statistics::Interpolated) {
        way = way.paragraph(
            "Between two weights, running statistics of batch normalisation are either interpolated like the weights, or computed anew \
             from the samples of the analysis (at the ends, too). Papers differ in this, and so do the barriers.",
        );
    }
    way.figures = figures;
    let mut sections = vec![about, way];
    if !results.points.is_empty() {
        let top = results.points.iter().find(|p| p.name.starts_with(HIGHEST));
        let text = match top {
            Some(p) => format!(
                "The highest point is that of the line, of the points computed; its analysis is in ../{}.",
                p.main().map_or("", |s| s.folder.as_str())
            ),
            None => "The line has no point above its ends.".into(),
        };
        sections.push(
            Section::new("Curvature at the ends and at the highest point")
                .paragraph(text)
                .table(points_table(&results.points)),
        );
    }
    Report {
        title: format!("From {} to {}", results.names[0], results.names[1]),
        verdict: results.verdict.clone(),
        sections,
        provenance: provenance_rows(&results.provenance),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::between::path_results::Barrier;

    #[test]
    fn a_way_is_one_sentence_that_claims_no_more_than_its_errors_allow() {
        let side = |split: &str, height, std_error| WaySide {
            split: split.into(),
            samples: 10,
            loss: vec![],
            above_ends: vec![],
            accuracy: vec![],
            barrier: Barrier { height, std_error, at: 0.5 },
        };
        let way = |sides| Way {
            name: "aligned-line".into(),
            statistics: Statistics::Anew,
            length: 1.0,
            t: vec![0.0, 0.5, 1.0],
            sides,
        };
        let said = |sides| verdict(&[way(sides)], ["a", "b"]).join(" ");
        assert_eq!(
            said(vec![side("train", 0.5, Some(0.1)), side("test", 0.1, Some(0.2))]),
            "On the aligned line (batch-norm statistics anew) from a to b there is a barrier of 0.50 ± 0.10 (train, highest at \
             t = 0.500) and one of 0.10 ± 0.20 (test, highest at t = 0.500; below two standard errors, it cannot be told from zero)."
        );
        assert_eq!(
            said(vec![side("train", 0.0, Some(0.0)), side("test", 0.5, None)]),
            "On the aligned line (batch-norm statistics anew) from a to b no barrier is seen (train: at none of 3 points the loss \
             exceeds that of the higher end); there is a barrier of 0.50000 (test, highest at t = 0.500)."
        );
        assert!(said(vec![side("train", f64::NAN, None)]).ends_with("the loss is no number (train)."));
    }
}
