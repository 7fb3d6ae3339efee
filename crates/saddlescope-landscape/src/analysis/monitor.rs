//! What a long computation tells whoever watches it.

use super::plan::PlannedStage;
use super::results::Cost;

/// Watches an analysis; may ask it to stop.
pub trait Monitor {
    /// A stage begins: what it does and of how many steps it consists, if that is known.
    fn begin(&mut self, stage: &str, steps: Option<u64>);

    /// This many steps of the stage are done.
    fn advance(&mut self, done: u64, note: &str);

    /// The stage is over.
    fn end(&mut self, note: &str);

    /// Something a reader should know.
    fn note(&mut self, text: &str);

    /// What each stage will do, before anything is computed, and what it will cost in all.
    fn plan(&mut self, _stages: &[PlannedStage], _cost: &Cost) {}

    /// The stage of that name is finished: computed, read from the folder, or left out because nothing called for it.
    fn finished(&mut self, _stage: &str) {}

    /// Whether to stop as soon as what is finished has been saved.
    fn cancelled(&self) -> bool;
}

/// Watches nothing and never stops.
impl Monitor for () {
    fn begin(&mut self, _stage: &str, _steps: Option<u64>) {}
    fn advance(&mut self, _done: u64, _note: &str) {}
    fn end(&mut self, _note: &str) {}
    fn note(&mut self, _text: &str) {}
    fn cancelled(&self) -> bool {
        false
    }
}
