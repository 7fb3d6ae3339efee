//! Measures of sharpness at copies of the network that compute the same function (Dinh et al. 2017).

use saddlescope_krylov::Stream;

use super::super::error::AnalysisError;
use super::super::found::Found;
use super::super::plan::Forecast;
use super::super::results::RescaledResult;
use super::super::stage::{At, Env, Keys, Stage, of};
use super::super::store::{Dependencies, Slot};
use super::sharpness::rounding;
use crate::risk::{Risk, RiskError};
use crate::sharpness::rescale::{Pair, RescaleError};
use crate::sharpness::{MeasureKind, Sharpness, SharpnessOptions};

/// What the stage is called.
pub(crate) const NAME: &str = "rescaling";

/// The stage of the copies; each is kept when it is ready.
pub(crate) struct RescalingStage {
    /// What the measures depend on.
    pub options: SharpnessOptions,
    /// The largest factor.
    pub factor: f64,
}

/// Names and factors of the copies: one factor for all units, and one for each unit.
fn copies(pair: &Pair, factor: f64, seed: u64) -> Vec<(String, f64, Vec<f64>)> {
    let root = factor.sqrt();
    let units = pair.units();
    let mut all: Vec<(String, f64, Vec<f64>)> = [1.0 / factor, 1.0 / root, root, factor]
        .into_iter()
        .map(|f| (format!("first layer × {}", (1e4 * f).round() / 1e4), f, vec![f; units]))
        .collect();
    // Between 1/factor and factor, evenly in the logarithm.
    let mut own = vec![0.0; units];
    Stream::new(seed, "rescaling", 0).fill_uniform(&mut own);
    own.iter_mut().for_each(|u| *u = factor.powf(2.0 * *u - 1.0));
    all.push((format!("each unit by its own factor, 1/{factor} to {factor}"), f64::NAN, own));
    all
}

/// Whether the network can be rescaled at all, by the first copy: two losses, before anything else is computed.
///
/// # Errors
/// Why it cannot.
pub(crate) fn check(risk: &dyn Risk, theta: &[f64], factor: f64, seed: u64) -> Result<(), RescaleError> {
    let pair = Pair::first(risk.layout())?;
    match copies(&pair, factor, seed).first() {
        Some((_, _, factors)) => pair.rescaled(risk, theta, factors).map(drop),
        None => Ok(()),
    }
}

impl Stage for RescalingStage {
    type Output = Vec<RescaledResult>;

    fn name(&self) -> String {
        NAME.into()
    }

    fn title(&self) -> String {
        "sharpness of rescaled copies".into()
    }

    fn dependencies(&self, _keys: &Keys) -> Dependencies {
        of([
            ("options", serde_json::to_value(&self.options).unwrap_or_default()),
            ("factor", self.factor.into()),
        ])
    }

    fn forecast(&self, _env: &Env<'_>) -> Forecast {
        Forecast { products: 5 * (90 + 3 * self.options.probes), evaluations: 5 * 280 }
    }

    fn compute(
        &self,
        at: &mut At<'_, '_>,
        kept: Option<Vec<RescaledResult>>,
    ) -> Result<Vec<RescaledResult>, AnalysisError> {
        let env = at.env;
        let (risk, theta, seed) = (env.subject.risk(), env.subject.theta(), env.selection.seed);
        let mut found = kept.unwrap_or_default();
        let pair = Pair::first(risk.layout())?;
        for (name, factor, factors) in copies(&pair, self.factor, seed).into_iter().skip(found.len()) {
            let copy = pair.rescaled(risk, theta, &factors)?;
            let mut sharpness =
                Sharpness::new(risk, &copy, &self.options, seed, env.plan.keep)?.with_rounding(rounding(at));
            env.count_evaluations(3);
            let mut measures = Vec::new();
            for kind in MeasureKind::ALL {
                at.check()?;
                let monitor = &mut *at.monitor;
                let outcome = sharpness.measure(kind, &mut |steps| {
                    monitor.advance(steps as u64, &format!("{name}: {}", kind.name()));
                    if monitor.cancelled() { Err(RiskError::Cancelled) } else { Ok(()) }
                })?;
                if let Ok(measure) = outcome {
                    env.count_products(measure.products);
                    env.count_evaluations(measure.evaluations);
                    measures.push(measure);
                }
            }
            found.push(RescaledResult { name, factor, loss: sharpness.loss(), measures });
            at.keep(&found)?;
        }
        at.monitor.end("");
        Ok(found)
    }

    fn file(
        &self,
        output: Vec<RescaledResult>,
        _slot: &Slot,
        found: &mut Found,
    ) -> Result<(), AnalysisError> {
        found.rescaled = output;
        Ok(())
    }
}
