//! Finer cells for coarse heat maps: colours between the values are interpolated along the scale.

use super::data::Grid;
use super::hatching::borders;
use super::scale::Mapping;

/// Cells along each side, about: finer than this an eye does not see single cells.
const CELLS: usize = 66;

/// A grid of cells to be filled, and their borders.
pub(crate) struct Cells {
    pub(crate) grid: Grid,
    pub(crate) x_borders: Vec<f64>,
    pub(crate) y_borders: Vec<f64>,
}

/// One axis: the centre of each fine cell as the two nodes around it and the share of the second, and the borders.
fn axis(values: &[f64], parts: usize) -> (Vec<(usize, usize, f64)>, Vec<f64>) {
    let n = values.len();
    let coarse = borders(values);
    let mut at = Vec::with_capacity(n * parts);
    let mut fine = Vec::with_capacity(n * parts + 1);
    for i in 0..n {
        for k in 0..parts {
            let place = |k: f64| coarse[i] + (coarse[i + 1] - coarse[i]) * k / parts as f64;
            fine.push(place(k as f64));
            let x = place(k as f64 + 0.5);
            // Cells beyond the outermost values keep these.
            let (a, b) = if x < values[i] { (i.saturating_sub(1), i) } else { (i, (i + 1).min(n - 1)) };
            let share = if a == b { 0.0 } else { (x - values[a]) / (values[b] - values[a]) };
            at.push((a, b, share));
        }
    }
    fine.push(coarse[n]);
    (at, fine)
}

/// Divides the cells of a coarse grid; each fine cell has the value interpolated between the values around it. Where one
/// of them is missing the cell keeps the value of the point it belongs to.
pub(crate) fn refined(grid: &Grid, map: &Mapping) -> Cells {
    let (nx, ny) = (grid.x.len(), grid.y.len());
    let parts = |n: usize| (CELLS / n).clamp(1, 6);
    let (px, py) = (parts(nx), parts(ny));
    let ((xs, x_borders), (ys, y_borders)) = (axis(&grid.x, px), axis(&grid.y, py));
    let value = |ix: usize, iy: usize| grid.z[iy * nx + ix];
    let mut z = Vec::with_capacity(xs.len() * ys.len());
    for (j, &(ya, yb, v)) in ys.iter().enumerate() {
        for (i, &(xa, xb, u)) in xs.iter().enumerate() {
            let own = value(i / px, j / py);
            let corners = [value(xa, ya), value(xb, ya), value(xa, yb), value(xb, yb)];
            z.push(if map.shows(own) && corners.iter().all(|&c| map.shows(c)) {
                let [a, b, c, d] = corners.map(|c| map.unit(c));
                map.at((1.0 - v) * ((1.0 - u) * a + u * b) + v * ((1.0 - u) * c + u * d))
            } else {
                own
            });
        }
    }
    let middle = |b: &[f64]| b.windows(2).map(|w| 0.5 * (w[0] + w[1])).collect();
    Cells {
        grid: Grid { x: middle(&x_borders), y: middle(&y_borders), z, ..grid.clone() },
        x_borders,
        y_borders,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Scale;

    #[test]
    fn planes_stay_planes_and_missing_values_stay_missing() {
        let axis = vec![0.0, 1.0, 2.0];
        let mut grid = Grid::new(
            axis.clone(),
            axis.clone(),
            axis.iter().flat_map(|y| axis.iter().map(move |x| 1.0 + x + 2.0 * y)).collect(),
        );
        let map = Mapping { scale: Scale::Linear, lo: 1.0, hi: 7.0 };
        let fine = refined(&grid, &map).grid;
        for (j, y) in fine.y.iter().enumerate() {
            for (i, x) in fine.x.iter().enumerate() {
                // Beyond the outermost values these are kept.
                let expected = 1.0 + x.clamp(0.0, 2.0) + 2.0 * y.clamp(0.0, 2.0);
                assert!((fine.z[j * fine.x.len() + i] - expected).abs() < 1e-12);
            }
        }
        grid.z[4] = f64::NAN;
        let fine = refined(&grid, &map).grid;
        let missing = fine.z.iter().filter(|v| v.is_nan()).count();
        assert_eq!(missing * 9, fine.z.len(), "one of nine cells");
    }
}
