//! Identities of the recurrence, and that a solve gives the same bits however it is run.

use std::ops::ControlFlow;

use proptest::prelude::*;
use saddlescope_krylov::testkit::PrescribedSpectrum;
use saddlescope_krylov::{
    BasisLimit, Eigensolution, ExtremeEigen, LanczosState, Observer, Precision, Progress, SnapshotError,
    SnapshotWriter, Status, SymmetricOperator, extreme_eigenpairs, read_snapshot, resume_extreme_eigenpairs,
};

fn spectrum(n: usize) -> Vec<f64> {
    (0..n).map(|i| ((i * i) as f64 * 0.37).sin() * 3.0 + if i == 3 { 40.0 } else { 0.0 }).collect()
}

/// max |A Q − Q H − P B| and max |QᵀQ − I| over the whole basis.
fn identity_errors(a: &dyn SymmetricOperator, state: &LanczosState) -> (f64, f64) {
    let (m, h) = state.projected();
    let total = state.basis_len();
    let q: Vec<Vec<f64>> = (0..total).map(|i| state.basis_vector(i).unwrap().unwrap()).collect();
    let b = state.coupling();
    let mut recurrence = 0.0f64;
    for j in 0..m {
        let mut r = vec![0.0; a.dim()];
        a.apply(&q[j], &mut r).unwrap();
        for i in 0..total {
            let c = if i < m { h[i * m + j] } else { b[(i - m) * m + j] };
            r.iter_mut().zip(&q[i]).for_each(|(r, q)| *r -= c * q);
        }
        recurrence = r.iter().fold(recurrence, |e, r| e.max(r.abs()));
    }
    let mut orthogonality = 0.0f64;
    for i in 0..total {
        for j in 0..=i {
            let d: f64 = q[i].iter().zip(&q[j]).map(|(x, y)| x * y).sum();
            orthogonality = orthogonality.max((d - if i == j { 1.0 } else { 0.0 }).abs());
        }
    }
    (recurrence, orthogonality)
}

fn state_after(a: &dyn SymmetricOperator, options: &ExtremeEigen) -> LanczosState {
    extreme_eigenpairs(a, options, &mut ()).unwrap().state
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn recurrence_and_orthogonality(
        n in 30usize..200, products in 5usize..60, block_size in 1usize..4, seed in 0u64..1000, single in any::<bool>(),
    ) {
        let a = PrescribedSpectrum::new(spectrum(n), seed);
        let precision = if single { Precision::F32 } else { Precision::F64 };
        let options = ExtremeEigen {
            max_products: products,
            block_size,
            seed,
            precision,
            // Never reached, so that all products are made and the small basis restarts.
            tolerance: 0.0,
            absolute_tolerance: Some(0.0),
            basis_limit: BasisLimit::Vectors(20),
            ..ExtremeEigen::default()
        };
        let (recurrence, orthogonality) = identity_errors(&a, &state_after(&a, &options));
        // ‖A‖ ≈ 43: some tens of roundings of the storage.
        let unit = precision.epsilon();
        prop_assert!(recurrence < 43.0 * 30.0 * unit, "recurrence {recurrence:e}");
        prop_assert!(orthogonality < 30.0 * unit, "orthogonality {orthogonality:e}");
    }

    #[test]
    fn agrees_with_a_dense_solver(n in 1usize..60, largest in 0usize..5, smallest in 0usize..5, seed in 0u64..1000, block_size in 1usize..4) {
        prop_assume!(largest + smallest > 0);
        let a = PrescribedSpectrum::new(spectrum(n), seed).dense();
        let dense = a.eigenvalues().unwrap();
        let options = ExtremeEigen { tolerance: 1e-10, seed, block_size, ..ExtremeEigen::ends(largest, smallest) };
        let s = extreme_eigenpairs(&a, &options, &mut ()).unwrap();
        for (p, e) in s.largest().iter().zip(dense.iter().rev()) {
            // Both backward stable, ‖A‖ ≈ 43.
            prop_assert!((p.value - e).abs() < 1e-11, "{} {e}", p.value);
        }
        for (p, e) in s.smallest().iter().rev().zip(&dense) {
            prop_assert!((p.value - e).abs() < 1e-11, "{} {e}", p.value);
        }
        prop_assert_eq!(s.largest().len(), largest.min(n));
        prop_assert_eq!(s.smallest().len(), smallest.min(n));
    }
}

#[test]
fn orthogonality_does_not_fade_over_restarts() {
    for (n, products, block_size, seed) in [(62, 52, 2, 837), (300, 1000, 1, 1), (300, 1000, 2, 2)] {
        let a = PrescribedSpectrum::new(spectrum(n), seed);
        let options = ExtremeEigen {
            max_products: products,
            block_size,
            seed,
            tolerance: 0.0,
            absolute_tolerance: Some(0.0),
            basis_limit: BasisLimit::Vectors(20),
            ..ExtremeEigen::default()
        };
        let state = state_after(&a, &options);
        assert!(state.restarts() > 1);
        let (_, orthogonality) = identity_errors(&a, &state);
        // As above; an eigensolver's own errors, carried from restart to restart, exceed it.
        assert!(orthogonality < 30.0 * f64::EPSILON, "{orthogonality:e} after {} restarts", state.restarts());
    }
}

fn bits(s: &Eigensolution) -> Vec<u64> {
    s.pairs
        .iter()
        .flat_map(|p| {
            [p.value.to_bits(), p.residual.to_bits()].into_iter().chain(p.vector.iter().map(|v| v.to_bits()))
        })
        .collect()
}

fn hard_options(precision: Precision, block_size: usize) -> ExtremeEigen {
    let tolerance = if precision == Precision::F32 { 1e-4 } else { 1e-9 };
    ExtremeEigen {
        precision,
        block_size,
        tolerance,
        basis_limit: BasisLimit::Vectors(11),
        max_products: 400,
        seed: 5,
        ..ExtremeEigen::ends(2, 1)
    }
}

#[test]
fn the_same_bits_on_any_number_of_threads() {
    // Long enough for several chunks.
    let mut values = spectrum(20_011);
    values[7] = -11.0;
    values[9] = 25.0;
    let a = PrescribedSpectrum::new(values, 3);
    for precision in [Precision::F32, Precision::F64] {
        for block_size in [1, 2] {
            let options = hard_options(precision, block_size);
            let on = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| extreme_eigenpairs(&a, &options, &mut ()).unwrap())
            };
            let (one, two, five) = (on(1), on(2), on(5));
            assert_eq!(one.status, Status::Converged);
            assert_eq!(bits(&one), bits(&two));
            assert_eq!(bits(&one), bits(&five));
            assert_eq!(one.state, five.state);
        }
    }
}

struct Saver {
    stop_at: usize,
    log: SnapshotWriter<Vec<u8>>,
}

impl Observer for Saver {
    fn progress(&mut self, _: &Progress<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn snapshot(&mut self, state: &LanczosState) -> ControlFlow<()> {
        self.log.write(state).unwrap();
        if state.products() >= self.stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[test]
fn a_resumed_solve_has_the_bits_of_an_uninterrupted_one() {
    let mut values = spectrum(3000);
    values[7] = -11.0;
    values[9] = 25.0;
    let a = PrescribedSpectrum::new(values, 4);
    for precision in [Precision::F32, Precision::F64] {
        for block_size in [1, 2] {
            let options = hard_options(precision, block_size);
            let whole = extreme_eigenpairs(&a, &options, &mut ()).unwrap();
            assert!(whole.status == Status::Converged && whole.restarts > 0);
            for stop_at in (1..whole.products).step_by(3) {
                let mut saver = Saver { stop_at, log: SnapshotWriter::new(Vec::new()) };
                let part = extreme_eigenpairs(&a, &options, &mut saver).unwrap();
                let log = saver.log.into_inner();
                let state = read_snapshot(&log[..]).unwrap();
                if part.status == Status::Cancelled {
                    assert_eq!(state, part.state);
                    assert_eq!(LanczosState::from_bytes(&state.to_bytes().unwrap()).unwrap(), state);
                }
                let rest = resume_extreme_eigenpairs(&a, &options, state, &mut ()).unwrap();
                assert_eq!(bits(&rest), bits(&whole), "stopped at {stop_at}");
                assert_eq!(rest.products, whole.products);
                assert_eq!(rest.state, whole.state);
            }
        }
    }
}

#[test]
fn damaged_snapshots() {
    let a = PrescribedSpectrum::new(spectrum(100), 4);
    let mut saver = Saver { stop_at: 6, log: SnapshotWriter::new(Vec::new()) };
    extreme_eigenpairs(&a, &ExtremeEigen::default(), &mut saver).unwrap();
    let log = saver.log.into_inner();
    let mut products = Vec::new();
    for end in 0..log.len() {
        match read_snapshot(&log[..end]) {
            Ok(state) => products.push(state.products()),
            Err(e) => assert!(matches!(e, SnapshotError::NoState { .. } | SnapshotError::Magic { .. })),
        }
    }
    // A torn end leaves the last complete state.
    products.dedup();
    assert_eq!(products, [1, 2, 3, 4, 5]);
    for i in (0..log.len()).step_by(97) {
        let mut bad = log.clone();
        bad[i] ^= 1;
        match read_snapshot(&bad[..]) {
            Ok(state) => assert!(state.products() < 6, "a flipped bit at {i} went unnoticed"),
            Err(e) => assert!(matches!(e, SnapshotError::NoState { .. } | SnapshotError::Magic { .. })),
        }
    }
    // A state of another problem is refused.
    let state = read_snapshot(&log[..]).unwrap();
    let other = PrescribedSpectrum::new(spectrum(101), 4);
    let error = resume_extreme_eigenpairs(&other, &ExtremeEigen::default(), state, &mut ()).unwrap_err();
    assert!(error.to_string().contains("dimension"), "{error}");
}

#[test]
fn a_finished_solve_can_be_sharpened_and_widened() {
    let mut values = spectrum(2000);
    values[7] = -11.0;
    values[9] = 25.0;
    values[11] = -8.0;
    let a = PrescribedSpectrum::new(values, 6);
    // The small basis restarts and locks pairs at the loose tolerance; these must be freed again.
    let loose = ExtremeEigen { tolerance: 1e-2, ..hard_options(Precision::F64, 1) };
    let first = extreme_eigenpairs(&a, &loose, &mut ()).unwrap();
    assert_eq!(first.status, Status::Converged);
    let sharp = ExtremeEigen { tolerance: 1e-11, max_products: 1000, ..loose };
    let second = resume_extreme_eigenpairs(&a, &sharp, first.state, &mut ()).unwrap();
    assert_eq!(second.status, Status::Converged, "{}", second.status);
    assert!(second.pairs.iter().all(|p| p.residual <= 1e-11 * p.value.abs()));
    let wide = ExtremeEigen { wanted: saddlescope_krylov::Wanted::Ends { largest: 2, smallest: 2 }, ..sharp };
    let wide = ExtremeEigen { tolerance: 1e-4, ..wide };
    let third = resume_extreme_eigenpairs(&a, &wide, second.state, &mut ()).unwrap();
    assert_eq!((third.status, third.pairs.len()), (Status::Converged, 4));
}

#[test]
fn a_solve_is_also_a_probe_of_the_density() {
    let values = spectrum(500);
    let exact: f64 = values.iter().sum::<f64>() / 500.0;
    let a = PrescribedSpectrum::new(values, 7);
    let options = ExtremeEigen { basis_limit: BasisLimit::Vectors(500), ..ExtremeEigen::default() };
    let s = extreme_eigenpairs(&a, &options, &mut ()).unwrap();
    let q = s.state.quadrature().unwrap();
    assert!((q.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    // The start vector's own Rayleigh quotient, exactly; the mean eigenvalue within its fluctuation √(2/n)·σ, σ ≈ 2.8.
    let start = s.state.basis_vector(0).unwrap().unwrap();
    let mut image = vec![0.0; 500];
    saddlescope_krylov::LinearOperator::apply(&a, &start, &mut image).unwrap();
    let rayleigh: f64 = start.iter().zip(&image).map(|(x, y)| x * y).sum();
    assert!((q.integrate(|x| x) - rayleigh).abs() < 1e-12);
    assert!((rayleigh - exact).abs() < 5.0 * 2.8 * (2.0f64 / 500.0).sqrt());
    let restarted = extreme_eigenpairs(&a, &hard_options(Precision::F64, 1), &mut ()).unwrap();
    assert!(restarted.restarts == 0 || restarted.state.quadrature().is_none());
}
