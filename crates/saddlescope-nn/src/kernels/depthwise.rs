//! Depthwise convolution (one channel per group): vectors run over channels.

use super::filter::PackedFilter;
use super::plan::{Correlation, Run, pad_images};
use super::scratch::Scratch;
use super::simd::{Isa, Job, Simd};
use crate::scalar::Scalar;

/// Taps whose sums the filter adjoint keeps in registers at a time.
const TAPS: usize = 4;

/// `y (+)= Σ_s correlate(sources[s], filters[s])`, channel by channel.
pub(super) fn correlate<T: Scalar>(
    pass: &Correlation,
    images: usize,
    sources: &[(&[T], &PackedFilter<T>)],
    y: &mut [T],
    accumulate: bool,
    isa: Isa,
    scratch: &mut Scratch<T>,
) {
    let (src_len, out_len) = (pass.src.iter().product::<usize>(), pass.out.iter().product::<usize>());
    for image in 0..images {
        for (s, (x, w)) in sources.iter().enumerate() {
            let mut x = &x[image * src_len..(image + 1) * src_len];
            if !pass.in_place() {
                pad_images(pass, 1, x, &mut scratch.padded[s]);
                x = &scratch.padded[s][..pass.padded_len()];
            }
            let y = &mut y[image * out_len..(image + 1) * out_len];
            T::dispatch(isa, Image { pass, x, w, y, accumulate: accumulate || s > 0 });
        }
    }
}

struct Image<'a, T> {
    pass: &'a Correlation,
    x: &'a [T],
    w: &'a PackedFilter<T>,
    y: &'a mut [T],
    accumulate: bool,
}

impl<T: Scalar> Job<T> for Image<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, s: S) {
        let c = self.pass.out[2];
        let (padded_row, out_row) = (self.pass.padded[1] * c, self.pass.out[1] * c);
        for (index, phase) in self.pass.phases.iter().enumerate() {
            let w = self.w.phase(index, phase.runs.len() * c);
            for row in 0..phase.rows {
                let x_row = row * phase.src_step[0] * padded_row;
                let y_row =
                    (phase.out_origin[0] + row * phase.out_step[0]) * out_row + phase.out_origin[1] * c;
                for col in 0..phase.cols {
                    let x = &self.x[(x_row + col * phase.src_step[1] * c).min(self.x.len())..];
                    let y_at = y_row + col * phase.out_step[1] * c;
                    let y = &mut self.y[y_at..y_at + c];
                    assert!(phase.runs.iter().all(|run| run.offset + c <= x.len()));
                    let whole = c - c % S::LANES;
                    // SAFETY: the assert bounds every read of `x`; `y` has c numbers and `w` runs·c.
                    unsafe {
                        pixel(s, &phase.runs, x, w, y, 0, whole, self.accumulate);
                        pixel(s.tail(), &phase.runs, x, w, y, whole, c, self.accumulate);
                    }
                }
            }
        }
    }
}

/// One output pixel, channels `from..to` (a multiple of LANES).
///
/// # Safety
/// run.offset + to ≤ x.len() for all runs, w.len() = runs · y.len(), to ≤ y.len().
#[inline(always)]
unsafe fn pixel<S: Simd>(
    s: S,
    runs: &[Run],
    x: &[S::T],
    w: &[S::T],
    y: &mut [S::T],
    from: usize,
    to: usize,
    accumulate: bool,
) {
    let channels = y.len();
    let mut c = from;
    while c < to {
        // SAFETY: passed on from the caller.
        unsafe {
            let mut acc = if accumulate { s.load(y, c) } else { s.zero() };
            for (tap, run) in runs.iter().enumerate() {
                acc = s.mul_add(s.load(x, run.offset + c), s.load(w, tap * channels + c), acc);
            }
            s.store(acc, y, c);
        }
        c += S::LANES;
    }
}

/// `gw += x ⋆ gy` over all images, channel by channel; `gw` has shape \[kh, kw, 1, c\].
pub(super) fn filter_adjoint<T: Scalar>(
    pass: &Correlation,
    images: usize,
    x: &[T],
    gy: &[T],
    gw: &mut [T],
    isa: Isa,
    scratch: &mut Scratch<T>,
) {
    let (src_len, out_len) = (pass.src.iter().product::<usize>(), pass.out.iter().product::<usize>());
    for image in 0..images {
        let mut x = &x[image * src_len..(image + 1) * src_len];
        if !pass.in_place() {
            pad_images(pass, 1, x, &mut scratch.padded[0]);
            x = &scratch.padded[0][..pass.padded_len()];
        }
        T::dispatch(isa, ImageAdjoint { pass, x, gy: &gy[image * out_len..(image + 1) * out_len], gw });
    }
}

struct ImageAdjoint<'a, T> {
    pass: &'a Correlation,
    x: &'a [T],
    gy: &'a [T],
    gw: &'a mut [T],
}

impl<T: Scalar> Job<T> for ImageAdjoint<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, s: S) {
        let c = self.pass.out[2];
        let whole = c - c % S::LANES;
        let phase = &self.pass.phases[0];
        let x_last = (phase.rows - 1) * phase.src_step[0] * self.pass.padded[1] * c
            + (phase.cols - 1) * phase.src_step[1] * c;
        assert!(phase.runs.iter().all(|run| x_last + run.offset + c <= self.x.len()));
        assert!(phase.rows * phase.cols * c <= self.gy.len() && phase.runs.len() * c <= self.gw.len());
        for (block, runs) in phase.runs.chunks(TAPS).enumerate() {
            let gw = &mut self.gw[block * TAPS * c..];
            // SAFETY: the asserts bound every access.
            unsafe {
                taps(s, self.pass, runs, self.x, self.gy, gw, 0, whole);
                taps(s.tail(), self.pass, runs, self.x, self.gy, gw, whole, c);
            }
        }
    }
}

/// Up to [`TAPS`] taps, channels `from..to`; tap numbers of a forward pass follow the order of its runs.
///
/// # Safety
/// The largest pixel offset + run.offset + to ≤ x.len(), pixels·c ≤ gy.len(), runs·c ≤ gw.len().
#[inline(always)]
unsafe fn taps<S: Simd>(
    s: S,
    pass: &Correlation,
    runs: &[Run],
    x: &[S::T],
    gy: &[S::T],
    gw: &mut [S::T],
    from: usize,
    to: usize,
) {
    let channels = pass.out[2];
    let phase = &pass.phases[0];
    let mut offsets = [0; TAPS];
    for t in 0..TAPS {
        // Missing taps repeat the last one and are not stored.
        offsets[t] = runs[t.min(runs.len() - 1)].offset;
    }
    let mut c = from;
    while c < to {
        let mut acc = [s.zero(); TAPS];
        for row in 0..phase.rows {
            let mut x_at = row * phase.src_step[0] * pass.padded[1] * channels + c;
            let mut y_at = row * phase.cols * channels + c;
            for _ in 0..phase.cols {
                // SAFETY: passed on from the caller.
                unsafe {
                    let g = s.load(gy, y_at);
                    for t in 0..TAPS {
                        acc[t] = s.mul_add(s.load(x, x_at + offsets[t]), g, acc[t]);
                    }
                }
                x_at += phase.src_step[1] * channels;
                y_at += channels;
            }
        }
        for t in 0..runs.len() {
            // SAFETY: passed on from the caller.
            unsafe {
                let at = t * channels + c;
                s.store(s.add(s.load(gw, at), acc[t]), gw, at);
            }
        }
        c += S::LANES;
    }
}
