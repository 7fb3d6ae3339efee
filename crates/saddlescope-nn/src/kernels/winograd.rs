//! Winograd's algorithm F(2×2, 3×3): a 3×3 convolution with 16 instead of 36 multiplications per four outputs.
//!
//! A 4×4 tile d of the input and the filter g give a 2×2 tile of the output: Y = Aᵀ \[(G g Gᵀ) ⊙ (Bᵀ d B)\] A
//! (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016). Summed over input channels, the product
//! is one matrix multiplication for each of the 16 positions. The transforms only add and halve, so rounding errors
//! stay near those of the direct sum. Blocks of tiles are small enough for transformed data to stay in cache.
//!
//! The input adjoint of a stride-1 convolution is again such a convolution, of the output gradient with the mirrored
//! filter. The filter adjoint is the transpose in the same domain: see [`super::winograd_gradient`].

use super::correlate::accumulate_run;
use super::filter;
use super::plan::{Correlation, Phase};
use super::scratch::Scratch;
use super::simd::{Isa, Job, Simd};
use crate::scalar::Scalar;

/// Positions of a transformed tile.
pub(super) const POSITIONS: usize = 16;

/// Rows of transformed tiles that may be computed in excess of those that exist.
pub(super) const EXCESS: usize = 16;

/// Numbers between planes of equal power-of-two size, so that they do not compete for the same cache sets.
pub(super) const PLANE_GAP: usize = 16;

/// Tiles that lie side by side in one row of tiles of one image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub image: usize,
    /// Row and first column, in tiles.
    pub row: usize,
    pub col: usize,
    pub count: usize,
}

/// Cuts all tiles of all images into blocks of `target` tiles.
pub(super) struct Blocks {
    rows: usize,
    cols: usize,
    images: usize,
    target: usize,
    image: usize,
    row: usize,
    col: usize,
}

impl Blocks {
    pub fn new(pass: &Correlation, images: usize, target: usize) -> Self {
        let (rows, cols) = (pass.out[0].div_ceil(2), pass.out[1].div_ceil(2));
        Blocks { rows, cols, images, target, image: 0, row: 0, col: 0 }
    }

    /// Puts the segments of the next block into `segments`; returns its number of tiles, 0 at the end.
    pub fn next(&mut self, segments: &mut Vec<Segment>) -> usize {
        segments.clear();
        let mut tiles = 0;
        while tiles < self.target && self.image < self.images {
            let count = (self.cols - self.col).min(self.target - tiles);
            segments.push(Segment { image: self.image, row: self.row, col: self.col, count });
            tiles += count;
            self.col += count;
            if self.col == self.cols {
                self.col = 0;
                self.row += 1;
            }
            if self.row == self.rows {
                self.row = 0;
                self.image += 1;
            }
        }
        tiles
    }
}

/// Whether a pass is a dense 3×3 correlation with stride 1 whose channels fill whole vectors.
pub(super) fn fits(pass: &Correlation, lanes: usize) -> bool {
    let taps: usize = pass.phases.iter().flat_map(|p| &p.runs).map(|r| r.taps.len()).sum();
    let dense = |p: &Phase| p.src_step == [1, 1] && p.k == 9 * pass.src[2] && is_square(pass, p);
    pass.phases.len() == 1
        && taps == 9
        && dense(&pass.phases[0])
        && pass.src[2].is_multiple_of(lanes)
        && pass.out[2].is_multiple_of(lanes)
}

/// Whether the nine taps are the pixels of a 3×3 square.
fn is_square(pass: &Correlation, phase: &Phase) -> bool {
    let (row, pixel) = (pass.padded[1] * pass.src[2], pass.src[2]);
    let numbers = phase.runs.iter().flat_map(|r| r.offset..r.offset + r.len).step_by(pixel);
    numbers.eq((0..9).map(|t| t / 3 * row + t % 3 * pixel))
}

/// Largest transformed filter that is worth streaming from memory, bytes.
const MAX_FILTER_BYTES: usize = 24 << 20;

/// Whether the algorithm is faster than direct sums of numbers of `size` bytes.
pub(super) fn pays(pass: &Correlation, size: usize) -> bool {
    let filter = POSITIONS * size * pass.src[2] * pass.out[2];
    pass.out[0] >= 2 && pass.out[1] >= 2 && filter <= MAX_FILTER_BYTES
}

/// Filter in the transformed domain: for every tile of output vectors and position, rows of `R·LANES` output channels.
#[derive(Clone, Debug)]
pub(super) struct WinogradFilter<T> {
    data: Vec<T>,
    origin: usize,
    c_in: usize,
}

impl<T: Scalar> WinogradFilter<T> {
    /// `weight(tap, source channel, output channel)`; taps in the order of the pass.
    pub fn new(lanes: usize, pass: &Correlation, weight: impl Fn(usize, usize, usize) -> T) -> Self {
        let (c_in, c_out) = (pass.src[2], pass.out[2]);
        let (mut data, origin) = filter::aligned(POSITIONS * c_in * c_out);
        data.resize(origin + POSITIONS * c_in * c_out, T::ZERO);
        let mut taps = [0; 9];
        for (slot, tap) in taps.iter_mut().zip(pass.phases[0].runs.iter().flat_map(|run| &run.taps)) {
            *slot = *tap;
        }
        let vectors = c_out / lanes;
        let mut v = 0;
        while v < vectors {
            let r = if vectors - v >= 2 { 2 } else { 1 };
            let width = r * lanes;
            let block = &mut data[origin + v * lanes * POSITIONS * c_in..][..POSITIONS * c_in * width];
            for ci in 0..c_in {
                for lane in 0..width {
                    let g = taps.map(|tap| weight(tap, ci, v * lanes + lane).to_f64());
                    for (position, u) in transform_filter(g).into_iter().enumerate() {
                        block[(position * c_in + ci) * width + lane] = T::from_f64(u);
                    }
                }
            }
            v += r;
        }
        WinogradFilter { data, origin, c_in }
    }

    /// Rows of `r` vectors of output channels from vector `v`, at one position.
    #[inline(always)]
    fn block<S: Simd<T = T>>(&self, v: usize, r: usize, position: usize) -> &[T] {
        let start = self.origin + (v * POSITIONS + position * r) * S::LANES * self.c_in;
        &self.data[start..start + r * S::LANES * self.c_in]
    }
}

/// G g Gᵀ, in double precision because it is done once per filter.
fn transform_filter(g: [f64; 9]) -> [f64; POSITIONS] {
    let axis = |a: f64, b: f64, c: f64| [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c];
    let mut rows = [[0.0; 3]; 4];
    for col in 0..3 {
        for (row, value) in axis(g[col], g[3 + col], g[6 + col]).into_iter().enumerate() {
            rows[row][col] = value;
        }
    }
    let mut u = [0.0; POSITIONS];
    for row in 0..4 {
        let [a, b, c] = rows[row];
        u[row * 4..row * 4 + 4].copy_from_slice(&axis(a, b, c));
    }
    u
}

/// `y (+)= Σ_s correlate(sources[s], filters[s])` over all images.
pub(super) fn correlate<T: Scalar>(
    pass: &Correlation,
    images: usize,
    sources: &[(&[T], &WinogradFilter<T>)],
    y: &mut [T],
    accumulate: bool,
    isa: Isa,
    scratch: &mut Scratch<T>,
) {
    let last = sources.len() - 1;
    let job = Passes {
        pass,
        images,
        x: [sources[0].0, sources[last].0],
        w: [sources[0].1, sources[last].1],
        pairs: sources.len(),
        y,
        accumulate,
        scratch,
    };
    T::dispatch(isa, job);
}

struct Passes<'a, T> {
    pass: &'a Correlation,
    images: usize,
    x: [&'a [T]; 2],
    w: [&'a WinogradFilter<T>; 2],
    pairs: usize,
    y: &'a mut [T],
    accumulate: bool,
    scratch: &'a mut Scratch<T>,
}

/// Tiles of a block of a forward pass or input adjoint.
fn block_tiles(channels: usize) -> usize {
    if channels <= 32 { 16 } else { 32 }
}

impl<T: Scalar> Job<T> for Passes<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, s: S) {
        let Passes { pass, images, x, w, pairs, y, accumulate, scratch } = self;
        let [h, wd, c_in] = pass.src;
        let [ho, wo, c_out] = pass.out;
        assert!(
            x[..pairs].iter().all(|x| x.len() >= images * h * wd * c_in)
                && y.len() >= images * ho * wo * c_out
        );
        assert!(c_in.is_multiple_of(S::LANES) && c_out.is_multiple_of(S::LANES));
        let target = block_tiles(c_in.max(c_out));
        let plane = (target + EXCESS) * c_in + PLANE_GAP;
        let out_plane = (target + EXCESS) * 2 * S::LANES + PLANE_GAP;
        let Scratch { padded, channels, zeros, segments, .. } = scratch;
        grow(zeros, wd * c_in);
        grow(&mut channels[0], POSITIONS * out_plane);
        for v in padded[..pairs].iter_mut() {
            grow(v, POSITIONS * plane);
        }
        let products = &mut channels[0][..];
        let mut blocks = Blocks::new(pass, images, target);
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
                    unsafe { transform_input(s, pass, image, zeros, segment, &mut padded[i], plane, tile) };
                    tile += segment.count;
                }
            }
            let v_in = [&padded[0][..], &padded[pairs - 1][..]];
            let vectors = c_out / S::LANES;
            let mut v = 0;
            while v < vectors {
                let r = if vectors - v >= 2 { 2 } else { 1 };
                for position in 0..POSITIONS {
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
                    unsafe { transform_output(s, pass, products, tile, segment, place, image) };
                    tile += segment.count;
                }
                v += r;
            }
        }
    }
}

pub(super) fn grow<T: Scalar>(buffer: &mut Vec<T>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, T::ZERO);
    }
}

/// Columns of four rows of an image, transformed as they are read: Bᵀ d.
#[derive(Clone, Copy)]
struct Column<'a, T> {
    rows: [&'a [T]; 4],
    /// Image column of column 0; wraps around if it lies left of the image.
    first: usize,
    w: usize,
    c: usize,
    channel: usize,
}

impl<T: Scalar> Column<'_, T> {
    /// # Safety
    /// Rows have w·c numbers, channel + LANES ≤ c.
    #[inline(always)]
    unsafe fn read<S: Simd<T = T>>(&self, s: S, j: usize) -> [S::V; 4] {
        let col = self.first.wrapping_add(j);
        if col >= self.w {
            return [s.zero(); 4];
        }
        let at = col * self.c + self.channel;
        // SAFETY: col < w, the rest is promised by the caller.
        unsafe {
            let d0 = s.load(self.rows[0], at);
            let d1 = s.load(self.rows[1], at);
            let d2 = s.load(self.rows[2], at);
            let d3 = s.load(self.rows[3], at);
            [s.sub(d0, d2), s.add(d1, d2), s.sub(d2, d1), s.sub(d1, d3)]
        }
    }
}

/// Bᵀ d B of every tile of a segment, written to 16 planes from row `tile` on.
///
/// # Safety
/// `image` has the size of one source image, `zeros` of one of its rows; `out` has 16 planes of `plane` numbers with
/// room for `tile + segment.count` rows of c_in numbers each; c_in is a multiple of LANES.
#[inline(always)]
pub(super) unsafe fn transform_input<S: Simd>(
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
    let rows: [&[S::T]; 4] = std::array::from_fn(|i| {
        // Wraps to a huge number above the image.
        let row = (segment.row * 2 + i).wrapping_sub(pass.top);
        if row < h { &image[row * w * c..(row + 1) * w * c] } else { &zeros[..w * c] }
    });
    let first = (segment.col * 2).wrapping_sub(pass.left);
    let mut channel = 0;
    while channel < c {
        let column = Column { rows, first, w, c, channel };
        // SAFETY: channel + LANES <= c, rows have w·c numbers.
        let (mut a, mut b) = unsafe { (column.read(s, 0), column.read(s, 1)) };
        for k in 0..segment.count {
            // SAFETY: as above.
            let (c2, c3) = unsafe { (column.read(s, 2 * k + 2), column.read(s, 2 * k + 3)) };
            let at = (tile + k) * c + channel;
            for i in 0..4 {
                let v = [s.sub(a[i], c2[i]), s.add(b[i], c2[i]), s.sub(c2[i], b[i]), s.sub(b[i], c3[i])];
                for j in 0..4 {
                    // SAFETY: the caller promises room for this row in every plane.
                    unsafe { s.store(v[j], out, (i * 4 + j) * plane + at) };
                }
            }
            (a, b) = (c2, c3);
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

/// Aᵀ m A of every tile of a segment, from row `tile` of 16 planes, to the output image.
///
/// # Safety
/// Planes hold `tile + segment.count` rows of `width` vectors; `y` is one output image; channel + width·LANES ≤ c_out.
#[inline(always)]
unsafe fn transform_output<S: Simd>(
    s: S,
    pass: &Correlation,
    products: &[S::T],
    tile: usize,
    segment: Segment,
    place: Output,
    y: &mut [S::T],
) {
    let [ho, wo, c] = pass.out;
    let last_row = segment.row * 2 + 1 < ho;
    for k in 0..segment.count {
        let col = (segment.col + k) * 2;
        let last_col = col + 1 < wo;
        for r in 0..place.width {
            let at = ((tile + k) * place.width + r) * S::LANES;
            let mut upper = [s.zero(); 4];
            let mut lower = [s.zero(); 4];
            for j in 0..4 {
                let mut m = [s.zero(); 4];
                for i in 0..4 {
                    // SAFETY: the caller promises that the planes hold this row.
                    m[i] = unsafe { s.load(products, (i * 4 + j) * place.plane + at) };
                }
                upper[j] = s.add(s.add(m[0], m[1]), m[2]);
                lower[j] = s.sub(s.sub(m[1], m[2]), m[3]);
            }
            let at = (segment.row * 2 * wo + col) * c + place.channel + r * S::LANES;
            // SAFETY: only pixels of the image are written; the channels lie inside it.
            unsafe {
                put(s, s.add(s.add(upper[0], upper[1]), upper[2]), y, at, place.accumulate);
                if last_col {
                    put(s, s.sub(s.sub(upper[1], upper[2]), upper[3]), y, at + c, place.accumulate);
                }
                if last_row {
                    let at = at + wo * c;
                    put(s, s.add(s.add(lower[0], lower[1]), lower[2]), y, at, place.accumulate);
                    if last_col {
                        put(s, s.sub(s.sub(lower[1], lower[2]), lower[3]), y, at + c, place.accumulate);
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
