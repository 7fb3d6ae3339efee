//! A whole analysis: stopped and gone on with against one at once, and on other numbers of threads.

use saddlescope_data::{DataSource, Split as DataSplit};
use saddlescope_landscape::Risk;
use saddlescope_landscape::analysis::{
    Analysis, AnalysisError, Cost, CutOptions, DensityStageOptions, EigenpairOptions, Monitor, Selection,
    Subject, SurfaceOptions, compute,
};
use saddlescope_nn::Dtype;
use saddlescope_nn::risk::RiskOptions;

use super::{Problem, Run, different_bits};
use crate::model;
use crate::network_risk::NetworkRisk;

/// Some of every kind of stage, on the embedded network.
fn selection() -> Selection {
    Selection {
        eigenpairs: Some(EigenpairOptions { largest: 2, smallest: 1, ..EigenpairOptions::default() }),
        probes: Some(4),
        density: Some(DensityStageOptions { probes: 2, steps: 8 }),
        escape: true,
        cuts: Some(CutOptions { points: 5, hessian_radius: None }),
        surfaces: Some(SurfaceOptions { grid: 4, hessian_radius: None }),
        ..Selection::nothing("verify")
    }
}

/// Stops at the n-th sign of progress.
struct Stopping(usize);

impl Monitor for Stopping {
    fn begin(&mut self, _: &str, _: Option<u64>) {}
    fn advance(&mut self, _: u64, _: &str) {
        self.0 = self.0.saturating_sub(1);
    }
    fn end(&mut self, _: &str) {}
    fn note(&mut self, _: &str) {}
    fn cancelled(&self) -> bool {
        self.0 == 0
    }
}

struct Embedded {
    theta: Vec<f64>,
    risk: NetworkRisk,
}

impl Embedded {
    fn new(threads: usize) -> Result<Self, Problem> {
        let data = DataSource::parse("digits")?.load(DataSplit::Train, Some(0..128), None)?;
        let model = model::load("digits-mlp", None, Some(&data))?;
        let loss = model.suggest_loss(&data)?.loss;
        let options = RiskOptions { threads, micro_batch: Some(16), keep_bytes: 0 };
        let risk = NetworkRisk::new(model.network.objective(loss, &data)?, Dtype::F32, options)?;
        Ok(Self { theta: model.theta.to_vec(), risk })
    }

    fn subject(&self) -> Subject<'_> {
        Subject::new("digits-mlp", self.theta.clone(), &self.risk as &dyn Risk)
    }
}

/// Results that differ in a byte (measured times aside), surfaces and vectors that differ in a bit.
fn differences(a: Analysis, b: Analysis) -> Result<f64, Problem> {
    let text = |mut analysis: Analysis| -> Result<(String, Vec<f64>), Problem> {
        analysis.results.cost = Cost::default();
        let numbers = (analysis.eigenvectors.into_iter().flatten())
            .chain(analysis.surfaces.into_iter().flat_map(|s| s.surface.loss))
            .chain(analysis.cuts.into_iter().flat_map(|c| c.measured.loss))
            .collect();
        Ok((serde_json::to_string(&analysis.results)?, numbers))
    };
    let ((a, a_numbers), (b, b_numbers)) = (text(a)?, text(b)?);
    Ok(f64::from(u8::from(a != b)) + different_bits(&a_numbers, &b_numbers))
}

pub(super) fn check(run: &mut Run<'_>) {
    let unit = (0.0, "numbers that differ in a bit");
    run.check("resume", "an analysis stopped at every turn", "one at once", unit, || {
        let embedded = Embedded::new(1)?;
        let (straight, stopped) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let whole = compute(&embedded.subject(), &selection(), None, straight.path(), &mut ())?;
        for turn in 0.. {
            // Every run goes a little further than the one before it.
            let mut monitor = Stopping(2 + 5 * turn);
            match compute(&embedded.subject(), &selection(), None, stopped.path(), &mut monitor) {
                Ok(found) if turn > 2 => return differences(found, whole),
                Ok(_) => return Err("the analysis was not stopped".into()),
                Err(AnalysisError::Cancelled) if turn < 1000 => {}
                Err(other) => return Err(other.into()),
            }
        }
        Err("the analysis did not end".into())
    });
    run.check("threads", "an analysis on 3 threads", "one thread", unit, || {
        let (one, three) = (Embedded::new(1)?, Embedded::new(3)?);
        let (first, second) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let a = compute(&one.subject(), &selection(), None, first.path(), &mut ())?;
        let mut b = compute(&three.subject(), &selection(), None, second.path(), &mut ())?;
        b.results.cost = a.results.cost;
        differences(b, a)
    });
}
