//! The probability that a random plane shows the saddle: closed forms and the paper's product (2.27).

use super::Normal;

/// Pr(κ₊κ₋ > 0) by (2.27): Pr(κ₊ > 0) Pr(κ₋ > 0) + Pr(κ₊ < 0) Pr(κ₋ < 0) with a normal distribution for each.
///
/// The product treats κ₊ and κ₋ as independent. They are not, so it differs from the counted fraction: about 0.25
/// against 0.29 for loss (2.23).
pub fn product_of_normals(plus: &Normal, minus: &Normal) -> f64 {
    plus.probability_positive() * minus.probability_positive()
        + plus.probability_negative() * minus.probability_negative()
}

/// Pr(saddle) ≈ exp(−(tr H)² / (4 tr H²)) / √2.
///
/// When no single curvature dominates, (A + C)/2 ~ N(tr H, tr H²) and √(((A − C)/2)² + B²) is Rayleigh distributed
/// with the same scale, independent of it; the formula is then exact as N → ∞. When a few curvatures dominate, as in
/// trained networks, sample the spectrum instead ([`Spectrum::saddle_probability`](super::Spectrum::saddle_probability)).
/// NaN when tr H² = 0.
pub fn saddle_probability_closed_form(trace: f64, trace_of_square: f64) -> f64 {
    (-trace * trace / (4.0 * trace_of_square)).exp() * std::f64::consts::FRAC_1_SQRT_2
}

/// Pr(saddle), exactly, for a Hessian with `positive` curvatures +c, `negative` curvatures −c and any number of
/// zeros: both of the paper's losses. `None` when a count is below 2 (no plane then has a full pair of either sign).
///
/// The plane's Hessian is c (W₁ − W₂) with Wishart matrices W₁, W₂ of `positive` and `negative` degrees of freedom.
/// It is indefinite exactly when the eigenvalues b₁ > b₂ of W₁ (W₁ + W₂)⁻¹ lie on either side of ½. Their joint
/// density is ∝ (b₁ − b₂) w(b₁) w(b₂) with w(b) = b^((p−3)/2) (1 − b)^((q−3)/2) (Muirhead, *Aspects of Multivariate
/// Statistical Theory*, 1982, theorem 3.3.4), so the probability is a difference of products of one-dimensional integrals.
pub fn saddle_probability_of_two_levels(positive: usize, negative: usize) -> Option<f64> {
    if positive < 2 || negative < 2 {
        return None;
    }
    let (p, q) = (positive as f64, negative as f64);
    // b = sin²φ removes the end-point singularities: w(b) db = 2 sin^(p−2) φ cos^(q−2) φ dφ.
    let log_weight = |phi: f64| {
        let power = |exponent: f64, base: f64| if exponent == 0.0 { 0.0 } else { exponent * base.ln() };
        power(p - 2.0, phi.sin()) + power(q - 2.0, phi.cos())
    };
    // The mode of the weight, tan²φ = (p − 2)/(q − 2), and a width of many standard deviations around it.
    let mode = (p - 2.0).sqrt().atan2((q - 2.0).sqrt());
    let mode = if p == 2.0 && q == 2.0 { std::f64::consts::FRAC_PI_4 } else { mode };
    let scale = log_weight(mode.clamp(1e-300, std::f64::consts::FRAC_PI_2 - 1e-16));
    let width = 40.0 / (2.0 * (p + q)).sqrt();
    let (lo, hi) = ((mode - width).max(0.0), (mode + width).min(std::f64::consts::FRAC_PI_2));
    let split = std::f64::consts::FRAC_PI_4;
    let moments = |from: f64, to: f64| {
        let (from, to) = (from.clamp(lo.min(split), hi.max(split)), to.clamp(lo.min(split), hi.max(split)));
        let mut sums = [0.0; 2];
        composite_gauss(from, to, |phi, step| {
            let weight = (log_weight(phi) - scale).exp() * step;
            // Measured from ½, so that the difference of products below does not cancel.
            sums[0] += weight;
            sums[1] += weight * (phi.sin().powi(2) - 0.5);
        });
        sums
    };
    let below = moments(lo, split);
    let above = moments(split, hi);
    let saddle = above[1] * below[0] - above[0] * below[1];
    // The same integrals over b₁ > b₂ on one side of ½, by one more sum.
    let one_sided = |from: f64, to: f64| {
        let (from, to) = (from.clamp(lo.min(split), hi.max(split)), to.clamp(lo.min(split), hi.max(split)));
        let (mut mass, mut first, mut total) = (0.0, 0.0, 0.0);
        composite_gauss(from, to, |phi, step| {
            let weight = (log_weight(phi) - scale).exp() * step;
            let b = phi.sin().powi(2) - 0.5;
            total += weight * (b * mass - first);
            mass += weight;
            first += weight * b;
        });
        total
    };
    let same_side = one_sided(lo, split) + one_sided(split, hi);
    Some(saddle / (saddle + same_side))
}

/// Calls `visit(x, weight)` in ascending order of x for the midpoint rule on many small steps.
fn composite_gauss(from: f64, to: f64, mut visit: impl FnMut(f64, f64)) {
    const STEPS: usize = 20_000;
    if to <= from {
        return;
    }
    let step = (to - from) / STEPS as f64;
    for i in 0..STEPS {
        visit(from + (i as f64 + 0.5) * step, step);
    }
}
