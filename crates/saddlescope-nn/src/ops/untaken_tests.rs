//! Branches that a `Where` does not take: whatever is infinite or undefined there, adjoints and their tangents are those of the
//! branch taken.

use crate::op::{AnyOp, Context, Op, Operand, Slot};
use crate::ops::*;
use crate::scratch::Scratch;

/// Adjoint and adjoint's tangent of every input at these values, for an adjoint of 0.
fn backward(op: &dyn AnyOp, x: &[&[f64]]) -> Vec<f64> {
    let op: &dyn Op<f64> = op;
    let n = x.iter().map(|x| x.len()).max().unwrap_or(0);
    let (shape, dx) = ([1, n], vec![1.0; n]);
    let inputs: Vec<Operand<'_, f64>> = (x.iter())
        .map(|&value| Operand {
            shape: &shape,
            value,
            tangent: Some(&dx),
            packed: None,
            packed_tangents: &[],
        })
        .collect();
    let out = op.infer(&inputs.iter().map(|i| i.shape).collect::<Vec<_>>()).unwrap();
    let len = out.iter().product();
    let (mut y, mut dy, zero) = (vec![0.0; len], vec![0.0; len], vec![0.0; len]);
    let context = |y, dy| Context { inputs: &inputs, shape: &out, tangents: 1, y, dy, gy: &zero, dgy: &zero };
    op.forward(&context(&[], &[]), &mut y, &mut Scratch::new());
    op.tangent(&context(&y, &[]), &mut dy, &mut Scratch::new());
    let mut all = Vec::new();
    for tangent in [false, true] {
        let mut buffers = vec![vec![f64::NAN; n]; x.len()];
        let mut slots: Vec<_> = buffers.iter_mut().map(|b| Some(Slot::new(b, true))).collect();
        if tangent {
            op.adjoint_tangent(&context(&y, &dy), &mut slots, &mut Scratch::new());
        } else {
            op.adjoint(&context(&y, &[]), &mut slots, &mut Scratch::new());
        }
        drop(slots);
        all.extend(buffers.concat());
    }
    all
}

#[test]
fn an_adjoint_of_zero_gives_zero_where_derivatives_are_infinite() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let functions: [(&dyn AnyOp, &[f64]); 11] = [
        (&Sqrt, &[0.0, -1.0]),
        (&Log, &[0.0, -1.0]),
        (&Reciprocal, &[0.0]),
        (&PowConst::new(-0.5), &[0.0, -1.0]),
        (&PowConst::new(0.7), &[0.0]),
        (&Exp, &[1e9, inf, nan]),
        (&Asin, &[1.0, 2.0]),
        (&Acosh, &[1.0, 0.0]),
        (&Atanh, &[1.0, 2.0]),
        (&Softmax { axis: -1 }, &[-inf, -inf, -inf]),
        (&LogSoftmax { axis: -1 }, &[-inf, -inf, -inf]),
    ];
    for (op, x) in functions {
        assert!(backward(op, &[x]).iter().all(|&g| g == 0.0), "{op:?} at {x:?}");
    }
    let pairs: [(&dyn AnyOp, [&[f64]; 2]); 3] = [
        (&Div, [&[1.0, 0.0], &[0.0, 0.0]]),
        (&Mul, [&[inf, nan], &[0.0, 1.0]]),
        (&Pow, [&[0.0, -1.0], &[-1.0, 0.5]]),
    ];
    for (op, x) in pairs {
        assert!(backward(op, &x).iter().all(|&g| g == 0.0), "{op:?} at {x:?}");
    }
    for reduction in [Reduction::LogSum, Reduction::LogSumExp, Reduction::L2] {
        let op = Reduce::new(reduction, &[-1], true);
        for x in [&[0.0, 0.0][..], &[-inf, -inf]] {
            assert!(backward(&op, &[x]).iter().all(|&g| g == 0.0), "{op:?} at {x:?}");
        }
    }
}
