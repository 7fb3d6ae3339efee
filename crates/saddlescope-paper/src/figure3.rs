//! Figure 3: distributions of κ± over 20,000 random planes, and how often the saddle is hidden.

use super::{Comparison, FigureResult, Finding, Measured, PaperError, ensemble, seed_of};
use saddlescope_figure::{Axis, Bins, ColorRole, Figure, Histogram, LineStyle, Reference, Series};
use saddlescope_landscape::analytic::{KnownCriticalPoint, SignedSquares};
use saddlescope_landscape::projection::{
    Normal, PlaneEnsemble, PlaneShape, normal_cdf, product_of_normals, saddle_probability_of_two_levels,
};
use std::sync::atomic::AtomicBool;

/// Random planes of each loss, as in the paper.
const DRAWS: usize = 20_000;
/// Bins of a histogram.
const BINS: usize = 60;

pub(super) fn make(seed: u64, stop: &AtomicBool) -> Result<FigureResult, PaperError> {
    let (first, second) = (SignedSquares::balanced(500)?, SignedSquares::new(500, 800)?);
    let balanced = ensemble(&first, DRAWS, seed_of(seed, 3, 0), stop, "Figure 3")?;
    let unbalanced = ensemble(&second, DRAWS, seed_of(seed, 3, 1), stop, "Figure 3")?;
    let hidden = balanced.same_sign_fraction();
    let second_hidden = unbalanced.same_sign_fraction();
    let figure = Figure::new(
        "figure-3",
        "What random planes make of two saddles",
        format!(
            "Distributions of the principal curvatures $\\kappa_+$ and $\\kappa_-$ over {DRAWS} random planes, with normal \
             approximations (lines). (a) Loss (2.23), $n$ = 500: {:.1} % of the planes have curvatures of one sign and hide \
             the saddle. (b) Loss (2.28), $n$ = 500, ñ = 800: {} of {DRAWS} planes do. Seed {seed}.",
            100.0 * hidden.value(),
            second_hidden.hits
        ),
    )
    .columns(2)
    .panel(
        format!("loss (2.23): {:.0} % of the planes hide the saddle", 100.0 * hidden.value()),
        histogram(&balanced, first.trace())?,
    )
    .panel(format!("loss (2.28): {:.0} % of the planes hide it", 100.0 * second_hidden.value()), histogram(&unbalanced, second.trace())?);
    let mut numbers = balanced_rows(&balanced);
    numbers.extend(unbalanced_rows(&unbalanced));
    Ok(FigureResult { number: 3, figure, numbers })
}

fn histogram(ensemble: &PlaneEnsemble, trace: f64) -> Result<Histogram, PaperError> {
    let (plus, minus) = ensemble.histograms(BINS)?;
    let (plus_fit, minus_fit) = ensemble.normal_approximations();
    let bins = |label: &str, histogram: &saddlescope_landscape::projection::Histogram, color| Bins {
        label: label.into(),
        edges: histogram.edges(),
        heights: histogram.density(),
        color,
    };
    let curve = |fit: Normal, color| {
        let x: Vec<f64> = (0..=200).map(|i| plus.lo + (plus.hi - plus.lo) * f64::from(i) / 200.0).collect();
        let y = x.iter().map(|&x| fit.density(x)).collect();
        Series::new("", x, y, color).style(LineStyle::Solid)
    };
    Ok(Histogram {
        x: Axis::linear("principal curvature $\\kappa_\\pm$"),
        y: Axis::linear("probability density"),
        bins: vec![
            bins("$\\kappa_+$", &plus, ColorRole::First),
            bins("$\\kappa_-$", &minus, ColorRole::Second),
        ],
        curves: vec![curve(plus_fit, ColorRole::First), curve(minus_fit, ColorRole::Second)],
        references: vec![Reference::vertical(trace, "tr $H$")],
    })
}

fn balanced_rows(ensemble: &PlaneEnsemble) -> Vec<Comparison> {
    let (plus, minus) = ensemble.normal_approximations();
    // Both curvatures have z = √(π/2)/√(1 + (4 − π)/2) in the normal limit.
    let pi = std::f64::consts::PI;
    let z = (0.5 * pi / (3.0 - 0.5 * pi)).sqrt();
    let limit = 2.0 * normal_cdf(z) * normal_cdf(-z);
    let exact = saddle_probability_of_two_levels(500, 500).map(|p| 1.0 - p);
    vec![
        Comparison {
            place: "Fig. 3(a), (2.27)".into(),
            quantity: "Pr(κ₊ > 0) Pr(κ₋ > 0) + Pr(κ₊ < 0) Pr(κ₋ < 0), loss (2.23)".into(),
            printed: "0.25".into(),
            exact: Some(limit),
            exact_source: "normal limit".into(),
            ours: Measured {
                value: product_of_normals(&plus, &minus),
                std_error: product_error(&plus, &minus),
                samples: DRAWS,
            },
            finding: Finding::Agrees,
            remark: "the product itself is right, but it treats κ₊ and κ₋ as independent, which they are not"
                .into(),
        },
        Comparison {
            place: "Fig. 3(a), (2.27)".into(),
            quantity: "Pr(κ₊κ₋ > 0), counted, loss (2.23)".into(),
            printed: "0.25".into(),
            exact,
            exact_source: "two Wishart matrices, integrated; 1 − 1/√2 = 0.2929 as n → ∞".into(),
            ours: ensemble.same_sign_fraction().into(),
            finding: Finding::Differs,
            remark: "29 % of the planes hide the saddle, not 25 %".into(),
        },
    ]
}

/// Standard error of the product: Φ(m/s) has dΦ = φ(z) (dm − z ds)/s with Var m = s²/S and Var s ≈ s²/2S, and the
/// errors of κ₊ and κ₋ are added as if fully correlated, which can only be too large.
fn product_error(plus: &Normal, minus: &Normal) -> f64 {
    let single = |fit: &Normal| {
        let z = fit.mean / fit.std_dev;
        let phi = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
        phi * ((1.0 + 0.5 * z * z) / DRAWS as f64).sqrt()
    };
    let slope = |other: &Normal| (other.probability_positive() - other.probability_negative()).abs();
    slope(minus) * single(plus) + slope(plus) * single(minus)
}

fn unbalanced_rows(ensemble: &PlaneEnsemble) -> Vec<Comparison> {
    vec![Comparison {
        place: "Fig. 3(b)".into(),
        quantity: "fraction of random planes that show the saddle, loss (2.28)".into(),
        printed: "vanishingly small".into(),
        exact: saddle_probability_of_two_levels(800, 200),
        exact_source: "two Wishart matrices, integrated".into(),
        ours: ensemble.fraction(PlaneShape::Saddle).into(),
        finding: Finding::Agrees,
        remark: "every random plane shows a minimum".into(),
    }]
}
