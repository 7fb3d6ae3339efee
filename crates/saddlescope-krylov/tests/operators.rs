//! Operators are what they claim to be, and the conformance kit notices when they are not.

use proptest::prelude::*;
use saddlescope_krylov::testkit::{ConformanceError, PrescribedSpectrum, check_operator};
use saddlescope_krylov::{
    Counted, DenseOperator, FnOperator, LinearOperator, OperatorError, Restricted, Scaled, Shifted, Stream,
    Sum,
};

fn random(n: usize, seed: u64) -> DenseOperator {
    let mut entries = vec![0.0; n * n];
    Stream::new(seed, "entries", 0).fill_normal(&mut entries);
    DenseOperator::new(n, entries).unwrap()
}

fn map(a: &DenseOperator, n: usize, f: impl Fn(usize, usize, f64) -> f64) -> Vec<f64> {
    (0..n * n).map(|i| f(i / n, i % n, a.entries()[i])).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn combinations_are_the_matrices_they_stand_for(n in 0usize..25, seed in 0u64..10_000, c in -5.0f64..5.0) {
        let (a, b) = (random(n, seed), random(n, seed + 1));
        // Sums of n products in double precision.
        let tolerance = 1e-13;
        check_operator(&a, Some(a.entries()), tolerance).unwrap();
        check_operator(&Shifted::new(&a, c), Some(&map(&a, n, |i, j, x| x + if i == j { c } else { 0.0 })), tolerance).unwrap();
        check_operator(&Scaled::new(&a, c), Some(&map(&a, n, |_, _, x| c * x)), tolerance).unwrap();
        check_operator(&Sum::new(&a, &b).unwrap(), Some(&map(&a, n, |i, j, x| x + b.entries()[i * n + j])), tolerance).unwrap();
        check_operator(&Counted::new(&a), Some(a.entries()), tolerance).unwrap();
        let coordinates: Vec<usize> = (0..n).filter(|i| (seed >> (i % 13)) & 1 == 1).collect();
        let block: Vec<f64> = coordinates
            .iter()
            .flat_map(|&i| coordinates.iter().map(move |&j| (i, j)))
            .map(|(i, j)| a.entries()[i * n + j])
            .collect();
        check_operator(&Restricted::new(&a, coordinates).unwrap(), Some(&block), tolerance).unwrap();
    }

    #[test]
    fn prescribed_spectra_are_exact(n in 0usize..40, seed in 0u64..10_000) {
        let mut values: Vec<f64> = (0..n).map(|i| (i as f64 * 1.3).sin() * 10.0).collect();
        let a = PrescribedSpectrum::new(values.clone(), seed);
        check_operator(&a, Some(a.dense().entries()), 1e-13).unwrap();
        for i in 0..n {
            let v = a.eigenvector(i);
            let mut y = vec![0.0; n];
            a.apply(&v, &mut y).unwrap();
            for (y, v) in y.iter().zip(&v) {
                // A few roundings at ‖A‖ = 10.
                prop_assert!((y - values[i] * v).abs() < 1e-13);
            }
        }
        values.sort_by(f64::total_cmp);
        for (x, y) in a.dense().eigenvalues().unwrap().iter().zip(&values) {
            prop_assert!((x - y).abs() < 1e-12);
        }
    }
}

#[test]
fn the_kit_notices_what_is_wrong() {
    let property = |f: &(dyn Fn(&[f64], &mut [f64]) + Sync + Send)| match check_operator(
        &FnOperator::new(4, f),
        None,
        1e-10,
    )
    .unwrap_err()
    {
        ConformanceError::Property { property, .. } => property,
        other => panic!("unexpected {other}"),
    };
    assert!(
        property(&|x: &[f64], y: &mut [f64]| y.iter_mut().zip(x).for_each(|(y, x)| *y = x * x))
            .starts_with("A(2x")
    );
    assert!(
        property(&|x: &[f64], y: &mut [f64]| y.iter_mut().zip(x).for_each(|(y, x)| *y = x + 1.0))
            .contains('A')
    );
    assert!(
        property(&|x: &[f64], y: &mut [f64]| {
            y.copy_from_slice(x);
            y[0] += x[1];
        })
        .starts_with("⟨x, Ay⟩")
    );
    // Adds to what is there, instead of overwriting it: meets the NaN of the kit.
    property(&|x: &[f64], y: &mut [f64]| y.iter_mut().zip(x).for_each(|(y, x)| *y += x));
    let calls = std::sync::atomic::AtomicUsize::new(0);
    property(&move |x: &[f64], y: &mut [f64]| {
        let noise = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) as f64 * 1e-3;
        y.iter_mut().zip(x).for_each(|(y, x)| *y = x * (1.0 + noise));
    });
    let block = FnOperator::from_block(4, |xs: &[f64], ys: &mut [f64]| {
        let last = if xs.len() > 4 { 2.0 } else { 1.0 };
        ys.iter_mut().zip(xs).for_each(|(y, x)| *y = last * x);
    });
    let error = check_operator(&block, None, 1e-10).unwrap_err();
    assert!(error.to_string().contains("block product"), "{error}");
    let one = DenseOperator::from_diagonal(&[1.0, 1.0]);
    let error = check_operator(&one, Some(&[1.0, 0.0, 0.0, 2.0]), 1e-10).unwrap_err();
    assert!(error.to_string().contains("dense"), "{error}");
    assert!(matches!(
        check_operator(&one, Some(&[1.0]), 1e-10),
        Err(ConformanceError::DenseSize { found: 1, expected: 4 })
    ));
}

#[test]
fn impossible_operators() {
    let a = random(3, 1);
    assert_eq!(
        DenseOperator::new(2, vec![1.0; 3]).unwrap_err(),
        OperatorError::EntryCount { rows: 2, cols: 2, found: 3 }
    );
    assert!(matches!(Sum::new(&a, random(4, 1)), Err(OperatorError::ShapeMismatch { .. })));
    let restricted = |c: &[usize]| Restricted::new(&a, c.to_vec()).unwrap_err();
    assert_eq!(restricted(&[0, 3]), OperatorError::CoordinateOutOfRange { index: 3, dim: 3 });
    assert_eq!(restricted(&[1, 1]), OperatorError::CoordinatesNotSorted { first: 1, second: 1 });
    let r = Restricted::new(&a, vec![0, 2]).unwrap();
    assert_eq!(r.embed(&[5.0, 6.0]), [5.0, 0.0, 6.0]);
}

#[test]
fn products_are_counted_as_vectors() {
    let a = Counted::new(random(3, 2));
    let mut y = [0.0; 6];
    a.apply(&[1.0; 3], &mut y[..3]).unwrap();
    a.apply_block(&[1.0; 6], &mut y).unwrap();
    assert_eq!((a.products(), a.calls()), (3, 2));
    a.reset();
    assert_eq!(a.products(), 0);
}
