//! Random planes through real Hessian products.

use super::{Fraction, Histogram, HistogramError, Normal, PlaneHessian, PlaneShape};
use crate::evaluation::{Threading, in_batches};
use crate::numeric::dot;
use crate::random;
use crate::risk::{Curvature, Point, RiskError};
use saddlescope_krylov::Estimate;
use std::ops::ControlFlow;

/// How an ensemble is drawn.
#[derive(Clone, Copy, Debug)]
pub struct EnsembleOptions {
    /// Number of planes S.
    pub draws: usize,
    /// Seed; plane d uses the streams 2d (η) and 2d + 1 (δ).
    pub seed: u64,
    /// Spread the planes over threads, or not because the products use the threads themselves.
    pub threading: Threading,
}

/// Why an ensemble cannot be drawn.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EnsembleError {
    /// A product failed.
    #[error(transparent)]
    Risk(#[from] RiskError),
    /// No parameters.
    #[error("the risk has no parameters")]
    Empty,
    /// More directions than dimensions, or none.
    #[error("{k} random directions in {n} dimensions; expected 1 ≤ k ≤ {n}")]
    Directions {
        /// Directions asked for.
        k: usize,
        /// Number of parameters.
        n: usize,
    },
}

/// The Hessians of S random planes through one point.
#[derive(Clone, Debug, PartialEq)]
pub struct PlaneEnsemble {
    /// N, the number of parameters.
    pub dim: usize,
    /// Seed of the directions.
    pub seed: u64,
    /// A, B, C of each plane, in the order of the draws.
    pub planes: Vec<PlaneHessian>,
    /// ½ (‖Hη‖² + ‖Hδ‖²) of each plane: its mean is tr(H²).
    pub image_norms: Vec<f64>,
}

/// Numbers that a block of directions may hold, so that directions and products stay in a core's cache.
const BLOCK_NUMBERS: usize = 16 * 1024;

/// Draws `options.draws` planes (η, δ) with components from N(0, 1) and projects the Hessian at `point` on each:
/// A = ηᵀHη, B = ηᵀHδ, C = δᵀHδ (2.15), with two Hessian-vector products a plane.
///
/// `n` is the number of parameters. `on_progress` is told how many planes are done and may stop; the planes so far
/// are then returned. Results have the same bits on any number of threads.
///
/// # Errors
/// n < 2, or a product that fails.
pub fn sample_planes(
    point: &dyn Point,
    n: usize,
    options: EnsembleOptions,
    on_progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<PlaneEnsemble, EnsembleError> {
    if n == 0 {
        return Err(EnsembleError::Empty);
    }
    if n < 2 {
        return Err(EnsembleError::Directions { k: 2, n });
    }
    let per_block = (BLOCK_NUMBERS / (2 * n)).clamp(1, 32);
    let blocks = options.draws.div_ceil(per_block);
    let project = |buffers: &mut (Vec<f64>, Vec<f64>), block: usize| {
        let first = block * per_block;
        let count = per_block.min(options.draws - first);
        project_block(point, n, options.seed, first, count, buffers)
    };
    let buffers = || (vec![0.0; 2 * per_block * n], vec![0.0; 2 * per_block * n]);
    let mut ensemble = PlaneEnsemble {
        dim: n,
        seed: options.seed,
        planes: Vec::with_capacity(options.draws),
        image_norms: Vec::with_capacity(options.draws),
    };
    let mut failure: Option<RiskError> = None;
    in_batches(blocks, options.threading, buffers, project, &mut |results| {
        for result in results {
            match result {
                Ok(block) => {
                    for (plane, image_norm) in block {
                        ensemble.planes.push(plane);
                        ensemble.image_norms.push(image_norm);
                    }
                }
                Err(error) => {
                    failure = Some(error);
                    return ControlFlow::Break(());
                }
            }
        }
        on_progress(ensemble.planes.len())
    });
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(ensemble),
    }
}

/// Planes `first..first + count`: directions, products, A, B, C and ½ (‖Hη‖² + ‖Hδ‖²).
fn project_block(
    point: &dyn Point,
    n: usize,
    seed: u64,
    first: usize,
    count: usize,
    (directions, products): &mut (Vec<f64>, Vec<f64>),
) -> Result<Vec<(PlaneHessian, f64)>, RiskError> {
    let directions = &mut directions[..2 * count * n];
    let products = &mut products[..2 * count * n];
    for (i, direction) in directions.chunks_exact_mut(n).enumerate() {
        random::fill_normal(seed, (2 * first + i) as u64, direction);
    }
    point.product(Curvature::Hessian, directions, products)?;
    Ok(directions
        .chunks_exact(2 * n)
        .zip(products.chunks_exact(2 * n))
        .map(|(pair, images)| {
            let (eta, delta) = pair.split_at(n);
            let (h_eta, h_delta) = images.split_at(n);
            let plane = PlaneHessian { a: dot(eta, h_eta), b: dot(eta, h_delta), c: dot(delta, h_delta) };
            (plane, 0.5 * dot(images, images))
        })
        .collect())
}

impl PlaneEnsemble {
    /// κ₊ of each plane.
    pub fn kappa_plus(&self) -> Vec<f64> {
        self.planes.iter().map(|plane| plane.curvatures().plus).collect()
    }

    /// κ₋ of each plane.
    pub fn kappa_minus(&self) -> Vec<f64> {
        self.planes.iter().map(|plane| plane.curvatures().minus).collect()
    }

    /// The fraction of planes of one shape.
    pub fn fraction(&self, shape: PlaneShape) -> Fraction {
        Fraction::count(&self.planes, |plane| plane.curvatures().shape() == shape)
    }

    /// Counted Pr(κ₊κ₋ > 0): planes that do not show a saddle.
    pub fn same_sign_fraction(&self) -> Fraction {
        Fraction::count(&self.planes, |plane| {
            matches!(plane.curvatures().shape(), PlaneShape::Minimum | PlaneShape::Maximum)
        })
    }

    /// tr H as the mean of (A + C)/2 (2.18–2.19), from 2S independent directions.
    pub fn trace(&self) -> Estimate {
        let values: Vec<f64> = self.planes.iter().flat_map(|plane| [plane.a, plane.c]).collect();
        Estimate::from_samples(&values)
    }

    /// tr H² as the mean of ‖Hη‖².
    pub fn trace_of_square(&self) -> Estimate {
        Estimate::from_samples(&self.image_norms)
    }

    /// Mean curvature 𝓗 = tr H / N (2.20).
    pub fn mean_curvature(&self) -> Estimate {
        let trace = self.trace();
        let n = self.dim as f64;
        Estimate { value: trace.value / n, std_error: trace.std_error / n, samples: trace.samples }
    }

    /// Normal approximations of κ₊ and κ₋.
    pub fn normal_approximations(&self) -> (Normal, Normal) {
        (Normal::fit(&self.kappa_plus()), Normal::fit(&self.kappa_minus()))
    }

    /// Histograms of κ₊ and κ₋ on common bins.
    ///
    /// # Errors
    /// No bins, or no finite curvature.
    pub fn histograms(&self, bins: usize) -> Result<(Histogram, Histogram), HistogramError> {
        let (plus, minus) = (self.kappa_plus(), self.kappa_minus());
        let both: Vec<f64> = plus.iter().chain(&minus).copied().collect();
        let range = Histogram::of(&both, bins)?;
        Ok((
            Histogram::in_range(&plus, range.lo, range.hi, bins)?,
            Histogram::in_range(&minus, range.lo, range.hi, bins)?,
        ))
    }
}
