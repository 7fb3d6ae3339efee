//! The point itself: loss, accuracy and gradient at θ.

use saddlescope_data::weights::{TensorData, TensorMap};

use super::super::error::AnalysisError;
use super::super::found::{Found, PointValues};
use super::super::plan::Forecast;
use super::super::stage::{At, Env, Keys, Samples, Stage, of};
use super::super::store::{Dependencies, Slot};
use super::super::vectors;
use super::self_check::a_number;
use crate::number_text::fixed;
use crate::numeric::norm;
use crate::risk::Evaluation;
use crate::sampling_error::loss_std_error;

/// Loss, and accuracy where it is offered.
type LossAndAccuracy = (f64, Option<f64>);

/// Evaluates loss, accuracy and gradient, once.
pub(crate) struct PointStage;

impl Stage for PointStage {
    type Output = PointValues;

    fn name(&self) -> String {
        "point".into()
    }

    fn title(&self) -> String {
        "loss and gradient".into()
    }

    fn dependencies(&self, keys: &Keys) -> Dependencies {
        // The last: that errors are kept too.
        of([("slices", keys.slices.clone()), ("other", keys.other.clone()), ("kept", 2.into())])
    }

    fn seeded(&self) -> bool {
        false
    }

    fn forecast(&self, env: &Env<'_>) -> Forecast {
        // A gradient takes about three evaluations.
        let gradient = if env.subject.risk().offers().gradient { 3 } else { 1 };
        Forecast { products: 0, evaluations: gradient + usize::from(env.subject.other.is_some()) }
    }

    fn compute(&self, at: &mut At<'_, '_>, _: Option<PointValues>) -> Result<PointValues, AnalysisError> {
        let (subject, theta) = (at.env.subject, at.env.subject.theta());
        let mut gradient = Vec::new();
        let here = if subject.risk().offers().gradient {
            gradient = vec![0.0; theta.len()];
            at.env.count_evaluations(1);
            subject.risk().gradient(theta, &mut gradient)?
        } else {
            at.env.here(Samples::Main)?.clone()
        };
        a_number(at, here.loss)?;
        let std_error = loss_std_error(&here);
        let both = |e: &Evaluation| -> (LossAndAccuracy, Option<f64>) {
            ((e.loss, e.accuracy()), loss_std_error(e))
        };
        let slices = match subject.slices {
            Some(_) => both(at.env.here(Samples::Slices)?).0,
            None => (here.loss, here.accuracy()),
        };
        let other = match subject.other {
            Some(_) => Some(both(at.env.here(Samples::Other)?)),
            None => None,
        };
        if !gradient.is_empty() {
            let mut tensors = TensorMap::new();
            tensors.insert("gradient", vec![gradient.len()], TensorData::F64(gradient.clone()))?;
            vectors::save(at.slot, tensors)?;
        }
        at.monitor.end(&format!("loss {}", fixed(here.loss, 6)));
        Ok(PointValues {
            loss: here.loss,
            accuracy: here.accuracy(),
            slices,
            other: other.map(|o| o.0),
            std_error,
            other_std_error: other.and_then(|o| o.1),
            gradient_norm: (!gradient.is_empty()).then(|| norm(&gradient)),
            gradient,
        })
    }

    fn file(&self, mut output: PointValues, slot: &Slot, found: &mut Found) -> Result<(), AnalysisError> {
        if output.gradient.is_empty() && output.gradient_norm.is_some() {
            output.gradient = vectors::vector(&vectors::load(slot)?, slot, "gradient")?;
        }
        found.point = Some(output);
        Ok(())
    }
}
