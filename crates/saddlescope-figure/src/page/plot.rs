//! Panels as input of Plotly: traces and layout in JSON. Surfaces and heat maps here, everything else in `plot_xy`.

use serde_json::{Value, json};

use super::plot_parts::{hover_text, layout, named_ticks, numbers, short};
use super::plot_xy;
use crate::color;
use crate::content::Content;
use crate::contour;
use crate::hatching;
use crate::hatching::borders;
use crate::heat::{minimum_text, missing_text, with_note, z_map};
use crate::markup::to_html;
use crate::{Figure, Grid, HeatMap, Levels, LineStyle, Palette, PanelKind, Scale, Series, Surface3d};

/// One interactive plot.
pub(super) struct Plot {
    /// The line above it, as HTML.
    pub(super) heading: String,
    /// Whether it needs WebGL.
    pub(super) webgl: bool,
    /// Rows of the legend below its axis.
    pub(super) legend_rows: usize,
    /// `{"data": […], "layout": {…}}`.
    pub(super) json: Value,
}

/// The plots of a figure, insets as plots of their own.
pub(super) fn plots(figure: &Figure) -> Vec<Plot> {
    let mut plots = Vec::new();
    let alone = figure.panels.len() == 1 || figure.columns == Some(1);
    for panel in &figure.panels {
        let letter = if figure.panels.len() > 1 {
            format!("<b>{}</b> ", to_html(&panel.label))
        } else {
            String::new()
        };
        let heading = format!("{letter}{}", to_html(&panel.title));
        let zoomed = format!("{letter}{} (zoomed)", to_html(&panel.title));
        match &panel.kind {
            PanelKind::Surface3d(p) => {
                plots.push(Plot { heading, webgl: true, legend_rows: 0, json: surface(p) });
                if let Some(inset) = &p.inset {
                    let p = Surface3d {
                        grid: inset.grid.clone(),
                        scale: inset.scale,
                        range: None,
                        inset: None,
                        ..p.clone()
                    };
                    plots.push(Plot { heading: zoomed, webgl: true, legend_rows: 0, json: surface(&p) });
                }
            }
            PanelKind::HeatMap(p) => {
                plots.push(Plot { heading, webgl: false, legend_rows: 0, json: heat_map(p) });
                if let Some(inset) = &p.inset {
                    let p = HeatMap {
                        grid: inset.grid.clone(),
                        scale: inset.scale,
                        range: None,
                        levels: Levels::None,
                        hatched: None,
                        inset: None,
                        ..p.clone()
                    };
                    plots.push(Plot { heading: zoomed, webgl: false, legend_rows: 0, json: heat_map(&p) });
                }
            }
            PanelKind::Lines(p) => {
                plots.push(plot_xy::plot(heading, &Content::of_lines(p), alone));
            }
            PanelKind::Histogram(p) => {
                plots.push(plot_xy::plot(heading, &Content::of_histogram(p), alone));
            }
            PanelKind::Spectrum(p) => {
                plots.push(plot_xy::plot(heading, &Content::of_spectrum(p), alone));
            }
        }
    }
    plots
}

fn color_scale(palette: Palette) -> Value {
    (0..=32)
        .map(|i| {
            let t = f64::from(i) / 32.0;
            json!([t, color::hex(color::sample(palette, t))])
        })
        .collect()
}

/// Values by rows; with `keep`, what it refuses is missing.
fn rows(grid: &Grid, value: impl Fn(f64) -> f64) -> Value {
    grid.z.chunks(grid.x.len()).map(|row| row.iter().map(|&z| short(value(z))).collect::<Value>()).collect()
}

fn hover(grid: &Grid, z: &str) -> String {
    format!(
        "{} = %{{x:.4g}}<br>{} = %{{y:.4g}}<br>{} = {z}<extra></extra>",
        hover_text(&grid.x_label),
        hover_text(&grid.y_label),
        hover_text(&grid.z_label)
    )
}

fn minimum_trace(grid: &Grid, note: &str, kind: &str) -> Option<Value> {
    let ([x, y, z], text) = (grid.minimum()?, with_note(minimum_text(grid)?, note));
    let mut trace = json!({
        "type": kind,
        "mode": "markers",
        "x": [short(x)],
        "y": [short(y)],
        "marker": {"symbol": "x", "color": "#111111", "size": if kind == "scatter" { 11 } else { 7 },
                   "line": {"color": "#ffffff", "width": if kind == "scatter" { 1.5 } else { 1.0 }}},
        "hovertemplate": format!("{}<extra></extra>", hover_text(&text)),
        "showlegend": false
    });
    if kind != "scatter" {
        trace["z"] = json!([short(z)]);
        // Plotly draws symbols in space as rare characters that many fonts lack; × is in all of them. White, because
        // the smallest value has the darkest colour.
        trace["mode"] = json!("text");
        trace["text"] = json!(["×"]);
        trace["textfont"] = json!({"size": 30, "color": "#ffffff"});
        trace["textposition"] = json!("middle center");
    }
    Some(trace)
}

fn surface(p: &Surface3d) -> Value {
    let map = z_map(&p.grid, p.scale, p.range);
    let inside = |z: f64| p.range.is_none_or(|[lo, hi]| (lo..=hi).contains(&z));
    // Plotly has no symmetric logarithmic axis: such values are shown by their position, ticks named by hand.
    let by_position = matches!(p.scale, Scale::SymLog { .. });
    let height = |z: f64| match (map.shows(z) && inside(z), by_position) {
        (false, _) => f64::NAN,
        (true, true) => map.unit(z),
        (true, false) => z,
    };
    let hover = hover(&p.grid, if by_position { "%{customdata:.5g}" } else { "%{z:.5g}" });
    let mut data = vec![json!({
        "type": "surface",
        "x": numbers(&p.grid.x),
        "y": numbers(&p.grid.y),
        "z": rows(&p.grid, height),
        "surfacecolor": rows(&p.grid, |z| color::position(p.palette, &map, z)),
        "customdata": if by_position { rows(&p.grid, |z| z) } else { Value::Null },
        "cmin": 0.0,
        "cmax": 1.0,
        "colorscale": color_scale(p.palette),
        "showscale": false,
        "connectgaps": false,
        "lighting": {"ambient": 0.72, "diffuse": 0.55, "specular": 0.04, "roughness": 0.9, "fresnel": 0.05},
        "contours": {"z": {"show": false, "highlightcolor": "#ffffff"}},
        "hovertemplate": hover
    })];
    if p.mark_minimum {
        data.extend(minimum_trace(&p.grid, &p.minimum_note, "scatter3d").map(|mut trace| {
            if let Some([_, _, z]) = p.grid.minimum() {
                // A little above the surface, which would hide half of the cross.
                let above = map.at(map.unit(z) + 0.04);
                trace["z"] = json!([short(if by_position { map.unit(above) } else { above })]);
            }
            trace
        }));
    }
    let (az, el) = (p.azimuth.to_radians(), p.elevation.to_radians());
    // Far enough that the title of the vertical axis stays within the panel.
    let distance = 2.75;
    let eye = [az.cos() * el.cos(), az.sin() * el.cos(), el.sin()].map(|v| distance * v);
    let axis = |label: &str| {
        json!({"title": {"text": to_html(label)}, "showbackground": true, "backgroundcolor": "#f5f5f5", "gridcolor": "#d0d0d0",
               "zerolinecolor": "#b0b0b0", "tickfont": {"size": 11}, "exponentformat": "power"})
    };
    let mut z_axis = axis(&p.grid.z_label);
    match p.scale {
        Scale::Log => {
            z_axis["type"] = json!("log");
            let mut ticks = map.ticks(5).ticks;
            ticks.retain(|t| !t.label.is_empty());
            z_axis["tickmode"] = json!("array");
            z_axis["tickvals"] = ticks.iter().map(|t| short(t.value)).collect();
            z_axis["ticktext"] = ticks.iter().map(|t| json!(to_html(&t.label))).collect();
        }
        Scale::SymLog { .. } => named_ticks(&mut z_axis, &map),
        Scale::Linear => {}
    }
    let mut layout = layout();
    layout.insert("margin".into(), json!({"l": 0, "r": 0, "t": 0, "b": 0}));
    layout.insert(
        "scene".into(),
        json!({
            "xaxis": axis(&p.grid.x_label),
            "yaxis": axis(&p.grid.y_label),
            "zaxis": z_axis,
            "aspectmode": "manual",
            "aspectratio": {"x": 1.0, "y": 1.0, "z": 0.72},
            "camera": {"eye": {"x": eye[0], "y": eye[1], "z": eye[2]}, "center": {"x": 0.0, "y": 0.0, "z": -0.12}},
            "dragmode": "turntable"
        }),
    );
    json!({"data": data, "layout": layout})
}

/// A way over a heat map, its name beside its last point.
fn track(series: &Series) -> Value {
    let mode = match series.style {
        LineStyle::Points => "markers+text",
        LineStyle::LinePoints => "lines+markers+text",
        _ => "lines+text",
    };
    let mut text = vec![String::new(); series.x.len()];
    if let Some(last) = text.last_mut() {
        *last = to_html(&series.label);
    }
    let ink = color::role(series.color);
    json!({"type": "scatter", "mode": mode, "x": numbers(&series.x), "y": numbers(&series.y), "text": text,
           "textposition": "top right", "textfont": {"color": "#ffffff", "size": 13}, "showlegend": false,
           "marker": {"color": ink, "size": 8, "line": {"color": "#ffffff", "width": 1.5}},
           "line": {"color": ink, "width": 2},
           "hovertemplate": format!("{}<br>%{{x:.4g}}, %{{y:.4g}}<extra></extra>", hover_text(&series.label))})
}

fn heat_map(p: &HeatMap) -> Value {
    let map = z_map(&p.grid, p.scale, p.range);
    let ticks = map.ticks(6);
    let factor = if ticks.exponent == 0 {
        String::new()
    } else {
        to_html(&format!(" ($\\times 10^{{{}}}$)", ticks.exponent))
    };
    let position = |z: f64| color::position(p.palette, &map, z);
    let mut data = vec![json!({
        "type": "heatmap",
        "zsmooth": if p.grid.x.len().max(p.grid.y.len()) <= 33 { json!("best") } else { json!(false) },
        "x": numbers(&p.grid.x),
        "y": numbers(&p.grid.y),
        "z": rows(&p.grid, |z| if map.shows(z) { position(z).clamp(0.0, 1.0) } else { f64::NAN }),
        "customdata": rows(&p.grid, |z| z),
        "zmin": 0.0,
        "zmax": 1.0,
        "colorscale": color_scale(p.palette),
        "hoverongaps": false,
        "hovertemplate": hover(&p.grid, "%{customdata:.5g}"),
        "colorbar": {
            "title": {"text": format!("{}{factor}", to_html(&p.grid.z_label)), "side": "right"},
            "thickness": 14,
            "outlinewidth": 0.5,
            "tickmode": "array",
            "ticks": "outside",
            "tickvals": ticks.ticks.iter().map(|t| short(position(t.value))).collect::<Value>(),
            "ticktext": ticks.ticks.iter().map(|t| json!(to_html(&t.label))).collect::<Value>()
        }
    })];
    for line in contour::contours(&p.grid, &map, &p.levels) {
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for [a, b] in &line.segments {
            x.extend([short(a[0]), short(b[0]), Value::Null]);
            y.extend([short(a[1]), short(b[1]), Value::Null]);
        }
        data.push(json!({"type": "scatter", "mode": "lines", "x": x, "y": y, "hoverinfo": "skip", "showlegend": false,
                         "line": {"color": "rgba(255,255,255,0.65)", "width": 1}}));
    }
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for [a, b] in hatching::segments(p) {
        x.extend([short(a[0]), short(b[0]), Value::Null]);
        y.extend([short(a[1]), short(b[1]), Value::Null]);
    }
    if !x.is_empty() {
        data.push(json!({"type": "scatter", "mode": "lines", "x": x, "y": y, "hoverinfo": "skip", "showlegend": false,
                         "line": {"color": "rgba(255,255,255,0.8)", "width": 1}}));
    }
    if let Some(level) = p.reference_level {
        for points in
            contour::contours(&p.grid, &map, &Levels::At(vec![level])).iter().flat_map(|c| c.joined())
        {
            let along = |k: usize| points.iter().map(|p| short(p[k])).collect::<Value>();
            data.push(
                json!({"type": "scatter", "mode": "lines", "x": along(0), "y": along(1), "hoverinfo": "skip",
                             "showlegend": false, "line": {"color": "#ffffff", "width": 2, "dash": "dash"}}),
            );
        }
    }
    data.extend(p.tracks.iter().map(track));
    if p.mark_origin {
        data.push(json!({"type": "scatter", "mode": "markers", "x": [0.0], "y": [0.0], "showlegend": false,
                         "marker": {"symbol": "circle-open", "size": 9, "color": "#ffffff", "line": {"width": 2}},
                         "hovertemplate": "the point studied<extra></extra>"}));
    }
    if p.mark_minimum {
        data.extend(minimum_trace(&p.grid, &p.minimum_note, "scatter"));
    }
    let mut layout = layout();
    let axis = |label: &str, values: &[f64]| {
        let borders = borders(values);
        json!({"title": {"text": to_html(label)}, "showgrid": false, "zeroline": false, "ticks": "outside",
               "mirror": true, "showline": true, "linecolor": "#444444", "range": [short(borders[0]), short(borders[borders.len() - 1])]})
    };
    layout.insert("xaxis".into(), axis(&p.grid.x_label, &p.grid.x));
    layout.insert("yaxis".into(), axis(&p.grid.y_label, &p.grid.y));
    // Missing cells are open and show the ground.
    layout.insert("plot_bgcolor".into(), json!("#d2d2d2"));
    if p.grid.z.iter().any(|&z| !map.shows(z)) {
        layout.insert(
            "annotations".into(),
            json!([{"text": format!("grey: {}", to_html(missing_text(p.scale))), "xref": "paper", "yref": "paper", "x": 0.0, "y": 1.0,
                    "xanchor": "left", "yanchor": "bottom", "showarrow": false, "font": {"size": 11}}]),
        );
        layout.insert("margin".into(), json!({"l": 66, "r": 16, "t": 40, "b": 52}));
    }
    json!({"data": data, "layout": layout})
}
