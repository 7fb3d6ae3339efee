//! Comparisons and logic: 1 for true, 0 for false, and no derivative.

use super::broadcast::{Runs, broadcast_inputs};
use super::strided::walk;
use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slots};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// A comparison of two broadcast inputs, 1 where it holds and 0 elsewhere. The logical ones take any number but 0 as
/// true. Comparisons with NaN are false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// a = b (ONNX `Equal`).
    Equal,
    /// a < b (ONNX `Less`).
    Less,
    /// a ≤ b (ONNX `LessOrEqual`).
    LessOrEqual,
    /// a > b (ONNX `Greater`).
    Greater,
    /// a ≥ b (ONNX `GreaterOrEqual`).
    GreaterOrEqual,
    /// Both (ONNX `And`).
    And,
    /// Either or both (ONNX `Or`).
    Or,
    /// Exactly one (ONNX `Xor`).
    Xor,
}

impl Compare {
    fn holds<T: Scalar>(self, a: T, b: T) -> bool {
        let (p, q) = (a != T::ZERO, b != T::ZERO);
        match self {
            Compare::Equal => a == b,
            Compare::Less => a < b,
            Compare::LessOrEqual => a <= b,
            Compare::Greater => a > b,
            Compare::GreaterOrEqual => a >= b,
            Compare::And => p && q,
            Compare::Or => p || q,
            Compare::Xor => p != q,
        }
    }
}

impl OpInfo for Compare {
    fn name(&self) -> &'static str {
        match self {
            Compare::Equal => "Equal",
            Compare::Less => "Less",
            Compare::LessOrEqual => "LessOrEqual",
            Compare::Greater => "Greater",
            Compare::GreaterOrEqual => "GreaterOrEqual",
            Compare::And => "And",
            Compare::Or => "Or",
            Compare::Xor => "Xor",
        }
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        broadcast_inputs::<2>(self.name(), inputs)
    }

    fn reads(&self) -> Reads {
        Reads::NONE
    }
}

impl<T: Scalar> Op<T> for Compare {
    fn forward(&self, c: &Context<'_, T>, y: &mut [T], _scratch: &mut Scratch<T>) {
        let Some(runs) = Runs::new(c.shape, [c.inputs[0].shape, c.inputs[1].shape]) else { return };
        let (a, b) = (c.x(0), c.x(1));
        let [sa, sb] = runs.steps.map(|s| s as usize);
        let mut rows = y.chunks_exact_mut(runs.len);
        walk(&runs.outer, [0, 0], &mut |[p, q]| {
            let (a, b) = (&a[p as usize..], &b[q as usize..]);
            for (i, y) in rows.next().into_iter().flatten().enumerate() {
                *y = if self.holds(a[i * sa], b[i * sb]) { T::ONE } else { T::ZERO };
            }
        });
    }

    fn tangent(&self, _c: &Context<'_, T>, dy: &mut [T], _scratch: &mut Scratch<T>) {
        dy.fill(T::ZERO);
    }

    fn adjoint(&self, _c: &Context<'_, T>, _gx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {}

    fn adjoint_tangent(&self, _c: &Context<'_, T>, _dgx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Operand;
    use crate::ops::binary::tests::check_broadcast;

    const ALL: [Compare; 8] = [
        Compare::Equal,
        Compare::Less,
        Compare::LessOrEqual,
        Compare::Greater,
        Compare::GreaterOrEqual,
        Compare::And,
        Compare::Or,
        Compare::Xor,
    ];

    #[test]
    fn values_are_truth_values() {
        let a = [0.0, 1.0, 2.0, f64::NAN];
        let operand =
            |shape, value| Operand { shape, value, tangent: None, packed: None, packed_tangents: &[] };
        let inputs = [operand(&[4], &a), operand(&[], &[1.0])];
        let c = Context { inputs: &inputs, shape: &[4], tangents: 0, y: &[], dy: &[], gy: &[], dgy: &[] };
        let found = ALL.map(|op| {
            let mut y = [5.0; 4];
            op.forward(&c, &mut y, &mut Scratch::new());
            y
        });
        let expected = [
            [0.0, 1.0, 0.0, 0.0],
            [1.0, 0.0, 0.0, 0.0],
            [1.0, 1.0, 0.0, 0.0],
            [0.0, 0.0, 1.0, 0.0],
            [0.0, 1.0, 1.0, 0.0],
            [0.0, 1.0, 1.0, 1.0],
            [1.0, 1.0, 1.0, 1.0],
            [1.0, 0.0, 0.0, 0.0],
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn derivatives_match_finite_differences() {
        for op in ALL {
            check_broadcast(&op, |_, _| None);
        }
    }
}
