//! Floating-point numbers in JSON, with nothing lost: NaN is `null`, infinities are `"Infinity"` and `"-Infinity"`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

struct Out(f64);

impl Serialize for Out {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_nan() {
            serializer.serialize_none()
        } else if self.0 == f64::INFINITY {
            serializer.serialize_str("Infinity")
        } else if self.0 == f64::NEG_INFINITY {
            serializer.serialize_str("-Infinity")
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum In {
    Number(f64),
    Text(String),
    Nothing(()),
}

impl In {
    fn value<E: serde::de::Error>(self) -> Result<f64, E> {
        match self {
            In::Number(v) => Ok(v),
            In::Nothing(()) => Ok(f64::NAN),
            In::Text(t) => match t.as_str() {
                "Infinity" => Ok(f64::INFINITY),
                "-Infinity" => Ok(f64::NEG_INFINITY),
                other => Err(E::custom(format!(
                    "expected a number, null, \"Infinity\" or \"-Infinity\", found {other:?}"
                ))),
            },
        }
    }
}

/// Writes a sequence of numbers.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(|&v| Out(v)))
}

/// Reads a sequence of numbers.
///
/// # Errors
/// Anything but numbers, `null`, `"Infinity"` and `"-Infinity"`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    Vec::<In>::deserialize(deserializer)?.into_iter().map(In::value).collect()
}

/// The same for one number.
pub mod scalar {
    use super::{In, Out};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes; errors are those of the serializer.
    #[allow(clippy::missing_errors_doc)]
    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        Out(*value).serialize(serializer)
    }

    /// Reads; anything that is not written like this is an error.
    #[allow(clippy::missing_errors_doc)]
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        In::deserialize(deserializer)?.value()
    }
}

/// The same for an array that may be absent. Absent is a missing key; use with `default` and `skip_serializing_if`.
pub mod optional {
    use serde::{Deserializer, Serializer};

    /// Writes; errors are those of the serializer.
    #[allow(clippy::missing_errors_doc)]
    pub fn serialize<S: Serializer>(values: &Option<Vec<f64>>, serializer: S) -> Result<S::Ok, S::Error> {
        match values {
            Some(values) => super::serialize(values, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads; anything that is not written like this is an error.
    #[allow(clippy::missing_errors_doc)]
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<f64>>, D::Error> {
        super::deserialize(deserializer).map(Some)
    }
}

/// The same for pairs of numbers.
pub mod pairs {
    use super::{In, Out};
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes; errors are those of the serializer.
    #[allow(clippy::missing_errors_doc)]
    pub fn serialize<S: Serializer>(values: &[[f64; 2]], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|v| v.map(Out)))
    }

    /// Reads; anything that is not written like this is an error.
    #[allow(clippy::missing_errors_doc)]
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<[f64; 2]>, D::Error> {
        let pairs = Vec::<[In; 2]>::deserialize(deserializer)?;
        pairs.into_iter().map(|[a, b]| Ok([a.value()?, b.value()?])).collect()
    }
}

/// The same for a pair of numbers.
pub mod pair {
    use super::{In, Out};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes; errors are those of the serializer.
    #[allow(clippy::missing_errors_doc)]
    pub fn serialize<S: Serializer>(value: &[f64; 2], serializer: S) -> Result<S::Ok, S::Error> {
        value.map(Out).serialize(serializer)
    }

    /// Reads; anything that is not written like this is an error.
    #[allow(clippy::missing_errors_doc)]
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[f64; 2], D::Error> {
        let [a, b] = <[In; 2]>::deserialize(deserializer)?;
        Ok([a.value()?, b.value()?])
    }
}

/// The same for a pair that may be absent. Absent is a missing key; use with `default` and `skip_serializing_if`.
pub mod optional_pair {
    use serde::{Deserializer, Serializer};

    /// Writes; errors are those of the serializer.
    #[allow(clippy::missing_errors_doc)]
    pub fn serialize<S: Serializer>(value: &Option<[f64; 2]>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::pair::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads; anything that is not written like this is an error.
    #[allow(clippy::missing_errors_doc)]
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[f64; 2]>, D::Error> {
        super::pair::deserialize(deserializer).map(Some)
    }
}

/// The same for a number that may be absent. Absent is a missing key; use with `default` and `skip_serializing_if`.
pub mod optional_scalar {
    use serde::{Deserializer, Serializer};

    /// Writes; errors are those of the serializer.
    #[allow(clippy::missing_errors_doc)]
    pub fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::scalar::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads; anything that is not written like this is an error.
    #[allow(clippy::missing_errors_doc)]
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        super::scalar::deserialize(deserializer).map(Some)
    }
}

/// The same for a number that is perhaps not known: `null` is unknown, and NaN counts as unknown.
pub mod known {
    use super::{In, Out};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes; errors are those of the serializer.
    #[allow(clippy::missing_errors_doc)]
    pub fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        Out(value.unwrap_or(f64::NAN)).serialize(serializer)
    }

    /// Reads; anything that is not written like this is an error.
    #[allow(clippy::missing_errors_doc)]
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        let value = In::deserialize(deserializer)?.value()?;
        Ok((!value.is_nan()).then_some(value))
    }
}
