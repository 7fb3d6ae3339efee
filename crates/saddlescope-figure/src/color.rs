//! Colours: a perceptually even map for losses, a diverging one for signs, and a colour-blind-safe set for lines.

use super::data::{ColorRole, LineStyle, Palette};
use super::scale::Mapping;

/// Hexadecimal colour of a role: the set of Okabe and Ito (2008), which colour-blind readers can tell apart.
pub(crate) fn role(role: ColorRole) -> &'static str {
    match role {
        ColorRole::First => "#0072b2",
        ColorRole::Second => "#d55e00",
        ColorRole::Third => "#009e73",
        ColorRole::Fourth => "#aa4499",
        ColorRole::Fifth => "#e69f00",
        ColorRole::Truth => "#111111",
        ColorRole::Muted => "#7f7f7f",
    }
}

/// SVG dash pattern of a style.
pub(crate) fn dash(style: LineStyle) -> &'static str {
    match style {
        LineStyle::Solid | LineStyle::Points | LineStyle::LinePoints => "",
        LineStyle::Dashed => "4 2",
        LineStyle::DashDot => "5 1.8 1.2 1.8",
        LineStyle::Dotted => "1.1 1.5",
    }
}

/// Red, green and blue between 0 and 255.
pub(crate) type Rgb = [f64; 3];

/// Colour at a position of the palette, 0 to 1; outside it saturates.
pub(crate) fn sample(palette: Palette, t: f64) -> Rgb {
    let t = if t.is_nan() { 0.0 } else { t.clamp(0.0, 1.0) };
    let c = match palette {
        Palette::Sequential => colorous::VIRIDIS.eval_continuous(t),
        // ColorBrewer's runs from red to blue; positive is red here.
        Palette::Diverging => colorous::RED_BLUE.eval_continuous(1.0 - t),
    };
    [f64::from(c.r), f64::from(c.g), f64::from(c.b)]
}

/// Position in the palette of a value: along the scale, or for the diverging palette with 0 in the middle.
pub(crate) fn position(palette: Palette, map: &Mapping, v: f64) -> f64 {
    match palette {
        Palette::Sequential => map.unit(v),
        Palette::Diverging => {
            // The larger end sets the length of both sides, so that equal sizes have equally strong colours.
            let zero = if map.lo < 0.0 && map.hi > 0.0 {
                map.unit(0.0)
            } else if map.lo >= 0.0 {
                0.0
            } else {
                1.0
            };
            let side = zero.max(1.0 - zero);
            0.5 + 0.5 * (map.unit(v) - zero) / side
        }
    }
}

pub(crate) fn hex(c: Rgb) -> String {
    let [r, g, b] = c.map(|v| v.round().clamp(0.0, 255.0) as u8);
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// The colour made darker (`f` < 1) or lighter (`f` > 1, towards white).
pub(crate) fn shade(c: Rgb, f: f64) -> Rgb {
    if f <= 1.0 { c.map(|v| v * f) } else { c.map(|v| v + (255.0 - v) * (f - 1.0).min(1.0)) }
}
