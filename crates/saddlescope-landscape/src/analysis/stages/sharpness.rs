//! Measures of sharpness, each kept when it is ready.

use super::super::error::AnalysisError;
use super::super::found::Found;
use super::super::plan::Forecast;
use super::super::stage::{At, Env, Keys, Stage, of};
use super::super::store::{Dependencies, Slot};
use crate::risk::RiskError;
use crate::sharpness::{Measure, MeasureKind, Measures, NotDefined, Sharpness, SharpnessOptions};
use saddlescope_krylov::Estimate;

/// The stage of the measures. What eigenpairs and probes know already is taken from them.
pub(crate) struct SharpnessStage {
    /// What they depend on.
    pub options: SharpnessOptions,
    /// Number of probes that are asked for elsewhere; 0: none.
    pub probes: usize,
}

/// The rounding of eigenvalues as a share of the largest, as the self-check found it.
pub(super) fn rounding(at: &At<'_, '_>) -> f64 {
    let check = at.found.self_check.as_ref().map(|c| c.check.clone()).unwrap_or_default();
    check.rounding_share(at.env.subject.risk().offers().precision)
}

impl Stage for SharpnessStage {
    type Output = Measures;

    fn name(&self) -> String {
        "sharpness".into()
    }

    fn title(&self) -> String {
        "measures of sharpness".into()
    }

    fn dependencies(&self, keys: &Keys) -> Dependencies {
        let mut of = of([
            ("options", serde_json::to_value(&self.options).unwrap_or_default()),
            ("probes", self.probes.into()),
        ]);
        keys.put_eigenpairs(&mut of);
        of
    }

    fn forecast(&self, _env: &Env<'_>) -> Forecast {
        let o = &self.options;
        Forecast { products: 45 + 2 * o.probes + 2, evaluations: 9 + 3 * (30 + 60) }
    }

    fn compute(&self, at: &mut At<'_, '_>, kept: Option<Measures>) -> Result<Measures, AnalysisError> {
        let env = at.env;
        let mut found = kept.unwrap_or_default();
        let (risk, theta) = (env.subject.risk(), env.subject.theta());
        let seed = env.selection.seed;
        let rounding = rounding(at);
        let mut sharpness =
            Sharpness::new(risk, theta, &self.options, seed, env.plan.keep)?.with_rounding(rounding);
        env.count_evaluations(1);
        if let Some(pairs) = &at.found.eigenpairs
            && let Some((pair, vector)) = pairs.largest()
        {
            let error = pair.residual + rounding * pairs.result.largest_magnitude();
            let measure = Measure::largest(pair.value, error, pair.std_error, pair.converged);
            sharpness = sharpness.with_largest(measure, vector.to_vec());
        }
        if let Some(probes) = &at.found.probes {
            let estimate = |samples: &[f64]| Estimate::from_samples(samples);
            let (trace, square) = (estimate(&probes.quadratic), estimate(&probes.square));
            sharpness = sharpness.with_traces(trace, square, probes.over_data());
        }
        for kind in MeasureKind::ALL {
            if found.get(kind).is_some() || found.left_out.iter().any(|(k, _)| *k == kind) {
                continue;
            }
            at.check()?;
            let monitor = &mut *at.monitor;
            let outcome = sharpness.measure(kind, &mut |steps| {
                monitor.advance(steps as u64, kind.name());
                if monitor.cancelled() { Err(RiskError::Cancelled) } else { Ok(()) }
            })?;
            match outcome {
                Ok(measure) => {
                    env.count_products(measure.products);
                    env.count_evaluations(measure.evaluations);
                    found.measured.push(measure);
                }
                Err(NotDefined(reason)) => found.left_out.push((kind, reason)),
            }
            at.keep(&found)?;
        }
        at.monitor.end(&format!("{} measures", found.measured.len()));
        Ok(found)
    }

    fn file(&self, output: Measures, _slot: &Slot, found: &mut Found) -> Result<(), AnalysisError> {
        found.sharpness = Some(output);
        Ok(())
    }
}
