//! Seeded streams of random vectors.
//!
//! A stream is named by a seed, a label and an index, so that every vector of every estimator has its own
//! numbers, whichever thread draws it and in whatever order. The generator is xoshiro256++ (Blackman and Vigna
//! 2021) run in eight interleaved lanes; each lane is seeded by SplitMix64. No result depends on the processor's
//! vector width.
//!
//! ```
//! use saddlescope_krylov::Stream;
//!
//! let mut a = [0.0; 5];
//! let mut b = [0.0; 5];
//! Stream::new(7, "probe", 3).fill_normal(&mut a);
//! Stream::new(7, "probe", 3).fill_normal(&mut b);
//! assert_eq!(a, b);
//! ```

mod normal;

/// Independent generators inside one stream.
pub(crate) const LANES: usize = 8;

/// A reproducible source of random vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    state: [[u64; LANES]; 4],
}

/// SplitMix64 (Steele, Lea and Flood 2014): a bijective mixer used for seeding.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Stream {
    /// The stream of `seed` called `label`, number `index`.
    pub fn new(seed: u64, label: &str, index: u64) -> Self {
        let mut key = seed;
        let mut mixed = split_mix(&mut key);
        for byte in label.bytes() {
            let mut s = mixed ^ u64::from(byte);
            mixed = split_mix(&mut s);
        }
        // The length keeps ("a", index) apart from ("", index') for every index'.
        let mut s = mixed ^ (label.len() as u64).rotate_left(32);
        mixed = split_mix(&mut s) ^ index;
        let mut state = [[0; LANES]; 4];
        for word in &mut state {
            for lane in word.iter_mut() {
                *lane = split_mix(&mut mixed);
            }
        }
        Self { state }
    }

    /// The next 64 random bits of every lane.
    #[inline(always)]
    pub(crate) fn next_lanes(&mut self) -> [u64; LANES] {
        let [s0, s1, s2, s3] = &mut self.state;
        let mut out = [0; LANES];
        for l in 0..LANES {
            out[l] = s0[l].wrapping_add(s3[l]).rotate_left(23).wrapping_add(s0[l]);
            let t = s1[l] << 17;
            s2[l] ^= s0[l];
            s3[l] ^= s1[l];
            s1[l] ^= s2[l];
            s0[l] ^= s3[l];
            s2[l] ^= t;
            s3[l] = s3[l].rotate_left(45);
        }
        out
    }

    /// Independent standard normal numbers.
    ///
    /// Values come in groups of 128; a group that is not used up is dropped, so two short calls differ from one
    /// long call.
    pub fn fill_normal(&mut self, out: &mut [f64]) {
        normal::fill(self, out);
    }

    /// Independent standard normal numbers in single precision: the rounded values of [`Stream::fill_normal`].
    pub fn fill_normal_f32(&mut self, out: &mut [f32]) {
        normal::fill_f32(self, out);
    }

    /// Independent signs ±1 with equal probability.
    ///
    /// Values come in groups of 512; a group that is not used up is dropped.
    pub fn fill_rademacher(&mut self, out: &mut [f64]) {
        for group in out.chunks_mut(64 * LANES) {
            let bits = self.next_lanes();
            for (part, word) in group.chunks_mut(64).zip(bits) {
                for (i, x) in part.iter_mut().enumerate() {
                    *x = if (word >> i) & 1 == 1 { 1.0 } else { -1.0 };
                }
            }
        }
    }

    /// Independent uniform numbers in [0, 1) with 53 random bits.
    pub fn fill_uniform(&mut self, out: &mut [f64]) {
        for group in out.chunks_mut(LANES) {
            for (x, bits) in group.iter_mut().zip(self.next_lanes()) {
                *x = (bits >> 11) as f64 * (1.0 / (1u64 << 53) as f64);
            }
        }
    }
}
