//! The trace from least-squares curvatures of the loss along the probes (function values only).

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::super::error::AnalysisError;
use super::super::found::Found;
use super::super::plan::Forecast;
use super::super::selection::FitOptions;
use super::super::stage::{At, Env, Keys, Stage, of};
use super::super::store::{Dependencies, Slot};
use crate::curvature_fit::{
    CurvatureFit, CurvatureFitOptions, FitInterval, INTERVAL_LINES, continue_fit_trace,
};

/// How often the probes fitted so far are kept.
const KEEP_EVERY: Duration = Duration::from_secs(2);

/// The stage of the fits; more probes go on where fewer were fitted.
pub(crate) struct FitsStage {
    /// Points and width of the lines.
    pub options: FitOptions,
    /// Number of probes.
    pub probes: usize,
}

impl Stage for FitsStage {
    type Output = CurvatureFit;

    fn name(&self) -> String {
        "fits".into()
    }

    fn title(&self) -> String {
        "curvature fits".into()
    }

    fn dependencies(&self, _keys: &Keys) -> Dependencies {
        of([("points", self.options.points.into()), ("radius", self.options.radius.into())])
    }

    fn forecast(&self, _env: &Env<'_>) -> Forecast {
        Forecast { products: 0, evaluations: self.probes * self.options.points.max(3) }
    }

    fn may_be_left_out(&self) -> bool {
        true
    }

    fn suffices(&self, kept: &CurvatureFit) -> bool {
        kept.per_probe.len() >= self.probes
    }

    fn compute(
        &self,
        at: &mut At<'_, '_>,
        kept: Option<CurvatureFit>,
    ) -> Result<CurvatureFit, AnalysisError> {
        let loss = at.found.point()?.loss;
        let count = self.options.points.max(3);
        let interval = match self.options.radius {
            Some(r) => FitInterval::Points { lo: -r, hi: r, count },
            // A tenth of the loss: far above the rounding of f32, small enough to stay nearly quadratic.
            None => FitInterval::FromCurvature { loss_change: 0.1 * loss.abs().max(1e-3), count },
        };
        at.monitor.begin(&self.title(), Some(self.probes as u64));
        let (risk, theta) = (at.env.subject.risk(), at.env.subject.theta());
        let (mut kept, mut saved) = (kept, Instant::now());
        loop {
            // Probe by probe, so that a kill loses no more than a few seconds of them.
            let done = kept.as_ref().map_or(0, |k| k.per_probe.len());
            let request = CurvatureFitOptions {
                probes: (done + 1).max(INTERVAL_LINES).min(self.probes),
                seed: at.env.selection.seed,
                interval,
                ..CurvatureFitOptions::default()
            };
            let before = kept.as_ref().map_or(0, |k| k.evaluations);
            let fit = continue_fit_trace(risk, theta, &request, kept, &mut |_| ControlFlow::Continue(()))?;
            at.env.count_evaluations(fit.evaluations.saturating_sub(before));
            let done = fit.per_probe.len();
            at.monitor.advance(done as u64, "");
            if done >= self.probes {
                at.monitor.end("");
                return Ok(fit);
            }
            let cancelled = at.monitor.cancelled();
            if cancelled || saved.elapsed() >= KEEP_EVERY {
                at.keep(&fit)?;
                saved = Instant::now();
            }
            if cancelled {
                return Err(AnalysisError::Cancelled);
            }
            kept = Some(fit);
        }
    }

    fn file(&self, output: CurvatureFit, _slot: &Slot, found: &mut Found) -> Result<(), AnalysisError> {
        found.fits = Some(output.first(self.probes));
        Ok(())
    }
}
