//! Least squares on orthogonal polynomials: the quadratic part, and what it leaves.

use saddlescope_figure::floats;
use serde::{Deserialize, Serialize};

/// Polynomials of degree 0 to 4, orthonormal over the points of a line.
pub(super) struct QuadraticFit {
    /// Values at the points, one polynomial a degree; fewer than five when there are fewer points.
    basis: Vec<Vec<f64>>,
    /// Second derivative of the degree-2 polynomial.
    curvature: f64,
}

/// One line's fit. Energies are sums of squares over the points.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LineFit {
    /// Curvature at the middle of the line.
    #[serde(with = "floats::scalar")]
    pub curvature: f64,
    /// Standard error of the curvature from the residuals; NaN when the fit has no degree of freedom left.
    #[serde(with = "floats::scalar")]
    pub std_error: f64,
    /// Σ over the points of the squared quadratic part.
    #[serde(with = "floats::scalar")]
    pub quadratic_energy: f64,
    /// Of the cubic part.
    #[serde(with = "floats::scalar")]
    pub cubic_energy: f64,
    /// Of the quartic part.
    #[serde(with = "floats::scalar")]
    pub quartic_energy: f64,
    /// Of everything beyond the quadratic; 0 when it is no more than rounding.
    #[serde(with = "floats::scalar")]
    pub residual_energy: f64,
}

impl QuadraticFit {
    /// Polynomials over `points`, at least three different ones.
    pub fn new(points: &[f64]) -> Self {
        let scale = points.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        let degrees = points.len().min(5);
        let mut basis: Vec<Vec<f64>> = Vec::with_capacity(degrees);
        // Leading coefficient in units of 1/scale^degree.
        let mut leading = 1.0;
        let mut curvature = 0.0;
        for degree in 0..degrees {
            // The next polynomial is x times the last one, made orthogonal to all before it, twice.
            let mut next: Vec<f64> = match basis.last() {
                None => vec![1.0; points.len()],
                Some(last) => last.iter().zip(points).map(|(p, x)| p * (x / scale)).collect(),
            };
            for _ in 0..2 {
                for p in &basis {
                    let along = dot(p, &next);
                    next.iter_mut().zip(p).for_each(|(x, p)| *x -= along * p);
                }
            }
            let length = dot(&next, &next).sqrt();
            next.iter_mut().for_each(|x| *x /= length);
            leading /= length;
            if degree == 2 {
                curvature = 2.0 * leading / (scale * scale);
            }
            basis.push(next);
        }
        Self { basis, curvature }
    }

    /// Fits the losses at the points.
    pub fn apply(&self, losses: &[f64]) -> LineFit {
        let count = losses.len();
        // The curvature does not see a constant; taking it away keeps rounding small when the loss is large.
        let offset = losses[count / 2];
        let shifted: Vec<f64> = losses.iter().map(|y| y - offset).collect();
        let coefficients: Vec<f64> = self.basis.iter().map(|p| dot(p, &shifted)).collect();
        let residual: Vec<f64> = (0..count)
            .map(|i| shifted[i] - (0..3).map(|d| coefficients[d] * self.basis[d][i]).sum::<f64>())
            .collect();
        let largest = losses.iter().fold(0.0_f64, |m, y| m.max(y.abs()));
        // Every loss carries a rounding error of a few ε; a residual of that size is none.
        let rounding = count as f64 * (8.0 * f64::EPSILON * largest).powi(2);
        let beyond = |energy: f64| if energy <= rounding { 0.0 } else { energy };
        let part = |degree: usize| coefficients.get(degree).map_or(0.0, |c| beyond(c * c));
        let energy = dot(&residual, &residual);
        let std_error = match count {
            0..=3 => f64::NAN,
            _ => self.curvature.abs() * (energy / (count - 3) as f64).sqrt(),
        };
        LineFit {
            curvature: self.curvature * coefficients[2],
            std_error,
            quadratic_energy: coefficients[2] * coefficients[2],
            cubic_energy: part(3),
            quartic_energy: part(4),
            residual_energy: beyond(energy),
        }
    }
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| a * b).sum()
}
