//! Measures of sharpness in the results, the report and the figures.

use saddlescope_figure::page::{Align, Row, Section, Table};
use saddlescope_figure::{Axis, ColorRole, Figure, LineStyle, Lines, Reference, Series};

use super::found::Found;
use super::results::{MeasureLeftOut, MeasureResult, Moves, RescaledResult, SharpnessResult};
use crate::number_text::{number, or_unknown, plus_minus};
use crate::sharpness::{Measure, MeasureKind};

/// What was found, if it was asked for.
pub(crate) fn result(found: &Found, options: &crate::sharpness::SharpnessOptions) -> Option<SharpnessResult> {
    let measures = found.sharpness.as_ref()?;
    let named = |m: &Measure| MeasureResult {
        measure: m.clone(),
        name: m.kind.name().into(),
        formula: m.kind.formula().into(),
        source: m.kind.source().into(),
        error_is: m.kind.error().into(),
    };
    let left = |(kind, reason): &(MeasureKind, String)| MeasureLeftOut {
        kind: *kind,
        name: kind.name().into(),
        reason: reason.clone(),
    };
    Some(SharpnessResult {
        rho: options.rho,
        epsilon: options.epsilon,
        measures: measures.measured.iter().map(named).collect(),
        left_out: measures.left_out.iter().map(left).collect(),
        rescaled: found.rescaled.clone(),
    })
}

impl SharpnessResult {
    /// The tables in Markdown: the measures by definition and value, and how they change with a rescaling.
    pub fn markdown(&self) -> String {
        let mut out = String::from(
            "| measure | value | ± over the data | products | losses |\n| --- | ---: | ---: | ---: | ---: |\n",
        );
        for m in &self.measures {
            out.push_str(&format!(
                "| {} | {} | {} | {} | {} |\n",
                m.name,
                with_error(&m.measure),
                or_unknown(m.measure.std_error),
                m.measure.products,
                m.measure.evaluations
            ));
        }
        for left in &self.left_out {
            out.push_str(&format!("\n{} is left out: {}.\n", left.name, left.reason));
        }
        if self.rescaled.is_empty() {
            return out;
        }
        let names: Vec<&str> = self.rescaled.iter().map(|r| r.name.as_str()).collect();
        out.push_str(&format!("\n| measure | as it is | {} |\n", names.join(" | ")));
        out.push_str(&format!("| --- | ---: |{}\n", " ---: |".repeat(names.len())));
        for (name, here, there) in self.rescaling_rows() {
            let cells: Vec<String> = there.into_iter().map(|t| cell(&here, t)).collect();
            out.push_str(&format!("| {name} | {} | {} |\n", at_least(&here), cells.join(" | ")));
        }
        let losses: Vec<String> = self.rescaled.iter().map(|r| number(r.loss)).collect();
        out.push_str(&format!("| loss | | {} |\n", losses.join(" | ")));
        out
    }
}

/// The measure of a copy, relative to that of the network, with the word whether it moves.
fn cell(here: &Measure, there: Option<(Measure, Moves)>) -> String {
    there.map_or("left out".into(), |(m, moves)| {
        format!("× {}, {}", number(m.value / here.value), moves.word())
    })
}

/// What a climb has reached is a bound from below; anything else has its error.
fn with_error(m: &Measure) -> String {
    if m.kind.is_lower_bound() {
        return at_least(m);
    }
    match m.error {
        Some(error) => plus_minus(m.value, error),
        None => number(m.value),
    }
}

/// The value alone, with ≥ where it is a bound from below.
fn at_least(m: &Measure) -> String {
    format!("{}{}", if m.kind.is_lower_bound() { "≥ " } else { "" }, number(m.value))
}

fn table(result: &SharpnessResult) -> Table {
    let mut table = Table::new(
        format!("Measures of sharpness (ρ = {}, ε = {})", result.rho, result.epsilon),
        &[
            ("measure", Align::Left),
            ("definition", Align::Left),
            ("value", Align::Right),
            ("± over the data", Align::Right),
            ("products", Align::Right),
            ("losses", Align::Right),
        ],
    );
    for m in &result.measures {
        let of = m.measure.of.as_ref().map_or(String::new(), |of| format!(" ({of})"));
        let open = if m.measure.converged { "" } else { " (not converged)" };
        table.rows.push(Row {
            cells: vec![
                format!("{}{of}", m.name),
                m.formula.clone(),
                format!("{}{open}", with_error(&m.measure)),
                or_unknown(m.measure.std_error),
                m.measure.products.to_string(),
                m.measure.evaluations.to_string(),
            ],
            note: format!("{}; error: {}", m.source, m.error_is),
        });
    }
    table
}

fn rescaling_table(result: &SharpnessResult) -> Table {
    let mut columns = vec![("measure", Align::Left), ("as it is", Align::Right)];
    columns.extend(result.rescaled.iter().map(|r| (r.name.as_str(), Align::Right)));
    let mut table = Table::new("The same function with other weights", &columns);
    for (name, here, there) in result.rescaling_rows() {
        let mut cells = vec![name, at_least(&here)];
        cells.extend(there.into_iter().map(|t| cell(&here, t)));
        table.rows.push(Row { cells, note: String::new() });
    }
    table
}

/// The section of the report.
pub(crate) fn section(result: &SharpnessResult, figures: Vec<Figure>) -> Section {
    let mut section = Section::new("Sharpness").paragraph(
        "Every measure by its own definition; a small value of one says nothing about another. A larger value is sharper in \
         that measure. The error is that of the number on these samples (what kind of error, the notes say), ≥ marks what a climb has reached, ± over the data \
         what other samples would change.",
    );
    section = section.table(table(result));
    for left in &result.left_out {
        section = section.paragraph(format!("{} is left out: {}.", left.name, left.reason));
    }
    if !result.rescaled.is_empty() {
        section = section
            .paragraph(
                "Dinh et al. (2017): multiply what leads to a ReLU unit and divide what leads away from it, and the network computes \
                 the same function with the same loss. A measure that moves cannot by itself say that one network is flatter than \
                 another.",
            )
            .table(rescaling_table(result));
    }
    section.figures = figures;
    section
}

/// How each measure changes with the factor of a rescaling.
pub(crate) fn rescaling_figure(result: &SharpnessResult) -> Option<Figure> {
    let mut copies: Vec<&RescaledResult> = result.rescaled.iter().filter(|r| r.factor.is_finite()).collect();
    if copies.len() < 2 {
        return None;
    }
    copies.sort_by(|a, b| a.factor.total_cmp(&b.factor));
    let ratios = |kind: MeasureKind, here: f64| -> Vec<(f64, f64)> {
        let there = |r: &&RescaledResult| {
            let m = r.measures.iter().find(|m| m.kind == kind)?;
            Some((r.factor, m.value / here))
        };
        let mut points: Vec<(f64, f64)> = copies.iter().filter_map(there).collect();
        points.push((1.0, 1.0));
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points.retain(|p| p.1 > 0.0 && p.1.is_finite());
        points
    };
    let panel = |kinds: &[MeasureKind]| {
        let colors = [
            ColorRole::First,
            ColorRole::Second,
            ColorRole::Third,
            ColorRole::Fourth,
            ColorRole::Fifth,
            ColorRole::Truth,
        ];
        let styles = [LineStyle::LinePoints, LineStyle::Dashed];
        let series = (kinds.iter())
            .filter_map(|&kind| Some((kind, result.get(kind)?.measure.value)))
            .enumerate()
            .map(|(i, (kind, here))| {
                let (x, y) = ratios(kind, here).into_iter().unzip();
                Series::new(kind.name().replace("λ_max", "$\\lambda_{max}$"), x, y, colors[i % colors.len()])
                    .style(styles[i / colors.len() % 2])
            })
            .collect();
        Lines {
            x: Axis::log("factor of the first layer"),
            y: Axis::log("relative to the original"),
            series,
            references: vec![Reference::horizontal(1.0, "")],
        }
    };
    let (moving, staying): (Vec<MeasureKind>, Vec<MeasureKind>) =
        MeasureKind::ALL.into_iter().partition(|k| !k.holds_under_layer_rescaling());
    Some(
        Figure::new(
            "rescaling",
            "One function, many sharpnesses",
            "The first layer of a ReLU network multiplied by a factor, the second divided by it: the function and the loss stay as \
             they are. (a) Measures that depend on the weights chosen for it. (b) Measures that do not.",
        )
        .panel("depend on the weights", panel(&moving))
        .panel("invariant", panel(&staying)),
    )
}
