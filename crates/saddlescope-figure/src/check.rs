//! Checks of a figure before anything is drawn or written, so that renderers can rely on it.

use super::data::{Bins, Figure, Grid, Levels, Panel, PanelKind, Scale, Series};
use super::error::FigureError;

/// Check that a figure can be drawn: usable id, matching lengths, increasing axes, sensible scales.
///
/// # Errors
/// The first thing that is wrong, with the number of its panel and the name of the array.
pub fn check(figure: &Figure) -> Result<(), FigureError> {
    check_id(&figure.id)?;
    if figure.panels.is_empty() {
        return Err(FigureError::NoPanels { figure: figure.id.clone() });
    }
    for (index, panel) in figure.panels.iter().enumerate() {
        Context { figure: &figure.id, panel: index + 1 }.panel(panel)?;
    }
    Ok(())
}

/// Check one grid outside of a figure; `name` stands for the figure in messages.
pub(crate) fn check_grid(name: &str, grid: &Grid) -> Result<(), FigureError> {
    Context { figure: name, panel: 1 }.grid("grid", grid)
}

/// Check the length of an array beside a grid.
pub(crate) fn check_length(name: &str, what: &str, found: usize, expected: usize) -> Result<(), FigureError> {
    Context { figure: name, panel: 1 }.length(what, found, expected)
}

fn check_id(id: &str) -> Result<(), FigureError> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if id.is_empty() || id.len() > 100 || id.starts_with('.') || !id.chars().all(good) {
        return Err(FigureError::Id { id: id.chars().take(120).collect() });
    }
    Ok(())
}

struct Context<'a> {
    figure: &'a str,
    panel: usize,
}

impl Context<'_> {
    fn length(&self, what: impl Into<String>, found: usize, expected: usize) -> Result<(), FigureError> {
        if found == expected {
            return Ok(());
        }
        Err(FigureError::Length {
            figure: self.figure.into(),
            panel: self.panel,
            what: what.into(),
            found,
            expected,
        })
    }

    fn values(&self, good: bool, what: impl Into<String>, problem: &str) -> Result<(), FigureError> {
        if good {
            return Ok(());
        }
        Err(FigureError::Values {
            figure: self.figure.into(),
            panel: self.panel,
            what: what.into(),
            problem: problem.into(),
        })
    }

    fn panel(&self, panel: &Panel) -> Result<(), FigureError> {
        match &panel.kind {
            PanelKind::Surface3d(s) => {
                self.grid("grid", &s.grid)?;
                self.scale("scale", s.scale)?;
                self.range("range", s.scale, s.range)?;
                self.levels(&s.levels)?;
                let angles = s.azimuth.is_finite() && s.elevation.is_finite() && s.elevation.abs() <= 90.0;
                self.values(angles, "view", "needs a finite azimuth and an elevation within ±90 degrees")?;
                if let Some(inset) = &s.inset {
                    self.grid("inset", &inset.grid)?;
                    self.scale("inset scale", inset.scale)?;
                }
            }
            PanelKind::HeatMap(h) => {
                self.grid("grid", &h.grid)?;
                self.scale("scale", h.scale)?;
                self.range("range", h.scale, h.range)?;
                self.levels(&h.levels)?;
                if let Some(hatched) = &h.hatched {
                    self.length("hatched", hatched.len(), h.grid.z.len())?;
                }
                h.tracks.iter().enumerate().try_for_each(|(i, s)| self.series(i, s))?;
                if let Some(inset) = &h.inset {
                    self.grid("inset", &inset.grid)?;
                    self.scale("inset scale", inset.scale)?;
                }
            }
            PanelKind::Lines(l) => {
                self.axes([&l.x, &l.y])?;
                self.values(!l.series.is_empty(), "series", "are missing")?;
                l.series.iter().enumerate().try_for_each(|(i, s)| self.series(i, s))?;
            }
            PanelKind::Histogram(h) => {
                self.axes([&h.x, &h.y])?;
                self.values(!h.bins.is_empty(), "bins", "are missing")?;
                h.bins.iter().enumerate().try_for_each(|(i, b)| self.bins(i, b))?;
                h.curves.iter().enumerate().try_for_each(|(i, s)| self.series(i, s))?;
            }
            PanelKind::Spectrum(s) => {
                self.axes([&s.x, &s.y])?;
                let something = !(s.densities.is_empty() && s.eigenvalues.is_empty());
                self.values(something, "densities and eigenvalues", "are both missing")?;
                s.densities.iter().enumerate().try_for_each(|(i, d)| self.series(i, d))?;
            }
        }
        Ok(())
    }

    fn axes(&self, axes: [&super::data::Axis; 2]) -> Result<(), FigureError> {
        for (axis, name) in axes.into_iter().zip(["x", "y"]) {
            self.scale(name, axis.scale)?;
            self.range(name, axis.scale, axis.range)?;
        }
        Ok(())
    }

    fn scale(&self, what: &str, scale: Scale) -> Result<(), FigureError> {
        let good = match scale {
            Scale::SymLog { linear } => linear.is_finite() && linear > 0.0,
            _ => true,
        };
        self.values(good, what, "has a symmetric logarithmic scale whose linear part is not positive")
    }

    fn range(&self, what: &str, scale: Scale, range: Option<[f64; 2]>) -> Result<(), FigureError> {
        let Some([lo, hi]) = range else { return Ok(()) };
        let good = lo.is_finite() && hi.is_finite() && lo < hi && (scale != Scale::Log || lo > 0.0);
        self.values(
            good,
            what,
            "has a range that is not finite, not increasing, or not positive on a log scale",
        )
    }

    fn levels(&self, levels: &Levels) -> Result<(), FigureError> {
        match levels {
            Levels::At(values) => {
                self.values(values.iter().all(|v| v.is_finite()), "levels", "must all be finite")
            }
            Levels::Auto(n) => self.values(*n <= 100, "levels", "must be at most 100"),
            Levels::None => Ok(()),
        }
    }

    fn grid(&self, what: &str, grid: &Grid) -> Result<(), FigureError> {
        for (name, axis) in [("x", &grid.x), ("y", &grid.y)] {
            let what = format!("{what}.{name}");
            self.values(axis.len() >= 2, what.clone(), "needs at least 2 values")?;
            let increasing = axis.iter().all(|v| v.is_finite()) && axis.windows(2).all(|w| w[0] < w[1]);
            self.values(increasing, what, "must be finite and strictly increasing")?;
        }
        self.length(format!("{what}.z"), grid.z.len(), grid.x.len().saturating_mul(grid.y.len()))
    }

    fn series(&self, index: usize, series: &Series) -> Result<(), FigureError> {
        let name = format!("series {} ({:?})", index + 1, series.label);
        self.length(format!("{name}: y"), series.y.len(), series.x.len())?;
        if let Some(errors) = &series.std_error {
            self.length(format!("{name}: std_error"), errors.len(), series.x.len())?;
        }
        Ok(())
    }

    fn bins(&self, index: usize, bins: &Bins) -> Result<(), FigureError> {
        let name = format!("bins {} ({:?})", index + 1, bins.label);
        self.values(bins.edges.len() >= 2, format!("{name}: edges"), "needs at least 2 values")?;
        let increasing =
            bins.edges.iter().all(|v| v.is_finite()) && bins.edges.windows(2).all(|w| w[0] < w[1]);
        self.values(increasing, format!("{name}: edges"), "must be finite and strictly increasing")?;
        self.length(format!("{name}: heights"), bins.heights.len(), bins.edges.len() - 1)
    }
}
