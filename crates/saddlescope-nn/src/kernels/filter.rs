//! Filters in the order the kernels read them.

use super::geometry::ConvGeometry;
use super::method::Method;
use super::plan::Correlation;
use super::simd::{Isa, Simd};
use super::winograd::{self, WinogradFilter};
use crate::aligned::AlignedVec;
use crate::scalar::Scalar;

/// One filter, packed once for all passes of one convolution; shared by all threads.
#[derive(Clone, Debug)]
pub struct Filter<T> {
    pub(super) isa: Isa,
    pub(super) forward: Packed<T>,
    pub(super) adjoint: Packed<T>,
}

/// A filter packed for the algorithm of its pass.
#[derive(Clone, Debug)]
pub(super) enum Packed<T> {
    Direct(PackedFilter<T>),
    Winograd(WinogradFilter<T>),
}

impl<T: Scalar> Filter<T> {
    /// Packs `hwio`, shape \[kh, kw, c_in/groups, c_out\], for the fastest code path of this processor.
    ///
    /// # Panics
    /// If the length of `hwio` is not [`ConvGeometry::filter_len`]; shapes are checked by the caller.
    #[must_use]
    pub fn pack(g: &ConvGeometry, hwio: &[T]) -> Self {
        Filter::pack_for(Isa::detect(), None, g, hwio)
    }

    /// [`Filter::pack`] for a given code path and algorithm, for tests and benchmarks.
    ///
    /// # Panics
    /// As [`Filter::pack`].
    #[must_use]
    pub fn pack_for(isa: Isa, method: Option<Method>, g: &ConvGeometry, hwio: &[T]) -> Self {
        assert_eq!(hwio.len(), g.filter_len(), "filter length");
        let (group_in, group_out) = (g.c_in / g.groups, g.c_out / g.groups);
        if g.is_depthwise() {
            let plain = |pass: &Correlation| {
                Packed::Direct(PackedFilter::depthwise(pass, |tap, c| hwio[tap * g.c_out + c]))
            };
            return Filter { isa, forward: plain(&g.forward), adjoint: plain(&g.adjoint) };
        }
        let at = |group: usize, tap: usize, ci: usize, co: usize| {
            hwio[(tap * group_in + ci) * g.c_out + group * group_out + co]
        };
        let lanes = T::lanes(isa);
        let tile = |pass| winograd::choose(pass, method, g.n(), lanes, size_of::<T>()).tile();
        let forward = match tile(&g.forward) {
            Some(size) => {
                let weight = |tap, ci, co| at(0, tap, ci, co);
                Packed::Winograd(WinogradFilter::new(isa, &g.forward, size, weight))
            }
            None => Packed::Direct(PackedFilter::dense(lanes, &g.forward, g.groups, at)),
        };
        let adjoint = match tile(&g.adjoint) {
            Some(size) => {
                let weight = |tap, co, ci| at(0, tap, ci, co);
                Packed::Winograd(WinogradFilter::new(isa, &g.adjoint, size, weight))
            }
            None => Packed::Direct(PackedFilter::dense(lanes, &g.adjoint, g.groups, |group, tap, co, ci| {
                at(group, tap, ci, co)
            })),
        };
        Filter { isa, forward, adjoint }
    }

    /// Numbers that [`Filter::pack`] holds.
    pub(crate) fn packed_len(g: &ConvGeometry) -> usize {
        let lanes = T::lanes(Isa::detect());
        let of = |pass: &Correlation| match g.is_depthwise() {
            true => PackedFilter::<T>::depthwise_len(pass),
            false => match winograd::choose(pass, None, g.n(), lanes, size_of::<T>()).tile() {
                Some(size) => winograd::filter_len(pass, size),
                None => PackedFilter::<T>::dense_len(lanes, pass, g.groups),
            },
        };
        of(&g.forward) + of(&g.adjoint)
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let of = |packed: &Packed<T>| match packed {
            Packed::Direct(filter) => filter.data.len(),
            Packed::Winograd(filter) => filter.len(),
        };
        of(&self.forward) + of(&self.adjoint)
    }

    /// Numbers of the sums that the filter's adjoint takes beside the filter itself, which may be larger than any value of a graph.
    pub(crate) fn adjoint_sums_len(g: &ConvGeometry) -> usize {
        let lanes = T::lanes(Isa::detect());
        if g.is_depthwise() {
            return 0;
        }
        let method = winograd::choose_gradient(&g.forward, None, g.n(), lanes, size_of::<T>());
        method.tile().map_or(0, |size| winograd::filter_len(&g.forward, size))
    }
}

/// Weights of one pass: for every phase, group and tile of output vectors, rows of `R·LANES` output channels in the
/// order of the runs.
#[derive(Clone, Debug)]
pub(super) struct PackedFilter<T> {
    data: AlignedVec<T>,
    /// Start of every phase.
    starts: Vec<usize>,
    /// Numbers of one group in every phase.
    strides: Vec<usize>,
}

impl<T: Scalar> PackedFilter<T> {
    fn zeroed(len: usize) -> Self {
        PackedFilter { data: AlignedVec::zeroed(len), starts: Vec::new(), strides: Vec::new() }
    }

    fn dense_len(lanes: usize, pass: &Correlation, groups: usize) -> usize {
        let vectors = (pass.out[2] / groups).div_ceil(lanes);
        pass.phases.iter().map(|phase| phase.k * vectors * lanes * groups).sum()
    }

    fn depthwise_len(pass: &Correlation) -> usize {
        pass.phases.iter().map(|phase| phase.runs.len() * pass.out[2]).sum()
    }

    /// `weight(group, tap, source channel, output channel)`, channels counted inside the group.
    fn dense(
        lanes: usize,
        pass: &Correlation,
        groups: usize,
        weight: impl Fn(usize, usize, usize, usize) -> T,
    ) -> Self {
        let (src, out) = (pass.src[2] / groups, pass.out[2] / groups);
        let vectors = out.div_ceil(lanes);
        let mut packed = PackedFilter::zeroed(Self::dense_len(lanes, pass, groups));
        let mut end = 0;
        for phase in &pass.phases {
            packed.starts.push(end);
            packed.strides.push(phase.k * vectors * lanes);
            for group in 0..groups {
                let mut v = 0;
                while v < vectors {
                    let r = if vectors - v >= 2 { 2 } else { 1 };
                    for tap in phase.runs.iter().flat_map(|run| &run.taps) {
                        for ci in 0..src {
                            let first = v * lanes;
                            let row = &mut packed.data[end..][..(out - first).min(r * lanes)];
                            for (lane, to) in row.iter_mut().enumerate() {
                                *to = weight(group, *tap, ci, first + lane);
                            }
                            end += r * lanes;
                        }
                    }
                    v += r;
                }
            }
        }
        packed
    }

    /// `weight(tap, channel)`: rows of all channels in the order of the taps.
    fn depthwise(pass: &Correlation, weight: impl Fn(usize, usize) -> T) -> Self {
        let mut packed = PackedFilter::zeroed(Self::depthwise_len(pass));
        let mut end = 0;
        for phase in &pass.phases {
            packed.starts.push(end);
            for tap in phase.runs.iter().flat_map(|run| &run.taps) {
                for c in 0..pass.out[2] {
                    packed.data[end] = weight(*tap, c);
                    end += 1;
                }
            }
            packed.strides.push(0);
        }
        packed
    }

    /// Weights of `r` vectors of output channels from vector `v` of a group.
    #[inline(always)]
    pub(super) fn block<S: Simd<T = T>>(
        &self,
        phase: usize,
        group: usize,
        v: usize,
        r: usize,
        k: usize,
    ) -> &[T] {
        let start = self.starts[phase] + group * self.strides[phase] + v * k * S::LANES;
        &self.data[start..start + r * k * S::LANES]
    }

    /// Depthwise weights of a phase.
    pub(super) fn phase(&self, phase: usize, len: usize) -> &[T] {
        &self.data[self.starts[phase]..][..len]
    }
}
