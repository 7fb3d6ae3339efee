//! Stages on risks whose answers are known in closed form.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use saddlescope_krylov::Stream;
use saddlescope_landscape::analysis::*;
use saddlescope_landscape::analytic::{KnownCriticalPoint, Quadratic, SignedSquares};
use saddlescope_landscape::reading::CriticalKind;
use saddlescope_landscape::{Curvature, Evaluation, FnRisk, Product, Risk, RiskError};

fn run(risk: &dyn Risk, theta: Vec<f64>, selection: &Selection, out: &Path) -> Analysis {
    analyze(&Subject::new("known", theta, risk), selection, None, out, &mut ()).unwrap()
}

/// Forty eigenvalues: two clearly negative, two clearly large, the others between.
fn spectrum() -> Vec<f64> {
    let mut all = vec![-3.0, -1.5, 4.0, 7.0];
    all.extend((0..36).map(|i| 0.02 * f64::from(i - 10)));
    all
}

fn eigenpairs(count: usize) -> Option<EigenpairOptions> {
    Some(EigenpairOptions { largest: count, smallest: count, ..EigenpairOptions::within(1e-10) })
}

/// Numbers to the bit, NaN equal to NaN: Rust prints the shortest text that reads back as the same number.
fn bits(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

#[test]
fn eigenpairs_trace_and_density_of_a_known_spectrum() {
    let temp = tempfile::tempdir().unwrap();
    let lambda = spectrum();
    let risk = Quadratic::rotated(lambda.clone(), 5).unwrap();
    let selection = Selection {
        eigenpairs: eigenpairs(2),
        probes: Some(64),
        fits: Some(FitOptions { points: 7, radius: None }),
        density: Some(DensityStageOptions { probes: 16, steps: 40 }),
        ..Selection::nothing("test")
    };
    let found = run(&risk, vec![0.0; 40], &selection, temp.path());
    let r = &found.results;
    for (pair, wanted) in r.eigenpairs.iter().zip([7.0, 4.0, -1.5, -3.0]) {
        // The residual bounds the distance to an eigenvalue; for a Rayleigh quotient the error is its square, down to rounding.
        assert!((pair.value - wanted).abs() < 1e-12 * 7.0, "{} and {wanted}", pair.value);
        assert!(pair.converged && pair.residual <= 1e-10 * wanted.abs());
    }
    for (vector, which) in found.eigenvectors.iter().zip([3, 2, 1, 0]) {
        let exact = risk.eigenvector(which).unwrap();
        let cosine: f64 = vector.iter().zip(&exact).map(|(a, b)| a * b).sum();
        // Residual 1e-10 over a gap of 1.3 leaves an angle of about 1e-10.
        assert!(1.0 - cosine.abs() < 1e-12, "{cosine}");
    }
    let trace = r.trace.as_ref().unwrap();
    let (tr, tr2): (f64, f64) = (lambda.iter().sum(), lambda.iter().map(|x| x * x).sum());
    // Var zᵀHz = 2 tr H² for Gaussian probes; five standard deviations of the mean of 64.
    let deviation = (2.0 * tr2 / 64.0).sqrt();
    assert!((trace.hutchinson.value - tr).abs() < 5.0 * deviation, "{:?}", trace.hutchinson);
    // The standard deviation of a standard error from 64 samples is about a tenth of it; the products are heavy-tailed.
    assert!((trace.hutchinson.std_error / deviation - 1.0).abs() < 0.5, "{:?}", trace.hutchinson);
    assert!((trace.trace_of_square.value - tr2).abs() < 5.0 * trace.trace_of_square.std_error);
    // On a quadratic the fits are exact up to the rounding of differences of losses.
    let fit = trace.curvature_fit.unwrap();
    assert!((fit.value - trace.hutchinson.value).abs() < 1e-8 * tr2.sqrt(), "{fit:?}");
    assert_eq!(r.mean_curvature.unwrap().value, trace.hutchinson.value * (1.0 / 40.0));
    let density = r.density.as_ref().unwrap();
    let index = lambda.iter().filter(|x| **x < -density.threshold).count() as f64;
    assert!((density.weights.iter().sum::<f64>() - 1.0).abs() < 1e-6);
    let estimate = density.clearly_negative;
    assert!((estimate.value - index).abs() < 5.0 * estimate.std_error, "{estimate:?} and {index}");
}

/// Chunks of samples whose Hessians differ from their mean by a few random directions each; the mean has a few large eigenvalues and a
/// bulk of both signs that is dense at zero, as that of a network.
fn chunks_of_a_network(n: usize, count: usize) -> FnRisk<'static> {
    let large = |i: usize| if i < 8 { 3.0 * 0.8_f64.powi(i as i32) } else { 0.0 };
    let bulk = |i: usize| -0.03 * (2.0 * (i as f64 + 0.5) / n as f64 - 1.0).powi(5);
    let mean: Vec<f64> = (0..n).map(|i| large(i) + bulk(i)).collect();
    let mut all = vec![0.0; count * 3 * n];
    Stream::new(5, "chunks", 0).fill_normal(&mut all);
    let length = (n as f64).sqrt();
    // Along the eigenvectors next to the smallest ones chunks differ most: a vector that has not converged has too large an error.
    let next = n - 30..n - 3;
    all.iter_mut()
        .enumerate()
        .for_each(|(i, x)| *x *= if next.contains(&(i % n)) { 0.5 } else { 1.0 / length });
    let along = move |c: usize, v: &[f64]| -> f64 {
        let own = all[c * 3 * n..(c + 1) * 3 * n].chunks_exact(n);
        own.map(|u| u.iter().zip(v).map(|(a, b)| a * b).sum::<f64>().powi(2)).sum()
    };
    let (a, b) = (mean.clone(), mean.clone());
    let loss = move |t: &[f64]| 0.5 * t.iter().zip(&mean).map(|(t, h)| h * t * t).sum::<f64>();
    let parts = move |loss| Evaluation {
        loss,
        chunk_losses: vec![loss; count],
        chunk_samples: vec![4; count],
        ..Evaluation::default()
    };
    FnRisk::fallible(n, move |t| Ok(parts(loss(t))))
        .with_chunks()
        .with_gradient(move |t, g| g.iter_mut().zip(t).zip(&a).for_each(|((g, t), h)| *g = h * t))
        .with_products(&[Curvature::Hessian], move |_, _, vs, out| {
            let mut quotients = Vec::new();
            for (v, out) in vs.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
                out.iter_mut().zip(v).zip(&b).for_each(|((o, v), h)| *o = h * v);
                let whole: f64 = out.iter().zip(v).map(|(o, v)| o * v).sum();
                let sign = |c: usize| if c.is_multiple_of(2) { 2.0 } else { -2.0 };
                quotients.push((0..count).map(|c| whole + sign(c) * along(c, v)).collect());
            }
            Ok(Product { quotients, chunk_samples: vec![4; count] })
        })
        .with_samples(4 * count)
}

#[test]
fn a_solve_goes_on_until_its_residuals_are_small_beside_the_errors_of_the_eigenvalues() {
    let risk = chunks_of_a_network(400, 12);
    let theta = vec![0.1; 400];
    let solve = |pairs: &EigenpairOptions, seed| {
        let temp = tempfile::tempdir().unwrap();
        let selection =
            Selection { eigenpairs: Some(pairs.clone()), seed, ..Selection::nothing("eigenpairs") };
        run(&risk, theta.clone(), &selection, temp.path()).results.eigen.unwrap()
    };
    let exact = solve(&EigenpairOptions::within(1e-9), 0);
    for seed in 0..5 {
        let found = solve(&EigenpairOptions { tolerance: 1e-7, ..EigenpairOptions::default() }, seed);
        let allowed = |p: &EigenpairResult| p.criterion.as_ref().is_some_and(|c| c.contains("allowed"));
        assert!(found.pairs.iter().any(allowed), "{found:?}");
        for (p, exact) in found.pairs.iter().zip(&exact.pairs).filter(|(p, _)| allowed(p)) {
            // A tenth is what is asked for; the errors of vectors that have not converged are up to ninety times as large.
            assert!(p.residual <= 0.2 * exact.std_error.unwrap(), "{p:?} {exact:?}");
        }
        assert!(found.products <= 50, "{}", found.products);
    }
}

#[test]
fn fits_say_what_they_miss_where_the_loss_is_no_parabola() {
    let temp = tempfile::tempdir().unwrap();
    // L = Σ (θᵢ² / 2 + θᵢ⁴ / 24): along η, L = α² Σ ηᵢ² / 2 + α⁴ Σ ηᵢ⁴ / 24. A parabola through −r, 0 and r has the curvature
    // Σ ηᵢ² + r² Σ ηᵢ⁴ / 12, and the mean of Σ ηᵢ⁴ is 3 · 3.
    let risk = FnRisk::new(3, |t| t.iter().map(|x| x * x / 2.0 + x.powi(4) / 24.0).sum())
        .with_gradient(|t, g| g.iter_mut().zip(t).for_each(|(g, x)| *g = x + x.powi(3) / 6.0))
        .with_hessian(|t, v, hv| (0..3).for_each(|i| hv[i] = (1.0 + t[i] * t[i] / 2.0) * v[i]));
    let radius = 0.3;
    let selection = Selection {
        probes: Some(64),
        fits: Some(FitOptions { points: 3, radius: Some(radius) }),
        ..Selection::nothing("test")
    };
    let trace = run(&risk, vec![0.0; 3], &selection, temp.path()).results.trace.unwrap();
    let difference = trace.curvature_fit_difference.unwrap();
    let expected = 9.0 * radius * radius / 12.0;
    // The mean of 64 numbers of one sign; five standard errors.
    assert!((difference.value - expected).abs() < 5.0 * difference.std_error, "{difference:?} {expected}");
    assert!(difference.value > 3.0 * difference.std_error, "{difference:?}");
    let between = trace.curvature_fit.unwrap().value - trace.hutchinson.value;
    assert!((difference.value - between).abs() < 1e-12, "{difference:?} {between}");
}

#[test]
fn one_parameter_has_no_random_planes() {
    let temp = tempfile::tempdir().unwrap();
    let risk = FnRisk::new(1, |t| t[0] * t[0])
        .with_gradient(|t, g| g[0] = 2.0 * t[0])
        .with_hessian(|_, v, hv| hv[0] = 2.0 * v[0]);
    let selection = Selection { eigenpairs: eigenpairs(1), probes: Some(8), ..Selection::nothing("test") };
    let r = run(&risk, vec![0.0], &selection, temp.path()).results;
    assert_eq!((&r.random_planes, &r.saddle_probability), (&None, &None));
    assert!(r.verdict.iter().all(|s| !s.contains("random slices")), "{:?}", r.verdict);
}

#[test]
fn escape_finds_the_valley_of_a_double_well() {
    let temp = tempfile::tempdir().unwrap();
    // 1 + (x² − 1)²/4 − 1/4 + y² + z²: the origin is a saddle with λ_min = −1, and the valleys lie at x = ±1, a quarter lower.
    let risk = FnRisk::new(3, |t| 0.75 + 0.25 * (t[0] * t[0] - 1.0).powi(2) + t[1] * t[1] + t[2] * t[2])
        .with_gradient(|t, g| g.copy_from_slice(&[t[0] * (t[0] * t[0] - 1.0), 2.0 * t[1], 2.0 * t[2]]))
        .with_hessian(|t, v, hv| {
            hv.copy_from_slice(&[(3.0 * t[0] * t[0] - 1.0) * v[0], 2.0 * v[1], 2.0 * v[2]]);
        });
    let selection = Selection { eigenpairs: eigenpairs(1), escape: true, ..Selection::nothing("test") };
    let r = run(&risk, vec![0.0; 3], &selection, temp.path()).results;
    let escape = r.escape.unwrap();
    // Eight golden sections of a bracket of [1/1.5, 1.5].
    assert!((escape.step.abs() - 1.0).abs() < 0.05, "{}", escape.step);
    // The loss is quadratic around the valley with curvature 2.
    assert!(escape.loss[0] == 1.0 && (escape.loss[1] - 0.75).abs() < 0.05_f64.powi(2), "{:?}", escape.loss);
    assert_eq!(r.kind, Some(CriticalKind::Saddle));
}

#[test]
fn the_surface_of_a_quadratic_is_the_quadratic() {
    let temp = tempfile::tempdir().unwrap();
    let risk = Quadratic::rotated(spectrum(), 5).unwrap();
    let selection = Selection {
        eigenpairs: eigenpairs(1),
        cuts: Some(CutOptions { points: 11, hessian_radius: None }),
        surfaces: Some(SurfaceOptions { grid: 9, hessian_radius: Some([0.5, 2.0]) }),
        ..Selection::nothing("test")
    };
    let found = run(&risk, vec![0.0; 40], &selection, temp.path());
    let surface = &found.surfaces.iter().find(|s| s.name == "hessian-train").unwrap().surface;
    for (i, alpha) in surface.a.values().into_iter().enumerate() {
        for (j, beta) in surface.b.values().into_iter().enumerate() {
            let exact = 0.5 * (7.0 * alpha * alpha - 3.0 * beta * beta);
            let value = surface.loss_at(i, j).unwrap();
            // The eigenvectors are exact to 1e-10.
            assert!((value - exact).abs() < 1e-9, "({alpha}, {beta}): {value} and {exact}");
        }
    }
    let cut = found.cuts.iter().find(|c| c.name == "lambda-min").unwrap();
    assert!((cut.curvature + 3.0).abs() < 1e-12 && cut.slope.abs() < 1e-12);
}

fn verdict_at(risk: &dyn Risk, theta: Vec<f64>) -> (Results, String) {
    let temp = tempfile::tempdir().unwrap();
    let selection = Selection { eigenpairs: eigenpairs(1), ..Selection::nothing("test") };
    let r = run(risk, theta, &selection, temp.path()).results;
    let text = r.verdict.join(" ");
    (r, text)
}

#[test]
fn saddle_and_minimum_are_said_at_critical_points_only() {
    let saddle = SignedSquares::new(5, 7).unwrap();
    let bowl = Quadratic::rotated((1..=12).map(f64::from).collect(), 3).unwrap();
    for (risk, at, kind, word) in [
        (&saddle as &dyn Risk, saddle.critical_point(), CriticalKind::Saddle, "a saddle"),
        (&bowl, bowl.critical_point(), CriticalKind::Minimum, "a minimum"),
    ] {
        let (r, text) = verdict_at(risk, at.clone());
        assert_eq!(r.kind, Some(kind), "{text}");
        assert!(text.contains(&format!("The point is {word}")), "{text}");
        // Moved off it the Hessian is the same, or nearly, and the words are not.
        let moved: Vec<f64> = at.iter().enumerate().map(|(i, t)| t + 0.1 * (1.0 + i as f64 % 3.0)).collect();
        let (r, text) = verdict_at(risk, moved);
        assert_eq!(r.kind, None, "{text}");
        assert!(!r.criticality.unwrap().critical && text.contains("The point is not critical"), "{text}");
        assert!(!text.contains(&format!("The point is {word}")) && !text.contains("a saddle,"), "{text}");
    }
}

#[test]
fn a_loss_and_nothing_else_gives_a_report_that_says_what_is_missing() {
    let temp = tempfile::tempdir().unwrap();
    let risk = FnRisk::new(4, |t| 1.0 + t.iter().map(|x| x * x).sum::<f64>());
    let selection = Selection {
        cuts: Some(CutOptions { points: 5, hessian_radius: None }),
        surfaces: Some(SurfaceOptions { grid: 3, hessian_radius: None }),
        ..Selection::default()
    };
    let r = run(&risk, vec![0.3; 4], &selection, temp.path()).results;
    assert!(r.eigenpairs.is_empty() && r.trace.is_none() && r.density.is_none() && r.gradient_norm.is_none());
    assert_eq!((r.kind, r.hessian_signs), (None, None));
    assert!(r.not_offered.iter().any(|t| t.contains("Hessian")), "{:?}", r.not_offered);
    assert!(r.not_offered.iter().any(|t| t.contains("gradient")), "{:?}", r.not_offered);
    let page = std::fs::read_to_string(temp.path().join("report.html")).unwrap();
    for text in &r.not_offered {
        assert!(page.contains(text.as_str()), "the report does not say: {text}");
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the accelerator is gone")]
struct Gone;

#[test]
fn errors_and_cancellation_of_products_come_through_unchanged() {
    let lambda: Vec<f64> = (1..=30).map(f64::from).collect();
    let made = AtomicUsize::new(0);
    let fail_at = AtomicUsize::new(usize::MAX);
    let cancel = AtomicUsize::new(0);
    let risk = FnRisk::new(30, |t| t.iter().zip(&lambda).map(|(t, l)| 0.5 * l * t * t).sum())
        .with_gradient(|t, g| (0..30).for_each(|i| g[i] = lambda[i] * t[i]))
        .with_products(&[Curvature::Hessian], |_, _, vs, out| {
            if made.fetch_add(1, Ordering::Relaxed) >= fail_at.load(Ordering::Relaxed) {
                return Err(match cancel.load(Ordering::Relaxed) {
                    0 => RiskError::failed(Gone),
                    _ => RiskError::Cancelled,
                });
            }
            for (i, (v, hv)) in vs.iter().zip(out).enumerate() {
                *hv = lambda[i % 30] * v;
            }
            Ok(Product::default())
        })
        // Without an identity a run begins with a product that tells the function from others.
        .with_identity("function", "failing");
    let subject = Subject::new("failing", vec![0.1; 30], &risk);
    let selection = Selection {
        eigenpairs: eigenpairs(1),
        probes: Some(8),
        density: Some(DensityStageOptions { probes: 2, steps: 8 }),
        ..Selection::nothing("test")
    };
    let temp = tempfile::tempdir().unwrap();
    let undisturbed =
        analyze(&subject, &selection, None, &temp.path().join("once"), &mut ()).unwrap().results;
    let all = made.load(Ordering::Relaxed);
    let out = temp.path().join("failing");
    for (round, at) in (0..all).step_by(3).enumerate() {
        let dir = out.join(round.to_string());
        for words in [0, 1] {
            made.store(0, Ordering::Relaxed);
            fail_at.store(at, Ordering::Relaxed);
            cancel.store(words, Ordering::Relaxed);
            // The second run goes on, so that it may be through before it comes to its `at`-th product.
            match analyze(&subject, &selection, None, &dir, &mut ()).map(|_| ()) {
                Err(AnalysisError::Risk(RiskError::Failed(error))) if words == 0 => {
                    assert!(error.downcast_ref::<Gone>().is_some(), "product {at}: {error}");
                }
                Err(AnalysisError::Cancelled) if words == 1 => {}
                Ok(()) if words == 1 => {}
                other => panic!("product {at}: {other:?}"),
            }
        }
        fail_at.store(usize::MAX, Ordering::Relaxed);
        let again = analyze(&subject, &selection, None, &dir, &mut ()).unwrap().results;
        assert_eq!(again.eigenpairs, undisturbed.eigenpairs, "stopped at product {at}");
        assert_eq!(bits(&again.trace), bits(&undisturbed.trace));
        assert_eq!(bits(&again.density), bits(&undisturbed.density));
    }
}

#[test]
fn more_of_a_stage_is_bitwise_what_it_is_at_once_and_another_grid_costs_surfaces_only() {
    let lambda = spectrum();
    let (losses, products) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let quadratic = Quadratic::rotated(lambda, 5).unwrap();
    let theta = vec![0.2; 40];
    let point = quadratic.at(&theta, 0).unwrap();
    let risk = FnRisk::fallible(40, |t| {
        losses.fetch_add(1, Ordering::Relaxed);
        quadratic.evaluate(t).map(|e| Evaluation::of_loss(e.loss))
    })
    .with_fallible_gradient(|t, g| quadratic.gradient(t, g).map(|_| ()))
    .with_products(&[Curvature::Hessian], |_, curvature, vs, out| {
        products.fetch_add(vs.len() / 40, Ordering::Relaxed);
        point.product(curvature, vs, out)
    });
    let small = Selection {
        eigenpairs: eigenpairs(1),
        probes: Some(6),
        density: Some(DensityStageOptions { probes: 3, steps: 8 }),
        filtered_planes: Some(2),
        surfaces: Some(SurfaceOptions { grid: 5, hessian_radius: None }),
        cuts: Some(CutOptions { points: 5, hessian_radius: None }),
        ..Selection::default()
    };
    let large = Selection {
        probes: Some(14),
        density: Some(DensityStageOptions { probes: 9, steps: 8 }),
        filtered_planes: Some(5),
        ..small.clone()
    };
    let temp = tempfile::tempdir().unwrap();
    let (steps, once) = (temp.path().join("steps"), temp.path().join("once"));
    run(&risk, theta.clone(), &small, &steps);
    let a = run(&risk, theta.clone(), &large, &steps).results;
    let b = run(&risk, theta.clone(), &large, &once).results;
    assert_eq!(bits(&a.trace), bits(&b.trace));
    assert_eq!(bits(&a.layers), bits(&b.layers));
    assert_eq!(bits(&a.random_planes), bits(&b.random_planes));
    assert_eq!(bits(&a.filtered_planes), bits(&b.filtered_planes));
    assert_eq!(bits(&a.density), bits(&b.density));
    // Another grid: no product, and as many losses as the new surfaces have points.
    let other =
        Selection { surfaces: Some(SurfaceOptions { grid: 7, hessian_radius: None }), ..large.clone() };
    let count = |c: &AtomicUsize| c.swap(0, Ordering::Relaxed);
    count(&losses);
    count(&products);
    let c = run(&risk, theta.clone(), &other, &steps).results;
    assert_eq!((count(&losses), count(&products)), (3 * 7 * 7, 0));
    let d = run(&risk, theta, &other, &temp.path().join("other")).results;
    assert_eq!(c.surfaces, d.surfaces);
    assert_eq!(c.eigenpairs, d.eigenpairs);
}

#[test]
fn messages_are_said_once_along_the_whole_chain() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let risk = FnRisk::new(2, |t| t[0] + t[1]);
    let subject = Subject::new("plain", vec![0.0; 2], &risk);
    let selection = Selection::nothing("test");
    let folder = analyze(&subject, &selection, None, &file, &mut ()).map(|_| ()).unwrap_err();
    let figure = saddlescope_figure::write_atomic(&file.join("below"), b"").unwrap_err();
    let weights = saddlescope_data::weights::TensorMap::read(&file.join("below")).unwrap_err();
    let data: saddlescope_data::DataSource = format!("npz:{}", file.join("below").display()).parse().unwrap();
    let data = data.load(saddlescope_data::Split::Train, None, None).unwrap_err();
    let snapshot = saddlescope_krylov::SnapshotError::from(std::fs::read(file.join("below")).unwrap_err());
    let errors: [&dyn std::error::Error; 5] = [&folder, &figure, &weights, &data, &snapshot];
    for error in errors {
        let mut said = error.to_string();
        assert!(said.contains("os error"), "the reason is missing: {said}");
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            assert!(!said.contains(&text), "said twice: {said}: {text}");
            said = format!("{said}: {text}");
            cause = error.source();
        }
    }
}

/// L = ½ (7x² − 3y²) + the mean of zₛ (x + y), with the errors over the samples that follow.
fn sampled(samples: usize) -> (FnRisk<'static>, Vec<f64>) {
    let mut z = vec![0.0; samples];
    saddlescope_krylov::Stream::new(9, "samples", 0).fill_normal(&mut z);
    let mean = z.iter().sum::<f64>() / samples as f64;
    let own = z.clone();
    let risk = FnRisk::mean(2, samples, move |t, losses| {
        let common = 0.5 * (7.0 * t[0] * t[0] - 3.0 * t[1] * t[1]);
        for (loss, z) in losses.iter_mut().zip(&own) {
            *loss = 10.0 + common + z * (t[0] + t[1]);
        }
    });
    let risk = risk
        .with_gradient(move |t, g| g.copy_from_slice(&[7.0 * t[0] + mean, -3.0 * t[1] + mean]))
        .with_hessian(|_, v, hv| hv.copy_from_slice(&[7.0 * v[0], -3.0 * v[1]]));
    (risk, z)
}

/// Standard error of the mean of z.
fn standard_error(z: &[f64]) -> f64 {
    let n = z.len() as f64;
    let mean = z.iter().sum::<f64>() / n;
    (z.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt()
}

#[test]
fn differences_from_the_point_have_the_errors_of_the_samples() {
    let (risk, z) = sampled(50);
    let temp = tempfile::tempdir().unwrap();
    let selection = Selection {
        eigenpairs: eigenpairs(1),
        cuts: Some(CutOptions { points: 11, hessian_radius: Some([0.5, 0.5]) }),
        surfaces: Some(SurfaceOptions { grid: 9, hessian_radius: Some([0.5, 0.5]) }),
        ..Selection::nothing("test")
    };
    let found = run(&risk, vec![0.0; 2], &selection, temp.path());
    let one = standard_error(&z);
    let surface = found.surfaces.iter().find(|s| s.name == "hessian-train").unwrap();
    let errors = surface.surface.errors.as_ref().unwrap();
    let grid = surface.surface.clone();
    for (i, alpha) in grid.a.values().into_iter().enumerate() {
        for (j, beta) in grid.b.values().into_iter().enumerate() {
            // The eigenvectors are the axes, to 1e-10 and up to sign: (x + y) is ±α ± β.
            let found = errors.difference[9 * i + j];
            let near = |x: f64| (found - one * x.abs()).abs() < 1e-9;
            assert!(near(alpha + beta) || near(alpha - beta), "{alpha} {beta}: {found}");
            assert!((errors.loss[9 * i + j] - found).abs() < 1e-12);
        }
    }
    let r = &found.results;
    let result = r.surfaces.iter().find(|s| s.name == "hessian-train").unwrap();
    let minimum = result.minimum.unwrap();
    assert_eq!((result.samples, result.evaluated, result.center_loss), (50, 81, 10.0));
    // −3/2 · ¼ = −0.375 plus the slope's part, known to about 0.07.
    assert_eq!(minimum.distinguishable, Some(true));
    assert!(minimum.difference_std_error.is_some_and(|e| e > 0.03 && e < 0.15), "{minimum:?}");
    assert!(
        r.verdict.iter().any(|s| s.contains("is lower than at the centre by") && s.contains("±")),
        "{:?}",
        r.verdict
    );
    let cut = found.cuts.iter().find(|c| c.name == "lambda-max").unwrap();
    assert_eq!(cut.measured.errors.as_ref().unwrap().difference[5], 0.0);
    assert!((cut.prediction.unwrap().curvature - 7.0).abs() < 1e-9);
    let arrays = std::fs::read(temp.path().join("arrays/surface-hessian-train.npz")).unwrap();
    let names = String::from_utf8_lossy(&arrays);
    assert!(names.contains("difference_std_error.npy") && names.contains("center_loss.npy"));
    let mesh = std::fs::read_to_string(temp.path().join("surfaces/hessian-train.vtp")).unwrap();
    assert!(mesh.contains(r#"Name="difference_std_error""#));
    let heat = std::fs::read_to_string(temp.path().join("figures/heatmaps.json")).unwrap();
    assert!(heat.contains("\"hatched\":["));
}

#[test]
fn one_sample_has_no_errors_and_the_words_say_so() {
    let temp = tempfile::tempdir().unwrap();
    let risk = Quadratic::diagonal(vec![7.0, -3.0]).unwrap();
    let selection = Selection {
        eigenpairs: eigenpairs(1),
        surfaces: Some(SurfaceOptions { grid: 5, hessian_radius: Some([0.5, 0.5]) }),
        ..Selection::nothing("test")
    };
    let r = run(&risk, vec![0.0; 2], &selection, temp.path()).results;
    let minimum = r.surfaces[0].minimum.unwrap();
    assert_eq!((minimum.difference_std_error, minimum.distinguishable), (None, None));
    assert!(minimum.difference < 0.0);
    assert!(r.verdict.iter().any(|s| s.contains("error over the samples not known")), "{:?}", r.verdict);
}

#[test]
fn samples_and_points_are_chosen_by_the_errors() {
    let (risk, z) = sampled(4096);
    let temp = tempfile::tempdir().unwrap();
    let automatic = Selection {
        eigenpairs: eigenpairs(1),
        surfaces: Some(SurfaceOptions { grid: 33, hessian_radius: Some([0.5, 0.5]) }),
        adaptive: true,
        slice_samples: Some(AutoSamples { share: 0.1 }),
        ..Selection::nothing("test")
    };
    let found = run(&risk, vec![0.0; 2], &automatic, temp.path());
    let choice = found.results.slice_choice.clone().unwrap();
    assert!(choice.reached && choice.samples < 4096, "{choice:?}");
    assert_eq!(found.results.slice_samples, choice.samples);
    let surface = &found.surfaces.iter().find(|s| s.name == "hessian-train").unwrap().surface;
    assert!(surface.evaluated_points() < 33 * 33 / 3, "{}", surface.evaluated_points());
    // The errors are those of the samples chosen.
    let corner = surface.errors.as_ref().unwrap().difference[0];
    let one = standard_error(&z[..choice.samples]);
    assert!((corner - one).abs() < 1e-9 || corner < 1e-9, "{corner} and {one}");
    // Again: everything is read, and the same.
    let again = run(&risk, vec![0.0; 2], &automatic, temp.path());
    assert_eq!(&again.surfaces.iter().find(|s| s.name == "hessian-train").unwrap().surface, surface);
    // A loss without parts cannot be asked for that.
    let plain = Quadratic::diagonal(vec![7.0, -3.0]).unwrap();
    let other = tempfile::tempdir().unwrap();
    let subject = Subject::new("test", vec![0.0; 2], &plain);
    assert!(analyze(&subject, &automatic, None, other.path(), &mut ()).is_err());
}

#[test]
fn the_loss_at_the_point_is_computed_no_more_often_than_needed() {
    let at_theta = AtomicUsize::new(0);
    let theta = vec![0.25, -0.5, 1.0];
    let here = theta.clone();
    let lambda = [3.0, 1.0, -2.0];
    let risk = FnRisk::new(3, |t| {
        at_theta.fetch_add(usize::from(t == here), Ordering::Relaxed);
        (0..3).map(|i| 0.5 * lambda[i] * t[i] * t[i]).sum()
    })
    .with_gradient(|t, g| (0..3).for_each(|i| g[i] = lambda[i] * t[i]))
    .with_hessian(|_, v, hv| (0..3).for_each(|i| hv[i] = lambda[i] * v[i]))
    .with_identity("function", "three parabolas");
    let temp = tempfile::tempdir().unwrap();
    let count = |selection: &Selection, name: &str| {
        run(&risk, theta.clone(), selection, &temp.path().join(name));
        at_theta.swap(0, Ordering::Relaxed)
    };
    let nothing = Selection::nothing("test");
    // Twice for the self-check, which compares both, and once with the gradient.
    assert_eq!(count(&nothing, "plain"), 3);
    let cuts = Selection {
        eigenpairs: eigenpairs(1),
        escape: true,
        cuts: Some(CutOptions { points: 5, hessian_radius: Some([0.5; 2]) }),
        ..nothing
    };
    // The escape and the middle of every cut have it already.
    assert_eq!(count(&cuts, "cuts"), 3);
}
