//! Direct convolution: register tiles of output pixels × output channels.
//!
//! A tile of `P` pixels × `R` vectors of output channels stays in registers while the taps and input channels go by:
//! each step broadcasts `P` inputs, loads `R` vectors of weights and does `P·R` multiply-adds. The same code is the
//! forward pass and the input adjoint; both may sum two (source, filter) pairs in one pass.

use super::filter::PackedFilter;
use super::plan::{Correlation, Phase, Run, pad_images};
use super::scratch::Scratch;
use super::simd::{Isa, Job, Simd};
use crate::scalar::Scalar;

/// Largest number of pixels in a tile.
const MAX_PIXELS: usize = 16;

/// Output pixels worked on between two paddings, at least one image.
const CHUNK_PIXELS: usize = 256;

/// `y (+)= Σ_s correlate(sources[s], filters[s])` over all images.
pub(super) fn correlate<T: Scalar>(
    pass: &Correlation,
    groups: usize,
    images: usize,
    sources: &[(&[T], &PackedFilter<T>)],
    y: &mut [T],
    accumulate: bool,
    isa: Isa,
    scratch: &mut Scratch<T>,
) {
    let [h, w, c] = pass.out;
    let chunk = (CHUNK_PIXELS / (h * w)).clamp(1, images);
    offsets(pass, chunk, &mut scratch.offsets);
    let (src_len, out_len) = (pass.src.iter().product::<usize>(), h * w * c);
    let mut first = 0;
    while first < images {
        let count = chunk.min(images - first);
        for (s, (x, _)) in sources.iter().enumerate() {
            if !pass.in_place() {
                pad_images(
                    pass,
                    count,
                    &x[first * src_len..(first + count) * src_len],
                    &mut scratch.padded[s],
                );
            }
        }
        let source = |s: usize| -> &[T] {
            if pass.in_place() {
                &sources[s].0[first * src_len..(first + count) * src_len]
            } else {
                &scratch.padded[s][..count * pass.padded_len()]
            }
        };
        let last = sources.len() - 1;
        let job = Chunk {
            pass,
            groups,
            images: count,
            table_images: chunk,
            offsets: &scratch.offsets,
            x: [source(0), source(last)],
            w: [sources[0].1, sources[last].1],
            pairs: sources.len(),
            y: &mut y[first * out_len..(first + count) * out_len],
            accumulate,
        };
        T::dispatch(isa, job);
        first += count;
    }
}

/// Offsets of source and output of every pixel of `images` images, phase after phase.
fn offsets(pass: &Correlation, images: usize, table: &mut Vec<[usize; 2]>) {
    table.clear();
    let [h, w, c] = pass.out;
    let cs = pass.src[2];
    for phase in &pass.phases {
        for image in 0..images {
            for row in 0..phase.rows {
                let x_row = image * pass.padded_len() + row * phase.src_step[0] * pass.padded[1] * cs;
                let y_row = image * h * w + (phase.out_origin[0] + row * phase.out_step[0]) * w;
                for col in 0..phase.cols {
                    let y_pixel = y_row + phase.out_origin[1] + col * phase.out_step[1];
                    table.push([x_row + col * phase.src_step[1] * cs, y_pixel * c]);
                }
            }
        }
    }
}

struct Chunk<'a, T> {
    pass: &'a Correlation,
    groups: usize,
    images: usize,
    table_images: usize,
    offsets: &'a [[usize; 2]],
    x: [&'a [T]; 2],
    w: [&'a PackedFilter<T>; 2],
    pairs: usize,
    y: &'a mut [T],
    accumulate: bool,
}

impl<T: Scalar> Job<T> for Chunk<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(mut self, s: S) {
        let out_channels = self.pass.out[2] / self.groups;
        let src_channels = self.pass.src[2] / self.groups;
        let vectors = out_channels.div_ceil(S::LANES);
        let mut table_start = 0;
        for (index, phase) in self.pass.phases.iter().enumerate() {
            let pixels = self.images * phase.rows * phase.cols;
            let table = &self.offsets[table_start..table_start + pixels];
            table_start += self.table_images * phase.rows * phase.cols;
            // Everything the tiles touch lies below these bounds: the table grows with the pixel number.
            let reach = phase.runs.iter().map(|r| r.offset + r.len).max().unwrap_or(0);
            let [x_last, y_last] = table[pixels - 1];
            let x_end = x_last + (self.groups - 1) * src_channels + reach;
            assert!(phase.runs.is_empty() || self.x[..self.pairs].iter().all(|x| x_end <= x.len()));
            assert!(y_last + self.pass.out[2] <= self.y.len());
            for group in 0..self.groups {
                let mut v = 0;
                while v < vectors {
                    let r = if vectors - v >= 2 { 2 } else { 1 };
                    let place = Place {
                        w: [0, 1].map(|i| self.w[i].block::<S>(index, group, v, r, phase.k)),
                        x_shift: group * src_channels,
                        y_shift: group * out_channels + v * S::LANES,
                        lanes: (out_channels - v * S::LANES).min(r * S::LANES),
                    };
                    // SAFETY: the asserts above bound every access; `block` checks its own length.
                    unsafe {
                        if r == 2 {
                            if S::REGISTERS == 32 {
                                self.tiles::<S, 12, 8, 4, 2>(s, phase, table, &place);
                            } else {
                                self.tiles::<S, 6, 4, 2, 2>(s, phase, table, &place);
                            }
                        } else if S::REGISTERS == 32 {
                            self.tiles::<S, 16, 8, 4, 1>(s, phase, table, &place);
                        } else {
                            self.tiles::<S, 8, 4, 2, 1>(s, phase, table, &place);
                        }
                    }
                    v += r;
                }
            }
        }
    }
}

/// Which weights and channels a sweep over pixels uses.
struct Place<'a, T> {
    w: [&'a [T]; 2],
    x_shift: usize,
    y_shift: usize,
    /// Output channels that exist, up to R·LANES.
    lanes: usize,
}

impl<T: Scalar> Chunk<'_, T> {
    /// All pixels in tiles of `A`, the rest in one or two tiles of `B` or `C` (`A` ≥ `B` ≥ `C`).
    ///
    /// # Safety
    /// For every table entry and run, source and output ranges lie inside their slices.
    #[inline(always)]
    unsafe fn tiles<S: Simd<T = T>, const A: usize, const B: usize, const C: usize, const R: usize>(
        &mut self,
        s: S,
        phase: &Phase,
        table: &[[usize; 2]],
        place: &Place<'_, T>,
    ) {
        let mut at = 0;
        while at < table.len() {
            let left = table.len() - at;
            // SAFETY: passed on from the caller.
            unsafe {
                if left > B {
                    self.tile::<S, A, R>(s, phase, &table[at..], place);
                    at += A;
                } else if left > C {
                    self.tile::<S, B, R>(s, phase, &table[at..], place);
                    at += B;
                } else {
                    self.tile::<S, C, R>(s, phase, &table[at..], place);
                    at += C;
                }
            }
        }
    }

    /// One tile; pixels past the end of the table repeat its last pixel and are not stored.
    ///
    /// # Safety
    /// As for [`Chunk::tiles`]; `table` is not empty.
    #[inline(always)]
    unsafe fn tile<S: Simd<T = T>, const P: usize, const R: usize>(
        &mut self,
        s: S,
        phase: &Phase,
        table: &[[usize; 2]],
        place: &Place<'_, T>,
    ) {
        const { assert!(P <= MAX_PIXELS) };
        let live = table.len().min(P);
        let mut base = [0; P];
        for p in 0..P {
            base[p] = table[p.min(live - 1)][0] + place.x_shift;
        }
        // Constant steps between pixels become part of the instructions; otherwise 16 addresses need registers.
        // Neighbours in the table are at least one source pixel apart, so they are exactly one apart if the first and
        // the last say so.
        let first = base[0];
        let channels = self.pass.src[2];
        let even = R == 1 && P == MAX_PIXELS && live == P && base[P - 1] == first + (P - 1) * channels;
        // SAFETY: passed on from the caller.
        unsafe {
            match channels {
                16 if even => self.tile_at::<S, P, R>(s, phase, table, place, live, |p| first + 16 * p),
                32 if even => self.tile_at::<S, P, R>(s, phase, table, place, live, |p| first + 32 * p),
                _ => self.tile_at::<S, P, R>(s, phase, table, place, live, |p| base[p]),
            }
        }
    }

    /// One tile whose pixels start at `base(p)` in the source.
    ///
    /// # Safety
    /// As for [`Chunk::tile`].
    #[inline(always)]
    unsafe fn tile_at<S: Simd<T = T>, const P: usize, const R: usize>(
        &mut self,
        s: S,
        phase: &Phase,
        table: &[[usize; 2]],
        place: &Place<'_, T>,
        live: usize,
        base: impl Fn(usize) -> usize,
    ) {
        let mut acc = [[s.zero(); R]; P];
        for i in 0..self.pairs {
            // SAFETY: passed on from the caller.
            acc = unsafe { accumulate_runs::<S, P, R>(s, self.x[i], place.w[i], &phase.runs, &base, acc) };
        }
        let full = place.lanes == R * S::LANES;
        // No early exit: the loop must unroll for the tile to stay in registers.
        for p in 0..P {
            if p < live {
                let at = table[p][1] + place.y_shift;
                // SAFETY: the caller promises that the output range of this pixel lies inside `y`.
                unsafe { store_pixel::<S, R>(s, acc[p], self.y, at, place.lanes, full, self.accumulate) };
            }
        }
    }
}

/// Writes the channels of one pixel, or adds them.
///
/// # Safety
/// at + lanes ≤ y.len(); `full` only if lanes = R·LANES.
#[inline(always)]
unsafe fn store_pixel<S: Simd, const R: usize>(
    s: S,
    acc: [S::V; R],
    y: &mut [S::T],
    at: usize,
    lanes: usize,
    full: bool,
    accumulate: bool,
) {
    for r in 0..R {
        let at = at + r * S::LANES;
        // SAFETY: passed on from the caller.
        unsafe {
            if full {
                let v = if accumulate { s.add(s.load(y, at), acc[r]) } else { acc[r] };
                s.store(v, y, at);
            } else {
                let count = lanes.saturating_sub(r * S::LANES).min(S::LANES);
                let mut v = acc[r];
                if accumulate {
                    v = s.add(s.load_part(y, at, count), v);
                }
                s.store_part(v, y, at, count);
            }
        }
    }
}

/// acc\[p\]\[r\] += Σ over runs and their numbers j of x\[base(p) + offset + j\] · w\[j\]\[r\].
///
/// # Safety
/// base(p) + offset + len ≤ x.len() for all pixels and runs; w.len() ≥ R·LANES·Σ len.
#[inline(always)]
pub(super) unsafe fn accumulate_runs<S: Simd, const P: usize, const R: usize>(
    s: S,
    x: &[S::T],
    w: &[S::T],
    runs: &[Run],
    base: impl Fn(usize) -> usize,
    mut acc: [[S::V; R]; P],
) -> [[S::V; R]; P] {
    let mut wi = 0;
    for run in runs {
        // SAFETY: passed on from the caller.
        unsafe {
            acc = accumulate_run::<S, P, R>(s, x, s.from(w, wi), run.len, |p| base(p) + run.offset, acc);
        }
        wi += R * S::LANES * run.len;
    }
    acc
}

/// acc\[p\]\[r\] += Σ_j x\[base(p) + j\] · w\[j\]\[r\] for j < len.
///
/// # Safety
/// base(p) + len ≤ x.len() for all pixels; w.len() ≥ R·LANES·len.
#[inline(always)]
pub(super) unsafe fn accumulate_run<S: Simd, const P: usize, const R: usize>(
    s: S,
    x: &[S::T],
    w: &[S::T],
    len: usize,
    base: impl Fn(usize) -> usize,
    mut acc: [[S::V; R]; P],
) -> [[S::V; R]; P] {
    // SAFETY: passed on from the caller.
    let from: [&[S::T]; P] = std::array::from_fn(|p| unsafe { s.from(x, base(p)) });
    for j in 0..len {
        // SAFETY: passed on from the caller.
        unsafe {
            let mut wv = [s.zero(); R];
            for r in 0..R {
                wv[r] = s.load(w, (j * R + r) * S::LANES);
            }
            for p in 0..P {
                let xv = s.broadcast(from[p], j);
                for r in 0..R {
                    acc[p][r] = s.mul_add(xv, wv[r], acc[p][r]);
                }
            }
        }
    }
    acc
}
