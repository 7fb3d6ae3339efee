//! Legends that never cover data: inside the frame where there is room, else in rows above it.

use super::frame::{Area, INK};
use super::svg::{Anchor, Stroke, Svg};
use super::text;

pub(crate) const SIZE: f64 = 7.0;
const KEY: f64 = 14.0;
const GAP: f64 = 3.0;
const LINE: f64 = 9.2;

/// The little picture beside a name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Key {
    Line { color: &'static str, dash: &'static str, width: f64, band: bool, point: bool },
    Point { color: &'static str },
    Patch { color: &'static str },
}

/// One line of a legend.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    pub(crate) label: String,
}

fn entry_width(entry: &Entry) -> f64 {
    KEY + GAP + text::width(&entry.label, SIZE)
}

/// A place inside `frame` where the legend touches none of the points `busy`, or `None`.
pub(crate) fn free_place(entries: &[Entry], frame: Area, busy: &[[f64; 2]]) -> Option<Area> {
    let w = entries.iter().map(entry_width).fold(0.0, f64::max) + 6.0;
    let h = entries.len() as f64 * LINE + 3.0;
    if w > 0.72 * frame.w || h > 0.6 * frame.h {
        return None;
    }
    let (left, right) = (frame.x + 3.0, frame.right() - w - 3.0);
    let (top, bottom) = (frame.y + 3.0, frame.bottom() - h - 3.0);
    let centre = 0.5 * (left + right);
    let places =
        [(right, top), (left, top), (right, bottom), (left, bottom), (centre, top), (centre, bottom)];
    places.into_iter().map(|(x, y)| Area { x, y, w, h }).find(|place| {
        let near = |p: &&[f64; 2]| {
            p[0] > place.x - 2.0
                && p[0] < place.right() + 2.0
                && p[1] > place.y - 2.0
                && p[1] < place.bottom() + 2.0
        };
        busy.iter().find(near).is_none()
    })
}

/// Draw a legend in a place found by [`free_place`].
pub(crate) fn draw_inside(svg: &mut Svg, entries: &[Entry], place: Area) {
    for (i, entry) in entries.iter().enumerate() {
        draw_entry(svg, entry, place.x + 3.0, place.y + 1.5 + (i as f64 + 0.5) * LINE);
    }
}

/// The rows of a legend above a frame of width `limit`.
fn rows(entries: &[Entry], limit: f64) -> Vec<Vec<usize>> {
    let mut rows: Vec<Vec<usize>> = Vec::new();
    let mut used = f64::INFINITY;
    for (i, entry) in entries.iter().enumerate() {
        let w = entry_width(entry) + 9.0;
        match rows.last_mut() {
            Some(row) if used + w <= limit + 9.0 => {
                row.push(i);
                used += w;
            }
            _ => {
                rows.push(vec![i]);
                used = w;
            }
        }
    }
    rows
}

/// Height of a legend above a frame.
pub(crate) fn height_above(entries: &[Entry], limit: f64) -> f64 {
    if entries.is_empty() { 0.0 } else { rows(entries, limit).len() as f64 * LINE + 2.0 }
}

/// Draw a legend in rows from the upper left corner (x, y).
pub(crate) fn draw_above(svg: &mut Svg, entries: &[Entry], x: f64, y: f64, limit: f64) {
    for (r, row) in rows(entries, limit).into_iter().enumerate() {
        let mut at = x;
        for i in row {
            draw_entry(svg, &entries[i], at, y + (r as f64 + 0.5) * LINE);
            at += entry_width(&entries[i]) + 9.0;
        }
    }
}

fn draw_entry(svg: &mut Svg, entry: &Entry, x: f64, y: f64) {
    match &entry.key {
        Key::Line { color, dash, width, band, point } => {
            if *band {
                svg.polygon(
                    &[[x, y - 2.6], [x + KEY, y - 2.6], [x + KEY, y + 2.6], [x, y + 2.6]],
                    color,
                    0.2,
                    None,
                );
            }
            svg.line(x, y, x + KEY, y, Stroke { color, width: *width, dash, opacity: 1.0 });
            if *point {
                svg.circle(x + 0.5 * KEY, y, 1.6, color, None);
            }
        }
        Key::Point { color } => svg.circle(x + 0.5 * KEY, y, 1.6, color, None),
        Key::Patch { color } => svg.polygon(
            &[[x, y - 2.8], [x + KEY, y - 2.8], [x + KEY, y + 2.8], [x, y + 2.8]],
            color,
            0.35,
            Some(Stroke::solid(color, 0.7)),
        ),
    }
    svg.text(x + KEY + GAP, y + 0.36 * SIZE, &entry.label, SIZE, Anchor::Start, INK);
}
