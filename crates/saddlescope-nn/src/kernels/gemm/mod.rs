//! Matrix multiplication with arbitrary strides, on one thread.
//!
//! C is computed in strips of a few rows. For every block of B ([`DEPTH`] terms of the sums, [`COLUMNS`] columns), which is
//! copied into panels once and stays in the second-level cache, a strip of A is copied into the first-level cache and meets
//! all panels; the tiles of C are summed in registers. Element (i, j) of C is the sum of its terms in their order, [`DEPTH`] at
//! a time, whatever m and n are.

mod pack;
mod tile;

use super::scratch::Scratch;
use super::simd::{Isa, Job, Simd};
use crate::scalar::Scalar;
use pack::{pack, panels_len};
use tile::{DEPTH, LEFT, Strip, copy_left};

/// Products with at most this many multiplications are summed in place: copying would cost more.
const TINY: usize = 512;

/// Columns of a block of B.
const COLUMNS: usize = 384;

/// C (+)= α·A·B with A (m × k), B (k × n), C (m × n).
///
/// Strides are numbers between neighbours, rows first, so a transposed matrix is its strides exchanged. Rows of C lie
/// `c_row` ≥ n numbers apart, its columns side by side.
///
/// # Panics
/// If a slice is too short for its shape and strides, or `c_row < n`; shapes are checked by the caller.
pub fn matmul<T: Scalar>(
    m: usize,
    n: usize,
    k: usize,
    a: &[T],
    a_strides: [usize; 2],
    b: &[T],
    b_strides: [usize; 2],
    c: &mut [T],
    c_row: usize,
    alpha: T,
    accumulate: bool,
    scratch: &mut Scratch<T>,
) {
    matmul_on(Isa::detect(), m, n, k, (a, a_strides), (b, b_strides), (c, c_row), alpha, accumulate, scratch);
}

fn matmul_on<T: Scalar>(
    isa: Isa,
    m: usize,
    n: usize,
    k: usize,
    (a, a_strides): (&[T], [usize; 2]),
    (b, b_strides): (&[T], [usize; 2]),
    (c, c_row): (&mut [T], usize),
    alpha: T,
    accumulate: bool,
    scratch: &mut Scratch<T>,
) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(c_row >= n, "rows of the product overlap");
    assert!(fits(c.len(), [m, n], [c_row, 1]), "product matrix too short");
    if k > 0 {
        assert!(fits(a.len(), [m, k], a_strides), "left matrix too short");
        assert!(fits(b.len(), [k, n], b_strides), "right matrix too short");
    }
    if k == 0 || m * n * k <= TINY {
        for i in 0..m {
            for j in 0..n {
                let mut sum = T::ZERO;
                for l in 0..k {
                    sum += a[i * a_strides[0] + l * a_strides[1]] * b[l * b_strides[0] + j * b_strides[1]];
                }
                let c = &mut c[i * c_row + j];
                *c = if accumulate { *c + alpha * sum } else { alpha * sum };
            }
        }
        return;
    }
    let Scratch { left, panels, .. } = scratch;
    left.grow(LEFT);
    T::dispatch(
        isa,
        Multiply { m, n, k, a, a_strides, b, b_strides, c, c_row, alpha, accumulate, left, panels },
    );
}

struct Multiply<'a, T> {
    m: usize,
    n: usize,
    k: usize,
    a: &'a [T],
    a_strides: [usize; 2],
    b: &'a [T],
    b_strides: [usize; 2],
    c: &'a mut [T],
    c_row: usize,
    alpha: T,
    accumulate: bool,
    left: &'a mut [T],
    panels: &'a mut crate::aligned::AlignedVec<T>,
}

impl<T: Scalar> Job<T> for Multiply<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(mut self, s: S) {
        self.panels.grow(panels_len::<S>(self.k.min(DEPTH), self.n.min(COLUMNS)));
        for first_column in (0..self.n).step_by(COLUMNS) {
            let columns = COLUMNS.min(self.n - first_column);
            for start in (0..self.k).step_by(DEPTH) {
                let depth = DEPTH.min(self.k - start);
                let from = &self.b[start * self.b_strides[0] + first_column * self.b_strides[1]..];
                pack(s, from, self.b_strides, depth, columns, self.panels);
                self.strips(s, start, depth, first_column, columns);
            }
        }
    }
}

impl<T: Scalar> Multiply<'_, T> {
    /// All strips against one block of B.
    #[inline(always)]
    fn strips<S: Simd<T = T>>(
        &mut self,
        s: S,
        start: usize,
        depth: usize,
        first_column: usize,
        columns: usize,
    ) {
        let mut row = 0;
        while row < self.m {
            let rows = strip_rows(S::REGISTERS, self.m - row);
            let from = &self.a[row * self.a_strides[0] + start * self.a_strides[1]..];
            let layout = copy_left(from, self.a_strides, rows, depth, self.left);
            let mut strip = Strip {
                left: &*self.left,
                layout,
                panels: self.panels,
                depth,
                columns,
                c: &mut self.c[row * self.c_row + first_column..],
                c_row: self.c_row,
                alpha: self.alpha,
                accumulate: self.accumulate || start > 0,
            };
            assert!(fits(strip.c.len(), [rows, columns], [self.c_row, 1]));
            // SAFETY: `rows` rows were copied, the panels packed, and C is long enough by the assert.
            unsafe {
                match rows {
                    12 => strip.tiles::<S, 12>(s),
                    8 => strip.tiles::<S, 8>(s),
                    6 => strip.tiles::<S, 6>(s),
                    4 => strip.tiles::<S, 4>(s),
                    2 => strip.tiles::<S, 2>(s),
                    _ => strip.tiles::<S, 1>(s),
                }
            }
            row += rows;
        }
    }
}

/// Rows of the next strip, of `left` that are left.
#[inline(always)]
fn strip_rows(registers: usize, left: usize) -> usize {
    match (registers, left) {
        (32, 12..) => 12,
        (32, 8..) => 8,
        (_, 6..) => 6,
        (_, 4..) => 4,
        (_, 2..) => 2,
        _ => 1,
    }
}

/// Whether the last element of a matrix lies inside a slice of length `len`.
fn fits(len: usize, size: [usize; 2], strides: [usize; 2]) -> bool {
    let last = |i: usize| (size[i] - 1).checked_mul(strides[i]);
    match (last(0), last(1)) {
        (Some(row), Some(col)) => row.checked_add(col).is_some_and(|last| last < len),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::numbers;
    use super::*;
    use proptest::prelude::*;

    fn check<T: Scalar>(isa: Isa, m: usize, n: usize, k: usize, transposed: [bool; 2], accumulate: bool) {
        let a = numbers::<T>(m * k, 1);
        let b = numbers::<T>(k * n, 2);
        let a_strides = if transposed[0] { [1, m] } else { [k, 1] };
        let b_strides = if transposed[1] { [1, k] } else { [n, 1] };
        let c_row = n + 3;
        let before = numbers::<T>(m * c_row, 3);
        let mut c = before.clone();
        let half = T::from_f64(0.5);
        let mut scratch = Scratch::new();
        matmul_on(
            isa,
            m,
            n,
            k,
            (&a, a_strides),
            (&b, b_strides),
            (&mut c, c_row),
            half,
            accumulate,
            &mut scratch,
        );
        for i in 0..m {
            for j in 0..n {
                let mut want = 0.0;
                let mut magnitude = 1.0;
                for l in 0..k {
                    let product = a[i * a_strides[0] + l * a_strides[1]].to_f64()
                        * b[l * b_strides[0] + j * b_strides[1]].to_f64();
                    want += 0.5 * product;
                    magnitude += product.abs();
                }
                if accumulate {
                    want += before[i * c_row + j].to_f64();
                }
                let error = (c[i * c_row + j].to_f64() - want).abs();
                // Rounding of a sum of k terms, bounded by a few ε of its absolute sum for k < 100.
                assert!(error <= 8.0 * T::EPSILON.to_f64() * magnitude, "{m}x{n}x{k}: {error:e}");
            }
            for j in n..c_row {
                assert_eq!(c[i * c_row + j], before[i * c_row + j], "gap between rows was touched");
            }
        }
    }

    #[test]
    fn several_blocks_of_terms_and_columns() {
        for &isa in Isa::available() {
            for transposed in [[false, false], [true, false], [false, true], [true, true]] {
                check::<f32>(isa, 13, 2 * COLUMNS + 5, 9, transposed, false);
                check::<f64>(isa, 25, 70, 2 * DEPTH + 3, transposed, true);
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_the_rows_beside_it() {
        for &isa in Isa::available() {
            let (n, k) = (37, 300);
            let (a, b) = (numbers::<f32>(30 * k, 1), numbers::<f32>(k * n, 2));
            let mut all = vec![0.0; 30 * n];
            let mut scratch = Scratch::new();
            matmul_on(isa, 30, n, k, (&a, [k, 1]), (&b, [n, 1]), (&mut all, n), 1.0, false, &mut scratch);
            for i in 0..30 {
                let mut one = vec![0.0; n];
                let row = (&a[i * k..], [k, 1]);
                matmul_on(isa, 1, n, k, row, (&b, [n, 1]), (&mut one, n), 1.0, false, &mut scratch);
                assert_eq!(one, all[i * n..(i + 1) * n]);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn matches_naive_sums(
            m in 1_usize..40,
            n in 1_usize..40,
            k in 0_usize..60,
            at: bool,
            bt: bool,
            accumulate: bool,
        ) {
            for &isa in Isa::available() {
                check::<f32>(isa, m, n, k, [at, bt], accumulate);
                check::<f64>(isa, m, n, k, [at, bt], accumulate);
            }
        }
    }
}
