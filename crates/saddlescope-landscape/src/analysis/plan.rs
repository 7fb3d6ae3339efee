//! What a command will do, stage by stage, before it computes anything.

use serde::{Deserialize, Serialize};

use super::results::Cost;
use super::store::Spent;

/// What a stage costs when computed from nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    /// Products with a curvature matrix.
    pub products: usize,
    /// Evaluations of the loss on the samples of slices.
    pub evaluations: usize,
}

/// What will happen to a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Read from the folder.
    Reused,
    /// Begun earlier, and gone on with.
    Continued,
    /// Computed from nothing.
    ToDo,
    /// Computed a moment ago, since it says what the others will take.
    Done,
}

/// A row of the table that is shown before anything is computed.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedStage {
    /// Its name.
    pub name: String,
    /// What will happen to it.
    pub fate: Fate,
    /// What it costs from nothing.
    pub forecast: Forecast,
    /// What earlier runs spent on it.
    pub spent: Spent,
    /// Seconds of dense linear algebra beside products and evaluations, by the measured speed of this machine.
    pub dense_seconds: f64,
}

impl PlannedStage {
    /// Whether anything is left to compute.
    pub fn is_left(&self) -> bool {
        matches!(self.fate, Fate::Continued | Fate::ToDo)
    }

    /// Seconds that the stage will take, by the times that the self-check measured; 0 where nothing is left to compute.
    pub fn seconds(&self, cost: &Cost) -> f64 {
        let whole = self.forecast.products as f64 * cost.product_seconds
            + self.forecast.evaluations as f64 * cost.evaluation_seconds
            + self.dense_seconds;
        match self.fate {
            Fate::Reused | Fate::Done => 0.0,
            Fate::Continued => (whole - self.spent.seconds).max(0.0),
            Fate::ToDo => whole,
        }
    }
}
