//! Numbers of the text that belong to no figure: the concentration bounds and the misprints around (2.28).

use super::numbers::significant;
use super::{Comparison, Finding, Measured, PaperError, check_stop, ensemble, figure1, seed_of};
use saddlescope_landscape::analytic::{KnownCriticalPoint, SignedSquares};
use saddlescope_landscape::projection::{
    bound_corrected, bound_printed_2_14, bound_printed_a5, overlap_probability, simulate_overlap,
};
use saddlescope_landscape::{Curvature, Risk};
use std::sync::atomic::AtomicBool;

/// N and ε at which the bounds are compared.
const DIMENSION: usize = 1000;
const EPSILON: f64 = 0.1;
/// Pairs of Gaussian vectors of the simulation.
const PAIRS: usize = 100_000;
/// Random planes for the mean curvature.
const DRAWS: usize = 10_000;

/// The rows of the table that belong to no figure. `seed` fixes every random vector; `stop` is looked at between steps.
///
/// # Errors
/// The wish to stop.
pub fn text_numbers(seed: u64, stop: &AtomicBool) -> Result<Vec<Comparison>, PaperError> {
    const NAME: &str = "the numbers of the text";
    check_stop(stop, NAME)?;
    let mut rows = bounds(seed_of(seed, 0, 0));
    check_stop(stop, NAME)?;
    let loss = SignedSquares::new(500, 800)?;
    let draws = ensemble(&loss, DRAWS, seed_of(seed, 0, 1), stop, NAME)?;
    rows.extend(misprints(&loss, draws.mean_curvature().into())?);
    check_stop(stop, NAME)?;
    Ok(rows)
}

fn bounds(seed: u64) -> Vec<Comparison> {
    let exact = overlap_probability(DIMENSION, EPSILON);
    let counted = Measured::from(simulate_overlap(DIMENSION, &[EPSILON], PAIRS, seed)[0]);
    let row = |place: &str, quantity: &str, printed: String, finding, remark: String| Comparison {
        place: place.into(),
        quantity: format!("Pr(|N⁻¹ Σ ηᵢδᵢ| ≥ 0.1), N = 1000{quantity}"),
        printed,
        exact: Some(exact),
        exact_source: "quadrature over ‖η‖".into(),
        ours: counted,
        finding,
        remark,
    };
    let bound = |value: f64| format!("≤ {}", significant(value, 2));
    let violated = |value: f64| {
        format!(
            "violated: the probability is {} times the bound; ηᵢ ± δᵢ have variance 2, not 1",
            significant(exact / value, 2)
        )
    };
    let (first, second) = (bound_printed_2_14(DIMENSION, EPSILON), bound_printed_a5(DIMENSION, EPSILON));
    let corrected = bound_corrected(DIMENSION, EPSILON);
    vec![
        row("(2.14)", ": bound √2 exp(−2Nε²)", bound(first), Finding::Differs, violated(first)),
        row("(A.5)", ": bound 2 exp(−Nε²)", bound(second), Finding::Differs, violated(second)),
        row(
            "App. A, corrected",
            ": bound √2 exp(−Nε²/2)",
            String::new(),
            Finding::NotPrinted,
            format!(
                "{}: the paper's argument with (ηᵢ ± δᵢ)/√2; it holds, with a factor {} to spare",
                bound(corrected),
                significant(corrected / exact, 2)
            ),
        ),
    ]
}

fn misprints(loss: &SignedSquares, mean_curvature: Measured) -> Result<Vec<Comparison>, PaperError> {
    let n = loss.dim() as f64;
    let (n_half, n_tilde) = (loss.n() as f64, loss.n_tilde() as f64);
    let signs = Signs::of(loss)?;
    let large = SignedSquares::new(figure1::N, figure1::N_TILDE)?;
    let large_signs = Signs::of(&large)?;
    let row = |place: &str, quantity: &str, printed: String, exact, ours, remark: &str| Comparison {
        place: place.into(),
        quantity: quantity.into(),
        printed,
        exact: Some(exact),
        exact_source: String::new(),
        ours,
        finding: Finding::Differs,
        remark: remark.into(),
    };
    Ok(vec![
        row(
            "(2.29)",
            "curvatures −1 of loss (2.28), n = 500, ñ = 800",
            "n = 500".into(),
            loss.index() as f64,
            Measured::exact(signs.negative as f64),
            "there are 2n − ñ of them, counted from Hessian products with every coordinate vector",
        ),
        row(
            "Sec. 2.3.1",
            "mean curvature 𝓗 of loss (2.28), n = 500, ñ = 800",
            format!("(ñ − n)/N = {}", significant((n_tilde - n_half) / n, 4)),
            loss.mean_curvature(),
            mean_curvature,
            "tr H/N = 2(ñ − n)/N; the paper's own trace 600 agrees with that",
        ),
        row(
            "Fig. 1",
            "excess of positive over negative curvatures, n = 900, ñ = 1000",
            "ñ − n = 100".into(),
            large.trace(),
            Measured::exact(large_signs.positive as f64 - large_signs.negative as f64),
            "the excess is 2(ñ − n)",
        ),
    ])
}

/// Signs of a diagonal Hessian, from real products.
struct Signs {
    positive: usize,
    negative: usize,
}

impl Signs {
    /// Applies the Hessian at the critical point to every coordinate vector, a block at a time.
    fn of(loss: &SignedSquares) -> Result<Self, PaperError> {
        const BLOCK: usize = 64;
        let n = loss.dim();
        let point = loss.at(&loss.critical_point(), 0)?;
        let mut signs = Self { positive: 0, negative: 0 };
        for start in (0..n).step_by(BLOCK) {
            let count = BLOCK.min(n - start);
            let mut vectors = vec![0.0; count * n];
            (0..count).for_each(|i| vectors[i * n + start + i] = 1.0);
            let mut products = vec![0.0; count * n];
            point.product(Curvature::Hessian, &vectors, &mut products)?;
            for (i, product) in products.chunks_exact(n).enumerate() {
                let diagonal = product[start + i];
                signs.positive += usize::from(diagonal > 0.0);
                signs.negative += usize::from(diagonal < 0.0);
            }
        }
        Ok(signs)
    }
}
