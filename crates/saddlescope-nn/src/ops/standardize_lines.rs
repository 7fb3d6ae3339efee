//! [`Standardize`](super::standardize::Standardize) where every group is one line of memory (layer and RMS normalisation):
//! mean and deviation are single numbers, and all passes over a line run in the first-level cache.
//!
//! The formulas and their letters are those of [`standardize`](super::standardize).

use crate::kernels::loops::{sum, vectorised};
use crate::scalar::Scalar;

/// What the lines of a tensor have in common.
#[derive(Clone, Copy)]
pub(super) struct Lines<'a, T> {
    /// Length of a line.
    pub width: usize,
    pub eps: f64,
    /// Whether the mean is taken off.
    pub center: bool,
    /// γ (ones where it is not given).
    pub gamma: &'a [T],
}

impl<T: Scalar> Lines<'_, T> {
    /// μ and r of a line.
    #[inline(always)]
    fn statistics(&self, x: &[T]) -> (T, T) {
        let scale = self.scale();
        let mean = if self.center { sum([x], |[x]| x) * scale } else { T::ZERO };
        let variance = sum([x], |[x]| (x - mean) * (x - mean)) * scale;
        (mean, T::ONE / (variance + T::from_f64(self.eps)).sqrt())
    }

    /// 1 / width.
    #[inline(always)]
    fn scale(&self) -> T {
        T::from_f64(1.0 / self.width as f64)
    }

    /// The mean, given the sum, of what vanishes without centring.
    #[inline(always)]
    fn centred(&self, sum: T) -> T {
        if self.center { sum * self.scale() } else { T::ZERO }
    }
}

vectorised! {
    /// y = γ x̂ + β.
    pub(super) fn forward['a, T](f: Lines<'a, T>, x: &'a [T], beta: &'a [T], y: &'a mut [T]) {
        let (gamma, beta) = (&f.gamma[..f.width], &beta[..f.width]);
        for (x, y) in x.chunks_exact(f.width).zip(y.chunks_exact_mut(f.width)) {
            let (mean, r) = f.statistics(x);
            for (((y, &x), &gamma), &beta) in y.iter_mut().zip(x).zip(gamma).zip(beta) {
                *y = (x - mean) * r * gamma + beta;
            }
        }
    }
}

vectorised! {
    /// ẏ = γ r (ẋ − M(ẋ) − x̂ M(x̂ ẋ)) + γ̇ x̂ + β̇.
    pub(super) fn tangent['a, T](
        f: Lines<'a, T>,
        x: &'a [T],
        dx: &'a [T],
        dgamma: &'a [T],
        dbeta: &'a [T],
        dy: &'a mut [T],
    ) {
        let w = f.width;
        let (gamma, dgamma, dbeta) = (&f.gamma[..w], &dgamma[..w], &dbeta[..w]);
        for ((x, dx), dy) in x.chunks_exact(w).zip(dx.chunks_exact(w)).zip(dy.chunks_exact_mut(w)) {
            let (mean, r) = f.statistics(x);
            let m_dx = f.centred(sum([dx], |[d]| d));
            let m_xdx = sum([x, dx], |[x, d]| (x - mean) * r * d) * f.scale();
            for i in 0..w {
                let xn = (x[i] - mean) * r;
                dy[i] = gamma[i] * (r * (dx[i] - m_dx - xn * m_xdx)) + dgamma[i] * xn + dbeta[i];
            }
        }
    }
}

vectorised! {
    /// x̄ (+)= r (g − M(g) − x̂ M(g x̂)), γ̄ += Σ ȳ x̂, β̄ += Σ ȳ; an adjoint of no elements is not wanted.
    pub(super) fn adjoint['a, T](
        f: Lines<'a, T>,
        x: &'a [T],
        gy: &'a [T],
        gx: &'a mut [T],
        add: bool,
        gamma_sum: &'a mut [T],
        beta_sum: &'a mut [T],
    ) {
        let w = f.width;
        let gamma = &f.gamma[..w];
        for (line, (x, gy)) in x.chunks_exact(w).zip(gy.chunks_exact(w)).enumerate() {
            let (mean, r) = f.statistics(x);
            if let Some(gx) = gx.get_mut(line * w..(line + 1) * w) {
                let m_g = f.centred(sum([gamma, gy], |[c, g]| c * g));
                let m_gx = sum([x, gamma, gy], |[x, c, g]| (x - mean) * r * c * g) * f.scale();
                for i in 0..w {
                    let g = r * (gamma[i] * gy[i] - m_g - (x[i] - mean) * r * m_gx);
                    gx[i] = if add { gx[i] + g } else { g };
                }
            }
            for ((s, &x), &g) in gamma_sum.iter_mut().zip(x).zip(gy) {
                *s += g * ((x - mean) * r);
            }
            for (s, &g) in beta_sum.iter_mut().zip(gy) {
                *s += g;
            }
        }
    }
}

vectorised! {
    /// x̄˙, γ̄˙ and β̄˙ of one tangent; `of` holds x, ẋ, ȳ and ȳ˙. An adjoint of no elements is not wanted.
    pub(super) fn adjoint_tangent['a, T](
        f: Lines<'a, T>,
        of: [&'a [T]; 4],
        dgamma: &'a [T],
        gx: &'a mut [T],
        add: bool,
        gamma_sum: &'a mut [T],
        beta_sum: &'a mut [T],
    ) {
        let w = f.width;
        let (gamma, dgamma) = (&f.gamma[..w], &dgamma[..w]);
        for line in 0..of[0].len() / w {
            let [x, dx, gy, dgy] = of.map(|x| &x[line * w..(line + 1) * w]);
            let (mean, r) = f.statistics(x);
            let m_dx = f.centred(sum([dx], |[d]| d));
            let m_xdx = sum([x, dx], |[x, d]| (x - mean) * r * d) * f.scale();
            if let Some(gx) = gx.get_mut(line * w..(line + 1) * w) {
                let m_g = f.centred(sum([gamma, gy], |[c, g]| c * g));
                let m_gx = sum([x, gamma, gy], |[x, c, g]| (x - mean) * r * c * g) * f.scale();
                let m_dg = f.centred(sum([gamma, dgamma, gy, dgy], |[c, dc, g, dg]| dc * g + c * dg));
                let m_dgx = sum([x, dx, gamma, dgamma, gy, dgy], |[x, dx, c, dc, g, dg]| {
                    let xn = (x - mean) * r;
                    let dxn = r * (dx - m_dx - xn * m_xdx);
                    (dc * g + c * dg) * xn + c * g * dxn
                }) * f.scale();
                let dr = -r * r * m_xdx;
                for i in 0..w {
                    let xn = (x[i] - mean) * r;
                    let dxn = r * (dx[i] - m_dx - xn * m_xdx);
                    let u = gamma[i] * gy[i] - m_g - xn * m_gx;
                    let dg = dgamma[i] * gy[i] + gamma[i] * dgy[i];
                    let du = dg - m_dg - dxn * m_gx - xn * m_dgx;
                    let g = dr * u + r * du;
                    gx[i] = if add { gx[i] + g } else { g };
                }
            }
            if !gamma_sum.is_empty() {
                let sums = &mut gamma_sum[..w];
                for i in 0..w {
                    let xn = (x[i] - mean) * r;
                    let dxn = r * (dx[i] - m_dx - xn * m_xdx);
                    sums[i] += dgy[i] * xn + gy[i] * dxn;
                }
            }
            for (s, &g) in beta_sum.iter_mut().zip(dgy) {
                *s += g;
            }
        }
    }
}
