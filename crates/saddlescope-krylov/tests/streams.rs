//! The random streams: reproducible, independent, and of the right distribution.

use saddlescope_krylov::Stream;

/// Number of normals in the tests of the distribution.
const N: usize = 2_000_000;

fn normals(seed: u64, label: &str, index: u64, n: usize) -> Vec<f64> {
    let mut x = vec![0.0; n];
    Stream::new(seed, label, index).fill_normal(&mut x);
    x
}

/// Φ by the complementary error function's continued fraction and series (Abramowitz and Stegun 26.2.10, 26.2.14).
fn phi(x: f64) -> f64 {
    let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
    if x.abs() < 3.0 {
        let (mut term, mut sum, mut k) = (x, x, 1.0);
        while f64::abs(term) > 1e-17 {
            k += 2.0;
            term *= x * x / k;
            sum += term;
        }
        0.5 + density * sum
    } else {
        let t = x.abs();
        let tail = density / (1..60).rev().fold(t, |f, k| t + f64::from(k) / f);
        if x > 0.0 { 1.0 - tail } else { tail }
    }
}

fn ks(sorted: &[f64]) -> f64 {
    let n = sorted.len() as f64;
    sorted
        .iter()
        .enumerate()
        .map(|(i, &x)| (phi(x) - i as f64 / n).abs().max((phi(x) - (i + 1) as f64 / n).abs()))
        .fold(0.0, f64::max)
        * n.sqrt()
}

#[test]
fn moments() {
    for seed in 0..3 {
        let x = normals(seed, "moments", 0, N);
        let moment = |k: i32| x.iter().map(|x| x.powi(k)).sum::<f64>() / N as f64;
        // Mean and variance of xᵏ for a standard normal; five standard errors (chance 6e-7 each).
        for (k, mean, variance) in [
            (1, 0.0, 1.0),
            (2, 1.0, 2.0),
            (3, 0.0, 15.0),
            (4, 3.0, 96.0),
            (5, 0.0, 945.0),
            (6, 15.0, 10_170.0),
        ] {
            let error = (moment(k) - mean).abs() / (variance / N as f64).sqrt();
            assert!(error < 5.0, "moment {k} is off by {error} standard errors");
        }
    }
}

#[test]
fn kolmogorov_smirnov() {
    for seed in 0..3 {
        let mut x = normals(seed, "ks", 1, N);
        x.sort_by(f64::total_cmp);
        // P(√n D > 2.3) = 2 exp(−2·2.3²) = 5e-5.
        let d = ks(&x);
        assert!(d < 2.3, "seed {seed}: √n D = {d}");
        // Tails: numbers beyond 4 standard deviations, Poisson with mean 6.334e-5·N = 126.7.
        let tail = x.iter().filter(|x| x.abs() > 4.0).count() as f64;
        let mean = 2.0 * phi(-4.0) * N as f64;
        assert!((tail - mean).abs() < 5.0 * mean.sqrt(), "{tail} beyond 4σ, expected {mean}");
        assert!(x[N - 1] < 7.0 && x[0] > -7.0 && x[N - 1] > 4.3 && x[0] < -4.3);
    }
}

/// The cosine and the sine of one pair, and neighbours in the output, must not depend on each other.
#[test]
fn no_correlation_at_any_small_lag() {
    let x = normals(9, "lag", 0, N);
    for lag in 1..40 {
        let c = x.iter().zip(&x[lag..]).map(|(a, b)| a * b).sum::<f64>() / (N as f64).sqrt();
        let c2 = x.iter().zip(&x[lag..]).map(|(a, b)| (a * a - 1.0) * (b * b - 1.0)).sum::<f64>();
        let c2 = c2 / (N as f64).sqrt() / 2.0;
        // Standard normal each; 78 of them: 5 is exceeded with chance 5e-5.
        assert!(c.abs() < 5.0 && c2.abs() < 5.0, "lag {lag}: {c}, squares {c2}");
    }
    let y = normals(9, "lag", 1, N);
    let z = normals(10, "lag", 0, N);
    for other in [&y, &z] {
        let c = x.iter().zip(other).map(|(a, b)| a * b).sum::<f64>() / (N as f64).sqrt();
        assert!(c.abs() < 5.0, "streams are correlated: {c}");
    }
}

#[test]
fn signs_and_uniform_numbers() {
    let mut s = vec![0.0; N];
    Stream::new(3, "signs", 0).fill_rademacher(&mut s);
    assert!(s.iter().all(|x| x.abs() == 1.0));
    assert!(s.iter().sum::<f64>().abs() < 5.0 * (N as f64).sqrt());
    for lag in 1..130 {
        let c = s.iter().zip(&s[lag..]).map(|(a, b)| a * b).sum::<f64>() / (N as f64).sqrt();
        assert!(c.abs() < 5.0, "lag {lag}: {c}");
    }
    let mut u = vec![0.0; N];
    Stream::new(3, "uniform", 0).fill_uniform(&mut u);
    assert!(u.iter().all(|x| (0.0..1.0).contains(x)));
    let mean = u.iter().sum::<f64>() / N as f64;
    assert!((mean - 0.5).abs() < 5.0 / (12.0 * N as f64).sqrt());
}

#[test]
fn streams_differ_in_every_part_of_their_name() {
    let base = normals(1, "a", 1, 16);
    for other in
        [normals(2, "a", 1, 16), normals(1, "b", 1, 16), normals(1, "a", 2, 16), normals(1, "aa", 1, 16)]
    {
        assert!(base.iter().all(|x| !other.contains(x)));
    }
    assert_eq!(base, normals(1, "a", 1, 16));
    // A longer call begins with the numbers of a shorter one, whatever its length.
    for n in 0..40 {
        assert_eq!(normals(1, "a", 1, n)[..], normals(1, "a", 1, 100)[..n]);
    }
    let mut single = [0.0f32; 21];
    Stream::new(1, "a", 1).fill_normal_f32(&mut single);
    let double = normals(1, "a", 1, 21);
    assert!(single.iter().zip(&double).all(|(s, d)| *s == *d as f32));
}

/// Fixed for ever: a change would silently change every published seed.
#[test]
fn the_first_numbers_are_pinned() {
    let x = normals(0, "pin", 0, 3);
    let mut s = [0.0; 8];
    Stream::new(0, "pin", 0).fill_rademacher(&mut s);
    assert_eq!(x.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), PINNED_NORMALS);
    assert_eq!(s, PINNED_SIGNS);
}

const PINNED_NORMALS: [u64; 3] =
    [4_591_072_615_321_858_716, 13_836_106_137_926_713_555, 13_810_918_533_405_424_424];
const PINNED_SIGNS: [f64; 8] = [-1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, 1.0];
