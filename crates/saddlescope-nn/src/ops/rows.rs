//! Vectorisable loops over the rows of a row-major matrix, and sums along one row.

use crate::kernels::Isa;
use crate::kernels::loops::{self, vectorised};
use crate::scalar::Scalar;

vectorised! {
    /// Adds `row` to every row of `matrix`.
    fn add_row['a, T](matrix: &'a mut [T], row: &'a [T]) {
        for y in matrix.chunks_exact_mut(row.len().max(1)) {
            for (y, &b) in y.iter_mut().zip(row) {
                *y += b;
            }
        }
    }
}

/// Adds `row` to every row of `matrix`.
pub(super) fn add_to_each<T: Scalar>(matrix: &mut [T], row: &[T]) {
    add_row(Isa::detect(), matrix, row);
}

/// Rows added up before the sum goes on to the total: keeps rounding errors of long sums small.
const BLOCK: usize = 32;

/// Widest block of columns whose partial sums fit on the stack.
const COLUMNS: usize = 64;

vectorised! {
    /// sum += the sum of all rows of `matrix`, in blocks of rows.
    fn add_rows['a, T](matrix: &'a [T], sum: &'a mut [T]) {
        let width = sum.len();
        for rows in matrix.chunks(width * BLOCK) {
            for first in (0..width).step_by(COLUMNS) {
                let n = COLUMNS.min(width - first);
                let mut part = [T::ZERO; COLUMNS];
                for row in rows.chunks_exact(width) {
                    for (s, &x) in part.iter_mut().zip(&row[first..first + n]) {
                        *s += x;
                    }
                }
                for (s, &p) in sum[first..first + n].iter_mut().zip(&part) {
                    *s += p;
                }
            }
        }
    }
}

/// sum += the sum of all rows of `matrix`.
pub(super) fn add_sum<T: Scalar>(matrix: &[T], sum: &mut [T]) {
    if !sum.is_empty() {
        add_rows(Isa::detect(), matrix, sum);
    }
}

/// sum += Σ_rows of what `add(row, first column, part)` adds to `part`, the sums of some neighbouring columns.
/// Sums are taken in blocks of rows, so that the rounding error grows with the number of blocks only.
#[inline(always)]
pub(super) fn add_sum_of<T: Scalar>(rows: usize, sum: &mut [T], mut add: impl FnMut(usize, usize, &mut [T])) {
    let width = sum.len();
    for first_row in (0..rows).step_by(BLOCK) {
        for first in (0..width).step_by(COLUMNS) {
            let n = COLUMNS.min(width - first);
            let mut part = [T::ZERO; COLUMNS];
            for row in first_row..rows.min(first_row + BLOCK) {
                add(row, first, &mut part[..n]);
            }
            for (s, &p) in sum[first..first + n].iter_mut().zip(&part) {
                *s += p;
            }
        }
    }
}

/// Σᵢ f(i) for i < n, in eight interleaved partial sums (which the compiler keeps in vector registers).
#[inline(always)]
pub(super) fn sum_lanes<T: Scalar>(n: usize, f: impl Fn(usize) -> T) -> T {
    const LANES: usize = 8;
    let mut lanes = [T::ZERO; LANES];
    let whole = n - n % LANES;
    for start in (0..whole).step_by(LANES) {
        for (l, lane) in lanes.iter_mut().enumerate() {
            *lane += f(start + l);
        }
    }
    let tail: T = (whole..n).map(f).sum();
    lanes.iter().copied().sum::<T>() + tail
}

vectorised! {
    fn dot_product['a, T](a: &'a [T], b: &'a [T], out: &'a mut T) {
        *out = loops::sum([a, b], |[a, b]| a * b);
    }
}

/// Σᵢ aᵢ bᵢ.
pub(super) fn dot<T: Scalar>(a: &[T], b: &[T]) -> T {
    let mut out = T::ZERO;
    dot_product(Isa::detect(), a, b, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_over_rows_are_exact_on_integers() {
        for (rows, width) in [(1, 1), (33, 3), (100, 65), (7, 130), (0, 4)] {
            let matrix: Vec<f64> = (0..rows * width).map(|i| (i % 17) as f64 - 8.0).collect();
            let mut sum = vec![1.0; width];
            add_sum(&matrix, &mut sum);
            for (c, &s) in sum.iter().enumerate() {
                let expected: f64 = (0..rows).map(|r| matrix[r * width + c]).sum();
                assert_eq!(s, expected + 1.0);
            }
        }
    }

    #[test]
    fn sums_along_a_row_are_exact_on_integers() {
        for n in [0_usize, 1, 7, 8, 9, 31] {
            assert_eq!(sum_lanes(n, |i| i as f64), (n * n.saturating_sub(1) / 2) as f64);
            let a: Vec<f64> = (0..n).map(|i| i as f64).collect();
            assert_eq!(dot(&a, &a), a.iter().map(|x| x * x).sum::<f64>());
        }
    }
}
