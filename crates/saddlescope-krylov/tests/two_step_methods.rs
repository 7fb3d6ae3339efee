//! Algorithm 1 of the paper and power iteration.

use saddlescope_krylov::testkit::PrescribedSpectrum;
use saddlescope_krylov::{
    ConditionB1, Counted, DenseOperator, ExtremeEigen, FnOperator, LanczosError, PowerIteration, Shifted,
    Status, algorithm1, extreme_eigenpairs, power_iteration,
};

fn with_ends(n: usize, low: f64, high: f64) -> PrescribedSpectrum {
    let mut values: Vec<f64> = (0..n).map(|i| ((i as f64) * 0.77).sin()).collect();
    values[0] = low;
    values[1] = high;
    PrescribedSpectrum::new(values, 1)
}

#[test]
fn finds_both_ends_at_a_saddle() {
    for (low, high) in [(-16.4, 5007.9), (-109.1, 1937.5), (-50.0, 20.0)] {
        let a = with_ends(1000, low, high);
        let counted = Counted::new(&a);
        let options = ExtremeEigen { tolerance: 1e-6, ..ExtremeEigen::default() };
        let found = algorithm1(&counted, &options, &mut ()).unwrap();
        assert_eq!(found.status, Status::Converged);
        assert_eq!(found.condition, Some(ConditionB1::Holds));
        assert_eq!(found.products, counted.products(), "products must be counted truly");
        assert!(found.products_first < found.products);
        let (max, min) = (found.maximum().unwrap(), found.minimum().unwrap());
        for (pair, exact) in [(max, high), (min, low)] {
            assert!((pair.value - exact).abs() <= pair.residual + 1e-10, "{} {exact}", pair.value);
            // The residual is that of A although the second solve ran on A − λ₁I.
            let mut image = vec![0.0; 1000];
            saddlescope_krylov::LinearOperator::apply(&a, &pair.vector, &mut image).unwrap();
            let r: f64 =
                image.iter().zip(&pair.vector).map(|(a, v)| (a - pair.value * v).powi(2)).sum::<f64>().sqrt();
            // Adding and subtracting λ₁ rounds at ε|λ₁|.
            assert!((r - pair.residual).abs() < 1e-11, "{r} {}", pair.residual);
            assert!(r <= 1e-6 * pair.value.abs() && pair.converged);
        }
        let one_space = extreme_eigenpairs(&a, &options, &mut ()).unwrap();
        assert!(one_space.is_converged());
        assert!(one_space.products < found.products, "{} {}", one_space.products, found.products);
    }
}

#[test]
fn condition_b1_is_checked() {
    let options = ExtremeEigen { tolerance: 1e-8, ..ExtremeEigen::default() };
    let positive = PrescribedSpectrum::new((1..=100).map(f64::from).collect(), 2);
    let found = algorithm1(&positive, &options, &mut ()).unwrap();
    assert_eq!(found.condition, Some(ConditionB1::NoOppositeSign));
    assert!(
        (found.minimum().unwrap().value - 1.0).abs() < 1e-7,
        "the second pair is the smallest eigenvalue"
    );
    assert!(found.condition.unwrap().to_string().contains("opposite sign"));

    let tied = with_ends(300, -7.0, 7.0);
    let found = algorithm1(&tied, &options, &mut ()).unwrap();
    assert_eq!(found.condition, Some(ConditionB1::EqualMagnitude));
    assert!((found.maximum().unwrap().value - 7.0).abs() < 1e-7);
    assert!((found.minimum().unwrap().value + 7.0).abs() < 1e-7);
}

#[test]
fn algorithm1_on_odd_operators() {
    let options = ExtremeEigen::default();
    let zero = DenseOperator::from_diagonal(&[0.0; 5]);
    let found = algorithm1(&zero, &options, &mut ()).unwrap();
    assert_eq!(found.status, Status::Converged);
    assert_eq!(found.condition, Some(ConditionB1::NoOppositeSign));
    let nan = FnOperator::new(5, |_: &[f64], y: &mut [f64]| y.fill(f64::NAN));
    let found = algorithm1(&nan, &options, &mut ()).unwrap();
    assert_eq!((found.status, found.first.is_none()), (Status::NonFinite, true));
    let empty = DenseOperator::from_diagonal(&[]);
    assert!(algorithm1(&empty, &options, &mut ()).unwrap().first.is_none());
    let a = with_ends(500, -2.0, 3.0);
    let found =
        algorithm1(&a, &ExtremeEigen { max_products: 3, tolerance: 1e-9, ..options }, &mut ()).unwrap();
    assert!(found.status == Status::MaxMatvecs && found.products <= 3);
}

#[test]
fn power_iteration_stops_by_the_residual() {
    let a = with_ends(500, -16.4, 50.0);
    let counted = Counted::new(&a);
    let options = PowerIteration { tolerance: 1e-6, ..PowerIteration::default() };
    let found = power_iteration(&counted, &options, &mut ()).unwrap();
    let pair = found.pair.unwrap();
    assert_eq!((found.status, found.products), (Status::Converged, counted.products()));
    assert!((pair.value - 50.0).abs() <= pair.residual && pair.residual <= 1e-6 * 50.0);
    // The other end, through the shifted operator, to the same true residual.
    let shifted = Shifted::new(&a, -pair.value);
    let options = PowerIteration { offset: pair.value, max_products: 5000, ..options };
    let other = power_iteration(&shifted, &options, &mut ()).unwrap().pair.unwrap();
    assert!((other.value + pair.value + 16.4).abs() <= other.residual + 1e-12);
    assert!(other.residual <= 1e-6 * 16.4);
}

#[test]
fn power_iteration_on_odd_operators() {
    let run = |a: &dyn saddlescope_krylov::SymmetricOperator| {
        power_iteration(a, &PowerIteration { max_products: 50, ..PowerIteration::default() }, &mut ())
            .unwrap()
    };
    let zero = run(&DenseOperator::from_diagonal(&[0.0; 5]));
    assert_eq!((zero.status, zero.pair.unwrap().value), (Status::Converged, 0.0));
    // Equal magnitudes: no convergence, and it says so.
    let tied = run(&DenseOperator::from_diagonal(&[1.0, -1.0, 0.5]));
    assert_eq!((tied.status, tied.pair.unwrap().converged), (Status::MaxMatvecs, false));
    let nan = run(&FnOperator::new(3, |_: &[f64], y: &mut [f64]| y.fill(f64::NAN)));
    assert_eq!((nan.status, nan.pair.is_none()), (Status::NonFinite, true));
    assert_eq!(run(&DenseOperator::from_diagonal(&[])).status, Status::InvariantSubspace);
    let a = DenseOperator::from_diagonal(&[1.0]);
    let bad = PowerIteration { tolerance: f64::INFINITY, ..PowerIteration::default() };
    assert!(matches!(power_iteration(&a, &bad, &mut ()), Err(LanczosError::Tolerance { .. })));
}
