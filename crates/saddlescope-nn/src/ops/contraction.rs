//! The bilinear map behind [`Linear`](super::Linear), [`MatMul`](super::MatMul) and [`Gemm`](super::Gemm): a list of
//! products of small strided matrices, Y_b = α A_b B_b, with its adjoints in A and in B.

use crate::kernels::{matmul, matmul_pair, matmul_plus_row};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// How the elements of one factor's matrices lie: element (i, j) at `i * rows + j * columns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Strides {
    pub rows: usize,
    pub columns: usize,
}

impl Strides {
    /// A row-major matrix with `columns` columns.
    pub(super) fn row_major(columns: usize) -> Self {
        Self { rows: columns, columns: 1 }
    }

    /// The transpose.
    pub(super) fn transposed(self) -> Self {
        Self { rows: self.columns, columns: self.rows }
    }
}

/// Y_b = α A_b B_b for every batch b; A_b is m × k, B_b is k × n, Y_b is m × n and row-major.
#[derive(Clone, Debug)]
pub(super) struct Contraction {
    pub m: usize,
    pub k: usize,
    pub n: usize,
    pub a: Strides,
    pub b: Strides,
    pub alpha: f64,
    /// Offsets of A_b and B_b; Y_b lies at b · m · n.
    pub batches: Vec<(usize, usize)>,
}

impl Contraction {
    /// One product.
    pub(super) fn single(m: usize, k: usize, n: usize, a: Strides, b: Strides) -> Self {
        Self { m, k, n, a, b, alpha: 1.0, batches: vec![(0, 0)] }
    }

    /// The same for `times` matrices A stacked on each other, if that is one product (A row-major, one batch).
    pub(super) fn stacked(&self, times: usize) -> Option<Self> {
        let stackable = self.batches == [(0, 0)] && self.a == Strides::row_major(self.k);
        stackable.then(|| Self { m: self.m * times, ..self.clone() })
    }

    /// y = α A B, or α (A B + A′ B′) where there are two terms, plus `row` on every row of y (an empty one is none).
    pub(super) fn forward<T: Scalar>(
        &self,
        terms: &[(&[T], &[T])],
        row: &[T],
        y: &mut [T],
        scratch: &mut Scratch<T>,
    ) {
        let shape = [self.m, self.n, self.k];
        let strides = [self.a, self.b].map(|s| [s.rows, s.columns]);
        for (i, &(at_a, at_b)) in self.batches.iter().enumerate() {
            let y = &mut y[i * self.m * self.n..][..self.m * self.n];
            let mut here: [(&[T], &[T]); 2] = [(&[], &[]); 2];
            for (here, (a, b)) in here.iter_mut().zip(terms) {
                *here = (&a[at_a..], &b[at_b..]);
            }
            let (terms, alpha) = (&here[..terms.len().min(2)], T::from_f64(self.alpha));
            matmul_plus_row(shape, terms, strides, row, y, alpha, &mut scratch.kernels);
        }
    }

    /// ā = α ȳ Bᵀ, or ā += α ȳ Bᵀ. Where batches share a matrix A, their contributions add up.
    pub(super) fn adjoint_a<T: Scalar>(
        &self,
        gy: &[T],
        b: &[T],
        ga: &mut [T],
        accumulate: bool,
        scratch: &mut Scratch<T>,
    ) {
        let accumulate = self.adds(ga, accumulate);
        let shape = [self.m, self.n, self.k];
        for (i, &(at_a, at_b)) in self.batches.iter().enumerate() {
            let gy = (&gy[i * self.m * self.n..], Strides::row_major(self.n));
            let b = (&b[at_b..], self.b.transposed());
            product(shape, self.alpha, gy, b, (&mut ga[at_a..], self.a), accumulate, scratch);
        }
    }

    /// b̄ = α Aᵀ ȳ, or b̄ += α Aᵀ ȳ. Where batches share a matrix B, their contributions add up.
    pub(super) fn adjoint_b<T: Scalar>(
        &self,
        gy: &[T],
        a: &[T],
        gb: &mut [T],
        accumulate: bool,
        scratch: &mut Scratch<T>,
    ) {
        let accumulate = self.adds(gb, accumulate);
        let shape = [self.k, self.m, self.n];
        for (i, &(at_a, at_b)) in self.batches.iter().enumerate() {
            let gy = (&gy[i * self.m * self.n..], Strides::row_major(self.n));
            let a = (&a[at_a..], self.a.transposed());
            product(shape, self.alpha, a, gy, (&mut gb[at_b..], self.b), accumulate, scratch);
        }
    }

    /// Whether products are added to `adjoint`: several batches may share elements, so it is cleared first and then added to.
    fn adds<T: Scalar>(&self, adjoint: &mut [T], accumulate: bool) -> bool {
        if !accumulate && self.batches.len() != 1 {
            adjoint.fill(T::ZERO);
            return true;
        }
        accumulate
    }

    /// ā (+)= α (ȳ Bᵀ + ȳ′ B′ᵀ).
    pub(super) fn adjoint_a_pair<T: Scalar>(
        &self,
        [(gy, b), (gz, d)]: [(&[T], &[T]); 2],
        ga: &mut [T],
        accumulate: bool,
        scratch: &mut Scratch<T>,
    ) {
        let accumulate = self.adds(ga, accumulate);
        let shape = [self.m, self.n, self.k];
        let strides = [Strides::row_major(self.n), self.b.transposed()];
        for (i, &(at_a, at_b)) in self.batches.iter().enumerate() {
            let at = i * self.m * self.n;
            let terms = [(&gy[at..], &b[at_b..]), (&gz[at..], &d[at_b..])];
            product_pair(shape, self.alpha, terms, strides, (&mut ga[at_a..], self.a), accumulate, scratch);
        }
    }

    /// b̄ (+)= α (Aᵀ ȳ + A′ᵀ ȳ′).
    pub(super) fn adjoint_b_pair<T: Scalar>(
        &self,
        [(gy, a), (gz, c)]: [(&[T], &[T]); 2],
        gb: &mut [T],
        accumulate: bool,
        scratch: &mut Scratch<T>,
    ) {
        let accumulate = self.adds(gb, accumulate);
        let shape = [self.k, self.m, self.n];
        let strides = [self.a.transposed(), Strides::row_major(self.n)];
        for (i, &(at_a, at_b)) in self.batches.iter().enumerate() {
            let at = i * self.m * self.n;
            let terms = [(&a[at_a..], &gy[at..]), (&c[at_a..], &gz[at..])];
            product_pair(shape, self.alpha, terms, strides, (&mut gb[at_b..], self.b), accumulate, scratch);
        }
    }

    /// Floating-point operations.
    pub(super) fn flops(&self) -> u64 {
        [self.batches.len(), self.m, self.k, self.n].iter().fold(2, |f: u64, &n| f.saturating_mul(n as u64))
    }
}

/// dst (+)= α lhs rhs, on one thread; lhs is m × k, rhs is k × n.
fn product<T: Scalar>(
    [m, k, n]: [usize; 3],
    alpha: f64,
    (lhs, ls): (&[T], Strides),
    (rhs, rs): (&[T], Strides),
    (dst, ds): (&mut [T], Strides),
    accumulate: bool,
    scratch: &mut Scratch<T>,
) {
    let kernels = &mut scratch.kernels;
    let alpha = T::from_f64(alpha);
    let (l, r) = ([ls.rows, ls.columns], [rs.rows, rs.columns]);
    if ds.columns == 1 {
        matmul(m, n, k, lhs, l, rhs, r, dst, ds.rows.max(n), alpha, accumulate, kernels);
    } else {
        // The transposed result lies row by row: (lhs rhs)ᵀ = rhsᵀ lhsᵀ.
        let (l, r) = ([ls.columns, ls.rows], [rs.columns, rs.rows]);
        matmul(n, m, k, rhs, r, lhs, l, dst, ds.columns.max(m), alpha, accumulate, kernels);
    }
}

/// dst (+)= α (lhs rhs + lhs′ rhs′), on one thread; shapes and strides as in [`product`].
fn product_pair<T: Scalar>(
    [m, k, n]: [usize; 3],
    alpha: f64,
    terms: [(&[T], &[T]); 2],
    [ls, rs]: [Strides; 2],
    (dst, ds): (&mut [T], Strides),
    accumulate: bool,
    scratch: &mut Scratch<T>,
) {
    let kernels = &mut scratch.kernels;
    let alpha = T::from_f64(alpha);
    if ds.columns == 1 {
        let (l, r) = ([ls.rows, ls.columns], [rs.rows, rs.columns]);
        matmul_pair(m, n, k, terms, l, r, dst, ds.rows.max(n), alpha, accumulate, kernels);
    } else {
        let (l, r) = ([ls.columns, ls.rows], [rs.columns, rs.rows]);
        let terms = terms.map(|(lhs, rhs)| (rhs, lhs));
        matmul_pair(n, m, k, terms, r, l, dst, ds.columns.max(m), alpha, accumulate, kernels);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strided_products_match_the_definition() {
        let lhs: Vec<f64> = (0..6).map(f64::from).collect();
        let rhs: Vec<f64> = (0..12).map(|i| f64::from(i) - 5.0).collect();
        for (ls, rs) in [
            (Strides::row_major(3), Strides::row_major(4)),
            (Strides::row_major(2).transposed(), Strides::row_major(3).transposed()),
        ] {
            let mut dst = vec![1.0; 8];
            product(
                [2, 3, 4],
                2.0,
                (&lhs, ls),
                (&rhs, rs),
                (&mut dst, Strides::row_major(4)),
                true,
                &mut Scratch::new(),
            );
            for i in 0..2 {
                for j in 0..4 {
                    let sum: f64 = (0..3)
                        .map(|l| lhs[i * ls.rows + l * ls.columns] * rhs[l * rs.rows + j * rs.columns])
                        .sum();
                    assert_eq!(dst[i * 4 + j], 1.0 + 2.0 * sum, "small integers: exact");
                }
            }
        }
    }

    #[test]
    fn empty_products_are_zero() {
        let mut dst = vec![f64::NAN; 4];
        let s = Strides::row_major(2);
        product([2, 0, 2], 1.0, (&[], s), (&[], s), (&mut dst, s), false, &mut Scratch::new());
        assert_eq!(dst, [0.0; 4]);
    }
}
