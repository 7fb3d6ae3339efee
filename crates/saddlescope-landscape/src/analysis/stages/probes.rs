//! Gaussian probes z and their products Hz: trace, Frobenius norm, layers and random planes from the same products.
//!
//! With z ~ N(0, I): E[zᵀHz] = tr H (2.22), E‖Hz‖² = tr H², the part of zᵀHz in one tensor estimates the trace of its
//! diagonal block, and two probes are the two directions of a random plane (2.9) with A, B, C of (2.15).

use saddlescope_krylov::{Estimate, Stream};

use super::super::error::AnalysisError;
use super::super::found::{Found, Probes};
use super::super::plan::Forecast;
use super::super::results::{LayerTrace, PlanesResult, TraceResult};
use super::super::stage::{At, Env, Keys, Stage, of};
use super::super::store::{Dependencies, Slot};
use crate::layout::ParameterLayout;
use crate::number_text::fixed;
use crate::numeric::dot;
use crate::projection::{Fraction, PlaneHessian, PlaneShape};
use crate::risk::Curvature;

/// Probes multiplied at a time: they share the primal half of a product.
const BLOCK: usize = 4;

/// Probe number i.
pub fn probe(n: usize, seed: u64, i: usize) -> Vec<f64> {
    let mut z = vec![0.0; n];
    Stream::new(seed, "probe", i as u64).fill_normal(&mut z);
    z
}

/// The stage of the probes; more probes go on where fewer were measured.
pub(crate) struct ProbesStage {
    /// How many probes are wanted, an even number.
    pub wanted: usize,
}

impl Probes {
    /// The first `count` probes.
    fn first(mut self, count: usize) -> Self {
        self.quadratic.truncate(count);
        self.square.truncate(count);
        self.layers.truncate(count);
        self.chunks.truncate(count);
        self.mixed.truncate(count / 2);
        self
    }
}

impl Stage for ProbesStage {
    type Output = Probes;

    fn name(&self) -> String {
        "probes".into()
    }

    fn title(&self) -> String {
        "random probes".into()
    }

    fn dependencies(&self, _keys: &Keys) -> Dependencies {
        // The seed is a dependency of every stage; the number of probes is none, since probe i is the same in any number.
        of([])
    }

    fn forecast(&self, _env: &Env<'_>) -> Forecast {
        Forecast { products: self.wanted, evaluations: 0 }
    }

    fn suffices(&self, kept: &Probes) -> bool {
        kept.quadratic.len() >= self.wanted
    }

    fn compute(&self, at: &mut At<'_, '_>, kept: Option<Probes>) -> Result<Probes, AnalysisError> {
        let layout = at.env.subject.risk().layout();
        let n = layout.len();
        // Only whole blocks are gone on from: the bits of a product may depend on the size of its block.
        let kept = kept.unwrap_or_default();
        let whole = kept.quadratic.len() / BLOCK * BLOCK;
        let mut probes = kept.first(whole);
        at.monitor.begin(&self.title(), Some(self.wanted as u64));
        while probes.quadratic.len() < self.wanted {
            at.check()?;
            let first = probes.quadratic.len();
            let count = BLOCK.min(self.wanted - first);
            let zs: Vec<f64> =
                (first..first + count).flat_map(|i| probe(n, at.env.selection.seed, i)).collect();
            let mut hzs = vec![0.0; zs.len()];
            let product = at.env.product(Curvature::Hessian, &zs, &mut hzs)?;
            probes.chunks.extend(product.quotients);
            probes.chunk_samples = product.chunk_samples;
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
            at.keep(&probes)?;
            let note = format!("tr H ≈ {}", fixed(mean(&probes.quadratic), 4));
            at.monitor.advance(probes.quadratic.len() as u64, &note);
        }
        at.monitor.end("");
        Ok(probes)
    }

    fn file(&self, output: Probes, _slot: &Slot, found: &mut Found) -> Result<(), AnalysisError> {
        found.probes = Some(output.first(self.wanted));
        Ok(())
    }
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

/// Running means with their standard errors.
fn running(values: &[f64]) -> (Vec<f64>, Vec<f64>) {
    (1..=values.len())
        .map(|k| {
            let e = Estimate::from_samples(&values[..k]);
            (e.value, e.known_error().unwrap_or(f64::NAN))
        })
        .unzip()
}

/// The trace with both methods; `fits` are the curvatures of the fits along the same probes.
pub fn trace(probes: &Probes, fits: &[f64], warning: Option<String>) -> TraceResult {
    let (running_hutchinson, running_hutchinson_error) = running(&probes.quadratic);
    let differences: Vec<f64> = fits.iter().zip(&probes.quadratic).map(|(fit, exact)| fit - exact).collect();
    TraceResult {
        hutchinson: Estimate::from_samples(&probes.quadratic),
        curvature_fit: (!fits.is_empty()).then(|| Estimate::from_samples(fits)),
        curvature_fit_difference: (!fits.is_empty()).then(|| Estimate::from_samples(&differences)),
        curvature_fit_warning: warning,
        trace_of_square: Estimate::from_samples(&probes.square),
        over_data: probes.over_data(),
        running_hutchinson,
        running_hutchinson_error,
        running_fit: running(fits).0,
    }
}

/// Traces of the diagonal blocks of all tensors.
pub fn layers(probes: &Probes, layout: &ParameterLayout) -> Vec<LayerTrace> {
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
