//! How orthogonal two random directions are: the printed bounds, the corrected one, the truth.
//!
//! The paper bounds Pr(|N⁻¹ Σ ηᵢδᵢ| ≥ ε) through Xᵢ = ηᵢ + δᵢ and Yᵢ = ηᵢ − δᵢ as if these had variance 1; they have
//! variance 2. With (ηᵢ ± δᵢ)/√2 the same argument gives √2 exp(−Nε²/2). The printed bounds are violated.

use super::{Fraction, normal_cdf};
use crate::random;
use rayon::prelude::*;

/// √2 exp(−2Nε²), the bound printed as (2.14). It does not hold.
pub fn bound_printed_2_14(n: usize, epsilon: f64) -> f64 {
    std::f64::consts::SQRT_2 * (-2.0 * n as f64 * epsilon * epsilon).exp()
}

/// 2 exp(−Nε²), the bound printed as (A.5). It does not hold.
pub fn bound_printed_a5(n: usize, epsilon: f64) -> f64 {
    2.0 * (-(n as f64) * epsilon * epsilon).exp()
}

/// √2 exp(−Nε²/2): the paper's argument with standard normals (ηᵢ ± δᵢ)/√2, for large N.
pub fn bound_corrected(n: usize, epsilon: f64) -> f64 {
    std::f64::consts::SQRT_2 * (-0.5 * n as f64 * epsilon * epsilon).exp()
}

/// Pr(|N⁻¹ Σ ηᵢδᵢ| ≥ ε) by quadrature, to about ten digits.
///
/// Given η, the sum is normal with standard deviation ‖η‖, so the probability is E[2Φ(−Nε/‖η‖)] over the χ
/// distribution of ‖η‖ with N degrees of freedom. NaN for n = 0.
pub fn overlap_probability(n: usize, epsilon: f64) -> f64 {
    if n == 0 {
        return f64::NAN;
    }
    let dof = n as f64;
    let log_constant = (1.0 - 0.5 * dof) * std::f64::consts::LN_2 - libm::lgamma(0.5 * dof);
    // The χ distribution has mean ≈ √N and standard deviation ≈ 1/√2, with Gaussian tails on both sides.
    let (lo, hi) = ((dof.sqrt() - 12.0).max(0.0), dof.sqrt() + 12.0);
    const STEPS: usize = 20_000;
    let step = (hi - lo) / STEPS as f64;
    (0..STEPS)
        .map(|i| {
            let r = lo + (i as f64 + 0.5) * step;
            let density = (log_constant + (dof - 1.0) * r.ln() - 0.5 * r * r).exp();
            density * 2.0 * normal_cdf(-dof * epsilon / r) * step
        })
        .sum()
}

/// Counts how often |N⁻¹ Σ ηᵢδᵢ| ≥ ε, for each ε, over `draws` fresh pairs of Gaussian vectors in ℝᴺ.
///
/// Pair d uses the streams 2d and 2d + 1 of `seed`; the counts do not depend on the number of threads.
pub fn simulate_overlap(n: usize, epsilons: &[f64], draws: usize, seed: u64) -> Vec<Fraction> {
    let overlaps: Vec<f64> = (0..draws as u64)
        .into_par_iter()
        .map_init(
            || (vec![0.0; n], vec![0.0; n]),
            |(eta, delta), draw| {
                random::fill_normal(seed, 2 * draw, eta);
                random::fill_normal(seed, 2 * draw + 1, delta);
                crate::numeric::dot(eta, delta).abs() / n as f64
            },
        )
        .collect();
    epsilons.iter().map(|&epsilon| Fraction::count(&overlaps, |overlap| *overlap >= epsilon)).collect()
}
