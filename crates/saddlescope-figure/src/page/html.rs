//! The page around the plots.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::plot::{Plot, plots};
use super::{Align, Report, Section, Table};
use crate::markup::{escape, to_html, to_plain};
use crate::{Figure, FigureError, render};

const PLOTLY: &str = include_str!("../../assets/plotly/plotly-strict.min.js");
const SCRIPT: &str = include_str!("page.js");
const STYLE: &str = include_str!("page.css");

/// Numbers of the things counted through the page.
#[derive(Default)]
struct Counters {
    figure: usize,
    table: usize,
    plots: Vec<Value>,
}

pub(super) fn page(report: &Report) -> Result<String, FigureError> {
    let mut counters = Counters::default();
    let mut body = String::new();
    let _ = write!(body, "<header>\n<h1>{}</h1>\n", to_html(&report.title));
    if let Some((first, rest)) = report.verdict.split_first() {
        let _ = writeln!(body, "<div class=\"verdict\"><p class=\"first\">{}</p>", to_html(first));
        for sentence in rest {
            let _ = writeln!(body, "<p>{}</p>", to_html(sentence));
        }
        body.push_str("</div>\n");
    }
    body.push_str("</header>\n");
    contents(&mut body, report);
    for (i, part) in report.sections.iter().enumerate() {
        section(&mut body, part, i, &mut counters)?;
    }
    provenance(&mut body, &report.provenance);
    Ok(document(report, &body, &counters.plots))
}

fn document(report: &Report, body: &str, plots: &[Value]) -> String {
    let plotly = PLOTLY.trim();
    let policy = format!(
        "default-src 'none'; script-src '{}' '{}'; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'",
        hash(plotly),
        hash(SCRIPT)
    );
    format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="saddlescope {version}">
<title>{title}</title>
<style>
{STYLE}</style>
<noscript><style>.interactive {{ display: none !important; }} .printed {{ display: block !important; }}</style></noscript>
</head>
<body>
<main>
{body}</main>
<script type="application/json" id="plots">{data}</script>
<script>{plotly}</script>
<script>{SCRIPT}</script>
</body>
</html>
"#,
        policy = escape(&policy),
        version = env!("CARGO_PKG_VERSION"),
        title = escape(&to_plain(&report.title)),
        data = script_json(&json!(plots)),
    )
}

/// A script's hash as a content security policy names it.
fn hash(script: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(script.as_bytes())))
}

/// JSON that cannot end the element it stands in, nor be read as markup.
fn script_json(value: &Value) -> String {
    value
        .to_string()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

fn contents(body: &mut String, report: &Report) {
    if report.sections.len() < 3 {
        return;
    }
    body.push_str("<nav aria-label=\"Contents\"><ol>\n");
    for (i, section) in report.sections.iter().enumerate() {
        let _ = writeln!(body, "<li><a href=\"#section-{i}\">{}</a></li>", to_html(&section.heading));
    }
    body.push_str("</ol></nav>\n");
}

fn section(
    body: &mut String,
    section: &Section,
    index: usize,
    counters: &mut Counters,
) -> Result<(), FigureError> {
    let _ = write!(body, "<section id=\"section-{index}\">\n<h2>{}</h2>\n", to_html(&section.heading));
    for text in &section.paragraphs {
        let _ = writeln!(body, "<p>{}</p>", to_html(text));
    }
    for part in &section.figures {
        figure(body, part, counters)?;
    }
    for part in &section.tables {
        table(body, part, counters);
    }
    body.push_str("</section>\n");
    Ok(())
}

/// A figure twice: as plots for the screen, and as the picture for paper (and for readers without script or WebGL).
fn figure(body: &mut String, figure: &Figure, counters: &mut Counters) -> Result<(), FigureError> {
    counters.figure += 1;
    let number = counters.figure;
    let svg = render::render_svg_with_prefix(figure, &format!("figure-{number}"))?;
    let plots = plots(figure);
    let columns = figure.columns.unwrap_or(2).clamp(1, 3).min(plots.len().max(1));
    let _ = write!(
        body,
        "<figure id=\"figure-{number}\">\n<div class=\"interactive columns-{columns}\" style=\"--columns: {columns}\">\n"
    );
    for Plot { heading, webgl, legend_rows, json } in plots {
        let index = counters.plots.len();
        let kind = if webgl { "plot space" } else { "plot" };
        let _ = writeln!(
            body,
            "<div class=\"panel\"><p class=\"heading\">{heading}</p><div class=\"{kind}\" style=\"--rows: {legend_rows}\" data-plot=\"{index}\"></div></div>"
        );
        counters.plots.push(json);
    }
    let _ = write!(body, "</div>\n<div class=\"printed\">{svg}</div>\n<figcaption><b>Figure {number}.");
    if !figure.title.is_empty() {
        let _ = write!(body, " {}.", to_html(figure.title.trim_end_matches('.')));
    }
    let _ = writeln!(body, "</b> {}</figcaption>\n</figure>", to_html(&figure.caption));
    Ok(())
}

fn class(align: Align) -> &'static str {
    match align {
        Align::Left => "left",
        Align::Right => "right",
        Align::Centre => "centre",
    }
}

fn table(body: &mut String, table: &Table, counters: &mut Counters) {
    counters.table += 1;
    let notes = table.rows.iter().any(|r| !r.note.is_empty());
    let _ = write!(body, "<div class=\"table\"><table>\n<caption><b>Table {}.</b>", counters.table);
    let _ = write!(body, " {}</caption>\n<thead><tr>", to_html(&table.title));
    for column in &table.columns {
        let _ = write!(
            body,
            "<th scope=\"col\" class=\"{}\">{}</th>",
            class(column.align),
            to_html(&column.name)
        );
    }
    if notes {
        body.push_str("<th scope=\"col\" class=\"left\">note</th>");
    }
    body.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        body.push_str("<tr>");
        let width = table.columns.len().max(row.cells.len());
        for i in 0..width {
            let align = table.columns.get(i).map_or(Align::Left, |c| c.align);
            let text = row.cells.get(i).map_or("", String::as_str);
            let _ = write!(body, "<td class=\"{}\">{}</td>", class(align), to_html(text));
        }
        if notes {
            let _ = write!(body, "<td class=\"note\">{}</td>", to_html(&row.note));
        }
        body.push_str("</tr>\n");
    }
    body.push_str("</tbody></table></div>\n");
}

fn provenance(body: &mut String, rows: &[(String, String)]) {
    if rows.is_empty() {
        return;
    }
    body.push_str("<section id=\"provenance\">\n<h2>Provenance</h2>\n<div class=\"table\"><table class=\"provenance\"><tbody>\n");
    for (name, value) in rows {
        let _ = writeln!(
            body,
            "<tr><th scope=\"row\">{}</th><td><code>{}</code></td></tr>",
            escape(name),
            escape(value)
        );
    }
    body.push_str("</tbody></table></div>\n</section>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plotting_script_can_stand_in_a_page() {
        // A script element ends at "</script" and changes mode at "<!--" followed by "<script".
        let lower = PLOTLY.to_ascii_lowercase();
        assert!(!lower.contains("</script") && !lower.contains("<!--"));
        assert!(!SCRIPT.contains("</") && !SCRIPT.contains("<!--"));
    }

    #[test]
    fn data_cannot_end_its_element() {
        let text = script_json(&json!({"name": "</script><script>alert(1)</script><!--&\u{2028}"}));
        assert!(!text.contains(['<', '>', '&', '\u{2028}']));
        let back: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(back["name"], "</script><script>alert(1)</script><!--&\u{2028}");
    }
}
