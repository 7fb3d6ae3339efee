//! Where every random number of this crate comes from: named, seeded streams.

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use saddlescope_krylov::Stream;

/// Independent N(0, 1) numbers: stream `index` of `seed`, among those called "direction".
///
/// All random directions of this crate come from here, so that an ensemble of planes, a trace estimate and a
/// [`Direction`](crate::Direction) with the same seed and index are made of the same vectors.
pub(crate) fn fill_normal(seed: u64, index: u64, out: &mut [f64]) {
    Stream::new(seed, "direction", index).fill_normal(out);
}

/// Independent N(0, 1) numbers: probe `index` of `seed`, the vector that Hutchinson's estimator
/// ([`Probes::Gaussian`](saddlescope_krylov::Probes)) uses.
pub(crate) fn fill_probe(seed: u64, index: u64, out: &mut [f64]) {
    Stream::new(seed, "probe", index).fill_normal(out);
}

/// A generator for other distributions: stream `index` of `seed`, independent of the directions.
pub(crate) fn generator(seed: u64, index: u64) -> Xoshiro256PlusPlus {
    let mut state = [0.0; 8];
    Stream::new(seed, "generator", index).fill_uniform(&mut state);
    // 53 random bits in each number; the low bits of a word are filled from the second half.
    let mut bytes = [0_u8; 32];
    for (word, pair) in bytes.chunks_exact_mut(8).zip(state.as_chunks::<2>().0) {
        let high = (pair[0] * 9_007_199_254_740_992.0) as u64;
        let low = (pair[1] * 9_007_199_254_740_992.0) as u64;
        word.copy_from_slice(&((high << 11) ^ low).to_le_bytes());
    }
    Xoshiro256PlusPlus::from_seed(bytes)
}
