use super::*;
use crate::CurvatureOperator;
use crate::analytic::{KnownCriticalPoint, Quadratic, Rosenbrock, SignedSquares};
use saddlescope_krylov::{Probes, TraceOptions, hutchinson};

fn go_on(_: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn fit(objective: &dyn KnownCriticalPoint, options: CurvatureFitOptions) -> CurvatureFit {
    fit_trace(objective, &objective.critical_point(), &options, &mut go_on).unwrap()
}

#[test]
fn figure_4_fits_agree_with_hutchinson_on_the_same_vectors_probe_by_probe() {
    for (n_tilde, trace) in [(500, 0.0), (800, 600.0)] {
        let loss = SignedSquares::new(500, n_tilde).unwrap();
        let probes = 200;
        let found = fit(
            &loss,
            CurvatureFitOptions { probes, seed: 4, threading: Threading::Spread, ..Default::default() },
        );
        let at = loss.at(&loss.critical_point(), 0).unwrap();
        let hessian = CurvatureOperator::hessian(&*at);
        let options = TraceOptions { max_products: probes, seed: 4, ..Default::default() };
        let reference = hutchinson(&hessian, Probes::Gaussian, &options, &mut ()).unwrap();
        for (a, b) in found.per_probe.iter().zip(&reference.per_probe) {
            // The cubic term α³ is orthogonal to parabolas on a symmetric interval. Rounding: losses up to about 1
            // with errors of 1000 ε, divided by α² = 0.0025.
            assert!((a - b).abs() < 1e-9, "{a} {b}");
        }
        // Standard error √(2 · 1000/200) = 3.2.
        assert!((found.trace.value - trace).abs() < 4.0 * found.trace.std_error, "{:?}", found.trace);
        assert!((found.trace.std_error / 10.0_f64.sqrt() - 1.0).abs() < 0.3);
        assert_eq!(found.evaluations, 200 * 21);
        // The cubic part is (0.05 η_N) α³ with what a line can follow taken away: a few percent.
        assert!(found.content.cubic > 0.001 && found.content.cubic < 0.05 && found.warning.is_none());
        assert!(found.content.quartic < 1e-9);
    }
}

#[test]
fn a_quadratic_gives_exact_curvatures_also_away_from_its_critical_point() {
    let quadratic = Quadratic::rotated(vec![5.0, -2.0, 1.0, 0.5], 3).unwrap();
    let theta = [10.0, -20.0, 5.0, 1.0];
    for interval in [
        FitInterval::Points { lo: -0.05, hi: 0.05, count: 3 },
        FitInterval::Points { lo: 0.1, hi: 0.9, count: 12 },
        FitInterval::FromCurvature { loss_change: 0.5, count: 9 },
    ] {
        let options = CurvatureFitOptions { probes: 20, interval, ..Default::default() };
        let found = fit_trace(&quadratic, &theta, &options, &mut go_on).unwrap();
        let at = quadratic.at(&theta, 0).unwrap();
        let hessian = CurvatureOperator::hessian(&*at);
        let options = TraceOptions { max_products: 20, ..Default::default() };
        let reference = hutchinson(&hessian, Probes::Gaussian, &options, &mut ()).unwrap();
        for (a, b) in found.per_probe.iter().zip(&reference.per_probe) {
            // Losses of a thousand with errors of ε, over α² = 0.0025 at worst.
            assert!((a - b).abs() < 1e-8, "{interval:?}: {a} {b}");
        }
        assert!(found.warning.is_none(), "{:?}", found.warning);
    }
}

#[test]
fn the_interval_from_curvature_changes_the_loss_as_asked() {
    for scale in [1e-6, 1.0, 1e6] {
        let quadratic = Quadratic::diagonal(vec![3.0 * scale, 2.0 * scale, scale]).unwrap();
        let interval = FitInterval::FromCurvature { loss_change: 0.01, count: 5 };
        let found = fit(&quadratic, CurvatureFitOptions { probes: 4, interval, ..Default::default() });
        let steepest = found.per_probe.iter().fold(0.0_f64, |m, k| m.max(k.abs()));
        let rise = 0.5 * steepest * found.axis.hi().powi(2);
        // κ along a line of a quadratic is exact: only rounding is left.
        assert!((rise / 0.01 - 1.0).abs() < 1e-6, "{rise}");
    }
}

#[test]
fn a_loss_that_is_no_parabola_on_the_interval_gets_a_warning() {
    let rosenbrock = Rosenbrock::new(4).unwrap();
    let wide = FitInterval::Points { lo: -1.0, hi: 1.0, count: 21 };
    let found = fit(&rosenbrock, CurvatureFitOptions { probes: 50, interval: wide, ..Default::default() });
    assert!(matches!(found.warning, Some(FitWarning::NotQuadratic { .. })), "{:?}", found.content);
    assert!(found.content.quartic > 0.1);
    // The residual holds all parts beyond the quadratic, and Rosenbrock's function has none beyond the quartic.
    let parts = found.content.cubic.hypot(found.content.quartic);
    assert!((found.content.residual / parts - 1.0).abs() < 1e-6);
    let narrow = FitInterval::Points { lo: -1e-3, hi: 1e-3, count: 21 };
    let found =
        fit(&rosenbrock, CurvatureFitOptions { probes: 4000, interval: narrow, ..Default::default() });
    assert!(found.warning.is_none());
    assert!((found.trace.value - rosenbrock.trace()).abs() < 4.0 * found.trace.std_error);
}

#[test]
fn values_that_are_not_finite_are_reported() {
    let quadratic = Quadratic::diagonal(vec![1e200, 1e200]).unwrap();
    let wide = FitInterval::Points { lo: -1e60, hi: 1e60, count: 5 };
    let found = fit(&quadratic, CurvatureFitOptions { probes: 3, interval: wide, ..Default::default() });
    assert!(matches!(found.warning, Some(FitWarning::NotFinite { lines: 3 })));
}

#[test]
fn fits_do_not_depend_on_threads_and_can_be_stopped() {
    let loss = SignedSquares::new(30, 40).unwrap();
    let run =
        |threading| fit(&loss, CurvatureFitOptions { probes: 300, seed: 1, threading, ..Default::default() });
    let reference = run(Threading::Sequential);
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| run(Threading::Spread)), reference);
    }
    let options = CurvatureFitOptions { probes: 300, seed: 1, ..Default::default() };
    let stopped = fit_trace(&loss, &loss.critical_point(), &options, &mut |done| {
        if done == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap();
    assert_eq!(stopped.per_probe, reference.per_probe[..7]);
}

#[test]
fn impossible_fits_are_refused() {
    let loss = SignedSquares::balanced(2).unwrap();
    let run = |theta: &[f64], interval| {
        let options = CurvatureFitOptions { interval, ..Default::default() };
        fit_trace(&loss, theta, &options, &mut go_on).unwrap_err()
    };
    let theta = loss.critical_point();
    let points = |lo, hi, count| FitInterval::Points { lo, hi, count };
    assert!(matches!(
        run(&theta[1..], points(-1.0, 1.0, 5)),
        CurvatureFitError::Risk(RiskError::Theta { .. })
    ));
    assert!(matches!(run(&theta, points(-1.0, 1.0, 2)), CurvatureFitError::Points { count: 2 }));
    assert!(matches!(run(&theta, points(1.0, -1.0, 5)), CurvatureFitError::Axis(_)));
    let auto = |loss_change| FitInterval::FromCurvature { loss_change, count: 5 };
    assert!(matches!(run(&theta, auto(-1.0)), CurvatureFitError::LossChange { .. }));
    let flat = Quadratic::diagonal(vec![0.0, 0.0]).unwrap();
    let options = CurvatureFitOptions { interval: auto(1.0), ..Default::default() };
    let error = fit_trace(&flat, &[0.0, 0.0], &options, &mut go_on).unwrap_err();
    assert!(matches!(error, CurvatureFitError::NoInterval { .. }));
}
