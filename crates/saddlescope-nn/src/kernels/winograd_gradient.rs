//! Filter adjoint of a 3×3 convolution in Winograd's domain: the exact transpose of [`super::winograd`].
//!
//! gw = Gᵀ \[Σ over tiles of (Bᵀ d B) ⊗ (A ȳ Aᵀ)\] G: for each of the 16 positions one product of transformed inputs
//! and transformed output gradients, summed over tiles.

use super::plan::Correlation;
use super::scratch::Scratch;
use super::simd::{Isa, Job, Simd};
use super::winograd::{Blocks, PLANE_GAP, POSITIONS, Segment, grow, transform_input};
use crate::scalar::Scalar;

/// Tiles of a block.
fn block_tiles(channels: usize) -> usize {
    if channels <= 32 { 32 } else { 64 }
}

/// Whether there are enough tiles to pay for passing over the sums of 16 positions, which outgrow the caches when both
/// channel counts are large.
pub(super) fn pays(pass: &Correlation, images: usize) -> bool {
    let tiles = images * pass.out[0].div_ceil(2) * pass.out[1].div_ceil(2);
    tiles >= 64 || pass.src[2] * pass.out[2] <= 128 * 128
}

/// `gw += Σ_s x_s ⋆ gy_s` over all images; `gw` has shape \[3, 3, c_in, c_out\].
pub(super) fn filter_gradient<T: Scalar>(
    pass: &Correlation,
    images: usize,
    pairs: &[(&[T], &[T])],
    gw: &mut [T],
    isa: Isa,
    scratch: &mut Scratch<T>,
) {
    T::dispatch(isa, Gradient { pass, images, pairs, gw, scratch });
}

struct Gradient<'a, T> {
    pass: &'a Correlation,
    images: usize,
    pairs: &'a [(&'a [T], &'a [T])],
    gw: &'a mut [T],
    scratch: &'a mut Scratch<T>,
}

impl<T: Scalar> Job<T> for Gradient<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, s: S) {
        let Gradient { pass, images, pairs, gw, scratch } = self;
        let [h, w, c_in] = pass.src;
        let [ho, wo, c_out] = pass.out;
        let (src_len, out_len) = (h * w * c_in, ho * wo * c_out);
        assert!(pairs.iter().all(|(x, gy)| x.len() >= images * src_len && gy.len() >= images * out_len));
        assert!(c_in.is_multiple_of(S::LANES) && c_out.is_multiple_of(S::LANES));
        assert!(gw.len() == 9 * c_in * c_out);
        let target = block_tiles(c_in.max(c_out));
        let (plane, out_plane) = (target * c_in + PLANE_GAP, target * c_out + PLANE_GAP);
        let Scratch { padded, channels, zeros, segments, sums, .. } = scratch;
        grow(zeros, w * c_in);
        sums.clear();
        sums.resize(POSITIONS * c_in * c_out, T::ZERO);
        for i in 0..pairs.len() {
            grow(&mut padded[i], POSITIONS * plane);
            grow(&mut channels[i], POSITIONS * out_plane);
        }
        let mut blocks = Blocks::new(pass, images, target);
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
                        transform_input(s, pass, x, zeros, segment, &mut padded[i], plane, tile);
                        transform_gradient(s, pass, gy, segment, &mut channels[i], out_plane, tile);
                    }
                    tile += segment.count;
                }
            }
            let last = pairs.len() - 1;
            for position in 0..POSITIONS {
                let product = Product {
                    v: [0, last].map(|i| &padded[i][position * plane..(position + 1) * plane]),
                    z: [0, last].map(|i| &channels[i][position * out_plane..(position + 1) * out_plane]),
                    pairs: pairs.len(),
                    tiles,
                    c_in,
                    c_out,
                    sums: &mut sums[position * c_in * c_out..(position + 1) * c_in * c_out],
                };
                // SAFETY: planes hold `tiles` rows of c_in and c_out numbers, `sums` c_in·c_out.
                unsafe { product.run(s) };
            }
        }
        // SAFETY: `sums` has 16 planes of c_in·c_out numbers, `gw` has 9.
        unsafe { transform_back(s, sums, gw) };
    }
}

/// A ȳ Aᵀ of every tile of a segment, written to 16 planes from row `tile` on.
///
/// # Safety
/// `gy` is one output image; `out` has 16 planes of `plane` numbers with room for `tile + segment.count` rows.
#[inline(always)]
unsafe fn transform_gradient<S: Simd>(
    s: S,
    pass: &Correlation,
    gy: &[S::T],
    segment: Segment,
    out: &mut [S::T],
    plane: usize,
    tile: usize,
) {
    let [ho, wo, c] = pass.out;
    let last_row = segment.row * 2 + 1 < ho;
    for k in 0..segment.count {
        let col = (segment.col + k) * 2;
        let last_col = col + 1 < wo;
        let mut channel = 0;
        while channel < c {
            let at = (segment.row * 2 * wo + col) * c + channel;
            // SAFETY: only pixels of the image are read; the caller promises room in the planes.
            unsafe {
                let below = if last_row { s.load(gy, at + wo * c) } else { s.zero() };
                let left = expand(s, s.load(gy, at), below);
                let beside = if last_col { s.load(gy, at + c) } else { s.zero() };
                let below = if last_row && last_col { s.load(gy, at + wo * c + c) } else { s.zero() };
                let right = expand(s, beside, below);
                let at = (tile + k) * c + channel;
                for i in 0..4 {
                    let z = expand(s, left[i], right[i]);
                    for j in 0..4 {
                        s.store(z[j], out, (i * 4 + j) * plane + at);
                    }
                }
            }
            channel += S::LANES;
        }
    }
}

/// A (a, b): rows (1, 0), (1, 1), (1, −1), (0, −1).
#[inline(always)]
fn expand<S: Simd>(s: S, a: S::V, b: S::V) -> [S::V; 4] {
    [a, s.add(a, b), s.sub(a, b), s.sub(s.zero(), b)]
}

/// Gᵀ w: rows (1, ½, ½, 0), (0, ½, −½, 0), (0, ½, ½, 1).
#[inline(always)]
fn contract<S: Simd>(s: S, w: [S::V; 4]) -> [S::V; 3] {
    let half = s.splat(S::T::from_f64(0.5));
    let even = s.mul(half, s.add(w[1], w[2]));
    [s.add(w[0], even), s.mul(half, s.sub(w[1], w[2])), s.add(even, w[3])]
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
                unsafe { s.store(s.add(s.load(self.sums, at), acc[p][r]), self.sums, at) };
            }
        }
    }
}

/// gw += Gᵀ sums G.
///
/// # Safety
/// `sums` has 16 planes of gw.len()/9 numbers, a multiple of LANES.
#[inline(always)]
unsafe fn transform_back<S: Simd>(s: S, sums: &[S::T], gw: &mut [S::T]) {
    let plane = gw.len() / 9;
    let mut at = 0;
    while at < plane {
        // SAFETY: passed on from the caller.
        unsafe {
            let mut rows = [[s.zero(); 3]; 4];
            for i in 0..4 {
                let mut w = [s.zero(); 4];
                for j in 0..4 {
                    w[j] = s.load(sums, (i * 4 + j) * plane + at);
                }
                rows[i] = contract(s, w);
            }
            for j in 0..3 {
                let column = contract(s, [rows[0][j], rows[1][j], rows[2][j], rows[3][j]]);
                for i in 0..3 {
                    let to = (i * 3 + j) * plane + at;
                    s.store(s.add(s.load(gw, to), column[i]), gw, to);
                }
            }
        }
        at += S::LANES;
    }
}
