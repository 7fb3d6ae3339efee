//! Heat maps: cells of colour, level lines, a cross at the smallest value, a colour bar.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::color;
use super::contour::{self, Contour};
use super::data::{Grid, HeatMap, Levels, LineStyle, Palette, Scale, Series};
use super::frame::{Area, Frame, INK, LABEL_SIZE, TICK_SIZE, power};
use super::hatching::{self, borders};
use super::legend;
use super::scale::{Mapping, number};
use super::smooth;
use super::svg::{Anchor, Stroke, Svg, num};
use super::text;

const BAR: f64 = 7.0;

/// The scale of a grid's values.
pub(crate) fn z_map(grid: &Grid, scale: Scale, range: Option<[f64; 2]>) -> Mapping {
    Mapping::fit(scale, range, grid.z.iter().copied(), 0.0)
}

/// The text at the cross of a grid: value and coordinates of the smallest value.
pub(crate) fn minimum_text(grid: &Grid) -> Option<String> {
    let [x, y, z] = grid.minimum()?;
    // Grid points meant to be 0 are often 10⁻¹⁷.
    let clean =
        |v: f64, axis: &[f64]| if v.abs() < 1e-9 * (axis[axis.len() - 1] - axis[0]) { 0.0 } else { v };
    Some(format!("min {} at ({}, {})", number(z), number(clean(x, &grid.x)), number(clean(y, &grid.y))))
}

/// The text at the cross with what follows it.
pub(crate) fn with_note(minimum: String, note: &str) -> String {
    if note.is_empty() { minimum } else { format!("{minimum}, {note}") }
}

/// How missing values are called in the key.
pub(crate) fn missing_text(scale: Scale) -> &'static str {
    if scale == Scale::Log { "not finite or ≤ 0" } else { "not finite" }
}

pub(crate) fn draw(svg: &mut Svg, outer: Area, p: &HeatMap) {
    let map = z_map(&p.grid, p.scale, p.range);
    let missing = p.grid.z.iter().any(|&z| !map.shows(z));
    let bar_ticks = map.ticks(((outer.h / 26.0) as usize).clamp(2, 6));
    let widest = bar_ticks.ticks.iter().map(|t| text::width(&t.label, TICK_SIZE)).fold(0.0, f64::max);
    let named = !p.grid.z_label.is_empty();
    let right = 6.0 + BAR + 4.0 + widest + if named { LABEL_SIZE + 5.0 } else { 2.0 };
    let top = note_height(p, missing) + if bar_ticks.exponent != 0 { 3.0 } else { 0.0 };
    let (x, y) = axes(&p.grid);
    let frame = Frame::place(outer.below(top), x, y, &p.grid.x_label, &p.grid.y_label, right);
    notes(svg, p, missing, frame.area.x, outer);
    map_body(svg, &frame, p, &map);
    frame.draw(svg, &p.grid.x_label, &p.grid.y_label);
    if let Some(inset) = &p.inset {
        draw_inset(svg, &frame, p, &inset.grid, inset.scale);
    }
    color_bar(svg, &frame, p, &map, widest);
}

/// The mappings of the two axes, to the outer borders of the cells.
fn axes(grid: &Grid) -> (Mapping, Mapping) {
    let ends = |axis: &[f64]| {
        let b = borders(axis);
        let (lo, hi) = (b[0], b[b.len() - 1]);
        if lo.is_finite() && hi.is_finite() && lo < hi {
            Mapping { scale: Scale::Linear, lo, hi }
        } else {
            Mapping { scale: Scale::Linear, lo: axis[0], hi: axis[axis.len() - 1] }
        }
    };
    (ends(&grid.x), ends(&grid.y))
}

fn note_height(p: &HeatMap, missing: bool) -> f64 {
    let marked = p.mark_minimum && p.grid.minimum().is_some();
    if marked || missing { 10.0 } else { 0.0 }
}

/// The line above the frame: what cross and hatching mean.
fn notes(svg: &mut Svg, p: &HeatMap, missing: bool, x: f64, outer: Area) {
    let mut at = x;
    let base = outer.y + 7.0;
    if p.mark_minimum
        && let Some(text) = minimum_text(&p.grid)
    {
        let text = with_note(text, &p.minimum_note);
        // A long line begins left of the frame, over the ticks.
        at = x.min(outer.right() - 8.5 - text::width(&text, legend::SIZE)).max(outer.x);
        svg.cross(at + 3.0, base - 2.5, 2.2, INK, "#ffffff");
        svg.text(at + 8.5, base, &text, legend::SIZE, Anchor::Start, INK);
        at += 8.5 + text::width(&text, legend::SIZE) + 9.0;
    }
    if missing {
        let text = missing_text(p.scale);
        let width = 11.0 + text::width(text, legend::SIZE);
        // At the right end when the line has no room left, over the colour bar's column.
        at = at.min(outer.right() - width).max(x);
        let hatch = svg.hatch();
        svg.rect(at, base - 5.6, 8.0, 6.2, &hatch, Some(Stroke::solid("#777777", 0.4)));
        svg.text(at + 11.0, base, text, legend::SIZE, Anchor::Start, INK);
    }
}

fn map_body(svg: &mut Svg, frame: &Frame, p: &HeatMap, map: &Mapping) {
    let a = frame.area;
    svg.begin_clip(a.x, a.y, a.w, a.h);
    let hatch = svg.hatch();
    svg.rect(a.x, a.y, a.w, a.h, &hatch, None);
    cells(svg, frame, &p.grid, p.palette, map);
    for line in contour::contours(&p.grid, map, &p.levels) {
        let c = color::sample(p.palette, color::position(p.palette, map, line.level));
        let dark = 0.3 * c[0] + 0.59 * c[1] + 0.11 * c[2] < 130.0;
        let ink = if dark { "#ffffff" } else { "#000000" };
        let d = level_path(frame, &line);
        svg.raw(&format!(
            r#"<path class="level" d="{d}" fill="none" stroke="{ink}" stroke-opacity="0.6" stroke-width="0.5" stroke-linecap="round"/>"#
        ));
    }
    hatching(svg, frame, p);
    if let Some(level) = p.reference_level {
        for line in contour::contours(&p.grid, map, &Levels::At(vec![level])) {
            reference_line(svg, frame, &line);
        }
    }
    p.tracks.iter().for_each(|track| draw_track(svg, frame, track));
    if p.mark_origin {
        let (x, y) = (frame.px(0.0), frame.py(0.0));
        svg.circle(x, y, 2.4, "none", Some(Stroke::solid("#ffffff", 1.6)));
        svg.circle(x, y, 2.4, "none", Some(Stroke::solid("#000000", 0.7)));
    }
    if p.mark_minimum
        && let Some([x, y, _]) = p.grid.minimum()
    {
        svg.cross(frame.px(x), frame.py(y), 2.8, "#111111", "#ffffff");
    }
    svg.end();
}

/// The segments of a level line as a path.
fn level_path(frame: &Frame, line: &Contour) -> String {
    let mut d = String::new();
    for points in line.joined() {
        for (i, [x, y]) in points.iter().enumerate() {
            let command = if i == 0 { 'M' } else { 'L' };
            let _ = write!(d, "{command}{} {}", num(frame.px(*x)), num(frame.py(*y)));
        }
    }
    d
}

/// A dashed line, dark on white, to be seen on every colour.
fn reference_line(svg: &mut Svg, frame: &Frame, line: &Contour) {
    let d = level_path(frame, line);
    if d.is_empty() {
        return;
    }
    for (ink, width, dash) in [("#ffffff", 1.5, ""), ("#111111", 0.8, r#" stroke-dasharray="3 2""#)] {
        svg.raw(&format!(
            r#"<path class="reference" d="{d}" fill="none" stroke="{ink}" stroke-width="{width}"{dash}/>"#
        ));
    }
}

/// Thin lines over hatched cells: white with a dark edge, to be seen on every colour.
fn hatching(svg: &mut Svg, frame: &Frame, p: &HeatMap) {
    let mut d = String::new();
    for [from, to] in hatching::segments(p) {
        let [x0, y0, x1, y1] =
            [frame.px(from[0]), frame.py(from[1]), frame.px(to[0]), frame.py(to[1])].map(num);
        let _ = write!(d, "M{x0} {y0}L{x1} {y1}");
    }
    if d.is_empty() {
        return;
    }
    for (ink, width, opacity) in [("#000000", 0.9, 0.35), ("#ffffff", 0.4, 0.9)] {
        svg.raw(&format!(
            r#"<path class="hatched" d="{d}" fill="none" stroke="{ink}" stroke-opacity="{opacity}" stroke-width="{width}"/>"#
        ));
    }
}

/// A way over the map: white-edged line, white-edged dots, its name beside its last point.
fn draw_track(svg: &mut Svg, frame: &Frame, track: &Series) {
    let ink = color::role(track.color);
    let places: Vec<[f64; 2]> = (track.x.iter().zip(&track.y))
        .filter(|(x, y)| x.is_finite() && y.is_finite())
        .map(|(&x, &y)| [frame.px(x), frame.py(y)])
        .collect();
    if track.style != LineStyle::Points {
        let dash = color::dash(track.style);
        svg.polyline(&places, Stroke { color: "#ffffff", width: 2.0, dash: "", opacity: 0.8 });
        svg.polyline(&places, Stroke { color: ink, width: 1.0, dash, opacity: 1.0 });
    }
    if matches!(track.style, LineStyle::Points | LineStyle::LinePoints) {
        for [x, y] in &places {
            svg.circle(*x, *y, 2.0, ink, Some(Stroke::solid("#ffffff", 0.6)));
        }
    }
    let Some([x, y]) = places.last().copied().filter(|_| !track.label.is_empty()) else { return };
    let a = frame.area;
    let width = text::width(&track.label, legend::SIZE);
    // To the right of the point, or to its left where the right has no room.
    let left = if x + 5.0 + width < a.right() { x + 5.0 } else { (x - 5.0 - width).max(a.x + 1.0) };
    let base = (y - 3.5).clamp(a.y + legend::SIZE, a.bottom() - 2.0);
    svg.raw(&format!(
        r##"<rect x="{}" y="{}" width="{}" height="{}" fill="#ffffff" fill-opacity="0.75"/>"##,
        num(left - 1.0),
        num(base - 0.85 * legend::SIZE),
        num(width + 2.0),
        num(1.15 * legend::SIZE)
    ));
    svg.text(left, base, &track.label, legend::SIZE, Anchor::Start, INK);
}

/// One path per colour; neighbours of one colour in a row become one rectangle. Missing cells stay open. Coarse grids are
/// interpolated first.
fn cells(svg: &mut Svg, frame: &Frame, grid: &Grid, palette: Palette, map: &Mapping) {
    let fine = smooth::refined(grid, map);
    let nx = fine.grid.x.len();
    let xs: Vec<f64> = fine.x_borders.iter().map(|&v| frame.px(v)).collect();
    let ys: Vec<f64> = fine.y_borders.iter().map(|&v| frame.py(v)).collect();
    let grid = &fine.grid;
    let mut paths: BTreeMap<String, String> = BTreeMap::new();
    for iy in 0..grid.y.len() {
        let row = &grid.z[iy * nx..(iy + 1) * nx];
        let colors: Vec<Option<String>> = row
            .iter()
            .map(|&z| {
                let t = color::position(palette, map, z);
                map.shows(z)
                    .then(|| color::hex(color::sample(palette, (t.clamp(0.0, 1.0) * 255.0).round() / 255.0)))
            })
            .collect();
        let mut start = 0;
        for run in colors.chunk_by(|a, b| a == b) {
            let end = start + run.len();
            if let Some(color) = &run[0] {
                let (x0, x1, y0, y1) = (xs[start], xs[end], ys[iy + 1], ys[iy]);
                let _ = write!(
                    paths.entry(color.clone()).or_default(),
                    "M{} {}H{}V{}H{}Z",
                    num(x0),
                    num(y0),
                    num(x1),
                    num(y1),
                    num(x0)
                );
            }
            start = end;
        }
    }
    svg.raw(r#"<g class="cells" shape-rendering="crispEdges">"#);
    for (color, d) in paths {
        svg.raw(&format!(r#"<path d="{d}" fill="{color}"/>"#));
    }
    svg.end();
}

fn color_bar(svg: &mut Svg, frame: &Frame, p: &HeatMap, map: &Mapping, widest: f64) {
    let a = frame.area;
    let x = a.right() + 6.0;
    let steps = 128;
    svg.raw(r#"<g class="colorbar" shape-rendering="crispEdges">"#);
    for i in 0..steps {
        let value = map.at((f64::from(i) + 0.5) / f64::from(steps));
        let color = color::hex(color::sample(p.palette, color::position(p.palette, map, value)));
        let h = a.h / f64::from(steps);
        svg.rect(x, a.bottom() - h * f64::from(i + 1), BAR, h + 0.05, &color, None);
    }
    svg.end();
    svg.rect(x, a.y, BAR, a.h, "none", Some(Stroke::solid("#444444", 0.5)));
    let ticks = map.ticks(((a.h / 24.0) as usize).clamp(2, 6));
    for tick in &ticks.ticks {
        let y = a.bottom() - a.h * map.unit(tick.value);
        let length = if tick.label.is_empty() { 1.2 } else { 2.2 };
        svg.line(x + BAR, y, x + BAR + length, y, Stroke::solid("#444444", 0.5));
        svg.text(x + BAR + 3.6, y + 0.36 * TICK_SIZE, &tick.label, TICK_SIZE, Anchor::Start, INK);
    }
    if ticks.exponent != 0 {
        svg.text(x, a.y - 3.0, &power(ticks.exponent), TICK_SIZE, Anchor::Start, INK);
    }
    if !p.grid.z_label.is_empty() {
        let x = x + BAR + 4.0 + widest + 0.9 * LABEL_SIZE;
        svg.text_styled(x, a.y + 0.5 * a.h, &p.grid.z_label, LABEL_SIZE, Anchor::Middle, INK, "", -90.0);
    }
}

/// A zoom in the corner farthest from the smallest value, on a white ground, with its own ticks.
fn draw_inset(svg: &mut Svg, frame: &Frame, p: &HeatMap, grid: &Grid, scale: Scale) {
    let a = frame.area;
    let (w, h) = (0.42 * a.w, 0.42 * a.h);
    let focus = grid_centre(frame, grid);
    let x = if focus[0] < a.x + 0.5 * a.w { a.right() - w - 2.0 } else { a.x + 2.0 };
    let y = if focus[1] < a.y + 0.5 * a.h { a.bottom() - h - 2.0 } else { a.y + 2.0 };
    // What is zoomed.
    let corner = [frame.px(grid.x[0]), frame.py(grid.y[grid.y.len() - 1])];
    let size = [frame.px(grid.x[grid.x.len() - 1]) - corner[0], frame.py(grid.y[0]) - corner[1]];
    svg.rect(corner[0], corner[1], size[0], size[1], "none", Some(Stroke::solid("#ffffff", 0.9)));
    svg.rect(x, y, w, h, "#ffffff", Some(Stroke::solid("#444444", 0.5)));
    let map = z_map(grid, scale, None);
    let (mx, my) = axes(grid);
    let inner = Area { x: x + 1.0, y: y + 1.0, w: w - 2.0, h: h - 2.0 };
    let small = Frame::place_sized(inner, mx, my, "", "", 3.0, 5.5);
    let zoom = HeatMap {
        grid: grid.clone(),
        scale,
        palette: p.palette,
        mark_minimum: p.mark_minimum,
        mark_origin: p.mark_origin,
        ..HeatMap::new(grid.clone())
    };
    map_body(svg, &small, &zoom, &map);
    small.draw(svg, "", "");
}

fn grid_centre(frame: &Frame, grid: &Grid) -> [f64; 2] {
    let mid = |axis: &[f64]| 0.5 * (axis[0] + axis[axis.len() - 1]);
    [frame.px(mid(&grid.x)), frame.py(mid(&grid.y))]
}
