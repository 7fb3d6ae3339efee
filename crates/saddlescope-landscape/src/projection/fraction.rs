//! A counted fraction with its uncertainty.

use serde::{Deserialize, Serialize};

/// `hits` of `samples` independent trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fraction {
    /// How often it happened.
    pub hits: usize,
    /// How often it was tried.
    pub samples: usize,
}

impl Fraction {
    /// Counts the values that fulfil a condition.
    pub fn count<T>(values: impl IntoIterator<Item = T>, mut condition: impl FnMut(T) -> bool) -> Self {
        let mut fraction = Self { hits: 0, samples: 0 };
        for value in values {
            fraction.samples += 1;
            fraction.hits += usize::from(condition(value));
        }
        fraction
    }

    /// hits / samples; NaN without samples.
    pub fn value(&self) -> f64 {
        self.hits as f64 / self.samples as f64
    }

    /// Standard error √(p(1 − p)/S) at p = hits / samples. It is 0 when nothing or everything was a hit; ask
    /// [`Fraction::interval`] then.
    pub fn std_error(&self) -> f64 {
        let p = self.value();
        (p * (1.0 - p) / self.samples as f64).sqrt()
    }

    /// Wilson's score interval at `z` standard deviations (1.96 for 95 %). It has a width also when nothing was a
    /// hit.
    pub fn interval(&self, z: f64) -> (f64, f64) {
        let (p, s) = (self.value(), self.samples as f64);
        let shrink = 1.0 + z * z / s;
        let middle = (p + z * z / (2.0 * s)) / shrink;
        let half = z / shrink * (p * (1.0 - p) / s + z * z / (4.0 * s * s)).sqrt();
        ((middle - half).max(0.0), (middle + half).min(1.0))
    }
}
