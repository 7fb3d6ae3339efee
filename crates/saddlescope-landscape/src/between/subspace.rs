//! How much two sets of dominant eigenvectors have in common.

use nalgebra::DMatrix;
use saddlescope_figure::floats;
use serde::{Deserialize, Serialize};

use crate::numeric::dot;

/// Two subspaces, each spanned by orthonormal vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overlap {
    /// Dimensions of both.
    pub dimensions: [usize; 2],
    /// Cosines of the principal angles, largest first: the singular values of the matrix of dot products.
    #[serde(with = "floats")]
    pub cosines: Vec<f64>,
    /// Mean of their squares: 1 for equal subspaces.
    #[serde(with = "floats::scalar")]
    pub mean_square: f64,
    /// What the mean square is on average for subspaces of random directions: the larger dimension over N.
    #[serde(with = "floats::scalar")]
    pub by_chance: f64,
}

/// Compares the spans of two sets of orthonormal vectors of length N; `None` if one is empty.
pub fn overlap(a: &[&[f64]], b: &[&[f64]]) -> Option<Overlap> {
    let n = a.first()?.len();
    b.first()?;
    let products = DMatrix::from_fn(a.len(), b.len(), |i, j| dot(a[i], b[j]));
    let mut cosines: Vec<f64> = products.singular_values().iter().map(|c| c.clamp(0.0, 1.0)).collect();
    cosines.sort_by(|x, y| y.total_cmp(x));
    let mean_square = cosines.iter().map(|c| c * c).sum::<f64>() / cosines.len() as f64;
    let by_chance = a.len().max(b.len()) as f64 / n as f64;
    Some(Overlap { dimensions: [a.len(), b.len()], cosines, mean_square, by_chance })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_by_hand() {
        // Span of e₁, e₂ against span of e₁, (e₂ + e₃)/√2: angles 0 and 45°.
        let h = 0.5_f64.sqrt();
        let (a, b) = ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0], [0.0, h, h]]);
        let a: Vec<&[f64]> = a.iter().map(|v| v.as_slice()).collect();
        let b: Vec<&[f64]> = b.iter().map(|v| v.as_slice()).collect();
        let found = overlap(&a, &b).unwrap();
        assert!((found.cosines[0] - 1.0).abs() < 1e-15 && (found.cosines[1] - h).abs() < 1e-15);
        assert!((found.mean_square - 0.75).abs() < 1e-15);
        assert!((found.by_chance - 2.0 / 3.0).abs() < 1e-15);
        assert_eq!(overlap(&a, &[]), None);
    }
}
