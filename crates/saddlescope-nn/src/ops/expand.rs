//! Repetition of elements: expanding, tiling, enlarging.

use super::axes::single;
use super::broadcast::{broadcast_shape, broadcast_view};
use super::movement::{Move, Movement, Moves, movement_op};
use super::strided::{View, row_major};
use crate::op::{OpInfo, Reads, ShapeError, numel};

/// Broadcasting to a shape (ONNX `Expand`): axes are aligned at the last, lengths of 1 on either side give way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expand {
    shape: Vec<usize>,
}

impl Expand {
    /// Broadcasting with `shape`. An axis of length 1 in it leaves the input's axis (the batch, say) as it is.
    pub fn new(shape: &[usize]) -> Self {
        Self { shape: shape.to_vec() }
    }
}

impl OpInfo for Expand {
    fn name(&self) -> &'static str {
        "Expand"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let shape = broadcast_shape(self.name(), &[single(self.name(), inputs)?, &self.shape])?;
        sized(self.name(), shape)
    }

    fn reads(&self) -> Reads {
        Reads::NONE
    }
}

impl Movement for Expand {
    fn moves(&self, x: &[usize], y: &[usize]) -> Moves {
        broadcasting(x, y)
    }
}

movement_op!(Expand);

/// One copy per sample: the first input, whose first axis has length 1, repeated as often as the first axis of the
/// second input is long (PyTorch `x.expand(batch, …)`, ONNX `Expand` to a shape computed from another value). The
/// second input gives its shape alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpandBatch;

impl OpInfo for ExpandBatch {
    fn name(&self) -> &'static str {
        "Expand"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let [x, like] = inputs else {
            return Err(ShapeError::new(self.name(), format!("takes 2 inputs, found {}", inputs.len())));
        };
        match (x.split_first(), like.first()) {
            (Some((1, rest)), Some(&batch)) => sized(self.name(), [&[batch], rest].concat()),
            _ => {
                let message = format!("shape {x:?} has no first axis of length 1 to repeat as in {like:?}");
                Err(ShapeError::new(self.name(), message))
            }
        }
    }

    fn reads(&self) -> Reads {
        Reads::NONE
    }
}

impl Movement for ExpandBatch {
    fn moves(&self, x: &[usize], y: &[usize]) -> Moves {
        broadcasting(x, y)
    }
}

movement_op!(ExpandBatch);

/// The whole input repeated along each axis (ONNX `Tile`, PyTorch `repeat`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    repeats: Vec<usize>,
}

impl Tile {
    /// Repeats axis a `repeats[a]` times; one entry per axis.
    pub fn new(repeats: &[usize]) -> Self {
        Self { repeats: repeats.to_vec() }
    }
}

impl OpInfo for Tile {
    fn name(&self) -> &'static str {
        "Tile"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        multiplied(self.name(), inputs, &self.repeats)
    }

    fn reads(&self) -> Reads {
        Reads::NONE
    }
}

impl Movement for Tile {
    fn moves(&self, x: &[usize], y: &[usize]) -> Moves {
        repeated(x, y, &self.repeats, true)
    }
}

movement_op!(Tile);

/// Every element repeated along each axis: enlarging by whole factors (ONNX `Resize` and `Upsample` with mode nearest,
/// PyTorch `interpolate` with mode nearest, `repeat_interleave`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResizeNearest {
    scales: Vec<usize>,
}

impl ResizeNearest {
    /// Enlarges axis a by `scales[a]`; one entry per axis.
    pub fn new(scales: &[usize]) -> Self {
        Self { scales: scales.to_vec() }
    }
}

impl OpInfo for ResizeNearest {
    fn name(&self) -> &'static str {
        "Resize"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        multiplied(self.name(), inputs, &self.scales)
    }

    fn reads(&self) -> Reads {
        Reads::NONE
    }
}

impl Movement for ResizeNearest {
    fn moves(&self, x: &[usize], y: &[usize]) -> Moves {
        repeated(x, y, &self.scales, false)
    }
}

movement_op!(ResizeNearest);

/// The shape, if its number of elements can be counted.
fn sized(op: &'static str, shape: Vec<usize>) -> Result<Vec<usize>, ShapeError> {
    match shape.iter().try_fold(1_usize, |p, &n| p.checked_mul(n)) {
        Some(_) => Ok(shape),
        None => Err(ShapeError::new(op, format!("shape {shape:?} is too large"))),
    }
}

/// The input's shape with each axis multiplied.
fn multiplied(op: &'static str, inputs: &[&[usize]], factors: &[usize]) -> Result<Vec<usize>, ShapeError> {
    let x = single(op, inputs)?;
    if factors.len() != x.len() {
        return Err(ShapeError::new(op, format!("{factors:?} does not fit the {} axes of {x:?}", x.len())));
    }
    let product: Option<Vec<usize>> = x.iter().zip(factors).map(|(n, f)| n.checked_mul(*f)).collect();
    let too_large = || ShapeError::new(op, format!("shape {x:?} times {factors:?} is too large"));
    sized(op, product.ok_or_else(too_large)?)
}

fn broadcasting(x: &[usize], y: &[usize]) -> Moves {
    Moves {
        list: vec![Move { shape: y.to_vec(), x: broadcast_view(x, y), y: View::whole(y) }],
        fill: None,
        bijective: numel(x) == numel(y),
    }
}

/// Each axis becomes two, one of which repeats: the outer one if `whole`, else the inner one.
fn repeated(x: &[usize], y: &[usize], factors: &[usize], whole: bool) -> Moves {
    let own = row_major(x);
    let (mut shape, mut strides) = (Vec::new(), Vec::new());
    for a in 0..x.len() {
        let (repeat, walk) = ((factors[a], 0), (x[a], own[a]));
        let pair = if whole { [repeat, walk] } else { [walk, repeat] };
        shape.extend(pair.map(|p| p.0));
        strides.extend(pair.map(|p| p.1));
    }
    let to = View::whole(&shape);
    Moves {
        list: vec![Move { shape, x: View { offset: 0, strides }, y: to }],
        fill: None,
        bijective: numel(x) == numel(y),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::strided::copy;
    use crate::testkit::check_op;

    #[test]
    fn derivatives_match_finite_differences() {
        check_op(&Expand::new(&[4, 1, 7]), &[&[5, 1]]).unwrap();
        check_op(&Expand::new(&[1, 5]), &[&[3, 5]]).unwrap();
        check_op(&Expand::new(&[5]), &[&[3, 1]]).unwrap();
        check_op(&ExpandBatch, &[&[1, 2, 5], &[3, 2]]).unwrap();
        check_op(&ExpandBatch, &[&[1, 2, 5], &[1]]).unwrap();
        check_op(&ExpandBatch, &[&[1, 2], &[0]]).unwrap();
        check_op(&Tile::new(&[2, 1, 3]), &[&[2, 3, 5]]).unwrap();
        check_op(&Tile::new(&[1, 0]), &[&[2, 3]]).unwrap();
        check_op(&ResizeNearest::new(&[1, 2, 3, 1]), &[&[2, 3, 5, 4]]).unwrap();
    }

    fn values(op: &impl Movement, x: &[f64]) -> Vec<f64> {
        let y = op.infer(&[&[x.len()]]).unwrap();
        let mut out = vec![f64::NAN; numel(&y)];
        for m in &op.moves(&[x.len()], &y).list {
            copy(&m.shape, x, &m.x, &mut out, &m.y, false);
        }
        out
    }

    #[test]
    fn values_are_repeated_in_the_right_order() {
        assert_eq!(values(&Tile::new(&[2]), &[1.0, 2.0]), [1.0, 2.0, 1.0, 2.0]);
        assert_eq!(values(&ResizeNearest::new(&[2]), &[1.0, 2.0]), [1.0, 1.0, 2.0, 2.0]);
        assert_eq!(values(&Expand::new(&[2, 1]), &[1.0, 2.0]), [1.0, 2.0, 1.0, 2.0]);
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        assert!(Expand::new(&[4]).infer(&[&[3]]).is_err());
        assert!(Expand::new(&[usize::MAX, 1]).infer(&[&[3]]).is_err());
        assert!(ExpandBatch.infer(&[&[2, 3], &[2]]).is_err());
        assert!(ExpandBatch.infer(&[&[1, 3], &[]]).is_err());
        assert!(Tile::new(&[2]).infer(&[&[3, 3]]).is_err());
        assert!(Tile::new(&[usize::MAX]).infer(&[&[3]]).is_err());
    }
}
