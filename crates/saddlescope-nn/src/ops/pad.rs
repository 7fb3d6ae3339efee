//! Padding with a constant, with the edge, by reflection or around the end; negative padding crops.

use super::axes::single;
use super::movement::{Move, Movement, Moves, block, movement_op};
use crate::op::{OpInfo, Reads, ShapeError};

/// What a padded place holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PadMode {
    /// A number.
    Constant(f64),
    /// The nearest element of the input.
    Edge,
    /// The input mirrored at its first and last element, which are not repeated.
    Reflect,
    /// The input again and again, as on a circle.
    Wrap,
}

/// How often an axis may go around.
const MAX_TURNS: i64 = 64;

/// Adds elements before and after each axis (ONNX `Pad`). Negative amounts remove elements instead.
#[derive(Clone, Debug, PartialEq)]
pub struct Pad {
    before: Vec<i64>,
    after: Vec<i64>,
    mode: PadMode,
}

/// A stretch of one axis of the output: (start in the input, step, start in the output, length).
type Segment = (usize, isize, usize, usize);

impl Pad {
    /// Padding by `before[a]` and `after[a]` elements along axis a; one entry per axis of the input.
    pub fn new(before: &[i64], after: &[i64], mode: PadMode) -> Self {
        Self { before: before.to_vec(), after: after.to_vec(), mode }
    }

    /// Zeros around the spatial axes of a channels-last image `[batch, height, width, channels]`.
    pub fn zeros_around_image(top: i64, bottom: i64, left: i64, right: i64) -> Self {
        Self::new(&[0, top, left, 0], &[0, bottom, right, 0], PadMode::Constant(0.0))
    }

    /// The stretches of axis `a`, of length `n` in the input.
    fn segments(&self, a: usize, n: usize) -> Vec<Segment> {
        let (before, after) = (self.before[a], self.after[a]);
        let crop = |p: i64| p.min(0).unsigned_abs() as usize;
        let grow = |p: i64| p.max(0) as usize;
        let (first, last) = (crop(before), n - crop(after));
        let mut list = vec![(first, 1, grow(before), last.saturating_sub(first))];
        let end = grow(before) + last.saturating_sub(first);
        match self.mode {
            PadMode::Constant(_) => {}
            PadMode::Edge => {
                list.push((0, 0, 0, grow(before)));
                list.push((n.saturating_sub(1), 0, end, grow(after)));
            }
            PadMode::Reflect => {
                list.push((grow(before), -1, 0, grow(before)));
                list.push((n.saturating_sub(2), -1, end, grow(after)));
            }
            PadMode::Wrap => {
                let (before, after) = (grow(before), grow(after));
                let mut done = 0;
                while n > 0 && done < before {
                    // The end of the input meets its beginning.
                    let length = if done == 0 && before % n != 0 { before % n } else { n };
                    list.push((n - length, 1, done, length));
                    done += length;
                }
                let mut done = 0;
                while n > 0 && done < after {
                    let length = n.min(after - done);
                    list.push((0, 1, end + done, length));
                    done += length;
                }
            }
        }
        list.retain(|s| s.3 > 0);
        list
    }
}

impl OpInfo for Pad {
    fn name(&self) -> &'static str {
        "Pad"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let x = single(self.name(), inputs)?;
        let error = |message: String| Err(ShapeError::new("Pad", message));
        if self.before.len() != x.len() || self.after.len() != x.len() {
            let found = [self.before.len(), self.after.len()];
            return error(format!("{found:?} amounts before and after for the {} axes of {x:?}", x.len()));
        }
        let mut shape = Vec::with_capacity(x.len());
        for (a, &n) in x.iter().enumerate() {
            let (before, after) = (self.before[a], self.after[a]);
            let cropped = before.min(0).checked_add(after.min(0));
            let kept = cropped.and_then(|c| c.checked_add(n as i64)).filter(|&k| k >= 0);
            let Some(kept) = kept else {
                return error(format!("axis {a} of length {n} cannot be cropped by {before} and {after}"));
            };
            let grown = kept.checked_add(before.max(0)).and_then(|k| k.checked_add(after.max(0)));
            let Some(grown) = grown.and_then(|g| usize::try_from(g).ok()) else {
                return error(format!("axis {a} padded by {before} and {after} is too long"));
            };
            let most = before.max(after);
            match self.mode {
                PadMode::Constant(_) => {}
                // Mixed padding and cropping of one axis has no agreed meaning in these modes.
                _ if most > 0 && before.min(after) < 0 => {
                    return error(format!("axis {a} is both padded and cropped, which needs constant mode"));
                }
                PadMode::Edge if most > 0 && n == 0 => {
                    return error(format!("axis {a} is empty and has no edge"));
                }
                PadMode::Wrap if most > (n as i64).saturating_mul(MAX_TURNS) => {
                    return error(format!(
                        "axis {a} of length {n} is wrapped by {most}, more than {MAX_TURNS} times around"
                    ));
                }
                PadMode::Reflect if most > 0 && most >= n as i64 => {
                    return error(format!("reflection by {most} needs axis {a} longer than that, found {n}"));
                }
                _ => {}
            }
            shape.push(grown);
        }
        if shape.iter().try_fold(1_usize, |p, &n| p.checked_mul(n)).is_none() {
            return error(format!("padded shape {shape:?} is too large"));
        }
        Ok(shape)
    }

    fn reads(&self) -> Reads {
        Reads::NONE
    }
}

impl Movement for Pad {
    fn moves(&self, x: &[usize], y: &[usize]) -> Moves {
        // The regions of the output are all combinations of the axes' stretches.
        let mut regions: Vec<Vec<Segment>> = vec![Vec::new()];
        for (a, &n) in x.iter().enumerate() {
            let segments = self.segments(a, n);
            regions = (regions.iter())
                .flat_map(|r| segments.iter().map(|&s| [r.as_slice(), &[s]].concat()))
                .collect();
        }
        let ones = vec![1; y.len()];
        let list = (regions.iter())
            .map(|r| {
                let starts: Vec<usize> = r.iter().map(|s| s.0).collect();
                let steps: Vec<isize> = r.iter().map(|s| s.1).collect();
                let targets: Vec<usize> = r.iter().map(|s| s.2).collect();
                Move {
                    shape: r.iter().map(|s| s.3).collect(),
                    x: block(x, &starts, &steps),
                    y: block(y, &targets, &ones),
                }
            })
            .collect();
        let fill = match self.mode {
            PadMode::Constant(value) => Some(value),
            _ => None,
        };
        Moves { list, fill, bijective: false }
    }
}

movement_op!(Pad);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::check_op;

    #[test]
    fn derivatives_match_finite_differences() {
        check_op(&Pad::zeros_around_image(1, 2, 0, 3), &[&[2, 3, 5, 4]]).unwrap();
        check_op(&Pad::new(&[0, -1, 2], &[0, 3, -2], PadMode::Constant(1.5)), &[&[2, 3, 5]]).unwrap();
        check_op(&Pad::new(&[0, 2, 4], &[1, 1, 0], PadMode::Edge), &[&[2, 3, 5]]).unwrap();
        check_op(&Pad::new(&[0, 2, 4], &[0, 1, 3], PadMode::Reflect), &[&[2, 3, 5]]).unwrap();
        check_op(&Pad::new(&[0, 2, 4], &[0, 1, 3], PadMode::Wrap), &[&[2, 3, 5]]).unwrap();
        check_op(&Pad::new(&[0, 7], &[0, 4], PadMode::Wrap), &[&[2, 3]]).unwrap();
        check_op(&Pad::new(&[-1, -1], &[0, -2], PadMode::Reflect), &[&[2, 5]]).unwrap();
        check_op(&Pad::new(&[-2, 1], &[0, 1], PadMode::Constant(2.0)), &[&[2, 5]]).unwrap();
    }

    fn padded(pad: &Pad, n: usize) -> Vec<f64> {
        let x: Vec<f64> = (1..=n).map(|i| i as f64).collect();
        let y = pad.infer(&[&[n]]).unwrap();
        let moves = pad.moves(&[n], &y);
        let mut out = vec![moves.fill.unwrap_or(f64::NAN); y[0]];
        for m in &moves.list {
            crate::ops::strided::copy(&m.shape, &x, &m.x, &mut out, &m.y, false);
        }
        out
    }

    #[test]
    fn values_are_numpys() {
        // numpy.pad of [1, 2, 3, 4] by (2, 3) in the four modes.
        let pad = |mode| padded(&Pad::new(&[2], &[3], mode), 4);
        assert_eq!(pad(PadMode::Constant(9.0)), [9.0, 9.0, 1.0, 2.0, 3.0, 4.0, 9.0, 9.0, 9.0]);
        assert_eq!(pad(PadMode::Edge), [1.0, 1.0, 1.0, 2.0, 3.0, 4.0, 4.0, 4.0, 4.0]);
        assert_eq!(pad(PadMode::Reflect), [3.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 2.0, 1.0]);
        assert_eq!(pad(PadMode::Wrap), [3.0, 4.0, 1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0]);
        let around = padded(&Pad::new(&[5], &[4], PadMode::Wrap), 2);
        assert_eq!(around, [2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
        assert_eq!(padded(&Pad::new(&[-1], &[2], PadMode::Constant(0.0)), 3), [2.0, 3.0, 0.0, 0.0]);
    }

    #[test]
    fn impossible_padding_is_refused() {
        let refused =
            |before, after, mode, n| assert!(Pad::new(&[before], &[after], mode).infer(&[&[n]]).is_err());
        refused(-2, -2, PadMode::Constant(0.0), 3);
        refused(3, 0, PadMode::Reflect, 3);
        refused(1, 0, PadMode::Edge, 0);
        refused(1, 0, PadMode::Wrap, 0);
        refused(1, -1, PadMode::Wrap, 3);
        refused(i64::MAX, 0, PadMode::Wrap, 3);
        refused(1, -1, PadMode::Edge, 3);
        refused(i64::MAX, i64::MAX, PadMode::Constant(0.0), 3);
        refused(i64::MIN, i64::MIN, PadMode::Constant(0.0), 3);
        assert!(Pad::new(&[1], &[1], PadMode::Edge).infer(&[&[3, 3]]).is_err());
    }
}
