//! Standard normal numbers by the Box–Muller transform, written so that it runs in vector registers.
//!
//! The logarithm is the series of artanh, sine and cosine are Taylor polynomials on [−π/4, π/4] with a random
//! quadrant; their errors (below 1e-10) are far below what a test of the distribution could see. Only plain
//! additions and multiplications are used, never fused ones, so every vector width gives the same bits.

use super::{LANES, Stream};

/// Steps of the generator made at a time: their bits and the numbers made of them stay in the first-level cache.
const STEPS: usize = 8;

/// Pairs of numbers made at a time.
const PAIRS: usize = STEPS * LANES;

/// Numbers made at a time: the cosines of all pairs, then their sines.
pub(super) const GROUP: usize = 2 * PAIRS;

/// Bits of 1.0.
const ONE: u64 = 0x3ff0_0000_0000_0000;
/// Bits of 2⁵², whose mantissa holds an integer.
const TWO_52: u64 = 0x4330_0000_0000_0000;
const MANTISSA: u64 = (1 << 52) - 1;
const SIGN: u64 = 1 << 63;

/// 52 random bits as a number in [0, 1).
#[inline(always)]
fn unit(bits: u64) -> f64 {
    f64::from_bits((bits >> 12) | ONE) - 1.0
}

/// ln u for a normal u > 0.
#[inline(always)]
fn ln(u: f64) -> f64 {
    // The bits of √½ are subtracted so that the mantissa part lies in [√½, √2), where ln is small.
    const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    let bits = u.to_bits();
    let shifted = bits.wrapping_sub(SQRT_HALF).wrapping_add(1023 << 52);
    let exponent = f64::from_bits((shifted >> 52) | TWO_52) - (4_503_599_627_370_496.0 + 1023.0);
    let mantissa = f64::from_bits((shifted & MANTISSA).wrapping_add(SQRT_HALF));
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let z = s * s;
    let series = 2.0
        + z * (2.0 / 3.0
            + z * (2.0 / 5.0 + z * (2.0 / 7.0 + z * (2.0 / 9.0 + z * (2.0 / 11.0 + z * (2.0 / 13.0))))));
    exponent * std::f64::consts::LN_2 + s * series
}

/// (cos φ, sin φ) for |φ| ≤ π/4.
#[inline(always)]
fn cos_sin(phi: f64) -> (f64, f64) {
    let z = phi * phi;
    let cos = 1.0
        + z * (-1.0 / 2.0
            + z * (1.0 / 24.0 + z * (-1.0 / 720.0 + z * (1.0 / 40_320.0 + z * (-1.0 / 3_628_800.0)))));
    let sin = phi
        * (1.0
            + z * (-1.0 / 6.0
                + z * (1.0 / 120.0
                    + z * (-1.0 / 5_040.0 + z * (1.0 / 362_880.0 + z * (-1.0 / 39_916_800.0))))));
    (cos, sin)
}

/// Where the bits of a group come from: `random_bits` or the same in vector registers.
type Bits = fn(&mut Stream, &mut [u64; PAIRS]);

/// 64 random bits for every pair.
#[inline(always)]
fn random_bits(stream: &mut Stream, out: &mut [u64; PAIRS]) {
    for part in out.chunks_exact_mut(LANES) {
        part.copy_from_slice(&stream.next_lanes());
    }
}

#[inline(always)]
fn group(stream: &mut Stream, out: &mut [f64; GROUP], bits: Bits) {
    let (mut a, mut b) = ([0; PAIRS], [0; PAIRS]);
    bits(stream, &mut a);
    bits(stream, &mut b);
    let (first_half, second_half) = out.split_at_mut(PAIRS);
    for i in 0..PAIRS {
        let radius = (-2.0 * ln(1.0 - unit(a[i]))).sqrt();
        let (cos, sin) = cos_sin((unit(b[i]) - 0.5) * std::f64::consts::FRAC_PI_2);
        // The low bits of b are not part of the angle: they choose the quadrant. Turning a sector of width
        // π/2 by quarter turns is a swap and a sign; all of it without branches.
        let swap = 0u64.wrapping_sub(b[i] & 1);
        let (c, s) = (cos.to_bits(), sin.to_bits());
        let first = (c & !swap) | (s & swap);
        let second = (s & !swap) | (c & swap);
        let sign = (b[i] << 62) & SIGN;
        first_half[i] = radius * f64::from_bits(first ^ sign);
        second_half[i] = radius * f64::from_bits(second ^ sign);
    }
}

#[inline(always)]
fn fill_body(stream: &mut Stream, out: &mut [f64], bits: Bits) {
    let mut values = [0.0; GROUP];
    for part in out.chunks_mut(GROUP) {
        group(stream, &mut values, bits);
        part.copy_from_slice(&values[..part.len()]);
    }
}

#[inline(always)]
fn fill_f32_body(stream: &mut Stream, out: &mut [f32], bits: Bits) {
    let mut values = [0.0; GROUP];
    for part in out.chunks_mut(GROUP) {
        group(stream, &mut values, bits);
        for (x, v) in part.iter_mut().zip(values) {
            *x = v as f32;
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm256_add_epi64, _mm256_loadu_si256, _mm256_or_si256, _mm256_slli_epi64, _mm256_srli_epi64,
        _mm256_storeu_si256, _mm256_xor_si256,
    };

    use super::{LANES, PAIRS, Stream, fill_body, fill_f32_body};

    /// Numbers in a register.
    const WIDTH: usize = 4;

    #[target_feature(enable = "avx2")]
    fn load(from: &[u64; WIDTH]) -> __m256i {
        // SAFETY: 32 bytes behind the reference; the load needs no alignment.
        unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
    }

    #[target_feature(enable = "avx2")]
    fn store(x: __m256i, to: &mut [u64; WIDTH]) {
        // SAFETY: 32 bytes behind the reference; the store needs no alignment.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), x) };
    }

    /// The steps of `Stream::next_lanes`, one register of lanes after the other. (Compilers leave the rotations in
    /// scalar registers when left alone, which halves the speed of everything.)
    #[target_feature(enable = "avx2")]
    fn random_bits_avx2(stream: &mut Stream, out: &mut [u64; PAIRS]) {
        for half in 0..LANES / WIDTH {
            let lanes = half * WIDTH..(half + 1) * WIDTH;
            let mut s = stream.state.each_ref().map(|word| match word[lanes.clone()].first_chunk() {
                Some(part) => load(part),
                None => unreachable!("a word has two halves"),
            });
            for part in out.chunks_exact_mut(LANES) {
                let sum = _mm256_add_epi64(s[0], s[3]);
                let turned = _mm256_or_si256(_mm256_slli_epi64::<23>(sum), _mm256_srli_epi64::<41>(sum));
                if let Some(part) = part[lanes.clone()].first_chunk_mut() {
                    store(_mm256_add_epi64(turned, s[0]), part);
                }
                let t = _mm256_slli_epi64::<17>(s[1]);
                s[2] = _mm256_xor_si256(s[2], s[0]);
                s[3] = _mm256_xor_si256(s[3], s[1]);
                s[1] = _mm256_xor_si256(s[1], s[2]);
                s[0] = _mm256_xor_si256(s[0], s[3]);
                s[2] = _mm256_xor_si256(s[2], t);
                s[3] = _mm256_or_si256(_mm256_slli_epi64::<45>(s[3]), _mm256_srli_epi64::<19>(s[3]));
            }
            for (word, s) in stream.state.iter_mut().zip(s) {
                if let Some(part) = word[lanes.clone()].first_chunk_mut() {
                    store(s, part);
                }
            }
        }
    }

    #[target_feature(enable = "avx2")]
    fn fill_avx2(stream: &mut Stream, out: &mut [f64]) {
        fill_body(stream, out, |stream, out| random_bits_avx2(stream, out));
    }

    #[target_feature(enable = "avx2")]
    fn fill_f32_avx2(stream: &mut Stream, out: &mut [f32]) {
        fill_f32_body(stream, out, |stream, out| random_bits_avx2(stream, out));
    }

    pub(super) fn fill(stream: &mut Stream, out: &mut [f64]) -> bool {
        let found = std::arch::is_x86_feature_detected!("avx2");
        if found {
            // SAFETY: the processor has AVX2, as just detected; nothing else is required of the call.
            unsafe { fill_avx2(stream, out) };
        }
        found
    }

    pub(super) fn fill_f32(stream: &mut Stream, out: &mut [f32]) -> bool {
        let found = std::arch::is_x86_feature_detected!("avx2");
        if found {
            // SAFETY: the processor has AVX2, as just detected; nothing else is required of the call.
            unsafe { fill_f32_avx2(stream, out) };
        }
        found
    }
}

pub(super) fn fill(stream: &mut Stream, out: &mut [f64]) {
    #[cfg(target_arch = "x86_64")]
    if avx2::fill(stream, out) {
        return;
    }
    fill_body(stream, out, random_bits);
}

pub(super) fn fill_f32(stream: &mut Stream, out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if avx2::fill_f32(stream, out) {
        return;
    }
    fill_f32_body(stream, out, random_bits);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elementary_functions_agree_with_the_standard_library() {
        for i in 1..200_000u32 {
            let u = f64::from(i) / 200_000.0;
            // Truncation of the series: (0.1716²)⁷/15 ≈ 3e-12, relative to ln; plus rounding of e·ln 2.
            assert!((ln(u) - u.ln()).abs() <= 1e-10 * u.ln().abs() + 1e-15, "ln {u}");
            let phi = (u - 0.5) * std::f64::consts::FRAC_PI_2;
            let (c, s) = cos_sin(phi);
            // First omitted terms at π/4: φ¹²/12! = 1.1e-10 and φ¹³/13! = 7e-12.
            assert!((c - phi.cos()).abs() < 1.3e-10 && (s - phi.sin()).abs() < 1e-11, "angle {phi}");
        }
        assert!((ln(2f64.powi(-52)) + 52.0 * std::f64::consts::LN_2).abs() < 1e-12);
        assert_eq!(ln(1.0), 0.0);
    }

    #[test]
    fn vector_width_does_not_change_the_bits() {
        let (mut wide, mut plain) = (vec![0.0; 1003], vec![0.0; 1003]);
        let mut s = Stream::new(1, "width", 0);
        let mut t = s.clone();
        fill(&mut s, &mut wide);
        fill_body(&mut t, &mut plain, random_bits);
        assert_eq!(wide, plain);
        assert_eq!(s, t);
    }
}
