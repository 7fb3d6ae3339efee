//! How much two sets of dominant eigenvectors have in common.

use std::f64::consts::FRAC_PI_2;

use nalgebra::DMatrix;
use saddlescope_figure::floats;
use serde::{Deserialize, Serialize};

use crate::analysis::{EigenResult, SpectrumEnd};
use crate::numeric::dot;

/// Two subspaces, each spanned by orthonormal vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overlap {
    /// Dimensions of both.
    pub dimensions: [usize; 2],
    /// Cosines of the principal angles, largest first: the singular values of the matrix of dot products. Empty where the spans are not
    /// known to a tenth of a radian.
    #[serde(with = "floats")]
    pub cosines: Vec<f64>,
    /// Mean of their squares: 1 for equal subspaces. `None` where the spans are not known well enough.
    #[serde(default, with = "floats::known")]
    pub mean_square: Option<f64>,
    /// What the mean square is on average for subspaces of random directions: the larger dimension over N.
    #[serde(with = "floats::scalar")]
    pub by_chance: f64,
    /// By how much the angles may be off, in radians: for each span the residuals of its vectors over the distance of their eigenvalues
    /// from the rest of the spectrum that is known (Davis & Kahan 1970). `None` where that distance is not known.
    #[serde(default, with = "floats::known")]
    pub uncertainty: Option<f64>,
}

/// Angles that may be off by more than this many radians are not told.
pub(crate) const RESOLVED: f64 = 0.1;

/// Orthonormal vectors, and by which angle their span may be off; `None`: not known.
pub(crate) struct Span<'a> {
    /// They.
    pub vectors: Vec<&'a [f64]>,
    /// The angle.
    pub off: Option<f64>,
}

impl<'a> Span<'a> {
    /// The eigenvectors at one end of the spectrum.
    pub fn of(found: &EigenResult, vectors: &'a [Vec<f64>], end: SpectrumEnd) -> Self {
        let here = || found.pairs.iter().zip(vectors).filter(|(p, _)| p.end == end);
        let off = || found.pairs.iter().filter(|p| p.end == end).map(|p| p.residual + p.rounding);
        let residual = off().map(|r| r * r).sum::<f64>().sqrt();
        // The rest of the spectrum: what is known at the other end, and what the Krylov space shows next to this one.
        let known = found.pairs.iter().filter(|p| p.end != end).map(|p| match end {
            SpectrumEnd::Largest => p.interval[1],
            SpectrumEnd::Smallest => p.interval[0],
        });
        let next = found.rest.map(|rest| rest[usize::from(end == SpectrumEnd::Smallest)]);
        let all = vectors.first().is_some_and(|v| v.len() == found.pairs.len());
        let gap = |value: f64| {
            let signed = |rest: f64| if end == SpectrumEnd::Largest { value - rest } else { rest - value };
            known.clone().chain(next).map(signed).fold(f64::INFINITY, f64::min)
        };
        let gap = here().map(|(p, _)| gap(p.value)).fold(f64::INFINITY, f64::min);
        let off = (next.is_some() || all).then(|| angle(residual, gap));
        Self { vectors: here().map(|(_, v)| v.as_slice()).collect(), off }
    }
}

/// The angle by which a span of vectors with this residual may be off, beside a gap of this size.
fn angle(residual: f64, gap: f64) -> f64 {
    // A NaN is no small angle.
    let sine = residual / gap;
    if gap > 0.0 && (0.0..1.0).contains(&sine) { sine.asin() } else { FRAC_PI_2 }
}

/// Compares two spans of vectors of length N; `None` if one is empty.
pub(crate) fn overlap(a: &Span<'_>, b: &Span<'_>) -> Option<Overlap> {
    let uncertainty = a.off.zip(b.off).map(|(a, b)| a + b);
    let (a, b) = (&a.vectors, &b.vectors);
    let n = a.first()?.len();
    b.first()?;
    let mut cosines: Vec<f64> = Vec::new();
    if uncertainty.is_some_and(|u| u <= RESOLVED) {
        let products = DMatrix::from_fn(a.len(), b.len(), |i, j| dot(a[i], b[j]));
        cosines.extend(products.singular_values().iter().map(|c| c.clamp(0.0, 1.0)));
        cosines.sort_by(|x, y| y.total_cmp(x));
    }
    let mean_square =
        (!cosines.is_empty()).then(|| cosines.iter().map(|c| c * c).sum::<f64>() / cosines.len() as f64);
    let by_chance = a.len().max(b.len()) as f64 / n as f64;
    Some(Overlap { dimensions: [a.len(), b.len()], cosines, mean_square, by_chance, uncertainty })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_by_hand() {
        // Span of e₁, e₂ against span of e₁, (e₂ + e₃)/√2: angles 0 and 45°.
        let h = 0.5_f64.sqrt();
        let (a, b) = ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0], [0.0, h, h]]);
        let span = |vectors: &'static [[f64; 3]], off| Span {
            vectors: vectors.iter().map(|v| v.as_slice()).collect(),
            off,
        };
        let (a, b) = (a.to_vec().leak(), b.to_vec().leak());
        let found = overlap(&span(a, Some(0.0)), &span(b, Some(0.02))).unwrap();
        assert!((found.cosines[0] - 1.0).abs() < 1e-15 && (found.cosines[1] - h).abs() < 1e-15);
        assert!((found.mean_square.unwrap() - 0.75).abs() < 1e-15);
        assert!((found.by_chance - 2.0 / 3.0).abs() < 1e-15);
        assert_eq!(found.uncertainty, Some(0.02));
        assert_eq!(overlap(&span(a, Some(0.0)), &span(&[], Some(0.0))), None);
        // Spans that are not known have no digits.
        for off in [None, Some(0.11)] {
            let found = overlap(&span(a, off), &span(b, Some(0.0))).unwrap();
            assert_eq!((found.cosines.as_slice(), found.mean_square), (&[][..], None));
        }
    }

    #[test]
    fn a_residual_that_is_large_beside_the_gap_leaves_the_span_open() {
        // The gap of the digits' third network: residuals of 1.3e-3 and 1.9e-3 beside a gap of 9e-4.
        assert_eq!(angle(1.3e-3_f64.hypot(1.9e-3), 9e-4), FRAC_PI_2);
        assert!((angle(1e-5, 1e-3) - 0.01).abs() < 1e-6);
        assert_eq!([angle(0.0, -1.0), angle(0.0, 0.0), angle(f64::NAN, 1.0)], [FRAC_PI_2; 3]);
        assert_eq!(angle(1e-3, f64::INFINITY), 0.0);
    }
}
