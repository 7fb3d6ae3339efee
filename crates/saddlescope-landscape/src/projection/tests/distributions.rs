//! Distributions: spectra, histograms, the normal law, concentration.

use super::planes::ensemble;
use crate::analytic::Quadratic;
use crate::projection::*;

#[test]
fn planes_sampled_from_a_spectrum_have_the_moments_of_real_planes() {
    let values: Vec<f64> = (0..30).map(|i| 0.7_f64.powi(i) * if i % 3 == 0 { -2.0 } else { 1.0 }).collect();
    let spectrum = Spectrum::from_eigenvalues(&values).unwrap();
    let (trace, square) = (spectrum.trace(), spectrum.trace_of_square());
    let draws = 200_000;
    let real = ensemble(&Quadratic::diagonal(values).unwrap(), draws, 3).planes;
    for planes in [real, spectrum.sample_planes(draws, 4)] {
        let column =
            |f: &dyn Fn(&PlaneHessian) -> f64| Normal::fit(&planes.iter().map(f).collect::<Vec<_>>());
        let (a, b, c) = (column(&|p| p.a), column(&|p| p.b), column(&|p| p.c));
        let s = draws as f64;
        // Means: tr H, 0, tr H with variances 2 tr H², tr H², 2 tr H²; five standard errors.
        assert!((a.mean - trace).abs() < 5.0 * (2.0 * square / s).sqrt(), "{a:?}");
        assert!(b.mean.abs() < 5.0 * (square / s).sqrt(), "{b:?}");
        assert!((c.mean - trace).abs() < 5.0 * (2.0 * square / s).sqrt(), "{c:?}");
        // Variances: relative standard error √((kurtosis − 1)/s) with kurtosis below 15 for these few levels.
        let tolerance = 5.0 * (14.0 / s).sqrt();
        assert!((a.std_dev.powi(2) / (2.0 * square) - 1.0).abs() < tolerance, "{a:?}");
        assert!((b.std_dev.powi(2) / square - 1.0).abs() < tolerance, "{b:?}");
        assert!((c.std_dev.powi(2) / (2.0 * square) - 1.0).abs() < tolerance, "{c:?}");
    }
}

#[test]
fn a_density_fills_up_the_dimension_beside_the_known_eigenvalues() {
    let spectrum = Spectrum::from_density(&[10.0, -2.0], &[0.0, 0.5, 1.0], &[0.5, 0.25, 0.25], 102).unwrap();
    assert!((spectrum.dim() - 102.0).abs() < 1e-12);
    assert!((spectrum.trace() - (8.0 + 25.0 * 0.5 + 25.0)).abs() < 1e-12);
    assert!((spectrum.trace_of_square() - (104.0 + 25.0 * 0.25 + 25.0)).abs() < 1e-12);
    // A fractional level below one keeps the mean: half an eigenvalue of 3.
    let half = Spectrum::from_density(&[], &[3.0, 0.0], &[0.5, 0.5], 1).unwrap();
    let planes = half.sample_planes(100_000, 1);
    let a = Normal::fit(&planes.iter().map(|p| p.a).collect::<Vec<_>>());
    assert!((a.mean - 1.5).abs() < 5.0 * a.std_dev / (100_000.0_f64).sqrt());
}

#[test]
fn sampled_planes_do_not_depend_on_threads() {
    let spectrum = Spectrum::from_multiplicities(&[(1.0, 10), (-1.0, 12), (0.0, 5)]).unwrap();
    let reference = spectrum.sample_planes(1000, 7);
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| spectrum.sample_planes(1000, 7)), reference);
    }
}

#[test]
fn impossible_spectra_are_refused() {
    let from = Spectrum::from_density;
    assert!(matches!(
        Spectrum::from_eigenvalues(&[1.0, f64::NAN]),
        Err(SpectrumError::Value { index: 1, .. })
    ));
    assert!(matches!(from(&[], &[1.0], &[], 3), Err(SpectrumError::Lengths { .. })));
    assert!(matches!(from(&[], &[1.0], &[-1.0], 3), Err(SpectrumError::Weight { .. })));
    assert!(matches!(from(&[], &[1.0], &[0.0], 3), Err(SpectrumError::Weight { .. })));
    assert!(matches!(from(&[1.0, 2.0], &[1.0], &[1.0], 1), Err(SpectrumError::TooMany { .. })));
    assert_eq!(from(&[1.0, 2.0], &[], &[], 2).unwrap().trace(), 3.0);
}

#[test]
fn histograms_lose_nothing() {
    let values = [0.0, 0.1, 0.5, 0.99, 1.0, -0.1, 1.5, f64::NAN, f64::INFINITY];
    let histogram = Histogram::in_range(&values, 0.0, 1.0, 2).unwrap();
    assert_eq!((histogram.counts.clone(), histogram.below, histogram.above), (vec![2, 3], 1, 2));
    assert_eq!((histogram.nan, histogram.samples()), (1, 9));
    assert_eq!(histogram.edges(), vec![0.0, 0.5, 1.0]);
    let area: f64 = histogram.density().iter().map(|d| d * histogram.bin_width()).sum();
    assert!((area - 5.0 / 9.0).abs() < 1e-15);
    let whole = Histogram::of(&values, 4).unwrap();
    assert_eq!((whole.lo, whole.hi, whole.below), (-0.1, 1.5, 0));
    assert_eq!(Histogram::of(&[2.0, 2.0], 3).unwrap().counts.iter().sum::<usize>(), 2);
    assert!(matches!(Histogram::of(&[f64::NAN], 3), Err(HistogramError::NoValues)));
    assert!(matches!(Histogram::of(&[1.0], 0), Err(HistogramError::Bins { .. })));
    assert!(matches!(Histogram::in_range(&[], 1.0, 1.0, 3), Err(HistogramError::Range { .. })));
}

#[test]
fn the_normal_law_has_its_tabulated_values() {
    // Abramowitz & Stegun, table 26.1.
    assert!((normal_cdf(1.0) - 0.841_344_746_068_543).abs() < 1e-14);
    assert!((normal_cdf(-1.96) - 0.024_997_895_148_220).abs() < 1e-14);
    let normal = Normal::fit(&[1.0, 2.0, 3.0]);
    assert_eq!((normal.mean, normal.std_dev), (2.0, 1.0));
    assert!((normal.density(2.0) - 0.398_942_280_401_432_7).abs() < 1e-15);
    assert!((normal.probability_positive() + normal.probability_negative() - 1.0).abs() < 1e-15);
}

#[test]
fn fractions_know_their_uncertainty() {
    let none = Fraction { hits: 0, samples: 1000 };
    let (lo, hi) = none.interval(1.96);
    // Wilson at p = 0: z²/(S + z²).
    assert!(lo < 1e-15 && (hi - 3.8416 / 1003.8416).abs() < 1e-12);
    let half = Fraction { hits: 50, samples: 100 };
    assert_eq!((half.value(), half.std_error()), (0.5, 0.05));
}

#[test]
fn both_printed_concentration_bounds_are_violated_and_the_corrected_one_holds() {
    let (n, epsilon) = (1000, 0.1);
    // Values of the three formulas to the two digits usually quoted.
    assert!((bound_printed_2_14(n, epsilon) / 2.9e-9 - 1.0).abs() < 0.02);
    assert!((bound_printed_a5(n, epsilon) / 9.1e-5 - 1.0).abs() < 0.01);
    assert!((bound_corrected(n, epsilon) / 9.5e-3 - 1.0).abs() < 0.01);
    let exact = overlap_probability(n, epsilon);
    // Normal limit 2Φ(−√10) = 1.565e-3, with corrections of order 1/N in the exponent.
    assert!((exact / 1.6e-3 - 1.0).abs() < 0.03, "{exact}");
    let counted = simulate_overlap(n, &[epsilon], 40_000, 1)[0];
    // About 64 hits: five standard errors.
    let error = (exact / 40_000.0).sqrt();
    assert!((counted.value() - exact).abs() < 5.0 * error, "{counted:?} against {exact}");
    let (least, most) = counted.interval(5.0);
    assert!(least > bound_printed_a5(n, epsilon) && least > bound_printed_2_14(n, epsilon));
    assert!(most < bound_corrected(n, epsilon));
}

#[test]
fn overlap_probability_is_exact_where_the_answer_is_known() {
    // N = 1: Pr(|ηδ| ≥ ε) for a product of two normals; ε = 0 is certain.
    for n in [1, 2, 10, 1000] {
        let certain = overlap_probability(n, 0.0);
        // The midpoint rule at r = 0 of N = 1 costs O(step²) ~ 1e-6.
        assert!((certain - 1.0).abs() < 1e-6, "{n}: {certain}");
    }
    // N = 2: Σηδ has the Laplace law, Pr(|Σηδ| ≥ x) = exp(−x).
    for epsilon in [0.1, 1.0, 3.0] {
        assert!((overlap_probability(2, epsilon) / (-2.0 * epsilon).exp() - 1.0).abs() < 1e-6);
    }
    assert!(overlap_probability(0, 0.1).is_nan());
}
