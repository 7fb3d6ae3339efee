//! [`Standardize`](super::standardize::Standardize) where a group has several rows, or a row several groups (group, instance and
//! batch-statistics normalisation): statistics are vectors with one number for each channel.
//!
//! The formulas and their letters are those of [`standardize`](super::standardize).

use super::rows::{add_sum, add_sum_of};
use super::standardize::Standardize;
use crate::kernels::loops::vectorised;
use crate::scalar::Scalar;

impl Standardize {
    /// out[channel] = mean over the channel's group of what `add` adds up (see [`add_sum_of`]).
    #[inline(always)]
    fn mean<T: Scalar>(&self, out: &mut [T], add: impl FnMut(usize, usize, &mut [T])) {
        out.fill(T::ZERO);
        add_sum_of(self.rows, out, add);
        let scale = T::from_f64(1.0 / (self.rows * self.width) as f64);
        for group in out.chunks_exact_mut(self.width) {
            let mean = group.iter().copied().sum::<T>() * scale;
            group.fill(mean);
        }
    }

    /// μ and r of one block.
    #[inline(always)]
    fn statistics<T: Scalar>(&self, x: &[T], mean: &mut [T], r: &mut [T]) {
        let c = self.channels();
        if self.center {
            self.mean(mean, |row, first, part| {
                for (s, &x) in part.iter_mut().zip(&x[row * c + first..]) {
                    *s += x;
                }
            });
        } else {
            mean.fill(T::ZERO);
        }
        self.mean(r, |row, first, part| {
            for ((s, &x), &m) in part.iter_mut().zip(&x[row * c + first..]).zip(&mean[first..]) {
                *s += (x - m) * (x - m);
            }
        });
        let epsilon = T::from_f64(self.eps);
        for r in r {
            *r = T::ONE / (*r + epsilon).sqrt();
        }
    }

    /// M(ẋ) (0 without centring) and M(x̂ ẋ).
    #[inline(always)]
    fn tangent_means<T: Scalar>(
        &self,
        [x, dx]: [&[T]; 2],
        [mean, r]: [&[T]; 2],
        m_dx: &mut [T],
        m_xdx: &mut [T],
    ) {
        let c = self.channels();
        self.mean(m_dx, |row, first, part| {
            for (s, &d) in part.iter_mut().zip(&dx[row * c + first..]) {
                *s += d;
            }
        });
        self.mean(m_xdx, |row, first, part| {
            let at = row * c + first;
            let n = part.len();
            let (x, dx) = (&x[at..at + n], &dx[at..at + n]);
            let (mean, r) = (&mean[first..first + n], &r[first..first + n]);
            for i in 0..n {
                part[i] += (x[i] - mean[i]) * r[i] * dx[i];
            }
        });
        if !self.center {
            m_dx.fill(T::ZERO);
        }
    }

    /// M(g) (0 without centring) and M(g x̂), with g = γ ȳ.
    #[inline(always)]
    fn adjoint_means<T: Scalar>(
        &self,
        [x, gy]: [&[T]; 2],
        [mean, r, gamma]: [&[T]; 3],
        m_g: &mut [T],
        m_gx: &mut [T],
    ) {
        let c = self.channels();
        self.mean(m_g, |row, first, part| {
            for ((s, &g), &w) in part.iter_mut().zip(&gy[row * c + first..]).zip(&gamma[first..]) {
                *s += w * g;
            }
        });
        self.mean(m_gx, |row, first, part| {
            let at = row * c + first;
            let n = part.len();
            let (x, gy) = (&x[at..at + n], &gy[at..at + n]);
            let (mean, r, gamma) = (&mean[first..first + n], &r[first..first + n], &gamma[first..first + n]);
            for i in 0..n {
                part[i] += (x[i] - mean[i]) * r[i] * gamma[i] * gy[i];
            }
        });
        if !self.center {
            m_g.fill(T::ZERO);
        }
    }
}

vectorised! {
    /// y = γ x̂ + β, with two buffers.
    pub(super) fn forward['a, T](
        f: Standardize,
        x: &'a [T],
        affine: [&'a [T]; 2],
        buffers: [&'a mut [T]; 2],
        y: &'a mut [T],
    ) {
        let (c, block) = (f.channels(), f.block());
        let [gamma, beta] = affine.map(|p| &p[..c]);
        let [mean, r] = buffers.map(|b| &mut b[..c]);
        for (x, y) in x.chunks_exact(block).zip(y.chunks_exact_mut(block)) {
            f.statistics(x, mean, r);
            for (x, y) in x.chunks_exact(c).zip(y.chunks_exact_mut(c)) {
                for i in 0..c {
                    y[i] = (x[i] - mean[i]) * r[i] * gamma[i] + beta[i];
                }
            }
        }
    }
}

vectorised! {
    /// ẏ of one tangent, with four buffers.
    pub(super) fn tangent['a, T](
        f: Standardize,
        x: &'a [T],
        dx: Option<&'a [T]>,
        gamma: &'a [T],
        dp: [Option<&'a [T]>; 2],
        buffers: [&'a mut [T]; 4],
        dy: &'a mut [T],
    ) {
        let (c, block) = (f.channels(), f.block());
        let gamma = &gamma[..c];
        let [mean, r, m_dx, m_xdx] = buffers.map(|b| &mut b[..c]);
        let [dgamma, dbeta] = dp;
        for (b, (x, dy)) in x.chunks_exact(block).zip(dy.chunks_exact_mut(block)).enumerate() {
            f.statistics(x, mean, r);
            match dx {
                Some(dx) => {
                    let dx = &dx[b * block..(b + 1) * block];
                    f.tangent_means([x, dx], [mean, r], m_dx, m_xdx);
                    let rows = x.chunks_exact(c).zip(dx.chunks_exact(c));
                    for ((x, dx), dy) in rows.zip(dy.chunks_exact_mut(c)) {
                        for i in 0..c {
                            let xn = (x[i] - mean[i]) * r[i];
                            dy[i] = gamma[i] * (r[i] * (dx[i] - m_dx[i] - xn * m_xdx[i]));
                        }
                    }
                }
                None => dy.fill(T::ZERO),
            }
            if let Some(dgamma) = dgamma {
                for (x, dy) in x.chunks_exact(c).zip(dy.chunks_exact_mut(c)) {
                    for i in 0..c {
                        dy[i] += dgamma[i] * ((x[i] - mean[i]) * r[i]);
                    }
                }
            }
            if let Some(dbeta) = dbeta {
                super::rows::add_to_each(dy, dbeta);
            }
        }
    }
}

vectorised! {
    /// x̄, γ̄ and β̄, with four buffers.
    pub(super) fn adjoint['a, T](
        f: Standardize,
        x: &'a [T],
        gy: &'a [T],
        gamma: &'a [T],
        buffers: [&'a mut [T]; 4],
        gx: Option<(&'a mut [T], bool)>,
        gamma_sum: Option<&'a mut [T]>,
        beta_sum: Option<&'a mut [T]>,
    ) {
        let (c, block) = (f.channels(), f.block());
        let gamma = &gamma[..c];
        let [mean, r, m_g, m_gx] = buffers.map(|b| &mut b[..c]);
        let (mut gx, mut gamma_sum, mut beta_sum) = (gx, gamma_sum, beta_sum);
        for (b, (x, gy)) in x.chunks_exact(block).zip(gy.chunks_exact(block)).enumerate() {
            f.statistics(x, mean, r);
            if let Some((gx, accumulate)) = &mut gx {
                f.adjoint_means([x, gy], [mean, r, gamma], m_g, m_gx);
                let gx = &mut gx[b * block..(b + 1) * block];
                let rows = x.chunks_exact(c).zip(gy.chunks_exact(c));
                for ((x, gy), gx) in rows.zip(gx.chunks_exact_mut(c)) {
                    for i in 0..c {
                        let xn = (x[i] - mean[i]) * r[i];
                        let g = r[i] * (gamma[i] * gy[i] - m_g[i] - xn * m_gx[i]);
                        gx[i] = if *accumulate { gx[i] + g } else { g };
                    }
                }
            }
            if let Some(sum) = &mut gamma_sum {
                add_sum_of(f.rows, sum, |row, first, part| {
                    let at = row * c + first;
                    for (i, s) in part.iter_mut().enumerate() {
                        *s += gy[at + i] * ((x[at + i] - mean[first + i]) * r[first + i]);
                    }
                });
            }
            if let Some(sum) = &mut beta_sum {
                add_sum(gy, sum);
            }
        }
    }
}

vectorised! {
    /// x̄˙, γ̄˙ and β̄˙ of one tangent, with eight buffers; `of` holds x, ẋ, ȳ and ȳ˙.
    pub(super) fn adjoint_tangent['a, T](
        f: Standardize,
        of: [&'a [T]; 4],
        gammas: [&'a [T]; 2],
        buffers: [&'a mut [T]; 8],
        gx: Option<(&'a mut [T], bool)>,
        gamma_sum: Option<&'a mut [T]>,
        beta_sum: Option<&'a mut [T]>,
    ) {
        let (c, block) = (f.channels(), f.block());
        let [gamma, dgamma] = gammas.map(|p| &p[..c]);
        let [mean, r, m_dx, m_xdx, m_g, m_gx, m_dg, m_dgx] = buffers.map(|b| &mut b[..c]);
        let (mut gx, mut gamma_sum, mut beta_sum) = (gx, gamma_sum, beta_sum);
        let [x, dx, gy, dgy] = of;
        for (b, (x, gy)) in x.chunks_exact(block).zip(gy.chunks_exact(block)).enumerate() {
            let dgy = &dgy[b * block..(b + 1) * block];
            let dx = &dx[b * block..(b + 1) * block];
            f.statistics(x, mean, r);
            f.tangent_means([x, dx], [mean, r], m_dx, m_xdx);
            if let Some((gx, accumulate)) = &mut gx {
                f.adjoint_means([x, gy], [mean, r, gamma], m_g, m_gx);
                f.mean(m_dg, |row, first, part| {
                    let at = row * c + first;
                    for (i, s) in part.iter_mut().enumerate() {
                        *s += dgamma[first + i] * gy[at + i] + gamma[first + i] * dgy[at + i];
                    }
                });
                if !f.center {
                    m_dg.fill(T::ZERO);
                }
                f.mean(m_dgx, |row, first, part| {
                    let at = row * c + first;
                    for (i, s) in part.iter_mut().enumerate() {
                        let (i, ch) = (at + i, first + i);
                        let xn = (x[i] - mean[ch]) * r[ch];
                        let dxn = r[ch] * (dx[i] - m_dx[ch] - xn * m_xdx[ch]);
                        let dg = dgamma[ch] * gy[i] + gamma[ch] * dgy[i];
                        *s += dg * xn + gamma[ch] * gy[i] * dxn;
                    }
                });
                let gx = &mut gx[b * block..(b + 1) * block];
                for row in 0..f.rows {
                    let at = row * c;
                    let (x, dx) = (&x[at..at + c], &dx[at..at + c]);
                    let (gy, dgy, gx) = (&gy[at..at + c], &dgy[at..at + c], &mut gx[at..at + c]);
                    for i in 0..c {
                        let xn = (x[i] - mean[i]) * r[i];
                        let dxn = r[i] * (dx[i] - m_dx[i] - xn * m_xdx[i]);
                        let dr = -r[i] * r[i] * m_xdx[i];
                        let u = gamma[i] * gy[i] - m_g[i] - xn * m_gx[i];
                        let dg = dgamma[i] * gy[i] + gamma[i] * dgy[i];
                        let du = dg - m_dg[i] - dxn * m_gx[i] - xn * m_dgx[i];
                        let g = dr * u + r[i] * du;
                        gx[i] = if *accumulate { gx[i] + g } else { g };
                    }
                }
            }
            if let Some(sum) = &mut gamma_sum {
                add_sum_of(f.rows, sum, |row, first, part| {
                    let at = row * c + first;
                    for (i, s) in part.iter_mut().enumerate() {
                        let (i, ch) = (at + i, first + i);
                        let xn = (x[i] - mean[ch]) * r[ch];
                        let dxn = r[ch] * (dx[i] - m_dx[ch] - xn * m_xdx[ch]);
                        *s += dgy[i] * xn + gy[i] * dxn;
                    }
                });
            }
            if let Some(sum) = &mut beta_sum {
                add_sum(dgy, sum);
            }
        }
    }
}
