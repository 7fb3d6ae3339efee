//! Measures of sharpness.

use saddlescope_figure::floats;
use serde::{Deserialize, Serialize};

use crate::sharpness::{Measure, MeasureKind};

/// One measure with what it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasureResult {
    /// Value, errors and cost.
    #[serde(flatten)]
    pub measure: Measure,
    /// Its name.
    pub name: String,
    /// Its formula.
    pub formula: String,
    /// Where it is from.
    pub source: String,
    /// What its error is.
    pub error_is: String,
}

/// A measure that was left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasureLeftOut {
    /// Which.
    pub kind: MeasureKind,
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// The measures of one rescaled copy of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RescaledResult {
    /// How it was rescaled, in words.
    pub name: String,
    /// The factor of all units; null where every unit has its own.
    #[serde(with = "floats::scalar")]
    pub factor: f64,
    /// Loss of the copy: that of the network, to rounding.
    #[serde(with = "floats::scalar")]
    pub loss: f64,
    /// Its measures.
    pub measures: Vec<Measure>,
}

/// A measure by name, its value at θ, and at each copy with the word whether it moves; `None` where it was left out.
pub type RescalingRow = (String, Measure, Vec<Option<(Measure, Moves)>>);

/// The measures at θ and at rescaled copies of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SharpnessResult {
    /// ρ of SAM's ball.
    #[serde(with = "floats::scalar")]
    pub rho: f64,
    /// ε of Keskar et al.'s box.
    #[serde(with = "floats::scalar")]
    pub epsilon: f64,
    /// The measures.
    pub measures: Vec<MeasureResult>,
    /// Those that have no meaning here, with the reason.
    pub left_out: Vec<MeasureLeftOut>,
    /// The same function with other weights (Dinh et al. 2017), if asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rescaled: Vec<RescaledResult>,
}

/// Whether a measure is another one at a copy of the network, beyond its errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moves {
    /// By more than three times both errors together, and by more than 1 %.
    Yes,
    /// By less than 1 %, errors included.
    No,
    /// The errors do not tell.
    Unknown,
}

impl Moves {
    /// By the values and errors of a measure.
    pub fn between(before: &Measure, after: &Measure) -> Self {
        let change = (after.value - before.value).abs();
        let errors = before.error.unwrap_or(0.0) + after.error.unwrap_or(0.0);
        let small = 0.01 * before.value.abs();
        if change > small && change > 3.0 * errors {
            Self::Yes
        } else if change <= small {
            Self::No
        } else {
            Self::Unknown
        }
    }

    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Yes => "moves",
            Self::No => "stays",
            Self::Unknown => "within its error",
        }
    }
}

impl SharpnessResult {
    /// One of the measures.
    pub fn get(&self, kind: MeasureKind) -> Option<&MeasureResult> {
        self.measures.iter().find(|m| m.measure.kind == kind)
    }

    /// A row for each measure: its name, the value at θ, the value at each copy with the word whether it moves.
    pub fn rescaling_rows(&self) -> Vec<RescalingRow> {
        let row = |m: &MeasureResult| {
            let there = |copy: &RescaledResult| {
                let after = copy.measures.iter().find(|a| a.kind == m.measure.kind)?;
                Some((after.clone(), Moves::between(&m.measure, after)))
            };
            (m.name.clone(), m.measure.clone(), self.rescaled.iter().map(there).collect())
        };
        self.measures.iter().map(row).collect()
    }
}
