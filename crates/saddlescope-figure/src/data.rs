//! What a figure shows, as data: numbers, labels and roles, no pixels.
//!
//! Everything here can be written as JSON and read back without loss ([`super::write_json`]); renderers only read it.
//! Labels understand a little mathematics between dollar signs: `$\kappa_+$`, `$\lambda_{max}$`, `$10^{-3}$`; see
//! [`super::markup`].

use serde::{Deserialize, Serialize};

pub use super::data_surface::{Grid, HeatMap, Inset, Levels, Palette, Surface3d};
use super::floats;

/// A figure of a paper or report: one or more panels under one caption.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Short name, also the file name of everything written: letters, digits, `.`, `_`, `-`.
    pub id: String,
    /// One line that says what is seen.
    pub title: String,
    /// The text under the figure: what is drawn, from which data, with which parameters.
    pub caption: String,
    /// Width on paper.
    #[serde(default)]
    pub width: FigureWidth,
    /// Panels side by side in a row; chosen from the number and kind of panels when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<usize>,
    /// The panels, row by row.
    pub panels: Vec<Panel>,
}

impl Figure {
    /// A figure at double-column width with no panels yet.
    pub fn new(id: impl Into<String>, title: impl Into<String>, caption: impl Into<String>) -> Self {
        Figure {
            id: id.into(),
            title: title.into(),
            caption: caption.into(),
            width: FigureWidth::default(),
            columns: None,
            panels: Vec::new(),
        }
    }

    /// Add a panel; it is lettered (a), (b), … in order when there will be more than one.
    #[must_use]
    pub fn panel(mut self, title: impl Into<String>, kind: impl Into<PanelKind>) -> Self {
        let label = match u8::try_from(self.panels.len()) {
            Ok(i) if i < 26 => format!("({})", char::from(b'a' + i)),
            _ => format!("({})", self.panels.len() + 1),
        };
        self.panels.push(Panel { label, title: title.into(), kind: kind.into() });
        self
    }

    /// Set the width on paper.
    #[must_use]
    pub fn width(mut self, width: FigureWidth) -> Self {
        self.width = width;
        self
    }

    /// Set the number of panels in a row.
    #[must_use]
    pub fn columns(mut self, columns: usize) -> Self {
        self.columns = Some(columns);
        self
    }
}

/// Width of a figure on paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FigureWidth {
    /// One column of a journal, 86 mm.
    Single,
    /// The full width of a page, 178 mm.
    #[default]
    Double,
}

impl FigureWidth {
    /// The width in millimetres.
    pub fn millimetres(self) -> f64 {
        match self {
            FigureWidth::Single => 86.0,
            FigureWidth::Double => 178.0,
        }
    }
}

/// One set of axes in a figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Panel {
    /// `(a)`, `(b)`, …; not drawn when the figure has one panel.
    pub label: String,
    /// A few words above the axes; may be empty.
    pub title: String,
    /// What is drawn.
    pub kind: PanelKind,
}

/// What a panel draws.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum PanelKind {
    /// A surface z(x, y) in perspective.
    Surface3d(Surface3d),
    /// The same values as colours seen from above.
    HeatMap(HeatMap),
    /// Lines and points.
    Lines(Lines),
    /// Histograms.
    Histogram(Histogram),
    /// A spectral density with eigenvalues.
    Spectrum(Spectrum),
}

macro_rules! into_kind {
    ($($name:ident),*) => {$(
        impl From<$name> for PanelKind {
            fn from(value: $name) -> Self {
                PanelKind::$name(value)
            }
        }
    )*};
}
into_kind!(Surface3d, HeatMap, Lines, Histogram, Spectrum);

/// How numbers are laid out along an axis or a colour bar.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Equal steps are equal lengths.
    #[default]
    Linear,
    /// Equal ratios are equal lengths; values that are not positive are not drawn.
    Log,
    /// Linear within ± `linear`, logarithmic beyond, on both sides of 0.
    SymLog {
        /// Half-width of the linear part, > 0.
        linear: f64,
    },
}

/// An axis of a two-dimensional panel.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Axis {
    /// Name of the quantity, with its unit if it has one.
    pub label: String,
    /// Layout of the numbers.
    #[serde(default)]
    pub scale: Scale,
    /// First and last value shown; from the data when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
}

impl Axis {
    /// A linear axis with its range from the data.
    pub fn linear(label: impl Into<String>) -> Self {
        Axis { label: label.into(), scale: Scale::Linear, range: None }
    }

    /// A logarithmic axis with its range from the data.
    pub fn log(label: impl Into<String>) -> Self {
        Axis { label: label.into(), scale: Scale::Log, range: None }
    }

    /// A symmetric logarithmic axis with its range from the data.
    pub fn sym_log(label: impl Into<String>, linear: f64) -> Self {
        Axis { label: label.into(), scale: Scale::SymLog { linear }, range: None }
    }

    /// Set first and last value shown.
    #[must_use]
    pub fn range(mut self, first: f64, last: f64) -> Self {
        self.range = Some([first, last]);
        self
    }
}

/// What a colour stands for. The same role has the same colour in every figure; all are told apart by colour-blind
/// readers (Okabe and Ito's set).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColorRole {
    /// First quantity: blue.
    First,
    /// Second quantity: vermillion.
    Second,
    /// Third quantity: green.
    Third,
    /// Fourth quantity: purple.
    Fourth,
    /// Fifth quantity: amber.
    Fifth,
    /// What is exactly known: black.
    Truth,
    /// Background material: grey.
    Muted,
}

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineStyle {
    /// ———
    #[default]
    Solid,
    /// — — —
    Dashed,
    /// — · —
    DashDot,
    /// · · ·
    Dotted,
    /// Points only.
    Points,
    /// A solid line through points.
    LinePoints,
}

/// One line (or set of points). NaN breaks the line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Name in the legend; empty: not in the legend.
    pub label: String,
    /// Horizontal values.
    #[serde(with = "floats")]
    pub x: Vec<f64>,
    /// Vertical values, as many.
    #[serde(with = "floats")]
    pub y: Vec<f64>,
    /// Standard error of each y: drawn as a band (bars for points) of ± one standard error.
    #[serde(default, with = "floats::optional", skip_serializing_if = "Option::is_none")]
    pub std_error: Option<Vec<f64>>,
    /// Colour.
    pub color: ColorRole,
    /// Stroke.
    #[serde(default)]
    pub style: LineStyle,
}

impl Series {
    /// A solid line without error band.
    pub fn new(label: impl Into<String>, x: Vec<f64>, y: Vec<f64>, color: ColorRole) -> Self {
        Series { label: label.into(), x, y, std_error: None, color, style: LineStyle::Solid }
    }

    /// Set the stroke.
    #[must_use]
    pub fn style(mut self, style: LineStyle) -> Self {
        self.style = style;
        self
    }

    /// Add a band of ± one standard error.
    #[must_use]
    pub fn std_error(mut self, std_error: Vec<f64>) -> Self {
        self.std_error = Some(std_error);
        self
    }
}

/// A straight line across a panel at one value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// Where on the axis it stands.
    #[serde(with = "floats::scalar")]
    pub value: f64,
    /// Horizontal (at y = value) or vertical (at x = value).
    pub orientation: Orientation,
    /// Name in the legend; empty: not in the legend.
    pub label: String,
    /// Colour.
    pub color: ColorRole,
    /// Stroke.
    #[serde(default)]
    pub style: LineStyle,
}

impl Reference {
    /// A thin black dashed line at y = `value`.
    pub fn horizontal(value: f64, label: impl Into<String>) -> Self {
        Reference {
            value,
            orientation: Orientation::Horizontal,
            label: label.into(),
            color: ColorRole::Truth,
            style: LineStyle::Dashed,
        }
    }

    /// A thin black dashed line at x = `value`.
    pub fn vertical(value: f64, label: impl Into<String>) -> Self {
        Reference { orientation: Orientation::Vertical, ..Reference::horizontal(value, label) }
    }
}

/// Direction of a [`Reference`] line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Orientation {
    /// y is constant.
    Horizontal,
    /// x is constant.
    Vertical,
}

/// Lines and points over one pair of axes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Lines {
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// The series, drawn in order.
    pub series: Vec<Series>,
    /// Reference lines, drawn first.
    #[serde(default)]
    pub references: Vec<Reference>,
}

/// Counts or densities of a sample in bins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bins {
    /// Name in the legend; empty: not in the legend.
    pub label: String,
    /// Bin edges, strictly increasing, one more than heights.
    #[serde(with = "floats")]
    pub edges: Vec<f64>,
    /// Height of each bin.
    #[serde(with = "floats")]
    pub heights: Vec<f64>,
    /// Colour.
    pub color: ColorRole,
}

impl Bins {
    /// Probability density of `samples` in `bins` equal bins over `range` (least to greatest sample when `None`).
    /// Values that are not finite are left out; values outside of the range count in the total but in no bin.
    pub fn density(
        label: impl Into<String>,
        samples: &[f64],
        bins: usize,
        range: Option<[f64; 2]>,
        color: ColorRole,
    ) -> Self {
        let finite: Vec<f64> = samples.iter().copied().filter(|v| v.is_finite()).collect();
        let least = finite.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = finite.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let [mut lo, mut hi] = range.unwrap_or([least, greatest]);
        if !(lo.is_finite() && hi.is_finite()) {
            (lo, hi) = (0.0, 1.0);
        }
        if hi <= lo {
            let pad = 0.5 * lo.abs().max(1.0) * 1e-3;
            (lo, hi) = (lo - pad, lo + pad);
        }
        let bins = bins.max(1);
        let width = (hi - lo) / bins as f64;
        let mut heights = vec![0.0; bins];
        for v in &finite {
            if (lo..=hi).contains(v) {
                let i = (((v - lo) / width) as usize).min(bins - 1);
                heights[i] += 1.0;
            }
        }
        let norm = (finite.len().max(1)) as f64 * width;
        heights.iter_mut().for_each(|h| *h /= norm);
        let edges = (0..=bins).map(|i| lo + width * i as f64).collect();
        Bins { label: label.into(), edges, heights, color }
    }
}

/// One or more histograms over one pair of axes, with curves over them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Histogram {
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// The histograms.
    pub bins: Vec<Bins>,
    /// Curves drawn over them, for instance normal densities.
    #[serde(default)]
    pub curves: Vec<Series>,
    /// Reference lines.
    #[serde(default)]
    pub references: Vec<Reference>,
}

/// One eigenvalue marked on a spectrum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Eigenvalue {
    /// λ.
    #[serde(with = "floats::scalar")]
    pub value: f64,
    /// Text beside the mark, for instance `$\lambda_{max}$ = 5007.9`; may be empty.
    #[serde(default)]
    pub label: String,
    /// Whether its solver converged; an unconverged value is drawn hollow and dashed.
    #[serde(default = "yes")]
    pub converged: bool,
}

fn yes() -> bool {
    true
}

/// A spectral density with eigenvalues marked along its axis.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Spectrum {
    /// Eigenvalue axis; [`Scale::SymLog`] shows a bulk near 0 and far outliers of both signs at once.
    pub x: Axis,
    /// Density axis, logarithmic as a rule.
    pub y: Axis,
    /// Densities (estimates with standard errors, or exact).
    pub densities: Vec<Series>,
    /// Eigenvalues marked.
    pub eigenvalues: Vec<Eigenvalue>,
}
