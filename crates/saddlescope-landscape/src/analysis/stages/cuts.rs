//! Cuts: the loss along one direction, on the samples of slices and on the other samples.

use std::time::Instant;

use super::super::error::AnalysisError;
use super::super::found::Found;
use super::super::found::{Cut, CutLosses};
use super::super::plan::Forecast;
use super::super::requests::DirectionRequest;
use super::super::results::Prediction;
use super::super::selection::RandomDirectionOptions;
use super::super::stage::{At, Env, KEEP_EVERY, Keys, Samples, Stage};
use super::super::store::{Dependencies, Slot};
use super::lines::{Reach, curvature, direction_dependencies, have_eigenpairs, uses_eigenpairs};
use crate::numeric::dot;
use crate::plane::Line;
use crate::risk::{Curvature, Evaluation, Risk};
use crate::sampling_error::{PointErrors, has_parts, loss_std_error, paired_difference};

/// Slope and curvature along a direction on the samples of slices; `all` are those on all samples.
fn prediction(env: &Env<'_>, v: &[f64], all: Prediction) -> Result<Option<Prediction>, AnalysisError> {
    let own = if env.subject.slices.is_none() {
        all
    } else {
        let offers = env.subject.slice_split().risk.offers();
        if !offers.gradient || !offers.product(Curvature::Hessian) {
            return Ok(None);
        }
        let mut hv = vec![0.0; v.len()];
        env.slice_point()?.product(Curvature::Hessian, v, &mut hv)?;
        env.count_products(1);
        Prediction { slope: dot(v, env.slice_gradient()?), curvature: dot(v, &hv) }
    };
    Ok((own.slope.is_finite() && own.curvature.is_finite()).then_some(own))
}

/// The losses of a cut in the making, on one set of samples.
struct Measured<'a> {
    risk: &'a dyn Risk,
    /// At θ, with its parts.
    center: Evaluation,
    losses: CutLosses,
}

impl<'a> Measured<'a> {
    /// Goes on from the points that are kept, if any are; `loss` is that at θ, as it is known already.
    fn new(
        env: &Env<'_>,
        (samples, risk): (Samples, &'a dyn Risk),
        loss: f64,
        kept: Option<CutLosses>,
    ) -> Result<Self, AnalysisError> {
        let center = env.here(samples)?.clone();
        let errors = has_parts(&center).then(PointErrors::default);
        let losses = kept.unwrap_or_else(|| CutLosses {
            samples: risk.samples(),
            center: loss,
            center_std_error: loss_std_error(&center),
            loss: Vec::new(),
            errors,
        });
        Ok(Self { risk, center, losses })
    }

    /// The next point.
    fn take(&mut self, env: &Env<'_>, alpha: f64, theta: &[f64]) -> Result<(), AnalysisError> {
        let here = alpha == 0.0;
        // The middle is θ itself.
        let found = if here { self.center.clone() } else { env.evaluate(self.risk, theta)? };
        self.losses.loss.push(if here { self.losses.center } else { found.loss });
        if let Some(errors) = &mut self.losses.errors {
            let difference = paired_difference(&self.center, &found).std_error;
            errors.loss.push(loss_std_error(&found).unwrap_or(f64::NAN));
            errors.difference.push(difference.unwrap_or(f64::NAN));
        }
        Ok(())
    }
}

/// What the stages of slices keep; a number of its own, so that what earlier versions kept is not taken for it.
pub(super) const KEPT: usize = 2;

/// One cut on the samples of slices and on the other samples.
pub(super) struct CutStage {
    pub(super) name: String,
    pub(super) direction: [DirectionRequest; 1],
    pub(super) reach: Reach,
    pub(super) random: RandomDirectionOptions,
    /// Whether it is one of the usual ones rather than one that was asked for by its directions.
    pub(super) usual: bool,
}

impl Stage for CutStage {
    type Output = Cut;

    fn name(&self) -> String {
        format!("cut-{}", self.name)
    }

    fn title(&self) -> String {
        format!("cut {}", self.name)
    }

    fn dependencies(&self, keys: &Keys) -> Dependencies {
        let mut of = direction_dependencies(&self.direction, &self.random, keys);
        of.insert("axis".into(), serde_json::to_value(&self.reach).unwrap_or_default());
        of.insert("slices".into(), keys.slices.clone());
        of.insert("other".into(), keys.other.clone());
        of.insert("kept".into(), KEPT.into());
        of
    }

    fn forecast(&self, env: &Env<'_>) -> Forecast {
        let splits = 1 + usize::from(env.subject.other.is_some());
        let products =
            usize::from(!uses_eigenpairs(&self.direction)) + usize::from(env.subject.slices.is_some());
        Forecast { products, evaluations: splits * self.reach.points() }
    }

    fn may_be_left_out(&self) -> bool {
        self.usual
    }

    fn applies(&self, found: &Found) -> bool {
        have_eigenpairs(&self.direction, found)
    }

    fn compute(&self, at: &mut At<'_, '_>, kept: Option<Cut>) -> Result<Cut, AnalysisError> {
        let env = at.env;
        let direction =
            self.direction[0].resolve(env.subject, at.found.eigenpairs.as_ref(), env.selection)?;
        let alphas = match &kept {
            Some(cut) => cut.alpha.clone(),
            None => self.reach.axis(at, &direction)?.values(),
        };
        let vector = direction.direction.vector();
        let (curvature, slope, prediction) = match &kept {
            Some(cut) => (cut.curvature, cut.slope, cut.prediction),
            None => {
                let curvature = curvature(at, &direction)?;
                let gradient = &at.found.point()?.gradient;
                let slope = if gradient.is_empty() { f64::NAN } else { dot(vector, gradient) };
                (curvature, slope, prediction(env, vector, Prediction { slope, curvature })?)
            }
        };
        let (measured, others) = kept.map_or((None, None), |cut| (Some(cut.measured), cut.other));
        at.monitor.begin(&self.title(), Some(alphas.len() as u64));
        let words = direction.words;
        let line = Line::new(env.subject.theta().to_vec(), direction.direction)?;
        let center = at.found.point()?;
        let (slices, other) = (env.subject.slice_split().risk, env.subject.other);
        let mut measured = Measured::new(env, (Samples::Slices, slices), center.slices.0, measured)?;
        let mut others = match (other, center.other) {
            (Some(split), Some((loss, _))) => {
                Some(Measured::new(env, (Samples::Other, split.risk), loss, others)?)
            }
            _ => None,
        };
        let cut = |measured: &Measured<'_>, others: Option<&Measured<'_>>| Cut {
            name: self.name.clone(),
            direction: words.clone(),
            curvature,
            slope,
            prediction,
            alpha: alphas.clone(),
            measured: measured.losses.clone(),
            other: others.map(|m| m.losses.clone()),
        };
        let mut moved = vec![0.0; env.subject.theta().len()];
        let mut kept_at = Instant::now();
        for (i, &alpha) in alphas.iter().enumerate().skip(measured.losses.loss.len()) {
            let cancelled = at.monitor.cancelled();
            if cancelled || kept_at.elapsed() >= KEEP_EVERY {
                at.keep(&cut(&measured, others.as_ref()))?;
                kept_at = Instant::now();
            }
            at.check()?;
            line.point(alpha, &mut moved);
            for measured in [Some(&mut measured), others.as_mut()].into_iter().flatten() {
                measured.take(env, alpha, &moved)?;
            }
            at.monitor.advance(i as u64 + 1, "");
        }
        at.monitor.end("");
        Ok(cut(&measured, others.as_ref()))
    }

    fn file(&self, output: Cut, _slot: &Slot, found: &mut Found) -> Result<(), AnalysisError> {
        found.cuts.push(output);
        Ok(())
    }
}
