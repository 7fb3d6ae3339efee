//! Evenly spaced values along a direction, written `lo:hi:n`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// n evenly spaced values from `lo` to `hi`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawAxis")]
pub struct Axis {
    lo: f64,
    hi: f64,
    count: usize,
}

/// The longest axis: already more points than any figure can show.
pub const LONGEST_AXIS: usize = 1_000_000;

/// Why an axis is impossible.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AxisError {
    /// Not of the form `lo:hi:n`.
    #[error("axis `{text}`: expected lo:hi:n, for example -1:1:51")]
    Form {
        /// What was given.
        text: String,
    },
    /// A bound is not a number.
    #[error("axis `{text}`: `{part}` is not a number")]
    Bound {
        /// What was given.
        text: String,
        /// The part in question.
        part: String,
    },
    /// The number of points is not a whole number.
    #[error("axis `{text}`: `{part}` is not a number of points")]
    Points {
        /// What was given.
        text: String,
        /// The part in question.
        part: String,
    },
    /// A bound, or the distance between the bounds, is NaN or infinite.
    #[error("axis from {lo} to {hi}: the bounds and their distance must be finite")]
    NotFinite {
        /// Lower end.
        lo: f64,
        /// Upper end.
        hi: f64,
    },
    /// The bounds are equal or the wrong way round.
    #[error("axis from {lo} to {hi}: the first bound must be smaller than the second")]
    Order {
        /// Lower end.
        lo: f64,
        /// Upper end.
        hi: f64,
    },
    /// Too few or too many points.
    #[error("axis of {count} points: expected 2 to {LONGEST_AXIS}")]
    Count {
        /// The number of points.
        count: usize,
    },
}

impl Axis {
    /// `count` values from `lo` to `hi`.
    ///
    /// # Errors
    /// Bounds not finite or not in order, fewer than 2 or more than [`LONGEST_AXIS`] points.
    pub fn new(lo: f64, hi: f64, count: usize) -> Result<Self, AxisError> {
        if !(hi - lo).is_finite() || !lo.is_finite() || !hi.is_finite() {
            return Err(AxisError::NotFinite { lo, hi });
        }
        if lo >= hi {
            return Err(AxisError::Order { lo, hi });
        }
        if !(2..=LONGEST_AXIS).contains(&count) {
            return Err(AxisError::Count { count });
        }
        Ok(Self { lo, hi, count })
    }

    /// `count` values from −`half_width` to `half_width`.
    ///
    /// # Errors
    /// As [`Axis::new`].
    pub fn symmetric(half_width: f64, count: usize) -> Result<Self, AxisError> {
        Self::new(-half_width, half_width, count)
    }

    /// Reads `lo:hi:n`, for example `-1:1:51`.
    ///
    /// # Errors
    /// Another form, or an impossible axis.
    pub fn parse(text: &str) -> Result<Self, AxisError> {
        let parts: Vec<&str> = text.split(':').map(str::trim).collect();
        let [lo, hi, count] = parts[..] else {
            return Err(AxisError::Form { text: text.to_owned() });
        };
        let bound = |part: &str| {
            part.parse::<f64>().map_err(|_| AxisError::Bound { text: text.to_owned(), part: part.to_owned() })
        };
        let (lo, hi) = (bound(lo)?, bound(hi)?);
        let count = count
            .parse::<usize>()
            .map_err(|_| AxisError::Points { text: text.to_owned(), part: count.to_owned() })?;
        Self::new(lo, hi, count)
    }

    /// The smallest value.
    pub fn lo(&self) -> f64 {
        self.lo
    }

    /// The largest value.
    pub fn hi(&self) -> f64 {
        self.hi
    }

    /// The number of values.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The `index`-th value, from 0. The ends are exact, and an axis that is symmetric about 0 has values that
    /// are exactly symmetric, with 0 itself in the middle of an odd number.
    pub fn value(&self, index: usize) -> f64 {
        let last = self.count - 1;
        if index == 0 {
            return self.lo;
        }
        if index >= last {
            return self.hi;
        }
        self.lo * ((last - index) as f64 / last as f64) + self.hi * (index as f64 / last as f64)
    }

    /// All values in ascending order.
    pub fn values(&self) -> Vec<f64> {
        (0..self.count).map(|index| self.value(index)).collect()
    }

    /// Distance between neighbouring values.
    pub fn step(&self) -> f64 {
        (self.hi - self.lo) / (self.count - 1) as f64
    }
}

impl FromStr for Axis {
    type Err = AxisError;

    fn from_str(text: &str) -> Result<Self, AxisError> {
        Self::parse(text)
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.lo, self.hi, self.count)
    }
}

/// An axis as stored, not yet checked.
#[derive(Deserialize)]
struct RawAxis {
    lo: f64,
    hi: f64,
    count: usize,
}

impl TryFrom<RawAxis> for Axis {
    type Error = AxisError;

    fn try_from(raw: RawAxis) -> Result<Self, AxisError> {
        Self::new(raw.lo, raw.hi, raw.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let axis = Axis::parse("-1:1:51").unwrap();
        assert_eq!((axis.lo(), axis.hi(), axis.count()), (-1.0, 1.0, 51));
        assert_eq!(Axis::parse(&axis.to_string()).unwrap(), axis);
        assert_eq!(Axis::parse(" 0 : 2.5e-1 : 2 ").unwrap().values(), vec![0.0, 0.25]);
    }

    #[test]
    fn values_are_symmetric_and_ends_exact() {
        for count in [3, 5, 41, 51, 101] {
            let values = Axis::symmetric(0.05, count).unwrap().values();
            assert_eq!(values[0], -0.05);
            assert_eq!(values[count - 1], 0.05);
            assert_eq!(values[count / 2], 0.0);
            for i in 0..count {
                assert_eq!(values[i], -values[count - 1 - i]);
            }
            assert!(values.windows(2).all(|w| w[0] < w[1]));
        }
    }

    #[test]
    fn refuses_impossible_axes() {
        let form = |text: &str| matches!(Axis::parse(text), Err(AxisError::Form { .. }));
        assert!(form("") && form("1") && form("1:2") && form("1:2:3:4"));
        assert!(matches!(Axis::parse("a:1:3"), Err(AxisError::Bound { .. })));
        assert!(matches!(Axis::parse("0:1:2.5"), Err(AxisError::Points { .. })));
        assert!(matches!(Axis::parse("0:1:-3"), Err(AxisError::Points { .. })));
        assert!(matches!(Axis::parse("1:1:3"), Err(AxisError::Order { .. })));
        assert!(matches!(Axis::parse("2:1:3"), Err(AxisError::Order { .. })));
        assert!(matches!(Axis::parse("0:inf:3"), Err(AxisError::NotFinite { .. })));
        assert!(matches!(Axis::parse("nan:1:3"), Err(AxisError::NotFinite { .. })));
        assert!(matches!(Axis::parse("-1e308:1e308:3"), Err(AxisError::NotFinite { .. })));
        assert!(matches!(Axis::parse("0:1:1"), Err(AxisError::Count { count: 1 })));
        assert!(matches!(Axis::parse("0:1:99999999"), Err(AxisError::Count { .. })));
        assert!(serde_json::from_str::<Axis>(r#"{"lo":1.0,"hi":0.0,"count":3}"#).is_err());
    }
}
