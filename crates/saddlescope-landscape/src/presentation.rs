//! Results turned into the data of figures.

use crate::Surface;
use saddlescope_figure::{Grid, HeatMap, Levels, Scale};

/// The losses of a surface as a grid with α to the right and β upwards.
pub fn surface_grid(surface: &Surface) -> Grid {
    grid_of(surface, &surface.loss)
}

/// The accuracies of a surface as a grid, when it has any.
pub fn accuracy_grid(surface: &Surface) -> Option<Grid> {
    surface.accuracy.as_ref().map(|accuracy| {
        let mut grid = grid_of(surface, accuracy);
        grid.z_label = "accuracy".into();
        grid
    })
}

/// Which points of a surface cannot be told from the centre: their difference from it is below two of its standard errors. In the
/// order of [`surface_grid`]; `None` where the errors are not known. The centre itself is one of them.
pub fn not_distinguishable(surface: &Surface) -> Option<Vec<bool>> {
    surface.errors.as_ref()?;
    let same = |i: usize| surface.difference(i).significant() == Some(false);
    Some(turned(surface, same))
}

/// Least and greatest of the finite values (∞ and −∞ if there are none), and how they are best shown: on a log scale when
/// all are positive and span more than a decade and a half.
pub fn range_and_scale(values: impl IntoIterator<Item = f64>) -> ([f64; 2], Scale) {
    let finite = values.into_iter().filter(|z| z.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), z| (l.min(z), h.max(z)));
    let scale = if low > 0.0 && high / low > 30.0 { Scale::Log } else { Scale::Linear };
    ([low, high], scale)
}

/// A heat map in the range and on the scale that several share: a ring at the point studied, a cross at the smallest value,
/// lines of equal value.
pub fn heat_map(grid: Grid, (range, scale): ([f64; 2], Scale)) -> HeatMap {
    HeatMap {
        range: (range[0] < range[1]).then_some(range),
        scale,
        levels: Levels::Auto(8),
        mark_origin: true,
        ..HeatMap::new(grid)
    }
}

fn grid_of(surface: &Surface, values: &[f64]) -> Grid {
    let turned = turned(surface, |i| values.get(i).copied().unwrap_or(f64::NAN));
    Grid::new(surface.a.values(), surface.b.values(), turned)
}

/// A surface stores rows of constant α; a grid stores rows of constant β. `value` is that at a place of the surface.
pub(crate) fn turned<T>(surface: &Surface, value: impl Fn(usize) -> T) -> Vec<T> {
    let (rows, columns) = (surface.a.count(), surface.b.count());
    let mut all = Vec::with_capacity(rows * columns);
    for j in 0..columns {
        all.extend((0..rows).map(|i| value(i * columns + j)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Axis;
    use crate::sampling_error::PointErrors;

    #[test]
    fn alpha_runs_along_x_and_beta_along_y() {
        let surface = Surface {
            a: Axis::parse("0:2:3").unwrap(),
            b: Axis::parse("0:1:2").unwrap(),
            loss: vec![0.0, 1.0, 10.0, 11.0, 20.0, 21.0],
            accuracy: None,
            center: 4.0,
            center_std_error: None,
            errors: Some(PointErrors {
                loss: vec![1.0; 6],
                difference: vec![2.0, 1.0, 1.0, 4.0, 8.0, f64::NAN],
            }),
            evaluated: None,
        };
        let grid = surface_grid(&surface);
        assert_eq!((grid.x.clone(), grid.y.clone()), (vec![0.0, 1.0, 2.0], vec![0.0, 1.0]));
        assert_eq!(grid.z, vec![0.0, 10.0, 20.0, 1.0, 11.0, 21.0]);
        let found = grid.minimum().unwrap();
        let expected = surface.minimum().unwrap();
        assert_eq!(found, [expected.alpha, expected.beta, expected.loss]);
        assert!(accuracy_grid(&surface).is_none());
        // Differences −4, −3, 6, 7, 16, 17 with errors 2, 1, 1, 4, 8, unknown: below two errors is one, the last is not known.
        let hatched = not_distinguishable(&surface).unwrap();
        assert_eq!(hatched, [false, false, false, false, true, false]);
        assert_eq!(not_distinguishable(&Surface { errors: None, ..surface }), None);
    }
}
