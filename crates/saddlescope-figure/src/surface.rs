//! Surfaces in perspective: a shaded mesh drawn from far to near, with a box, ticks and holes where values are missing.

use std::fmt::Write;

use super::color;
use super::contour;
use super::data::{Grid, Levels, Palette, Scale, Surface3d};
use super::frame::{Area, INK, LABEL_SIZE, TICK_SIZE, power};
use super::heat::{minimum_text, missing_text, with_note, z_map};
use super::legend;
use super::scale::{Mapping, Ticks};
use super::svg::{Anchor, Stroke, Svg, num};
use super::text;
use super::view::{View, dot, normal};

/// Height of the box relative to its sides.
const ASPECT: [f64; 3] = [1.0, 1.0, 0.72];
/// Most cells along one side of the drawn mesh: more cannot be told apart at column width.
const MOST_CELLS: usize = 110;
const GRID_LINE: &str = "#d4d4d4";

/// The three mappings of a surface onto the unit cube.
struct Cube {
    x: Mapping,
    y: Mapping,
    z: Mapping,
}

impl Cube {
    fn new(grid: &Grid, scale: Scale, range: Option<[f64; 2]>) -> Cube {
        let ends = |axis: &[f64]| Mapping { scale: Scale::Linear, lo: axis[0], hi: axis[axis.len() - 1] };
        Cube { x: ends(&grid.x), y: ends(&grid.y), z: z_map(grid, scale, range) }
    }
}

pub(crate) fn draw(svg: &mut Svg, outer: Area, p: &Surface3d) {
    let cube = Cube::new(&p.grid, p.scale, p.range);
    let note = notes(svg, outer, p, &cube);
    let z_ticks = cube.z.ticks(5);
    let widest = z_ticks.ticks.iter().map(|t| text::width(&t.label, TICK_SIZE)).fold(0.0, f64::max);
    let left = widest + LABEL_SIZE + 12.0;
    let y_ticks = cube.y.ticks(4);
    let right = y_ticks.ticks.iter().map(|t| text::width(&t.label, TICK_SIZE)).fold(0.0, f64::max) + 6.0;
    let area = outer.below(note);
    // An inset stands in the empty corner above the box, which moves down for it.
    let inset_height = if p.inset.is_some() { 0.34 * area.h } else { 0.0 };
    let box_area = area.below(0.72 * inset_height);
    let view = View::new(p.azimuth, p.elevation, ASPECT);
    let view = view.fit(box_area.x + left, box_area.y + 4.0, area.w - left - right, box_area.h - 32.0);
    draw_box(svg, &view, &cube, Some([&p.grid.x_label, &p.grid.y_label, &p.grid.z_label]), TICK_SIZE);
    floor_lines(svg, &view, &cube, p);
    mesh(svg, &view, &cube, &p.grid, p.palette, p.range.is_some());
    if p.mark_minimum {
        mark(svg, &view, &cube, &p.grid);
    }
    if let Some(inset) = &p.inset {
        let w = 0.46 * outer.w;
        let corner = Area { x: outer.right() - w, y: area.y, w, h: inset_height };
        draw_inset(svg, corner, p, &inset.grid, inset.scale);
    }
}

/// The line above: what the cross and the holes mean.
fn notes(svg: &mut Svg, outer: Area, p: &Surface3d, cube: &Cube) -> f64 {
    let mut text = String::new();
    let mut x = outer.x;
    if p.mark_minimum
        && let Some(minimum) = minimum_text(&p.grid)
    {
        svg.cross(x + 3.0, outer.y + 4.5, 2.2, INK, "#ffffff");
        x += 8.5;
        text = with_note(minimum.clone(), &p.minimum_note);
        // Beside other panels there may be no room for more than the place.
        if x + text::width(&text, legend::SIZE) > outer.right() {
            text = minimum;
        }
    }
    if p.grid.z.iter().any(|&z| !cube.z.shows(z)) {
        let gap = if text.is_empty() { "" } else { ";  " };
        let _ = write!(text, "{gap}holes: {}", missing_text(p.scale));
    }
    if text.is_empty() {
        return 0.0;
    }
    svg.text(x, outer.y + 7.0, &text, legend::SIZE, Anchor::Start, INK);
    10.0
}

/// The three far walls with their grid lines, and ticks and names along the near edges.
fn draw_box(svg: &mut Svg, view: &View, cube: &Cube, labels: Option<[&str; 3]>, size: f64) {
    // Far side of each direction, 0 or 1; the floor stays the floor unless seen from below.
    let far = view.eye.map(|e| if e > 0.0 { 0.0 } else { 1.0 });
    let near = far.map(|f| 1.0 - f);
    let corner = |free: [usize; 2], fixed: usize, u: f64, v: f64| {
        let mut p = [0.0; 3];
        p[free[0]] = u;
        p[free[1]] = v;
        p[fixed] = far[fixed];
        view.paper(p)
    };
    let few = if size < TICK_SIZE { 3 } else { 4 };
    let ticks = [cube.x.ticks(few), cube.y.ticks(few), cube.z.ticks(few + 1)];
    let maps = [cube.x, cube.y, cube.z];
    let units = |i: usize| -> Vec<f64> { ticks[i].ticks.iter().map(|t| maps[i].unit(t.value)).collect() };
    for (free, fixed, fill) in [([0, 1], 2, "#f1f1f1"), ([1, 2], 0, "#f8f8f8"), ([0, 2], 1, "#f5f5f5")] {
        let wall = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)].map(|(u, v)| corner(free, fixed, u, v));
        svg.polygon(&wall, fill, 1.0, Some(Stroke::solid("#b0b0b0", 0.5)));
        let major = |i: usize| {
            let labelled: Vec<bool> = ticks[i].ticks.iter().map(|t| !t.label.is_empty()).collect();
            units(i).into_iter().zip(labelled).filter(|(_, l)| *l).map(|(u, _)| u).collect::<Vec<f64>>()
        };
        for u in major(free[0]) {
            let (a, b) = (corner(free, fixed, u, 0.0), corner(free, fixed, u, 1.0));
            svg.line(a[0], a[1], b[0], b[1], Stroke::solid(GRID_LINE, 0.4));
        }
        for v in major(free[1]) {
            let (a, b) = (corner(free, fixed, 0.0, v), corner(free, fixed, 1.0, v));
            svg.line(a[0], a[1], b[0], b[1], Stroke::solid(GRID_LINE, 0.4));
        }
    }
    let x_edge = move |u: f64| [u, near[1], far[2]];
    let y_edge = move |u: f64| [near[0], u, far[2]];
    // The vertical edge at the left rim of the box.
    let (one, two) = ([near[0], far[1], 0.0], [far[0], near[1], 0.0]);
    let rim = if view.paper(one)[0] < view.paper(two)[0] { one } else { two };
    let z_edge = move |u: f64| [rim[0], rim[1], u];
    let names = labels.unwrap_or(["", "", ""]);
    edge(svg, view, &x_edge, [0.0, near[1] - far[1], 0.0], &maps[0], &ticks[0], names[0], size);
    edge(svg, view, &y_edge, [near[0] - far[0], 0.0, 0.0], &maps[1], &ticks[1], names[1], size);
    vertical_edge(svg, view, &z_edge, &maps[2], &ticks[2], names[2], size);
}

/// Ticks along one edge of the floor. `outward` points away from the box.
fn edge(
    svg: &mut Svg,
    view: &View,
    at: &dyn Fn(f64) -> [f64; 3],
    outward: [f64; 3],
    map: &Mapping,
    ticks: &Ticks,
    name: &str,
    size: f64,
) {
    let (start, end) = (view.paper(at(0.0)), view.paper(at(1.0)));
    svg.line(start[0], start[1], end[0], end[1], Stroke::solid("#444444", 0.6));
    let middle = at(0.5);
    let (a, b) = (view.paper(middle), view.paper([0, 1, 2].map(|i| middle[i] + outward[i])));
    let length = (b[0] - a[0]).hypot(b[1] - a[1]).max(1e-9);
    let direction = [(b[0] - a[0]) / length, (b[1] - a[1]) / length];
    // Labels at the left hang below their ticks, clear of the vertical axis at the left rim; at the right they follow them.
    let hang = direction[0] < 0.3;
    let anchor = if hang { Anchor::Middle } else { Anchor::Start };
    let widest = ticks.ticks.iter().map(|t| text::width(&t.label, size)).fold(0.0, f64::max);
    for tick in ticks.ticks.iter().filter(|t| !t.label.is_empty()) {
        let p = view.paper(at(map.unit(tick.value)));
        svg.line(
            p[0],
            p[1],
            p[0] + 2.6 * direction[0],
            p[1] + 2.6 * direction[1],
            Stroke::solid("#444444", 0.6),
        );
        let (x, y) = if hang {
            (p[0] + direction[0] * (3.0 + 0.3 * widest), p[1] + 1.05 * size + 5.0 * direction[1].max(0.0))
        } else {
            (
                p[0] + 4.6 * direction[0],
                p[1] + 4.6 * direction[1] + size * (0.36 + 0.38 * direction[1].max(0.0)),
            )
        };
        svg.text(x, y, &tick.label, size, anchor, INK);
    }
    if name.is_empty() {
        return;
    }
    let name =
        if ticks.exponent == 0 { name.to_string() } else { format!("{name} ({})", power(ticks.exponent)) };
    // Beyond the tick labels: their width counts as far as the edge runs steeply.
    let label_size = LABEL_SIZE * size / TICK_SIZE;
    let away =
        if hang { 8.0 + 1.2 * size + 0.5 * widest * direction[0].abs() } else { 7.0 + size + 0.8 * widest };
    let (x, y) = (
        a[0] + away * direction[0],
        a[1] + away * direction[1] + label_size * (0.36 + 0.6 * direction[1].max(0.0)),
    );
    let anchor = if hang { Anchor::End } else { anchor };
    svg.text(x, y, &name, label_size, anchor, INK);
}

fn vertical_edge(
    svg: &mut Svg,
    view: &View,
    at: &dyn Fn(f64) -> [f64; 3],
    map: &Mapping,
    ticks: &Ticks,
    name: &str,
    size: f64,
) {
    let (start, end) = (view.paper(at(0.0)), view.paper(at(1.0)));
    svg.line(start[0], start[1], end[0], end[1], Stroke::solid("#444444", 0.6));
    // Seen from above the edge is too short for ticks.
    if (start[1] - end[1]).abs() < 3.0 * size {
        return;
    }
    let mut widest: f64 = 0.0;
    for tick in &ticks.ticks {
        let p = view.paper(at(map.unit(tick.value)));
        let length = if tick.label.is_empty() { 1.4 } else { 2.6 };
        svg.line(p[0] - length, p[1], p[0], p[1], Stroke::solid("#444444", 0.6));
        svg.text(p[0] - 4.2, p[1] + 0.36 * size, &tick.label, size, Anchor::End, INK);
        widest = widest.max(text::width(&tick.label, size));
    }
    if !name.is_empty() {
        let name = if ticks.exponent == 0 {
            name.to_string()
        } else {
            format!("{name} ({})", power(ticks.exponent))
        };
        let label_size = LABEL_SIZE * size / TICK_SIZE;
        let (x, y) = (start[0] - 7.0 - widest - 0.2 * label_size, 0.5 * (start[1] + end[1]));
        svg.text_styled(x, y, &name, label_size, Anchor::Middle, INK, "", -90.0);
    }
}

/// Level lines on the floor.
fn floor_lines(svg: &mut Svg, view: &View, cube: &Cube, p: &Surface3d) {
    if p.levels == Levels::None {
        return;
    }
    let floor = if view.eye[2] > 0.0 { 0.0 } else { 1.0 };
    for line in contour::contours(&p.grid, &cube.z, &p.levels) {
        let color = color::hex(color::sample(p.palette, color::position(p.palette, &cube.z, line.level)));
        let mut d = String::new();
        for [a, b] in &line.segments {
            let at = |q: &[f64; 2]| view.paper([cube.x.unit(q[0]), cube.y.unit(q[1]), floor]);
            let (a, b) = (at(a), at(b));
            let _ = write!(d, "M{} {}L{} {}", num(a[0]), num(a[1]), num(b[0]), num(b[1]));
        }
        svg.raw(&format!(
            r#"<path class="level" d="{d}" fill="none" stroke="{color}" stroke-width="0.6" stroke-linecap="round"/>"#
        ));
    }
}

/// The nodes drawn along an axis of n values: all, or evenly chosen ones with both ends.
fn chosen(n: usize) -> Vec<usize> {
    let cells = (n - 1).min(MOST_CELLS);
    (0..=cells).map(|i| i * (n - 1) / cells).collect()
}

fn mesh(svg: &mut Svg, view: &View, cube: &Cube, grid: &Grid, palette: Palette, clip: bool) {
    let nx = grid.x.len();
    let (columns, rows) = (chosen(nx), chosen(grid.y.len()));
    let unit = |ix: usize, iy: usize| {
        let u = cube.z.unit(grid.z[iy * nx + ix]);
        if clip && !(-1e-9..=1.0 + 1e-9).contains(&u) { f64::NAN } else { u }
    };
    let point = |ix: usize, iy: usize| [cube.x.unit(grid.x[ix]), cube.y.unit(grid.y[iy]), unit(ix, iy)];
    // Whole rows and columns from far to near: exact for the graph of a function.
    let far_first = |eye: f64, n: usize| -> Vec<usize> {
        if eye > 0.0 { (0..n).collect() } else { (0..n).rev().collect() }
    };
    let x_order = far_first(view.eye[0], columns.len() - 1);
    let y_order = far_first(view.eye[1], rows.len() - 1);
    let light = {
        let l = [view.eye[0] * 0.55 - 0.35, view.eye[1] * 0.35 - 0.45, 0.95];
        let length = dot(l, l).sqrt();
        l.map(|v| v / length)
    };
    let fine = columns.len().max(rows.len()) > 64;
    svg.raw(r#"<g class="mesh" stroke-linejoin="round">"#);
    for &j in &y_order {
        for &i in &x_order {
            let (x0, x1, y0, y1) = (columns[i], columns[i + 1], rows[j], rows[j + 1]);
            // A missing value anywhere in the cell, also between the drawn nodes, leaves it open.
            if (y0..=y1).any(|iy| (x0..=x1).any(|ix| unit(ix, iy).is_nan())) {
                continue;
            }
            let corners = [point(x0, y0), point(x1, y0), point(x1, y1), point(x0, y1)];
            let c = corners.map(|p| view.centred(p));
            let diagonal = |a: usize, b: usize| [0, 1, 2].map(|k| c[b][k] - c[a][k]);
            let bright = dot(normal(diagonal(0, 2), diagonal(1, 3)), light).max(0.0);
            let mean = corners.iter().map(|p| p[2]).sum::<f64>() / 4.0;
            let t = color::position(palette, &cube.z, cube.z.at(mean));
            let base = color::shade(color::sample(palette, t), 0.66 + 0.42 * bright);
            let line = if fine { base } else { color::shade(base, 0.82) };
            let p = corners.map(|p| view.paper(p));
            svg.raw(&format!(
                r#"<path d="M{} {}L{} {}L{} {}L{} {}Z" fill="{}" stroke="{}" stroke-width="0.2"/>"#,
                num(p[0][0]),
                num(p[0][1]),
                num(p[1][0]),
                num(p[1][1]),
                num(p[2][0]),
                num(p[2][1]),
                num(p[3][0]),
                num(p[3][1]),
                color::hex(base),
                color::hex(line)
            ));
        }
    }
    svg.end();
}

fn mark(svg: &mut Svg, view: &View, cube: &Cube, grid: &Grid) {
    if let Some([x, y, z]) = grid.minimum().filter(|m| cube.z.shows(m[2])) {
        let p = view.paper([cube.x.unit(x), cube.y.unit(y), cube.z.unit(z)]);
        svg.cross(p[0], p[1], 2.6, "#111111", "#ffffff");
    }
}

fn draw_inset(svg: &mut Svg, area: Area, p: &Surface3d, grid: &Grid, scale: Scale) {
    let cube = Cube::new(grid, scale, None);
    let size = 5.5;
    let z_ticks = cube.z.ticks(3);
    let widest = z_ticks.ticks.iter().map(|t| text::width(&t.label, size)).fold(0.0, f64::max);
    svg.rect(area.x, area.y, area.w, area.h, "#ffffff", Some(Stroke::solid("#aaaaaa", 0.4)));
    let view = View::new(p.azimuth, p.elevation, ASPECT);
    let view = view.fit(area.x + widest + 7.0, area.y + 4.0, area.w - widest - 26.0, area.h - 20.0);
    draw_box(svg, &view, &cube, None, size);
    mesh(svg, &view, &cube, grid, p.palette, false);
    if p.mark_minimum {
        mark(svg, &view, &cube, grid);
    }
}
