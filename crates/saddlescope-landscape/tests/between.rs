//! Between points: known answers, bad input, resuming.

mod two_halves;

use std::sync::atomic::{AtomicUsize, Ordering};

use saddlescope_landscape::analysis::{AnalysisError, EigenpairOptions, Split};
use saddlescope_landscape::between::{
    BetweenError, CompareOptions, CurveOptions, Member, ModelLosses, PathOptions, TrajectoryOptions,
    TrajectoryResults, Weights, compare, path, trajectory,
};
use saddlescope_landscape::{Evaluation, FnRisk, Risk};

/// L(x, y) = (x² − 1)² + ½ (2 + x) y²: minima at (±1, 0) with Hessians diag(8, 3) and diag(8, 1); the barrier between them is
/// L(0, 0) = 1.
fn two_basins(products: &AtomicUsize) -> FnRisk<'_> {
    FnRisk::new(2, |t| (t[0] * t[0] - 1.0).powi(2) + 0.5 * (2.0 + t[0]) * t[1] * t[1])
        .with_gradient(|t, g| {
            g[0] = 4.0 * t[0] * (t[0] * t[0] - 1.0) + 0.5 * t[1] * t[1];
            g[1] = (2.0 + t[0]) * t[1];
        })
        .with_hessian(move |t, v, hv| {
            products.fetch_add(1, Ordering::Relaxed);
            hv[0] = (12.0 * t[0] * t[0] - 4.0) * v[0] + t[1] * v[1];
            hv[1] = t[1] * v[0] + (2.0 + t[0]) * v[1];
        })
        // Products are counted; without an identity each run makes one to tell the function from others.
        .with_identity("function", "two basins")
}

fn members<'a>(losses: &'a ModelLosses<'a>, points: &[(&str, Vec<f64>)]) -> Vec<Member<'a>> {
    let member = |(name, theta): &(&str, Vec<f64>)| Member {
        losses,
        weights: Weights::new(*name, theta.clone(), losses.main.risk),
    };
    points.iter().map(member).collect()
}

fn pairs() -> EigenpairOptions {
    EigenpairOptions { largest: 1, smallest: 1, ..EigenpairOptions::within(1e-10) }
}

fn compare_options() -> CompareOptions {
    CompareOptions { eigenpairs: pairs(), probes: 4, grid: 5, ..CompareOptions::default() }
}

#[test]
fn two_minima_with_known_spectra_side_by_side() {
    let products = AtomicUsize::new(0);
    let risk = two_basins(&products);
    let losses = ModelLosses::new("two basins", &risk);
    let points = [("left", vec![-1.0, 0.0]), ("right", vec![1.0, 0.0])];
    let dir = tempfile::tempdir().unwrap();
    let found = compare(&members(&losses, &points), &compare_options(), None, dir.path(), &mut ()).unwrap();
    for (point, smallest) in found.points.iter().zip([1.0, 3.0]) {
        let side = point.main().unwrap();
        // Rounding of a 2 × 2 solve in f64.
        assert!((side.lambda_max.as_ref().unwrap().value - 8.0).abs() < 1e-12);
        assert!((side.lambda_min.as_ref().unwrap().value - smallest).abs() < 1e-12);
        assert_eq!(side.loss.value, 0.0);
        assert_eq!(side.gradient_norm, Some(0.0));
        // A plain function has no samples, so no error over them.
        assert_eq!(side.loss.std_error, None);
    }
    let pair = &found.pairs[0];
    assert_eq!((pair.distance, pair.cosine), (2.0, -1.0));
    // Both largest eigenvectors are e₁.
    assert!((pair.largest.as_ref().unwrap().cosines[0] - 1.0).abs() < 1e-12);
    assert!(found.plane.is_some());
    for file in ["compare/report.html", "compare/results.json", "points/left/train/results.json"] {
        assert!(dir.path().join(file).exists(), "{file}");
    }
    // Again: nothing is computed, and the numbers are the same.
    let before = products.load(Ordering::Relaxed);
    let again = compare(&members(&losses, &points), &compare_options(), None, dir.path(), &mut ()).unwrap();
    assert_eq!(products.load(Ordering::Relaxed), before);
    assert_eq!(again, found);
}

#[test]
fn weights_of_two_models_are_compared_by_table_only() {
    let products = AtomicUsize::new(0);
    let risk = two_basins(&products);
    let other = FnRisk::new(3, |t| t.iter().map(|x| x * x).sum())
        .with_gradient(|t, g| g.iter_mut().zip(t).for_each(|(g, t)| *g = 2.0 * t))
        .with_hessian(|_, v, hv| hv.iter_mut().zip(v).for_each(|(h, v)| *h = 2.0 * v));
    let (a, b) = (ModelLosses::new("two basins", &risk), ModelLosses::new("bowl", &other));
    let mut both = members(&a, &[("left", vec![-1.0, 0.0])]);
    both.extend(members(&b, &[("bottom", vec![0.0; 3])]));
    let dir = tempfile::tempdir().unwrap();
    let found = compare(&both, &compare_options(), None, dir.path(), &mut ()).unwrap();
    assert!(found.pairs.is_empty() && found.plane.is_none());
    assert!(found.left_out[0].contains("two basins") && found.left_out[0].contains("bowl"));
    assert!((found.points[1].main().unwrap().lambda_max.as_ref().unwrap().value - 2.0).abs() < 1e-12);
    // A path needs one model.
    let both: [Member<'_>; 2] = both.try_into().ok().unwrap();
    let error = path(&both, &PathOptions::default(), None, dir.path(), &mut ()).unwrap_err();
    assert!(matches!(error, AnalysisError::Between(BetweenError::Models { .. })), "{error}");
}

#[test]
fn the_barrier_of_two_basins() {
    let products = AtomicUsize::new(0);
    let risk = two_basins(&products);
    let losses = ModelLosses::new("two basins", &risk);
    let points = members(&losses, &[("left", vec![-1.0, 0.0]), ("right", vec![1.0, 0.0])]);
    let both: [Member<'_>; 2] = points.try_into().ok().unwrap();
    let options = PathOptions {
        points: 9,
        eigenpairs: Some(pairs()),
        probes: 4,
        curve: None,
        ..PathOptions::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let found = path(&both, &options, None, dir.path(), &mut ()).unwrap();
    let side = &found.ways[0].sides[0];
    assert_eq!((side.barrier.height, side.barrier.at), (1.0, 0.5));
    // On the line x runs from −1 to 1: L = (x² − 1)².
    for (t, m) in found.ways[0].t.iter().zip(&side.loss) {
        let x = 2.0 * t - 1.0;
        assert!((m.value - (x * x - 1.0).powi(2)).abs() < 1e-15);
    }
    // Curvature at the top: diag(−4, 2).
    assert_eq!(found.points[1].name, "highest point (t = 0.50)");
    let top = found.points[1].main().unwrap();
    assert!((top.lambda_min.as_ref().unwrap().value + 4.0).abs() < 1e-12);
    assert!((top.lambda_max.as_ref().unwrap().value - 2.0).abs() < 1e-12);
    assert!(found.left_out[0].contains("not known which units"));
    assert!(dir.path().join("path-left-right/report.html").exists());
}

#[test]
fn a_curve_goes_round_the_barrier_of_a_ring() {
    // L = (x² + y² − 1)²: a valley along the unit circle. The ends are 160° apart; the line between them passes the centre at
    // cos 80° = 0.17.
    let risk = FnRisk::new(2, |t| (t[0] * t[0] + t[1] * t[1] - 1.0).powi(2)).with_gradient(|t, g| {
        let f = 4.0 * (t[0] * t[0] + t[1] * t[1] - 1.0);
        g[0] = f * t[0];
        g[1] = f * t[1];
    });
    let losses = ModelLosses::new("ring", &risk);
    let at = |degrees: f64| vec![degrees.to_radians().cos(), degrees.to_radians().sin()];
    let points = members(&losses, &[("a", at(10.0)), ("b", at(170.0))]);
    let both: [Member<'_>; 2] = points.try_into().ok().unwrap();
    let options = PathOptions {
        points: 41,
        eigenpairs: None,
        align: false,
        curve: Some(CurveOptions { steps: 400, rate: 0.02 }),
        ..PathOptions::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let found = path(&both, &options, None, dir.path(), &mut ()).unwrap();
    let [line, curve] = &found.ways[..] else { panic!("{:?}", found.ways.len()) };
    let height = (1.0 - 10.0_f64.to_radians().sin().powi(2)).powi(2);
    assert!((line.sides[0].barrier.height - height).abs() < 1e-12);
    // A parabola cannot follow the circle: the best bend over t leaves a few per cent.
    assert!(curve.sides[0].barrier.height < 0.1 * height, "{:?}", curve.sides[0].barrier);
    assert!(curve.length > line.length);
    // The same bits when stopped after some steps and continued: the state is kept, the sequence of places is fixed.
    let other = tempfile::tempdir().unwrap();
    let again = path(&both, &options, None, other.path(), &mut ()).unwrap();
    assert_eq!(again, found);
}

#[test]
fn a_curve_whose_training_diverges_is_not_shown() {
    let products = AtomicUsize::new(0);
    let risk = two_basins(&products);
    // Beyond |x| = 1e3 this loss is no number.
    let cliff = FnRisk::new(2, |t| if t[0].abs() < 1e3 { t[0] * t[0] + t[1] } else { f64::NAN })
        .with_gradient(|t, g| {
            g.copy_from_slice(&if t[0].abs() < 1e3 { [2.0 * t[0], 1.0] } else { [f64::NAN; 2] });
        });
    let ends = [("left", vec![-1.0, 0.0]), ("right", vec![1.0, 0.1])];
    for (risk, reason) in [(&risk, "its mean over t is"), (&cliff, "not finite")] {
        let losses = ModelLosses::new("two basins", risk);
        let both: [Member<'_>; 2] = members(&losses, &ends).try_into().ok().unwrap();
        let options = PathOptions {
            points: 9,
            eigenpairs: None,
            align: false,
            curve: Some(CurveOptions { steps: 30, rate: 1e9 }),
            ..PathOptions::default()
        };
        let dir = tempfile::tempdir().unwrap();
        let found = path(&both, &options, None, dir.path(), &mut ()).unwrap();
        assert_eq!(found.ways.iter().map(|w| w.name.as_str()).collect::<Vec<_>>(), ["line"]);
        let said = found.verdict.last().unwrap();
        assert!(said.contains("The training of the curve") && said.contains("diverged"), "{said}");
        assert!(said.contains(reason), "{said}");
        assert!(found.left_out.iter().any(|s| s.contains("diverged")), "{:?}", found.left_out);
        // Again from what is kept.
        assert_eq!(path(&both, &options, None, dir.path(), &mut ()).unwrap(), found);
    }
}

#[test]
fn a_point_where_the_hessian_vanishes_is_not_called_flat() {
    // L = max(x, 0)² + max(y, 0)²: both curvatures are 2 at (1, 1) and 0 at (−1, −1).
    let risk = FnRisk::new(2, |t| t.iter().map(|x| x.max(0.0).powi(2)).sum())
        .with_gradient(|t, g| g.iter_mut().zip(t).for_each(|(g, x)| *g = 2.0 * x.max(0.0)))
        .with_hessian(|t, v, hv| (0..2).for_each(|i| hv[i] = if t[i] > 0.0 { 2.0 * v[i] } else { 0.0 }));
    let losses = ModelLosses::new("two dead halves", &risk);
    let points = [("live", vec![1.0, 1.0]), ("alive", vec![1.0, 2.0]), ("dead", vec![-1.0, -1.0])];
    let dir = tempfile::tempdir().unwrap();
    let options = CompareOptions { grid: 0, ..compare_options() };
    let found = compare(&members(&losses, &points), &options, None, dir.path(), &mut ()).unwrap();
    assert!(
        found.verdict[0].starts_with("dead is degenerate: the Hessian vanishes there"),
        "{:?}",
        found.verdict
    );
    for sentence in &found.verdict[1..] {
        assert!(!sentence.contains("dead"), "{sentence}");
    }
}

#[test]
fn errors_of_differences_are_those_of_the_same_samples() {
    // Two chunks whose losses share a large offset: the difference of two points is the same on both but for 0.25 x.
    let chunk = |t: &[f64], k: f64| 100.0 * k + t[0] * (1.0 + 0.25 * k);
    let risk = FnRisk::fallible(1, move |t| {
        let chunk_losses = vec![chunk(t, 0.0), chunk(t, 1.0)];
        Ok(Evaluation {
            loss: 0.5 * (chunk_losses[0] + chunk_losses[1]),
            chunk_losses,
            chunk_samples: vec![4, 4],
            ..Evaluation::default()
        })
    })
    .with_samples(8)
    .with_chunks();
    let test = Split { name: "test", risk: &risk };
    let losses = ModelLosses { other: Some(test), ..ModelLosses::new("chunks", &risk) };
    let points = members(&losses, &[("a", vec![0.0]), ("b", vec![1.0])]);
    let dir = tempfile::tempdir().unwrap();
    let options = CompareOptions { grid: 0, ..compare_options() };
    let found = compare(&points, &options, None, dir.path(), &mut ()).unwrap();
    // Each loss: chunks 0 and 100 → s/√2 = 50. The difference: −1 and −1.25 → 0.125.
    assert!((found.points[0].main().unwrap().loss.std_error.unwrap() - 50.0).abs() < 1e-12);
    let difference = &found.pairs[0].loss_differences["train"];
    assert!((difference.value + 1.125).abs() < 1e-12);
    assert!((difference.std_error.unwrap() - 0.125).abs() < 1e-12);
    // What is said of the smallest loss goes by the difference: by the errors of each nothing could be told.
    let said = found.verdict.iter().find(|s| s.starts_with("Smallest loss")).unwrap();
    assert!(said.contains("that of b is 1.12 ± 0.12 higher on the same samples."), "{said}");
    let points = members(&losses, &[("a", vec![0.0]), ("b", vec![1.0]), ("c", vec![1e-3])]);
    let found = compare(&points, &options, None, dir.path(), &mut ()).unwrap();
    let said = found.verdict.iter().find(|s| s.starts_with("Smallest loss")).unwrap();
    assert!(said.contains("that of c is"), "{said}");
}

#[test]
fn the_trace_along_a_training_has_its_error_over_the_data() {
    // Two halves of the samples with Hessians 1·I and 4·I.
    let risk = two_halves::risk();
    let losses = ModelLosses::new("two halves", &risk);
    let points = members(&losses, &[("step-1", vec![1.0; 3]), ("step-2", vec![0.5; 3])]);
    let dir = tempfile::tempdir().unwrap();
    let options =
        TrajectoryOptions { eigenpairs: pairs(), probes: 4, grid: 0, ..TrajectoryOptions::default() };
    let found = trajectory(&points, &options, None, dir.path(), &mut ()).unwrap();
    let side = found.points[0].main().unwrap();
    let (of_probes, over_data) = (side.trace.unwrap().known_error().unwrap(), side.trace_over_data.unwrap());
    let page = std::fs::read_to_string(dir.path().join("trajectory/report.html")).unwrap();
    assert!(page.contains("(data: ± ") && page.contains("then over the data"));
    let way = std::fs::read_to_string(dir.path().join("trajectory/figures/way.json")).unwrap();
    let way: serde_json::Value = serde_json::from_str(&way).unwrap();
    let panels = way["panels"].as_array().unwrap();
    let trace = panels.iter().find(|p| p["title"] == "trace").unwrap_or_else(|| panic!("{way:#}"));
    let text = trace.to_string();
    let both = of_probes.hypot(over_data);
    let error = text.split("std_error\":[").nth(1).unwrap().split(',').next().unwrap();
    assert!((error.parse::<f64>().unwrap() - both).abs() < 1e-12 * both, "{text} {both}");
}

#[test]
fn a_new_checkpoint_costs_only_itself() {
    // Gradient descent on ½ (λ₁ x² + λ₂ y² + λ₃ z²) with λ = (1, 0.5, −0.1) and η = 0.3.
    let lambda = [1.0, 0.5, -0.1];
    let products = AtomicUsize::new(0);
    let counter = &products;
    let risk = FnRisk::new(3, move |t| 0.5 * t.iter().zip(lambda).map(|(x, l)| l * x * x).sum::<f64>())
        .with_gradient(move |t, g| (0..3).for_each(|i| g[i] = lambda[i] * t[i]))
        .with_hessian(move |_, v, hv| {
            counter.fetch_add(1, Ordering::Relaxed);
            (0..3).for_each(|i| hv[i] = lambda[i] * v[i]);
        })
        .with_identity("function", "quadratic");
    let losses = ModelLosses::new("quadratic", &risk);
    let names: Vec<String> = (0..7).map(|k| format!("step-{k}")).collect();
    let points: Vec<(&str, Vec<f64>)> = (names.iter().enumerate())
        .map(|(k, name)| {
            let theta = lambda.iter().map(|l| (1.0 - 0.3 * l).powi(k as i32)).collect();
            (name.as_str(), theta)
        })
        .collect();
    let all = members(&losses, &points);
    let options = TrajectoryOptions {
        eigenpairs: pairs(),
        probes: 4,
        grid: 5,
        learning_rate: Some(0.3),
        ..TrajectoryOptions::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let first = trajectory(&all[..6], &options, None, dir.path(), &mut ()).unwrap();
    for p in &first.points {
        let side = p.main().unwrap();
        assert!((side.lambda_max.as_ref().unwrap().value - 1.0).abs() < 1e-12);
        assert!((side.lambda_min.as_ref().unwrap().value + 0.1).abs() < 1e-12);
    }
    assert_eq!(first.stability_limit.as_ref().unwrap()[0], 2.0 / 0.3);
    assert!((first.shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    // The last point is the centre of both planes.
    let plane = first.hessian_plane.as_ref().unwrap();
    assert_eq!(plane.points[5].at, [0.0, 0.0]);
    // Eigenvectors e₁ and e₃: coordinates are differences of x and z, what is off the plane is that of y.
    let (from, to) = (&points[0].1, &points[5].1);
    assert!((plane.points[0].at[0].abs() - (from[0] - to[0]).abs()).abs() < 1e-9);
    assert!((plane.points[0].off_plane - (from[1] - to[1]).abs()).abs() < 1e-9);
    let before = products.load(Ordering::Relaxed);
    let one = {
        let other = tempfile::tempdir().unwrap();
        trajectory(&all[4..7], &options, None, other.path(), &mut ()).unwrap();
        (products.load(Ordering::Relaxed) - before) / 3
    };
    let before = products.load(Ordering::Relaxed);
    let more = trajectory(&all, &options, None, dir.path(), &mut ()).unwrap();
    let spent = products.load(Ordering::Relaxed) - before;
    // One more for the time of a product.
    assert!(spent <= one + 2, "{spent} products for one checkpoint, {one} for one alone");
    assert_eq!(more.points[..6], first.points[..]);
}

#[test]
fn a_checkpoint_that_is_a_copy_is_left_out_and_two_are_enough() {
    let products = AtomicUsize::new(0);
    let risk = two_basins(&products);
    let losses = ModelLosses::new("two basins", &risk);
    let (a, b, c) = (vec![-1.0, 0.5], vec![-0.5, 0.1], vec![0.5, 0.2]);
    let points = [("last", c.clone()), ("step-1", a), ("step-2", b), ("step-3", c)];
    let options =
        TrajectoryOptions { eigenpairs: pairs(), probes: 4, grid: 0, ..TrajectoryOptions::default() };
    let dir = tempfile::tempdir().unwrap();
    let all = members(&losses, &points);
    let found = trajectory(&all, &options, None, dir.path(), &mut ()).unwrap();
    let names = |found: &TrajectoryResults| found.points.iter().map(|p| p.name.clone()).collect::<Vec<_>>();
    // The copy with a number in its name keeps its place in the order.
    assert_eq!(names(&found), ["step-1", "step-2", "step-3"]);
    assert_eq!(found.left_out, ["last holds the same weights as step-3 and is left out"]);
    let page = std::fs::read_to_string(dir.path().join("trajectory/report.html")).unwrap();
    assert!(page.contains("last holds the same weights as step-3"));
    let found = trajectory(&all[1..3], &options, None, dir.path(), &mut ()).unwrap();
    assert_eq!(names(&found), ["step-1", "step-2"]);
}

#[test]
fn bad_input_is_a_clear_error() {
    let products = AtomicUsize::new(0);
    let risk = two_basins(&products);
    let losses = ModelLosses::new("two basins", &risk);
    let dir = tempfile::tempdir().unwrap();
    let error = |points: &[(&str, Vec<f64>)]| {
        let points = members(&losses, points);
        compare(&points, &compare_options(), None, dir.path(), &mut ()).unwrap_err().to_string()
    };
    let (a, b) = (vec![-1.0, 0.0], vec![1.0, 0.0]);
    assert!(error(&[("a", a.clone())]).contains("at least 2"));
    assert!(error(&[("a", a.clone()), ("b", a.clone())]).contains("a and b hold the same weights"));
    assert!(error(&[("a", a.clone()), ("a", b.clone())]).contains("called `a`"));
    assert!(error(&[("a", a.clone()), ("b", vec![1.0, f64::NAN])]).contains("coordinate 1 of θ is NaN"));
    assert!(error(&[("a", a.clone()), ("b", vec![1.0; 3])]).contains("3 parameters; expected 2"));
    // Nothing was written for any of them.
    assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none());
    // Of checkpoints that are copies one is left, which is no trajectory: not that too few were given.
    let copies = members(&losses, &[("a", a.clone()), ("last", a)]);
    let error = trajectory(&copies, &TrajectoryOptions::default(), None, dir.path(), &mut ()).unwrap_err();
    assert!(error.to_string().contains("a and last hold the same weights"), "{error}");
    assert_eq!(risk.dim(), 2);
}
