//! How often a saddle looks like one: counted, closed form, exact, sampled, and the paper's product.

use super::planes::ensemble;
use crate::analytic::{KnownCriticalPoint, SignedSquares};
use crate::projection::*;

/// Five standard errors of a count: a failure by chance about once in two million runs, and the seeds are fixed.
fn within(fraction: Fraction, expected: f64) {
    let error = (expected * (1.0 - expected) / fraction.samples as f64).sqrt();
    assert!((fraction.value() - expected).abs() < 5.0 * error, "{fraction:?} against {expected}");
}

#[test]
fn the_exact_probability_agrees_with_cases_known_by_hand() {
    // Two and two: w(b) = b^(−1/2) (1 − b)^(−1/2). With b = sin²φ the weight is constant in φ, and
    // ∫∫ (b₁ − b₂) over b₁ > ½ > b₂ is 2 · ¼ · π/4 = π/8, over all b₁ > b₂ it is ½.
    let exact = saddle_probability_of_two_levels(2, 2).unwrap();
    assert!((exact - std::f64::consts::FRAC_PI_4).abs() < 1e-6, "{exact}");
    // Three and three: w = 1, so P = ∫∫_{b₁ > ½ > b₂} (b₁ − b₂) / ∫∫_{b₁ > b₂} (b₁ − b₂) = (1/8)/(1/6) = 3/4.
    let exact = saddle_probability_of_two_levels(3, 3).unwrap();
    assert!((exact - 0.75).abs() < 1e-6, "{exact}");
    // Five and three: w = b, with the moments ∫ w and ∫ b w over [0, ½] and [½, 1].
    let (m0, m1) = ([1.0 / 8.0, 3.0 / 8.0], [1.0 / 24.0, 7.0 / 24.0]);
    let numerator = m1[1] * m0[0] - m0[1] * m1[0];
    // ∫₀¹ db₁ b₁ ∫₀^{b₁} (b₁ − b₂) b₂ db₂ = ∫ b₁⁴/6 = 1/30.
    let expected = numerator * 30.0;
    let exact = saddle_probability_of_two_levels(5, 3).unwrap();
    assert!((exact - expected).abs() < 1e-6, "{exact} {expected}");
    assert_eq!(saddle_probability_of_two_levels(1, 5), None);
}

#[test]
fn the_exact_probability_is_symmetric_and_tends_to_the_closed_form() {
    for (p, q) in [(7, 4), (100, 140), (1000, 800)] {
        let (one, other) = (
            saddle_probability_of_two_levels(p, q).unwrap(),
            saddle_probability_of_two_levels(q, p).unwrap(),
        );
        assert!((one - other).abs() < 1e-7 * one.max(1e-3), "{one} {other}");
    }
    for n in [50, 500, 5000] {
        let exact = saddle_probability_of_two_levels(n, n).unwrap();
        // The normal limit is off by O(1/n).
        let limit = std::f64::consts::FRAC_1_SQRT_2;
        assert!((exact - limit).abs() < 0.2 / n as f64, "{n}: {exact}");
    }
}

#[test]
fn about_0_29_of_the_planes_of_loss_2_23_hide_the_saddle_and_the_product_says_0_25() {
    let loss = SignedSquares::balanced(500).unwrap();
    let found = ensemble(&loss, 20_000, 1);
    let exact = 1.0 - saddle_probability_of_two_levels(500, 500).unwrap();
    let limit = 1.0 - std::f64::consts::FRAC_1_SQRT_2;
    assert!((exact - limit).abs() < 1e-3);
    // Standard error of the count: √(0.29 · 0.71/20000) = 0.0032.
    within(found.same_sign_fraction(), exact);
    assert!((found.same_sign_fraction().value() - 0.29).abs() < 0.016);
    within(found.fraction(PlaneShape::Saddle), 1.0 - exact);
    let (plus, minus) = found.normal_approximations();
    let product = product_of_normals(&plus, &minus);
    // In the limit κ± have mean ±√(π/2) s and variance s² (1 + (4 − π)/2), so z = 1.0483 and the product is
    // 2Φ(z)Φ(−z) = 0.2508; the fitted moments carry 20,000 draws' errors, a few 1e-3.
    let z = (std::f64::consts::FRAC_PI_2 / (1.0 + (4.0 - std::f64::consts::PI) / 2.0)).sqrt();
    let expected = 2.0 * normal_cdf(z) * normal_cdf(-z);
    assert!((expected - 0.25).abs() < 0.003, "{expected}");
    assert!((product - expected).abs() < 0.006, "{product}");
}

#[test]
fn no_plane_of_loss_2_28_with_mean_curvature_0_6_shows_its_saddle() {
    let loss = SignedSquares::new(500, 800).unwrap();
    let found = ensemble(&loss, 20_000, 1);
    // Closed form exp(−90)/√2 ≈ 6e-40.
    assert_eq!(found.fraction(PlaneShape::Saddle).hits, 0);
    assert_eq!(found.fraction(PlaneShape::Minimum).hits, 20_000);
    assert!(saddle_probability_closed_form(loss.trace(), loss.trace_of_square()) < 1e-39);
    assert!(saddle_probability_of_two_levels(800, 200).unwrap() < 1e-30);
}

#[test]
fn figure_1_hides_the_saddle_in_all_but_0_3_percent_of_the_planes() {
    let loss = SignedSquares::new(900, 1000).unwrap();
    let closed = saddle_probability_closed_form(loss.trace(), loss.trace_of_square());
    // exp(−200²/(4 · 1800))/√2
    assert!((closed - 0.002_734).abs() < 1e-6, "{closed}");
    let exact = saddle_probability_of_two_levels(1000, 800).unwrap();
    assert!((0.0026..0.0028).contains(&exact), "{exact}");
    let sampled = Spectrum::from_multiplicities(&loss.curvatures()).unwrap().saddle_probability(2_000_000, 1);
    within(sampled, exact);
    within(ensemble(&loss, 10_000, 1).fraction(PlaneShape::Saddle), exact);
    // The printed "about 0.5 %" of 10,000 draws is (50 − 10,000 p)/√(10,000 p) > 3 standard errors away.
    assert!((0.005 - exact) / (exact / 10_000.0).sqrt() > 3.0);
}

#[test]
fn one_dominating_curvature_breaks_the_closed_form_but_not_the_sampling() {
    // −16.4 and 5007.9 in a narrow bulk, as in the paper's ResNet-56.
    let mut values = vec![5007.9, -16.4];
    values.extend((0..98).map(|i| 0.02 * f64::from(i)));
    let spectrum = Spectrum::from_eigenvalues(&values).unwrap();
    let quadratic = crate::analytic::Quadratic::rotated(values, 5).unwrap();
    let counted = ensemble(&quadratic, 40_000, 1).fraction(PlaneShape::Saddle);
    let sampled = spectrum.saddle_probability(40_000, 2);
    let error = counted.std_error().hypot(sampled.std_error());
    assert!((counted.value() - sampled.value()).abs() < 5.0 * error, "{counted:?} {sampled:?}");
    let closed = spectrum.saddle_probability_closed_form();
    assert!((closed - counted.value()).abs() > 20.0 * error, "closed form {closed}, counted {counted:?}");
}
