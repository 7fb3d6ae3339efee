//! Figure 1: loss (2.28), n = 900, ñ = 1000, in three planes of eigenvectors and in a random one.

use super::{Comparison, FigureResult, Finding, Measured, PaperError, check_stop, ensemble, seed_of};
use saddlescope_figure::{Figure, Levels, Palette, Surface3d};
use saddlescope_landscape::analytic::{KnownCriticalPoint, SignedSquares};
use saddlescope_landscape::presentation::surface_grid;
use saddlescope_landscape::projection::{
    PlaneEnsemble, PlaneShape, Spectrum, saddle_probability_closed_form, saddle_probability_of_two_levels,
};
use saddlescope_landscape::{
    Axis, Direction, FinishedRows, Origin, Plane, Risk, Surface, SurfaceOutcome, Threading, evaluate_surface,
};
use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;

/// n of Figure 1.
pub(super) const N: usize = 900;
/// ñ of Figure 1.
pub(super) const N_TILDE: usize = 1000;
/// Random planes the paper counted.
const DRAWS: usize = 10_000;
/// Planes sampled from the spectrum, to see 0.3 % sharply.
const SPECTRUM_DRAWS: usize = 2_000_000;

pub(super) fn make(seed: u64, stop: &AtomicBool) -> Result<FigureResult, PaperError> {
    const NAME: &str = "Figure 1";
    let loss = SignedSquares::new(N, N_TILDE)?;
    let stream = seed_of(seed, 1, 0);
    let draws = ensemble(&loss, DRAWS, stream, stop, NAME)?;
    let spectrum = Spectrum::from_multiplicities(&loss.curvatures())?;
    let sampled = spectrum.saddle_probability(SPECTRUM_DRAWS, stream);
    check_stop(stop, NAME)?;

    let eigen = Axis::symmetric(1.0, 41)?;
    let random = Axis::symmetric(0.05, 41)?;
    let (up, down) = (|which| axis(&loss, 1.0, which), |which| axis(&loss, -1.0, which));
    // The random plane is the first of the 10,000.
    let (eta, delta) = (Direction::random(loss.dim(), stream, 0)?, Direction::random(loss.dim(), stream, 1)?);
    let panels = [
        ("eigenvectors of κ = 1 and κ = −1: a saddle", up(0)?, down(0)?, eigen),
        ("eigenvectors of κ = 1 and κ = 1: a minimum", up(0)?, up(1)?, eigen),
        ("eigenvectors of κ = −1 and κ = −1: a maximum", down(0)?, down(1)?, eigen),
        (random_title(&draws), eta, delta, random),
    ];
    let mut figure = Figure::new(
        "figure-1",
        "One saddle, four faces",
        format!(
            "$L(\\theta^* + \\alpha\\eta + \\beta\\delta)$ of loss (2.28) with $n$ = {N}, ñ = {N_TILDE} (N = {}), at the same \
             critical point in four planes. (a–c) Unit eigenvectors of the Hessian. (d) Random directions with components \
             from N(0, 1), seed {seed}. The point has {} positive and {} negative curvatures; of {DRAWS} random planes only \
             {:.2} % show a saddle.",
            loss.dim(),
            N_TILDE,
            loss.index(),
            100.0 * draws.fraction(PlaneShape::Saddle).value(),
        ),
    )
    .columns(2);
    for (title, u, v, axis) in panels {
        let plane = Plane::new(loss.critical_point(), u, v)?;
        let mut surface = Surface3d::new(surface_grid(&surface(&loss, &plane, axis, stop)?));
        surface.palette = Palette::Sequential;
        surface.levels = Levels::Auto(8);
        figure = figure.panel(title, surface);
    }
    Ok(FigureResult { number: 1, figure, numbers: numbers(&loss, &draws, Measured::from(sampled)) })
}

fn axis(loss: &SignedSquares, sign: f64, which: usize) -> Result<Direction, PaperError> {
    let vector = if sign > 0.0 { loss.positive_axis(which) } else { loss.negative_axis(which) };
    let origin = Origin::Eigenvector { value: sign, residual: 0.0, converged: true };
    Ok(Direction::new(vector.unwrap_or_default(), origin)?.unit())
}

fn random_title(draws: &PlaneEnsemble) -> &'static str {
    match draws.planes.first().map(|plane| plane.curvatures().shape()) {
        Some(PlaneShape::Minimum) => "random directions: an apparent minimum",
        Some(PlaneShape::Saddle) => "random directions: a saddle (rare)",
        _ => "random directions",
    }
}

fn surface(
    loss: &SignedSquares,
    plane: &Plane,
    axis: Axis,
    stop: &AtomicBool,
) -> Result<Surface, PaperError> {
    let outcome =
        evaluate_surface(plane, axis, axis, FinishedRows::default(), Threading::Spread, loss, &mut |row| {
            match check_stop(stop, "Figure 1") {
                Err(_) if row.index + 1 < row.total => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        })?;
    match outcome {
        SurfaceOutcome::Complete(surface) => Ok(surface),
        SurfaceOutcome::Stopped(_) => Err(PaperError::Stopped { figure: "Figure 1" }),
    }
}

fn numbers(loss: &SignedSquares, draws: &PlaneEnsemble, sampled: Measured) -> Vec<Comparison> {
    let exact = saddle_probability_of_two_levels(N_TILDE, 2 * N - N_TILDE);
    let counted = draws.fraction(PlaneShape::Saddle);
    let closed = saddle_probability_closed_form(loss.trace(), loss.trace_of_square());
    let row = |quantity: &str, printed: &str, ours, finding, remark: String| Comparison {
        place: "Fig. 1, Sec. 2.3.3".into(),
        quantity: quantity.into(),
        printed: printed.into(),
        exact,
        exact_source: "two Wishart matrices, integrated".into(),
        ours,
        finding,
        remark,
    };
    let p = exact.unwrap_or(f64::NAN);
    let distance = (0.005 - p) / (p / DRAWS as f64).sqrt();
    vec![
        row(
            "fraction of random planes with κ₊κ₋ < 0, 10,000 planes",
            "about 0.5 %",
            counted.into(),
            Finding::Differs,
            format!(
                "0.5 % of 10,000 planes is {distance:.1} standard errors above the exact {:.3} %; {} of our planes show \
                 a saddle",
                100.0 * p,
                counted.hits
            ),
        ),
        row(
            "the same, sampled from the spectrum, 2,000,000 planes",
            "",
            sampled,
            Finding::NotPrinted,
            "weighted χ² sums instead of vectors: the same distribution, a sharper count".into(),
        ),
        row(
            "the same by exp(−(tr H)²/(4 tr H²))/√2",
            "",
            Measured::exact(closed),
            Finding::NotPrinted,
            "the normal limit; off by a few percent of its value at this N".into(),
        ),
    ]
}
