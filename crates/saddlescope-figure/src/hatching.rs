//! Hatching over the cells of a heat map: thin diagonals, closer together where cells are small.

use super::data::HeatMap;

/// The borders of the cells around the axis values: midway between neighbours, half a step beyond the ends.
pub(crate) fn borders(axis: &[f64]) -> Vec<f64> {
    let n = axis.len();
    let mut borders = Vec::with_capacity(n + 1);
    borders.push(axis[0] - 0.5 * (axis[1] - axis[0]));
    borders.extend(axis.windows(2).map(|w| w[0] + 0.5 * (w[1] - w[0])));
    borders.push(axis[n - 1] + 0.5 * (axis[n - 1] - axis[n - 2]));
    borders
}

/// Diagonals drawn across a map, at most.
const DIAGONALS: usize = 40;

/// The pieces of the diagonals that lie in hatched cells, from lower left to upper right, in data coordinates. A diagonal
/// passes through the corners of cells, so that the pieces of neighbours join.
pub(crate) fn segments(p: &HeatMap) -> Vec<[[f64; 2]; 2]> {
    let Some(hatched) = &p.hatched else { return Vec::new() };
    let (nx, ny) = (p.grid.x.len(), p.grid.y.len());
    let (xs, ys) = (borders(&p.grid.x), borders(&p.grid.y));
    let every = (nx + ny).div_ceil(2 * DIAGONALS).max(1);
    let mut segments = Vec::new();
    // Along each diagonal, so that pieces which join are one line.
    for diagonal in (0..nx + ny - 1).step_by(every) {
        // ix − iy = diagonal − (ny − 1).
        let (mut ix, mut iy) = ((diagonal + 1).saturating_sub(ny), (ny - 1).saturating_sub(diagonal));
        let mut open: Option<[f64; 2]> = None;
        while ix < nx && iy < ny {
            if hatched[iy * nx + ix] {
                open.get_or_insert([xs[ix], ys[iy]]);
            } else if let Some(from) = open.take() {
                segments.push([from, [xs[ix], ys[iy]]]);
            }
            (ix, iy) = (ix + 1, iy + 1);
        }
        if let Some(from) = open {
            segments.push([from, [xs[ix], ys[iy]]]);
        }
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Grid;

    fn map(hatched: &[bool]) -> HeatMap {
        let grid = Grid::new(vec![0.0, 1.0, 2.0], vec![0.0, 1.0], vec![0.0; 6]);
        HeatMap { hatched: Some(hatched.to_vec()), ..HeatMap::new(grid) }
    }

    #[test]
    fn pieces_of_neighbours_join_and_cells_that_are_not_hatched_stay_free() {
        assert!(segments(&map(&[false; 6])).is_empty());
        // The cell at (1, 0) alone: one diagonal from its lower left to its upper right corner.
        assert_eq!(segments(&map(&[false, true, false, false, false, false])), [[[0.5, -0.5], [1.5, 0.5]]]);
        // Together with (2, 1) one line.
        assert_eq!(segments(&map(&[false, true, false, false, false, true])), [[[0.5, -0.5], [2.5, 1.5]]]);
        // Every cell of a full map is crossed: four diagonals.
        assert_eq!(segments(&map(&[true; 6])).len(), 4);
    }
}
