//! The map behind layer, group, instance, RMS and batch-statistics normalisation, and its derivatives.
//!
//! A tensor is seen as `[outer, rows, groups, width]`. For every (outer, group) the mean μ and the biased variance σ²
//! over (rows, width) are taken, and y = γ x̂ + β with x̂ = (x − μ) / √(σ² + ε); γ and β have groups · width entries.
//! Without centring (RMS), μ = 0 and σ² is the mean of squares.
//!
//! With r = 1/√(σ² + ε), M(u) the group mean of u and g = γ ȳ:
//!
//! | pass | computes |
//! | --- | --- |
//! | tangent | x̂˙ = r (ẋ − M(ẋ) − x̂ M(x̂ ẋ)), ẏ = γ x̂˙ + γ̇ x̂ + β̇ |
//! | adjoint | x̄ += r (g − M(g) − x̂ M(g x̂)), γ̄ += Σ ȳ x̂, β̄ += Σ ȳ |
//! | adjoint's tangent | x̄˙ += ṙ (g − M(g) − x̂ M(g x̂)) + r (ġ − M(ġ) − x̂˙ M(g x̂) − x̂ M(ġ x̂ + g x̂˙)) |
//!
//! with ṙ = −r² M(x̂ ẋ), ġ = γ̇ ȳ + γ ȳ˙; γ̄˙ += Σ (ȳ˙ x̂ + ȳ x̂˙), β̄˙ += Σ ȳ˙. Without centring M(ẋ), M(g) and M(ġ)
//! (but not the means of products) are 0.

use super::rows::{add_sum, add_sum_of};
use super::standardize_lines::{self as lines, Lines};
use crate::aligned::AlignedVec;
use crate::kernels::Isa;
use crate::op::Slot;
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Standardize {
    pub outer: usize,
    pub rows: usize,
    pub groups: usize,
    pub width: usize,
    pub eps: f64,
    pub center: bool,
}

/// γ and β, where they are given.
#[derive(Clone, Copy)]
pub(super) struct Affine<'a, T> {
    pub gamma: Option<&'a [T]>,
    pub beta: Option<&'a [T]>,
}

/// Adjoints (or one tangent of them) of x, γ and β.
pub(super) struct Adjoints<'s, 'a, T> {
    pub x: Option<&'s mut Slot<'a, T>>,
    pub gamma: Option<&'s mut Slot<'a, T>>,
    pub beta: Option<&'s mut Slot<'a, T>>,
}

/// Buffers of one number per channel, from a thread's scratch memory.
struct Channels<T, const N: usize>([AlignedVec<T>; N]);

impl<T: Scalar, const N: usize> Channels<T, N> {
    fn take(scratch: &mut Scratch<T>, len: usize) -> Self {
        Self(std::array::from_fn(|_| scratch.take(len)))
    }

    fn give(self, scratch: &mut Scratch<T>) {
        for buffer in self.0 {
            scratch.give(buffer);
        }
    }
}

/// γ, or ones.
fn fill_or_one<T: Scalar>(out: &mut [T], gamma: Option<&[T]>) {
    match gamma {
        Some(gamma) => out.copy_from_slice(gamma),
        None => out.fill(T::ONE),
    }
}

impl Standardize {
    fn channels(&self) -> usize {
        self.groups * self.width
    }

    /// Whether every group is one line of memory.
    fn is_lines(&self) -> bool {
        self.rows == 1 && self.groups == 1
    }

    fn lines<'a, T>(&self, gamma: &'a [T]) -> Lines<'a, T> {
        Lines { width: self.width, eps: self.eps, center: self.center, gamma }
    }

    fn block(&self) -> usize {
        self.rows * self.channels()
    }

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

    /// y = γ x̂ + β.
    pub(super) fn forward<T: Scalar>(
        &self,
        x: &[T],
        p: Affine<'_, T>,
        y: &mut [T],
        scratch: &mut Scratch<T>,
    ) {
        let (c, block) = (self.channels(), self.block());
        if block == 0 {
            return;
        }
        let mut buffers = Channels::<T, 4>::take(scratch, c);
        let [mean, r, gamma, beta] = &mut buffers.0;
        fill_or_one(gamma, p.gamma);
        beta.fill(T::ZERO);
        if let Some(given) = p.beta {
            beta.copy_from_slice(given);
        }
        if self.is_lines() {
            lines::forward(Isa::detect(), self.lines(gamma), x, beta, y);
            buffers.give(scratch);
            return;
        }
        for (x, y) in x.chunks_exact(block).zip(y.chunks_exact_mut(block)) {
            self.statistics(x, mean, r);
            for (x, y) in x.chunks_exact(c).zip(y.chunks_exact_mut(c)) {
                for i in 0..c {
                    y[i] = (x[i] - mean[i]) * r[i] * gamma[i] + beta[i];
                }
            }
        }
        buffers.give(scratch);
    }

    /// ẏ of one tangent.
    pub(super) fn tangent<T: Scalar>(
        &self,
        x: &[T],
        dx: Option<&[T]>,
        p: Affine<'_, T>,
        dp: Affine<'_, T>,
        dy: &mut [T],
        scratch: &mut Scratch<T>,
    ) {
        let (c, block) = (self.channels(), self.block());
        if block == 0 {
            return;
        }
        let mut buffers = Channels::<T, 5>::take(scratch, c);
        let [mean, r, gamma, m_dx, m_xdx] = &mut buffers.0;
        fill_or_one(gamma, p.gamma);
        if let Some(dx) = dx.filter(|_| self.is_lines()) {
            // The tangents of γ and β take the places of two buffers that lines have no use for.
            for (to, given) in [(&mut *m_dx, dp.gamma), (&mut *m_xdx, dp.beta)] {
                match given {
                    Some(given) => to.copy_from_slice(given),
                    None => to.fill(T::ZERO),
                }
            }
            lines::tangent(Isa::detect(), self.lines(gamma), x, dx, m_dx, m_xdx, dy);
            buffers.give(scratch);
            return;
        }
        for (b, (x, dy)) in x.chunks_exact(block).zip(dy.chunks_exact_mut(block)).enumerate() {
            self.statistics(x, mean, r);
            match dx {
                Some(dx) => {
                    let dx = &dx[b * block..(b + 1) * block];
                    self.tangent_means([x, dx], [mean, r], m_dx, m_xdx);
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
            if let Some(dgamma) = dp.gamma {
                for (x, dy) in x.chunks_exact(c).zip(dy.chunks_exact_mut(c)) {
                    for i in 0..c {
                        dy[i] += dgamma[i] * ((x[i] - mean[i]) * r[i]);
                    }
                }
            }
            if let Some(dbeta) = dp.beta {
                super::rows::add_to_each(dy, dbeta);
            }
        }
        buffers.give(scratch);
    }

    /// x̄, γ̄ and β̄.
    pub(super) fn adjoint<T: Scalar>(
        &self,
        x: &[T],
        p: Affine<'_, T>,
        gy: &[T],
        out: Adjoints<'_, '_, T>,
        scratch: &mut Scratch<T>,
    ) {
        let (c, block) = (self.channels(), self.block());
        let mut gamma_sum = out.gamma.map(Slot::add);
        let mut beta_sum = out.beta.map(Slot::add);
        let mut gx = out.x.map(Slot::write);
        if block == 0 {
            return;
        }
        let mut buffers = Channels::<T, 5>::take(scratch, c);
        let [mean, r, gamma, m_g, m_gx] = &mut buffers.0;
        fill_or_one(gamma, p.gamma);
        if self.is_lines() {
            let (gx, add) = gx.unwrap_or((&mut [], false));
            let [gamma_sum, beta_sum] = [gamma_sum, beta_sum].map(Option::unwrap_or_default);
            lines::adjoint(Isa::detect(), self.lines(gamma), x, gy, gx, add, gamma_sum, beta_sum);
            buffers.give(scratch);
            return;
        }
        for (b, (x, gy)) in x.chunks_exact(block).zip(gy.chunks_exact(block)).enumerate() {
            self.statistics(x, mean, r);
            if let Some((gx, accumulate)) = &mut gx {
                self.adjoint_means([x, gy], [mean, r, gamma], m_g, m_gx);
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
                add_sum_of(self.rows, sum, |row, first, part| {
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
        buffers.give(scratch);
    }

    /// x̄˙, γ̄˙ and β̄˙ of one tangent.
    pub(super) fn adjoint_tangent<T: Scalar>(
        &self,
        x: &[T],
        dx: Option<&[T]>,
        p: Affine<'_, T>,
        dp: Affine<'_, T>,
        [gy, dgy]: [&[T]; 2],
        out: Adjoints<'_, '_, T>,
        scratch: &mut Scratch<T>,
    ) {
        let (c, block) = (self.channels(), self.block());
        let mut gamma_sum = out.gamma.map(Slot::add);
        let mut beta_sum = out.beta.map(Slot::add);
        let mut gx = out.x.map(Slot::write);
        if block == 0 {
            return;
        }
        let mut buffers = Channels::<T, 10>::take(scratch, c);
        let [mean, r, gamma, dgamma, m_dx, m_xdx, m_g, m_gx, m_dg, m_dgx] = &mut buffers.0;
        fill_or_one(gamma, p.gamma);
        dgamma.fill(T::ZERO);
        if let Some(given) = dp.gamma {
            dgamma.copy_from_slice(given);
        }
        let zeros = if self.is_lines() { x.len() } else { block };
        let zero = scratch.take_zeroed(if dx.is_none() { zeros } else { 0 });
        if self.is_lines() {
            let (gx, add) = gx.unwrap_or((&mut [], false));
            let [gamma_sum, beta_sum] = [gamma_sum, beta_sum].map(Option::unwrap_or_default);
            let of = [x, dx.unwrap_or(&zero), gy, dgy];
            lines::adjoint_tangent(
                Isa::detect(),
                self.lines(gamma),
                of,
                dgamma,
                gx,
                add,
                gamma_sum,
                beta_sum,
            );
            scratch.give(zero);
            buffers.give(scratch);
            return;
        }
        for (b, (x, gy)) in x.chunks_exact(block).zip(gy.chunks_exact(block)).enumerate() {
            let dgy = &dgy[b * block..(b + 1) * block];
            let dx = match dx {
                Some(dx) => &dx[b * block..(b + 1) * block],
                None => &zero[..],
            };
            self.statistics(x, mean, r);
            self.tangent_means([x, dx], [mean, r], m_dx, m_xdx);
            if let Some((gx, accumulate)) = &mut gx {
                self.adjoint_means([x, gy], [mean, r, gamma], m_g, m_gx);
                self.mean(m_dg, |row, first, part| {
                    let at = row * c + first;
                    for (i, s) in part.iter_mut().enumerate() {
                        *s += dgamma[first + i] * gy[at + i] + gamma[first + i] * dgy[at + i];
                    }
                });
                if !self.center {
                    m_dg.fill(T::ZERO);
                }
                self.mean(m_dgx, |row, first, part| {
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
                for row in 0..self.rows {
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
                add_sum_of(self.rows, sum, |row, first, part| {
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
        scratch.give(zero);
        buffers.give(scratch);
    }
}
