//! The paper's two losses, (2.23) and (2.28): one formula.

use super::{AnalyticError, ClosedForm, KnownCriticalPoint};
use crate::ParameterLayout;
use crate::numeric::dot;

/// L(θ) = ½ θ₂ₙ₊₁ (Σᵢ₌₁..ñ θᵢ² − Σᵢ₌ñ₊₁..₂ₙ θᵢ²), N = 2n + 1 coordinates.
///
/// With ñ = n it is loss (2.23) of Böttcher & Wheeler (2022), with ñ > n loss (2.28). At the critical point
/// (0, …, 0, 1) the Hessian is diag(1 ñ times, −1 2n − ñ times, 0) and its trace 2(ñ − n). The paper prints
/// "−1 (n times)" in (2.29) and a mean curvature (ñ − n)/N; its own value 600 for n = 500, ñ = 800 shows that
/// 2n − ñ and 2(ñ − n)/N are meant.
#[derive(Clone, Debug)]
pub struct SignedSquares {
    n: usize,
    n_tilde: usize,
    layout: ParameterLayout,
}

impl SignedSquares {
    /// Loss (2.23): as many positive as negative squares, n of each.
    ///
    /// # Errors
    /// n = 0 or too large to address.
    pub fn balanced(n: usize) -> Result<Self, AnalyticError> {
        Self::new(n, n)
    }

    /// Loss (2.28) with ñ positive and 2n − ñ negative squares. The paper asks for ñ > n; every 0 ≤ ñ ≤ 2n
    /// is accepted.
    ///
    /// # Errors
    /// n = 0 or too large to address; ñ > 2n.
    pub fn new(n: usize, n_tilde: usize) -> Result<Self, AnalyticError> {
        let largest = (isize::MAX as usize / size_of::<f64>() - 1) / 2;
        if n == 0 || n > largest {
            return Err(AnalyticError::PairsOutOfRange { n, largest });
        }
        if n_tilde > 2 * n {
            return Err(AnalyticError::PositiveCountOutOfRange { n, n_tilde, coordinates: 2 * n });
        }
        Ok(Self { n, n_tilde, layout: ParameterLayout::flat(2 * n + 1) })
    }

    /// n: half the number of squares.
    pub fn n(&self) -> usize {
        self.n
    }

    /// ñ: the number of positive squares.
    pub fn n_tilde(&self) -> usize {
        self.n_tilde
    }

    /// Eigenvectors of the Hessian at the critical point are the coordinate axes: the `which`-th axis of
    /// curvature +1, or `None` when there are not that many.
    pub fn positive_axis(&self, which: usize) -> Option<Vec<f64>> {
        (which < self.n_tilde).then(|| self.axis(which))
    }

    /// The `which`-th coordinate axis of curvature −1, or `None` when there are not that many.
    pub fn negative_axis(&self, which: usize) -> Option<Vec<f64>> {
        (which < 2 * self.n - self.n_tilde).then(|| self.axis(self.n_tilde + which))
    }

    fn axis(&self, coordinate: usize) -> Vec<f64> {
        let mut axis = vec![0.0; 2 * self.n + 1];
        axis[coordinate] = 1.0;
        axis
    }

    /// Σ sᵢ xᵢ yᵢ over the first 2n coordinates, with the loss's signs s.
    fn signed_dot(&self, x: &[f64], y: &[f64]) -> f64 {
        let (split, end) = (self.n_tilde, 2 * self.n);
        dot(&x[..split], &y[..split]) - dot(&x[split..end], &y[split..end])
    }
}

impl ClosedForm for SignedSquares {
    fn theta_layout(&self) -> &ParameterLayout {
        &self.layout
    }

    fn value(&self, theta: &[f64]) -> f64 {
        0.5 * theta[2 * self.n] * self.signed_dot(theta, theta)
    }

    fn gradient_at(&self, theta: &[f64], grad: &mut [f64]) {
        let (split, end) = (self.n_tilde, 2 * self.n);
        let scale = theta[end];
        for (g, t) in grad[..split].iter_mut().zip(&theta[..split]) {
            *g = scale * t;
        }
        for (g, t) in grad[split..end].iter_mut().zip(&theta[split..end]) {
            *g = -scale * t;
        }
        grad[end] = 0.5 * self.signed_dot(theta, theta);
    }

    fn hessian_product(&self, theta: &[f64], vs: &[f64], hvs: &mut [f64]) {
        let (split, end) = (self.n_tilde, 2 * self.n);
        let scale = theta[end];
        for (v, hv) in vs.chunks_exact(end + 1).zip(hvs.chunks_exact_mut(end + 1)) {
            let last = v[end];
            for ((h, x), t) in hv[..split].iter_mut().zip(&v[..split]).zip(&theta[..split]) {
                *h = scale * x + last * t;
            }
            for ((h, x), t) in hv[split..end].iter_mut().zip(&v[split..end]).zip(&theta[split..end]) {
                *h = -(scale * x + last * t);
            }
            hv[end] = self.signed_dot(theta, v);
        }
    }
}

impl KnownCriticalPoint for SignedSquares {
    fn critical_point(&self) -> Vec<f64> {
        self.axis(2 * self.n)
    }

    fn curvatures(&self) -> Vec<(f64, usize)> {
        [(-1.0, 2 * self.n - self.n_tilde), (0.0, 1), (1.0, self.n_tilde)]
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}
