//! Winograd's algorithms F(2×2, 3×3) and F(4×4, 3×3): 3×3 convolutions with 16 instead of 36, or 36 instead of 144
//! multiplications per tile of outputs.
//!
//! A tile d of the input and the filter g give a tile of the output: Y = Aᵀ \[(G g Gᵀ) ⊙ (Bᵀ d B)\] A (Lavin and
//! Gray, "Fast Algorithms for Convolutional Neural Networks", 2016). Summed over input channels, the product is one matrix
//! multiplication for each position of the transformed tile. Blocks of tiles are small enough for transformed data to
//! stay in cache.
//!
//! The input adjoint of a stride-1 convolution is again such a convolution, of the output gradient with the mirrored
//! filter. The filter adjoint is the transpose in the same domain.

mod blocks;
mod correlate;
mod filter;
mod filter_gradient;
mod transforms;

pub(super) use blocks::Segment;
pub(super) use correlate::correlate;
pub(super) use filter::WinogradFilter;
pub(super) use filter_gradient::filter_gradient;

use super::method::Method;
use super::plan::{Correlation, Phase};

/// Whether a pass is a dense 3×3 correlation with stride 1 whose channels fill whole vectors.
fn fits(pass: &Correlation, lanes: usize) -> bool {
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

/// Tiles of `size`² outputs of one image.
fn tiles(pass: &Correlation, size: usize) -> usize {
    pass.out[0].div_ceil(size) * pass.out[1].div_ceil(size)
}

/// Positions of a transformed tile of `size`² outputs.
fn positions(size: usize) -> usize {
    (size + 2) * (size + 2)
}

/// Numbers of a filter transformed for tiles of `size`² outputs.
pub(super) fn filter_len(pass: &Correlation, size: usize) -> usize {
    positions(size) * pass.src[2] * pass.out[2]
}

/// Bytes of a filter transformed for tiles of 4² outputs above which it does not stay in the cache from one micro-batch to the next.
const CACHED_FILTER_BYTES: usize = 1 << 20;

/// Multiplications that take as long as bringing one number of such a filter from memory.
const FROM_MEMORY: usize = 20;

/// The algorithm that is fastest by count for `images` images of numbers of `bytes` bytes, among those worth trying, `wanted`
/// where that is possible at all. Counted are multiplications for each pair of channels; large filters are read from memory for
/// every micro-batch, so that few tiles do not pay for transformed ones, which are longer.
pub(super) fn choose(
    pass: &Correlation,
    wanted: Option<Method>,
    images: usize,
    lanes: usize,
    bytes: usize,
) -> Method {
    if !fits(pass, lanes) {
        return Method::Direct;
    }
    if let Some(method) = wanted {
        return method;
    }
    let large = bytes * filter_len(pass, 4) > CACHED_FILTER_BYTES;
    let reading = if large { FROM_MEMORY } else { 0 };
    let cost = |size: usize| {
        let multiplications = positions(size) * (images * tiles(pass, size) + reading);
        let filter = bytes * filter_len(pass, size);
        (filter <= MAX_FILTER_BYTES).then_some(multiplications)
    };
    cheapest(9 * (images * pass.out[0] * pass.out[1] + reading), cost)
}

/// The algorithm that costs least, the first of direct sums, tiles of 4² and of 2² where costs are equal; `cost` is that of Winograd's for a tile size, if it is
/// worth trying.
fn cheapest(direct: usize, cost: impl Fn(usize) -> Option<usize>) -> Method {
    [(cost(4), Method::Winograd4), (cost(2), Method::Winograd2)]
        .into_iter()
        .filter_map(|(cost, method)| cost.map(|cost| (cost, method)))
        .fold((direct, Method::Direct), |best, other| if other.0 < best.0 { other } else { best })
        .1
}

/// The algorithm for a filter adjoint over `images` images: the sums of all positions outgrow the caches when both
/// channel counts are large, and need enough tiles to pay for passing over them.
pub(super) fn choose_gradient(
    pass: &Correlation,
    wanted: Option<Method>,
    images: usize,
    lanes: usize,
    bytes: usize,
) -> Method {
    if wanted.is_some() || !fits(pass, lanes) {
        return choose(pass, wanted, images, lanes, bytes);
    }
    // Per pair of channels: one multiplication a tile and position, and about `PASS` for a sum's way to memory and back.
    let cost = |size: usize| Some(positions(size) * (images * tiles(pass, size) + PASS));
    cheapest(9 * images * pass.out[0] * pass.out[1], cost)
}

/// See [`choose_gradient`].
const PASS: usize = 8;
