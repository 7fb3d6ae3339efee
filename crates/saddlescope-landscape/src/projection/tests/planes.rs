//! Planes through real products: identities, repeatability, ensemble averages.

use crate::Threading;
use crate::analytic::{KnownCriticalPoint, Quadratic, SignedSquares};
use crate::projection::*;
use crate::{Curvature, Direction, Risk};
use nalgebra::Matrix2;
use std::ops::ControlFlow;

pub(super) fn go_on(_: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

pub(super) fn options(draws: usize, seed: u64) -> EnsembleOptions {
    EnsembleOptions { draws, seed, threading: Threading::Spread }
}

pub(super) fn ensemble(objective: &dyn KnownCriticalPoint, draws: usize, seed: u64) -> PlaneEnsemble {
    let point = objective.at(&objective.critical_point(), 0).unwrap();
    sample_planes(&*point, objective.dim(), options(draws, seed), &mut go_on).unwrap()
}

#[test]
fn principal_curvatures_are_the_eigenvalues() {
    for (a, b, c) in
        [(1.0, 0.0, 1.0), (3.0, -2.0, 0.5), (-1.0, 4.0, -7.0), (1e-9, 1e3, -5.0), (0.0, 0.0, 0.0)]
    {
        let found = PlaneHessian { a, b, c }.curvatures();
        let oracle = Matrix2::new(a, b, b, c).symmetric_eigenvalues();
        let size = a.abs() + b.abs() + c.abs();
        assert!((found.plus - oracle.max()).abs() <= 4.0 * f64::EPSILON * size);
        assert!((found.minus - oracle.min()).abs() <= 4.0 * f64::EPSILON * size);
    }
}

#[test]
fn shapes_follow_the_signs() {
    let shape = |plus, minus| PrincipalCurvatures { plus, minus }.shape();
    assert_eq!(shape(2.0, 1.0), PlaneShape::Minimum);
    assert_eq!(shape(-1.0, -2.0), PlaneShape::Maximum);
    assert_eq!(shape(1.0, -1.0), PlaneShape::Saddle);
    assert_eq!(shape(1.0, 0.0), PlaneShape::Undecided);
    assert_eq!(shape(f64::NAN, f64::NAN), PlaneShape::Undecided);
}

#[test]
fn a_plane_is_the_projection_on_its_two_streams() {
    let quadratic = Quadratic::rotated(vec![4.0, -3.0, 1.0, 0.5, -0.25], 1).unwrap();
    let found = ensemble(&quadratic, 40, 6);
    let point = quadratic.at(&quadratic.critical_point(), 0).unwrap();
    for (d, plane) in found.planes.iter().enumerate() {
        let stream = |i: usize| Direction::random(5, 6, (2 * d + i) as u64).unwrap().into_vector();
        let (eta, delta) = (stream(0), stream(1));
        let product = |v: &[f64]| {
            let mut hv = vec![0.0; 5];
            point.product(Curvature::Hessian, v, &mut hv).unwrap();
            hv
        };
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(a, b)| a * b).sum::<f64>();
        let (h_eta, h_delta) = (product(&eta), product(&delta));
        // Five products each, of numbers up to a few dozen.
        assert!((plane.a - dot(&eta, &h_eta)).abs() < 1e-12);
        assert!((plane.b - dot(&eta, &h_delta)).abs() < 1e-12);
        assert!((plane.c - dot(&delta, &h_delta)).abs() < 1e-12);
        let squares = 0.5 * (dot(&h_eta, &h_eta) + dot(&h_delta, &h_delta));
        assert!((found.image_norms[d] - squares).abs() < 1e-12 * squares.max(1.0));
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_on_any_number_of_threads() {
    let loss = SignedSquares::new(50, 60).unwrap();
    let point = loss.at(&loss.critical_point(), 0).unwrap();
    let run = |threading| {
        let options = EnsembleOptions { draws: 777, seed: 3, threading };
        sample_planes(&*point, loss.dim(), options, &mut go_on).unwrap()
    };
    let reference = run(Threading::Sequential);
    assert_eq!(reference.planes.len(), 777);
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| run(Threading::Spread)), reference);
    }
    assert_ne!(ensemble(&loss, 777, 4).planes, reference.planes);
}

#[test]
fn a_stopped_ensemble_is_the_beginning_of_the_whole() {
    let loss = SignedSquares::balanced(2000).unwrap();
    let point = loss.at(&loss.critical_point(), 0).unwrap();
    let whole = ensemble(&loss, 600, 1);
    let mut told = 0;
    let stopped = sample_planes(&*point, loss.dim(), options(600, 1), &mut |done| {
        told = done;
        ControlFlow::Break(())
    })
    .unwrap();
    assert!(told > 0 && told < 600);
    assert_eq!(stopped.planes, whole.planes[..told]);
}

#[test]
fn averages_estimate_trace_mean_curvature_and_trace_of_the_square() {
    let loss = SignedSquares::new(500, 800).unwrap();
    let found = ensemble(&loss, 4000, 1);
    // Var(A) = 2 tr H² = 2000, so the mean over 8000 directions has a standard error of 0.5.
    let trace = found.trace();
    assert!((trace.std_error / (2000.0_f64 / 8000.0).sqrt() - 1.0).abs() < 0.1);
    assert!((trace.value - 600.0).abs() < 4.0 * trace.std_error, "{trace:?}");
    let mean = found.mean_curvature();
    assert!((mean.value - 600.0 / 1001.0).abs() < 4.0 * mean.std_error);
    let square = found.trace_of_square();
    assert!((square.value - 1000.0).abs() < 4.0 * square.std_error, "{square:?}");
}

#[test]
fn running_means_are_the_means_of_the_first_draws() {
    let loss = SignedSquares::new(20, 30).unwrap();
    let found = ensemble(&loss, 500, 2);
    let at = log_spaced(500, 10);
    assert_eq!((at[0], *at.last().unwrap()), (1, 500));
    assert!(at.windows(2).all(|w| w[0] < w[1]));
    let means = running_means(&found.planes, &at);
    assert_eq!(means.draws, at);
    for (i, &s) in at.iter().enumerate() {
        let first = &found.planes[..s];
        let mean = |value: &dyn Fn(&PlaneHessian) -> f64| first.iter().map(value).sum::<f64>() / s as f64;
        let averaged = PlaneHessian { a: mean(&|p| p.a), b: mean(&|p| p.b), c: mean(&|p| p.c) };
        let tilde = averaged.curvatures();
        // Sums of up to 500 numbers below 100 in two orders.
        let close = |x: f64, y: f64| assert!((x - y).abs() < 1e-11, "{x} {y}");
        close(means.a[i].value, averaged.a);
        close(means.b[i].value, averaged.b);
        close(means.c[i].value, averaged.c);
        close(means.kappa_plus[i].value, mean(&|p| p.curvatures().plus));
        close(means.kappa_minus[i].value, mean(&|p| p.curvatures().minus));
        close(means.kappa_tilde_plus[i].value, tilde.plus);
        close(means.kappa_tilde_minus[i].value, tilde.minus);
        // κ̃₊ + κ̃₋ = ⟨A⟩ + ⟨C⟩ = ⟨κ₊⟩ + ⟨κ₋⟩ (2.18).
        close(tilde.plus + tilde.minus, means.kappa_plus[i].value + means.kappa_minus[i].value);
    }
    let b: Vec<f64> = found.planes.iter().map(|p| p.b).collect();
    for (one, other) in running_estimates(&b, &at).iter().zip(&means.b) {
        assert_eq!(one.samples, other.samples);
        assert!((one.value - other.value).abs() < 1e-12);
        assert!(one.std_error == other.std_error || (one.std_error / other.std_error - 1.0).abs() < 1e-12);
    }
    let spread = Normal::fit(&b).std_dev / (500.0_f64).sqrt();
    assert!((means.b.last().unwrap().std_error / spread - 1.0).abs() < 1e-10);
    assert!(means.a[0].std_error.is_infinite());
}

#[test]
fn tilde_curvatures_tend_to_the_trace_and_averaged_curvatures_do_not() {
    // Figure 2(d): n = 500, ñ = 800, tr H = 600.
    let loss = SignedSquares::new(500, 800).unwrap();
    let means = running_means(&ensemble(&loss, 10_000, 1).planes, &[10_000]);
    let last = |estimates: &[saddlescope_krylov::Estimate]| estimates[0];
    for tilde in [last(&means.kappa_tilde_plus), last(&means.kappa_tilde_minus)] {
        // Repulsion moves κ̃ by the radius of ⟨H⟩'s traceless part, Rayleigh with scale √(tr H²/S) = 0.32.
        assert!((tilde.value - 600.0).abs() < 4.0 * (1000.0_f64 / 10_000.0).sqrt() * 1.5, "{tilde:?}");
    }
    // E κ± = tr H ± √(π/2) √(tr H²): the mean of a Rayleigh distribution of scale √1000.
    let gap = (std::f64::consts::FRAC_PI_2 * 1000.0).sqrt();
    for (estimate, sign) in [(last(&means.kappa_plus), 1.0), (last(&means.kappa_minus), -1.0)] {
        // Normal limit: corrections of relative order tr H³/(tr H²)^{3/2} ~ 2 % of a standard deviation.
        assert!((estimate.value - (600.0 + sign * gap)).abs() < 4.0 * estimate.std_error + 1.0);
    }
}

#[test]
fn projections_on_more_directions_agree_with_planes_and_interlace() {
    let quadratic = Quadratic::rotated((0..12).map(|i| f64::from(i) - 4.0).collect(), 2).unwrap();
    let point = quadratic.at(&quadratic.critical_point(), 0).unwrap();
    let pairs = sample_subspaces(&*point, 12, 2, 30, 9, Threading::Spread).unwrap();
    for (pair, plane) in pairs.iter().zip(ensemble(&quadratic, 30, 9).planes) {
        let curvatures = plane.curvatures();
        let size = curvatures.plus.abs() + curvatures.minus.abs();
        assert!((pair.curvatures[0] - curvatures.minus).abs() < 1e-13 * size);
        assert!((pair.curvatures[1] - curvatures.plus).abs() < 1e-13 * size);
        assert_eq!(pair.is_saddle(), curvatures.shape() == PlaneShape::Saddle);
    }
    let sequential = sample_subspaces(&*point, 12, 5, 10, 9, Threading::Sequential).unwrap();
    assert_eq!(sequential, sample_subspaces(&*point, 12, 5, 10, 9, Threading::Spread).unwrap());
    for draw in sequential {
        // The leading 2 × 2 block is a plane of the same subspace: Cauchy interlacing.
        let block = PlaneHessian { a: draw.matrix[0], b: draw.matrix[1], c: draw.matrix[6] }.curvatures();
        assert!(draw.curvatures[0] <= block.minus + 1e-10 && block.plus <= draw.curvatures[4] + 1e-10);
        assert!(draw.curvatures.windows(2).all(|w| w[0] <= w[1]));
    }
}

#[test]
fn impossible_ensembles_are_refused() {
    let loss = SignedSquares::balanced(1).unwrap();
    let point = loss.at(&loss.critical_point(), 0).unwrap();
    let many = sample_subspaces(&*point, 3, 4, 1, 0, Threading::Sequential);
    assert_eq!(many, Err(EnsembleError::Directions { k: 4, n: 3 }));
    let none = sample_subspaces(&*point, 3, 0, 1, 0, Threading::Sequential);
    assert_eq!(none, Err(EnsembleError::Directions { k: 0, n: 3 }));
    assert_eq!(sample_planes(&*point, 0, options(1, 0), &mut go_on), Err(EnsembleError::Empty));
    assert!(matches!(
        sample_planes(&*point, 1, options(1, 0), &mut go_on),
        Err(EnsembleError::Directions { .. })
    ));
    assert!(sample_planes(&*point, 3, options(0, 0), &mut go_on).unwrap().planes.is_empty());
}
