//! Functions whose derivative is 0 wherever it exists; 0 is used everywhere, as in PyTorch.

use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slots};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// The passes of an operation through which no derivative passes.
macro_rules! flat_function {
    ($(#[$doc:meta])* $op:ident, $name:literal, |$x:ident| $value:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $op;

        impl OpInfo for $op {
            fn name(&self) -> &'static str {
                $name
            }

            fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
                super::unary::infer($name, inputs)
            }

            fn reads(&self) -> Reads {
                Reads::NONE
            }
        }

        impl<T: Scalar> Op<T> for $op {
            fn forward(&self, c: &Context<'_, T>, y: &mut [T], _scratch: &mut Scratch<T>) {
                for (y, &$x) in y.iter_mut().zip(c.x(0)) {
                    *y = $value;
                }
            }

            fn tangent(&self, _c: &Context<'_, T>, dy: &mut [T], _scratch: &mut Scratch<T>) {
                dy.fill(T::ZERO);
            }

            fn adjoint(&self, _c: &Context<'_, T>, _gx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {}

            fn adjoint_tangent(&self, _c: &Context<'_, T>, _dgx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {}
        }
    };
}

flat_function! {
    /// −1, 0 or 1 (ONNX `Sign`). A NaN stays NaN.
    Sign, "Sign", |x| if x > T::ZERO { T::ONE } else if x < T::ZERO { -T::ONE } else { x }
}
flat_function! {
    /// Largest integer not above x (ONNX `Floor`).
    Floor, "Floor", |x| T::from_f64(x.to_f64().floor())
}
flat_function! {
    /// Smallest integer not below x (ONNX `Ceil`).
    Ceil, "Ceil", |x| T::from_f64(x.to_f64().ceil())
}
flat_function! {
    /// x without its fraction (PyTorch `trunc`, ONNX `Cast` to integers).
    Trunc, "Trunc", |x| T::from_f64(x.to_f64().trunc())
}
flat_function! {
    /// Nearest integer, halves to the even one (ONNX `Round`).
    Round, "Round", |x| T::from_f64(x.to_f64().round_ties_even())
}
flat_function! {
    /// 1 where the input is 0, else 0 (ONNX `Not`, on numbers that stand for truth values).
    Not, "Not", |x| if x == T::ZERO { T::ONE } else { T::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{AnyOp, Operand};
    use crate::testkit::check_op;

    fn values(op: &dyn Op<f64>, x: &[f64]) -> Vec<f64> {
        let shape = [x.len()];
        let operand = Operand { shape: &shape, value: x, tangent: None, packed: None, packed_tangents: &[] };
        let c =
            Context { inputs: &[operand], shape: &shape, tangents: 0, y: &[], dy: &[], gy: &[], dgy: &[] };
        let mut y = vec![0.0; x.len()];
        op.forward(&c, &mut y, &mut Scratch::new());
        y
    }

    #[test]
    fn values_are_the_functions() {
        let x = [-2.5, -0.5, 0.0, 0.5, 1.5, 2.2];
        assert_eq!(values(&Sign, &x), [-1.0, -1.0, 0.0, 1.0, 1.0, 1.0]);
        assert_eq!(values(&Floor, &x), [-3.0, -1.0, 0.0, 0.0, 1.0, 2.0]);
        assert_eq!(values(&Ceil, &x), [-2.0, 0.0, 0.0, 1.0, 2.0, 3.0]);
        assert_eq!(values(&Trunc, &x), [-2.0, 0.0, 0.0, 0.0, 1.0, 2.0]);
        assert_eq!(values(&Round, &x), [-2.0, 0.0, 0.0, 0.0, 2.0, 2.0]);
        assert_eq!(values(&Not, &x), [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
        assert!(values(&Sign, &[f64::NAN])[0].is_nan());
    }

    #[test]
    fn derivatives_match_finite_differences() {
        for op in [&Sign as &dyn AnyOp, &Floor, &Ceil, &Round, &Trunc, &Not] {
            check_op(op, &[&[3, 5, 7]]).unwrap();
        }
    }
}
