//! y = \[relu\](s ⊙ x + t \[+ r\]) with one s and t per channel: batch norm with fixed statistics, bias, residual sums.
//!
//! Arrays are rows of `c` channels (NHWC), `c` the length of the scale. With relu, the mask m = (y > 0) is read off
//! the stored output. Four passes: [`forward`], [`tangent`], [`adjoint`], [`adjoint_tangent`].

use super::simd::{Isa, Job, Simd};
use crate::scalar::Scalar;

/// Rows whose channel sums are kept in a register.
const BLOCK_ROWS: usize = 32;

/// Calls `body` for whole vectors of channels and for the rest.
macro_rules! by_channels {
    ($job:ty, $body:ident) => {
        impl<T: Scalar> Job<T> for $job {
            type Output = ();

            #[inline(always)]
            fn run<S: Simd<T = T>>(mut self, s: S) {
                let c = self.scale.len();
                let whole = c - c % S::LANES;
                for start in (0..self.rows).step_by(BLOCK_ROWS) {
                    let rows = start..(start + BLOCK_ROWS).min(self.rows);
                    for at in (0..whole).step_by(S::LANES) {
                        // SAFETY: the public functions check that all arrays hold rows·c or c numbers, at + LANES <= c.
                        unsafe { self.$body(s, rows.clone(), at) };
                    }
                    for at in whole..c {
                        // SAFETY: as above with one lane.
                        unsafe { self.$body(s.tail(), rows.clone(), at) };
                    }
                }
            }
        }
    };
}

/// y = \[relu\](s ⊙ x + t \[+ r\]). Arrays of rows × c; `scale` and `shift` of c.
///
/// # Panics
/// If lengths disagree; shapes are checked by the caller.
pub(crate) fn forward<T: Scalar>(
    x: &[T],
    scale: &[T],
    shift: &[T],
    residual: Option<&[T]>,
    relu: bool,
    y: &mut [T],
) {
    forward_on(Isa::detect(), x, scale, shift, residual, relu, y);
}

fn forward_on<T: Scalar>(
    isa: Isa,
    x: &[T],
    scale: &[T],
    shift: &[T],
    residual: Option<&[T]>,
    relu: bool,
    y: &mut [T],
) {
    let rows = check(scale.len(), x.len(), [Some(&*y), residual], [Some(shift), None]);
    T::dispatch(isa, Forward { rows, x, scale, shift, residual, relu, y });
}

struct Forward<'a, T> {
    rows: usize,
    x: &'a [T],
    scale: &'a [T],
    shift: &'a [T],
    residual: Option<&'a [T]>,
    relu: bool,
    y: &'a mut [T],
}

by_channels!(Forward<'_, T>, block);

impl<T: Scalar> Forward<'_, T> {
    /// # Safety
    /// Rows and channels `at..at + LANES` lie inside all arrays.
    #[inline(always)]
    unsafe fn block<S: Simd<T = T>>(&mut self, s: S, rows: std::ops::Range<usize>, at: usize) {
        let c = self.scale.len();
        // SAFETY: passed on from the caller.
        unsafe {
            let (scale, shift) = (s.load(self.scale, at), s.load(self.shift, at));
            for row in rows {
                let i = row * c + at;
                let mut v = s.mul_add(s.load(self.x, i), scale, shift);
                if let Some(r) = self.residual {
                    v = s.add(v, s.load(r, i));
                }
                if self.relu {
                    v = s.relu(v);
                }
                s.store(v, self.y, i);
            }
        }
    }
}

/// Directions of [`tangent`]; `None` means zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AffineTangent<'a, T> {
    /// ẋ, rows × c.
    pub x: Option<&'a [T]>,
    /// ṡ, c.
    pub scale: Option<&'a [T]>,
    /// ṫ, c.
    pub shift: Option<&'a [T]>,
    /// ṙ, rows × c.
    pub residual: Option<&'a [T]>,
}

/// ẏ = m ⊙ (s ẋ + ṡ x + ṫ \[+ ṙ\]); `mask` is the stored output y, or `None` without relu.
///
/// # Panics
/// If lengths disagree; shapes are checked by the caller.
pub(crate) fn tangent<T: Scalar>(
    mask: Option<&[T]>,
    x: &[T],
    scale: &[T],
    direction: AffineTangent<'_, T>,
    dy: &mut [T],
) {
    tangent_on(Isa::detect(), mask, x, scale, direction, dy);
}

fn tangent_on<T: Scalar>(
    isa: Isa,
    mask: Option<&[T]>,
    x: &[T],
    scale: &[T],
    direction: AffineTangent<'_, T>,
    dy: &mut [T],
) {
    let rows = check(
        scale.len(),
        x.len(),
        [Some(&*dy), mask, direction.x, direction.residual],
        [direction.scale, direction.shift],
    );
    T::dispatch(isa, Tangent { rows, mask, x, scale, d: direction, dy });
}

struct Tangent<'a, T> {
    rows: usize,
    mask: Option<&'a [T]>,
    x: &'a [T],
    scale: &'a [T],
    d: AffineTangent<'a, T>,
    dy: &'a mut [T],
}

by_channels!(Tangent<'_, T>, block);

impl<T: Scalar> Tangent<'_, T> {
    /// # Safety
    /// Rows and channels `at..at + LANES` lie inside all arrays.
    #[inline(always)]
    unsafe fn block<S: Simd<T = T>>(&mut self, s: S, rows: std::ops::Range<usize>, at: usize) {
        let c = self.scale.len();
        // SAFETY: passed on from the caller.
        unsafe {
            let scale = s.load(self.scale, at);
            let dscale = self.d.scale.map(|d| s.load(d, at));
            let dshift = self.d.shift.map_or(s.zero(), |d| s.load(d, at));
            for row in rows {
                let i = row * c + at;
                let mut v = dshift;
                if let Some(dscale) = dscale {
                    v = s.mul_add(dscale, s.load(self.x, i), v);
                }
                if let Some(dx) = self.d.x {
                    v = s.mul_add(scale, s.load(dx, i), v);
                }
                if let Some(dr) = self.d.residual {
                    v = s.add(v, s.load(dr, i));
                }
                if let Some(y) = self.mask {
                    v = s.where_positive(s.load(y, i), v);
                }
                s.store(v, self.dy, i);
            }
        }
    }
}

/// Array a pass writes to, or adds to.
#[derive(Debug)]
pub(crate) struct Target<'a, T> {
    /// rows × c.
    pub values: &'a mut [T],
    /// Add to the values instead of replacing them.
    pub accumulate: bool,
}

impl<T: Scalar> Target<'_, T> {
    /// # Safety
    /// `at + LANES <= values.len()`.
    #[inline(always)]
    unsafe fn put<S: Simd<T = T>>(&mut self, s: S, v: S::V, at: usize) {
        // SAFETY: passed on from the caller.
        unsafe {
            let v = if self.accumulate { s.add(s.load(self.values, at), v) } else { v };
            s.store(v, self.values, at);
        }
    }
}

/// ḡ = m ⊙ ȳ; x̄ (+)= s ḡ; r̄ (+)= ḡ; t̄ += Σ ḡ and s̄ += Σ ḡ x over rows, per channel.
///
/// `mask` is the stored output y, or `None` without relu.
///
/// # Panics
/// If lengths disagree; shapes are checked by the caller.
pub(crate) fn adjoint<T: Scalar>(
    mask: Option<&[T]>,
    x: &[T],
    scale: &[T],
    gy: &[T],
    gx: Option<Target<'_, T>>,
    gr: Option<Target<'_, T>>,
    gscale: &mut [T],
    gshift: &mut [T],
) {
    adjoint_on(Isa::detect(), mask, x, scale, gy, gx, gr, gscale, gshift);
}

fn adjoint_on<T: Scalar>(
    isa: Isa,
    mask: Option<&[T]>,
    x: &[T],
    scale: &[T],
    gy: &[T],
    gx: Option<Target<'_, T>>,
    gr: Option<Target<'_, T>>,
    gscale: &mut [T],
    gshift: &mut [T],
) {
    let c = scale.len();
    let targets = [&gx, &gr].map(|t| t.as_ref().map(|t| &*t.values));
    let rows = check(c, x.len(), [mask, Some(gy), targets[0], targets[1]], [Some(&*gscale), Some(&*gshift)]);
    T::dispatch(isa, Adjoint { rows, mask, x, scale, gy, gx, gr, gscale, gshift });
}

struct Adjoint<'a, T> {
    rows: usize,
    mask: Option<&'a [T]>,
    x: &'a [T],
    scale: &'a [T],
    gy: &'a [T],
    gx: Option<Target<'a, T>>,
    gr: Option<Target<'a, T>>,
    gscale: &'a mut [T],
    gshift: &'a mut [T],
}

by_channels!(Adjoint<'_, T>, block);

impl<T: Scalar> Adjoint<'_, T> {
    /// # Safety
    /// Rows and channels `at..at + LANES` lie inside all arrays.
    #[inline(always)]
    unsafe fn block<S: Simd<T = T>>(&mut self, s: S, rows: std::ops::Range<usize>, at: usize) {
        let c = self.scale.len();
        // SAFETY: passed on from the caller.
        unsafe {
            let scale = s.load(self.scale, at);
            let (mut sum, mut sum_x) = (s.zero(), s.zero());
            for row in rows {
                let i = row * c + at;
                let mut g = s.load(self.gy, i);
                if let Some(y) = self.mask {
                    g = s.where_positive(s.load(y, i), g);
                }
                sum = s.add(sum, g);
                sum_x = s.mul_add(g, s.load(self.x, i), sum_x);
                if let Some(gx) = &mut self.gx {
                    gx.put(s, s.mul(scale, g), i);
                }
                if let Some(gr) = &mut self.gr {
                    gr.put(s, g, i);
                }
            }
            s.store(s.add(s.load(self.gshift, at), sum), self.gshift, at);
            s.store(s.add(s.load(self.gscale, at), sum_x), self.gscale, at);
        }
    }
}

/// Derivative of [`adjoint`] along a direction: with ḡ = m ⊙ ȳ and ḡ˙ = m ⊙ ȳ˙,
/// x̄˙ (+)= s ḡ˙ + ṡ ḡ; r̄˙ (+)= ḡ˙; t̄˙ += Σ ḡ˙ and s̄˙ += Σ (ḡ˙ x + ḡ ẋ) over rows, per channel.
///
/// `mask` is the stored output y, or `None` without relu; `dx` and `dscale` of `None` mean zero.
///
/// # Panics
/// If lengths disagree; shapes are checked by the caller.
pub(crate) fn adjoint_tangent<T: Scalar>(
    mask: Option<&[T]>,
    x: &[T],
    dx: Option<&[T]>,
    scale: &[T],
    dscale: Option<&[T]>,
    gy: &[T],
    dgy: &[T],
    dgx: Option<Target<'_, T>>,
    dgr: Option<Target<'_, T>>,
    dgscale: &mut [T],
    dgshift: &mut [T],
) {
    adjoint_tangent_on(Isa::detect(), mask, x, dx, scale, dscale, gy, dgy, dgx, dgr, dgscale, dgshift);
}

fn adjoint_tangent_on<T: Scalar>(
    isa: Isa,
    mask: Option<&[T]>,
    x: &[T],
    dx: Option<&[T]>,
    scale: &[T],
    dscale: Option<&[T]>,
    gy: &[T],
    dgy: &[T],
    dgx: Option<Target<'_, T>>,
    dgr: Option<Target<'_, T>>,
    dgscale: &mut [T],
    dgshift: &mut [T],
) {
    let targets = [&dgx, &dgr].map(|t| t.as_ref().map(|t| &*t.values));
    let rows = check(
        scale.len(),
        x.len(),
        [mask, dx, Some(gy), Some(dgy), targets[0], targets[1]],
        [dscale, Some(&*dgscale), Some(&*dgshift)],
    );
    T::dispatch(
        isa,
        AdjointTangent { rows, mask, x, dx, scale, dscale, gy, dgy, dgx, dgr, dgscale, dgshift },
    );
}

struct AdjointTangent<'a, T> {
    rows: usize,
    mask: Option<&'a [T]>,
    x: &'a [T],
    dx: Option<&'a [T]>,
    scale: &'a [T],
    dscale: Option<&'a [T]>,
    gy: &'a [T],
    dgy: &'a [T],
    dgx: Option<Target<'a, T>>,
    dgr: Option<Target<'a, T>>,
    dgscale: &'a mut [T],
    dgshift: &'a mut [T],
}

by_channels!(AdjointTangent<'_, T>, block);

impl<T: Scalar> AdjointTangent<'_, T> {
    /// # Safety
    /// Rows and channels `at..at + LANES` lie inside all arrays.
    #[inline(always)]
    unsafe fn block<S: Simd<T = T>>(&mut self, s: S, rows: std::ops::Range<usize>, at: usize) {
        let c = self.scale.len();
        // SAFETY: passed on from the caller.
        unsafe {
            let scale = s.load(self.scale, at);
            let dscale = self.dscale.map_or(s.zero(), |d| s.load(d, at));
            let (mut sum, mut sum_x) = (s.zero(), s.zero());
            for row in rows {
                let i = row * c + at;
                let (mut g, mut dg) = (s.load(self.gy, i), s.load(self.dgy, i));
                if let Some(y) = self.mask {
                    let y = s.load(y, i);
                    (g, dg) = (s.where_positive(y, g), s.where_positive(y, dg));
                }
                sum = s.add(sum, dg);
                sum_x = s.mul_add(dg, s.load(self.x, i), sum_x);
                if let Some(dx) = self.dx {
                    sum_x = s.mul_add(g, s.load(dx, i), sum_x);
                }
                if let Some(dgx) = &mut self.dgx {
                    dgx.put(s, s.mul_add(dscale, g, s.mul(scale, dg)), i);
                }
                if let Some(dgr) = &mut self.dgr {
                    dgr.put(s, dg, i);
                }
            }
            s.store(s.add(s.load(self.dgshift, at), sum), self.dgshift, at);
            s.store(s.add(s.load(self.dgscale, at), sum_x), self.dgscale, at);
        }
    }
}

/// Checks that arrays hold rows × c or c numbers; returns the rows.
fn check<T, const A: usize, const B: usize>(
    c: usize,
    len: usize,
    arrays: [Option<&[T]>; A],
    channels: [Option<&[T]>; B],
) -> usize {
    assert!(c > 0 && len.is_multiple_of(c), "{len} numbers are not rows of {c} channels");
    assert!(arrays.iter().flatten().all(|a| a.len() == len), "arrays of different lengths");
    assert!(channels.iter().flatten().all(|a| a.len() == c), "one number per channel");
    len / c
}

#[cfg(test)]
#[path = "affine_tests.rs"]
mod tests;
