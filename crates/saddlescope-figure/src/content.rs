//! What one pair of axes holds, whatever the kind of panel, and the ranges that show it all.

use super::data::{
    Axis, Bins, Eigenvalue, Histogram, LineStyle, Lines, Orientation, Reference, Scale, Series, Spectrum,
};
use super::scale::Mapping;

/// The things drawn over one pair of axes.
pub(crate) struct Content<'a> {
    pub(crate) x: &'a Axis,
    pub(crate) y: &'a Axis,
    pub(crate) bins: &'a [Bins],
    pub(crate) series: &'a [Series],
    pub(crate) references: &'a [Reference],
    pub(crate) eigenvalues: &'a [Eigenvalue],
}

/// Standard error at index `i`, 0 where there is none.
pub(crate) fn error_at(series: &Series, i: usize) -> f64 {
    series.std_error.as_ref().map_or(0.0, |e| if e[i].is_finite() { e[i].abs() } else { 0.0 })
}

impl<'a> Content<'a> {
    pub(crate) fn of_lines(p: &'a Lines) -> Self {
        Content {
            x: &p.x,
            y: &p.y,
            bins: &[],
            series: &p.series,
            references: &p.references,
            eigenvalues: &[],
        }
    }

    pub(crate) fn of_histogram(p: &'a Histogram) -> Self {
        Content {
            x: &p.x,
            y: &p.y,
            bins: &p.bins,
            series: &p.curves,
            references: &p.references,
            eigenvalues: &[],
        }
    }

    pub(crate) fn of_spectrum(p: &'a Spectrum) -> Self {
        Content {
            x: &p.x,
            y: &p.y,
            bins: &[],
            series: &p.densities,
            references: &[],
            eigenvalues: &p.eigenvalues,
        }
    }

    /// Horizontal range of everything.
    pub(crate) fn x_map(&self) -> Mapping {
        let references =
            self.references.iter().filter(|r| r.orientation == Orientation::Vertical).map(|r| r.value);
        let values = self.series.iter().flat_map(|s| s.x.iter().copied());
        let edges = self.bins.iter().flat_map(|b| b.edges.iter().copied());
        let eigenvalues = self.eigenvalues.iter().map(|e| e.value);
        let points =
            self.series.iter().any(|s| s.style == LineStyle::Points || s.style == LineStyle::LinePoints);
        let pad = if points || !self.eigenvalues.is_empty() { 0.03 } else { 0.0 };
        Mapping::fit(
            self.x.scale,
            self.x.range,
            values.chain(edges).chain(references).chain(eigenvalues),
            pad,
        )
    }

    /// Vertical range of what is seen within the horizontal one.
    pub(crate) fn y_map(&self, x: &Mapping) -> Mapping {
        let mut values: Vec<f64> = Vec::new();
        for s in self.series {
            for i in 0..s.x.len() {
                if x.shows(s.x[i]) && (x.lo..=x.hi).contains(&s.x[i]) {
                    let e = error_at(s, i);
                    values.extend([s.y[i] - e, s.y[i] + e, s.y[i]]);
                }
            }
        }
        for b in self.bins {
            values.extend(&b.heights);
        }
        for r in self.references.iter().filter(|r| r.orientation == Orientation::Horizontal) {
            values.push(r.value);
        }
        if self.y.scale == Scale::Log {
            // An error band may reach down to 0; ten decades below the top are enough to show.
            let top = values.iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
            values.retain(|&v| v >= 1e-10 * top);
        }
        let from_zero = !self.bins.is_empty() && self.y.scale == Scale::Linear && self.y.range.is_none();
        if from_zero {
            values.push(0.0);
        }
        let mut map = Mapping::fit(self.y.scale, self.y.range, values.iter().copied(), 0.06);
        if from_zero && values.iter().all(|v| !v.is_finite() || *v >= 0.0) {
            map.lo = 0.0;
        }
        if !self.eigenvalues.is_empty() && self.y.range.is_none() {
            // Room for the marked eigenvalues under the curve.
            let lower = map.at(-0.22);
            if map.shows(lower) && lower < map.lo {
                map.lo = lower;
            }
        }
        map
    }
}
