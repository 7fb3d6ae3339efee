//! Symmetric matrices whose eigenvalues are known.

use crate::rng::Stream;
use crate::vector::{axpy, dot};
use crate::{DenseOperator, LinearOperator, ProductError, SymmetricOperator};

/// The matrix U Λ Uᵀ with given eigenvalues, U a product of random Householder reflections: an operator that costs
/// O(n) per reflection and product, and whose eigenvectors fill all coordinates.
#[derive(Clone, Debug)]
pub struct PrescribedSpectrum {
    eigenvalues: Vec<f64>,
    /// Unit vectors u of the reflections I − 2uuᵀ.
    reflections: Vec<Vec<f64>>,
}

/// Three reflections mix every coordinate with every other.
const REFLECTIONS: u64 = 3;

impl PrescribedSpectrum {
    /// An operator with these eigenvalues and random eigenvectors.
    pub fn new(eigenvalues: Vec<f64>, seed: u64) -> Self {
        let n = eigenvalues.len();
        let reflections = (0..REFLECTIONS)
            .map(|i| {
                let mut u = vec![0.0; n];
                Stream::new(seed, "householder", i).fill_normal(&mut u);
                let norm = dot(&u, &u).sqrt();
                u.iter_mut().for_each(|u| *u /= norm);
                u
            })
            .collect();
        Self { eigenvalues, reflections }
    }

    /// The eigenvalues, as given.
    pub fn eigenvalues(&self) -> &[f64] {
        &self.eigenvalues
    }

    /// The unit eigenvector of eigenvalue i.
    pub fn eigenvector(&self, i: usize) -> Vec<f64> {
        let mut v = vec![0.0; self.eigenvalues.len()];
        v[i] = 1.0;
        self.reflections.iter().for_each(|u| reflect(u, &mut v));
        v
    }

    /// All entries, for comparison with dense methods.
    pub fn dense(&self) -> DenseOperator {
        let n = self.eigenvalues.len();
        let mut entries = vec![0.0; n * n];
        let mut unit = vec![0.0; n];
        for (i, row) in entries.chunks_exact_mut(n.max(1)).enumerate() {
            unit[i] = 1.0;
            self.multiply(&unit, row);
            unit[i] = 0.0;
        }
        DenseOperator::from_symmetric_entries(n, entries)
    }

    fn multiply(&self, x: &[f64], y: &mut [f64]) {
        y.copy_from_slice(x);
        self.reflections.iter().rev().for_each(|u| reflect(u, y));
        y.iter_mut().zip(&self.eigenvalues).for_each(|(y, l)| *y *= l);
        self.reflections.iter().for_each(|u| reflect(u, y));
    }
}

fn reflect(u: &[f64], x: &mut [f64]) {
    axpy(-2.0 * dot(u, x), u, x);
}

impl LinearOperator for PrescribedSpectrum {
    fn nrows(&self) -> usize {
        self.eigenvalues.len()
    }

    fn ncols(&self) -> usize {
        self.eigenvalues.len()
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) -> Result<(), ProductError> {
        self.multiply(x, y);
        Ok(())
    }
}

impl SymmetricOperator for PrescribedSpectrum {}

/// diag(spikes, 0, …, 0) + ZZᵀ/m with Z an n × m matrix of standard normals: a bulk with a few outliers.
///
/// With m = n the bulk fills \[0, 4\], and a spike s > 1 gives an outlier near s + s/(s − 1) (Baik, Ben Arous and
/// Péché): 6.25, 5.33 and 4.5 for spikes 5, 4 and 3.
pub fn wishart_spikes(n: usize, m: usize, spikes: &[f64], seed: u64) -> DenseOperator {
    let rows: Vec<Vec<f64>> = (0..n)
        .map(|i| {
            let mut z = vec![0.0; m];
            Stream::new(seed, "wishart", i as u64).fill_normal(&mut z);
            z
        })
        .collect();
    let mut a = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let value = crate::vector::dot_chunk(&rows[i], &rows[j]) / m as f64;
            a[i * n + j] = value;
            a[j * n + i] = value;
        }
    }
    for (i, s) in spikes.iter().take(n).enumerate() {
        a[i * n + i] += s;
    }
    DenseOperator::from_symmetric_entries(n, a)
}
