//! Figures: data first, pictures second.
//!
//! A [`Figure`] holds numbers, labels and roles. It is written as JSON and .npz, drawn as SVG (for print, 86 or 178 mm
//! wide) and rasterised from the same SVG to PNG; the interactive page of [`crate::page`] draws from the same data.
//! Nothing here knows where the numbers come from.
//!
//! ```
//! use saddlescope_figure::{Figure, FigureWidth, Grid, HeatMap, render_svg};
//! let axis: Vec<f64> = (0..21).map(|i| -1.0 + 0.1 * f64::from(i)).collect();
//! let z = axis.iter().flat_map(|b| axis.iter().map(move |a| a * a - b * b)).collect();
//! let grid = Grid::new(axis.clone(), axis.clone(), z);
//! let figure = Figure::new("saddle", "A saddle", "α² − β².").width(FigureWidth::Single).panel("", HeatMap::new(grid));
//! assert!(render_svg(&figure)?.starts_with("<svg"));
//! # Ok::<(), saddlescope_figure::FigureError>(())
//! ```

mod check;
pub(crate) mod color;
pub(crate) mod content;
pub(crate) mod contour;
mod data;
mod data_surface;
mod error;
mod export;
pub mod floats;
mod frame;
pub(crate) mod hatching;
mod heat;
mod legend;
pub mod markup;
mod minus;
mod npz;
pub mod page;
mod png;
pub(crate) mod render;
pub(crate) mod scale;
mod smooth;
mod spectrum_marks;
mod surface;
mod svg;
mod text;
pub(crate) mod thin;
mod view;
mod write;
mod xy;

pub use check::check;
pub use data::{
    Axis, Bins, ColorRole, Eigenvalue, Figure, FigureWidth, Grid, HeatMap, Histogram, Inset, Levels,
    LineStyle, Lines, Orientation, Palette, Panel, PanelKind, Reference, Scale, Series, Spectrum, Surface3d,
};
pub use error::FigureError;
pub use export::{surface_to_obj, surface_to_vtp, write_obj, write_vtp};
pub use minus::minus;
pub use npz::{NamedArray, arrays_to_npz, npz_arrays};
pub use png::render_png;
pub use render::render_svg;
pub use write::{PRINT_DPI, Saved, read_json, save_all, write_atomic, write_json, write_npz};
