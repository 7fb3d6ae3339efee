//! The normal distribution.

use serde::{Deserialize, Serialize};

/// N(mean, std_dev²).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normal {
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub std_dev: f64,
}

impl Normal {
    /// Mean and sample standard deviation of `values`; NaN with fewer than two.
    pub fn fit(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        Self { mean, std_dev: if values.len() < 2 { f64::NAN } else { (squares / (count - 1.0)).sqrt() } }
    }

    /// Density at x.
    pub fn density(&self, x: f64) -> f64 {
        let z = (x - self.mean) / self.std_dev;
        (-0.5 * z * z).exp() / (self.std_dev * (2.0 * std::f64::consts::PI).sqrt())
    }

    /// Pr(X > 0).
    pub fn probability_positive(&self) -> f64 {
        normal_cdf(self.mean / self.std_dev)
    }

    /// Pr(X < 0).
    pub fn probability_negative(&self) -> f64 {
        normal_cdf(-self.mean / self.std_dev)
    }
}

/// Φ(z) = Pr(Z ≤ z) of the standard normal.
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}
