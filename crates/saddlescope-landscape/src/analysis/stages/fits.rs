//! The trace from least-squares curvatures of the loss along the probes (function values only).

use std::ops::ControlFlow;
use std::time::Instant;

use super::super::error::AnalysisError;
use super::super::found::Found;
use super::super::plan::Forecast;
use super::super::selection::FitOptions;
use super::super::stage::{At, Env, KEEP_EVERY, Keys, Stage, of};
use super::super::store::{Dependencies, Slot};
use crate::curvature_fit::{
    CurvatureFit, CurvatureFitOptions, FitInterval, INTERVAL_LINES, continue_fit_trace,
};

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
        let request = CurvatureFitOptions {
            probes: self.probes,
            seed: at.env.selection.seed,
            interval,
            ..CurvatureFitOptions::default()
        };
        let mut kept = kept;
        loop {
            // Every few seconds what is fitted so far is kept, so that a kill loses no more than that.
            let before = kept.as_ref().map_or(0, |k| k.evaluations);
            let (began, monitor) = (Instant::now(), &mut *at.monitor);
            let mut cancelled = false;
            let fit = continue_fit_trace(risk, theta, &request, kept, &mut |done| {
                monitor.advance(done as u64, "");
                cancelled = monitor.cancelled();
                // With fewer lines than the interval is chosen from nothing could be gone on with.
                let pause = done >= INTERVAL_LINES && began.elapsed() >= KEEP_EVERY;
                if cancelled || pause { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            at.env.count_evaluations(fit.evaluations.saturating_sub(before));
            if cancelled {
                at.keep(&fit)?;
                return Err(AnalysisError::Cancelled);
            }
            if fit.per_probe.len() >= self.probes {
                at.monitor.end("");
                return Ok(fit);
            }
            at.keep(&fit)?;
            kept = Some(fit);
        }
    }

    fn file(&self, output: CurvatureFit, _slot: &Slot, found: &mut Found) -> Result<(), AnalysisError> {
        found.fits = Some(output.first(self.probes));
        Ok(())
    }
}
