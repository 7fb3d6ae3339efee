//! Filters in Winograd's domain.

use super::positions;
use super::transforms::{FILTERS, Tile, TileJob, by_tile_size, transform_filters};
use crate::aligned::AlignedVec;
use crate::kernels::plan::Correlation;
use crate::kernels::simd::{Isa, Simd};
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
    pub(crate) fn new(
        isa: Isa,
        pass: &Correlation,
        size: usize,
        weight: impl Fn(usize, usize, usize) -> T,
    ) -> Self {
        let lanes = T::lanes(isa);
        let (c_in, c_out) = (pass.src[2], pass.out[2]);
        let mut data = AlignedVec::zeroed(super::filter_len(pass, size));
        let mut taps = [0; 9];
        for (slot, tap) in taps.iter_mut().zip(pass.phases[0].runs.iter().flat_map(|run| &run.taps)) {
            *slot = *tap;
        }
        let vectors = c_out / lanes;
        let mut v = 0;
        while v < vectors {
            let r = if vectors - v >= 2 { 2 } else { 1 };
            let (first, width) = (v * lanes, r * lanes);
            let block = &mut data[first * positions(size) * c_in..][..positions(size) * c_in * width];
            by_tile_size(size, isa, Transform { block, weight: &weight, taps, c_in, first, width });
            v += r;
        }
        WinogradFilter { data, c_in, size }
    }

    #[cfg(test)]
    pub(in crate::kernels) fn len(&self) -> usize {
        self.data.len()
    }

    /// Rows of `r` vectors of output channels from vector `v`, at one position.
    #[inline(always)]
    pub(crate) fn block<S: Simd<T = T>>(&self, v: usize, r: usize, position: usize) -> &[T] {
        let start = (v * positions(self.size) + position * r) * S::LANES * self.c_in;
        &self.data[start..start + r * S::LANES * self.c_in]
    }
}

/// Transforms the filters of `width` output channels from `first`.
struct Transform<'a, T, W> {
    block: &'a mut [T],
    weight: &'a W,
    taps: [usize; 9],
    c_in: usize,
    first: usize,
    width: usize,
}

impl<T: Scalar, W: Fn(usize, usize, usize) -> T> TileJob<T> for Transform<'_, T, W> {
    #[inline(always)]
    fn run<S: Simd<T = T>, F: Tile<I, O>, const I: usize, const O: usize>(self, _: S) {
        let Self { block, weight, taps, c_in, first, width } = self;
        for ci in 0..c_in {
            for lane in (0..width).step_by(FILTERS) {
                let filters = FILTERS.min(width - lane);
                let mut g = [[0.0; FILTERS]; 9];
                for (g, tap) in g.iter_mut().zip(taps) {
                    for (f, g) in g[..filters].iter_mut().enumerate() {
                        *g = weight(tap, ci, first + lane + f).to_f64();
                    }
                }
                transform_filters::<F, I, O>(&g, |position, u| {
                    let to = &mut block[(position * c_in + ci) * width + lane..][..filters];
                    for (to, &u) in to.iter_mut().zip(u) {
                        *to = T::from_f64(u);
                    }
                });
            }
        }
    }
}
