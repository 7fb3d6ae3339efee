//! Eigenvalues marked along the lower edge of a spectrum: a stem with a head, blue above 0, red below.

use super::color;
use super::data::{ColorRole, Eigenvalue};
use super::frame::Frame;
use super::legend;
use super::svg::{Anchor, Stroke, Svg};
use super::text;

const STEM: f64 = 12.0;

struct Placed<'a> {
    eigenvalue: &'a Eigenvalue,
    x: f64,
    /// Left edge and baseline of the label.
    label: [f64; 2],
}

/// Labels are stacked where they would touch.
fn place<'a>(frame: &Frame, eigenvalues: &'a [Eigenvalue]) -> Vec<Placed<'a>> {
    let a = frame.area;
    let mut sorted: Vec<&Eigenvalue> = eigenvalues.iter().filter(|e| frame.x.shows(e.value)).collect();
    sorted.retain(|e| (frame.x.lo..=frame.x.hi).contains(&e.value));
    sorted.sort_by(|a, b| a.value.total_cmp(&b.value));
    let mut ends: Vec<f64> = Vec::new();
    let mut placed = Vec::new();
    for eigenvalue in sorted {
        let x = frame.px(eigenvalue.value);
        let width = text::width(&eigenvalue.label, legend::SIZE);
        let left = (x - 0.5 * width).clamp(a.x + 2.0, (a.right() - width - 2.0).max(a.x + 2.0));
        let mut row = 0;
        if !eigenvalue.label.is_empty() {
            row = ends.iter().position(|&end| end + 4.0 < left).unwrap_or(ends.len());
            if row == ends.len() {
                ends.push(0.0);
            }
            ends[row] = left + width;
        }
        let y = a.bottom() - STEM - 4.0 - row as f64 * (legend::SIZE + 2.0);
        placed.push(Placed { eigenvalue, x, label: [left, y] });
    }
    placed
}

pub(crate) fn draw(svg: &mut Svg, frame: &Frame, eigenvalues: &[Eigenvalue]) {
    let bottom = frame.area.bottom();
    for p in place(frame, eigenvalues) {
        let role = if p.eigenvalue.value < 0.0 { ColorRole::Second } else { ColorRole::First };
        let color = color::role(role);
        let (dash, fill) = if p.eigenvalue.converged { ("", color) } else { ("1.5 1.2", "#ffffff") };
        svg.line(p.x, bottom, p.x, bottom - STEM, Stroke { color, width: 0.9, dash, opacity: 1.0 });
        svg.circle(p.x, bottom - STEM, 1.5, fill, Some(Stroke::solid(color, 0.7)));
        if !p.eigenvalue.label.is_empty() {
            let halo = r##" stroke="#ffffff" stroke-width="2" stroke-linejoin="round" paint-order="stroke""##;
            svg.text_styled(
                p.label[0],
                p.label[1],
                &p.eigenvalue.label,
                legend::SIZE,
                Anchor::Start,
                color,
                halo,
                0.0,
            );
        }
    }
}

/// Points that a legend must not cover.
pub(crate) fn busy(frame: &Frame, eigenvalues: &[Eigenvalue]) -> Vec<[f64; 2]> {
    let mut busy = Vec::new();
    for p in place(frame, eigenvalues) {
        busy.push([p.x, frame.area.bottom() - STEM]);
        let width = text::width(&p.eigenvalue.label, legend::SIZE);
        busy.extend(
            (0..=10).map(|i| [p.label[0] + width * f64::from(i) / 10.0, p.label[1] - 0.4 * legend::SIZE]),
        );
    }
    busy
}
