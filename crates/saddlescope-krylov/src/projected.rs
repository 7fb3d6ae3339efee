//! The small dense eigenproblem inside every Krylov method.

use nalgebra::{DMatrix, Dyn, SymmetricEigen};

use crate::rng::Stream;

/// All eigenpairs of a small symmetric matrix, ascending.
pub(crate) struct SmallEigen {
    pub values: Vec<f64>,
    /// Eigenvector j is `vectors[j * n .. (j + 1) * n]`.
    pub vectors: Vec<f64>,
}

/// QR iterations before we give up; a healthy matrix needs about 2 per eigenvalue.
const MAX_SWEEPS_PER_ROW: usize = 200;

/// Eigenpairs of the symmetric n × n matrix `a` (row by row). `None` if it holds NaN or infinities.
pub(crate) fn symmetric_eigen(n: usize, a: &[f64]) -> Option<SmallEigen> {
    let scale = a.iter().fold(0.0f64, |s, x| s.max(x.abs()));
    if !a.iter().all(|x| x.is_finite()) {
        return None;
    }
    if n == 0 || scale == 0.0 {
        let mut vectors = vec![0.0; n * n];
        for i in 0..n {
            vectors[i * n + i] = 1.0;
        }
        return Some(SmallEigen { values: vec![0.0; n], vectors });
    }
    // Entries of size one keep the deflation test of the QR iteration away from under- and overflow.
    let m = DMatrix::from_fn(n, n, |i, j| a[i * n + j] / scale);
    let eigen = decompose(m.clone()).or_else(|| decompose(with_noise(m)))?;
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| eigen.eigenvalues[i].total_cmp(&eigen.eigenvalues[j]).then(i.cmp(&j)));
    let mut vectors = Vec::with_capacity(n * n);
    for &j in &order {
        vectors.extend(eigen.eigenvectors.column(j).iter());
    }
    Some(SmallEigen { values: order.iter().map(|&j| eigen.eigenvalues[j] * scale).collect(), vectors })
}

fn decompose(m: DMatrix<f64>) -> Option<SymmetricEigen<f64, Dyn>> {
    let sweeps = MAX_SWEEPS_PER_ROW * m.nrows();
    let found = SymmetricEigen::try_new(m, f64::EPSILON, sweeps)?;
    let finite = found.eigenvalues.iter().chain(found.eigenvectors.iter()).all(|x| x.is_finite());
    finite.then_some(found)
}

/// The same to rounding, without entries whose squares vanish, by which the solver would divide.
fn with_noise(mut m: DMatrix<f64>) -> DMatrix<f64> {
    let n = m.nrows();
    let mut signs = vec![0.0; n];
    let size = f64::EPSILON / n as f64;
    for i in 0..n {
        Stream::new(0, "small eigenproblem", i as u64).fill_rademacher(&mut signs);
        for j in 0..=i {
            m[(i, j)] += size * signs[j];
            m[(j, i)] = m[(i, j)];
        }
    }
    m
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_whose_squares_vanish_do_not_spoil_it() {
        let n = 40;
        let mut noise = vec![0.0; n * n];
        Stream::new(3, "graded", 0).fill_normal(&mut noise);
        let mut a = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..n {
                a[i * n + j] = 10f64.powi(-3 * (i + j) as i32) * (noise[i * n + j] + noise[j * n + i]);
            }
        }
        let e = symmetric_eigen(n, &a).unwrap();
        assert!(e.values.iter().chain(&e.vectors).all(|x| x.is_finite()));
        let squares: f64 = e.values.iter().map(|x| x * x).sum();
        let norm: f64 = a.iter().map(|x| x * x).sum();
        assert!((squares - norm).abs() < 1e-13 * norm, "{squares} {norm}");
    }

    /// Graded matrices with tiny off-diagonal entries are what an almost converged Lanczos run hands over.
    #[test]
    fn residuals_are_of_rounding_size() {
        let n = 60;
        for grade in [1.0f64, 0.5, 1e-2] {
            let mut a = vec![0.0; n * n];
            for i in 0..n {
                a[i * n + i] = ((i * 37) % 11) as f64 - 5.0;
                if i + 1 < n {
                    let b = grade.powi(i as i32).max(1e-300);
                    a[i * n + i + 1] = b;
                    a[(i + 1) * n + i] = b;
                }
            }
            let e = symmetric_eigen(n, &a).unwrap();
            for j in 0..n {
                let v = &e.vectors[j * n..(j + 1) * n];
                let r: f64 = (0..n)
                    .map(|i| {
                        let av: f64 = (0..n).map(|k| a[i * n + k] * v[k]).sum();
                        (av - e.values[j] * v[i]).powi(2)
                    })
                    .sum::<f64>()
                    .sqrt();
                // Backward stability: a modest multiple of ε‖A‖ with ‖A‖ ≤ 8.
                assert!(r < 1e-13, "grade {grade}, pair {j}: residual {r:e}");
            }
        }
    }
}
