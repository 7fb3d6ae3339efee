//! Standard normal numbers by the Box–Muller transform, written so that it runs in vector registers.
//!
//! The logarithm is the series of artanh, sine and cosine are Taylor polynomials on [−π/4, π/4] with a random
//! quadrant; their errors (below 1e-10) are far below what a test of the distribution could see. Only plain
//! additions and multiplications are used, never fused ones, so every vector width gives the same bits.

use super::{LANES, Stream};

/// Numbers made at a time: a cosine and a sine per lane.
const GROUP: usize = 2 * LANES;

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

#[inline(always)]
fn group(stream: &mut Stream) -> [f64; GROUP] {
    let (a, b) = (stream.next_lanes(), stream.next_lanes());
    let mut out = [0.0; GROUP];
    for l in 0..LANES {
        let radius = (-2.0 * ln(1.0 - unit(a[l]))).sqrt();
        let (cos, sin) = cos_sin((unit(b[l]) - 0.5) * std::f64::consts::FRAC_PI_2);
        // The low bits of b are not part of the angle: they choose the quadrant. Turning a sector of width
        // π/2 by quarter turns is a swap and two signs; all of it without branches.
        let swap = 0u64.wrapping_sub(b[l] & 1);
        let (c, s) = (cos.to_bits(), sin.to_bits());
        let first = (c & !swap) | (s & swap);
        let second = (s & !swap) | (c & swap);
        let sign = (b[l] << 62) & SIGN;
        out[l] = radius * f64::from_bits(first ^ sign);
        out[LANES + l] = radius * f64::from_bits(second ^ sign);
    }
    out
}

#[inline(always)]
fn fill_body(stream: &mut Stream, out: &mut [f64]) {
    let mut state = stream.clone();
    let mut groups = out.chunks_exact_mut(GROUP);
    for g in &mut groups {
        g.copy_from_slice(&group(&mut state));
    }
    let rest = groups.into_remainder();
    if !rest.is_empty() {
        let last = group(&mut state);
        rest.copy_from_slice(&last[..rest.len()]);
    }
    *stream = state;
}

#[inline(always)]
fn fill_f32_body(stream: &mut Stream, out: &mut [f32]) {
    let mut state = stream.clone();
    for part in out.chunks_mut(GROUP) {
        let values = group(&mut state);
        for (x, v) in part.iter_mut().zip(values) {
            *x = v as f32;
        }
    }
    *stream = state;
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod avx2 {
    use super::{Stream, fill_body, fill_f32_body};

    #[target_feature(enable = "avx2")]
    fn fill_avx2(stream: &mut Stream, out: &mut [f64]) {
        fill_body(stream, out);
    }

    #[target_feature(enable = "avx2")]
    fn fill_f32_avx2(stream: &mut Stream, out: &mut [f32]) {
        fill_f32_body(stream, out);
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
    fill_body(stream, out);
}

pub(super) fn fill_f32(stream: &mut Stream, out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if avx2::fill_f32(stream, out) {
        return;
    }
    fill_f32_body(stream, out);
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
        fill_body(&mut t, &mut plain);
        assert_eq!(wide, plain);
        assert_eq!(s, t);
    }
}
