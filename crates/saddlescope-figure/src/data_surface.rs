//! The data of surfaces and heat maps: values on a rectangular grid.

use serde::{Deserialize, Serialize};

use super::data::{Scale, Series};
use super::floats;

/// Values z on a rectangular grid. NaN and infinities are kept and shown as missing, never filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// The nx values of x, strictly increasing.
    #[serde(with = "floats")]
    pub x: Vec<f64>,
    /// The ny values of y, strictly increasing.
    #[serde(with = "floats")]
    pub y: Vec<f64>,
    /// The nx·ny values, row-major by y: the value at `(x[ix], y[iy])` is `z[iy * nx + ix]`.
    #[serde(with = "floats")]
    pub z: Vec<f64>,
    /// Name of x.
    pub x_label: String,
    /// Name of y.
    pub y_label: String,
    /// Name of z.
    pub z_label: String,
}

impl Grid {
    /// A grid from its axes and values, labelled α, β and "loss".
    pub fn new(x: Vec<f64>, y: Vec<f64>, z: Vec<f64>) -> Self {
        Grid { x, y, z, x_label: "$\\alpha$".into(), y_label: "$\\beta$".into(), z_label: "loss".into() }
    }

    /// Set the three labels.
    #[must_use]
    pub fn labels(mut self, x: impl Into<String>, y: impl Into<String>, z: impl Into<String>) -> Self {
        (self.x_label, self.y_label, self.z_label) = (x.into(), y.into(), z.into());
        self
    }

    /// Coordinates and value (x, y, z) of the smallest finite value; the first one when several are equal.
    pub fn minimum(&self) -> Option<[f64; 3]> {
        let nx = self.x.len();
        let mut best: Option<[f64; 3]> = None;
        for (i, &z) in self.z.iter().enumerate() {
            if z.is_finite() && best.is_none_or(|b| z < b[2]) {
                best = Some([*self.x.get(i % nx.max(1))?, *self.y.get(i / nx.max(1))?, z]);
            }
        }
        best
    }
}

/// Which lines of equal value are drawn.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Levels {
    /// None.
    #[default]
    None,
    /// About this many at round values.
    Auto(usize),
    /// At these values.
    At(Vec<f64>),
}

/// Colours for values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Palette {
    /// Dark to light, perceptually even (viridis).
    #[default]
    Sequential,
    /// Blue below 0, white at 0, red above 0.
    Diverging,
}

/// A second, smaller grid shown in a corner, for instance a zoom on the centre.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inset {
    /// Its values.
    pub grid: Grid,
    /// Layout of its values.
    #[serde(default)]
    pub scale: Scale,
}

/// A surface z(x, y) in perspective.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Surface3d {
    /// The values.
    pub grid: Grid,
    /// Layout of the z axis and of the colours. On a log scale values that are not positive are missing.
    #[serde(default)]
    pub scale: Scale,
    /// Colours.
    #[serde(default)]
    pub palette: Palette,
    /// Least and greatest z shown; what lies beyond is left out. From the data when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
    /// Lines of equal value, drawn on the floor.
    #[serde(default)]
    pub levels: Levels,
    /// A cross at the smallest value, with its coordinates.
    #[serde(default)]
    pub mark_minimum: bool,
    /// Words after the value and the place of the smallest value, for instance how far it lies below the point studied.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub minimum_note: String,
    /// Direction from which it is seen, degrees from the x axis, counter-clockwise.
    #[serde(default = "azimuth")]
    pub azimuth: f64,
    /// Height from which it is seen, degrees above the (x, y) plane.
    #[serde(default = "elevation")]
    pub elevation: f64,
    /// A zoom in the corner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inset: Option<Inset>,
}

fn azimuth() -> f64 {
    -60.0
}

fn elevation() -> f64 {
    26.0
}

impl Surface3d {
    /// A linear surface in the default view.
    pub fn new(grid: Grid) -> Self {
        Surface3d {
            grid,
            scale: Scale::Linear,
            palette: Palette::Sequential,
            range: None,
            levels: Levels::None,
            mark_minimum: false,
            minimum_note: String::new(),
            azimuth: azimuth(),
            elevation: elevation(),
            inset: None,
        }
    }
}

/// Values as colours, seen from above. On coarse grids the colours between two values are interpolated along the scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeatMap {
    /// The values.
    pub grid: Grid,
    /// Layout of the colours. On a log scale values that are not positive are missing.
    #[serde(default)]
    pub scale: Scale,
    /// Colours.
    #[serde(default)]
    pub palette: Palette,
    /// Least and greatest value of the colour bar; beyond them colours saturate. From the data when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
    /// Lines of equal value.
    #[serde(default)]
    pub levels: Levels,
    /// A cross at the smallest value, with its coordinates.
    #[serde(default)]
    pub mark_minimum: bool,
    /// Words after the value and the place of the smallest value, for instance how far it lies below the point studied.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub minimum_note: String,
    /// A small ring at (0, 0), the point studied.
    #[serde(default)]
    pub mark_origin: bool,
    /// A value whose level line is drawn thicker and dashed, for instance that of the point studied: at a saddle it
    /// crosses itself there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_level: Option<f64>,
    /// Which cells are hatched over their colour, in the order of the grid's values; what that means is for the caption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hatched: Option<Vec<bool>>,
    /// Ways and points over the map, in their own x and y. A name is written beside the last point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tracks: Vec<Series>,
    /// A zoom in the corner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inset: Option<Inset>,
}

impl HeatMap {
    /// A linear heat map with a cross at the smallest value.
    pub fn new(grid: Grid) -> Self {
        HeatMap {
            grid,
            scale: Scale::Linear,
            palette: Palette::Sequential,
            range: None,
            levels: Levels::None,
            mark_minimum: true,
            minimum_note: String::new(),
            mark_origin: false,
            reference_level: None,
            hatched: None,
            tracks: Vec::new(),
            inset: None,
        }
    }
}
