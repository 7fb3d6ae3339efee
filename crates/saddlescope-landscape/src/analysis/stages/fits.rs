//! The trace from least-squares curvatures of the loss along the probes (function values only).

use std::ops::ControlFlow;

use super::super::error::AnalysisError;
use super::super::found::Found;
use super::super::plan::Forecast;
use super::super::selection::FitOptions;
use super::super::stage::{At, Env, Keys, Stage, of};
use super::super::store::{Dependencies, Slot};
use crate::curvature_fit::{CurvatureFit, CurvatureFitOptions, FitInterval, continue_fit_trace};

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
        let request = CurvatureFitOptions {
            probes: self.probes,
            seed: at.env.selection.seed,
            interval,
            ..CurvatureFitOptions::default()
        };
        let before = kept.as_ref().map_or(0, |k| k.evaluations);
        at.monitor.begin(&self.title(), Some(request.probes as u64));
        let (risk, theta) = (at.env.subject.risk(), at.env.subject.theta());
        let mut cancelled = false;
        let monitor = &mut *at.monitor;
        let fit = continue_fit_trace(risk, theta, &request, kept, &mut |done| {
            monitor.advance(done as u64, "");
            cancelled = monitor.cancelled();
            if cancelled { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        at.env.count_evaluations(fit.evaluations.saturating_sub(before));
        if cancelled {
            at.keep(&fit)?;
            return Err(AnalysisError::Cancelled);
        }
        at.monitor.end("");
        Ok(fit)
    }

    fn file(&self, output: CurvatureFit, _slot: &Slot, found: &mut Found) -> Result<(), AnalysisError> {
        found.fits = Some(output.first(self.probes));
        Ok(())
    }
}
