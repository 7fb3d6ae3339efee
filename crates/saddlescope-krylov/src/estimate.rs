//! A number with its standard error.

use serde::{Deserialize, Serialize};

/// A mean of samples with its standard error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Its standard error; infinite when there are too few samples to know.
    pub std_error: f64,
    /// Number of samples behind it.
    pub samples: usize,
}

impl Estimate {
    /// Mean and standard error s/√k of independent samples.
    ///
    /// ```
    /// use saddlescope_krylov::Estimate;
    ///
    /// let e = Estimate::from_samples(&[1.0, 2.0, 3.0]);
    /// assert_eq!(e.value, 2.0);
    /// assert!((e.std_error - (1.0f64 / 3.0).sqrt()).abs() < 1e-15);
    /// ```
    pub fn from_samples(samples: &[f64]) -> Self {
        let k = samples.len();
        if k == 0 {
            return Self { value: f64::NAN, std_error: f64::INFINITY, samples: 0 };
        }
        let mean = samples.iter().sum::<f64>() / k as f64;
        if k == 1 {
            return Self { value: mean, std_error: f64::INFINITY, samples: 1 };
        }
        let variance = samples.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (k - 1) as f64;
        Self { value: mean, std_error: (variance / k as f64).sqrt(), samples: k }
    }
}
