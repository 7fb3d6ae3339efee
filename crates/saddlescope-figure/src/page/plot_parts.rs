//! What every panel's input of Plotly is made of: numbers, layout, texts on hovering, axes.

use serde_json::{Map, Value, json};

use crate::markup::to_html;
use crate::scale::Mapping;

/// A number for the page: eight significant digits, `null` when it is not finite.
pub(super) fn short(v: f64) -> Value {
    if !v.is_finite() {
        return Value::Null;
    }
    let rounded: f64 = format!("{v:.7e}").parse().unwrap_or(v);
    json!(rounded)
}

pub(super) fn numbers(values: &[f64]) -> Value {
    values.iter().map(|&v| short(v)).collect()
}

/// What all plots share.
pub(super) fn layout() -> Map<String, Value> {
    let layout = json!({
        "autosize": true,
        "font": {"family": "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', Arial, sans-serif", "size": 13, "color": "#222222"},
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        "hovermode": "closest",
        "hoverlabel": {"bgcolor": "#ffffff", "bordercolor": "#888888", "font": {"color": "#222222"}, "namelength": -1},
        "margin": {"l": 66, "r": 16, "t": 34, "b": 52},
        "showlegend": false
    });
    match layout {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Text within a hover template: `%{` would be read as a variable.
pub(super) fn hover_text(label: &str) -> String {
    to_html(label).replace("%{", "% {")
}

/// A logarithmic axis; over two decades or more only powers of ten are named, over less 1, 2 and 5 (Plotly would name 3 what is 0.3).
pub(super) fn log_axis(axis: &mut Value, map: &Mapping) {
    axis["type"] = json!("log");
    let decades = (map.hi / map.lo).log10();
    if decades >= 2.0 {
        axis["dtick"] = json!((decades / 7.0).ceil().max(1.0));
        return;
    }
    let mut ticks = map.ticks(6).ticks;
    ticks.retain(|t| !t.label.is_empty());
    axis["tickmode"] = json!("array");
    axis["tickvals"] = ticks.iter().map(|t| short(t.value)).collect();
    axis["ticktext"] = ticks.iter().map(|t| json!(to_html(&t.label))).collect();
}

/// Ticks of a scale that Plotly does not know, at their positions between 0 and 1.
pub(super) fn named_ticks(axis: &mut Value, map: &Mapping) {
    let ticks = map.ticks(9).ticks;
    axis["tickmode"] = json!("array");
    axis["tickvals"] = ticks.iter().map(|t| short(map.unit(t.value))).collect();
    axis["ticktext"] = ticks.iter().map(|t| json!(to_html(&t.label))).collect();
}
