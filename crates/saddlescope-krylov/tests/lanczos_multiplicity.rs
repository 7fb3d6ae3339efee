//! Spectra with repeated eigenvalues, blocks: every copy that is asked for must be found, as long as the basis is
//! large enough for the recurrence to end before it restarts.

use proptest::prelude::*;
use saddlescope_krylov::testkit::PrescribedSpectrum;
use saddlescope_krylov::{
    BasisLimit, ExtremeEigen, FnOperator, LinearOperator, Precision, Status, Wanted, extreme_eigenpairs,
};

fn expected(values: &[f64], wanted: Wanted) -> Vec<f64> {
    let mut v = values.to_vec();
    match wanted {
        Wanted::Ends { largest, smallest } => {
            v.sort_by(|a, b| b.total_cmp(a));
            let n = v.len();
            (0..n).filter(|&i| i < largest || i + smallest >= n).map(|i| v[i]).collect()
        }
        Wanted::LargestMagnitude(k) => {
            // Which of ±λ comes first is chance, so only magnitudes are compared.
            v.iter_mut().for_each(|x| *x = x.abs());
            v.sort_by(|a, b| b.total_cmp(a));
            v.truncate(k);
            v
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn all_copies_are_found(
        values in proptest::collection::vec(-2i32..3, 1..60),
        largest in 0usize..4,
        smallest in 0usize..4,
        magnitude in any::<bool>(),
        diagonal in any::<bool>(),
        single in any::<bool>(),
        block_size in 1usize..4,
        tight in any::<bool>(),
        seed in 0u64..1000,
    ) {
        prop_assume!(largest + smallest > 0);
        let values: Vec<f64> = values.into_iter().map(f64::from).collect();
        let n = values.len();
        let wanted =
            if magnitude { Wanted::LargestMagnitude(largest + smallest) } else { Wanted::Ends { largest, smallest } };
        let options = ExtremeEigen {
            wanted,
            precision: if single { Precision::F32 } else { Precision::F64 },
            block_size,
            seed,
            tolerance: 1e-4,
            basis_limit: BasisLimit::Vectors(if tight { 40 } else { 128 }),
            ..ExtremeEigen::default()
        };
        let mixed = PrescribedSpectrum::new(values.clone(), seed);
        let plain = FnOperator::new(n, |x: &[f64], y: &mut [f64]| {
            y.iter_mut().zip(x).zip(&values).for_each(|((y, x), v)| *y = v * x);
        });
        let s = if diagonal {
            extreme_eigenpairs(&plain, &options, &mut ())
        } else {
            extreme_eigenpairs(&mixed, &options, &mut ())
        }.unwrap();
        let found: Vec<f64> =
            s.pairs.iter().map(|p| if magnitude { p.value.abs() } else { p.value }).collect();
        let exact = expected(&values, wanted);
        prop_assert!(matches!(s.status, Status::Converged | Status::InvariantSubspace), "{}", s.status);
        prop_assert_eq!(found.len(), exact.len());
        for (f, e) in found.iter().zip(&exact) {
            // Tolerance 1e-4 |λ| on the residual bounds the error of the value.
            prop_assert!((f - e).abs() <= 2e-4 * (1.0 + e.abs()), "found {:?}, exact {:?}", found, exact);
        }
        // No pair is found twice.
        for i in 0..s.pairs.len() {
            for j in 0..i {
                let d: f64 = s.pairs[i].vector.iter().zip(&s.pairs[j].vector).map(|(a, b)| a * b).sum();
                prop_assert!(d.abs() < 1e-3, "vectors {i} and {j} overlap by {d}");
            }
        }
    }
}

/// An engine that computes in single precision: neither linear nor symmetric beyond 1e-7.
#[test]
fn a_single_precision_operator_is_no_obstacle() {
    let n = 4000;
    let mut values: Vec<f64> = (0..n).map(|i| 5.0 * (2.0 * i as f64 / n as f64 - 1.0).powi(3)).collect();
    values[0] = -16.4;
    values[1] = 5007.9;
    for i in 0..8 {
        values[2 + i] = 3000.0 * 0.6f64.powi(i as i32);
    }
    let exact = PrescribedSpectrum::new(values, 1);
    let noisy = FnOperator::new(n, |x: &[f64], y: &mut [f64]| {
        let x: Vec<f64> = x.iter().map(|x| f64::from(*x as f32)).collect();
        exact.apply(&x, y).unwrap();
        y.iter_mut().for_each(|y| *y = f64::from(*y as f32));
    });
    for precision in [Precision::F32, Precision::F64] {
        for vectors in [14, 128] {
            let options = ExtremeEigen {
                tolerance: 1e-3,
                precision,
                basis_limit: BasisLimit::Vectors(vectors),
                ..ExtremeEigen::ends(2, 1)
            };
            let s = extreme_eigenpairs(&noisy, &options, &mut ()).unwrap();
            assert_eq!(s.status, Status::Converged, "{}", s.status);
            for (p, e) in s.pairs.iter().zip([5007.9, 3000.0, -16.4]) {
                // The residual bound, and the operator's own error of about 6e-8 · 5007.9.
                assert!((p.value - e).abs() <= p.residual + 3e-4, "{} ± {} is not {e}", p.value, p.residual);
            }
            assert!(s.products < 60, "{} products", s.products);
        }
    }
}

/// Copies found after restarts agree only within their residuals; they must still be seen as copies.
#[test]
fn copies_found_after_restarts_are_recognised() {
    let values = [0, -2, -2, -1, 0, 1, -1, -2, -2, 1, -1, -1, 0, 0, 1, 2].map(f64::from).to_vec();
    let a = PrescribedSpectrum::new(values, 522);
    let options = ExtremeEigen { seed: 522, basis_limit: BasisLimit::Vectors(7), ..ExtremeEigen::ends(0, 3) };
    let s = extreme_eigenpairs(&a, &options, &mut ()).unwrap();
    assert_eq!(s.status, Status::Converged, "{}", s.status);
    assert!(s.restarts > 0 && s.pairs.iter().all(|p| (p.value + 2.0).abs() <= p.residual + 1e-13));
}

/// A recurrence that has ended leaves a remainder of rounding errors; one a little too large to be taken for zero must
/// not pass for convergence before all copies are found.
#[test]
fn a_remainder_of_rounding_errors_does_not_hide_copies() {
    let cases: [(&[i32], usize, usize, u64, Precision); 3] = [
        (&[-1, 2, 2, -2, -2, -2, -1, -1, 0, 2, 1, -1, 0, -2, 2, 2, -2], 2, 3, 395, Precision::F64),
        (&[-2, -1, -2, -2, 1, -2, 2, -1, 2, 2, -2, 0, -1, 1, 1, -1, -2, 2, 2], 2, 3, 631, Precision::F64),
        (
            &[2, -2, 0, -2, -1, -1, 2, 0, 2, 0, -2, -2, 1, 0, 0, -2, 2, 2, -2, -1, 0],
            3,
            0,
            553,
            Precision::F32,
        ),
    ];
    for (values, largest, smallest, seed, precision) in cases {
        let values: Vec<f64> = values.iter().copied().map(f64::from).collect();
        let a = PrescribedSpectrum::new(values.clone(), seed);
        let options =
            ExtremeEigen { precision, block_size: 2, seed, ..ExtremeEigen::ends(largest, smallest) };
        let s = extreme_eigenpairs(&a, &options, &mut ()).unwrap();
        let found: Vec<f64> = s.pairs.iter().map(|p| p.value.round()).collect();
        assert_eq!(found, expected(&values, options.wanted), "seed {seed}");
    }
}
