//! Matrix multiplication with arbitrary strides, on the `gemm` crate, one thread.

use crate::scalar::Scalar;

/// Products with at most this many multiplications are summed in place: calling and packing would cost more.
const TINY: usize = 512;

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
    let [[a_row, a_col], [b_row, b_col]] = [a_strides, b_strides].map(|s| s.map(|s| s as isize));
    // SAFETY: the asserts above bound every element of the three matrices, `c` is borrowed exclusively and its
    // elements are distinct because c_row >= n.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            c_row as isize,
            accumulate,
            a.as_ptr(),
            a_col,
            a_row,
            b.as_ptr(),
            b_col,
            b_row,
            T::ONE,
            alpha,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
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

    fn check<T: Scalar>(m: usize, n: usize, k: usize, transposed: [bool; 2], accumulate: bool) {
        let a = numbers::<T>(m * k, 1);
        let b = numbers::<T>(k * n, 2);
        let a_strides = if transposed[0] { [1, m] } else { [k, 1] };
        let b_strides = if transposed[1] { [1, k] } else { [n, 1] };
        let c_row = n + 3;
        let before = numbers::<T>(m * c_row, 3);
        let mut c = before.clone();
        matmul(m, n, k, &a, a_strides, &b, b_strides, &mut c, c_row, T::from_f64(0.5), accumulate);
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
            check::<f32>(m, n, k, [at, bt], accumulate);
            check::<f64>(m, n, k, [at, bt], accumulate);
        }
    }
}
