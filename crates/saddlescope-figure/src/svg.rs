//! A small writer of SVG text. One unit is one point (1/72 inch) on paper.

use std::fmt::Write;

use super::markup::{self, Run, Shift, escape};
use super::text::{self, SCRIPT_SIZE, SUB_DROP, SUP_RISE, SYMBOL_FAMILY, in_main_font};

/// Where text stands relative to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A piece of SVG that grows as things are drawn.
#[derive(Debug, Default)]
pub(crate) struct Svg {
    pub(crate) body: String,
    pub(crate) defs: String,
    prefix: String,
    ids: usize,
}

/// A stroke: colour, width in points, dash pattern (empty: solid), opacity.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stroke<'a> {
    pub(crate) color: &'a str,
    pub(crate) width: f64,
    pub(crate) dash: &'a str,
    pub(crate) opacity: f64,
}

impl<'a> Stroke<'a> {
    pub(crate) fn solid(color: &'a str, width: f64) -> Self {
        Stroke { color, width, dash: "", opacity: 1.0 }
    }

    fn attributes(&self) -> String {
        let mut s = format!(r#"stroke="{}" stroke-width="{}""#, self.color, num(self.width));
        if !self.dash.is_empty() {
            let _ = write!(s, r#" stroke-dasharray="{}""#, self.dash);
        }
        if self.opacity < 1.0 {
            let _ = write!(s, r#" stroke-opacity="{}""#, num(self.opacity));
        }
        s
    }
}

/// A coordinate with at most two decimals (0.01 pt is 3.5 µm on paper).
pub(crate) fn num(v: f64) -> String {
    if !v.is_finite() {
        return "0".into();
    }
    let mut s = format!("{v:.2}");
    while s.ends_with('0') {
        s.pop();
    }
    if s.ends_with('.') {
        s.pop();
    }
    if s == "-0" { "0".into() } else { s }
}

impl Svg {
    /// Ids made by this writer begin with `prefix`, so that several pictures can stand in one page.
    pub(crate) fn new(prefix: &str) -> Self {
        Svg { prefix: prefix.into(), ..Svg::default() }
    }

    fn id(&mut self) -> String {
        self.ids += 1;
        format!("{}-{}", self.prefix, self.ids)
    }

    pub(crate) fn raw(&mut self, text: &str) {
        self.body.push_str(text);
        self.body.push('\n');
    }

    pub(crate) fn rect(&mut self, x: f64, y: f64, w: f64, h: f64, fill: &str, stroke: Option<Stroke>) {
        let stroke = stroke.map_or(String::new(), |s| format!(" {}", s.attributes()));
        let _ = writeln!(
            self.body,
            r#"<rect x="{}" y="{}" width="{}" height="{}" fill="{fill}"{stroke}/>"#,
            num(x),
            num(y),
            num(w.max(0.0)),
            num(h.max(0.0))
        );
    }

    pub(crate) fn line(&mut self, x1: f64, y1: f64, x2: f64, y2: f64, stroke: Stroke) {
        let _ = writeln!(
            self.body,
            r#"<line x1="{}" y1="{}" x2="{}" y2="{}" {}/>"#,
            num(x1),
            num(y1),
            num(x2),
            num(y2),
            stroke.attributes()
        );
    }

    pub(crate) fn circle(&mut self, x: f64, y: f64, r: f64, fill: &str, stroke: Option<Stroke>) {
        let stroke = stroke.map_or(String::new(), |s| format!(" {}", s.attributes()));
        let _ = writeln!(
            self.body,
            r#"<circle cx="{}" cy="{}" r="{}" fill="{fill}"{stroke}/>"#,
            num(x),
            num(y),
            num(r)
        );
    }

    /// An open line through points.
    pub(crate) fn polyline(&mut self, points: &[[f64; 2]], stroke: Stroke) {
        if points.len() < 2 {
            return;
        }
        let _ = writeln!(
            self.body,
            r#"<path d="{}" fill="none" stroke-linejoin="round" stroke-linecap="butt" {}/>"#,
            path(points, false),
            stroke.attributes()
        );
    }

    /// A filled outline.
    pub(crate) fn polygon(&mut self, points: &[[f64; 2]], fill: &str, opacity: f64, stroke: Option<Stroke>) {
        let opacity =
            if opacity < 1.0 { format!(r#" fill-opacity="{}""#, num(opacity)) } else { String::new() };
        let stroke =
            stroke.map_or(String::new(), |s| format!(r#" stroke-linejoin="round" {}"#, s.attributes()));
        let _ = writeln!(self.body, r#"<path d="{}" fill="{fill}"{opacity}{stroke}/>"#, path(points, true));
    }

    /// A cross (×) with a light rim, `r` its half-width.
    pub(crate) fn cross(&mut self, x: f64, y: f64, r: f64, color: &str, rim: &str) {
        for (color, width) in [(rim, 2.6), (color, 1.3)] {
            let _ = writeln!(
                self.body,
                r#"<path d="M{} {}L{} {}M{} {}L{} {}" fill="none" stroke="{color}" stroke-width="{width}" stroke-linecap="round"/>"#,
                num(x - r),
                num(y - r),
                num(x + r),
                num(y + r),
                num(x - r),
                num(y + r),
                num(x + r),
                num(y - r)
            );
        }
    }

    /// Begin a group clipped to a rectangle; end it with [`Svg::end`].
    pub(crate) fn begin_clip(&mut self, x: f64, y: f64, w: f64, h: f64) {
        let id = self.id();
        let _ = writeln!(
            self.defs,
            r#"<clipPath id="{id}"><rect x="{}" y="{}" width="{}" height="{}"/></clipPath>"#,
            num(x),
            num(y),
            num(w),
            num(h)
        );
        let _ = writeln!(self.body, r#"<g clip-path="url(#{id})">"#);
    }

    pub(crate) fn end(&mut self) {
        self.raw("</g>");
    }

    /// A fill of diagonal grey hatching: the mark of values that are missing.
    pub(crate) fn hatch(&mut self) -> String {
        let id = self.id();
        let _ = writeln!(
            self.defs,
            r##"<pattern id="{id}" width="3" height="3" patternUnits="userSpaceOnUse"><rect width="3" height="3" fill="#e4e4e4"/><path d="M-0.75 0.75L0.75 -0.75M0 3L3 0M2.25 3.75L3.75 2.25" stroke="#8a8a8a" stroke-width="0.55"/></pattern>"##
        );
        format!("url(#{id})")
    }

    /// Text whose baseline starts, is centred, or ends at (x, y).
    pub(crate) fn text(&mut self, x: f64, y: f64, label: &str, size: f64, anchor: Anchor, color: &str) {
        self.text_styled(x, y, label, size, anchor, color, "", 0.0);
    }

    /// Text with extra attributes, turned by `angle` degrees (clockwise) about its point.
    pub(crate) fn text_styled(
        &mut self,
        x: f64,
        y: f64,
        label: &str,
        size: f64,
        anchor: Anchor,
        color: &str,
        extra: &str,
        angle: f64,
    ) {
        let runs = markup::parse(label);
        let pieces = pieces(&runs);
        // Text in two fonts is placed piece by piece from its left end.
        let mixed = pieces.iter().any(|p| !p.main_font);
        let total: f64 = pieces.iter().map(|p| size * text::run_width(&p.text, p.run)).sum();
        let (start, anchor) = match (anchor, mixed) {
            (Anchor::Start, true) => (Some(x), ""),
            (Anchor::Middle, true) => (Some(x - 0.5 * total), ""),
            (Anchor::End, true) => (Some(x - total), ""),
            (Anchor::Start, false) => (None, ""),
            (Anchor::Middle, false) => (None, r#" text-anchor="middle""#),
            (Anchor::End, false) => (None, r#" text-anchor="end""#),
        };
        let turn = if angle == 0.0 {
            String::new()
        } else {
            format!(r#" transform="rotate({} {} {})""#, num(angle), num(x), num(y))
        };
        let _ = writeln!(
            self.body,
            r#"<text x="{}" y="{}" font-size="{}" fill="{color}"{anchor}{turn}{extra}>{}</text>"#,
            num(x),
            num(y),
            num(size),
            spans(&pieces, size, start)
        );
    }
}

fn path(points: &[[f64; 2]], close: bool) -> String {
    let mut d = String::with_capacity(points.len() * 12);
    for (i, p) in points.iter().enumerate() {
        let _ = write!(d, "{}{} {}", if i == 0 { 'M' } else { 'L' }, num(p[0]), num(p[1]));
    }
    if close {
        d.push('Z');
    }
    d
}

/// A stretch of one run in one font.
struct Piece<'a> {
    text: String,
    run: &'a Run,
    main_font: bool,
}

fn pieces(runs: &[Run]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    for run in runs {
        let chars: Vec<char> = run.text.chars().collect();
        for part in chars.chunk_by(|&a, &b| in_main_font(a) == in_main_font(b)) {
            pieces.push(Piece { text: part.iter().collect(), run, main_font: in_main_font(part[0]) });
        }
    }
    pieces
}

/// The runs of a label as `tspan`s; shifts are undone by the next run, because `dy` is relative. With `start`, every
/// change of font also sets x: renderers that miss a character reset the font of the whole chunk of text, and a chunk ends
/// where x is set.
fn spans(pieces: &[Piece], size: f64, start: Option<f64>) -> String {
    let mut out = String::new();
    let mut height = 0.0;
    let mut x = start.unwrap_or(0.0);
    let mut font = None;
    for piece in pieces {
        let target = match piece.run.shift {
            Shift::Base => 0.0,
            Shift::Sub => SUB_DROP * size,
            Shift::Sup => -SUP_RISE * size,
        };
        let mut attributes = String::new();
        if start.is_some() && font != Some(piece.main_font) {
            let _ = write!(attributes, r#" x="{}""#, num(x));
            font = Some(piece.main_font);
        }
        if target != height {
            let _ = write!(attributes, r#" dy="{}""#, num(target - height));
            height = target;
        }
        if piece.run.shift != Shift::Base {
            let _ = write!(attributes, r#" font-size="{}""#, num(size * SCRIPT_SIZE));
        }
        if !piece.main_font {
            let _ = write!(attributes, r#" font-family="{SYMBOL_FAMILY}""#);
        } else if piece.run.italic {
            attributes.push_str(r#" font-style="italic""#);
        }
        let text = escape(&piece.text);
        if attributes.is_empty() {
            out.push_str(&text);
        } else {
            let _ = write!(out, "<tspan{attributes}>{text}</tspan>");
        }
        x += size * text::run_width(&piece.text, piece.run);
    }
    out
}
