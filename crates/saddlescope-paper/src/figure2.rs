//! Figure 2: ensemble averages of Hessian components and principal curvatures against the number of draws.

use super::{Comparison, FigureResult, Finding, Measured, PaperError, ensemble, seed_of};
use saddlescope_figure::{Axis, ColorRole, Figure, LineStyle, Lines, Reference, Series};
use saddlescope_krylov::Estimate;
use saddlescope_landscape::analytic::{KnownCriticalPoint, SignedSquares};
use saddlescope_landscape::projection::{RunningMeans, log_spaced, running_means};
use std::sync::atomic::AtomicBool;

/// Largest number of draws S.
const DRAWS: usize = 10_000;

pub(super) fn make(seed: u64, stop: &AtomicBool) -> Result<FigureResult, PaperError> {
    let losses =
        [("(2.23)", SignedSquares::balanced(500)?, "0"), ("(2.28)", SignedSquares::new(500, 800)?, "600")];
    let mut figure = Figure::new(
        "figure-2",
        "Averaging before or after taking curvatures",
        format!(
            "Ensemble averages (2.25) over S random planes, with bands of one standard error. (a, b) Loss (2.23), $n$ = 500; \
             (c, d) loss (2.28), $n$ = 500, ñ = 800. (a, c) Components of the projected Hessian (2.15); (b, d) averaged \
             principal curvatures $\\langle\\kappa_\\pm\\rangle$ and the curvatures $\\tilde\\kappa_\\pm$ of the averaged Hessian \
             (2.26). Dashed: tr H. $\\tilde\\kappa_\\pm$ tend to tr H; $\\langle\\kappa_\\pm\\rangle$ do not. Seed {seed}."
        ),
    )
    .columns(2);
    let mut numbers = Vec::new();
    for (part, (name, loss, printed)) in losses.iter().enumerate() {
        let draws = ensemble(loss, DRAWS, seed_of(seed, 2, part as u64), stop, "Figure 2")?;
        let means = running_means(&draws.planes, &log_spaced(DRAWS, 40));
        figure = figure
            .panel(format!("loss {name}: Hessian components"), components(&means, loss.trace()))
            .panel(format!("loss {name}: principal curvatures"), curvatures(&means, loss.trace()));
        numbers.extend(rows(name, printed, loss, &means));
    }
    Ok(FigureResult { number: 2, figure, numbers })
}

fn components(means: &RunningMeans, trace: f64) -> Lines {
    let series = vec![
        line("$\\langle A\\rangle$", means, &means.a, ColorRole::First, LineStyle::Solid),
        line("$\\langle B\\rangle$", means, &means.b, ColorRole::Second, LineStyle::Solid),
        line("$\\langle C\\rangle$", means, &means.c, ColorRole::Third, LineStyle::DashDot),
    ];
    panel("average component", series, trace)
}

fn curvatures(means: &RunningMeans, trace: f64) -> Lines {
    let (first, second) = (ColorRole::First, ColorRole::Second);
    let series = vec![
        line("$\\langle\\kappa_+\\rangle$", means, &means.kappa_plus, first, LineStyle::Solid),
        line("$\\langle\\kappa_-\\rangle$", means, &means.kappa_minus, first, LineStyle::DashDot),
        line("$\\tilde\\kappa_+$", means, &means.kappa_tilde_plus, second, LineStyle::Solid),
        line("$\\tilde\\kappa_-$", means, &means.kappa_tilde_minus, second, LineStyle::DashDot),
    ];
    panel("average curvature", series, trace)
}

/// A series from ten draws on: with fewer, an error band says nothing.
fn line(
    label: &str,
    means: &RunningMeans,
    values: &[Estimate],
    color: ColorRole,
    style: LineStyle,
) -> Series {
    let kept: Vec<(f64, &Estimate)> =
        means.draws.iter().map(|&s| s as f64).zip(values).filter(|(s, _)| *s >= 10.0).collect();
    let x = kept.iter().map(|(s, _)| *s).collect();
    let y = kept.iter().map(|(_, e)| e.value).collect();
    Series::new(label, x, y, color).style(style).std_error(kept.iter().map(|(_, e)| e.std_error).collect())
}

fn panel(y_label: &str, series: Vec<Series>, trace: f64) -> Lines {
    Lines {
        x: Axis::log("number of random planes $S$").range(10.0, DRAWS as f64),
        y: Axis::linear(y_label),
        series,
        references: vec![Reference::horizontal(trace, "tr $H$")],
    }
}

fn rows(name: &str, printed: &str, loss: &SignedSquares, means: &RunningMeans) -> Vec<Comparison> {
    let trace = loss.trace();
    let last =
        |values: &[Estimate]| Measured::from(values.last().copied().unwrap_or(Estimate::from_samples(&[])));
    // E κ± = tr H ± √(π/2) √(tr H²): (A + C)/2 plus or minus a Rayleigh distributed radius of scale √(tr H²).
    let gap = (std::f64::consts::FRAC_PI_2 * loss.trace_of_square()).sqrt();
    let row =
        |quantity: String, printed: &str, exact, source: &str, ours, finding, remark: &str| Comparison {
            place: "Fig. 2".into(),
            quantity,
            printed: printed.into(),
            exact: Some(exact),
            exact_source: source.into(),
            ours,
            finding,
            remark: remark.into(),
        };
    let (a, plus, minus) = (last(&means.a), last(&means.kappa_plus), last(&means.kappa_minus));
    let tilde = last(&means.kappa_tilde_plus);
    let repel =
        "the limit; at finite S the two averaged eigenvalues repel, by up to √(π tr H²/2S) = 0.4 here";
    vec![
        row(format!("⟨A⟩ of loss {name} → tr H"), printed, trace, "", a, Finding::Agrees, "(2.17)"),
        row(format!("κ̃₊ of loss {name} → tr H"), printed, trace, "", tilde, Finding::Agrees, repel),
        row(
            format!("⟨κ₊⟩ of loss {name}"),
            "",
            trace + gap,
            "normal limit",
            plus,
            Finding::NotPrinted,
            "does not tend to tr H",
        ),
        row(
            format!("⟨κ₋⟩ of loss {name}"),
            "",
            trace - gap,
            "normal limit",
            minus,
            Finding::NotPrinted,
            "does not tend to tr H",
        ),
    ]
}
