//! Filters in Winograd's domain.

use super::positions;
use super::transforms::{Four, Two, transform_filter};
use crate::aligned::AlignedVec;
use crate::kernels::plan::Correlation;
use crate::kernels::simd::Simd;
use crate::scalar::Scalar;

/// Filter in the transformed domain: for every tile of output vectors and position, rows of `R·LANES` output channels.
#[derive(Clone, Debug)]
pub(in crate::kernels) struct WinogradFilter<T> {
    data: AlignedVec<T>,
    c_in: usize,
    /// Outputs of a tile along an axis: 2 or 4.
    pub size: usize,
}

impl<T: Scalar> WinogradFilter<T> {
    /// `weight(tap, source channel, output channel)`; taps in the order of the pass; tiles of `size`² outputs.
    pub fn new(
        lanes: usize,
        pass: &Correlation,
        size: usize,
        weight: impl Fn(usize, usize, usize) -> T,
    ) -> Self {
        let (c_in, c_out) = (pass.src[2], pass.out[2]);
        let mut data = AlignedVec::zeroed(positions(size) * c_in * c_out);
        let mut taps = [0; 9];
        for (slot, tap) in taps.iter_mut().zip(pass.phases[0].runs.iter().flat_map(|run| &run.taps)) {
            *slot = *tap;
        }
        let vectors = c_out / lanes;
        let mut v = 0;
        while v < vectors {
            let r = if vectors - v >= 2 { 2 } else { 1 };
            let width = r * lanes;
            let block = &mut data[v * lanes * positions(size) * c_in..][..positions(size) * c_in * width];
            for ci in 0..c_in {
                for lane in 0..width {
                    let g = taps.map(|tap| weight(tap, ci, v * lanes + lane).to_f64());
                    let mut put = |position: usize, u: f64| {
                        block[(position * c_in + ci) * width + lane] = T::from_f64(u);
                    };
                    if size == 4 {
                        let u = transform_filter::<Four, 6, 4>(g);
                        u.as_flattened().iter().enumerate().for_each(|(p, &u)| put(p, u));
                    } else {
                        let u = transform_filter::<Two, 4, 2>(g);
                        u.as_flattened().iter().enumerate().for_each(|(p, &u)| put(p, u));
                    }
                }
            }
            v += r;
        }
        WinogradFilter { data, c_in, size }
    }

    /// Rows of `r` vectors of output channels from vector `v`, at one position.
    #[inline(always)]
    pub fn block<S: Simd<T = T>>(&self, v: usize, r: usize, position: usize) -> &[T] {
        let start = (v * positions(self.size) + position * r) * S::LANES * self.c_in;
        &self.data[start..start + r * S::LANES * self.c_in]
    }
}
