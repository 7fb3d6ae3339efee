//! The figures and the table as one report.

use super::numbers::significant;
use super::{Comparison, FigureResult, Finding, NumberTable};
use saddlescope_figure::page::{Align, Report, Section, Table};

/// A report with the finished figures and the table. `seed` is the one that made them.
pub fn paper_report(results: &[FigureResult], table: &NumberTable, seed: u64) -> Report {
    let mut figures = Section::new("Figures");
    for result in results {
        figures = figures.figure(result.figure.clone());
    }
    let mut numbers = Section::new("Numbers: printed, exact, ours").paragraph(
        "Where print and arithmetic differ, the arithmetic decides. Errors are standard errors over independent random \
         planes or vectors, or over images.",
    );
    for (title, finding) in [
        ("Networks: the paper's have other weights, so other values", Finding::OtherWeights),
        ("Print and arithmetic differ", Finding::Differs),
        ("Print and arithmetic agree", Finding::Agrees),
        ("Not printed in the paper", Finding::NotPrinted),
    ] {
        if table.rows.iter().any(|row| row.finding == finding) {
            numbers = numbers.table(rows(title, table, finding));
        }
    }
    Report {
        title: "Random planes hide saddles".into(),
        verdict: verdict(table),
        sections: vec![figures, numbers],
        provenance: vec![
            ("paper".into(), "L. Böttcher and G. Wheeler, Visualizing high-dimensional loss landscapes with Hessian directions (2022)".into()),
            ("figures".into(), results.iter().map(|r| r.number.to_string()).collect::<Vec<_>>().join(", ")),
            ("seed".into(), seed.to_string()),
            ("saddlescope".into(), env!("CARGO_PKG_VERSION").into()),
        ],
    }
}

/// What the table shows, in sentences, from the rows that are there.
fn verdict(table: &NumberTable) -> Vec<String> {
    let find = |part: &str| table.rows.iter().find(|row| row.quantity.contains(part));
    let mut sentences = Vec::new();
    if let Some(row) = find("κ₊κ₋ < 0, 10,000 planes") {
        sentences.push(format!(
            "A saddle with 1000 positive and 800 negative curvatures looks like one in {} of {} random planes; the \
             others show a minimum or a maximum.",
            (row.ours.value * row.ours.samples as f64).round(),
            row.ours.samples
        ));
    }
    if let Some(row) = find("Pr(κ₊κ₋ > 0), counted") {
        sentences.push(format!(
            "Even with as many negative as positive curvatures, {:.1}\u{a0}% of the random planes hide the saddle, where the paper \
             says 25\u{a0}%.",
            100.0 * row.ours.value
        ));
    }
    for row in table.rows.iter().filter(|row| row.quantity.starts_with("λ_min of")) {
        let network = row.quantity.trim_start_matches("λ_min of ");
        sentences.push(format!(
            "{network}: λ_min = {} (paper, other weights: {}): {}",
            row.ours,
            row.printed,
            if row.ours.value < 0.0 {
                "a direction of negative curvature."
            } else {
                "no negative curvature found."
            }
        ));
    }
    let differ = table.rows.iter().filter(|row| row.finding == Finding::Differs).count();
    if differ > 0 {
        sentences
            .push(format!("In {differ} places the paper's print and its arithmetic differ; see the tables."));
    }
    sentences
}

fn rows(title: &str, table: &NumberTable, finding: Finding) -> Table {
    let [_, quantity, printed, exact, ours, ..] = Comparison::HEADINGS;
    let columns =
        [(quantity, Align::Left), (printed, Align::Right), (exact, Align::Right), (ours, Align::Right)];
    let mut out = Table::new(title, &columns);
    for row in table.rows.iter().filter(|row| row.finding == finding) {
        let [place, _, printed, _, ours, ..] = row.cells();
        let exact = row.exact.map_or_else(|| "—".to_owned(), |value| significant(value, 4));
        let note = match row.exact_source.as_str() {
            "" => row.remark.clone(),
            source => format!("{}. Exact value: {source}.", row.remark),
        };
        out = out.row_with_note([format!("{} [{place}]", row.quantity), printed, exact, ours], note);
    }
    out
}
