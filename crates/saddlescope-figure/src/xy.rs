//! Panels over one pair of axes: lines, histograms and spectra share everything here.

use super::color;
use super::content::{Content, error_at};
use super::data::{Bins, LineStyle, Orientation, Scale, Series};
use super::frame::{Area, Frame};
use super::legend::{self, Entry, Key};
use super::scale::Mapping;
use super::spectrum_marks;
use super::svg::{Stroke, Svg};
use super::thin::thin;

const LINE_WIDTH: f64 = 1.1;
const REFERENCE_WIDTH: f64 = 0.7;
const POINT_RADIUS: f64 = 1.5;
/// Room at the right, for half of the last tick label.
const RIGHT: f64 = 8.0;

/// The legend, without nameless and repeated entries, and without lines beyond the frame.
fn entries(c: &Content, x: &Mapping, y: &Mapping) -> Vec<Entry> {
    let bins = c.bins.iter().map(|b| (&b.label, Key::Patch { color: color::role(b.color) }));
    let series = c.series.iter().map(|s| {
        let color = color::role(s.color);
        let key = match s.style {
            LineStyle::Points => Key::Point { color },
            style => Key::Line {
                color,
                dash: color::dash(style),
                width: LINE_WIDTH,
                band: s.std_error.is_some(),
                point: style == LineStyle::LinePoints,
            },
        };
        (&s.label, key)
    });
    let shown = c.references.iter().filter(|r| match r.orientation {
        Orientation::Horizontal => y.holds(r.value),
        Orientation::Vertical => x.holds(r.value),
    });
    let references = shown.map(|r| {
        let key = Key::Line {
            color: color::role(r.color),
            dash: color::dash(r.style),
            width: REFERENCE_WIDTH,
            band: false,
            point: false,
        };
        (&r.label, key)
    });
    let mut entries: Vec<Entry> = Vec::new();
    for (label, key) in bins.chain(series).chain(references) {
        let entry = Entry { key, label: label.clone() };
        if !label.is_empty() && !entries.contains(&entry) {
            entries.push(entry);
        }
    }
    entries
}

pub(crate) fn draw(svg: &mut Svg, outer: Area, c: &Content) {
    let x = c.x_map();
    let y = c.y_map(&x);
    let entries = entries(c, &x, &y);
    let frame = Frame::place(outer, x, y, &c.x.label, &c.y.label, RIGHT);
    let place =
        if entries.is_empty() { None } else { legend::free_place(&entries, frame.area, &busy(c, &frame)) };
    let frame = if entries.is_empty() || place.is_some() {
        frame
    } else {
        let height = legend::height_above(&entries, frame.area.w);
        legend::draw_above(svg, &entries, frame.area.x, outer.y, frame.area.w);
        Frame::place(outer.below(height), x, y, &c.x.label, &c.y.label, RIGHT)
    };
    let a = frame.area;
    svg.begin_clip(a.x, a.y, a.w, a.h);
    c.bins.iter().for_each(|b| draw_bins(svg, &frame, b, true));
    c.series.iter().for_each(|s| draw_band(svg, &frame, s));
    for r in c.references {
        let stroke = Stroke {
            color: color::role(r.color),
            width: REFERENCE_WIDTH,
            dash: color::dash(r.style),
            opacity: 1.0,
        };
        match r.orientation {
            Orientation::Horizontal if frame.y.shows(r.value) => {
                let y = frame.py(r.value);
                svg.line(a.x, y, a.right(), y, stroke);
            }
            Orientation::Vertical if frame.x.shows(r.value) => {
                let x = frame.px(r.value);
                svg.line(x, a.y, x, a.bottom(), stroke);
            }
            _ => {}
        }
    }
    c.bins.iter().for_each(|b| draw_bins(svg, &frame, b, false));
    c.series.iter().for_each(|s| draw_series(svg, &frame, s));
    svg.end();
    spectrum_marks::draw(svg, &frame, c.eigenvalues);
    frame.draw(svg, &c.x.label, &c.y.label);
    if let Some(place) = place {
        legend::draw_inside(svg, &entries, place);
    }
}

fn draw_bins(svg: &mut Svg, frame: &Frame, bins: &Bins, fill: bool) {
    let color = color::role(bins.color);
    // On a log axis bars grow from the lower edge.
    let floor = if frame.y.scale == Scale::Log { frame.area.bottom() } else { frame.py(0.0) };
    let mut outline = vec![[frame.px(bins.edges[0]), floor]];
    for (edges, &height) in bins.edges.windows(2).zip(&bins.heights) {
        let y = frame.py(height);
        let y = if y.is_nan() { floor } else { y };
        outline.extend([[frame.px(edges[0]), y], [frame.px(edges[1]), y]]);
    }
    outline.push([frame.px(bins.edges[bins.edges.len() - 1]), floor]);
    outline.retain(|p| !p[0].is_nan());
    if fill {
        svg.polygon(&outline, color, 0.32, None);
    } else {
        svg.polyline(&outline, Stroke { color, width: 0.6, dash: "", opacity: 0.9 });
    }
}

/// The unbroken stretches of a series as points on paper, with the index of each point.
fn stretches(frame: &Frame, s: &Series) -> Vec<Vec<(usize, [f64; 2])>> {
    let mut all = Vec::new();
    let mut current: Vec<(usize, [f64; 2])> = Vec::new();
    for i in 0..s.x.len() {
        let p = [frame.px(s.x[i]), frame.py(s.y[i])];
        if p[0].is_nan() || p[1].is_nan() {
            all.push(std::mem::take(&mut current));
        } else {
            current.push((i, p));
        }
    }
    all.push(current);
    all.retain(|s| !s.is_empty());
    all
}

fn draw_band(svg: &mut Svg, frame: &Frame, s: &Series) {
    if s.std_error.is_none() || s.style == LineStyle::Points {
        return;
    }
    let color = color::role(s.color);
    for stretch in stretches(frame, s) {
        let stretch = thin(&stretch);
        // On a log axis the lower side may have no place: it ends at the frame's edge.
        let side = |sign: f64| {
            let edge = frame.area.bottom() + 5.0;
            stretch.iter().map(move |&(i, p)| {
                let y = frame.py(s.y[i] + sign * error_at(s, i));
                [p[0], if y.is_nan() { edge } else { y }]
            })
        };
        let mut outline: Vec<[f64; 2]> = side(1.0).collect();
        let lower: Vec<[f64; 2]> = side(-1.0).collect();
        outline.extend(lower.into_iter().rev());
        if stretch.len() > 1 {
            svg.polygon(&outline, color, 0.2, None);
        }
    }
}

fn draw_series(svg: &mut Svg, frame: &Frame, s: &Series) {
    let color = color::role(s.color);
    let points = matches!(s.style, LineStyle::Points | LineStyle::LinePoints);
    for stretch in stretches(frame, s) {
        if s.style != LineStyle::Points {
            let line: Vec<[f64; 2]> = thin(&stretch).into_iter().map(|p| p.1).collect();
            svg.polyline(
                &line,
                Stroke { color, width: LINE_WIDTH, dash: color::dash(s.style), opacity: 1.0 },
            );
            if let ([only], false) = (&line[..], points) {
                svg.circle(only[0], only[1], 0.8, color, None);
            }
        }
        if points {
            for &(i, p) in &stretch {
                let e = error_at(s, i);
                if e > 0.0 && s.style == LineStyle::Points {
                    let (top, low) = (frame.py(s.y[i] + e), frame.py(s.y[i] - e));
                    let low = if low.is_nan() { frame.area.bottom() } else { low };
                    svg.line(p[0], top, p[0], low, Stroke::solid(color, 0.8));
                }
                svg.circle(p[0], p[1], POINT_RADIUS, color, None);
            }
        }
    }
}

/// Points on paper that a legend must not cover.
fn busy(c: &Content, frame: &Frame) -> Vec<[f64; 2]> {
    let mut busy: Vec<[f64; 2]> = Vec::new();
    let mut along = |a: [f64; 2], b: [f64; 2]| {
        let steps = ((b[0] - a[0]).hypot(b[1] - a[1]) / 2.0).ceil().clamp(1.0, 1000.0) as usize;
        busy.extend((0..=steps).map(|i| {
            let t = i as f64 / steps as f64;
            [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])]
        }));
    };
    for s in c.series {
        for stretch in stretches(frame, s) {
            let stretch = thin(&stretch);
            stretch.iter().for_each(|p| along(p.1, p.1));
            if s.style != LineStyle::Points {
                stretch.windows(2).for_each(|w| along(w[0].1, w[1].1));
            }
            if s.std_error.is_some() {
                for &(i, p) in &stretch {
                    let (top, low) = (frame.py(s.y[i] + error_at(s, i)), frame.py(s.y[i] - error_at(s, i)));
                    along([p[0], top], [p[0], if low.is_nan() { frame.area.bottom() } else { low }]);
                }
            }
        }
    }
    for b in c.bins {
        for (edges, &height) in b.edges.windows(2).zip(&b.heights) {
            let y = frame.py(height);
            for x in [frame.px(edges[0]), frame.px(edges[1])] {
                if !(x.is_nan() || y.is_nan()) {
                    along([x, y], [x, frame.area.bottom()]);
                }
            }
        }
    }
    let a = frame.area;
    for r in c.references {
        match r.orientation {
            Orientation::Horizontal if frame.y.shows(r.value) => {
                along([a.x, frame.py(r.value)], [a.right(), frame.py(r.value)]);
            }
            Orientation::Vertical if frame.x.shows(r.value) => {
                along([frame.px(r.value), a.y], [frame.px(r.value), a.bottom()]);
            }
            _ => {}
        }
    }
    busy.extend(spectrum_marks::busy(frame, c.eigenvalues));
    busy
}
