//! Figure 4: running trace estimates, by Hutchinson's products and by parabolas fitted to function values, on the same
//! vectors.

use super::{Comparison, FigureResult, Finding, Measured, PaperError, check_stop, seed_of, unless};
use saddlescope_figure::{Axis, ColorRole, Figure, LineStyle, Lines, Reference, Series};
use saddlescope_krylov::{Estimate, Probes, TraceOptions, hutchinson};
use saddlescope_landscape::analytic::{KnownCriticalPoint, SignedSquares};
use saddlescope_landscape::projection::{log_spaced, running_estimates};
use saddlescope_landscape::{CurvatureFit, CurvatureFitOptions, FitInterval, fit_trace};
use saddlescope_landscape::{CurvatureOperator, Risk, Threading};
use std::sync::atomic::AtomicBool;

/// Largest number of random vectors.
const PROBES: usize = 10_000;
/// The paper's interval α ∈ [−0.05, 0.05], and our number of points on it.
const INTERVAL: FitInterval = FitInterval::Points { lo: -0.05, hi: 0.05, count: 21 };

pub(super) fn make(seed: u64, stop: &AtomicBool) -> Result<FigureResult, PaperError> {
    let losses =
        [("(2.23)", SignedSquares::balanced(500)?, "0"), ("(2.28)", SignedSquares::new(500, 800)?, "600")];
    let mut figure = Figure::new(
        "figure-4",
        "The trace with and without Hessian products",
        format!(
            "Running estimates of tr H over random Gaussian vectors: Hutchinson's $z^T H z$ (2.22), and the curvature of \
             parabolas fitted by least squares to $L(\\theta^* + \\alpha\\eta)$ at 21 points of $\\alpha \\in [-0.05, 0.05]$, \
             with a band of one standard error. Both use the same vectors, so the lines coincide. (a) Loss (2.23); (b) loss \
             (2.28), $n$ = 500, ñ = 800. Dashed: the true traces 0 and 600. Seed {seed}."
        ),
    )
    .columns(2);
    let mut numbers = Vec::new();
    for (part, (name, loss, printed)) in losses.iter().enumerate() {
        let seed = seed_of(seed, 4, part as u64);
        let point = loss.at(&loss.critical_point(), 0)?;
        let hessian = CurvatureOperator::hessian(&*point);
        let options = TraceOptions { max_products: PROBES, seed, ..Default::default() };
        let products = hutchinson(&hessian, Probes::Gaussian, &options, &mut ())?;
        check_stop(stop, "Figure 4")?;
        let options = CurvatureFitOptions {
            probes: PROBES,
            seed,
            interval: INTERVAL,
            threading: Threading::Spread,
            ..Default::default()
        };
        let fits = fit_trace(loss, &loss.critical_point(), &options, &mut unless(stop))?;
        check_stop(stop, "Figure 4")?;
        figure = figure.panel(format!("loss {name}"), panel(&products.per_probe, &fits, loss.trace()));
        numbers.extend(rows(name, printed, loss.trace(), products.trace.into(), &products.per_probe, &fits));
    }
    Ok(FigureResult { number: 4, figure, numbers })
}

fn panel(products: &[f64], fits: &CurvatureFit, trace: f64) -> Lines {
    let at: Vec<usize> = log_spaced(PROBES, 40).into_iter().filter(|&s| s >= 10).collect();
    let line = |label: &str, estimates: &[Estimate], color, style| {
        let x = estimates.iter().map(|e| e.samples as f64).collect();
        let y = estimates.iter().map(|e| e.value).collect();
        Series::new(label, x, y, color).style(style)
    };
    let (by_products, by_fits) = (running_estimates(products, &at), running_estimates(&fits.per_probe, &at));
    // One band serves both lines: they are the same to rounding.
    let band = by_products.iter().map(|e| e.std_error).collect();
    Lines {
        x: Axis::log("number of random vectors").range(10.0, PROBES as f64),
        y: Axis::linear("estimate of tr $H$"),
        series: vec![
            line("Hutchinson", &by_products, ColorRole::First, LineStyle::Solid).std_error(band),
            line("curvature fits", &by_fits, ColorRole::Second, LineStyle::DashDot),
        ],
        references: vec![Reference::horizontal(trace, "tr $H$")],
    }
}

fn rows(
    name: &str,
    printed: &str,
    trace: f64,
    products: Measured,
    per_product: &[f64],
    fits: &CurvatureFit,
) -> Vec<Comparison> {
    let apart = per_product
        .iter()
        .zip(&fits.per_probe)
        .fold(0.0_f64, |largest, (a, b)| if b.is_nan() { f64::NAN } else { largest.max((a - b).abs()) });
    let warning = match &fits.warning {
        None => format!(
            "what is not a parabola there has {:.1} % of its amplitude",
            100.0 * fits.content.residual
        ),
        Some(warning) => warning.to_string(),
    };
    let row = |quantity: String, ours, remark: String| Comparison {
        place: "Fig. 4, Sec. 2.3.2".into(),
        quantity,
        printed: printed.into(),
        exact: Some(trace),
        exact_source: String::new(),
        ours,
        finding: Finding::Agrees,
        remark,
    };
    vec![
        row(format!("tr H of loss {name}, Hutchinson"), products, "(2.22), Gaussian vectors".into()),
        row(
            format!("tr H of loss {name}, curvature fits"),
            fits.trace.into(),
            format!("function values only; vector by vector within {apart:.0e} of Hutchinson; {warning}"),
        ),
    ]
}
