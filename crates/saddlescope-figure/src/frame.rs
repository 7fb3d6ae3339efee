//! The frame of a two-dimensional panel: box, ticks and axis labels.

use super::scale::{Mapping, Ticks};
use super::svg::{Anchor, Stroke, Svg};
use super::text;

pub(crate) const TICK_SIZE: f64 = 7.0;
pub(crate) const LABEL_SIZE: f64 = 8.0;
pub(crate) const TITLE_SIZE: f64 = 8.0;
pub(crate) const INK: &str = "#222222";
pub(crate) const FRAME: &str = "#444444";
const TICK_LENGTH: f64 = 2.6;

/// A rectangle in points, y downwards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Area {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) w: f64,
    pub(crate) h: f64,
}

impl Area {
    pub(crate) fn right(&self) -> f64 {
        self.x + self.w
    }

    pub(crate) fn bottom(&self) -> f64 {
        self.y + self.h
    }

    /// The area without `top` points at its upper edge.
    pub(crate) fn below(&self, top: f64) -> Area {
        Area { x: self.x, y: self.y + top, w: self.w, h: (self.h - top).max(1.0) }
    }
}

/// A frame with its two scales.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) area: Area,
    pub(crate) x: Mapping,
    pub(crate) y: Mapping,
    x_ticks: Ticks,
    y_ticks: Ticks,
    tick_size: f64,
}

impl Frame {
    /// Place a frame in `outer` with room for ticks and labels at its left and lower side and `right` points at its right.
    pub(crate) fn place(
        outer: Area,
        x: Mapping,
        y: Mapping,
        x_label: &str,
        y_label: &str,
        right: f64,
    ) -> Frame {
        Self::place_sized(outer, x, y, x_label, y_label, right, TICK_SIZE)
    }

    /// As [`Frame::place`] with another size of tick labels.
    pub(crate) fn place_sized(
        outer: Area,
        x: Mapping,
        y: Mapping,
        x_label: &str,
        y_label: &str,
        right: f64,
        tick_size: f64,
    ) -> Frame {
        let label = LABEL_SIZE * tick_size / TICK_SIZE;
        let y_ticks = y.ticks(((outer.h / (3.6 * tick_size)) as usize).clamp(2, 7));
        let widest = y_ticks.ticks.iter().map(|t| text::width(&t.label, tick_size)).fold(0.0, f64::max);
        let left = TICK_LENGTH + 2.5 + widest + if y_label.is_empty() { 1.0 } else { label + 4.0 };
        let bottom = TICK_LENGTH + tick_size + 2.5 + if x_label.is_empty() { 0.0 } else { label + 2.5 };
        let top = if y_ticks.exponent != 0 { tick_size + 3.0 } else { tick_size * 0.45 };
        let width = (outer.w - left - right).max(10.0);
        let x_ticks = fitting_ticks(&x, width, tick_size);
        let area =
            Area { x: outer.x + left, y: outer.y + top, w: width, h: (outer.h - top - bottom).max(10.0) };
        Frame { area, x, y, x_ticks, y_ticks, tick_size }
    }

    /// Horizontal position of a value; far outside of the frame it is held near, NaN stays NaN.
    pub(crate) fn px(&self, v: f64) -> f64 {
        let u = self.x.unit(v);
        if u.is_nan() { u } else { self.area.x + self.area.w * u.clamp(-4.0, 5.0) }
    }

    /// Vertical position of a value.
    pub(crate) fn py(&self, v: f64) -> f64 {
        let u = self.y.unit(v);
        if u.is_nan() { u } else { self.area.bottom() - self.area.h * u.clamp(-4.0, 5.0) }
    }

    /// Draw box, ticks and labels (over the data).
    pub(crate) fn draw(&self, svg: &mut Svg, x_label: &str, y_label: &str) {
        let a = self.area;
        let size = self.tick_size;
        let label_size = LABEL_SIZE * size / TICK_SIZE;
        let stroke = Stroke::solid(FRAME, 0.6);
        svg.rect(a.x, a.y, a.w, a.h, "none", Some(stroke));
        for tick in &self.x_ticks.ticks {
            let x = self.px(tick.value);
            let length = if tick.label.is_empty() { 0.55 * TICK_LENGTH } else { TICK_LENGTH };
            svg.line(x, a.bottom(), x, a.bottom() + length, stroke);
            if !tick.label.is_empty() {
                svg.text(x, a.bottom() + TICK_LENGTH + size + 0.5, &tick.label, size, Anchor::Middle, INK);
            }
        }
        let mut widest: f64 = 0.0;
        for tick in &self.y_ticks.ticks {
            let y = self.py(tick.value);
            let length = if tick.label.is_empty() { 0.55 * TICK_LENGTH } else { TICK_LENGTH };
            svg.line(a.x - length, y, a.x, y, stroke);
            if !tick.label.is_empty() {
                svg.text(a.x - TICK_LENGTH - 1.5, y + 0.36 * size, &tick.label, size, Anchor::End, INK);
                widest = widest.max(text::width(&tick.label, size));
            }
        }
        if self.y_ticks.exponent != 0 {
            let factor = power(self.y_ticks.exponent);
            svg.text(a.x - TICK_LENGTH - 1.5, a.y - 3.0, &factor, size, Anchor::Start, INK);
        }
        let below = a.bottom() + TICK_LENGTH + size + 2.5 + 0.85 * label_size;
        if self.x_ticks.exponent != 0 {
            svg.text(a.right(), below, &power(self.x_ticks.exponent), size, Anchor::End, INK);
        }
        if !x_label.is_empty() {
            svg.text(a.x + 0.5 * a.w, below, x_label, label_size, Anchor::Middle, INK);
        }
        if !y_label.is_empty() {
            let x = a.x - TICK_LENGTH - 4.5 - widest - 0.1 * label_size;
            svg.text_styled(x, a.y + 0.5 * a.h, y_label, label_size, Anchor::Middle, INK, "", -90.0);
        }
    }
}

/// `×10ⁿ` for an axis whose labels share a power of ten.
pub(crate) fn power(exponent: i32) -> String {
    format!("$\\times 10^{{{exponent}}}$")
}

/// As many ticks as fit side by side without touching.
pub(crate) fn fitting_ticks(map: &Mapping, width: f64, size: f64) -> Ticks {
    let mut best = map.ticks(2);
    for target in (2..=7).rev() {
        let ticks = map.ticks(target);
        let mut last = f64::NEG_INFINITY;
        let mut fits = true;
        for tick in ticks.ticks.iter().filter(|t| !t.label.is_empty()) {
            let centre = width * map.unit(tick.value);
            let half = 0.5 * text::width(&tick.label, size);
            fits &= centre - half > last + 0.8 * size;
            last = centre + half;
        }
        if fits {
            best = ticks;
            break;
        }
    }
    // Even two labels can collide on an uneven scale; the later one gives way.
    let mut last = f64::NEG_INFINITY;
    for tick in best.ticks.iter_mut().filter(|t| !t.label.is_empty()) {
        let centre = width * map.unit(tick.value);
        let half = 0.5 * text::width(&tick.label, size);
        if centre - half <= last + 0.3 * size {
            tick.label.clear();
        } else {
            last = centre + half;
        }
    }
    best
}
