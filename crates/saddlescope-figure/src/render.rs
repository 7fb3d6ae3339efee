//! A figure as SVG: the grid of panels, their letters and titles.

use super::check::check;
use super::content::Content;
use super::data::{Figure, Panel, PanelKind, Surface3d};
use super::error::FigureError;
use super::frame::{Area, INK, TITLE_SIZE};
use super::markup;
use super::svg::{Anchor, Svg, num};
use super::{heat, surface, text, xy};

const POINTS_PER_MM: f64 = 72.0 / 25.4;
const GUTTER: f64 = 12.0;
const MARGIN: f64 = 3.0;
const TITLE_LINE: f64 = 10.0;

/// The figure as an SVG document, `width` and `height` in millimetres and user units in points (1/72 inch).
///
/// # Errors
/// When the figure does not pass [`check`].
pub fn render_svg(figure: &Figure) -> Result<String, FigureError> {
    render_svg_with_prefix(figure, &figure.id)
}

/// As [`render_svg`], with ids that begin with `prefix`: two pictures in one page must not share ids.
pub(crate) fn render_svg_with_prefix(figure: &Figure, prefix: &str) -> Result<String, FigureError> {
    check(figure)?;
    let width = figure.width.millimetres() * POINTS_PER_MM;
    let columns = columns(figure);
    let cell = (width - 2.0 * MARGIN - GUTTER * (columns as f64 - 1.0)) / columns as f64;
    let mut svg = Svg::new(prefix);
    let mut y = MARGIN;
    for row in figure.panels.chunks(columns) {
        let titles: Vec<Vec<String>> =
            row.iter().map(|p| title_lines(p, figure.panels.len(), cell)).collect();
        let head = titles.iter().map(Vec::len).max().unwrap_or(0) as f64 * TITLE_LINE;
        let body = row.iter().map(|p| body_height(p, cell)).fold(0.0, f64::max);
        for (i, (panel, title)) in row.iter().zip(&titles).enumerate() {
            let x = MARGIN + i as f64 * (cell + GUTTER);
            svg.raw(r#"<g class="panel">"#);
            draw_title(&mut svg, panel, title, figure.panels.len(), x, y);
            let top = y + head + if head > 0.0 { 2.0 } else { 0.0 };
            draw_body(&mut svg, panel, Area { x, y: top, w: cell, h: body });
            svg.end();
        }
        y += head + body + GUTTER;
    }
    let height = y - GUTTER + MARGIN + 2.0;
    Ok(document(figure, &svg, width, height))
}

fn document(figure: &Figure, svg: &Svg, width: f64, height: f64) -> String {
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{}mm" height="{}mm" viewBox="0 0 {} {}" font-family="{}" role="img">
<title>{}</title>
<desc>{}</desc>
<defs>
{}</defs>
<rect width="100%" height="100%" fill="#ffffff"/>
{}</svg>
"##,
        num(width / POINTS_PER_MM),
        num(height / POINTS_PER_MM),
        num(width),
        num(height),
        text::FAMILY,
        markup::escape(&markup::to_plain(&figure.title)),
        markup::escape(&markup::to_plain(&figure.caption)),
        svg.defs,
        svg.body
    )
}

/// Panels in a row: what the figure asks for, else what stays legible.
fn columns(figure: &Figure) -> usize {
    let n = figure.panels.len().max(1);
    let chosen = figure.columns.unwrap_or(match (figure.width, n) {
        (super::data::FigureWidth::Single, _) | (_, 1) => 1,
        (_, 2 | 4) => 2,
        (_, 3) => 3,
        _ if figure.panels.iter().any(|p| matches!(p.kind, PanelKind::Surface3d(_))) => 2,
        _ => 3,
    });
    chosen.clamp(1, n)
}

fn body_height(panel: &Panel, width: f64) -> f64 {
    let (ratio, least, most) = match &panel.kind {
        PanelKind::Surface3d(Surface3d { inset: Some(_), .. }) => (1.02, 140.0, 360.0),
        PanelKind::Surface3d(_) => (0.80, 120.0, 290.0),
        PanelKind::HeatMap(_) => (0.80, 110.0, 290.0),
        PanelKind::Lines(_) | PanelKind::Histogram(_) => (0.70, 105.0, 230.0),
        PanelKind::Spectrum(_) => (0.62, 110.0, 210.0),
    };
    (ratio * width).clamp(least, most)
}

fn title_lines(panel: &Panel, panels: usize, width: f64) -> Vec<String> {
    let indent = letter_width(panel, panels);
    if panel.title.is_empty() {
        return if indent > 0.0 { vec![String::new()] } else { Vec::new() };
    }
    text::wrap(&panel.title, TITLE_SIZE, width - indent)
}

fn letter_width(panel: &Panel, panels: usize) -> f64 {
    if panels < 2 || panel.label.is_empty() {
        0.0
    } else {
        text::width(&panel.label, TITLE_SIZE) * 1.08 + 4.0
    }
}

fn draw_title(svg: &mut Svg, panel: &Panel, lines: &[String], panels: usize, x: f64, y: f64) {
    let indent = letter_width(panel, panels);
    if indent > 0.0 {
        let bold = r#" font-weight="bold""#;
        svg.text_styled(
            x,
            y + 8.0,
            &markup::literal(&panel.label),
            TITLE_SIZE,
            Anchor::Start,
            INK,
            bold,
            0.0,
        );
    }
    for (i, line) in lines.iter().enumerate().filter(|(_, l)| !l.is_empty()) {
        svg.text(x + indent, y + 8.0 + i as f64 * TITLE_LINE, line, TITLE_SIZE, Anchor::Start, INK);
    }
}

fn draw_body(svg: &mut Svg, panel: &Panel, area: Area) {
    match &panel.kind {
        PanelKind::Surface3d(p) => surface::draw(svg, area, p),
        PanelKind::HeatMap(p) => heat::draw(svg, area, p),
        PanelKind::Lines(p) => xy::draw(svg, area, &Content::of_lines(p)),
        PanelKind::Histogram(p) => xy::draw(svg, area, &Content::of_histogram(p)),
        PanelKind::Spectrum(p) => xy::draw(svg, area, &Content::of_spectrum(p)),
    }
}
