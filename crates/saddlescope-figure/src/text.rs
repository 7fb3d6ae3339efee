//! Widths of text, measured in the fonts that the pictures are drawn with.

use std::sync::LazyLock;

use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider};

use super::markup::{self, Run, Shift};

/// The embedded fonts: Liberation Sans (metrically the same as Arial and Helvetica) and DejaVu Sans for the symbols it
/// lacks. Licences lie beside the files.
pub(crate) const REGULAR: &[u8] = include_bytes!("../assets/fonts/LiberationSans-Regular.ttf");
pub(crate) const ITALIC: &[u8] = include_bytes!("../assets/fonts/LiberationSans-Italic.ttf");
pub(crate) const BOLD: &[u8] = include_bytes!("../assets/fonts/LiberationSans-Bold.ttf");
pub(crate) const SYMBOLS: &[u8] = include_bytes!("../assets/fonts/DejaVuSans.ttf");

/// What an SVG asks for, so that it looks the same where only Arial or Helvetica is installed.
pub(crate) const FAMILY: &str = "'Liberation Sans', Arial, Helvetica, 'DejaVu Sans', sans-serif";
/// The same for symbols outside of the main font.
pub(crate) const SYMBOL_FAMILY: &str =
    "'DejaVu Sans', 'STIX Two Math', 'Cambria Math', 'Noto Sans Math', sans-serif";

/// Size of sub- and superscripts relative to the line, and how far they are shifted (in ems of the line).
pub(crate) const SCRIPT_SIZE: f64 = 0.72;
pub(crate) const SUB_DROP: f64 = 0.22;
pub(crate) const SUP_RISE: f64 = 0.38;

static FONTS: LazyLock<[Option<FontRef<'static>>; 3]> =
    LazyLock::new(|| [REGULAR, ITALIC, SYMBOLS].map(|bytes| FontRef::new(bytes).ok()));

/// Whether the main font has a character; the others are drawn from the symbol font, which must be asked for by name:
/// renderers that fall back by themselves may change the font of a whole line.
pub(crate) fn in_main_font(c: char) -> bool {
    let [regular, ..] = &*FONTS;
    ('\u{300}'..='\u{36f}').contains(&c)
        || regular.as_ref().is_none_or(|font| font.charmap().map(c).is_some())
}

/// Width of one character in ems.
fn advance(c: char, italic: bool) -> f64 {
    if ('\u{300}'..='\u{36f}').contains(&c) {
        return 0.0;
    }
    let [regular, slanted, symbols] = &*FONTS;
    let first = if italic { slanted } else { regular };
    for font in [first, regular, symbols].into_iter().flatten() {
        if let Some(glyph) = font.charmap().map(c) {
            let metrics = font.glyph_metrics(Size::new(1.0), LocationRef::default());
            if let Some(width) = metrics.advance_width(glyph) {
                return f64::from(width);
            }
        }
    }
    0.6
}

/// Width of (a part of) a run at font size 1 of its line.
pub(crate) fn run_width(text: &str, run: &Run) -> f64 {
    let scale = if run.shift == Shift::Base { 1.0 } else { SCRIPT_SIZE };
    scale * text.chars().map(|c| advance(c, run.italic)).sum::<f64>()
}

/// Width of a label in the unit of `size`.
pub(crate) fn width(label: &str, size: f64) -> f64 {
    size * markup::parse(label).iter().map(|run| run_width(&run.text, run)).sum::<f64>()
}

/// Break a label into lines no wider than `limit`, at spaces outside of mathematics. A word that is too wide stays whole.
pub(crate) fn wrap(label: &str, size: f64, limit: f64) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut in_math = false;
    let mut word = String::new();
    let mut previous = ' ';
    for c in label.chars() {
        if c == '$' && previous != '\\' {
            in_math = !in_math;
        }
        if c == ' ' && !in_math {
            words.push(std::mem::take(&mut word));
        } else {
            word.push(c);
        }
        previous = c;
    }
    words.push(word);
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if width(&format!("{line} {word}"), size) <= limit => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fonts_are_readable_and_widths_sensible() {
        assert!(FONTS.iter().all(Option::is_some));
        // Arial's digit is 1139/2048 em wide.
        assert!((width("0000", 10.0) - 4.0 * 10.0 * 1139.0 / 2048.0).abs() < 1e-3);
        assert!(width("$\\nabla L$", 8.0) > 8.0);
        assert!(width("$x_{max}$", 8.0) < width("xmax", 8.0));
    }

    #[test]
    fn lines_are_broken_at_spaces_only() {
        let lines = wrap("one two three four", 8.0, 40.0);
        assert!(lines.len() > 1);
        assert_eq!(lines.join(" "), "one two three four");
    }
}
