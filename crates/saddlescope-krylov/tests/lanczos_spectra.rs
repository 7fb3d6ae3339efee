//! The eigensolver against spectra that are known.

use saddlescope_krylov::testkit::{PrescribedSpectrum, wishart_spikes};
use saddlescope_krylov::{
    BasisLimit, Counted, DenseOperator, Eigensolution, ExtremeEigen, FnOperator, LanczosError,
    LinearOperator, Precision, Status, SymmetricOperator, extreme_eigenpairs,
};

fn solve(a: &dyn SymmetricOperator, options: &ExtremeEigen) -> Eigensolution {
    let counted = Counted::new(a);
    let s = extreme_eigenpairs(&counted, options, &mut ()).unwrap();
    assert_eq!(s.products, counted.products(), "products must be counted truly");
    assert!(s.products <= options.max_products);
    for p in s.pairs.iter().filter(|p| p.residual.is_finite()) {
        let mut av = vec![0.0; p.vector.len()];
        a.apply(&p.vector, &mut av).unwrap();
        let r: f64 = av.iter().zip(&p.vector).map(|(a, v)| (a - p.value * v).powi(2)).sum::<f64>().sqrt();
        // The same product again: only the order of the sum differs.
        assert!((r - p.residual).abs() <= 1e-12 * (1.0 + p.value.abs()), "residual {} is {r}", p.residual);
        let norm: f64 = p.vector.iter().map(|v| v * v).sum();
        assert!((norm - 1.0).abs() < 1e-12);
        let largest = p.vector.iter().copied().fold(0.0f64, |a, v| if v.abs() > a.abs() { v } else { a });
        assert!(largest > 0.0, "the sign of an eigenvector is fixed");
    }
    s
}

/// Every pair is within its own residual of the expected value: |λ − λ'| ≤ r.
fn assert_values(s: &Eigensolution, expected: &[f64], rounding: f64) {
    assert_eq!(s.status, Status::Converged, "{}", s.status);
    assert_eq!(s.pairs.len(), expected.len());
    for (p, e) in s.pairs.iter().zip(expected) {
        assert!((p.value - e).abs() <= p.residual + rounding, "{} ± {} is not {e}", p.value, p.residual);
        assert!(p.converged);
    }
}

fn ends(values: &[f64], largest: usize, smallest: usize) -> Vec<f64> {
    let mut v = values.to_vec();
    v.sort_by(|a, b| b.total_cmp(a));
    [&v[..largest], &v[v.len() - smallest..]].concat()
}

/// The paper's ResNet: −16.4 and 5007.9 around a bulk near 0.
fn resnet_like(n: usize) -> Vec<f64> {
    let mut v: Vec<f64> = (0..n).map(|i| ((i as f64 / n as f64) - 0.3).powi(3) * 10.0).collect();
    v[0] = -16.4;
    v[1] = 5007.9;
    for i in 0..9 {
        v[2 + i] = 3000.0 * 0.7f64.powi(i as i32);
    }
    v
}

#[test]
fn a_small_negative_eigenvalue_beside_a_large_one() {
    let values = resnet_like(3000);
    let a = PrescribedSpectrum::new(values.clone(), 1);
    for (precision, tolerance) in [(Precision::F64, 1e-8), (Precision::F32, 1e-3)] {
        let options = ExtremeEigen { precision, tolerance, ..ExtremeEigen::ends(3, 1) };
        let s = solve(&a, &options);
        // Rounding of an operator of norm 5007.9: a few ε‖A‖.
        assert_values(&s, &ends(&values, 3, 1), 1e-10);
        assert_eq!(s.restarts, 0, "no restart before the basis is full");
        assert!(s.products < 80, "{} products", s.products);
    }
}

#[test]
fn a_small_basis_restarts_and_finds_the_same() {
    let values = resnet_like(2000);
    let a = PrescribedSpectrum::new(values.clone(), 2);
    for block_size in [1, 2, 3] {
        for precision in [Precision::F64, Precision::F32] {
            let tolerance = if precision == Precision::F64 { 1e-8 } else { 1e-3 };
            let options = ExtremeEigen {
                basis_limit: BasisLimit::Vectors(18),
                block_size,
                precision,
                tolerance,
                ..ExtremeEigen::ends(2, 1)
            };
            let s = solve(&a, &options);
            assert_values(&s, &ends(&values, 2, 1), 1e-9);
            assert!(s.state.basis_len() <= 18);
            assert!(s.restarts > 0 || precision == Precision::F32);
        }
    }
}

/// (2.23) and (2.28): eigenvalues ±1 hundreds of times and a zero.
#[test]
fn the_analytic_losses() {
    for plus in [500, 800] {
        let values: Vec<f64> = (0..1001)
            .map(|i| {
                if i < plus {
                    1.0
                } else if i < 1000 {
                    -1.0
                } else {
                    0.0
                }
            })
            .collect();
        let diagonal = FnOperator::new(1001, |x: &[f64], y: &mut [f64]| {
            y.iter_mut().zip(x).zip(&values).for_each(|((y, x), v)| *y = v * x);
        });
        let mixed = PrescribedSpectrum::new(values.clone(), 3);
        let operators: [&dyn SymmetricOperator; 2] = [&diagonal, &mixed];
        for a in operators {
            for (largest, smallest) in [(1, 1), (2, 2), (1, 2), (5, 3), (0, 4), (3, 0)] {
                for precision in [Precision::F64, Precision::F32] {
                    for block_size in [1, 2] {
                        let options = ExtremeEigen {
                            precision,
                            block_size,
                            tolerance: 1e-5,
                            ..ExtremeEigen::ends(largest, smallest)
                        };
                        let s = solve(a, &options);
                        assert_values(&s, &ends(&values, largest, smallest), 1e-12);
                        assert!(s.products <= 60, "{} products", s.products);
                    }
                }
            }
        }
    }
}

#[test]
fn simple_ends_of_a_few_distinct_values_are_not_padded_with_inner_ones() {
    // 5, 4, 3 once and 0 often: the second largest is 4 whatever the order in which they are found.
    let mut values = vec![0.0; 300];
    values[..3].copy_from_slice(&[5.0, 4.0, 3.0]);
    let a = PrescribedSpectrum::new(values.clone(), 4);
    for k in 1..8 {
        let s = solve(&a, &ExtremeEigen::ends(k, 1));
        assert_values(&s, &ends(&values, k, 1), 1e-12);
    }
    // 5 three times: all copies are found although the recurrence ends after two products.
    let mut values = vec![1.0; 200];
    values[..3].copy_from_slice(&[5.0; 3]);
    let a = PrescribedSpectrum::new(values.clone(), 5);
    for k in 1..6 {
        let s = solve(&a, &ExtremeEigen::ends(k, 0));
        assert_values(&s, &ends(&values, k, 0), 1e-12);
    }
}

#[test]
fn clusters() {
    let mut values: Vec<f64> = (0..1000).map(|i| (i as f64 * 0.7).sin()).collect();
    for i in 0..4 {
        values[i] = 10.0 + 1e-5 * i as f64;
        values[10 + i] = -4.0 - 1e-6 * i as f64;
    }
    let a = PrescribedSpectrum::new(values.clone(), 6);
    for block_size in [1, 4] {
        for vectors in [40, 128] {
            let options = ExtremeEigen {
                tolerance: 1e-10,
                block_size,
                basis_limit: BasisLimit::Vectors(vectors),
                ..ExtremeEigen::ends(4, 4)
            };
            assert_values(&solve(&a, &options), &ends(&values, 4, 4), 1e-12);
        }
    }
}

#[test]
fn decaying_spectra_and_rank_deficiency() {
    let n = 1000;
    let spectra: [Vec<f64>; 4] = [
        (0..n).map(|i| 0.7f64.powi(i)).collect(),
        (1..=n).map(|i| f64::from(i).powf(-1.0)).collect(),
        (1..=n).map(|i| f64::from(i).powf(-2.0)).collect(),
        (0..n).map(|i| if i < 20 { f64::from(i + 1) } else { 0.0 }).collect(),
    ];
    for (i, values) in spectra.iter().enumerate() {
        let a = PrescribedSpectrum::new(values.clone(), i as u64);
        let s = solve(&a, &ExtremeEigen { tolerance: 1e-8, ..ExtremeEigen::ends(6, 0) });
        assert_values(&s, &ends(values, 6, 0), 1e-12);
    }
    let a = PrescribedSpectrum::new(spectra[3].clone(), 9);
    let s = solve(&a, &ExtremeEigen { tolerance: 1e-8, ..ExtremeEigen::ends(2, 2) });
    assert_values(&s, &[20.0, 19.0, 0.0, 0.0], 1e-12);
}

#[test]
fn spiked_wishart_against_the_dense_solver() {
    let a = wishart_spikes(400, 400, &[5.0, 4.0, 3.0], 11);
    let mut dense = a.eigenvalues().unwrap();
    dense.reverse();
    let s = solve(&a, &ExtremeEigen { tolerance: 1e-9, max_products: 3000, ..ExtremeEigen::ends(5, 0) });
    // Both solvers are backward stable: a few ε‖A‖ n.
    assert_values(&s, &dense[..5], 1e-11);
    // The limits for n → ∞; fluctuations are of order √(2/n)·s ≈ 0.35 here.
    for (p, limit) in s.pairs.iter().zip([6.25, 5.0 + 1.0 / 3.0, 4.5]) {
        assert!((p.value - limit).abs() < 0.8, "{} is far from {limit}", p.value);
    }
}

#[test]
fn largest_magnitude() {
    let values: Vec<f64> =
        (0..500).map(|i| f64::from(i) / 500.0 - 0.7).chain([-9.0, 8.0, 7.0, -6.5]).collect();
    let a = PrescribedSpectrum::new(values, 12);
    let s = solve(&a, &ExtremeEigen { tolerance: 1e-8, ..ExtremeEigen::largest_magnitude(4) });
    assert_values(&s, &[-9.0, 8.0, 7.0, -6.5], 1e-12);
    assert!(s.largest().is_empty() && s.smallest().is_empty());
}

#[test]
fn tiny_and_empty_spaces() {
    let none = DenseOperator::from_diagonal(&[]);
    let s = solve(&none, &ExtremeEigen::default());
    assert_eq!((s.status, s.pairs.len(), s.products), (Status::InvariantSubspace, 0, 0));

    let one = DenseOperator::from_diagonal(&[-3.0]);
    let s = solve(&one, &ExtremeEigen::default());
    assert_values(&s, &[-3.0], 0.0);
    assert_eq!((s.largest()[0].value, s.smallest()[0].value), (-3.0, -3.0));

    for n in 1..9usize {
        let values: Vec<f64> = (0..n).map(|i| i as f64 - 2.5).collect();
        let a = PrescribedSpectrum::new(values.clone(), n as u64);
        for block_size in [1, 2, 5] {
            let options = ExtremeEigen { block_size, ..ExtremeEigen::ends(3, 2) };
            let s = solve(&a, &options);
            let expected = if n >= 3 { Status::Converged } else { Status::InvariantSubspace };
            assert_eq!(s.status, expected);
            assert_eq!(s.pairs.len(), n.min(5));
            assert_eq!(s.largest().len(), n.min(3));
            assert_eq!(s.smallest().len(), n.min(2));
            assert!((s.largest()[0].value - values[n - 1]).abs() < 1e-12);
            assert!((s.smallest().last().unwrap().value - values[0]).abs() < 1e-12);
        }
    }
}

#[test]
fn zero_operator() {
    for n in [1, 2, 50] {
        let zero = DenseOperator::from_diagonal(&vec![0.0; n]);
        let s = solve(&zero, &ExtremeEigen::default());
        assert_eq!(s.status, Status::Converged);
        assert!(s.pairs.iter().all(|p| p.value == 0.0 && p.residual == 0.0));
        assert_eq!(s.pairs.len(), n.min(2));
    }
}

#[test]
fn not_a_number() {
    let nan = FnOperator::new(20, |_: &[f64], y: &mut [f64]| y.fill(f64::NAN));
    let s = solve(&nan, &ExtremeEigen::default());
    assert_eq!((s.status, s.pairs.len()), (Status::NonFinite, 0));

    let calls = std::sync::atomic::AtomicUsize::new(0);
    let later = FnOperator::new(100, |x: &[f64], y: &mut [f64]| {
        let bad = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 7;
        for (i, (y, x)) in y.iter_mut().zip(x).enumerate() {
            *y = if bad && i == 50 { f64::INFINITY } else { i as f64 * x };
        }
    });
    let s =
        extreme_eigenpairs(&later, &ExtremeEigen { tolerance: 1e-12, ..ExtremeEigen::default() }, &mut ());
    assert_eq!(s.unwrap().status, Status::NonFinite);
}

#[test]
fn a_budget_that_is_too_small_is_kept_and_said() {
    let values: Vec<f64> = (0..2000).map(f64::from).collect();
    let a = PrescribedSpectrum::new(values, 13);
    for max_products in [0, 1, 2, 3, 10, 41] {
        let s = solve(&a, &ExtremeEigen { max_products, tolerance: 1e-9, ..ExtremeEigen::ends(2, 2) });
        assert_eq!(s.status, Status::MaxMatvecs);
        assert!(s.pairs.iter().all(|p| !p.converged));
        assert!(s.pairs.len() <= 4);
        if max_products >= 10 {
            assert!(s.pairs.len() == 4 && s.pairs.iter().all(|p| p.residual.is_finite()));
            assert_eq!(s.products, max_products);
        }
    }
}

#[test]
fn a_tolerance_below_rounding_ends_with_advice() {
    let values: Vec<f64> = (0..400).map(|i| (f64::from(i) * 0.1).exp().min(1e6)).collect();
    let a = PrescribedSpectrum::new(values, 14);
    let noise = FnOperator::new(400, |x: &[f64], y: &mut [f64]| {
        a.apply(x, y).unwrap();
        // A single-precision engine: every entry is rounded.
        y.iter_mut().for_each(|y| *y = f64::from(*y as f32));
    });
    let options = ExtremeEigen {
        tolerance: 1e-12,
        absolute_tolerance: Some(0.0),
        max_products: 500,
        ..ExtremeEigen::ends(2, 1)
    };
    let s = extreme_eigenpairs(&noise, &options, &mut ()).unwrap();
    assert!(matches!(s.status, Status::Stagnated | Status::MaxMatvecs), "{:?}", s.status);
    assert!(s.status.to_string().contains("tolerance"));
    assert!(s.pairs[0].residual < 1.0);
}

#[test]
fn impossible_requests() {
    let a = DenseOperator::from_diagonal(&[1.0; 40]);
    let error = |o: ExtremeEigen| extreme_eigenpairs(&a, &o, &mut ()).unwrap_err();
    let base = ExtremeEigen::default();
    assert!(matches!(error(ExtremeEigen::ends(0, 0)), LanczosError::NothingWanted));
    assert!(matches!(
        error(ExtremeEigen { tolerance: f64::NAN, ..base.clone() }),
        LanczosError::Tolerance { .. }
    ));
    assert!(matches!(
        error(ExtremeEigen { tolerance: -1.0, ..base.clone() }),
        LanczosError::Tolerance { .. }
    ));
    assert!(matches!(error(ExtremeEigen { block_size: 0, ..base.clone() }), LanczosError::BlockSize));
    let bytes = ExtremeEigen { basis_limit: BasisLimit::Bytes(40 * 8 * 3), ..base.clone() };
    let bytes = error(bytes);
    assert!(matches!(bytes, LanczosError::BasisTooSmall { given: 3, needed: 6, bytes: 1920 }), "{bytes}");
    assert!(matches!(
        error(ExtremeEigen { start: vec![vec![1.0; 3]], ..base.clone() }),
        LanczosError::StartLength { index: 0, found: 3, expected: 40 }
    ));
    assert!(matches!(
        error(ExtremeEigen { start: vec![vec![0.0; 40]], ..base }),
        LanczosError::StartNorm { index: 0, .. }
    ));
}

#[test]
fn a_good_start_saves_products() {
    // Both ends a little outside of a bulk that fills [-1, 1].
    let mut values: Vec<f64> = (0..5000).map(|i| f64::from(i) / 2500.0 - 1.0).collect();
    values[0] = -1.2;
    values[1] = 1.3;
    let a = PrescribedSpectrum::new(values, 15);
    let cold = solve(&a, &ExtremeEigen { tolerance: 1e-3, ..ExtremeEigen::default() });
    // Eigenvectors of a nearby operator: 5 % off.
    let start: Vec<Vec<f64>> = [1, 0]
        .iter()
        .map(|&i| {
            let mut v = a.eigenvector(i);
            let mut z = vec![0.0; v.len()];
            saddlescope_krylov::Stream::new(1, "off", i as u64).fill_normal(&mut z);
            let scale = 0.05 / (v.len() as f64).sqrt();
            v.iter_mut().zip(z).for_each(|(v, z)| *v += scale * z);
            v
        })
        .collect();
    let warm = solve(&a, &ExtremeEigen { tolerance: 1e-3, start: start.clone(), ..ExtremeEigen::default() });
    assert_values(&warm, &[1.3, -1.2], 1e-12);
    assert!(warm.products * 4 < cold.products * 3, "warm {} cold {}", warm.products, cold.products);
    let block = ExtremeEigen { tolerance: 1e-3, start, block_size: 2, ..ExtremeEigen::default() };
    assert_values(&solve(&a, &block), &[1.3, -1.2], 1e-12);
}

#[test]
fn a_start_inside_an_inner_eigenspace_is_no_trap() {
    let values: Vec<f64> = (0..500).map(|i| f64::from(i) - 100.0).collect();
    let a = PrescribedSpectrum::new(values.clone(), 16);
    let start = vec![a.eigenvector(250)];
    let s = solve(&a, &ExtremeEigen { start, tolerance: 1e-8, ..ExtremeEigen::default() });
    assert_values(&s, &ends(&values, 1, 1), 1e-9);
}
