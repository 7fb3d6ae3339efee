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

pub(crate) fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(|&v| Out(v)))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    Vec::<In>::deserialize(deserializer)?.into_iter().map(In::value).collect()
}

/// The same for one number.
pub(crate) mod scalar {
    use super::{In, Out};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        Out(*value).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        In::deserialize(deserializer)?.value()
    }
}

/// The same for an array that may be absent. Absent is a missing key; use with `default` and `skip_serializing_if`.
pub(crate) mod optional {
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        values: &Option<Vec<f64>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match values {
            Some(values) => super::serialize(values, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<f64>>, D::Error> {
        super::deserialize(deserializer).map(Some)
    }
}

/// The same for pairs of numbers.
pub(crate) mod pairs {
    use super::{In, Out};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(values: &[[f64; 2]], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|v| v.map(Out)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<[f64; 2]>, D::Error> {
        let pairs = Vec::<[In; 2]>::deserialize(deserializer)?;
        pairs.into_iter().map(|[a, b]| Ok([a.value()?, b.value()?])).collect()
    }
}
