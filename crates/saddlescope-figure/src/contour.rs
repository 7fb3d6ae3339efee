//! Lines of equal value on a grid (marching squares). A cell with a missing corner has none.

use std::collections::{HashMap, VecDeque};

use super::data::{Grid, Levels};
use super::scale::Mapping;

/// The segments of one level in the grid's own coordinates.
pub(crate) struct Contour {
    pub(crate) level: f64,
    pub(crate) segments: Vec<[[f64; 2]; 2]>,
}

impl Contour {
    /// The segments as polylines, so that dashes run along them.
    pub(crate) fn joined(&self) -> Vec<Vec<[f64; 2]>> {
        // Where a line passes through a node of the grid, its two sides differ by rounding.
        let extent = |k: usize| {
            let values = self.segments.iter().flatten().map(|p| p[k].abs());
            values.fold(f64::MIN_POSITIVE, f64::max)
        };
        let extents = [extent(0), extent(1)];
        let key = |p: &[f64; 2]| [0, 1].map(|k| (p[k] / extents[k] * 1e10).round() as i64);
        let mut ends: HashMap<[i64; 2], Vec<usize>> = HashMap::new();
        // Where a line touches a node there are segments without length.
        let mut used: Vec<bool> = self.segments.iter().map(|[a, b]| key(a) == key(b)).collect();
        for (i, s) in self.segments.iter().enumerate().filter(|(i, _)| !used[*i]) {
            s.iter().for_each(|p| ends.entry(key(p)).or_default().push(i));
        }
        let mut lines = Vec::new();
        for start in 0..self.segments.len() {
            if std::mem::replace(&mut used[start], true) {
                continue;
            }
            let mut line: VecDeque<[f64; 2]> = self.segments[start].into();
            for front in [false, true] {
                while let Some(&end) = if front { line.front() } else { line.back() } {
                    let Some(&next) = ends.get(&key(&end)).and_then(|all| all.iter().find(|&&i| !used[i]))
                    else {
                        break;
                    };
                    used[next] = true;
                    let [a, b] = self.segments[next];
                    let far = if key(&a) == key(&end) { b } else { a };
                    if front { line.push_front(far) } else { line.push_back(far) }
                }
            }
            lines.push(line.into());
        }
        lines
    }
}

/// All contours of a grid; interpolation is linear along the mapping's scale.
pub(crate) fn contours(grid: &Grid, map: &Mapping, levels: &Levels) -> Vec<Contour> {
    let values: Vec<f64> = match levels {
        Levels::None => return Vec::new(),
        Levels::At(values) => values.clone(),
        Levels::Auto(n) => {
            let ticks = map.ticks((*n).max(1)).ticks;
            ticks.into_iter().filter(|t| !t.label.is_empty()).map(|t| t.value).collect()
        }
    };
    values.into_iter().filter(|&v| map.shows(v)).map(|level| contour(grid, map, level)).collect()
}

fn contour(grid: &Grid, map: &Mapping, level: f64) -> Contour {
    let (nx, ny) = (grid.x.len(), grid.y.len());
    let target = map.unit(level);
    let height = |ix: usize, iy: usize| map.unit(grid.z[iy * nx + ix]) - target;
    let mut segments = Vec::new();
    for iy in 0..ny - 1 {
        for ix in 0..nx - 1 {
            // Corners counter-clockwise, side i between corner i and corner i + 1.
            let corners = [(ix, iy), (ix + 1, iy), (ix + 1, iy + 1), (ix, iy + 1)];
            let h = corners.map(|(i, j)| height(i, j));
            if h.iter().any(|v| !v.is_finite()) {
                continue;
            }
            let mut crossings: Vec<[f64; 2]> = Vec::with_capacity(4);
            for side in 0..4 {
                // From the same end for both cells at this side, so that their crossings are equal.
                let (from, to) = if side < 2 { (side, side + 1) } else { ((side + 1) % 4, side) };
                let (a, b) = (h[from], h[to]);
                if (a >= 0.0) != (b >= 0.0) {
                    let t = a / (a - b);
                    let ((i0, j0), (i1, j1)) = (corners[from], corners[to]);
                    crossings.push([
                        grid.x[i0] + t * (grid.x[i1] - grid.x[i0]),
                        grid.y[j0] + t * (grid.y[j1] - grid.y[j0]),
                    ]);
                }
            }
            match crossings[..] {
                [a, b] => segments.push([a, b]),
                [a, b, c, d] => {
                    // A saddle cell: the mean of the corners decides which crossings belong together.
                    let centre_above = h.iter().sum::<f64>() >= 0.0;
                    if centre_above == (h[0] >= 0.0) {
                        segments.extend([[a, b], [c, d]]);
                    } else {
                        segments.extend([[a, d], [b, c]]);
                    }
                }
                _ => {}
            }
        }
    }
    Contour { level, segments }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Scale;

    #[test]
    fn circle_has_its_radius_and_holes_have_no_lines() {
        let axis: Vec<f64> = (0..41).map(|i| -1.0 + 0.05 * f64::from(i)).collect();
        let mut z: Vec<f64> = axis.iter().flat_map(|y| axis.iter().map(move |x| x * x + y * y)).collect();
        let map = Mapping { scale: Scale::Linear, lo: 0.0, hi: 2.0 };
        let grid = Grid::new(axis.clone(), axis.clone(), z.clone());
        let found = contours(&grid, &map, &Levels::At(vec![0.5]));
        assert!(found[0].segments.len() > 50);
        for p in found[0].segments.iter().flatten() {
            // Linear interpolation of a parabola over a cell of 0.05 is off by at most 0.05²/8 in z.
            assert!((p[0] * p[0] + p[1] * p[1] - 0.5).abs() < 1e-3);
        }
        assert_eq!(found[0].joined().len(), 1, "a circle is one line");
        z.iter_mut().for_each(|v| *v = f64::NAN);
        let empty = contours(&Grid::new(axis.clone(), axis, z), &map, &Levels::At(vec![0.5]));
        assert!(empty[0].segments.is_empty());
    }
}
