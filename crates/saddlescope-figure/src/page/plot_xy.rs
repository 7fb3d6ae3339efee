//! Lines, histograms and spectra as input of Plotly.

use serde_json::{Value, json};

use super::plot::Plot;
use super::plot_parts::{hover_text, layout, log_axis, named_ticks, numbers, short};
use crate::color;
use crate::content::{Content, error_at};
use crate::markup::to_html;
use crate::scale::Mapping;
use crate::text;
use crate::thin::thin;
use crate::{Axis, Bins, ColorRole, LineStyle, Orientation, Reference, Scale, Series};

/// Pixels of a row of the legend, of its text, and of the key beside a name.
const ROW: usize = 20;
const TEXT: f64 = 12.0;
const KEY: f64 = 46.0;
/// Pixels that a legend has in a panel beside others and in a panel of its own, in a window of usual width.
const NARROW: f64 = 400.0;
const WIDE: f64 = 900.0;

/// Rows that the legend takes: all columns are as wide as its longest name.
fn legend_rows(data: &[Value], labels: &[&str], alone: bool) -> usize {
    let named = data.iter().filter(|t| t["showlegend"] == json!(true)).count();
    let widest = labels.iter().map(|l| text::width(l, TEXT)).fold(0.0, f64::max) + KEY;
    let columns = ((if alone { WIDE } else { NARROW }) / widest).floor().max(1.0);
    named.div_ceil(columns as usize)
}

/// A panel over one pair of axes; `alone`: it has the width of the page.
pub(super) fn plot(heading: String, c: &Content, alone: bool) -> Plot {
    let x = Coordinate { map: c.x_map() };
    let y = Coordinate { map: c.y_map(&x.map) };
    let mut data = Vec::new();
    data.extend(c.bins.iter().map(|b| bars(b, &x, &y)));
    data.extend(c.series.iter().filter_map(|s| band(s, &x, &y)));
    data.extend(c.references.iter().filter_map(|r| reference(r, &x, &y)));
    data.extend(c.series.iter().map(|s| line(s, c, &x, &y)));
    data.extend(eigenvalues(c, &x, &y));
    let mut layout = layout();
    layout.insert("xaxis".into(), axis(c.x, &x.map));
    let mut upright = axis(c.y, &y.map);
    // Powers of ten are wide: the margin grows so that the title stays beside them.
    upright["automargin"] = json!(true);
    upright["title"]["standoff"] = json!(10);
    layout.insert("yaxis".into(), upright);
    layout.insert("barmode".into(), json!("overlay"));
    layout.insert("bargap".into(), json!(0.0));
    let bins = c.bins.iter().map(|b| b.label.as_str());
    let references = c.references.iter().map(|r| r.label.as_str());
    let labels: Vec<&str> = bins.chain(c.series.iter().map(|s| s.label.as_str())).chain(references).collect();
    let rows = legend_rows(&data, &labels, alone);
    layout.insert("showlegend".into(), json!(rows > 0));
    // At the lower rim, below the axis and its title, where the panel is as much higher: the toolbar lies over the upper edge.
    layout.insert(
        "legend".into(),
        json!({"orientation": "h", "x": 0.0, "xanchor": "left", "yref": "container", "y": 0.0, "yanchor": "bottom",
               "font": {"size": TEXT}}),
    );
    layout["margin"]["b"] = json!(52 + ROW * rows);
    Plot { heading, webgl: false, legend_rows: rows, json: json!({"data": data, "layout": layout}) }
}

/// Numbers of one axis as Plotly gets them.
struct Coordinate {
    map: Mapping,
}

impl Coordinate {
    /// Plotly has no symmetric logarithmic axis; there it gets positions between 0 and 1.
    fn by_position(&self) -> bool {
        matches!(self.map.scale, Scale::SymLog { .. })
    }

    fn value(&self, v: f64) -> f64 {
        if !self.map.shows(v) {
            f64::NAN
        } else if self.by_position() {
            self.map.unit(v)
        } else {
            v
        }
    }
}

fn axis(axis: &Axis, map: &Mapping) -> Value {
    let mut value = json!({
        "title": {"text": to_html(&axis.label)},
        "showline": true,
        "mirror": true,
        "linecolor": "#444444",
        "ticks": "outside",
        "zeroline": false,
        "gridcolor": "#ececec",
        "exponentformat": "power",
        "range": [short(map.lo), short(map.hi)]
    });
    match axis.scale {
        Scale::Log => {
            log_axis(&mut value, map);
            value["range"] = json!([short(map.lo.log10()), short(map.hi.log10())]);
        }
        Scale::SymLog { .. } => {
            value["range"] = json!([0.0, 1.0]);
            named_ticks(&mut value, map);
        }
        Scale::Linear => {}
    }
    value
}

fn dash(style: LineStyle) -> &'static str {
    match style {
        LineStyle::Solid | LineStyle::Points | LineStyle::LinePoints => "solid",
        LineStyle::Dashed => "dash",
        LineStyle::DashDot => "dashdot",
        LineStyle::Dotted => "dot",
    }
}

/// The kept indices of each unbroken stretch, at most some thousand in all.
fn stretches(s: &Series, x: &Coordinate, y: &Coordinate) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<(usize, [f64; 2])>> = vec![Vec::new()];
    for i in 0..s.x.len() {
        let p = [x.map.unit(s.x[i]) * 180.0, y.map.unit(s.y[i])];
        if p.iter().all(|v| v.is_finite()) {
            if let Some(stretch) = all.last_mut() {
                stretch.push((i, p));
            }
        } else {
            all.push(Vec::new());
        }
    }
    all.iter().filter(|s| !s.is_empty()).map(|s| thin(s).into_iter().map(|p| p.0).collect()).collect()
}

fn line(s: &Series, c: &Content, x: &Coordinate, y: &Coordinate) -> Value {
    let color = color::role(s.color);
    let (mut xs, mut ys, mut errors, mut raw) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for stretch in stretches(s, x, y) {
        for i in stretch {
            xs.push(short(x.value(s.x[i])));
            ys.push(short(y.value(s.y[i])));
            errors.push(short(error_at(s, i)));
            raw.push(json!([short(s.x[i]), short(s.y[i]), short(error_at(s, i))]));
        }
        for list in [&mut xs, &mut ys, &mut errors, &mut raw] {
            list.push(Value::Null);
        }
    }
    let error = if s.std_error.is_some() { " ± %{customdata[2]:.2g}" } else { "" };
    let mut trace = json!({
        "type": "scatter",
        "mode": match s.style {
            LineStyle::Points => "markers",
            LineStyle::LinePoints => "lines+markers",
            _ => "lines",
        },
        "name": to_html(&s.label),
        "showlegend": !s.label.is_empty(),
        "x": xs,
        "y": ys,
        "customdata": raw,
        "connectgaps": false,
        "line": {"color": color, "width": 2, "dash": dash(s.style)},
        "marker": {"color": color, "size": 6},
        "hovertemplate": format!(
            "{} = %{{customdata[0]:.5g}}<br>{} = %{{customdata[1]:.5g}}{error}<extra>{}</extra>",
            hover_text(&c.x.label), hover_text(&c.y.label), hover_text(&s.label)
        )
    });
    if s.style == LineStyle::Points && s.std_error.is_some() && !y.by_position() {
        trace["error_y"] =
            json!({"type": "data", "array": errors, "visible": true, "color": color, "thickness": 1.2});
    }
    trace
}

/// The band of ± one standard error, as closed outlines.
fn band(s: &Series, x: &Coordinate, y: &Coordinate) -> Option<Value> {
    if s.std_error.is_none() || s.style == LineStyle::Points {
        return None;
    }
    let (mut xs, mut ys) = (Vec::new(), Vec::new());
    for stretch in stretches(s, x, y) {
        // A lower side without a place on the axis ends at its lower edge.
        let at = |i: usize, sign: f64| {
            let v = s.y[i] + sign * error_at(s, i);
            if y.map.shows(v) { y.value(v) } else { y.value(y.map.lo) }
        };
        for &i in &stretch {
            xs.push(short(x.value(s.x[i])));
            ys.push(short(at(i, 1.0)));
        }
        for &i in stretch.iter().rev() {
            xs.push(short(x.value(s.x[i])));
            ys.push(short(at(i, -1.0)));
        }
        xs.push(Value::Null);
        ys.push(Value::Null);
    }
    Some(
        json!({"type": "scatter", "mode": "lines", "x": xs, "y": ys, "fill": "toself", "hoverinfo": "skip", "showlegend": false,
                "line": {"width": 0}, "fillcolor": transparent(s.color, 0.2)}),
    )
}

fn transparent(role: ColorRole, alpha: f64) -> String {
    format!("{}{:02x}", color::role(role), (255.0 * alpha).round() as u8)
}

fn reference(r: &Reference, x: &Coordinate, y: &Coordinate) -> Option<Value> {
    let (own, other) = match r.orientation {
        Orientation::Horizontal => (y, x),
        Orientation::Vertical => (x, y),
    };
    if !own.map.holds(r.value) {
        return None;
    }
    let along = numbers(&[other.value(other.map.lo), other.value(other.map.hi)]);
    let at = numbers(&[own.value(r.value), own.value(r.value)]);
    let (xs, ys) = if r.orientation == Orientation::Horizontal { (along, at) } else { (at, along) };
    Some(json!({
        "type": "scatter",
        "mode": "lines",
        "x": xs,
        "y": ys,
        "name": to_html(&r.label),
        "showlegend": !r.label.is_empty(),
        "line": {"color": color::role(r.color), "width": 1.3, "dash": dash(r.style)},
        "hovertemplate": format!("{}<br>{:.5}<extra></extra>", hover_text(&r.label), r.value)
    }))
}

fn bars(b: &Bins, x: &Coordinate, y: &Coordinate) -> Value {
    let edges: Vec<f64> = b.edges.iter().map(|&e| x.value(e)).collect();
    let centres: Vec<f64> = edges.windows(2).map(|w| 0.5 * (w[0] + w[1])).collect();
    let widths: Vec<f64> = edges.windows(2).map(|w| w[1] - w[0]).collect();
    let heights: Vec<f64> = b.heights.iter().map(|&h| y.value(h)).collect();
    let raw: Value = b.edges.windows(2).map(|w| json!([short(w[0]), short(w[1])])).collect();
    json!({
        "type": "bar",
        "name": to_html(&b.label),
        "showlegend": !b.label.is_empty(),
        "x": numbers(&centres),
        "y": numbers(&heights),
        "width": numbers(&widths),
        "customdata": raw,
        "marker": {"color": transparent(b.color, 0.38), "line": {"color": color::role(b.color), "width": 0.6}},
        "hovertemplate": format!(
            "%{{customdata[0]:.4g}} to %{{customdata[1]:.4g}}<br>%{{y:.4g}}<extra>{}</extra>", hover_text(&b.label)
        )
    })
}

/// Marks along the lower edge, one trace per sign.
fn eigenvalues(c: &Content, x: &Coordinate, y: &Coordinate) -> Vec<Value> {
    let mut traces = Vec::new();
    for negative in [true, false] {
        let chosen: Vec<_> =
            c.eigenvalues.iter().filter(|e| (e.value < 0.0) == negative && x.map.shows(e.value)).collect();
        if chosen.is_empty() {
            continue;
        }
        let color = color::role(if negative { ColorRole::Second } else { ColorRole::First });
        let state = |converged: bool| if converged { "" } else { " (not converged)" };
        traces.push(json!({
            "type": "scatter",
            "mode": "markers+text",
            "x": chosen.iter().map(|e| short(x.value(e.value))).collect::<Value>(),
            "y": chosen.iter().map(|_| short(y.value(y.map.at(0.045)))).collect::<Value>(),
            "text": chosen.iter().map(|e| json!(to_html(&e.label))).collect::<Value>(),
            "textposition": "top center",
            "textfont": {"color": color, "size": 12},
            "customdata": chosen.iter().map(|e| json!([short(e.value), state(e.converged)])).collect::<Value>(),
            "marker": {
                "symbol": chosen.iter().map(|e| json!(if e.converged { "line-ns" } else { "line-ns-open" })).collect::<Value>(),
                "size": 11,
                "color": color,
                "line": {"color": color, "width": chosen.iter().map(|e| json!(if e.converged { 2.5 } else { 1.0 })).collect::<Value>()}
            },
            "showlegend": false,
            "hovertemplate": "λ = %{customdata[0]:.6g}%{customdata[1]}<extra></extra>"
        }));
    }
    traces
}
