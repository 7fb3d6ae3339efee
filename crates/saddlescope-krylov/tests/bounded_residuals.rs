//! The minimiser of a residual under a bound, against dense linear algebra.

use proptest::prelude::*;
use saddlescope_krylov::testkit::PrescribedSpectrum;
use saddlescope_krylov::{LinearOperator, ResidualSpace, Stream};

fn whole_space(a: &PrescribedSpectrum, b: &[f64]) -> ResidualSpace {
    let mut space = ResidualSpace::new(a, b.to_vec()).unwrap();
    while space.extend(a).unwrap() {}
    space
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn bounded_minimisers_are_those_of_the_eigenbasis(n in 1usize..30, seed in 0u64..10_000, share in 0.05f64..2.0) {
        // Both signs, nothing closer to zero than a tenth.
        let values: Vec<f64> = (0..n).map(|i| (0.1 + i as f64 * 0.37) * if i % 3 == 0 { -1.0 } else { 1.0 }).collect();
        let a = PrescribedSpectrum::new(values.clone(), seed);
        let mut b = vec![0.0; n];
        Stream::new(seed, "b", 0).fill_normal(&mut b);
        let space = whole_space(&a, &b);
        let coefficients: Vec<f64> =
            (0..n).map(|i| a.eigenvector(i).iter().zip(&b).map(|(v, b)| v * b).sum()).collect();
        // x(μ) = Σ λ c / (λ² + μ) v; the unbounded one has μ = 0.
        let exact = |mu: f64| -> Vec<f64> {
            let mut x = vec![0.0; n];
            for i in 0..n {
                let factor = values[i] * coefficients[i] / (values[i] * values[i] + mu);
                x.iter_mut().zip(a.eigenvector(i)).for_each(|(x, v)| *x += factor * v);
            }
            x
        };
        let bound = share * norm(&exact(0.0));
        let found = space.solve(bound);
        let x = space.vector(&found.coordinates).unwrap();
        // Within the bound, and on it to a thousandth where it matters.
        prop_assert!(found.length <= bound * (1.0 + 1e-12));
        prop_assert!((norm(&x) - found.length).abs() <= 1e-10 * found.length);
        if share < 1.0 {
            prop_assert!(found.length >= 0.999 * bound && found.multiplier > 0.0);
        } else {
            prop_assert_eq!(found.multiplier, 0.0);
        }
        // The condition of A is at most 120: its square times rounding.
        let expected = exact(found.multiplier);
        let error = norm(&x.iter().zip(&expected).map(|(x, e)| x - e).collect::<Vec<_>>());
        prop_assert!(error <= 1e-9 * norm(&expected), "{}", error);
        let mut r = vec![0.0; n];
        a.apply(&x, &mut r).unwrap();
        r.iter_mut().zip(&b).for_each(|(r, b)| *r -= b);
        prop_assert!((norm(&r) - found.residual).abs() <= 1e-9 * norm(&b));
    }
}

#[test]
fn a_singular_consistent_system_has_its_shortest_solution() {
    // Kernel of dimension 4; b lies in the range.
    let values = [vec![0.0; 4], vec![-2.0, 1.0, 3.0, 5.0, 0.25]].concat();
    let a = PrescribedSpectrum::new(values.clone(), 3);
    let mut b = vec![0.0; 9];
    let mut shortest = vec![0.0; 9];
    for i in 4..9 {
        let v = a.eigenvector(i);
        b.iter_mut().zip(&v).for_each(|(b, v)| *b += v);
        shortest.iter_mut().zip(&v).for_each(|(x, v)| *x += v / values[i]);
    }
    let space = whole_space(&a, &b);
    let x = space.vector(&space.solve(f64::INFINITY).coordinates).unwrap();
    for (x, e) in x.iter().zip(&shortest) {
        assert!((x - e).abs() < 1e-11, "{x} {e}");
    }
    // Five eigenvalues in the range: five products, and one that shows that there are no more.
    assert!(space.dim() <= 6, "{}", space.dim());
}

#[test]
fn degenerate_inputs_have_no_step() {
    let a = PrescribedSpectrum::new(vec![1.0, -1.0], 0);
    let mut zero = ResidualSpace::new(&a, vec![0.0, 0.0]).unwrap();
    assert!(!zero.extend(&a).unwrap());
    assert_eq!(zero.vector(&zero.solve(1.0).coordinates).unwrap(), [0.0, 0.0]);
    let mut nan = ResidualSpace::new(&a, vec![f64::NAN, 0.0]).unwrap();
    assert!(!nan.extend(&a).unwrap());
    // A zero matrix: nothing lowers the residual.
    let a = PrescribedSpectrum::new(vec![0.0, 0.0], 0);
    let mut space = ResidualSpace::new(&a, vec![3.0, 4.0]).unwrap();
    assert!(!space.extend(&a).unwrap());
    let found = space.solve(1.0);
    assert_eq!((found.residual, space.vector(&found.coordinates).unwrap()), (5.0, vec![0.0, 0.0]));
}

#[test]
fn the_shortest_solution_goes_along_small_eigenvalues_only_as_far_as_it_must() {
    // b has a part of 1e-3 along an eigenvalue of 1e-6: to leave no residual there takes a step of 1e3.
    let values = vec![1e-6, 1.0, -2.0, 3.0];
    let a = PrescribedSpectrum::new(values, 5);
    let mut b = vec![0.0; 4];
    for (i, part) in [1e-3, 1.0, 1.0, 1.0].into_iter().enumerate() {
        b.iter_mut().zip(a.eigenvector(i)).for_each(|(b, v)| *b += part * v);
    }
    let space = whole_space(&a, &b);
    assert!(space.solve(f64::INFINITY).length > 900.0);
    let found = space.shortest(0.01).unwrap();
    assert!(found.residual <= 0.01 && found.residual >= 0.0099, "{found:?}");
    // (1, −1/2, 1/3) has the length 1.17.
    assert!(found.length < 1.2, "{found:?}");
    assert!(space.shortest(1e-12).is_none_or(|s| s.residual <= 1e-12));
    // With no eigenvalue left to lower it further, there is none.
    let singular = PrescribedSpectrum::new(vec![0.0, 1.0, -2.0, 3.0], 5);
    assert!(whole_space(&singular, &b).shortest(1e-4).is_none());
}

#[test]
fn the_lowest_point_of_a_quadratic_model_fulfils_the_conditions_of_a_trust_region() {
    // Definite, indefinite and singular; with bounds that matter and that do not.
    for shift in [0.5, -3.0, 0.0] {
        let n = 12;
        let values: Vec<f64> = (0..n).map(|i| i as f64 + shift).collect();
        let a = PrescribedSpectrum::new(values.clone(), 5);
        let mut b = vec![0.0; n];
        Stream::new(3, "b", 0).fill_normal(&mut b);
        let space = whole_space(&a, &b);
        let in_eigenbasis = |x: &[f64]| -> Vec<f64> {
            (0..n).map(|i| a.eigenvector(i).iter().zip(x).map(|(v, x)| v * x).sum()).collect()
        };
        for bound in [1e-3, 0.3, 100.0] {
            let (found, decrease) = space.lowest(bound).unwrap();
            let x = space.vector(&found.coordinates).unwrap();
            let (mu, length) = (found.multiplier, norm(&x));
            // Rounding times the condition.
            assert!(length <= bound * (1.0 + 1e-9) && (length - found.length).abs() < 1e-10 * length);
            // (A + μI) x = b with A + μI positive semidefinite, and μ = 0 unless the bound is met.
            let (x, c) = (in_eigenbasis(&x), in_eigenbasis(&b));
            for ((x, v), c) in x.iter().zip(&values).zip(&c) {
                assert!(((v + mu) * x - c).abs() < 1e-8, "{shift} {bound}: ({v} + {mu}) {x} is not {c}");
            }
            assert!(mu >= 0.0 && values.iter().all(|v| v + mu >= -1e-12));
            assert!(mu == 0.0 || (length - bound).abs() < 1e-9 * bound, "{shift} {bound}: {mu} {length}");
            let of = |((x, v), c): ((&f64, &f64), &f64)| c * x - 0.5 * v * x * x;
            let expected: f64 = x.iter().zip(&values).zip(&c).map(of).sum();
            assert!((decrease - expected).abs() < 1e-8 * expected.max(1.0) && decrease > 0.0);
        }
    }
}
