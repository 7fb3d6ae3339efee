//! Quadratics with a prescribed spectrum.

use super::{AnalyticError, ClosedForm, KnownCriticalPoint, multiplicities};
use crate::ParameterLayout;
use crate::numeric::{add_scaled, dot, norm};
use crate::random;

/// L(θ) = ½ (θ − c)ᵀ H (θ − c) with H = Q diag(λ) Qᵀ.
///
/// Q is the identity, or a product of Householder reflections drawn from a seed; the reflections make every
/// coordinate take part in every eigenvector while a product with H still costs O(N).
#[derive(Clone, Debug)]
pub struct Quadratic {
    eigenvalues: Vec<f64>,
    center: Vec<f64>,
    /// Unit vectors w; Q = (I − 2 w₁w₁ᵀ)(I − 2 w₂w₂ᵀ)…
    reflections: Vec<Vec<f64>>,
    layout: ParameterLayout,
}

/// Reflections in a rotation: with three, no coordinate or pair of coordinates is special.
const REFLECTIONS: usize = 3;

impl Quadratic {
    /// H = diag(λ), centred at the origin.
    ///
    /// # Errors
    /// No eigenvalues, or one that is not finite.
    pub fn diagonal(eigenvalues: Vec<f64>) -> Result<Self, AnalyticError> {
        let n = eigenvalues.len();
        if n == 0 {
            return Err(AnalyticError::TooFewCoordinates { function: "a quadratic", least: 1, found: 0 });
        }
        check_finite("eigenvalue", &eigenvalues)?;
        Ok(Self {
            eigenvalues,
            center: vec![0.0; n],
            reflections: Vec::new(),
            layout: ParameterLayout::flat(n),
        })
    }

    /// H = Q diag(λ) Qᵀ with a rotation Q drawn from `seed`, centred at the origin.
    ///
    /// # Errors
    /// As [`Quadratic::diagonal`].
    pub fn rotated(eigenvalues: Vec<f64>, seed: u64) -> Result<Self, AnalyticError> {
        let mut quadratic = Self::diagonal(eigenvalues)?;
        let n = quadratic.eigenvalues.len();
        for stream in 0..REFLECTIONS {
            let mut w = vec![0.0; n];
            random::fill_normal(seed, stream as u64, &mut w);
            let length = norm(&w);
            // A Gaussian vector is zero with probability 0; a reflection less is still a rotation.
            if length > 0.0 {
                w.iter_mut().for_each(|x| *x /= length);
                quadratic.reflections.push(w);
            }
        }
        Ok(quadratic)
    }

    /// The same quadratic with its critical point at `center`.
    ///
    /// # Errors
    /// `center` has another length than the spectrum or is not finite.
    pub fn centered_at(mut self, center: Vec<f64>) -> Result<Self, AnalyticError> {
        if center.len() != self.eigenvalues.len() {
            return Err(AnalyticError::CenterLength {
                center: center.len(),
                eigenvalues: self.eigenvalues.len(),
            });
        }
        check_finite("center coordinate", &center)?;
        self.center = center;
        Ok(self)
    }

    /// λ, in the order given.
    pub fn eigenvalues(&self) -> &[f64] {
        &self.eigenvalues
    }

    /// The unit eigenvector that belongs to the `which`-th eigenvalue, or `None` when there is none.
    pub fn eigenvector(&self, which: usize) -> Option<Vec<f64>> {
        (which < self.eigenvalues.len()).then(|| {
            let mut vector = vec![0.0; self.eigenvalues.len()];
            vector[which] = 1.0;
            self.reflections.iter().rev().for_each(|w| reflect(w, &mut vector));
            vector
        })
    }

    /// out ← H v.
    fn apply(&self, v: &[f64], out: &mut [f64]) {
        out.copy_from_slice(v);
        self.reflections.iter().for_each(|w| reflect(w, out));
        out.iter_mut().zip(&self.eigenvalues).for_each(|(x, lambda)| *x *= lambda);
        self.reflections.iter().rev().for_each(|w| reflect(w, out));
    }

    fn displacement(&self, theta: &[f64]) -> Vec<f64> {
        theta.iter().zip(&self.center).map(|(t, c)| t - c).collect()
    }
}

/// x ← (I − 2 w wᵀ) x.
fn reflect(w: &[f64], x: &mut [f64]) {
    let along = dot(w, x);
    add_scaled(x, -2.0 * along, w);
}

fn check_finite(what: &'static str, values: &[f64]) -> Result<(), AnalyticError> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(AnalyticError::NotFinite { what, index, value: values[index] }),
        None => Ok(()),
    }
}

impl ClosedForm for Quadratic {
    fn theta_layout(&self) -> &ParameterLayout {
        &self.layout
    }

    fn value(&self, theta: &[f64]) -> f64 {
        let mut rotated = self.displacement(theta);
        self.reflections.iter().for_each(|w| reflect(w, &mut rotated));
        let weighted: Vec<f64> =
            rotated.iter().zip(&self.eigenvalues).map(|(x, lambda)| x * lambda).collect();
        0.5 * dot(&rotated, &weighted)
    }

    fn gradient_at(&self, theta: &[f64], grad: &mut [f64]) {
        self.apply(&self.displacement(theta), grad);
    }

    fn hessian_product(&self, theta: &[f64], vs: &[f64], hvs: &mut [f64]) {
        let n = theta.len();
        for (v, hv) in vs.chunks_exact(n).zip(hvs.chunks_exact_mut(n)) {
            self.apply(v, hv);
        }
    }
}

impl KnownCriticalPoint for Quadratic {
    fn critical_point(&self) -> Vec<f64> {
        self.center.clone()
    }

    fn curvatures(&self) -> Vec<(f64, usize)> {
        multiplicities(self.eigenvalues.clone())
    }
}
