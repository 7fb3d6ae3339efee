//! A line search along negative curvature: how much loss there is to gain, and what other samples say.

use saddlescope_data::weights::TensorMap;

use super::eigen::EigenStage;
use super::error::AnalysisError;
use super::folder::RunFolder;
use super::monitor::Monitor;
use super::results::{EscapeResult, smallest};
use super::slice_request::read_results;
use crate::risk::{Evaluation, Risk, RiskError};

/// Factor between steps of the search, and how many there are on each side.
const FACTOR: f64 = 1.5;
const STEPS: i32 = 14;

fn at(theta: &[f64], step: f64, direction: &[f64], out: &mut [f64]) {
    for ((o, t), d) in out.iter_mut().zip(theta).zip(direction) {
        *o = t + step * d;
    }
}

/// θ moved by `step` along `direction`.
pub fn moved(theta: &[f64], step: f64, direction: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; theta.len()];
    at(theta, step, direction, &mut out);
    out
}

/// Searches both ways along the eigenvector of λmin with steps that grow by half, then refines by golden section.
/// `None` if λmin is not certainly negative.
///
/// # Errors
/// Cancelled, or a folder that cannot be written.
pub fn search(
    risk: &dyn Risk,
    other: Option<&dyn Risk>,
    theta: &[f64],
    stage: &EigenStage,
    folder: &RunFolder,
    monitor: &mut dyn Monitor,
) -> Result<Option<EscapeResult>, AnalysisError> {
    if let Some(result) = folder.load::<EscapeResult>("escape")? {
        return Ok(Some(result));
    }
    let Some((pair, vector)) = stage.smallest().filter(|(p, _)| p.converged && p.interval[1] < 0.0) else {
        return Ok(None);
    };
    monitor.begin("escape along negative curvature", None);
    let mut point = vec![0.0; theta.len()];
    let mut tried: Vec<[f64; 2]> = Vec::new();
    let before = risk.evaluate(theta)?;
    let mut evaluate = |step: f64, tried: &mut Vec<[f64; 2]>, monitor: &mut dyn Monitor| {
        if monitor.cancelled() {
            return Err(AnalysisError::Cancelled);
        }
        at(theta, step, vector, &mut point);
        let loss = risk.evaluate(&point)?.loss;
        tried.push([step, loss]);
        monitor.advance(tried.len() as u64, &format!("step {step:+.3e}, loss {loss:.6}"));
        Ok(loss)
    };
    // Smallest step: where the quadratic model gains 1e-4 of the loss.
    let scale = (2e-4 * before.loss.abs().max(1e-6) / pair.value.abs()).sqrt();
    let mut best = (0.0, before.loss);
    for side in [1.0, -1.0] {
        let mut last = before.loss;
        for i in 0..STEPS {
            let step = side * scale * FACTOR.powi(i);
            let loss = evaluate(step, &mut tried, monitor)?;
            if loss < best.1 {
                best = (step, loss);
            }
            // Once it rises above the start it will not come back soon.
            let falls = loss < last || loss < before.loss;
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
    let after = risk.evaluate(&point)?;
    let others: Option<(Evaluation, Evaluation)> =
        other.map(|r| Ok::<_, RiskError>((r.evaluate(theta)?, r.evaluate(&point)?))).transpose()?;
    let both = |a: &Evaluation, b: &Evaluation| Some([a.accuracy()?, b.accuracy()?]);
    let result = EscapeResult {
        step: best.0,
        loss: [before.loss, after.loss],
        other_loss: others.as_ref().map(|(a, b)| [a.loss, b.loss]),
        accuracy: both(&before, &after),
        other_accuracy: others.as_ref().and_then(|(a, b)| both(a, b)),
        tried,
    };
    folder.save("escape", &result)?;
    monitor.end(&format!("loss {:.6} → {:.6}", result.loss[0], result.loss[1]));
    Ok(Some(result))
}

/// θ moved by the step that a finished analysis found, and what it found. `weights` is the fingerprint of the model.
///
/// # Errors
/// If the folder holds no such analysis, or one of other weights, or one that found no way out.
pub fn escaped_weights(
    dir: &std::path::Path,
    weights: &str,
    theta: &[f64],
) -> Result<(Vec<f64>, EscapeResult), AnalysisError> {
    let path = dir.join("results.json");
    let results = read_results(dir)?;
    if let Some(problem) = results.other_weights(weights) {
        return Err(AnalysisError::Other(format!("{}: {problem}", path.display())));
    }
    let Some(escape) = results.escape.filter(|e| e.step != 0.0) else {
        return Err(AnalysisError::Other(format!("{}: no step lowers the loss", path.display())));
    };
    let tensors = TensorMap::read(&dir.join("work").join("eigenvectors.safetensors"))?;
    let name = smallest(&results.eigenpairs).map_or("", |p| p.direction.as_str());
    let Some(vector) = tensors.get(name).map(|t| t.data.to_f64()).filter(|v| v.len() == theta.len()) else {
        return Err(AnalysisError::Other(format!(
            "{}: the eigenvector {name:?} is not in its folder",
            path.display()
        )));
    };
    Ok((moved(theta, escape.step, &vector), escape))
}
