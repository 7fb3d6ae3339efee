//! A number with its standard error.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A mean of samples with its standard error.
///
/// Serialised, a standard error that is not known is `null`, a NaN is `null`, and infinite values are the texts
/// `"Infinity"` and `"-Infinity"`, since JSON has no such numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The estimate.
    #[serde(serialize_with = "write_value", deserialize_with = "read_value")]
    pub value: f64,
    /// Its standard error; infinite when there are too few samples to know it.
    #[serde(serialize_with = "write_error", deserialize_with = "read_error")]
    pub std_error: f64,
    /// Number of samples behind it.
    pub samples: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Number {
    Finite(f64),
    Infinite(String),
    Unknown(()),
}

fn write_value<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match *value {
        v if v.is_finite() => Number::Finite(v),
        v if v.is_nan() => Number::Unknown(()),
        v => Number::Infinite(if v > 0.0 { "Infinity" } else { "-Infinity" }.into()),
    }
    .serialize(serializer)
}

fn read_value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    match Number::deserialize(deserializer)? {
        Number::Finite(v) => Ok(v),
        Number::Unknown(()) => Ok(f64::NAN),
        Number::Infinite(text) if text == "Infinity" => Ok(f64::INFINITY),
        Number::Infinite(text) if text == "-Infinity" => Ok(f64::NEG_INFINITY),
        Number::Infinite(text) => Err(serde::de::Error::custom(format!(
            "expected a number, null, \"Infinity\" or \"-Infinity\", found {text:?}"
        ))),
    }
}

fn write_error<S: Serializer>(error: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    error.is_finite().then_some(*error).serialize(serializer)
}

fn read_error<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::INFINITY))
}

impl Estimate {
    /// The standard error, if there are enough samples to know one.
    pub fn known_error(&self) -> Option<f64> {
        self.std_error.is_finite().then_some(self.std_error)
    }

    /// The estimate in another unit.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self { value: self.value * factor, std_error: self.std_error * factor.abs(), samples: self.samples }
    }

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
