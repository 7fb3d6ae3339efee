use super::*;
use crate::{CheckOptions, Curvature, check_risk, random};
use nalgebra::DMatrix;

fn all() -> Vec<(&'static str, Box<dyn KnownCriticalPoint>)> {
    let spectrum: Vec<f64> = (0..17).map(|i| (f64::from(i) - 6.0) * 0.7).collect();
    vec![
        ("loss (2.23)", Box::new(SignedSquares::balanced(7).unwrap())),
        ("loss (2.28)", Box::new(SignedSquares::new(7, 10).unwrap())),
        ("diagonal quadratic", Box::new(Quadratic::diagonal(spectrum.clone()).unwrap())),
        (
            "rotated quadratic",
            Box::new(Quadratic::rotated(spectrum, 3).unwrap().centered_at(vec![0.3; 17]).unwrap()),
        ),
        ("Rosenbrock", Box::new(Rosenbrock::new(6).unwrap())),
        ("monkey saddle", Box::new(MonkeySaddle::new())),
        ("Himmelblau", Box::new(Himmelblau::new())),
    ]
}

#[test]
fn every_objective_passes_the_conformance_kit_at_its_critical_point_and_elsewhere() {
    for (name, objective) in all() {
        let critical = objective.critical_point();
        let mut elsewhere = critical.clone();
        let mut shift = vec![0.0; critical.len()];
        random::fill_normal(5, 0, &mut shift);
        elsewhere.iter_mut().zip(&shift).for_each(|(x, s)| *x += 0.5 * s);
        for theta in [critical, elsewhere] {
            check_risk(&*objective, &theta, &CheckOptions::default())
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}

#[test]
fn the_gradient_vanishes_at_the_critical_point() {
    for (name, objective) in all() {
        let mut gradient = vec![1.0; objective.dim()];
        objective.gradient(&objective.critical_point(), &mut gradient).unwrap();
        // Every term is exactly zero in floating point for these functions.
        assert!(gradient.iter().all(|g| *g == 0.0), "{name}: {gradient:?}");
    }
}

#[test]
fn the_dense_hessian_has_the_stated_curvatures() {
    for (name, objective) in all() {
        let n = objective.dim();
        let mut identity = vec![0.0; n * n];
        (0..n).for_each(|i| identity[i * n + i] = 1.0);
        let mut hessian = vec![0.0; n * n];
        objective
            .at(&objective.critical_point(), 0)
            .unwrap()
            .product(Curvature::Hessian, &identity, &mut hessian)
            .unwrap();
        let mut found: Vec<f64> =
            DMatrix::from_row_slice(n, n, &hessian).symmetric_eigenvalues().iter().copied().collect();
        found.sort_by(f64::total_cmp);
        let stated: Vec<f64> =
            objective.curvatures().iter().flat_map(|&(v, count)| std::iter::repeat_n(v, count)).collect();
        assert_eq!(found.len(), stated.len(), "{name}");
        let size = stated.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        for (f, s) in found.iter().zip(&stated) {
            // A dense symmetric solver is backward stable: errors of a few n ε ‖H‖.
            assert!((f - s).abs() <= 1e-13 * size, "{name}: {f} against {s}");
        }
    }
}

#[test]
fn the_papers_losses_have_the_papers_numbers() {
    let first = SignedSquares::balanced(500).unwrap();
    assert_eq!(
        (first.dim(), first.trace(), first.trace_of_square(), first.index()),
        (1001, 0.0, 1000.0, 500)
    );
    let second = SignedSquares::new(500, 800).unwrap();
    // 2(ñ − n) = 600 and 2n − ñ = 200 negative curvatures, where the paper prints n.
    assert_eq!((second.dim(), second.trace(), second.index()), (1001, 600.0, 200));
    assert_eq!(second.mean_curvature(), 600.0 / 1001.0);
    let third = SignedSquares::new(900, 1000).unwrap();
    assert_eq!((third.dim(), third.trace(), third.index()), (1801, 200.0, 800));
}

#[test]
fn eigenvectors_are_eigenvectors() {
    let loss = SignedSquares::new(5, 7).unwrap();
    let point = loss.at(&loss.critical_point(), 0).unwrap();
    let mut product = vec![0.0; 11];
    for (axis, sign) in [(loss.positive_axis(6), 1.0), (loss.negative_axis(2), -1.0)] {
        let axis = axis.unwrap();
        point.product(Curvature::Hessian, &axis, &mut product).unwrap();
        assert!(product.iter().zip(&axis).all(|(h, v)| *h == sign * v));
    }
    assert!(loss.positive_axis(7).is_none() && loss.negative_axis(3).is_none());

    let quadratic = Quadratic::rotated(vec![3.0, -2.0, 0.5, 0.0, 7.0], 9).unwrap();
    let point = quadratic.at(&quadratic.critical_point(), 0).unwrap();
    for (i, lambda) in quadratic.eigenvalues().iter().enumerate() {
        let vector = quadratic.eigenvector(i).unwrap();
        let mut product = vec![0.0; 5];
        point.product(Curvature::Hessian, &vector, &mut product).unwrap();
        // Three reflections each way, every one accurate to a few ε.
        assert!(product.iter().zip(&vector).all(|(h, v)| (h - lambda * v).abs() < 1e-14));
    }
}

#[test]
fn impossible_objectives_are_refused() {
    assert!(matches!(SignedSquares::balanced(0), Err(AnalyticError::PairsOutOfRange { .. })));
    assert!(matches!(SignedSquares::balanced(usize::MAX), Err(AnalyticError::PairsOutOfRange { .. })));
    assert!(matches!(SignedSquares::new(3, 7), Err(AnalyticError::PositiveCountOutOfRange { .. })));
    assert!(matches!(Quadratic::diagonal(vec![]), Err(AnalyticError::TooFewCoordinates { .. })));
    assert!(matches!(
        Quadratic::diagonal(vec![1.0, f64::NAN]),
        Err(AnalyticError::NotFinite { index: 1, .. })
    ));
    let quadratic = Quadratic::diagonal(vec![1.0, 2.0]).unwrap();
    assert!(matches!(quadratic.centered_at(vec![0.0]), Err(AnalyticError::CenterLength { .. })));
    assert!(matches!(Rosenbrock::new(1), Err(AnalyticError::TooFewCoordinates { .. })));
}
