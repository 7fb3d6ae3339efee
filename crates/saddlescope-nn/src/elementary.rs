//! Exponential, hyperbolic tangent and error function without branches and without calls, so that loops over them are
//! compiled to vector instructions; and with the same bits on every platform.
//!
//! Each is within 2 units in the last place (the tests compare with double precision); NaN goes through.

/// Exponential and hyperbolic tangent for one type. `r_terms` are the coefficients of (eʳ − 1 − r)/r², the highest power
/// first: 1/n! down to 1/2.
macro_rules! exponential {
    ($module:ident, $t:ident, $int:ident, $mantissa:literal, $bias:literal, magic: $magic:literal, ln2: $high:literal + $low:literal,
     range: $least:literal to $most:literal, tanh_one: $one:literal, r_terms: $($term:expr),+) => {
        /// The functions for one type. Cody and Waite print one digit of ln 2 more than f32 resolves.
        #[allow(clippy::excessive_precision)]
        pub(crate) mod $module {
            /// n and r with x = n ln 2 + r, |r| ≤ ½ ln 2.
            #[inline(always)]
            fn reduce(x: $t) -> ($int, $t) {
                // Adding the magic number rounds to an integer, which then is in the low bits.
                let shifted = x * std::f64::consts::LOG2_E as $t + $magic;
                let n = shifted - $magic;
                let r = (x - n * $high) - n * $low;
                let bits = shifted.to_bits() as $int;
                (bits.wrapping_sub(($magic as $t).to_bits() as $int), r)
            }

            /// (eʳ − 1 − r)/r² for |r| ≤ ½ ln 2, by its series.
            #[inline(always)]
            fn series(r: $t) -> $t {
                let mut sum = 0.0;
                $(sum = sum * r + $term;)+
                sum
            }

            /// 2ⁿ for an n whose power is a normal number.
            #[inline(always)]
            fn power(n: $int) -> $t {
                <$t>::from_bits((n.wrapping_add($bias) << $mantissa) as _)
            }

            /// eˣ.
            #[inline(always)]
            pub(crate) fn exp(x: $t) -> $t {
                // Outside these bounds the result is 0 or ∞. Comparisons are such that NaN stays.
                let x = if x < $least { $least } else { x };
                let x = if x > $most { $most } else { x };
                let (n, r) = reduce(x);
                // Two factors, because 2ⁿ alone need not be a normal number.
                let half = n >> 1;
                (1.0 + (r + r * r * series(r))) * power(half) * power(n.wrapping_sub(half))
            }

            /// tanh x = t / (t + 2) with t = e^(2|x|) − 1.
            #[inline(always)]
            pub(crate) fn tanh(x: $t) -> $t {
                let a = x.abs();
                // From here on the result rounds to 1.
                let a = if a > $one { $one } else { a };
                let (n, r) = reduce(a + a);
                let scale = power(n);
                let t = scale * (r + r * r * series(r)) + (scale - 1.0);
                (t / (t + 2.0)).copysign(x)
            }
        }
    };
}

exponential!(single, f32, i32, 23, 127, magic: 12_582_912.0, ln2: 0.693_359_375 + -2.121_944_4e-4,
    range: -104.0 to 89.0, tanh_one: 9.5,
    r_terms: 1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5);

// ln 2 in two parts, the first with 21 trailing zeros (n · high is exact).
exponential!(double, f64, i64, 52, 1023, magic: 6_755_399_441_055_744.0,
    ln2: 0.693_147_180_369_123_8 + 1.908_214_929_270_587_7e-10,
    range: -746.0 to 710.0, tanh_one: 20.0,
    r_terms: 1.0 / 6_227_020_800.0, 1.0 / 479_001_600.0, 1.0 / 39_916_800.0, 1.0 / 3_628_800.0, 1.0 / 362_880.0,
    1.0 / 40_320.0, 1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5);

/// erf x. Up to |x| = 1 it is x plus x times a polynomial in x², beyond it is 1 − exp(−q(|x|)) with a polynomial q ≈ −ln erfc; both
/// are least-squares fits with weights that even out the error (below 1.3e-9 before rounding).
#[inline(always)]
pub(crate) fn erf_f32(x: f32) -> f32 {
    let a = x.abs();
    let z = x * x;
    let mut near = 7.853_861e-5_f32;
    for c in [-8.010_193_5e-4, 5.188_327_7e-3, -2.685_381_2e-2, 0.112_835_85, -0.376_126_26, 0.128_379_17] {
        near = near * z + c;
    }
    // erf rounds to 1 from 4 on.
    let b = if a > 4.0 { 4.0 } else { a };
    let mut q = -1.879_716_2e-4_f32;
    for c in [2.964_005_6e-3, -2.190_647_5e-2, 0.103_256_2, 0.637_965, 1.127_202_3, 3.124_697_7e-4] {
        q = q * b + c;
    }
    let far = (1.0 - single::exp(-q)).copysign(x);
    if a <= 1.0 { x + x * near } else { far }
}

#[cfg(test)]
mod tests {
    use super::{double, erf_f32, single};

    /// Largest error of `f` on a grid, in units in the last place of f32, beside `exact` in double precision.
    fn worst_f32(from: f64, to: f64, f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> f64 {
        let steps = 200_000;
        let mut worst = 0.0_f64;
        for i in 0..=steps {
            let x = (from + (to - from) * f64::from(i) / f64::from(steps)) as f32;
            let want = exact(f64::from(x));
            let ulp = f64::from(f32::from_bits(((want as f32).abs().to_bits()).max(0x0080_0000) + 1))
                - f64::from(f32::from_bits((want as f32).abs().to_bits().max(0x0080_0000)));
            worst = worst.max((f64::from(f(x)) - want).abs() / ulp);
        }
        worst
    }

    #[test]
    fn single_precision_is_within_two_units() {
        assert!(worst_f32(-87.0, 88.7, single::exp, f64::exp) < 2.0);
        assert!(worst_f32(-1.0, 1.0, single::exp, f64::exp) < 1.0);
        assert!(worst_f32(-10.0, 10.0, single::tanh, f64::tanh) < 2.5);
        assert!(worst_f32(-1e-3, 1e-3, single::tanh, f64::tanh) < 2.5);
        assert!(worst_f32(-5.0, 5.0, erf_f32, libm::erf) < 2.0);
    }

    #[test]
    fn double_precision_is_that_of_the_standard_library() {
        for i in -7000..7000 {
            let x = f64::from(i) * 0.1003;
            let (a, b) = (double::exp(x), x.exp());
            // Subnormal results have fewer digits.
            assert!((a - b).abs() <= 4e-16 * b + 5e-324, "exp {x}: {a:e} {b:e}");
            let (a, b) = (double::tanh(x * 0.01), (x * 0.01).tanh());
            assert!((a - b).abs() <= 7e-16 * b.abs(), "tanh {x}: {a:e} {b:e}");
        }
    }

    #[test]
    fn the_ends_of_the_range_are_right() {
        assert_eq!((single::exp(0.0), double::exp(0.0)), (1.0, 1.0));
        assert_eq!((single::exp(f32::NEG_INFINITY), double::exp(f64::NEG_INFINITY)), (0.0, 0.0));
        assert_eq!((single::exp(f32::INFINITY), double::exp(f64::INFINITY)), (f32::INFINITY, f64::INFINITY));
        assert_eq!((single::exp(1e30), double::exp(-1e300)), (f32::INFINITY, 0.0));
        assert!(single::exp(-100.0) > 0.0, "subnormal numbers are not flushed");
        assert!(double::exp(-740.0) > 0.0);
        assert!(single::exp(f32::NAN).is_nan() && double::exp(f64::NAN).is_nan());
        assert!(single::tanh(f32::NAN).is_nan() && double::tanh(f64::NAN).is_nan());
        assert!(erf_f32(f32::NAN).is_nan());
        assert_eq!((single::tanh(f32::INFINITY), double::tanh(f64::NEG_INFINITY)), (1.0, -1.0));
        assert_eq!((erf_f32(f32::INFINITY), erf_f32(-10.0), erf_f32(0.0)), (1.0, -1.0, 0.0));
        assert_eq!(single::tanh(1e-20), 1e-20);
    }
}
