//! A line search along negative curvature: how much loss there is to gain, and what other samples say.

use super::super::directions::read_results;
use super::super::error::AnalysisError;
use super::super::found::Eigenpairs;
use super::super::found::Found;
use super::super::monitor::Monitor;
use super::super::plan::Forecast;
use super::super::results::{EscapeResult, smallest};
use super::super::stage::{At, Env, Keys, Samples, Stage, of};
use super::super::store::{Dependencies, Folder, Slot, differences};
use super::super::vectors;
use crate::number_text::fixed;
use crate::risk::Evaluation;
use crate::sampling_error::paired_difference;
use saddlescope_figure::minus;

/// Factor between steps of the search, and how many there are on each side.
const FACTOR: f64 = 1.5;
const STEPS: i32 = 14;

/// θ moved by `step` along `direction`, into `out`.
pub(crate) fn move_to(theta: &[f64], step: f64, direction: &[f64], out: &mut [f64]) {
    for ((o, t), d) in out.iter_mut().zip(theta).zip(direction) {
        *o = t + step * d;
    }
}

/// θ moved by `step` along `direction`.
pub fn moved(theta: &[f64], step: f64, direction: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; theta.len()];
    move_to(theta, step, direction, &mut out);
    out
}

/// The stage of the search: both ways along the eigenvector of λ_min with steps that grow by half, then golden section.
/// It applies where λ_min is certainly negative.
pub(crate) struct EscapeStage;

impl Stage for EscapeStage {
    type Output = EscapeResult;

    fn name(&self) -> String {
        "escape".into()
    }

    fn title(&self) -> String {
        "escape along negative curvature".into()
    }

    fn dependencies(&self, keys: &Keys) -> Dependencies {
        // The last: that errors are kept too.
        let mut of = of([("other", keys.other.clone()), ("kept", 2.into())]);
        keys.put_eigenpairs(&mut of);
        of
    }

    fn seeded(&self) -> bool {
        false
    }

    fn forecast(&self, _env: &Env<'_>) -> Forecast {
        Forecast { products: 0, evaluations: 40 }
    }

    fn applies(&self, found: &Found) -> bool {
        let smallest = found.eigenpairs.as_ref().and_then(Eigenpairs::smallest);
        smallest.is_some_and(|(p, _)| p.converged && p.interval[1] < 0.0)
    }

    fn compute(&self, at: &mut At<'_, '_>, _: Option<EscapeResult>) -> Result<EscapeResult, AnalysisError> {
        let Some((pair, vector)) = at.found.eigenpairs.as_ref().and_then(Eigenpairs::smallest) else {
            return Err(AnalysisError::Other("the escape needs the smallest eigenvalue".into()));
        };
        let (env, monitor) = (at.env, &mut *at.monitor);
        let (risk, theta) = (env.subject.risk(), env.subject.theta());
        let mut point = vec![0.0; theta.len()];
        let mut tried: Vec<[f64; 2]> = Vec::new();
        let before = at.found.point()?;
        let (here, accuracy_here, other_here) = (before.loss, before.accuracy, before.other);
        let mut evaluate = |step: f64, tried: &mut Vec<[f64; 2]>, monitor: &mut dyn Monitor| {
            if monitor.cancelled() {
                return Err(AnalysisError::Cancelled);
            }
            move_to(theta, step, vector, &mut point);
            let loss = env.evaluate(risk, &point)?.loss;
            tried.push([step, loss]);
            monitor.advance(tried.len() as u64, &minus(&format!("step {step:+.3e}, loss {loss:.6}")));
            Ok(loss)
        };
        // Smallest step: where the quadratic model gains 1e-4 of the loss.
        let scale = (2e-4 * here.abs().max(1e-6) / pair.value.abs()).sqrt();
        let mut best = (0.0, here);
        for side in [1.0, -1.0] {
            let mut last = here;
            for i in 0..STEPS {
                let step = side * scale * FACTOR.powi(i);
                let loss = evaluate(step, &mut tried, monitor)?;
                if loss < best.1 {
                    best = (step, loss);
                }
                // Once it rises above the start it will not come back soon.
                let falls = loss < last || loss < here;
                if !falls {
                    break;
                }
                last = loss;
            }
        }
        if best.0 != 0.0 {
            let (mut lo, mut hi) = (best.0 / FACTOR, best.0 * FACTOR);
            let golden = 0.5 * (5.0_f64.sqrt() - 1.0);
            for _ in 0..8 {
                let (a, b) = (hi - golden * (hi - lo), lo + golden * (hi - lo));
                let (la, lb) = (evaluate(a, &mut tried, monitor)?, evaluate(b, &mut tried, monitor)?);
                for (step, loss) in [(a, la), (b, lb)] {
                    if loss < best.1 {
                        best = (step, loss);
                    }
                }
                if la < lb {
                    hi = b;
                } else {
                    lo = a;
                }
            }
        }
        let point = moved(theta, best.0, vector);
        let after = env.evaluate(risk, &point)?;
        let there = env.subject.other.map(|split| env.evaluate(split.risk, &point)).transpose()?;
        let change = |samples: Samples, after: &Evaluation| -> Result<Option<f64>, AnalysisError> {
            Ok(paired_difference(env.here(samples)?, after).std_error)
        };
        let change_std_error = change(Samples::Main, &after)?;
        let other_change_std_error = match &there {
            Some(there) => change(Samples::Other, there)?,
            None => None,
        };
        let both = |before: Option<f64>, after: Option<f64>| Some([before?, after?]);
        let result = EscapeResult {
            step: best.0,
            loss: [here, after.loss],
            other_loss: both(other_here.map(|o| o.0), there.as_ref().map(|e| e.loss)),
            accuracy: both(accuracy_here, after.accuracy()),
            other_accuracy: both(other_here.and_then(|o| o.1), there.as_ref().and_then(Evaluation::accuracy)),
            change_std_error,
            other_change_std_error,
            tried,
        };
        monitor.end(&format!("loss {} → {}", fixed(result.loss[0], 6), fixed(result.loss[1], 6)));
        Ok(result)
    }

    fn file(&self, output: EscapeResult, _slot: &Slot, found: &mut Found) -> Result<(), AnalysisError> {
        found.escape = Some(output);
        Ok(())
    }
}

/// θ moved by the step that a finished analysis found, and what it found. `identity` is what that analysis must be of: the
/// model's weights and the data (see [`Subject::identity`](super::super::subject::Subject::identity)).
///
/// # Errors
/// If the folder holds no such analysis, or one of something else, or one without a search or whose search found no way out.
pub fn escaped_weights(
    dir: &std::path::Path,
    identity: &Dependencies,
    theta: &[f64],
) -> Result<(Vec<f64>, EscapeResult), AnalysisError> {
    let results = read_results(dir)?;
    let given = |problem: String| AnalysisError::Given { path: dir.join("results.json"), problem };
    let differences = differences(&Folder::identity(dir)?, identity);
    if !differences.is_empty() {
        return Err(given(format!("an analysis of something else: {differences}")));
    }
    let Some(escape) = results.escape else {
        let reason = match smallest(&results.eigenpairs) {
            Some(p) if !(p.converged && p.interval[1] < 0.0) => {
                "λ_min is not certainly negative, so there is no way down to search"
            }
            _ => "no search along negative curvature was made there; a full analysis in that folder makes it",
        };
        return Err(given(reason.into()));
    };
    if escape.step == 0.0 {
        return Err(given(format!("none of the {} steps tried lowers the loss", escape.tried.len())));
    }
    let key = results.stages.get("eigenpairs").map_or("", String::as_str);
    let file = dir.join("kept").join(format!("eigenpairs-{key}.safetensors"));
    let tensors = vectors::read(&file)?;
    let name = smallest(&results.eigenpairs).map_or("", |p| p.direction.as_str());
    let Some(vector) = tensors.get(name).map(|t| t.data.to_f64()).filter(|v| v.len() == theta.len()) else {
        return Err(given(format!("the eigenvector {name:?} is not in its folder")));
    };
    Ok((moved(theta, escape.step, &vector), escape))
}
