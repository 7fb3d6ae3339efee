//! Transposition.

use super::axes::single;
use super::movement::{Move, Movement, Moves, movement_op};
use super::strided::{View, row_major};
use crate::op::{OpInfo, Reads, ShapeError};

/// Axis i of the output is axis `permutation[i]` of the input (ONNX `Transpose`, PyTorch `permute`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transpose {
    permutation: Vec<usize>,
}

impl Transpose {
    /// A transposition by `permutation`, which names every axis once.
    pub fn new(permutation: &[usize]) -> Self {
        Self { permutation: permutation.to_vec() }
    }
}

impl OpInfo for Transpose {
    fn name(&self) -> &'static str {
        "Transpose"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let x = single(self.name(), inputs)?;
        let mut sorted = self.permutation.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..x.len()) {
            let message = format!("{:?} does not permute the {} axes of {x:?}", self.permutation, x.len());
            return Err(ShapeError::new(self.name(), message));
        }
        Ok(self.permutation.iter().map(|&a| x[a]).collect())
    }

    fn reads(&self) -> Reads {
        Reads::NONE
    }
}

impl Movement for Transpose {
    fn moves(&self, x: &[usize], y: &[usize]) -> Moves {
        let strides = row_major(x);
        let from = View { offset: 0, strides: self.permutation.iter().map(|&a| strides[a]).collect() };
        Moves {
            list: vec![Move { shape: y.to_vec(), x: from, y: View::whole(y) }],
            fill: None,
            bijective: true,
        }
    }
}

movement_op!(Transpose);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Context, Op, Operand};
    use crate::scratch::Scratch;
    use crate::testkit::check_op;

    #[test]
    fn derivatives_match_finite_differences() {
        check_op(&Transpose::new(&[2, 0, 1]), &[&[3, 5, 7]]).unwrap();
        check_op(&Transpose::new(&[0, 2, 1, 3]), &[&[2, 3, 5, 4]]).unwrap();
        check_op(&Transpose::new(&[1, 0]), &[&[17, 35]]).unwrap();
        check_op(&Transpose::new(&[0, 3, 1, 2]), &[&[2, 0, 5, 4]]).unwrap();
    }

    #[test]
    fn values_are_where_they_belong() {
        let x: Vec<f64> = (0..6).map(f64::from).collect();
        let operand =
            Operand { shape: &[2, 3], value: &x, tangent: None, packed: None, packed_tangents: &[] };
        let c =
            Context { inputs: &[operand], shape: &[3, 2], tangents: 0, y: &[], dy: &[], gy: &[], dgy: &[] };
        let mut y = [0.0; 6];
        Transpose::new(&[1, 0]).forward(&c, &mut y, &mut Scratch::new());
        assert_eq!(y, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    }

    #[test]
    fn a_list_that_is_no_permutation_is_refused() {
        for bad in [&[0, 0][..], &[0, 2], &[0], &[0, 1, 2]] {
            assert!(Transpose::new(bad).infer(&[&[2, 3]]).is_err());
        }
    }
}
