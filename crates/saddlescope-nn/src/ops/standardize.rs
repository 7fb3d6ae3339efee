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

use super::standardize_lines::{self as lines, Lines};
use super::standardize_rows as rows;
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
    pub(super) fn channels(&self) -> usize {
        self.groups * self.width
    }

    /// Whether every group is one line of memory.
    fn is_lines(&self) -> bool {
        self.rows == 1 && self.groups == 1
    }

    fn lines<'a, T>(&self, gamma: &'a [T]) -> Lines<'a, T> {
        Lines { width: self.width, eps: self.eps, center: self.center, gamma }
    }

    pub(super) fn block(&self) -> usize {
        self.rows * self.channels()
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
        rows::forward(Isa::detect(), *self, x, [gamma, beta], [mean, r], y);
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
        let rows_buffers = [mean, r, m_dx, m_xdx].map(|b| &mut b[..]);
        rows::tangent(Isa::detect(), *self, x, dx, gamma, [dp.gamma, dp.beta], rows_buffers, dy);
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
        let gamma_sum = out.gamma.map(Slot::add);
        let beta_sum = out.beta.map(Slot::add);
        let gx = out.x.map(Slot::write);
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
        let rows_buffers = [mean, r, m_g, m_gx].map(|b| &mut b[..]);
        rows::adjoint(Isa::detect(), *self, x, gy, gamma, rows_buffers, gx, gamma_sum, beta_sum);
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
        let gamma_sum = out.gamma.map(Slot::add);
        let beta_sum = out.beta.map(Slot::add);
        let gx = out.x.map(Slot::write);
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
        let zero = scratch.take_zeroed(if dx.is_none() { x.len() } else { 0 });
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
        let rows_buffers = [mean, r, m_dx, m_xdx, m_g, m_gx, m_dg, m_dgx].map(|b| &mut b[..]);
        let dx = dx.unwrap_or(&zero);
        rows::adjoint_tangent(
            Isa::detect(),
            *self,
            [x, dx, gy, dgy],
            [gamma, dgamma],
            rows_buffers,
            gx,
            gamma_sum,
            beta_sum,
        );
        scratch.give(zero);
        buffers.give(scratch);
    }
}
