//! The outer folder of several points: what they share is kept there part by part under keys, as stages are.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::analysis::{
    AnalysisError, Cost, Dependencies, Fate, Folder, Forecast, Monitor, PlannedStage, Slot, Spent, State,
};
use crate::risk::{Curvature, Evaluation, Risk};

/// A part of what several points share.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Its name, also in file names.
    pub name: String,
    /// What it does, for the progress line.
    pub title: String,
    /// Exactly what it depends on.
    pub of: Dependencies,
    /// What it costs from nothing.
    pub forecast: Forecast,
}

/// The folder with whoever watches.
pub(crate) struct Desk<'m> {
    pub folder: Folder,
    pub monitor: &'m mut dyn Monitor,
}

/// Where a part stands while it is computed.
pub(crate) struct Work<'w> {
    pub slot: &'w Slot,
    pub monitor: &'w mut dyn Monitor,
    before: Spent,
    began: Instant,
    pub products: usize,
    pub evaluations: usize,
}

impl Work<'_> {
    /// An evaluation, counted.
    pub fn evaluate(&mut self, risk: &dyn Risk, theta: &[f64]) -> Result<Evaluation, AnalysisError> {
        self.evaluations += 1;
        Ok(risk.evaluate(theta)?)
    }

    /// An error if whoever watches wants to stop.
    pub fn check(&self) -> Result<(), AnalysisError> {
        if self.monitor.cancelled() { Err(AnalysisError::Cancelled) } else { Ok(()) }
    }

    /// Keeps a partial result for a later run to resume from.
    pub fn keep<T: Serialize>(&self, beginning: &T) -> Result<(), AnalysisError> {
        Ok(self.slot.save(State::Partial, self.spent(), beginning)?)
    }

    fn spent(&self) -> Spent {
        Spent {
            seconds: self.before.seconds + self.began.elapsed().as_secs_f64(),
            products: self.before.products + self.products,
            evaluations: self.before.evaluations + self.evaluations,
        }
    }
}

impl<'m> Desk<'m> {
    /// Opens the folder. Every key in it says what its result is of, so that any weights and verbs may share it.
    pub fn open(dir: &Path, monitor: &'m mut dyn Monitor) -> Result<Self, AnalysisError> {
        let identity: Dependencies = [
            ("contents".to_string(), "several points and what lies between them".into()),
            ("engine".to_string(), env!("CARGO_PKG_VERSION").into()),
        ]
        .into();
        let folder = Folder::open(dir, &identity)?;
        for page in pages(dir) {
            folder.clear(&page)?;
            folder.clear(&page.join("figures"))?;
        }
        Ok(Self { folder, monitor })
    }

    fn slot(&self, part: &Part) -> Slot {
        self.folder.slot(&part.name, part.of.clone())
    }

    /// What will happen to a part.
    pub fn planned(&self, part: &Part) -> Result<PlannedStage, AnalysisError> {
        let slot = self.slot(part);
        let state = slot.state()?;
        let fate = match state {
            Some((State::Complete, _)) => Fate::Reused,
            Some((State::Partial, _)) => Fate::Continued,
            None if slot.has_files()? => Fate::Continued,
            None => Fate::ToDo,
        };
        let spent = state.map_or(Spent::default(), |(_, spent)| spent);
        Ok(PlannedStage { name: part.name.clone(), fate, forecast: part.forecast, spent, dense_seconds: 0.0 })
    }

    /// Reads a part, or computes it, going on from what is kept.
    pub fn part<T: Serialize + DeserializeOwned>(
        &mut self,
        part: &Part,
        compute: impl FnOnce(&mut Work<'_>, Option<T>) -> Result<T, AnalysisError>,
    ) -> Result<T, AnalysisError> {
        let slot = self.slot(part);
        let (before, kept) = match slot.load::<T>()? {
            Some(record) if record.state == State::Complete => {
                self.monitor.finished(&part.name);
                return Ok(record.result);
            }
            Some(record) => (record.spent, Some(record.result)),
            None => (Spent::default(), None),
        };
        let mut work = Work {
            slot: &slot,
            monitor: &mut *self.monitor,
            before,
            began: Instant::now(),
            products: 0,
            evaluations: 0,
        };
        work.check()?;
        work.monitor.begin(&part.title, None);
        let found = compute(&mut work, kept)?;
        slot.save(State::Complete, work.spent(), &found)?;
        self.monitor.finished(&part.name);
        Ok(found)
    }

    /// Shows what everything will cost: times are measured on one evaluation and one product where anything is to be computed.
    pub fn show_plan(
        &mut self,
        stages: &[PlannedStage],
        risk: &dyn Risk,
        theta: &[f64],
        bytes: usize,
    ) -> Result<(), AnalysisError> {
        let mut cost = Cost { bytes, ..Cost::default() };
        let open = |s: &&PlannedStage| s.is_left();
        cost.products = stages.iter().filter(open).map(|s| s.forecast.products).sum();
        cost.evaluations = stages.iter().filter(open).map(|s| s.forecast.evaluations).sum();
        if cost.evaluations + cost.products > 0 {
            // The first one also sets up what later ones share.
            risk.evaluate(theta)?;
            let began = Instant::now();
            risk.evaluate(theta)?;
            cost.evaluation_seconds = began.elapsed().as_secs_f64();
        }
        if cost.products > 0 && risk.offers().product(Curvature::Hessian) {
            let mut out = vec![0.0; theta.len()];
            let point = risk.at(theta, 0)?;
            point.product(Curvature::Hessian, theta, &mut out)?;
            let began = Instant::now();
            point.product(Curvature::Hessian, theta, &mut out)?;
            cost.product_seconds = began.elapsed().as_secs_f64();
        }
        cost.seconds = stages.iter().map(|s| s.seconds(&cost)).sum();
        self.monitor.plan(stages, &cost);
        Ok(())
    }
}

/// The folders of the pages that were written into an outer folder.
fn pages(dir: &Path) -> Vec<PathBuf> {
    let named = |name: &str| matches!(name, "compare" | "trajectory") || name.starts_with("path-");
    // What cannot be listed has nothing to be cleared away.
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let folders = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
    folders.map(|e| PathBuf::from(e.file_name())).filter(|name| named(&name.to_string_lossy())).collect()
}

/// Passes on what an inner analysis tells, under the name of the point; its own table of stages is left out.
pub(crate) struct Inner<'m> {
    pub outer: &'m mut dyn Monitor,
    pub name: String,
}

impl Monitor for Inner<'_> {
    fn begin(&mut self, stage: &str, steps: Option<u64>) {
        self.outer.begin(&format!("{}: {stage}", self.name), steps);
    }

    fn advance(&mut self, done: u64, note: &str) {
        self.outer.advance(done, note);
    }

    fn end(&mut self, note: &str) {
        self.outer.end(note);
    }

    fn note(&mut self, text: &str) {
        self.outer.note(&format!("{}: {text}", self.name));
    }

    fn cancelled(&self) -> bool {
        self.outer.cancelled()
    }
}
