//! What a stage is, and how it is run: read where the folder has its result, continued or computed where it has not.

use std::cell::{Cell, OnceCell};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::AnalysisError;
use super::folder_error::FolderError;
use super::found::Found;
use super::memory::MemoryPlan;
use super::monitor::Monitor;
use super::plan::{Fate, Forecast, PlannedStage};
use super::selection::Selection;
use super::store::{Dependencies, Folder, Slot, Spent, State, key};
use super::subject::Subject;
use crate::risk::{Curvature, Evaluation, Point, Product, Risk, RiskError};

/// One part of an analysis.
pub(crate) trait Stage {
    /// What it finds.
    type Output: Serialize + DeserializeOwned;

    /// Its name: in file names, tables and messages.
    fn name(&self) -> String;

    /// What it does, for the progress line.
    fn title(&self) -> String;

    /// Exactly what its result depends on besides the folder's subject; the keys of stages that it uses among it.
    fn dependencies(&self, keys: &Keys) -> Dependencies;

    /// What it will cost, computed from nothing.
    fn forecast(&self, env: &Env<'_>) -> Forecast;

    /// Seconds of dense linear algebra beside that.
    fn dense_seconds(&self, _env: &Env<'_>) -> f64 {
        0.0
    }

    /// Whether it can be computed from what was found: a stage may need another that found nothing.
    fn applies(&self, _found: &Found) -> bool {
        true
    }

    /// Whether it draws random numbers itself; the seed is part of its key only then.
    fn seeded(&self) -> bool {
        true
    }

    /// Whether there is something to resume from, although no result is kept yet.
    ///
    /// # Errors
    /// If the folder cannot be read.
    fn begun(&self, _env: &Env<'_>, slot: &Slot) -> Result<bool, FolderError> {
        slot.has_files()
    }

    /// Whether the analysis goes on without this stage when it cannot be made here (no direction of use, no interval that
    /// changes the loss).
    fn may_be_left_out(&self) -> bool {
        false
    }

    /// Whether a finished result has all that is asked for; else it is continued.
    fn suffices(&self, _kept: &Self::Output) -> bool {
        true
    }

    /// Computes the result, resuming from what is kept.
    fn compute(&self, at: &mut At<'_, '_>, kept: Option<Self::Output>)
    -> Result<Self::Output, AnalysisError>;

    /// Puts the result where later stages and the report look for it.
    fn file(&self, output: Self::Output, slot: &Slot, found: &mut Found) -> Result<(), AnalysisError>;
}

/// Keys of the stages that others depend on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    /// Of the eigenpairs, if they are asked for.
    pub eigenpairs: Option<String>,
    /// Of the settled point, if it is asked for.
    pub settle: Option<String>,
    /// Of the escape, if it is asked for.
    pub escape: Option<String>,
    /// The identity of the samples that slices are drawn on.
    pub slices: Value,
    /// The identity of the other samples; null where there are none.
    pub other: Value,
}

impl Keys {
    /// The key of the eigenpairs as a dependency.
    pub fn put_eigenpairs(&self, of: &mut Dependencies) {
        of.insert("stage.eigenpairs".into(), self.eigenpairs.clone().into());
    }
}

/// On which samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Samples {
    /// Those of the analysis.
    Main,
    /// Those of slices.
    Slices,
    /// The other split.
    Other,
}

/// What all stages of a run share.
pub(crate) struct Env<'a> {
    pub subject: &'a Subject<'a>,
    pub selection: &'a Selection,
    pub plan: &'a MemoryPlan,
    pub folder: &'a Folder,
    /// Key of the subject's identity.
    pub identity: String,
    point: OnceCell<Box<dyn Point + 'a>>,
    slice_point: OnceCell<Box<dyn Point + 'a>>,
    slice_gradient: OnceCell<Vec<f64>>,
    /// Evaluations at θ on the samples of the analysis, of slices where those are others, and of the other split.
    here: [OnceCell<Evaluation>; 3],
    products: Cell<usize>,
    evaluations: Cell<usize>,
}

impl<'a> Env<'a> {
    pub fn new(
        subject: &'a Subject<'a>,
        selection: &'a Selection,
        plan: &'a MemoryPlan,
        folder: &'a Folder,
    ) -> Result<Self, RiskError> {
        Ok(Self {
            subject,
            selection,
            plan,
            folder,
            identity: key(&subject.identity()?),
            point: OnceCell::new(),
            slice_point: OnceCell::new(),
            slice_gradient: OnceCell::new(),
            here: Default::default(),
            products: Cell::new(0),
            evaluations: Cell::new(0),
        })
    }

    /// The risk near θ; set up when it is first needed.
    pub fn point(&self) -> Result<&dyn Point, RiskError> {
        once(&self.point, || self.subject.risk().at(self.subject.theta(), self.plan.keep)).map(|p| &**p)
    }

    /// The risk on the samples of slices near θ; set up when it is first needed.
    pub fn slice_point(&self) -> Result<&dyn Point, RiskError> {
        once(&self.slice_point, || self.subject.slice_split().risk.at(self.subject.theta(), 0)).map(|p| &**p)
    }

    /// ∇L(θ) on the samples of slices; computed when it is first needed.
    pub fn slice_gradient(&self) -> Result<&[f64], RiskError> {
        let compute = || {
            let theta = self.subject.theta();
            let mut gradient = vec![0.0; theta.len()];
            self.count_evaluations(1);
            self.subject.slice_split().risk.gradient(theta, &mut gradient)?;
            Ok(gradient)
        };
        once(&self.slice_gradient, compute).map(Vec::as_slice)
    }

    /// A block product at θ, counted.
    pub fn product(&self, curvature: Curvature, vs: &[f64], out: &mut [f64]) -> Result<Product, RiskError> {
        let product = self.point()?.product(curvature, vs, out)?;
        self.count_products(vs.len() / self.subject.theta().len().max(1));
        Ok(product)
    }

    /// Products that were made elsewhere.
    pub fn count_products(&self, products: usize) {
        self.products.set(self.products.get() + products);
    }

    /// An evaluation, counted.
    pub fn evaluate(&self, risk: &dyn Risk, theta: &[f64]) -> Result<Evaluation, RiskError> {
        self.count_evaluations(1);
        risk.evaluate(theta)
    }

    /// L(θ) and its parts; evaluated when it is first needed, and once a run.
    pub fn here(&self, samples: Samples) -> Result<&Evaluation, RiskError> {
        let subject = self.subject;
        let (cell, risk) = match (samples, subject.slices, subject.other) {
            (Samples::Slices, Some(risk), _) => (1, risk),
            (Samples::Main | Samples::Slices, ..) => (0, subject.risk()),
            (Samples::Other, _, Some(split)) => (2, split.risk),
            (Samples::Other, _, None) => {
                return Err(RiskError::NotOffered { what: "another split".into() });
            }
        };
        once(&self.here[cell], || self.evaluate(risk, subject.theta()))
    }

    /// Evaluations that were made elsewhere.
    pub fn count_evaluations(&self, evaluations: usize) {
        self.evaluations.set(self.evaluations.get() + evaluations);
    }
}

/// What a cell holds, made when it is first asked for. A run has one thread of stages.
fn once<T>(cell: &OnceCell<T>, make: impl FnOnce() -> Result<T, RiskError>) -> Result<&T, RiskError> {
    if let Some(value) = cell.get() {
        return Ok(value);
    }
    let made = make()?;
    Ok(cell.get_or_init(|| made))
}

/// How often a stage keeps what it has, so that a kill loses no more than that.
pub(crate) const KEEP_EVERY: Duration = Duration::from_secs(2);

/// Where a stage stands while it is computed.
pub(crate) struct At<'e, 'a> {
    pub env: &'e Env<'a>,
    pub found: &'e Found,
    pub slot: &'e Slot,
    pub monitor: &'e mut dyn Monitor,
    began: Instant,
    before: Spent,
    products: usize,
    evaluations: usize,
}

impl At<'_, '_> {
    /// Keeps a partial result for a later run to resume from.
    pub fn keep<T: Serialize>(&self, beginning: &T) -> Result<(), FolderError> {
        self.slot.save(State::Partial, self.spent(), beginning)
    }

    /// What the stage cost so far, earlier runs included.
    pub fn spent(&self) -> Spent {
        Spent {
            seconds: self.before.seconds + self.began.elapsed().as_secs_f64(),
            products: self.before.products + self.env.products.get() - self.products,
            evaluations: self.before.evaluations + self.env.evaluations.get() - self.evaluations,
        }
    }

    /// An error if whoever watches wants to stop.
    pub fn check(&self) -> Result<(), AnalysisError> {
        if self.monitor.cancelled() { Err(AnalysisError::Cancelled) } else { Ok(()) }
    }
}

/// Any stage, whatever it finds.
pub(crate) trait AnyStage {
    /// The slot of its result.
    fn slot(&self, env: &Env<'_>, keys: &Keys) -> Slot;

    /// What will happen to it.
    fn plan(&self, env: &Env<'_>, keys: &Keys) -> Result<PlannedStage, AnalysisError>;

    /// Reads, continues or computes it. `only_kept`: nothing is computed; a stage that is not kept is left out.
    fn run(
        &self,
        env: &Env<'_>,
        keys: &Keys,
        found: &mut Found,
        only_kept: bool,
        monitor: &mut dyn Monitor,
    ) -> Result<(), AnalysisError>;
}

impl<S: Stage> AnyStage for S {
    fn slot(&self, env: &Env<'_>, keys: &Keys) -> Slot {
        let mut of = self.dependencies(keys);
        if self.seeded() {
            of.insert("seed".into(), env.selection.seed.into());
        }
        // A result that strays into another folder is not taken for one of that folder's subject.
        of.insert("subject".into(), env.identity.clone().into());
        env.folder.slot(&self.name(), of)
    }

    fn plan(&self, env: &Env<'_>, keys: &Keys) -> Result<PlannedStage, AnalysisError> {
        let slot = AnyStage::slot(self, env, keys);
        let kept = slot.load::<S::Output>()?;
        let fate = match &kept {
            Some(r) if r.state == State::Complete && self.suffices(&r.result) => Fate::Reused,
            Some(_) => Fate::Continued,
            // A stage that was stopped before its first result leaves a log.
            None if self.begun(env, &slot)? => Fate::Continued,
            None => Fate::ToDo,
        };
        let spent = kept.map_or(Spent::default(), |r| r.spent);
        let (forecast, dense_seconds) = (self.forecast(env), self.dense_seconds(env));
        Ok(PlannedStage { name: self.name(), fate, forecast, spent, dense_seconds })
    }

    fn run(
        &self,
        env: &Env<'_>,
        keys: &Keys,
        found: &mut Found,
        only_kept: bool,
        monitor: &mut dyn Monitor,
    ) -> Result<(), AnalysisError> {
        let slot = AnyStage::slot(self, env, keys);
        let kept = slot.load::<S::Output>()?;
        let done =
            |r: &super::store::Record<S::Output>| r.state == State::Complete && self.suffices(&r.result);
        if kept.as_ref().is_some_and(done) {
            if let Some(record) = kept {
                self.file(record.result, &slot, found)?;
                monitor.finished(&self.name());
            }
            return Ok(());
        }
        if only_kept || !self.applies(found) {
            monitor.finished(&self.name());
            return Ok(());
        }
        let (before, kept) = kept.map_or((Spent::default(), None), |r| (r.spent, Some(r.result)));
        let mut at = At {
            env,
            found,
            slot: &slot,
            monitor,
            began: Instant::now(),
            before,
            products: env.products.get(),
            evaluations: env.evaluations.get(),
        };
        at.check()?;
        at.monitor.begin(&self.title(), None);
        let output = match self.compute(&mut at, kept) {
            Err(error) if self.may_be_left_out() && error.is_of_the_point() => {
                monitor.note(&format!("{} is left out: {error}", self.name()));
                found.left_out.push(format!("{}: {error}", self.title()));
                monitor.finished(&self.name());
                return Ok(());
            }
            other => other?,
        };
        let spent = at.spent();
        slot.save(State::Complete, spent, &output)?;
        self.file(output, &slot, found)?;
        monitor.finished(&self.name());
        Ok(())
    }
}

/// A dependency by name.
pub(crate) fn of<const N: usize>(pairs: [(&str, Value); N]) -> Dependencies {
    pairs.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}
