//! Gaussian probes z and their products Hz: trace, Frobenius norm, layers and random planes from the same products.
//!
//! With z ~ N(0, I): E[zᵀHz] = tr H (2.22), E‖Hz‖² = tr H², the part of zᵀHz in one tensor estimates the trace of its
//! diagonal block, and two probes are the two directions of a random plane (2.9) with A, B, C of (2.15).

use std::ops::ControlFlow;

use crate::risk::Curvature;
use saddlescope_krylov::{Estimate, Stream};
use serde::{Deserialize, Serialize};

use super::error::AnalysisError;
use super::folder::RunFolder;
use super::monitor::Monitor;
use super::options::AnalysisOptions;
use super::results::{LayerTrace, PlanesResult, TraceResult};
use crate::curvature_fit::{CurvatureFit, CurvatureFitOptions, FitInterval, fit_trace};
use crate::direction::{Direction, Unfiltered, filter_normalize};
use crate::layout::ParamLayout;
use crate::numeric::dot;
use crate::projection::{Fraction, PlaneHessian, PlaneShape};
use crate::risk::{Point, Risk};

/// Probes multiplied at a time: they share the primal half of a product.
const BLOCK: usize = 4;

/// What was measured along the probes so far; saved after every block.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Probes {
    /// zᵀHz of each probe.
    pub quadratic: Vec<f64>,
    /// ‖Hz‖² of each probe.
    pub square: Vec<f64>,
    /// zᵀHz restricted to each tensor, one row a probe.
    pub layers: Vec<Vec<f64>>,
    /// z₂ᵢᵀHz₂ᵢ₊₁ of each pair.
    pub mixed: Vec<f64>,
}

/// Probe number i.
pub fn probe(n: usize, seed: u64, i: usize) -> Vec<f64> {
    let mut z = vec![0.0; n];
    Stream::new(seed, "probe", i as u64).fill_normal(&mut z);
    z
}

/// Measures the probes that are missing.
///
/// # Errors
/// Cancelled, or a folder that cannot be written.
pub fn measure(
    near: &dyn Point,
    layout: &ParamLayout,
    options: &AnalysisOptions,
    folder: &RunFolder,
    monitor: &mut dyn Monitor,
) -> Result<Probes, AnalysisError> {
    let n = layout.len();
    let wanted = options.probes.next_multiple_of(2);
    let mut probes = folder.load::<Probes>("probes")?.unwrap_or_default();
    monitor.begin("random probes", Some(wanted as u64));
    while probes.quadratic.len() < wanted {
        if monitor.cancelled() {
            return Err(AnalysisError::Cancelled);
        }
        let first = probes.quadratic.len();
        let count = BLOCK.min(wanted - first);
        let zs: Vec<f64> = (first..first + count).flat_map(|i| probe(n, options.seed, i)).collect();
        let mut hzs = vec![0.0; zs.len()];
        near.product(Curvature::Hessian, &zs, &mut hzs)?;
        for (z, hz) in zs.chunks_exact(n).zip(hzs.chunks_exact(n)) {
            let layers: Vec<f64> =
                layout.blocks.iter().map(|b| dot(&z[b.range.clone()], &hz[b.range.clone()])).collect();
            probes.quadratic.push(layers.iter().sum());
            probes.layers.push(layers);
            probes.square.push(dot(hz, hz));
        }
        for pair in 0..count / 2 {
            let (z, hz) = (&zs[2 * pair * n..][..n], &hzs[(2 * pair + 1) * n..][..n]);
            probes.mixed.push(dot(z, hz));
        }
        folder.save("probes", &probes)?;
        monitor.advance(probes.quadratic.len() as u64, &format!("tr H ≈ {:.4}", mean(&probes.quadratic)));
    }
    monitor.end("");
    Ok(probes)
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

/// Running means with their standard errors.
fn running(values: &[f64]) -> (Vec<f64>, Vec<f64>) {
    (1..=values.len())
        .map(|k| {
            let e = Estimate::from_samples(&values[..k]);
            (e.value, if k < 2 { f64::NAN } else { e.std_error })
        })
        .unzip()
}

/// The trace with both methods; `fits` are the curvatures of the fits along the same probes.
pub fn trace(probes: &Probes, fits: &[f64], warning: Option<String>) -> TraceResult {
    let (running_hutchinson, running_hutchinson_error) = running(&probes.quadratic);
    TraceResult {
        hutchinson: Estimate::from_samples(&probes.quadratic),
        curvature_fit: (!fits.is_empty()).then(|| Estimate::from_samples(fits)),
        curvature_fit_warning: warning,
        trace_of_square: Estimate::from_samples(&probes.square),
        running_hutchinson,
        running_hutchinson_error,
        running_fit: running(fits).0,
    }
}

/// Traces of the diagonal blocks of all tensors.
pub fn layers(probes: &Probes, layout: &ParamLayout) -> Vec<LayerTrace> {
    (layout.blocks.iter().enumerate())
        .map(|(i, block)| {
            let values: Vec<f64> = probes.layers.iter().map(|row| row[i]).collect();
            LayerTrace {
                name: block.name.clone(),
                parameters: block.range.len(),
                trace: Estimate::from_samples(&values),
            }
        })
        .collect()
}

/// Counts what planes show.
pub fn count(planes: &[PlaneHessian]) -> PlanesResult {
    let curvatures: Vec<[f64; 2]> = (planes.iter())
        .map(|p| {
            let k = p.curvatures();
            [k.minus, k.plus]
        })
        .collect();
    let shapes: Vec<PlaneShape> = planes.iter().map(|p| p.curvatures().shape()).collect();
    let of = |shape| Fraction::count(&shapes, |s| *s == shape);
    let mean = |i: usize| Estimate::from_samples(&curvatures.iter().map(|k| k[i]).collect::<Vec<_>>());
    let (low, high) = of(PlaneShape::Saddle).interval(1.96);
    PlanesResult {
        kappa_minus: mean(0),
        kappa_plus: mean(1),
        curvatures,
        minima: of(PlaneShape::Minimum).hits,
        saddles: of(PlaneShape::Saddle).hits,
        maxima: of(PlaneShape::Maximum).hits,
        saddle_interval: [low, high],
    }
}

/// The random planes that the probes span, two by two.
pub fn planes(probes: &Probes) -> PlanesResult {
    let planes: Vec<PlaneHessian> = (probes.mixed.iter().enumerate())
        .map(|(i, &b)| PlaneHessian { a: probes.quadratic[2 * i], b, c: probes.quadratic[2 * i + 1] })
        .collect();
    count(&planes)
}

/// A random direction, filter-normalised against θ (Li et al. 2018).
///
/// # Errors
/// If nothing is left of the direction.
pub fn filtered_direction(
    theta: &[f64],
    layout: &ParamLayout,
    options: &AnalysisOptions,
    stream: u64,
) -> Result<Direction, AnalysisError> {
    let unfiltered = if options.keep_biases { Unfiltered::Keep } else { Unfiltered::Zero };
    let direction = Direction::random(theta.len(), options.seed, 1_000_000 + stream)?;
    Ok(filter_normalize(direction, theta, layout, unfiltered)?)
}

/// Curvatures of filter-normalised random planes.
///
/// # Errors
/// Cancelled, or a folder that cannot be written.
pub fn filtered_planes(
    near: &dyn Point,
    theta: &[f64],
    layout: &ParamLayout,
    options: &AnalysisOptions,
    folder: &RunFolder,
    monitor: &mut dyn Monitor,
) -> Result<PlanesResult, AnalysisError> {
    let mut found: Vec<[f64; 3]> = folder.load("filtered_planes")?.unwrap_or_default();
    let n = theta.len();
    monitor.begin("filter-normalised random planes", Some(options.filtered_planes as u64));
    while found.len() < options.filtered_planes {
        if monitor.cancelled() {
            return Err(AnalysisError::Cancelled);
        }
        let first = 2 * found.len() as u64;
        let mut vs = filtered_direction(theta, layout, options, first)?.into_vector();
        vs.extend(filtered_direction(theta, layout, options, first + 1)?.into_vector());
        let mut hvs = vec![0.0; vs.len()];
        near.product(Curvature::Hessian, &vs, &mut hvs)?;
        found.push([dot(&vs[..n], &hvs[..n]), dot(&vs[..n], &hvs[n..]), dot(&vs[n..], &hvs[n..])]);
        folder.save("filtered_planes", &found)?;
        monitor.advance(found.len() as u64, "");
    }
    monitor.end("");
    let planes: Vec<PlaneHessian> = found.iter().map(|&[a, b, c]| PlaneHessian { a, b, c }).collect();
    Ok(count(&planes))
}

/// The trace from least-squares curvatures of slices along the same probes (function values only).
///
/// # Errors
/// Cancelled, or a folder that cannot be written.
pub fn fits(
    risk: &dyn Risk,
    theta: &[f64],
    loss: f64,
    options: &AnalysisOptions,
    folder: &RunFolder,
    monitor: &mut dyn Monitor,
) -> Result<Option<CurvatureFit>, AnalysisError> {
    if options.fit_points == 0 {
        return Ok(None);
    }
    if let Some(fit) = folder.load::<CurvatureFit>("fits")? {
        return Ok(Some(fit));
    }
    let count = options.fit_points.max(3);
    let interval = match options.fit_radius {
        Some(r) => FitInterval::Points { lo: -r, hi: r, count },
        // A tenth of the loss: far above the rounding of f32, small enough to stay nearly quadratic.
        None => FitInterval::FromCurvature { loss_change: 0.1 * loss.abs().max(1e-3), count },
    };
    let request = CurvatureFitOptions {
        probes: options.probes.next_multiple_of(2),
        seed: options.seed,
        interval,
        ..CurvatureFitOptions::default()
    };
    monitor.begin("curvature fits", Some(request.probes as u64));
    let mut cancelled = false;
    let fit = fit_trace(risk, theta, &request, &mut |done| {
        monitor.advance(done as u64, "");
        cancelled = monitor.cancelled();
        if cancelled { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    if cancelled {
        return Err(AnalysisError::Cancelled);
    }
    let fit = fit.map_err(|e| AnalysisError::Other(e.to_string()))?;
    folder.save("fits", &fit)?;
    monitor.end("");
    Ok(Some(fit))
}
