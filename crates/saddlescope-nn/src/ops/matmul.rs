//! Matrix product with NumPy's rules.

use super::bilinear;
use super::contraction::{Contraction, Strides};
use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slots, numel};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// y = A B as `numpy.matmul` and ONNX `MatMul`.
///
/// Inputs: A `[…, m, k]` and B `[…, k, n]`; leading axes broadcast. A vector A counts as one row, a vector B as one
/// column; that axis is missing from the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatMul;

/// Shape of two shapes broadcast against each other, or `None` where they do not fit.
fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let axis = |s: &[usize], i: usize| if i + s.len() < rank { 1 } else { s[i + s.len() - rank] };
    (0..rank)
        .map(|i| match (axis(a, i), axis(b, i)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

/// Offsets of the matrices (`size` numbers each) of a factor with batch shape `own` for every index of `batch`.
fn offsets(own: &[usize], batch: &[usize], size: usize) -> Vec<usize> {
    let lead = batch.len() - own.len();
    (0..numel(batch))
        .map(|mut index| {
            let (mut offset, mut stride) = (0, size);
            for axis in (0..batch.len()).rev() {
                let i = index % batch[axis];
                index /= batch[axis];
                if axis >= lead {
                    if own[axis - lead] != 1 {
                        offset += i * stride;
                    }
                    stride *= own[axis - lead];
                }
            }
            offset
        })
        .collect()
}

/// Batch shape, rows and columns of a factor; vectors become one row (first factor) or one column (second).
fn split(shape: &[usize], second: bool) -> Option<(&[usize], usize, usize)> {
    match *shape {
        [] => None,
        [k] if second => Some((&[], k, 1)),
        [k] => Some((&[], 1, k)),
        [ref batch @ .., rows, columns] => Some((batch, rows, columns)),
    }
}

/// Shape of the product, or `None` where the shapes do not fit.
fn shape(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let (batch_a, m, k) = split(a, false)?;
    let (batch_b, k_b, n) = split(b, true)?;
    if k != k_b {
        return None;
    }
    let mut shape = broadcast(batch_a, batch_b)?;
    if a.len() > 1 {
        shape.push(m);
    }
    if b.len() > 1 {
        shape.push(n);
    }
    Some(shape)
}

/// The products of matrices that make up the product.
fn contraction(a: &[usize], b: &[usize]) -> Contraction {
    let (Some((batch_a, m, k)), Some((batch_b, _, n))) = (split(a, false), split(b, true)) else {
        unreachable!("infer refuses scalars");
    };
    let Some(batch) = broadcast(batch_a, batch_b) else { unreachable!("infer refuses these shapes") };
    let (sa, sb) = (Strides::row_major(k), Strides::row_major(n));
    if numel(batch_b) == 1 && batch_b.len() <= batch_a.len() {
        // One matrix B: all rows of A in one product.
        return Contraction::single(numel(batch_a) * m, k, n, sa, sb);
    }
    let batches = offsets(batch_a, &batch, m * k).into_iter().zip(offsets(batch_b, &batch, k * n)).collect();
    Contraction { batches, ..Contraction::single(m, k, n, sa, sb) }
}

fn of<T: Scalar>(c: &Context<'_, T>) -> Contraction {
    contraction(c.inputs[0].shape, c.inputs[1].shape)
}

impl OpInfo for MatMul {
    fn name(&self) -> &'static str {
        "MatMul"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let [a, b] = inputs else {
            return Err(ShapeError::new("MatMul", format!("takes 2 inputs, found {}", inputs.len())));
        };
        shape(a, b).ok_or_else(|| {
            let message =
                format!("needs […, m, k] and […, k, n] with axes … that broadcast, found {a:?} and {b:?}");
            ShapeError::new("MatMul", message)
        })
    }

    fn reads(&self) -> Reads {
        Reads::INPUTS
    }

    fn flops(&self, inputs: &[&[usize]], output: &[usize]) -> u64 {
        let k = inputs[0].last().copied().unwrap_or(0);
        2_u64.saturating_mul(numel(output) as u64).saturating_mul(k as u64)
    }
}

impl<T: Scalar> Op<T> for MatMul {
    fn forward(&self, c: &Context<'_, T>, y: &mut [T], scratch: &mut Scratch<T>) {
        bilinear::forward(&of(c), c, &[], y, scratch);
    }

    fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], scratch: &mut Scratch<T>) {
        bilinear::tangent(&of(c), c, |_| &[], dy, scratch);
    }

    fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, scratch: &mut Scratch<T>) {
        bilinear::adjoint(&of(c), c, gx, scratch);
    }

    fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, scratch: &mut Scratch<T>) {
        bilinear::adjoint_tangent(&of(c), c, dgx, scratch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{OpCheck, check_op};

    #[test]
    fn derivatives_match_finite_differences() {
        let cases: [(&[usize], &[usize]); 9] = [
            (&[3, 5], &[5, 2]),
            (&[2, 3, 5], &[5, 4]),
            (&[2, 3, 5], &[2, 5, 4]),
            (&[2, 1, 3, 5], &[3, 5, 2]),
            (&[3, 5], &[2, 5, 4]),
            (&[1, 3, 5], &[4, 5, 2]),
            (&[5], &[5, 3]),
            (&[2, 3, 5], &[5]),
            (&[7], &[7]),
        ];
        for (a, b) in cases {
            check_op(&MatMul, &[a, b]).unwrap_or_else(|e| panic!("{a:?} {b:?}: {e}"));
            OpCheck::new(&MatMul, &[a, b]).constant(0).run().unwrap();
            OpCheck::new(&MatMul, &[a, b]).constant(1).run().unwrap();
        }
    }

    #[test]
    fn shapes_follow_numpy() {
        assert_eq!(MatMul.infer(&[&[2, 1, 3, 5], &[4, 5, 6]]).unwrap(), [2, 4, 3, 6]);
        assert_eq!(MatMul.infer(&[&[5], &[5]]).unwrap(), [0_usize; 0]);
        assert_eq!(MatMul.infer(&[&[5], &[2, 5, 3]]).unwrap(), [2, 3]);
        assert!(MatMul.infer(&[&[3, 5], &[4, 2]]).is_err());
        assert!(MatMul.infer(&[&[2, 3, 5], &[3, 5, 4]]).is_err());
        assert!(MatMul.infer(&[&[], &[5]]).is_err());
    }

    #[test]
    fn the_product_is_numpys() {
        // [[1 2] [3 4]] · [[5 6] [7 8]] = [[19 22] [43 50]].
        let mut y = [0.0_f64; 4];
        contraction(&[2, 2], &[2, 2]).forward(
            &[(&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0, 7.0, 8.0])],
            &[],
            &mut y,
            &mut Scratch::new(),
        );
        assert_eq!(y, [19.0, 22.0, 43.0, 50.0]);
    }
}
