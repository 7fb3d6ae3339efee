//! The Lanczos runs behind a density, several probes side by side.

use serde::{Deserialize, Serialize};

use super::{DensityError, Quadrature, SpectralDensity};
use crate::basis::{Basis, Precision};
use crate::projected::symmetric_eigen;
use crate::rng::Stream;
use crate::{Forecast, Observer, ProductError, Progress, Status, SymmetricOperator, vector};

/// Distribution of the probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProbeKind {
    /// Signs ±1/√n.
    Rademacher,
    /// Uniform on the unit sphere.
    Sphere,
}

/// Options of [`spectral_density`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DensityOptions {
    /// Number of the first probe: a run of probes 4 to 8 continues one of probes 0 to 4.
    pub first_probe: usize,
    /// Number of probes: the standard errors shrink with its root.
    pub probes: usize,
    /// Lanczos steps, that is products, of each probe: the resolution grows with it.
    pub steps: usize,
    /// Probes multiplied at a time; this many bases are in memory at once.
    pub block_size: usize,
    /// Keep each basis and reorthogonalise (memory for `steps` vectors). Without it only two vectors are kept, and
    /// converged outliers appear as several nodes close together that share one weight: the density is the same,
    /// the resolution of the rest is less.
    pub reorthogonalise: bool,
    /// How basis vectors are stored.
    pub precision: Precision,
    /// Distribution of the probes.
    pub kind: ProbeKind,
    /// Seed of the probes.
    pub seed: u64,
}

impl Default for DensityOptions {
    fn default() -> Self {
        Self {
            first_probe: 0,
            probes: 16,
            steps: 64,
            block_size: 4,
            reorthogonalise: true,
            precision: Precision::F64,
            kind: ProbeKind::Sphere,
            seed: 0,
        }
    }
}

impl DensityOptions {
    /// Operator products at most.
    pub fn max_products(&self) -> usize {
        self.probes.saturating_mul(self.steps)
    }

    /// Bytes of basis vectors at most, for vectors of length n.
    pub fn basis_bytes(&self, n: usize) -> usize {
        let vectors = if self.reorthogonalise { self.steps.min(n) + 1 } else { 3 };
        self.block_size.min(self.probes).saturating_mul(vectors).saturating_mul(n * self.precision.bytes())
    }
}

/// The spectral density of `operator`.
///
/// A run that is cancelled returns what it has: probes whose recurrence had begun give a quadrature with fewer nodes.
///
/// # Errors
/// [`DensityError`] when the request cannot be carried out or the operator fails.
pub fn spectral_density(
    operator: &dyn SymmetricOperator,
    options: &DensityOptions,
    observer: &mut dyn Observer,
) -> Result<SpectralDensity, DensityError> {
    let (rows, cols) = (operator.nrows(), operator.ncols());
    if rows != cols {
        return Err(DensityError::NotSquare { rows, cols });
    }
    let numbers = [
        ("the number of probes", options.probes),
        ("the number of steps", options.steps),
        ("the block size", options.block_size),
    ];
    if let Some((what, _)) = numbers.iter().find(|(_, x)| *x == 0) {
        return Err(DensityError::Zero { what });
    }
    let mut density = SpectralDensity { n: cols, probes: Vec::new(), products: 0, status: Status::Converged };
    if cols == 0 {
        return Ok(density);
    }
    for first in (0..options.probes).step_by(options.block_size) {
        let mut group: Vec<Recurrence> = (first..options.probes.min(first + options.block_size))
            .map(|i| Recurrence::start(operator, options.first_probe + i, options))
            .collect::<Result<_, _>>()?;
        for _ in 0..options.steps {
            let products = match advance(operator, &mut group, options) {
                Ok(products) => products,
                Err(ProductError::Cancelled) => {
                    density.status = Status::Cancelled;
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            if products == 0 {
                break;
            }
            density.products += products;
            if group.iter().any(|r| !r.finite) {
                density.status = Status::NonFinite;
                break;
            }
            let progress = Progress {
                stage: "spectral density",
                products: density.products,
                max_products: options.max_products(),
                ritz: &[],
                wanted: &[],
                forecast: Forecast::Unknown,
                estimate: None,
            };
            if observer.progress(&progress).is_break() {
                density.status = Status::Cancelled;
                break;
            }
        }
        let usable = group.iter().filter(|r| r.finite && !r.alpha.is_empty());
        density.probes.extend(usable.filter_map(Recurrence::quadrature));
        if density.status != Status::Converged {
            break;
        }
    }
    Ok(density)
}

/// The Lanczos recurrence of one probe.
struct Recurrence {
    basis: Basis,
    alpha: Vec<f64>,
    beta: Vec<f64>,
    norm: f64,
    /// The recurrence has ended: the quadrature is exact.
    complete: bool,
    finite: bool,
}

impl Recurrence {
    fn start(
        operator: &dyn SymmetricOperator,
        index: usize,
        options: &DensityOptions,
    ) -> Result<Self, ProductError> {
        let mut z = vec![0.0; operator.dim()];
        let mut stream = Stream::new(options.seed, "density", index as u64);
        match options.kind {
            ProbeKind::Rademacher => stream.fill_rademacher(&mut z),
            ProbeKind::Sphere => stream.fill_normal(&mut z),
        }
        let size = vector::norm(&z);
        let mut basis = Basis::new(operator, options.precision)?;
        let z = basis.load(&mut z)?;
        basis.push(1.0 / size, &z)?;
        Ok(Self { basis, alpha: Vec::new(), beta: Vec::new(), norm: 0.0, complete: false, finite: true })
    }

    /// Takes the image w of the last basis vector.
    fn take(&mut self, w: &mut [f64], reorthogonalise: bool) -> Result<(), ProductError> {
        // The recurrence couples to the vector before alone.
        let mut coupling = vec![0.0; self.basis.len() - 1];
        if let (Some(last), Some(&beta)) = (coupling.last_mut(), self.beta.last()) {
            *last = beta;
        }
        let mut w = self.basis.load(w)?;
        let Some(removed) = self.basis.project_out_images(1, &coupling, &mut w)? else {
            self.finite = false;
            return Ok(());
        };
        self.norm = removed.norms.iter().fold(self.norm, |a, &b| a.max(b));
        self.alpha.push(removed.coefficients.last().copied().unwrap_or(0.0));
        let beta = removed.left.first().copied().unwrap_or(0.0);
        // The remainder of an invariant space is rounding; see the eigensolver for the factor.
        let factor = if self.basis.precision() == Precision::F64 { 512.0 } else { 64.0 };
        if self.alpha.len() >= self.basis.rows()
            || beta <= factor * self.basis.precision().epsilon() * self.norm
        {
            self.complete = true;
            return Ok(());
        }
        self.beta.push(beta);
        self.basis.push(1.0 / beta, &w)?;
        if !reorthogonalise && self.basis.len() > 2 {
            self.basis.drop_first()?;
        }
        Ok(())
    }

    fn quadrature(&self) -> Option<Quadrature> {
        let m = self.alpha.len();
        let mut t = vec![0.0; m * m];
        for i in 0..m {
            t[i * m + i] = self.alpha[i];
            if i + 1 < m {
                t[i * m + i + 1] = self.beta[i];
                t[(i + 1) * m + i] = self.beta[i];
            }
        }
        let eigen = symmetric_eigen(m, &t)?;
        let weights = eigen.vectors.chunks_exact(m).map(|s| s[0] * s[0]).collect();
        Some(Quadrature { nodes: eigen.values, weights })
    }
}

/// One step of every recurrence that has not ended, in one block product. Returns the products made.
fn advance(
    operator: &dyn SymmetricOperator,
    group: &mut [Recurrence],
    options: &DensityOptions,
) -> Result<usize, ProductError> {
    let mut active: Vec<&mut Recurrence> = group.iter_mut().filter(|r| !r.complete && r.finite).collect();
    let n = operator.ncols();
    let mut xs = vec![0.0; active.len() * n];
    for (r, x) in active.iter().zip(xs.chunks_exact_mut(n)) {
        r.basis.column(r.basis.len() - 1, x)?;
    }
    if active.is_empty() {
        return Ok(0);
    }
    let mut ws = vec![0.0; xs.len()];
    operator.apply_block(&xs, &mut ws)?;
    for (r, w) in active.iter_mut().zip(ws.chunks_exact_mut(n)) {
        r.take(w, options.reorthogonalise)?;
    }
    Ok(active.len())
}
