//! Critical points at known places, and the ways to them.

use std::path::Path;

use saddlescope_landscape::analysis::*;
use saddlescope_landscape::analytic::{Himmelblau, MonkeySaddle, Quadratic, SignedSquares};
use saddlescope_landscape::reading::CriticalKind;
use saddlescope_landscape::{FnRisk, Risk, SettleEnd, SettleOptions, settle};

fn selection() -> Selection {
    Selection {
        settle: Some(SettleOptions::default()),
        critical_spectrum: Some(CriticalSpectrumOptions::default()),
        ..Selection::nothing("settle")
    }
}

fn run(risk: &dyn Risk, theta: Vec<f64>, out: &Path) -> (SettleResult, Vec<f64>) {
    let found = analyze(&Subject::new("known", theta, risk), &selection(), None, out, &mut ()).unwrap();
    (found.results.settle.unwrap(), found.settled.unwrap())
}

/// Away from a point, but not far: fixed numbers without a pattern.
fn near(point: &[f64], by: f64) -> Vec<f64> {
    point.iter().enumerate().map(|(i, x)| x + by * (1.7 * i as f64 + 0.3).sin()).collect()
}

#[test]
fn the_papers_saddles_are_found_with_their_index() {
    // (2.23) is (2.28) with ñ = n. H = diag(1 ×ñ, −1 ×(2n − ñ), 0) at (0, …, 0, 1), and a multiple of it along the last axis.
    for (n, n_tilde) in [(20, 20), (20, 29)] {
        let temp = tempfile::tempdir().unwrap();
        let risk = SignedSquares::new(n, n_tilde).unwrap();
        let mut critical = vec![0.0; 2 * n + 1];
        critical[2 * n] = 1.0;
        let (found, theta) = run(&risk, near(&critical, 0.05), temp.path());
        assert_eq!(found.end, SettleEnd::Converged, "{}", found.message);
        assert!(found.gradient_norm[1] <= 1e-10);
        // The curvature is about 1, so that the gradient is the distance.
        assert!(theta[..2 * n].iter().all(|t| t.abs() < 2e-10));
        // The start was 0.05·√(N/2) or so away, and the way is not longer than that.
        assert!(found.distance < 0.06 * (2.0 * n as f64 + 1.0).sqrt(), "{}", found.distance);
        let spectrum = found.spectrum.unwrap();
        assert!(spectrum.whole);
        assert_eq!(
            (spectrum.negative, spectrum.zero, spectrum.positive),
            (2 * n - n_tilde, Some(1), n_tilde)
        );
        assert_eq!(found.kind, Some(CriticalKind::Saddle));
    }
}

#[test]
fn a_quadratic_takes_one_step_and_keeps_its_spectrum() {
    let temp = tempfile::tempdir().unwrap();
    let lambda: Vec<f64> = (0..30).map(|i| f64::from(i) * 0.3 - 2.05).collect();
    let center: Vec<f64> = near(&[0.0; 30], 1.0);
    let risk = Quadratic::rotated(lambda.clone(), 4).unwrap().centered_at(center.clone()).unwrap();
    let (found, theta) = run(&risk, near(&center, 0.01), temp.path());
    assert_eq!(found.end, SettleEnd::Converged);
    for (t, c) in theta.iter().zip(&center) {
        // |λ| ≥ 0.05: a gradient of 1e-10 leaves 2e-9.
        assert!((t - c).abs() < 4e-9);
    }
    let spectrum = found.spectrum.unwrap();
    assert_eq!((spectrum.negative, spectrum.zero, spectrum.positive), (7, Some(0), 23));
    for (found, exact) in spectrum.eigenvalues.iter().zip(&lambda) {
        assert!((found - exact).abs() < 1e-12);
    }
    // What the gradient loses the model knows: no step is refused.
    assert!(found.steps.iter().all(|s| s.refused == 0));
}

#[test]
fn the_figure_of_the_spectrum_shows_every_eigenvalue() {
    let temp = tempfile::tempdir().unwrap();
    let lambda = vec![1e3, 1.0, 1e-9, -2.0];
    let risk = Quadratic::diagonal(lambda).unwrap();
    let (found, _) = run(&risk, vec![1e-3, -1e-3, 0.0, 1e-3], temp.path());
    assert_eq!(found.end, SettleEnd::Converged);
    let text = std::fs::read_to_string(temp.path().join("figures/settled-spectrum.json")).unwrap();
    let figure: serde_json::Value = serde_json::from_str(&text).unwrap();
    let spectrum = found.spectrum.unwrap();
    let shown = spectrum.eigenvalues.iter().map(|x| x.abs()).filter(|x| *x > spectrum.threshold);
    let least = shown.chain([spectrum.threshold]).fold(f64::INFINITY, f64::min);
    let ranges: Vec<&str> = text.split("\"range\"").collect();
    assert!(ranges.len() > 1, "{figure:#}");
    let range = ranges[1].split(['[', ',', ']']).nth(1).unwrap().trim().parse::<f64>().unwrap();
    assert!(range < least, "{range} {least}");
}

#[test]
fn a_saddle_is_not_left_for_a_minimum() {
    let temp = tempfile::tempdir().unwrap();
    // One of the four saddles of Himmelblau's function, to six digits.
    let saddle = [0.086_678, 2.884_255];
    let (found, theta) = run(&Himmelblau::new(), vec![saddle[0] + 0.1, saddle[1] + 0.1], temp.path());
    assert_eq!((found.end, found.kind), (SettleEnd::Converged, Some(CriticalKind::Saddle)));
    assert!((theta[0] - saddle[0]).abs() < 1e-5 && (theta[1] - saddle[1]).abs() < 1e-5, "{theta:?}");
    assert_eq!(found.spectrum.unwrap().negative, 1);
}

#[test]
fn the_monkey_saddle_is_found_and_not_decided() {
    let temp = tempfile::tempdir().unwrap();
    // Newton's method halves the distance at each step, since H vanishes with it: the curvatures ±6r left over at
    // r = 6e-6 are no curvatures of the critical point, and must not be taken for them.
    let (found, theta) = run(&MonkeySaddle::new(), vec![0.4, -0.3], temp.path());
    assert_eq!(found.end, SettleEnd::Converged, "{}", found.message);
    assert!(theta.iter().all(|t| t.abs() < 1e-5), "{theta:?}");
    assert_eq!(found.kind, Some(CriticalKind::Degenerate), "{:?}", found.spectrum);
}

#[test]
fn no_critical_point_is_made_up() {
    let options = SettleOptions::default();
    // g = x² + 1 has its smallest value 1 at x = 0, where H = 0.
    let flat = FnRisk::new(1, |t| t[0].powi(3) / 3.0 + t[0])
        .with_gradient(|t, g| g[0] = t[0] * t[0] + 1.0)
        .with_hessian(|t, v, hv| hv[0] = 2.0 * t[0] * v[0]);
    let found = settle(&flat, &[0.5], &options, &mut |_| Ok(())).unwrap();
    assert!(matches!(found.end, Some(SettleEnd::GradientFlat | SettleEnd::Stalled)), "{:?}", found.end);
    assert!((found.gradient_norm() - 1.0).abs() < 1e-3);
    // A kink: the gradient is ±1 beside it, and the Hessian does not know.
    let kink = FnRisk::new(2, |t| (t[0] - 0.3).abs() + 0.05 * t[0] * t[0] + t[1] * t[1])
        .with_gradient(|t, g| g.copy_from_slice(&[(t[0] - 0.3).signum() + 0.1 * t[0], 2.0 * t[1]]))
        .with_hessian(|_, v, hv| hv.copy_from_slice(&[0.1 * v[0], 2.0 * v[1]]));
    let found = settle(&kink, &[0.5, 1.0], &options, &mut |_| Ok(())).unwrap();
    assert!(matches!(found.end, Some(SettleEnd::Stalled)), "{:?}", found.end);
    assert!((found.theta[0] - 0.3).abs() < 1e-6 && found.gradient_norm() > 0.9, "{:?}", found.theta);
}

#[test]
fn where_the_hessian_vanishes_it_is_said_so() {
    // A slope without curvature, as a saturated network has it: nothing tells where its zero might be.
    let bent = |level: f64, curvature: f64| {
        FnRisk::new(3, move |t| level * t[0] + 1.0)
            .with_gradient(move |_, g| g.copy_from_slice(&[level, 0.0, 0.0]))
            .with_hessian(move |_, v, hv| hv.iter_mut().zip(v).for_each(|(h, v)| *h = curvature * v))
    };
    let slope = |level: f64| bent(level, 0.0);
    for start in [[0.0; 3], [2.0, -1.0, 1e3]] {
        // What is left of saturated units' derivatives is no curvature either.
        for curvature in [0.0, 1e-55] {
            let risk = bent(0.5, curvature);
            let found = settle(&risk, &start, &SettleOptions::default(), &mut |_| Ok(())).unwrap();
            assert_eq!(found.end, Some(SettleEnd::HessianVanishes));
            assert_eq!(found.theta, start);
        }
    }
    let temp = tempfile::tempdir().unwrap();
    let (found, _) = run(&slope(0.5), vec![0.5; 3], temp.path());
    assert_eq!((found.end, found.kind), (SettleEnd::HessianVanishes, None));
    let text = found.sentences().join(" ");
    assert!(text.contains("degenerate: the Hessian vanishes here") && !text.contains("minimum"), "{text}");
    // Without the slope the point is critical, and of no kind that second derivatives know: with all eigenvalues or the extreme ones.
    for whole_up_to in [10, 0] {
        let spectrum = CriticalSpectrumOptions { whole_up_to, largest: 1, smallest: 1, ..Default::default() };
        let selection = Selection { critical_spectrum: Some(spectrum), ..selection() };
        let temp = tempfile::tempdir().unwrap();
        let flat = slope(0.0);
        let subject = Subject::new("flat", vec![0.5; 3], &flat);
        let found = analyze(&subject, &selection, None, temp.path(), &mut ()).unwrap();
        let found = found.results.settle.unwrap();
        assert_eq!((found.end, found.kind), (SettleEnd::Converged, Some(CriticalKind::Degenerate)));
        let text = found.sentences().join(" ");
        assert!(text.contains("It is degenerate: the Hessian vanishes here"), "{text}");
    }
    // H g = 0 alone is another thing: here H has a curvature across the gradient.
    let valley = FnRisk::new(2, |t| t[0] + t[1] * t[1])
        .with_gradient(|t, g| g.copy_from_slice(&[1.0, 2.0 * t[1]]))
        .with_hessian(|_, v, hv| hv.copy_from_slice(&[0.0, 2.0 * v[1]]));
    let found = settle(&valley, &[0.3, 0.0], &SettleOptions::default(), &mut |_| Ok(())).unwrap();
    assert_eq!(found.end, Some(SettleEnd::GradientFlat));
}

#[test]
fn downhill_leads_to_a_minimum_from_where_no_critical_point_is_reached() {
    // ∂L/∂x = (x + 2)(x² + 0.01): |∂L/∂x| has a minimum near 0 that is no zero, and the only critical point lies at x = −2.
    let fold = FnRisk::new(2, |t| {
        let x = t[0];
        x.powi(4) / 4.0 + 2.0 * x.powi(3) / 3.0 + 0.005 * x * x + 0.02 * x + 0.5 * t[1] * t[1]
    })
    .with_gradient(|t, g| g.copy_from_slice(&[(t[0] + 2.0) * (t[0] * t[0] + 0.01), t[1]]))
    .with_hessian(|t, v, hv| {
        let x = t[0];
        hv.copy_from_slice(&[(x * x + 0.01 + 2.0 * x * (x + 2.0)) * v[0], v[1]]);
    });
    let to_zero = SettleOptions::default();
    let found = settle(&fold, &[0.5, 0.3], &to_zero, &mut |_| Ok(())).unwrap();
    assert!(matches!(found.end, Some(SettleEnd::GradientFlat | SettleEnd::Stalled)), "{:?}", found.end);
    let down = SettleOptions { downhill: true, ..to_zero.clone() };
    let found = settle(&fold, &[0.5, 0.3], &down, &mut |_| Ok(())).unwrap();
    assert_eq!(found.end, Some(SettleEnd::Converged), "{:?}", found.steps.last());
    assert!((found.theta[0] + 2.0).abs() < 1e-9 && found.theta[1].abs() < 1e-9, "{:?}", found.theta);
    assert!(found.steps.windows(2).all(|w| w[1].loss <= w[0].loss + 1e-12), "{:?}", found.steps);

    // Two wells with a saddle between: from beside the saddle one way leads to it, the other to a well.
    let wells = FnRisk::new(2, |t| 0.25 * (t[0] * t[0] - 1.0).powi(2) + 0.5 * t[1] * t[1])
        .with_gradient(|t, g| g.copy_from_slice(&[t[0] * (t[0] * t[0] - 1.0), t[1]]))
        .with_hessian(|t, v, hv| hv.copy_from_slice(&[(3.0 * t[0] * t[0] - 1.0) * v[0], v[1]]));
    let found = settle(&wells, &[0.05, 0.3], &to_zero, &mut |_| Ok(())).unwrap();
    assert!(found.end == Some(SettleEnd::Converged) && found.theta[0].abs() < 1e-9, "{:?}", found.theta);
    let found = settle(&wells, &[0.05, 0.3], &down, &mut |_| Ok(())).unwrap();
    assert!(
        found.end == Some(SettleEnd::Converged) && (found.theta[0] - 1.0).abs() < 1e-9,
        "{:?}",
        found.theta
    );
}

#[test]
fn a_gradient_that_fades_to_infinity_is_no_critical_point() {
    // Logistic loss of data that are separated: L = ln(1 + e^{−x}) has no critical point, and g falls by e with each step.
    let sigmoid = |x: f64| 1.0 / (1.0 + x.exp());
    let risk = FnRisk::new(1, |t| (-t[0]).exp().ln_1p())
        .with_gradient(move |t, g| g[0] = -sigmoid(t[0]))
        .with_hessian(move |t, v, hv| hv[0] = sigmoid(t[0]) * (1.0 - sigmoid(t[0])) * v[0]);
    let found = settle(&risk, &[0.5], &SettleOptions::default(), &mut |_| Ok(())).unwrap();
    assert_eq!(found.end, Some(SettleEnd::Receding), "{:?}", found.steps.last());
    assert!(found.gradient_norm() <= 1e-10 && found.theta[0] > 20.0);
}

#[test]
fn budgets_and_numbers_that_are_none_end_the_way() {
    let risk = SignedSquares::new(20, 29).unwrap();
    let options = SettleOptions { max_products: 3, ..SettleOptions::default() };
    let found = settle(&risk, &near(&[0.5; 41], 0.3), &options, &mut |_| Ok(())).unwrap();
    assert_eq!(found.end, Some(SettleEnd::Budget));
    assert!(found.products <= 3);
    let nan = FnRisk::new(1, |_| f64::NAN)
        .with_gradient(|_, g| g[0] = f64::NAN)
        .with_hessian(|_, _, hv| hv[0] = f64::NAN);
    let found = settle(&nan, &[0.0], &SettleOptions::default(), &mut |_| Ok(())).unwrap();
    assert_eq!(found.end, Some(SettleEnd::NotFinite));
    let error = settle(&risk, &[0.0; 3], &SettleOptions::default(), &mut |_| Ok(())).unwrap_err();
    assert!(error.to_string().contains("41"), "{error}");
}

/// Stops after so many steps of progress.
struct Stopping(usize);

impl Monitor for Stopping {
    fn begin(&mut self, _: &str, _: Option<u64>) {}
    fn advance(&mut self, _: u64, _: &str) {
        self.0 = self.0.saturating_sub(1);
    }
    fn end(&mut self, _: &str) {}
    fn note(&mut self, _: &str) {}
    fn cancelled(&self) -> bool {
        self.0 == 0
    }
}

#[test]
fn a_way_that_was_stopped_goes_on_to_the_same_bits() {
    let risk = SignedSquares::new(20, 29).unwrap();
    let start = near(&[0.4; 41], 0.3);
    let subject = || Subject::new("known", start.clone(), &risk);
    let straight = tempfile::tempdir().unwrap();
    let whole = analyze(&subject(), &selection(), None, straight.path(), &mut ()).unwrap();
    let stopped = tempfile::tempdir().unwrap();
    let mut stops = 0;
    let found = loop {
        // Each run gets a little further than the one before.
        match analyze(&subject(), &selection(), None, stopped.path(), &mut Stopping(3 + 2 * stops)) {
            Ok(found) => break found,
            Err(AnalysisError::Cancelled) => stops += 1,
            Err(other) => panic!("{other}"),
        }
    };
    assert!(stops > 3);
    let bits = |v: &Option<Vec<f64>>| v.iter().flatten().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&found.settled), bits(&whole.settled));
    assert_eq!(found.results.settle, whole.results.settle);
}

#[test]
fn single_precision_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let risk = FnRisk::new(1, |t| t[0] * t[0])
        .with_gradient(|t, g| g[0] = 2.0 * t[0])
        .with_hessian(|_, v, hv| hv[0] = 2.0 * v[0])
        .with_precision(saddlescope_krylov::Precision::F32);
    let subject = Subject::new("single", vec![1.0], &risk);
    let Err(error) = analyze(&subject, &selection(), None, temp.path(), &mut ()) else { panic!("accepted") };
    assert!(error.to_string().contains("f64"), "{error}");
}
