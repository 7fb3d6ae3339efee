//! A critical point near θ, kept after every step.

use saddlescope_data::weights::{TensorData, TensorMap};
use saddlescope_krylov::Precision;

use super::super::error::AnalysisError;
use super::super::found::{Found, Settled};
use super::super::journal::Journal;
use super::super::plan::Forecast;
use super::super::stage::{At, Env, Keys, Stage, of};
use super::super::store::{Dependencies, Slot};
use crate::curvature_operator::CurvatureOperator;
use crate::number_text::{number as number_text, short};
use crate::risk::{Evaluation, RiskError};
use crate::settle::{SettleOptions, Settling};

/// The stage of the way from θ to ∇L = 0.
pub(crate) struct SettleStage {
    /// How far, and at what cost.
    pub options: SettleOptions,
}

const THETA: &str = "theta";

/// The file of θ after the steps so far: the record that names it is written after it, so that both always belong together.
fn theta_file(way: &Settling) -> String {
    format!("{}.safetensors", way.steps.len())
}

fn save_theta(slot: &Slot, way: &Settling) -> Result<(), AnalysisError> {
    let mut tensors = TensorMap::new();
    tensors.insert(THETA, vec![way.theta.len()], TensorData::F64(way.theta.clone()))?;
    Ok(tensors.write(&slot.file(&theta_file(way)))?)
}

fn load_theta(slot: &Slot, way: &mut Settling) -> Result<(), AnalysisError> {
    let path = slot.file(&theta_file(way));
    let tensors = TensorMap::read(&path)?;
    let theta = tensors.get(THETA).map(|t| t.data.to_f64());
    way.theta = theta.ok_or_else(|| AnalysisError::Given {
        path,
        problem: "no tensor `theta`; expected the point after the last step".into(),
    })?;
    Ok(())
}

impl Stage for SettleStage {
    type Output = Settled;

    fn name(&self) -> String {
        "settle".into()
    }

    fn title(&self) -> String {
        "critical point nearby".into()
    }

    fn dependencies(&self, keys: &Keys) -> Dependencies {
        let o = &self.options;
        of([
            ("tolerance", o.tolerance.into()),
            ("max_products", o.max_products.into()),
            ("max_dimension", o.max_dimension.into()),
            ("radius", o.radius.into()),
            ("downhill", o.downhill.into()),
            ("other", keys.other.clone()),
        ])
    }

    fn forecast(&self, env: &Env<'_>) -> Forecast {
        // What the embedded network takes, give or take a factor of three; nobody knows before how long the way is.
        let products = (2 * env.subject.theta().len()).min(3_000).min(self.options.max_products);
        Forecast { products, evaluations: 100 }
    }

    fn compute(&self, at: &mut At<'_, '_>, kept: Option<Settled>) -> Result<Settled, AnalysisError> {
        let (subject, env) = (at.env.subject, at.env);
        let (risk, start) = (subject.risk(), subject.theta());
        if risk.offers().precision != Precision::F64 {
            return Err(AnalysisError::Other(
                "settling needs the loss in f64: in f32 a gradient cannot be told from zero below about 1e-7 of its parts"
                    .into(),
            ));
        }
        let point = at.found.point()?.clone();
        let mut settled = match kept {
            Some(mut kept) => {
                load_theta(at.slot, &mut kept.way)?;
                kept.way.start = start.to_vec();
                kept
            }
            None => {
                let way = Settling::begin(risk, start, &self.options)?;
                env.count_evaluations(1);
                save_theta(at.slot, &way)?;
                Settled { way, accuracy: None, other_loss: None, size: crate::numeric::norm(start) }
            }
        };
        let options = self.options.bounded(start.len());
        while settled.way.end.is_none() {
            let way = &mut settled.way;
            let number = way.steps.len();
            let log = format!("products-{number}");
            let (products, gradients, file) = (way.products, way.gradients, theta_file(way));
            {
                let here = risk.at(&way.theta, env.plan.keep)?;
                let hessian = CurvatureOperator::hessian(&*here);
                let journal = Journal::open(&hessian, &at.slot.file(&log))?;
                let (loss, gradient) = (way.steps.last().map_or(f64::NAN, |s| s.loss), way.gradient_norm());
                let monitor = &mut *at.monitor;
                way.advance(risk, &journal, &options, &mut |products, residual| {
                    let note = format!(
                        "step {number}: ‖∇L‖ {}, loss {}; model {}",
                        short(gradient),
                        number_text(loss),
                        short(residual)
                    );
                    monitor.advance(products as u64, &note);
                    if monitor.cancelled() { Err(RiskError::Cancelled) } else { Ok(()) }
                })?;
                journal.finish()?;
            }
            env.count_products(way.products - products);
            env.count_evaluations(way.gradients - gradients);
            if theta_file(way) == file {
                at.slot.remove(&log)?;
                break;
            }
            save_theta(at.slot, way)?;
            at.keep(&settled)?;
            at.slot.remove(&file)?;
            at.slot.remove(&log)?;
        }
        let way = &settled.way;
        let both = |before: Option<f64>, after: Option<f64>| Some([before?, after?]);
        let here = env.evaluate(risk, &way.theta)?;
        let there = subject.other.map(|split| env.evaluate(split.risk, &way.theta)).transpose()?;
        settled.accuracy = both(point.accuracy, here.accuracy());
        settled.other_loss = both(point.other.map(|o| o.0), there.as_ref().map(|e: &Evaluation| e.loss));
        if let Some(end) = settled.way.end {
            at.monitor.end(&format!("‖∇L‖ = {}: {end}", short(settled.way.gradient_norm())));
        }
        Ok(settled)
    }

    fn file(&self, mut output: Settled, slot: &Slot, found: &mut Found) -> Result<(), AnalysisError> {
        if output.way.theta.is_empty() {
            load_theta(slot, &mut output.way)?;
        }
        found.settled = Some(output);
        Ok(())
    }
}
