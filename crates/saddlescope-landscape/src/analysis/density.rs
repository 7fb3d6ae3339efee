//! The spectral density of the Hessian by stochastic Lanczos quadrature.

use std::ops::ControlFlow;

use saddlescope_krylov::{DensityOptions, Estimate, Precision, Progress, spectral_density};

use super::eigen::EigenStage;
use super::error::AnalysisError;
use super::folder::RunFolder;
use super::journal::Journal;
use super::memory::MemoryPlan;
use super::monitor::Monitor;
use super::options::AnalysisOptions;
use super::results::DensityResult;
use crate::curvature_operator::CurvatureOperator;
use crate::projection::Spectrum;
use crate::risk::Point;

const STAGE: &str = "density";
const LOG: &str = "density.products";
/// Points at which the density is evaluated.
const POINTS: usize = 801;
/// Random planes sampled from the spectrum.
const DRAWS: usize = 20_000;

/// Computes the density, or reads it. `None` if it was not asked for.
///
/// # Errors
/// Cancelled, or a folder that cannot be written.
pub fn density(
    near: &dyn Point,
    stage: Option<&EigenStage>,
    options: &AnalysisOptions,
    plan: &MemoryPlan,
    folder: &RunFolder,
    monitor: &mut dyn Monitor,
) -> Result<Option<DensityResult>, AnalysisError> {
    if options.density_probes == 0 {
        return Ok(None);
    }
    if let Some(result) = folder.load::<DensityResult>(STAGE)? {
        return Ok(Some(result));
    }
    let mut request = DensityOptions {
        probes: options.density_probes,
        steps: options.density_steps,
        block_size: options.density_probes.min(4),
        precision: Precision::F32,
        seed: options.seed,
        ..DensityOptions::default()
    };
    // As many bases at once as fit; where not even one does, its vectors are dropped as it goes.
    while request.block_size > 1 && request.basis_bytes(near.dim()) > plan.basis {
        request.block_size -= 1;
    }
    if request.basis_bytes(near.dim()) > plan.basis {
        request.reorthogonalise = false;
        monitor.note(
            "spectral density: --memory is too small to keep a basis; the bulk is resolved less finely",
        );
    }
    monitor.begin("spectral density", Some(request.max_products() as u64));
    let operator = CurvatureOperator::hessian(near);
    let journal = Journal::open(&operator, &folder.work(LOG))?;
    let mut cancelled = false;
    let found = spectral_density(&journal, &request, &mut |p: &Progress<'_>| {
        monitor.advance(p.products as u64, "");
        cancelled = monitor.cancelled();
        if cancelled { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .map_err(|e| AnalysisError::Other(e.to_string()))?;
    journal.finish()?;
    if cancelled {
        return Err(AnalysisError::Cancelled);
    }
    let Some((low, high)) = found.support() else { return Ok(None) };
    let low = stage.and_then(EigenStage::smallest).map_or(low, |(p, _)| low.min(p.value));
    let high = stage.and_then(EigenStage::largest).map_or(high, |(p, _)| high.max(p.value));
    let width = ((high - low) / 150.0).max(f64::MIN_POSITIVE);
    let (low, high) = (low - 4.0 * width, high + 4.0 * width);
    let at: Vec<f64> = (0..POINTS).map(|i| low + (high - low) * i as f64 / (POINTS - 1) as f64).collect();
    let (density, std_error) = found
        .density(&at, width)
        .into_iter()
        .map(|e| (e.value, if e.std_error.is_finite() { e.std_error } else { 0.0 }))
        .unzip();
    let probes = found.probes.len().max(1) as f64;
    let threshold = 1e-3 * high.abs().max(low.abs());
    let result = DensityResult {
        at,
        density,
        std_error,
        width,
        nodes: found.probes.iter().flat_map(|q| q.nodes.iter().copied()).collect(),
        weights: found.probes.iter().flat_map(|q| q.weights.iter().map(move |w| w / probes)).collect(),
        index: finite(found.index(0.0)),
        clearly_negative: finite(found.index(threshold)),
        threshold,
        products: found.products,
    };
    folder.save(STAGE, &result)?;
    folder.remove(LOG)?;
    monitor.end("");
    Ok(Some(result))
}

/// One probe has no standard error; JSON has no infinity: the value itself stands for it.
fn finite(e: Estimate) -> Estimate {
    Estimate { std_error: if e.std_error.is_finite() { e.std_error } else { e.value.abs() }, ..e }
}

/// Probability that a random Gaussian plane shows a saddle, sampled from the certified extreme eigenvalues and the
/// density of the rest.
///
/// # Errors
/// If the density holds numbers that are not finite.
pub fn saddle_probability(
    stage: Option<&EigenStage>,
    density: &DensityResult,
    n: usize,
    seed: u64,
) -> Result<Estimate, AnalysisError> {
    let top: Vec<f64> = stage.iter().flat_map(|s| &s.result.pairs).map(|p| p.value).collect();
    // Nodes at the known eigenvalues stand for those eigenvalues: leave them out of the rest.
    let tolerance =
        0.02 * (top.iter().copied().fold(f64::MIN, f64::max) - top.iter().copied().fold(f64::MAX, f64::min));
    let rest: Vec<(f64, f64)> = (density.nodes.iter().zip(&density.weights))
        .filter(|(x, w)| !(**w * (n as f64) < 3.0 && top.iter().any(|t| (*x - t).abs() <= tolerance)))
        .map(|(x, w)| (*x, *w))
        .collect();
    let (nodes, weights): (Vec<f64>, Vec<f64>) = rest.into_iter().unzip();
    let spectrum =
        Spectrum::from_density(&top, &nodes, &weights, n).map_err(|e| AnalysisError::Other(e.to_string()))?;
    let fraction = spectrum.saddle_probability(DRAWS, seed);
    Ok(Estimate { value: fraction.value(), std_error: fraction.std_error(), samples: DRAWS })
}
