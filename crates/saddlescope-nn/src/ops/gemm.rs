//! General matrix product of ONNX.

use super::contraction::{Contraction, Strides};
use super::{bilinear, rows};
use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slots, numel};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// Y = α A′ B′ + β C with A′ = A or Aᵀ and B′ = B or Bᵀ, as ONNX `Gemm`.
///
/// Inputs: A `[m, k]` (`[k, m]` if transposed), B `[k, n]` (`[n, k]`), and C, which may be left out: a scalar, `[n]`,
/// `[1, n]`, `[m, 1]`, `[1]`, `[1, 1]` or `[m, n]`. A transposed A has the samples as its second axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gemm {
    /// α.
    pub alpha: f64,
    /// β.
    pub beta: f64,
    /// Whether A′ = Aᵀ.
    pub trans_a: bool,
    /// Whether B′ = Bᵀ.
    pub trans_b: bool,
}

impl Default for Gemm {
    /// α = β = 1, nothing transposed.
    fn default() -> Self {
        Self { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: false }
    }
}

impl Gemm {
    fn contraction(&self, a: &[usize], b: &[usize]) -> Contraction {
        let (mut sa, mut sb) = (Strides::row_major(a[1]), Strides::row_major(b[1]));
        let (mut m, mut k, mut n) = (a[0], a[1], b[1]);
        if self.trans_a {
            sa = sa.transposed();
            (m, k) = (k, m);
        }
        if self.trans_b {
            sb = sb.transposed();
            n = b[0];
        }
        Contraction { alpha: self.alpha, ..Contraction::single(m, k, n, sa, sb) }
    }

    fn of<T: Scalar>(&self, c: &Context<'_, T>) -> Contraction {
        self.contraction(c.inputs[0].shape, c.inputs[1].shape)
    }
}

/// Strides with which C is read as an m × n matrix, or `None` if it cannot be.
fn bias_strides(shape: &[usize], m: usize, n: usize) -> Option<Strides> {
    let (rows, columns) = match *shape {
        [] => (1, 1),
        [columns] => (1, columns),
        [rows, columns] => (rows, columns),
        _ => return None,
    };
    let fits = (rows == 1 || rows == m) && (columns == 1 || columns == n);
    fits.then_some(Strides { rows: if rows == 1 { 0 } else { columns }, columns: usize::from(columns != 1) })
}

/// Whether there is a C, with β = 1, that is a row added to every row of Y.
fn has_row<T: Scalar>(c: &Context<'_, T>, beta: f64) -> bool {
    let is_row = |shape| bias_strides(shape, c.shape[0], c.shape[1]) == Some(Strides { rows: 0, columns: 1 });
    beta == 1.0 && c.inputs.get(2).is_some_and(|x| is_row(x.shape))
}

/// C̄ += β times the sums of ȳ over what each element of C is added to.
fn add_bias_adjoint<T: Scalar>(c: &Context<'_, T>, beta: f64, gy: &[T], gb: &mut [T]) {
    if has_row(c, beta) {
        rows::add_sum(gy, gb);
    } else {
        let beta = T::from_f64(beta);
        each_bias(c, |i, b| gb[b] += beta * gy[i]);
    }
}

/// Visits `(element of Y, element of C)` for all elements of Y.
fn each_bias<T: Scalar>(c: &Context<'_, T>, mut visit: impl FnMut(usize, usize)) {
    let (m, n) = (c.shape[0], c.shape[1]);
    if let Some(s) = bias_strides(c.inputs[2].shape, m, n) {
        for i in 0..m {
            for j in 0..n {
                visit(i * n + j, i * s.rows + j * s.columns);
            }
        }
    }
}

impl OpInfo for Gemm {
    fn name(&self) -> &'static str {
        "Gemm"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let (a, b, bias) = match *inputs {
            [a, b] => (a, b, None),
            [a, b, c] => (a, b, Some(c)),
            _ => return Err(ShapeError::new("Gemm", format!("takes 2 or 3 inputs, found {}", inputs.len()))),
        };
        if a.len() != 2 || b.len() != 2 {
            return Err(ShapeError::new("Gemm", format!("A and B must be matrices, found {a:?} and {b:?}")));
        }
        let f = self.contraction(a, b);
        let k_b = if self.trans_b { b[1] } else { b[0] };
        if f.k != k_b {
            let message = format!(
                "A {a:?} (transposed: {}) and B {b:?} (transposed: {}) do not fit",
                self.trans_a, self.trans_b
            );
            return Err(ShapeError::new("Gemm", message));
        }
        if let Some(bias) = bias.filter(|s| bias_strides(s, f.m, f.n).is_none()) {
            let message = format!("C {bias:?} does not broadcast to [{}, {}]", f.m, f.n);
            return Err(ShapeError::new("Gemm", message));
        }
        Ok(vec![f.m, f.n])
    }

    fn reads(&self) -> Reads {
        Reads { inputs: 0b11, output: false }
    }

    fn flops(&self, inputs: &[&[usize]], _output: &[usize]) -> u64 {
        self.contraction(inputs[0], inputs[1]).flops()
    }
}

impl<T: Scalar> Op<T> for Gemm {
    fn forward(&self, c: &Context<'_, T>, y: &mut [T], scratch: &mut Scratch<T>) {
        if has_row(c, self.beta) {
            bilinear::forward(&self.of(c), c, c.x(2), y, scratch);
            return;
        }
        bilinear::forward(&self.of(c), c, &[], y, scratch);
        if c.inputs.len() > 2 {
            let (beta, bias) = (T::from_f64(self.beta), c.x(2));
            each_bias(c, |i, b| y[i] += beta * bias[b]);
        }
    }

    fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], scratch: &mut Scratch<T>) {
        if has_row(c, self.beta) {
            bilinear::tangent(&self.of(c), c, |j| c.dx(2, j).unwrap_or(&[]), dy, scratch);
            return;
        }
        bilinear::tangent(&self.of(c), c, |_| &[], dy, scratch);
        if c.inputs.len() > 2 {
            let beta = T::from_f64(self.beta);
            for j in 0..c.tangents {
                if let Some(db) = c.dx(2, j) {
                    let dy = &mut dy[j * c.len()..][..c.len()];
                    each_bias(c, |i, b| dy[i] += beta * db[b]);
                }
            }
        }
    }

    fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, scratch: &mut Scratch<T>) {
        bilinear::adjoint(&self.of(c), c, gx, scratch);
        if let Some(Some(slot)) = gx.get_mut(2) {
            add_bias_adjoint(c, self.beta, c.gy, slot.add());
        }
    }

    fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, scratch: &mut Scratch<T>) {
        bilinear::adjoint_tangent(&self.of(c), c, dgx, scratch);
        if let Some(Some(slot)) = dgx.get_mut(2) {
            let len = numel(c.inputs[2].shape);
            let dgb = slot.add();
            for j in 0..c.tangents {
                add_bias_adjoint(c, self.beta, c.dgy(j), &mut dgb[j * len..(j + 1) * len]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::check_op;

    #[test]
    fn derivatives_match_finite_differences() {
        for trans_a in [false, true] {
            for trans_b in [false, true] {
                let op = Gemm { alpha: 0.5, beta: -1.5, trans_a, trans_b };
                let a: &[usize] = if trans_a { &[5, 3] } else { &[3, 5] };
                let b: &[usize] = if trans_b { &[2, 5] } else { &[5, 2] };
                check_op(&op, &[a, b]).unwrap();
                for bias in [&[][..], &[2], &[1, 2], &[3, 1], &[3, 2], &[1]] {
                    check_op(&op, &[a, b, bias]).unwrap_or_else(|e| panic!("{op:?} {bias:?}: {e}"));
                }
            }
        }
    }

    #[test]
    fn shapes_are_checked() {
        let op = Gemm::default();
        assert!(op.infer(&[&[3, 5], &[2, 5]]).is_err());
        assert!(op.infer(&[&[3, 5], &[5, 2], &[3]]).is_err());
        assert!(op.infer(&[&[1, 3, 5], &[5, 2]]).is_err());
        assert_eq!(Gemm { trans_b: true, ..op }.infer(&[&[3, 5], &[2, 5]]).unwrap(), [3, 2]);
    }
}
