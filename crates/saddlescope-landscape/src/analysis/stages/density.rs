//! The spectral density of the Hessian by stochastic Lanczos quadrature.

use std::ops::ControlFlow;

use saddlescope_krylov::{
    DensityOptions, Estimate, Precision, Progress, Quadrature, SpectralDensity, Status, spectral_density,
};

use super::super::error::AnalysisError;
use super::super::found::Eigenpairs;
use super::super::found::{Found, Quadratures};
use super::super::journal::Journal;
use super::super::plan::Forecast;
use super::super::results::DensityResult;
use super::super::selection::DensityStageOptions;
use super::super::stage::{At, Env, Keys, Stage, of};
use super::super::store::{Dependencies, Slot};
use crate::curvature_operator::CurvatureOperator;
use crate::projection::Spectrum;

/// Points at which the density is evaluated.
const POINTS: usize = 801;
/// Random planes sampled from the spectrum.
const DRAWS: usize = 20_000;
/// Probes that are multiplied at a time: they share the primal half of a product.
const GROUP: usize = 4;

impl Quadratures {
    fn first(mut self, probes: usize) -> Self {
        self.nodes.truncate(probes);
        self.weights.truncate(probes);
        self.products.truncate(probes);
        self
    }

    fn len(&self) -> usize {
        self.nodes.len()
    }
}

/// The stage of the density; more probes go on where fewer were used.
pub(crate) struct DensityStage {
    /// Probes and steps.
    pub options: DensityStageOptions,
    /// Bytes that the bases may take together.
    pub basis: usize,
}

impl Stage for DensityStage {
    type Output = Quadratures;

    fn name(&self) -> String {
        "density".into()
    }

    fn title(&self) -> String {
        "spectral density".into()
    }

    fn dependencies(&self, _keys: &Keys) -> Dependencies {
        of([("steps", self.options.steps.into()), ("basis_bytes", self.basis.into())])
    }

    fn forecast(&self, _env: &Env<'_>) -> Forecast {
        Forecast { products: self.options.probes * self.options.steps, evaluations: 0 }
    }

    fn suffices(&self, kept: &Quadratures) -> bool {
        kept.len() >= self.options.probes
    }

    fn compute(&self, at: &mut At<'_, '_>, kept: Option<Quadratures>) -> Result<Quadratures, AnalysisError> {
        // Only whole groups are gone on from: the bits of a product may depend on the size of its block.
        let kept = kept.unwrap_or_default();
        let whole = kept.len() / GROUP * GROUP;
        let mut found = kept.first(whole);
        let (wanted, steps) = (self.options.probes, self.options.steps);
        let most = wanted * steps;
        at.monitor.begin(&self.title(), Some(most as u64));
        let mut told = false;
        while found.len() < wanted {
            let first = found.len();
            let probes = GROUP.min(wanted - first);
            let mut request = DensityOptions {
                first_probe: first,
                probes,
                steps,
                block_size: probes,
                precision: Precision::F32,
                seed: at.env.selection.seed,
                ..DensityOptions::default()
            };
            let n = at.env.subject.theta().len();
            // As many bases at once as fit; where not even one does, its vectors are dropped as it goes.
            while request.block_size > 1 && request.basis_bytes(n) > self.basis {
                request.block_size -= 1;
            }
            if request.basis_bytes(n) > self.basis {
                request.reorthogonalise = false;
                if !told {
                    at.monitor.note(
                        "spectral density: the memory allowed is too small to keep a basis; the bulk is resolved less finely",
                    );
                    told = true;
                }
            }
            let log = format!("products-{first}");
            let operator = CurvatureOperator::hessian(at.env.point()?);
            let journal = Journal::open(&operator, &at.slot.file(&log))?;
            let monitor = &mut *at.monitor;
            let mut cancelled = false;
            let density = spectral_density(&journal, &request, &mut |p: &Progress<'_>| {
                monitor.advance((first * steps + p.products) as u64, "");
                cancelled = monitor.cancelled();
                if cancelled { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            journal.finish()?;
            if cancelled || density.status == Status::Cancelled {
                return Err(AnalysisError::Cancelled);
            }
            at.env.count_products(density.products);
            let each = density.products / probes;
            for quadrature in density.probes {
                found.nodes.push(quadrature.nodes);
                found.weights.push(quadrature.weights);
                found.products.push(each);
            }
            if density.status != Status::Converged {
                return Err(AnalysisError::Other(format!("spectral density: {}", density.status)));
            }
            at.keep(&found)?;
            at.slot.remove(&log)?;
        }
        at.monitor.end("");
        Ok(found)
    }

    fn file(&self, output: Quadratures, _slot: &Slot, found: &mut Found) -> Result<(), AnalysisError> {
        found.density = Some(output.first(self.options.probes));
        Ok(())
    }
}

/// The smoothed density with its errors, over the support of the quadratures and of the eigenvalues found.
pub(crate) fn curve(found: &Quadratures, eigenpairs: Option<&Eigenpairs>, n: usize) -> Option<DensityResult> {
    let probes = (found.nodes.iter().zip(&found.weights))
        .map(|(nodes, weights)| Quadrature { nodes: nodes.clone(), weights: weights.clone() })
        .collect();
    let products = found.products.iter().sum();
    let found = SpectralDensity { n, probes, products, status: Status::Converged };
    let (low, high) = found.support()?;
    let low = eigenpairs.and_then(Eigenpairs::smallest).map_or(low, |(p, _)| low.min(p.value));
    let high = eigenpairs.and_then(Eigenpairs::largest).map_or(high, |(p, _)| high.max(p.value));
    let width = ((high - low) / 150.0).max(f64::MIN_POSITIVE);
    let (low, high) = (low - 4.0 * width, high + 4.0 * width);
    let at: Vec<f64> = (0..POINTS).map(|i| low + (high - low) * i as f64 / (POINTS - 1) as f64).collect();
    let (density, std_error) = found
        .density(&at, width)
        .into_iter()
        // One probe has no standard error: NaN, `null` in JSON.
        .map(|e| (e.value, e.known_error().unwrap_or(f64::NAN)))
        .unzip();
    let probes = found.probes.len().max(1) as f64;
    let threshold = 1e-3 * high.abs().max(low.abs());
    Some(DensityResult {
        at,
        density,
        std_error,
        width,
        nodes: found.probes.iter().flat_map(|q| q.nodes.iter().copied()).collect(),
        weights: found.probes.iter().flat_map(|q| q.weights.iter().map(move |w| w / probes)).collect(),
        index: found.index(0.0),
        clearly_negative: found.index(threshold),
        index_bounds: found.index_bounds(0.0),
        clearly_negative_bounds: found.index_bounds(threshold),
        threshold,
        products: found.products,
    })
}

/// Probability that a random Gaussian plane shows a saddle, sampled from the certified extreme eigenvalues and the
/// density of the rest.
///
/// # Errors
/// If the density holds numbers that are not finite.
pub(crate) fn saddle_probability(
    eigenpairs: Option<&Eigenpairs>,
    density: &DensityResult,
    n: usize,
    seed: u64,
) -> Result<Estimate, AnalysisError> {
    let top: Vec<f64> = eigenpairs.iter().flat_map(|e| &e.result.pairs).map(|p| p.value).collect();
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
    // None or all of the draws: the variance is zero, the uncertainty is not (Wilson's interval at one standard deviation).
    let std_error = match fraction.std_error() {
        error if error > 0.0 => error,
        _ => {
            let (low, high) = fraction.interval(1.0);
            (high - fraction.value()).max(fraction.value() - low)
        }
    };
    Ok(Estimate { value: fraction.value(), std_error, samples: DRAWS })
}
