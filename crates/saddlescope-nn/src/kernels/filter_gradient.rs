//! Gradient with respect to the filter: register tiles of filter rows × output channels, summed over pixels.
//!
//! For a run of taps, `P` numbers that follow each other in the padded input are broadcast against `R` vectors of the
//! output gradient. Sums are kept in registers over a block of pixels and then added to the result, which also keeps
//! rounding errors small.

use super::plan::{Correlation, Run, pad_images};
use super::scratch::Scratch;
use super::simd::{Isa, Job, Simd};
use crate::aligned::AlignedVec;
use crate::scalar::Scalar;

/// Pixels summed in registers before a tile is added to the result; their inputs should stay in the first-level cache.
const BLOCK_PIXELS: usize = 256;

/// `gw += Σ_s x_s ⋆ gy_s` over all images; `gw` has shape \[kh, kw, c_in/groups, c_out\].
pub(super) fn filter_gradient<T: Scalar>(
    pass: &Correlation,
    groups: usize,
    images: usize,
    pairs: &[(&[T], &[T])],
    gw: &mut [T],
    isa: Isa,
    scratch: &mut Scratch<T>,
) {
    let [ho, wo, c_out] = pass.out;
    let group_out = c_out / groups;
    let lanes = T::lanes(isa);
    let vectors = group_out.div_ceil(lanes);
    let chunk = (BLOCK_PIXELS / (ho * wo)).clamp(1, images);
    let (src_len, out_len) = (pass.src.iter().product::<usize>(), ho * wo * c_out);
    let aligned = group_out.is_multiple_of(lanes);
    let pixel = if aligned { c_out } else { groups * vectors * lanes };
    row_offsets(pass, chunk, pixel, &mut scratch.offsets);
    let mut first = 0;
    while first < images {
        let count = chunk.min(images - first);
        for (i, &(x, gy)) in pairs.iter().enumerate() {
            let mut x = &x[first * src_len..(first + count) * src_len];
            if !pass.in_place() {
                pad_images(pass, count, x, &mut scratch.padded[i]);
                x = &scratch.padded[i][..count * pass.padded_len()];
            }
            let mut gy = &gy[first * out_len..(first + count) * out_len];
            if !aligned {
                pad_channels(gy, group_out, vectors * lanes, &mut scratch.channels[i]);
                gy = &scratch.channels[i][..count * ho * wo * pixel];
            }
            let rows = &scratch.offsets[..count * scratch.offsets.len() / chunk];
            T::dispatch(isa, Chunk { pass, groups, x, gy, pixel, rows, gw });
        }
        first += count;
    }
}

/// Offsets of every row of output pixels in the padded input and in the output gradient. A pass that reads whole
/// images without gaps has one row per image.
fn row_offsets(pass: &Correlation, images: usize, pixel: usize, table: &mut Vec<[usize; 2]>) {
    table.clear();
    let (rows, cols) = rows_and_cols(pass);
    let phase = &pass.phases[0];
    for image in 0..images {
        for row in 0..rows {
            let x = image * pass.padded_len() + row * phase.src_step[0] * pass.padded[1] * pass.src[2];
            table.push([x, (image * rows + row) * cols * pixel]);
        }
    }
}

fn rows_and_cols(pass: &Correlation) -> (usize, usize) {
    let phase = &pass.phases[0];
    if phase.src_step[0] * pass.padded[1] == phase.src_step[1] * phase.cols {
        (1, phase.rows * phase.cols)
    } else {
        (phase.rows, phase.cols)
    }
}

/// Groups of `from` channels copied to groups of `to` channels, zeros between.
fn pad_channels<T: Scalar>(src: &[T], from: usize, to: usize, dst: &mut AlignedVec<T>) {
    let size = src.len() / from * to;
    dst.grow(size);
    for (src, dst) in src.chunks_exact(from).zip(dst.chunks_exact_mut(to)) {
        dst[..from].copy_from_slice(src);
        dst[from..].fill(T::ZERO);
    }
}

struct Chunk<'a, T> {
    pass: &'a Correlation,
    groups: usize,
    x: &'a [T],
    gy: &'a [T],
    /// Numbers per pixel of `gy`.
    pixel: usize,
    rows: &'a [[usize; 2]],
    gw: &'a mut [T],
}

/// Where one tile reads and writes.
struct Place {
    /// Offset in a padded input pixel.
    x: usize,
    /// Offset in a pixel of the output gradient.
    gy: usize,
    /// Offset of the first row in `gw`.
    gw: usize,
    /// Output channels that exist, up to R·LANES.
    lanes: usize,
    cols: usize,
    x_step: usize,
}

impl<T: Scalar> Job<T> for Chunk<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(mut self, s: S) {
        let phase = &self.pass.phases[0];
        let c_out = self.pass.out[2];
        let (group_in, group_out) = (self.pass.src[2] / self.groups, c_out / self.groups);
        let vectors = group_out.div_ceil(S::LANES);
        let (_, cols) = rows_and_cols(self.pass);
        let x_step = phase.src_step[1] * self.pass.src[2];
        let reach = phase.runs.iter().map(|r| r.offset + r.len).max().unwrap_or(0);
        let [x_last, y_last] = self.rows[self.rows.len() - 1];
        assert!(x_last + (cols - 1) * x_step + (self.groups - 1) * group_in + reach <= self.x.len());
        assert!(y_last + cols * self.pixel <= self.gy.len());
        assert!(self.groups * vectors * S::LANES <= self.pixel);
        let block = (BLOCK_PIXELS / cols).max(1);
        let rows = self.rows;
        for rows in rows.chunks(block) {
            for group in 0..self.groups {
                for run in &phase.runs {
                    let mut v = 0;
                    while v < vectors {
                        let r = if vectors - v >= 2 { 2 } else { 1 };
                        let place = Place {
                            x: group * group_in + run.offset,
                            gy: (group * vectors + v) * S::LANES,
                            gw: run.taps[0] * group_in * c_out + group * group_out + v * S::LANES,
                            lanes: (group_out - v * S::LANES).min(r * S::LANES),
                            cols,
                            x_step,
                        };
                        // SAFETY: the asserts above bound every access.
                        unsafe {
                            if r == 2 {
                                if S::REGISTERS == 32 {
                                    self.run_tiles::<S, 12, 2>(s, rows, run, place);
                                } else {
                                    self.run_tiles::<S, 6, 2>(s, rows, run, place);
                                }
                            } else if S::REGISTERS == 32 {
                                self.run_tiles::<S, 24, 1>(s, rows, run, place);
                            } else {
                                self.run_tiles::<S, 12, 1>(s, rows, run, place);
                            }
                        }
                        v += r;
                    }
                }
            }
        }
    }
}

impl<T: Scalar> Chunk<'_, T> {
    /// All numbers of a run in tiles of `P`, then 4, then 1.
    ///
    /// # Safety
    /// Every row, column and number of the run lies inside `x` and `gy`.
    #[inline(always)]
    unsafe fn run_tiles<S: Simd<T = T>, const P: usize, const R: usize>(
        &mut self,
        s: S,
        rows: &[[usize; 2]],
        run: &Run,
        mut place: Place,
    ) {
        let mut left = run.len;
        while left > 0 {
            // SAFETY: passed on from the caller.
            let done = unsafe {
                if left >= P {
                    self.tile::<S, P, R>(s, rows, &place);
                    P
                } else if left >= 4 {
                    self.tile::<S, 4, R>(s, rows, &place);
                    4
                } else {
                    self.tile::<S, 1, R>(s, rows, &place);
                    1
                }
            };
            left -= done;
            place.x += done;
            place.gw += done * self.pass.out[2];
        }
    }

    /// # Safety
    /// As for [`Chunk::run_tiles`].
    #[inline(always)]
    unsafe fn tile<S: Simd<T = T>, const P: usize, const R: usize>(
        &mut self,
        s: S,
        rows: &[[usize; 2]],
        place: &Place,
    ) {
        let mut acc = [[s.zero(); R]; P];
        for &[x_row, y_row] in rows {
            let (mut x_at, mut y_at) = (x_row + place.x, y_row + place.gy);
            for _ in 0..place.cols {
                // SAFETY: passed on from the caller.
                unsafe {
                    let mut g = [s.zero(); R];
                    for r in 0..R {
                        g[r] = s.load(self.gy, y_at + r * S::LANES);
                    }
                    for p in 0..P {
                        let xv = s.broadcast(self.x, x_at + p);
                        for r in 0..R {
                            acc[p][r] = s.mul_add(xv, g[r], acc[p][r]);
                        }
                    }
                }
                x_at += place.x_step;
                y_at += self.pixel;
            }
        }
        let c_out = self.pass.out[2];
        let full = place.lanes == R * S::LANES;
        let last = place.gw + (P - 1) * c_out + place.lanes;
        assert!(last <= self.gw.len());
        for p in 0..P {
            for r in 0..R {
                let at = place.gw + p * c_out + r * S::LANES;
                let count = place.lanes.saturating_sub(r * S::LANES).min(S::LANES);
                // SAFETY: the assert bounds every access.
                unsafe {
                    if full {
                        s.store(s.add(s.load(self.gw, at), acc[p][r]), self.gw, at);
                    } else {
                        let sum = s.add(s.load_part(self.gw, at, count), acc[p][r]);
                        s.store_part(sum, self.gw, at, count);
                    }
                }
            }
        }
    }
}
