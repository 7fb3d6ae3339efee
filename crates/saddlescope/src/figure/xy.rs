//! Panels over one pair of axes: lines, histograms and spectra share everything here.

use super::color;
use super::data::{
    Axis, Bins, Eigenvalue, Histogram, LineStyle, Lines, Orientation, Reference, Scale, Series, Spectrum,
};
use super::frame::{Area, Frame};
use super::legend::{self, Entry, Key};
use super::scale::Mapping;
use super::spectrum_marks;
use super::svg::{Stroke, Svg};

const LINE_WIDTH: f64 = 1.1;
const REFERENCE_WIDTH: f64 = 0.7;
const POINT_RADIUS: f64 = 1.5;
/// Room at the right, for half of the last tick label.
const RIGHT: f64 = 8.0;

/// What one pair of axes holds.
struct Content<'a> {
    x: &'a Axis,
    y: &'a Axis,
    bins: &'a [Bins],
    series: &'a [Series],
    references: &'a [Reference],
    eigenvalues: &'a [Eigenvalue],
}

pub(crate) fn draw_lines(svg: &mut Svg, area: Area, p: &Lines) {
    let content = Content {
        x: &p.x,
        y: &p.y,
        bins: &[],
        series: &p.series,
        references: &p.references,
        eigenvalues: &[],
    };
    draw(svg, area, &content);
}

pub(crate) fn draw_histogram(svg: &mut Svg, area: Area, p: &Histogram) {
    let content = Content {
        x: &p.x,
        y: &p.y,
        bins: &p.bins,
        series: &p.curves,
        references: &p.references,
        eigenvalues: &[],
    };
    draw(svg, area, &content);
}

pub(crate) fn draw_spectrum(svg: &mut Svg, area: Area, p: &Spectrum) {
    let content = Content {
        x: &p.x,
        y: &p.y,
        bins: &[],
        series: &p.densities,
        references: &[],
        eigenvalues: &p.eigenvalues,
    };
    draw(svg, area, &content);
}

/// Standard error at index `i`, 0 where there is none.
fn error_at(series: &Series, i: usize) -> f64 {
    series.std_error.as_ref().map_or(0.0, |e| if e[i].is_finite() { e[i].abs() } else { 0.0 })
}

impl Content<'_> {
    fn x_map(&self) -> Mapping {
        let references =
            self.references.iter().filter(|r| r.orientation == Orientation::Vertical).map(|r| r.value);
        let values = self.series.iter().flat_map(|s| s.x.iter().copied());
        let edges = self.bins.iter().flat_map(|b| b.edges.iter().copied());
        let eigenvalues = self.eigenvalues.iter().map(|e| e.value);
        let points =
            self.series.iter().any(|s| s.style == LineStyle::Points || s.style == LineStyle::LinePoints);
        let pad = if points || !self.eigenvalues.is_empty() { 0.03 } else { 0.0 };
        Mapping::fit(
            self.x.scale,
            self.x.range,
            values.chain(edges).chain(references).chain(eigenvalues),
            pad,
        )
    }

    /// Vertical range of what is seen within the horizontal one.
    fn y_map(&self, x: &Mapping) -> Mapping {
        let mut values: Vec<f64> = Vec::new();
        for s in self.series {
            for i in 0..s.x.len() {
                if x.shows(s.x[i]) && (x.lo..=x.hi).contains(&s.x[i]) {
                    let e = error_at(s, i);
                    values.extend([s.y[i] - e, s.y[i] + e, s.y[i]]);
                }
            }
        }
        for b in self.bins {
            values.extend(&b.heights);
        }
        for r in self.references.iter().filter(|r| r.orientation == Orientation::Horizontal) {
            values.push(r.value);
        }
        if self.y.scale == Scale::Log {
            // An error band may reach down to 0; ten decades below the top are enough to show.
            let top = values.iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
            values.retain(|&v| v >= 1e-10 * top);
        }
        let from_zero = !self.bins.is_empty() && self.y.scale == Scale::Linear && self.y.range.is_none();
        if from_zero {
            values.push(0.0);
        }
        let mut map = Mapping::fit(self.y.scale, self.y.range, values.iter().copied(), 0.06);
        if from_zero && values.iter().all(|v| !v.is_finite() || *v >= 0.0) {
            map.lo = 0.0;
        }
        if !self.eigenvalues.is_empty() && self.y.range.is_none() {
            // Room for the marked eigenvalues under the curve.
            let lower = map.at(-0.22);
            if map.shows(lower) && lower < map.lo {
                map.lo = lower;
            }
        }
        map
    }

    fn entries(&self) -> Vec<Entry> {
        let bins = self.bins.iter().map(|b| (&b.label, Key::Patch { color: color::role(b.color) }));
        let series = self.series.iter().map(|s| {
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
        let references = self.references.iter().map(|r| {
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
}

fn draw(svg: &mut Svg, outer: Area, c: &Content) {
    let x = c.x_map();
    let y = c.y_map(&x);
    let entries = c.entries();
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

/// Fewer points with the same picture: per 0.2 pt column the first, least, greatest and last.
fn thin(points: &[(usize, [f64; 2])]) -> Vec<(usize, [f64; 2])> {
    if points.len() < 1500 {
        return points.to_vec();
    }
    let column = |p: &(usize, [f64; 2])| (p.1[0] / 0.2).floor() as i64;
    let mut kept = Vec::new();
    for group in points.chunk_by(|a, b| column(a) == column(b)) {
        let by_height = |a: &&(usize, [f64; 2]), b: &&(usize, [f64; 2])| a.1[1].total_cmp(&b.1[1]);
        let mut four: Vec<_> =
            [group.first(), group.iter().min_by(by_height), group.iter().max_by(by_height), group.last()]
                .into_iter()
                .flatten()
                .copied()
                .collect();
        four.sort_by_key(|p| p.0);
        four.dedup_by_key(|p| p.0);
        kept.extend(four);
    }
    kept
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
