//! Filter adjoint of a 3×3 convolution in Winograd's domain: the exact transpose of [`super::correlate`].
//!
//! gw = Gᵀ \[Σ over tiles of (Bᵀ d B) ⊗ (A ȳ Aᵀ)\] G: for each position of a transformed tile one product of
//! transformed inputs and transformed output gradients, summed over tiles.

use super::blocks::{Blocks, PLANE_GAP, Segment};
use super::correlate::transform_input;
use super::transforms::{Tile, TileJob, by_tile_size};
use crate::kernels::plan::Correlation;
use crate::kernels::scratch::Scratch;
use crate::kernels::simd::{Isa, Simd};
use crate::scalar::Scalar;

/// `gw += Σ_s x_s ⋆ gy_s` over all images, by tiles of `size`² outputs; `gw` has shape \[3, 3, c_in, c_out\].
pub(in crate::kernels) fn filter_gradient<T: Scalar>(
    pass: &Correlation,
    size: usize,
    images: usize,
    pairs: &[(&[T], &[T])],
    gw: &mut [T],
    isa: Isa,
    scratch: &mut Scratch<T>,
) {
    by_tile_size(size, isa, Gradient { pass, images, pairs, gw, scratch });
}

struct Gradient<'a, T> {
    pass: &'a Correlation,
    images: usize,
    pairs: &'a [(&'a [T], &'a [T])],
    gw: &'a mut [T],
    scratch: &'a mut Scratch<T>,
}

/// Tiles of a block of `outputs`² outputs each: the more there are, the fewer passes over the sums of all channel pairs.
fn block_tiles(channels: usize, outputs: usize) -> usize {
    let pixels = if channels <= 32 { 512 } else { 256 };
    pixels / (outputs * outputs)
}

impl<T: Scalar> TileJob<T> for Gradient<'_, T> {
    #[inline(always)]
    fn run<S: Simd<T = T>, F: Tile<I, O>, const I: usize, const O: usize>(self, s: S) {
        let Gradient { pass, images, pairs, gw, scratch } = self;
        let [h, w, c_in] = pass.src;
        let [ho, wo, c_out] = pass.out;
        let (src_len, out_len) = (h * w * c_in, ho * wo * c_out);
        assert!(pairs.iter().all(|(x, gy)| x.len() >= images * src_len && gy.len() >= images * out_len));
        assert!(c_in.is_multiple_of(S::LANES) && c_out.is_multiple_of(S::LANES));
        assert!(gw.len() == 9 * c_in * c_out);
        let target = block_tiles(c_in.max(c_out), O);
        let (plane, out_plane) = (target * c_in + PLANE_GAP, target * c_out + PLANE_GAP);
        let Scratch { padded, channels, zeros, segments, sums, .. } = scratch;
        zeros.grow(w * c_in);
        sums.grow(I * I * c_in * c_out);
        for i in 0..pairs.len() {
            padded[i].grow(I * I * plane);
            channels[i].grow(I * I * out_plane);
        }
        let mut blocks = Blocks::new(pass, O, images, target);
        let mut first = true;
        loop {
            let tiles = blocks.next(segments);
            if tiles == 0 {
                break;
            }
            let block = &segments[..];
            for (i, (x, gy)) in pairs.iter().enumerate() {
                let mut tile = 0;
                for &segment in block {
                    let x = &x[segment.image * src_len..][..src_len];
                    let gy = &gy[segment.image * out_len..][..out_len];
                    // SAFETY: whole images; planes hold `target` tiles.
                    unsafe {
                        transform_input::<S, F, I, O>(
                            s,
                            pass,
                            x,
                            zeros,
                            segment,
                            &mut padded[i],
                            plane,
                            tile,
                        );
                        transform_gradient::<S, F, I, O>(
                            s,
                            pass,
                            gy,
                            segment,
                            &mut channels[i],
                            out_plane,
                            tile,
                        );
                    }
                    tile += segment.count;
                }
            }
            let last = pairs.len() - 1;
            for position in 0..I * I {
                let product = Product {
                    v: [0, last].map(|i| &padded[i][position * plane..(position + 1) * plane]),
                    z: [0, last].map(|i| &channels[i][position * out_plane..(position + 1) * out_plane]),
                    pairs: pairs.len(),
                    tiles,
                    c_in,
                    c_out,
                    sums: &mut sums[position * c_in * c_out..(position + 1) * c_in * c_out],
                    first,
                };
                // SAFETY: planes hold `tiles` rows of c_in and c_out numbers, `sums` c_in·c_out.
                unsafe { product.run(s) };
            }
            first = false;
        }
        // SAFETY: `sums` has I² planes of c_in·c_out numbers, `gw` has 9.
        unsafe { transform_back::<S, F, I, O>(s, sums, gw) };
    }
}

/// A ȳ Aᵀ of every tile of a segment, written to I² planes from row `tile` on.
///
/// # Safety
/// `gy` is one output image; `out` has I² planes of `plane` numbers with room for `tile + segment.count` rows.
#[inline(always)]
unsafe fn transform_gradient<S: Simd, F: Tile<I, O>, const I: usize, const O: usize>(
    s: S,
    pass: &Correlation,
    gy: &[S::T],
    segment: Segment,
    out: &mut [S::T],
    plane: usize,
    tile: usize,
) {
    let [ho, wo, c] = pass.out;
    let rows = (ho - segment.row * O).min(O);
    for k in 0..segment.count {
        let col = (segment.col + k) * O;
        let cols = (wo - col).min(O);
        let whole = rows == O && cols == O;
        let mut channel = 0;
        while channel < c {
            let at = (segment.row * O * wo + col) * c + channel;
            let mut half = [[s.zero(); I]; O];
            for j in 0..O {
                let mut y = [s.zero(); O];
                for i in 0..O {
                    if whole || (i < rows && j < cols) {
                        // SAFETY: only pixels of the image are read.
                        y[i] = unsafe { s.load(gy, at + (i * wo + j) * c) };
                    }
                    s.prefetch(gy, at + ((O + i) * wo + j) * c);
                }
                half[j] = F::output_adjoint(s, y);
            }
            let at = (tile + k) * c + channel;
            for i in 0..I {
                let mut row = [s.zero(); O];
                for j in 0..O {
                    row[j] = half[j][i];
                }
                let z = F::output_adjoint(s, row);
                for j in 0..I {
                    // SAFETY: the caller promises room in the planes.
                    unsafe { s.store(z[j], out, (i * I + j) * plane + at) };
                }
            }
            channel += S::LANES;
        }
    }
}

/// One position: sums += Σ_s V_sᵀ Z_s.
struct Product<'a, T> {
    v: [&'a [T]; 2],
    z: [&'a [T]; 2],
    pairs: usize,
    tiles: usize,
    c_in: usize,
    c_out: usize,
    sums: &'a mut [T],
    /// Replace what `sums` holds.
    first: bool,
}

impl<T: Scalar> Product<'_, T> {
    /// # Safety
    /// `v` and `z` hold `tiles` rows of c_in and c_out numbers, `sums` c_in·c_out; both are multiples of LANES.
    #[inline(always)]
    unsafe fn run<S: Simd<T = T>>(mut self, s: S) {
        let vectors = self.c_out / S::LANES;
        let mut v = 0;
        while v < vectors {
            let r = if vectors - v >= 2 { 2 } else { 1 };
            // SAFETY: passed on from the caller.
            unsafe {
                if r == 2 {
                    if S::REGISTERS == 32 {
                        self.rows::<S, 12, 4, 2>(s, v * S::LANES);
                    } else {
                        self.rows::<S, 6, 2, 2>(s, v * S::LANES);
                    }
                } else if S::REGISTERS == 32 {
                    self.rows::<S, 16, 8, 1>(s, v * S::LANES);
                } else {
                    self.rows::<S, 8, 4, 1>(s, v * S::LANES);
                }
            }
            v += r;
        }
    }

    /// All input channels in tiles of `A`, then `B`, then 1.
    ///
    /// # Safety
    /// As for [`Product::run`]; channels co..co + R·LANES exist.
    #[inline(always)]
    unsafe fn rows<S: Simd<T = T>, const A: usize, const B: usize, const R: usize>(
        &mut self,
        s: S,
        co: usize,
    ) {
        let mut ci = 0;
        while ci < self.c_in {
            let left = self.c_in - ci;
            // SAFETY: passed on from the caller.
            unsafe {
                if left >= A {
                    self.tile::<S, A, R>(s, ci, co);
                    ci += A;
                } else if left >= B {
                    self.tile::<S, B, R>(s, ci, co);
                    ci += B;
                } else {
                    self.tile::<S, 1, R>(s, ci, co);
                    ci += 1;
                }
            }
        }
    }

    /// # Safety
    /// As for [`Product::run`]; channels ci..ci + P and co..co + R·LANES exist.
    #[inline(always)]
    unsafe fn tile<S: Simd<T = T>, const P: usize, const R: usize>(&mut self, s: S, ci: usize, co: usize) {
        let mut acc = [[s.zero(); R]; P];
        for i in 0..self.pairs {
            let (v, z) = (self.v[i], self.z[i]);
            let (mut v_at, mut z_at) = (ci, co);
            for _ in 0..self.tiles {
                // SAFETY: passed on from the caller.
                unsafe {
                    let mut zv = [s.zero(); R];
                    for r in 0..R {
                        zv[r] = s.load(z, z_at + r * S::LANES);
                    }
                    for p in 0..P {
                        let x = s.broadcast(v, v_at + p);
                        for r in 0..R {
                            acc[p][r] = s.mul_add(x, zv[r], acc[p][r]);
                        }
                    }
                }
                v_at += self.c_in;
                z_at += self.c_out;
            }
        }
        for p in 0..P {
            for r in 0..R {
                let at = (ci + p) * self.c_out + co + r * S::LANES;
                // SAFETY: passed on from the caller.
                unsafe {
                    let sum = if self.first { acc[p][r] } else { s.add(s.load(self.sums, at), acc[p][r]) };
                    s.store(sum, self.sums, at);
                }
            }
        }
    }
}

/// gw += Gᵀ sums G.
///
/// # Safety
/// `sums` has at least I² planes of gw.len()/9 numbers, a multiple of LANES.
#[inline(always)]
unsafe fn transform_back<S: Simd, F: Tile<I, O>, const I: usize, const O: usize>(
    s: S,
    sums: &[S::T],
    gw: &mut [S::T],
) {
    let plane = gw.len() / 9;
    let mut at = 0;
    while at < plane {
        // SAFETY: passed on from the caller.
        unsafe {
            let mut rows = [[s.zero(); 3]; I];
            for i in 0..I {
                let mut w = [s.zero(); I];
                for j in 0..I {
                    w[j] = s.load(sums, (i * I + j) * plane + at);
                }
                rows[i] = F::filter_adjoint(s, w);
            }
            for j in 0..3 {
                let mut column = [s.zero(); I];
                for i in 0..I {
                    column[i] = rows[i][j];
                }
                for (i, w) in F::filter_adjoint(s, column).into_iter().enumerate() {
                    let to = (i * 3 + j) * plane + at;
                    s.store(s.add(s.load(gw, to), w), gw, to);
                }
            }
        }
        at += S::LANES;
    }
}
