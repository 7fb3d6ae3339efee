//! Forward passes and input adjoints in Winograd's domain.

use super::blocks::{Blocks, EXCESS, PLANE_GAP, Segment};
use super::filter::WinogradFilter;
use super::transforms::{Tile, TileJob, by_tile_size};
use crate::kernels::correlate::accumulate_run;
use crate::kernels::plan::Correlation;
use crate::kernels::scratch::Scratch;
use crate::kernels::simd::{Isa, Simd};
use crate::scalar::Scalar;

/// `y (+)= Σ_s correlate(sources[s], filters[s])` over all images; all filters have tiles of the same size.
pub(in crate::kernels) fn correlate<T: Scalar>(
    pass: &Correlation,
    images: usize,
    sources: &[(&[T], &WinogradFilter<T>)],
    y: &mut [T],
    accumulate: bool,
    isa: Isa,
    scratch: &mut Scratch<T>,
) {
    let size = sources[0].1.size;
    by_tile_size(size, isa, Passes { pass, images, sources, y, accumulate, scratch });
}

struct Passes<'a, T> {
    pass: &'a Correlation,
    images: usize,
    sources: &'a [(&'a [T], &'a WinogradFilter<T>)],
    y: &'a mut [T],
    accumulate: bool,
    scratch: &'a mut Scratch<T>,
}

/// Tiles of a block: enough to use each filter row often, few enough for the transformed data of all channels to stay in
/// cache.
fn block_tiles(channels: usize) -> usize {
    if channels <= 32 { 24 } else { 32 }
}

impl<T: Scalar> TileJob<T> for Passes<'_, T> {
    #[inline(always)]
    fn run<S: Simd<T = T>, F: Tile<I, O>, const I: usize, const O: usize>(self, s: S) {
        let Passes { pass, images, sources, y, accumulate, scratch } = self;
        let [h, wd, c_in] = pass.src;
        let [ho, wo, c_out] = pass.out;
        let pairs = sources.len();
        let ends = [sources[0], sources[pairs - 1]];
        let (x, w) = (ends.map(|(x, _)| x), ends.map(|(_, w)| w));
        assert!(x.iter().all(|x| x.len() >= images * h * wd * c_in) && y.len() >= images * ho * wo * c_out);
        assert!(c_in.is_multiple_of(S::LANES) && c_out.is_multiple_of(S::LANES));
        assert!(w.iter().all(|w| w.size == O));
        let target = block_tiles(c_in.max(c_out));
        let plane = (target + EXCESS) * c_in + PLANE_GAP;
        let out_plane = (target + EXCESS) * 2 * S::LANES + PLANE_GAP;
        let Scratch { padded, channels, zeros, segments, .. } = scratch;
        zeros.grow(wd * c_in);
        channels[0].grow(I * I * out_plane);
        for v in padded[..pairs].iter_mut() {
            v.grow(I * I * plane);
        }
        let products = &mut channels[0][..];
        let mut blocks = Blocks::new(pass, O, images, target);
        loop {
            let tiles = blocks.next(segments);
            if tiles == 0 {
                break;
            }
            let block = &segments[..];
            for i in 0..pairs {
                let mut tile = 0;
                for &segment in block {
                    let image = &x[i][segment.image * h * wd * c_in..][..h * wd * c_in];
                    // SAFETY: the image has h·w·c_in numbers, `zeros` w·c_in, the planes hold target + EXCESS tiles.
                    unsafe {
                        transform_input::<S, F, I, O>(
                            s,
                            pass,
                            image,
                            zeros,
                            segment,
                            &mut padded[i],
                            plane,
                            tile,
                        );
                    }
                    tile += segment.count;
                }
            }
            let v_in = [&padded[0][..], &padded[pairs - 1][..]];
            let vectors = c_out / S::LANES;
            let mut v = 0;
            while v < vectors {
                let r = if vectors - v >= 2 { 2 } else { 1 };
                for position in 0..I * I {
                    let m = Product {
                        v: v_in.map(|v| &v[position * plane..(position + 1) * plane]),
                        u: w.map(|w| w.block::<S>(v, r, position)),
                        pairs,
                        c_in,
                        m: &mut products[position * out_plane..(position + 1) * out_plane],
                    };
                    // SAFETY: planes hold target + EXCESS rows and a tile of the product has at most EXCESS rows.
                    unsafe {
                        if r == 2 {
                            if S::REGISTERS == 32 {
                                m.rows::<S, 8, 4, 2>(s, tiles);
                            } else {
                                m.rows::<S, 6, 2, 2>(s, tiles);
                            }
                        } else if S::REGISTERS == 32 {
                            m.rows::<S, 16, 8, 1>(s, tiles);
                        } else {
                            m.rows::<S, 8, 4, 1>(s, tiles);
                        }
                    }
                }
                let mut tile = 0;
                for &segment in block {
                    let image = &mut y[segment.image * ho * wo * c_out..][..ho * wo * c_out];
                    let place = Output { plane: out_plane, width: r, channel: v * S::LANES, accumulate };
                    // SAFETY: the image has ho·wo·c_out numbers, v + r vectors fit c_out.
                    unsafe {
                        transform_output::<S, F, I, O>(s, pass, products, tile, segment, place, image);
                    }
                    tile += segment.count;
                }
                v += r;
            }
        }
    }
}

/// Columns of some rows of an image, transformed as they are read: Bᵀ d.
#[derive(Clone, Copy)]
struct Column<'a, T, const I: usize> {
    rows: [&'a [T]; I],
    /// Image column of column 0; wraps around if it lies left of the image.
    first: usize,
    w: usize,
    c: usize,
    channel: usize,
    /// How far behind each of the last O rows the row lies that the next row of tiles has in its place.
    ahead: usize,
}

impl<T: Scalar, const I: usize> Column<'_, T, I> {
    /// # Safety
    /// Rows have w·c numbers, channel + LANES ≤ c.
    #[inline(always)]
    unsafe fn read<S: Simd<T = T>, F: Tile<I, O>, const O: usize>(&self, s: S, j: usize) -> [S::V; I] {
        let col = self.first.wrapping_add(j);
        if col >= self.w {
            return [s.zero(); I];
        }
        let at = col * self.c + self.channel;
        let mut d = [s.zero(); I];
        for i in 0..I {
            // SAFETY: col < w, the rest is promised by the caller.
            d[i] = unsafe { s.load(self.rows[i], at) };
            if i >= I - O {
                s.prefetch(self.rows[i], at + self.ahead);
            }
        }
        F::input(s, d)
    }
}

/// Bᵀ d B of every tile of a segment, written to I² planes from row `tile` on.
///
/// # Safety
/// `image` has the size of one source image, `zeros` of one of its rows; `out` has I² planes of `plane` numbers with
/// room for `tile + segment.count` rows of c_in numbers each; c_in is a multiple of LANES.
#[inline(always)]
pub(super) unsafe fn transform_input<S: Simd, F: Tile<I, O>, const I: usize, const O: usize>(
    s: S,
    pass: &Correlation,
    image: &[S::T],
    zeros: &[S::T],
    segment: Segment,
    out: &mut [S::T],
    plane: usize,
    tile: usize,
) {
    let [h, w, c] = pass.src;
    let rows: [&[S::T]; I] = std::array::from_fn(|i| {
        // Wraps to a huge number above the image.
        let row = (segment.row * O + i).wrapping_sub(pass.top);
        if row < h { &image[row * w * c..(row + 1) * w * c] } else { &zeros[..w * c] }
    });
    let first = (segment.col * O).wrapping_sub(pass.left);
    let mut channel = 0;
    while channel < c {
        let column = Column { rows, first, w, c, channel, ahead: O * w * c };
        let mut d = [[s.zero(); I]; I];
        // SAFETY: channel + LANES <= c, rows have w·c numbers.
        unsafe { (d[0], d[1]) = (column.read::<S, F, O>(s, 0), column.read::<S, F, O>(s, 1)) };
        for k in 0..segment.count {
            for j in 2..I {
                // SAFETY: as above.
                d[j] = unsafe { column.read::<S, F, O>(s, O * k + j) };
            }
            let at = (tile + k) * c + channel;
            for i in 0..I {
                let mut row = [s.zero(); I];
                for j in 0..I {
                    row[j] = d[j][i];
                }
                let v = F::input(s, row);
                for j in 0..I {
                    // SAFETY: the caller promises room for this row in every plane.
                    unsafe { s.store(v[j], out, (i * I + j) * plane + at) };
                }
            }
            (d[0], d[1]) = (d[O], d[O + 1]);
        }
        channel += S::LANES;
    }
}

/// One position: M = Σ_s V_s U_s with V of `c_in` columns.
struct Product<'a, T> {
    v: [&'a [T]; 2],
    u: [&'a [T]; 2],
    pairs: usize,
    c_in: usize,
    m: &'a mut [T],
}

impl<T: Scalar> Product<'_, T> {
    /// All rows in tiles of `A`, the rest in tiles of `B`; may compute up to EXCESS rows too many.
    ///
    /// # Safety
    /// `v` and `m` hold `rows + EXCESS` rows; `u` holds c_in rows of R vectors.
    #[inline(always)]
    unsafe fn rows<S: Simd<T = T>, const A: usize, const B: usize, const R: usize>(
        mut self,
        s: S,
        rows: usize,
    ) {
        let mut row = 0;
        while row < rows {
            // SAFETY: passed on from the caller.
            unsafe {
                if rows - row > B {
                    self.tile_any::<S, A, R>(s, row);
                    row += A;
                } else {
                    self.tile_any::<S, B, R>(s, row);
                    row += B;
                }
            }
        }
    }

    /// # Safety
    /// As for [`Product::rows`].
    #[inline(always)]
    unsafe fn tile_any<S: Simd<T = T>, const P: usize, const R: usize>(&mut self, s: S, row: usize) {
        let c_in = self.c_in;
        // Constant steps become part of the instructions, which leaves registers free.
        // SAFETY: passed on from the caller.
        unsafe {
            match c_in {
                16 => self.tile::<S, P, R>(s, row, |p| 16 * p),
                32 => self.tile::<S, P, R>(s, row, |p| 32 * p),
                64 => self.tile::<S, P, R>(s, row, |p| 64 * p),
                _ => self.tile::<S, P, R>(s, row, |p| c_in * p),
            }
        }
    }

    /// # Safety
    /// As for [`Product::rows`].
    #[inline(always)]
    unsafe fn tile<S: Simd<T = T>, const P: usize, const R: usize>(
        &mut self,
        s: S,
        row: usize,
        step: impl Fn(usize) -> usize,
    ) {
        let first = row * self.c_in;
        let mut acc = [[s.zero(); R]; P];
        for i in 0..self.pairs {
            // SAFETY: passed on from the caller.
            acc = unsafe {
                accumulate_run::<S, P, R>(s, self.v[i], self.u[i], self.c_in, |p| first + step(p), acc)
            };
        }
        for p in 0..P {
            for r in 0..R {
                // SAFETY: passed on from the caller.
                unsafe { s.store(acc[p][r], self.m, ((row + p) * R + r) * S::LANES) };
            }
        }
    }
}

/// Where [`transform_output`] writes.
#[derive(Clone, Copy)]
struct Output {
    plane: usize,
    /// Vectors per row of the products.
    width: usize,
    channel: usize,
    accumulate: bool,
}

/// Aᵀ m A of every tile of a segment, from row `tile` of I² planes, to the output image.
///
/// # Safety
/// Planes hold `tile + segment.count` rows of `width` vectors; `y` is one output image; channel + width·LANES ≤ c_out.
#[inline(always)]
unsafe fn transform_output<S: Simd, F: Tile<I, O>, const I: usize, const O: usize>(
    s: S,
    pass: &Correlation,
    products: &[S::T],
    tile: usize,
    segment: Segment,
    place: Output,
    y: &mut [S::T],
) {
    let [ho, wo, c] = pass.out;
    let rows = (ho - segment.row * O).min(O);
    for k in 0..segment.count {
        let col = (segment.col + k) * O;
        let cols = (wo - col).min(O);
        let whole = rows == O && cols == O;
        for r in 0..place.width {
            let at = ((tile + k) * place.width + r) * S::LANES;
            let mut half = [[s.zero(); O]; I];
            for j in 0..I {
                let mut m = [s.zero(); I];
                for i in 0..I {
                    // SAFETY: the caller promises that the planes hold this row.
                    m[i] = unsafe { s.load(products, (i * I + j) * place.plane + at) };
                }
                half[j] = F::output(s, m);
            }
            let at = (segment.row * O * wo + col) * c + place.channel + r * S::LANES;
            for i in 0..O {
                for j in 0..O {
                    s.prefetch_to_write(y, at + ((O + i) * wo + j) * c);
                }
                let mut row = [s.zero(); I];
                for j in 0..I {
                    row[j] = half[j][i];
                }
                let out = F::output(s, row);
                for j in 0..O {
                    if whole || (i < rows && j < cols) {
                        // SAFETY: only pixels of the image are written; the channels lie inside it.
                        unsafe { put(s, out[j], y, at + (i * wo + j) * c, place.accumulate) };
                    }
                }
            }
        }
    }
}

/// y\[at..\] (+)= v.
///
/// # Safety
/// at + LANES ≤ y.len().
#[inline(always)]
unsafe fn put<S: Simd>(s: S, v: S::V, y: &mut [S::T], at: usize, accumulate: bool) {
    // SAFETY: passed on from the caller.
    unsafe {
        let v = if accumulate { s.add(s.load(y, at), v) } else { v };
        s.store(v, y, at);
    }
}
