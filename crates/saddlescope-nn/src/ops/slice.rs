//! Slices, with steps of either sign.

use super::axes::{accepted_axis, resolve_axes, single};
use super::movement::{Move, Movement, Moves, block, movement_op};
use super::strided::View;
use crate::op::{OpInfo, Reads, ShapeError};

/// `x[start:end:step]` along some axes, with Python's rules (ONNX `Slice`): negative positions count from the end,
/// positions beyond the ends are cut, a negative step runs backwards. An `end` of `i64::MAX` (or `i64::MIN` for a
/// negative step) means all the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    starts: Vec<i64>,
    ends: Vec<i64>,
    axes: Vec<i64>,
    steps: Vec<i64>,
}

/// Start, step and number of elements of a slice of an axis of length `n`.
fn range(start: i64, end: i64, step: i64, n: usize) -> (usize, isize, usize) {
    let n = n as i64;
    let from_end = |p: i64| if p < 0 { p.saturating_add(n) } else { p };
    if step > 0 {
        let (start, end) = (from_end(start).clamp(0, n), from_end(end).clamp(0, n));
        let len = if end > start { (end - start - 1) / step + 1 } else { 0 };
        (start as usize, step as isize, len as usize)
    } else {
        let (start, end) = (from_end(start).clamp(-1, n - 1), from_end(end).clamp(-1, n - 1));
        let len = if start > end { (start - end - 1) / step.saturating_neg() + 1 } else { 0 };
        (start.max(0) as usize, step as isize, len as usize)
    }
}

impl Slice {
    /// A slice; the four lists have one entry per sliced axis. Steps must not be 0.
    pub fn new(starts: &[i64], ends: &[i64], axes: &[i64], steps: &[i64]) -> Self {
        Self { starts: starts.to_vec(), ends: ends.to_vec(), axes: axes.to_vec(), steps: steps.to_vec() }
    }

    /// Elements `start..end` along one axis (one part of ONNX `Split`).
    pub fn range(axis: i64, start: usize, end: usize) -> Self {
        Self::new(&[start as i64], &[end as i64], &[axis], &[1])
    }

    /// Starts, steps and lengths along every axis of `x`.
    fn resolve(&self, x: &[usize]) -> (Vec<usize>, Vec<isize>, Vec<usize>) {
        let (mut starts, mut steps, mut lens) = (vec![0; x.len()], vec![1; x.len()], x.to_vec());
        for (i, &axis) in self.axes.iter().enumerate() {
            let a = accepted_axis(axis, x.len());
            (starts[a], steps[a], lens[a]) = range(self.starts[i], self.ends[i], self.steps[i], x[a]);
        }
        (starts, steps, lens)
    }
}

impl OpInfo for Slice {
    fn name(&self) -> &'static str {
        "Slice"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let x = single(self.name(), inputs)?;
        let n = self.axes.len();
        if self.starts.len() != n || self.ends.len() != n || self.steps.len() != n {
            return Err(ShapeError::new(self.name(), "starts, ends, axes and steps differ in length"));
        }
        if self.steps.contains(&0) {
            return Err(ShapeError::new(self.name(), "a step is 0"));
        }
        resolve_axes(self.name(), &self.axes, x.len())?;
        Ok(self.resolve(x).2)
    }

    fn reads(&self) -> Reads {
        Reads::NONE
    }
}

impl Movement for Slice {
    fn moves(&self, x: &[usize], y: &[usize]) -> Moves {
        let (starts, steps, lens) = self.resolve(x);
        // A step along an axis of at most one element is never taken, and may be too long for the arithmetic.
        let steps: Vec<isize> = steps.iter().zip(&lens).map(|(&s, &n)| if n > 1 { s } else { 0 }).collect();
        let list = if lens.contains(&0) {
            Vec::new()
        } else {
            vec![Move { shape: lens, x: block(x, &starts, &steps), y: View::whole(y) }]
        };
        Moves { list, fill: None, bijective: false }
    }
}

movement_op!(Slice);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::check_op;

    #[test]
    fn derivatives_match_finite_differences() {
        check_op(&Slice::range(1, 1, 4), &[&[3, 5, 7]]).unwrap();
        check_op(&Slice::new(&[0, 6], &[i64::MAX, i64::MIN], &[1, -1], &[2, -1]), &[&[3, 5, 7]]).unwrap();
        check_op(&Slice::new(&[-3, 5], &[-1, 0], &[0, 2], &[1, -2]), &[&[4, 2, 7]]).unwrap();
        check_op(&Slice::range(0, 2, 2), &[&[3, 5]]).unwrap();
        check_op(&Slice::new(&[1], &[9], &[0], &[i64::MAX]), &[&[3, 5]]).unwrap();
    }

    #[test]
    fn ranges_follow_python() {
        // Expected: the indices Python gives for range(n)[start:end:step].
        for (start, end, step, n, expected) in [
            (0, 10, 1, 4, vec![0, 1, 2, 3]),
            (-2, i64::MAX, 1, 5, vec![3, 4]),
            (1, -1, 2, 6, vec![1, 3]),
            (-1, i64::MIN, -1, 3, vec![2, 1, 0]),
            (5, 0, -2, 6, vec![5, 3, 1]),
            (9, -9, -4, 6, vec![5, 1]),
            (3, 3, 1, 6, vec![]),
            (i64::MIN, i64::MIN, -1, 3, vec![]),
            (0, 5, 1, 0, vec![]),
            (0, -5, -1, 0, vec![]),
            (2, i64::MIN, i64::MIN, 4, vec![2]),
        ] {
            let (first, step, len) = range(start, end, step, n);
            let found: Vec<isize> = (0..len).map(|i| first as isize + i as isize * step).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn bad_slices_are_refused() {
        assert!(Slice::new(&[0], &[1], &[0], &[0]).infer(&[&[3]]).is_err());
        assert!(Slice::new(&[0], &[1], &[1], &[1]).infer(&[&[3]]).is_err());
        assert!(Slice::new(&[0, 0], &[1, 1], &[0, -1], &[1, 1]).infer(&[&[3]]).is_err());
        assert!(Slice::new(&[0], &[1], &[0, 1], &[1, 1]).infer(&[&[3, 3]]).is_err());
    }
}
