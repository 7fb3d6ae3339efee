//! What can be read off the quadratures: densities, moments, index, fractions.

use serde::{Deserialize, Serialize};

use crate::{Estimate, Status};

/// Nodes and weights of one probe: ∫ f dμ ≈ Σ wᵢ f(θᵢ), weights adding up to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quadrature {
    /// The nodes θᵢ, ascending.
    pub nodes: Vec<f64>,
    /// The weights wᵢ ≥ 0.
    pub weights: Vec<f64>,
}

impl Quadrature {
    /// Σ wᵢ f(θᵢ).
    pub fn integrate(&self, f: impl Fn(f64) -> f64) -> f64 {
        self.nodes.iter().zip(&self.weights).map(|(&x, w)| w * f(x)).sum()
    }
}

/// The spectral density of an operator, as the quadratures of its probes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpectralDensity {
    /// Dimension of the space, the number of eigenvalues.
    pub n: usize,
    /// One quadrature per probe.
    pub probes: Vec<Quadrature>,
    /// Operator products used.
    pub products: usize,
    /// `Converged` when all probes made all their steps.
    pub status: Status,
}

impl SpectralDensity {
    /// (1/n) Σ f(λᵢ), the mean of f over the eigenvalues.
    pub fn mean_of(&self, f: impl Fn(f64) -> f64) -> Estimate {
        let samples: Vec<f64> = self.probes.iter().map(|q| q.integrate(&f)).collect();
        Estimate::from_samples(&samples)
    }

    /// (1/n) Σ λᵢᵏ.
    pub fn moment(&self, k: i32) -> Estimate {
        self.mean_of(|x| x.powi(k))
    }

    /// tr A = Σ λᵢ.
    pub fn trace(&self) -> Estimate {
        self.count_of(|x| x)
    }

    /// The index: how many eigenvalues lie below −`zero`, the width of what counts as zero.
    pub fn index(&self, zero: f64) -> Estimate {
        self.count_of(|x| f64::from(u8::from(x < -zero)))
    }

    /// Bounds of the index by the Chebyshev–Markov–Stieltjes inequalities (Golub and Meurant, *Matrices, Moments and Quadrature*, 2010):
    /// at a node, the weights of the nodes before it are at most the measure below, and with its own at least. Between two nodes a quadrature
    /// cannot tell where the eigenvalues are, however small the scatter over probes.
    pub fn index_bounds(&self, zero: f64) -> [f64; 2] {
        let n = self.n as f64;
        let below = |q: &Quadrature, of: fn(usize) -> usize| -> f64 {
            let nodes = of(q.nodes.partition_point(|x| *x < -zero)).min(q.weights.len());
            q.weights[..nodes].iter().sum()
        };
        let mean =
            |of| n * self.probes.iter().map(|q| below(q, of)).sum::<f64>() / self.probes.len().max(1) as f64;
        [mean(|k: usize| k.saturating_sub(1)), mean(|k: usize| k + 1).min(n)]
    }

    /// The fraction of the eigenvalues below a threshold; one exactly at it counts half.
    pub fn fraction_below(&self, threshold: f64) -> Estimate {
        self.mean_of(|x| if x == threshold { 0.5 } else { f64::from(u8::from(x < threshold)) })
    }

    /// The density at each point of `grid`, every node spread to a Gaussian of standard deviation `width`.
    ///
    /// The curve integrates to 1. A width that is zero or not a number gives NaN.
    pub fn density(&self, grid: &[f64], width: f64) -> Vec<Estimate> {
        let scale = 1.0 / (width * (2.0 * std::f64::consts::PI).sqrt());
        grid.iter().map(|&x| self.mean_of(|t| scale * (-0.5 * ((x - t) / width).powi(2)).exp())).collect()
    }

    /// The smallest and largest node.
    pub fn support(&self) -> Option<(f64, f64)> {
        let first = self.probes.iter().filter_map(|q| q.nodes.first().copied());
        let last = self.probes.iter().filter_map(|q| q.nodes.last().copied());
        Some((first.reduce(f64::min)?, last.reduce(f64::max)?))
    }

    /// A width for [`SpectralDensity::density`] that the steps can resolve: the range over the number of nodes.
    pub fn resolution(&self) -> Option<f64> {
        let (low, high) = self.support()?;
        let nodes = self.probes.iter().map(|q| q.nodes.len()).max()?;
        Some((high - low) / nodes as f64)
    }

    /// Σ f(λᵢ).
    fn count_of(&self, f: impl Fn(f64) -> f64) -> Estimate {
        let mean = self.mean_of(f);
        let n = self.n as f64;
        Estimate { value: n * mean.value, std_error: n * mean.std_error, samples: mean.samples }
    }
}
