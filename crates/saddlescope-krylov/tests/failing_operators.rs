//! Operators that fail or are cancelled: every solver passes the error on unchanged, or stops with what it has.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use saddlescope_krylov::testkit::{ConformanceError, PrescribedSpectrum, check_operator};
use saddlescope_krylov::{
    DenseOperator, DensityError, DensityOptions, ExtremeEigen, FnOperator, LanczosError, LanczosState,
    LinearOperator, Observer, PowerIteration, Probes, ProductError, Progress, Restricted, Scaled, Shifted,
    Status, Sum, TraceError, TraceEstimate, TraceOptions, algorithm1, extreme_eigenpairs, hutch_plus_plus,
    hutchinson, power_iteration, resume_extreme_eigenpairs, spectral_density, xtrace,
};

/// What an engine may report: not `Clone`, not comparable with `==` from outside of its module.
#[derive(Debug, thiserror::Error)]
#[error("product {0} cannot be made")]
struct EngineError(usize);

const N: usize = 120;

fn matrix() -> PrescribedSpectrum {
    PrescribedSpectrum::new((0..N).map(|i| (i as f64 * 0.37).sin() + 0.01 * i as f64).collect(), 5)
}

/// The matrix whose calls from number `first` on end with `error`.
fn failing<'a>(
    a: &'a PrescribedSpectrum,
    first: usize,
    error: impl Fn(usize) -> ProductError + Sync + Send + 'a,
) -> FnOperator<'a> {
    let calls = AtomicUsize::new(0);
    FnOperator::fallible_block(N, move |xs: &[f64], ys: &mut [f64]| {
        let call = calls.fetch_add(1, Ordering::Relaxed);
        if call >= first {
            // What is left behind by a failed product has no meaning: nobody may look at it.
            ys.fill(f64::NAN);
            return Err(error(call));
        }
        a.apply_block(xs, ys)
    })
}

fn engine_error(call: usize) -> ProductError {
    ProductError::failed(EngineError(call))
}

fn lanczos_product(error: LanczosError) -> ProductError {
    match error {
        LanczosError::Product(error) => error,
        other => panic!("{other:?}"),
    }
}

fn trace_product(result: Result<TraceEstimate, TraceError>) -> ProductError {
    match result {
        Err(TraceError::Product(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_solver_gives_the_operators_error_back() {
    let a = matrix();
    let trace = TraceOptions { block_size: 2, max_products: 40, ..TraceOptions::default() };
    let eigen = ExtremeEigen { tolerance: 1e-8, ..ExtremeEigen::ends(2, 2) };
    for first in [0, 3, 5] {
        let fails = || failing(&a, first, engine_error);
        let errors = [
            lanczos_product(extreme_eigenpairs(&fails(), &eigen, &mut ()).unwrap_err()),
            lanczos_product(algorithm1(&fails(), &eigen, &mut ()).unwrap_err()),
            lanczos_product(power_iteration(&fails(), &PowerIteration::default(), &mut ()).unwrap_err()),
            trace_product(hutchinson(&fails(), Probes::Rademacher, &trace, &mut ())),
            trace_product(hutch_plus_plus(&fails(), &trace, &mut ())),
            trace_product(xtrace(&fails(), &trace, &mut ())),
            match spectral_density(&fails(), &DensityOptions::default(), &mut ()) {
                Err(DensityError::Product(error)) => error,
                other => panic!("{other:?}"),
            },
            match check_operator(&fails(), None, 1e-10) {
                Err(ConformanceError::Product(error)) => error,
                other => panic!("{other:?}"),
            },
        ];
        for error in errors {
            assert_eq!(error.to_string(), format!("product {first} cannot be made"));
            assert_eq!(error.downcast_ref::<EngineError>().unwrap().0, first);
            assert!(error.downcast_ref::<std::io::Error>().is_none());
            let error = error.downcast::<std::io::Error>().unwrap_err();
            assert_eq!(error.downcast::<EngineError>().unwrap().0, first);
        }
        // The products of the check at the end fail as those of the search do.
        let all = extreme_eigenpairs(&a, &eigen, &mut ()).unwrap();
        let check = all.products - 4;
        let late = failing(&a, check, engine_error);
        let error = lanczos_product(extreme_eigenpairs(&late, &eigen, &mut ()).unwrap_err());
        assert_eq!(error.downcast::<EngineError>().unwrap().0, check);
    }
}

#[test]
fn combinations_pass_errors_on() {
    let a = matrix();
    let fails = || failing(&a, 0, engine_error);
    let (x, mut y) = (vec![1.0; N], vec![0.0; N]);
    let is_engine_error = |r: Result<(), ProductError>| r.unwrap_err().downcast::<EngineError>().is_ok();
    assert!(is_engine_error(Shifted::new(fails(), 1.0).apply(&x, &mut y)));
    assert!(is_engine_error(Shifted::new(fails(), 1.0).apply_block(&x, &mut y)));
    assert!(is_engine_error(Scaled::new(fails(), 2.0).apply(&x, &mut y)));
    assert!(is_engine_error(Scaled::new(fails(), 2.0).apply_block(&x, &mut y)));
    assert!(is_engine_error(Sum::new(&a, fails()).unwrap().apply(&x, &mut y)));
    assert!(is_engine_error(Sum::new(fails(), &a).unwrap().apply_block(&x, &mut y)));
    assert!(is_engine_error(Restricted::new(fails(), vec![3]).unwrap().apply(&[1.0], &mut y[..1])));
    assert!(is_engine_error(DenseOperator::from_operator(&fails()).map(|_| ())));
    let one = FnOperator::fallible(1, |_: &[f64], _: &mut [f64]| Err(ProductError::Cancelled));
    assert!(matches!(one.apply_block(&[1.0], &mut y[..1]), Err(ProductError::Cancelled)));
}

/// Keeps the last state it was shown.
#[derive(Default)]
struct Keep(Option<LanczosState>);

impl Observer for Keep {
    fn progress(&mut self, _: &Progress<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn snapshot(&mut self, state: &LanczosState) -> ControlFlow<()> {
        self.0 = Some(state.clone());
        ControlFlow::Continue(())
    }
}

#[test]
fn a_cancelled_product_stops_a_solve_that_goes_on_to_the_same_bits() {
    let a = matrix();
    // Five and five wanted: the residuals are checked in three calls, so that a check can be cancelled half way.
    let eigen = ExtremeEigen { tolerance: 1e-8, ..ExtremeEigen::ends(5, 5) };
    let whole = extreme_eigenpairs(&a, &eigen, &mut ()).unwrap();
    assert_eq!(whole.status, Status::Converged);
    let steps = whole.products - 10;
    for first in [0, 1, 7, steps - 1, steps, steps + 1, steps + 2] {
        let cancelled = failing(&a, first, |_| ProductError::Cancelled);
        let mut keep = Keep::default();
        let stopped = extreme_eigenpairs(&cancelled, &eigen, &mut keep).unwrap();
        assert_eq!(stopped.status, Status::Cancelled, "call {first}");
        assert!(stopped.pairs.is_empty());
        let made = if first <= steps { first } else { steps + 4 * (first - steps) };
        assert_eq!(stopped.products, made, "call {first}");
        for state in keep.0.into_iter().chain([stopped.state]) {
            let resumed = resume_extreme_eigenpairs(&a, &eigen, state, &mut ()).unwrap();
            assert_eq!(resumed.pairs, whole.pairs, "call {first}");
            assert_eq!(resumed.products, whole.products, "call {first}");
        }
    }
}

#[test]
fn a_cancelled_product_stops_the_estimators_with_what_they_have() {
    let a = matrix();
    let trace = TraceOptions { block_size: 4, max_products: 60, ..TraceOptions::default() };
    let cancelled = |first| failing(&a, first, |_| ProductError::Cancelled);
    let found = hutchinson(&cancelled(3), Probes::Rademacher, &trace, &mut ()).unwrap();
    let short = TraceOptions { max_products: 12, ..trace };
    let expected = hutchinson(&a, Probes::Rademacher, &short, &mut ()).unwrap();
    assert_eq!((found.status, found.products), (Status::Cancelled, 12));
    assert_eq!(found.per_probe, expected.per_probe);

    for first in [0, 2, 7, 12] {
        let found = hutch_plus_plus(&cancelled(first), &trace, &mut ()).unwrap();
        assert_eq!((found.status, found.products), (Status::Cancelled, 4 * first));
        assert_eq!(found.trace.value.is_nan(), found.per_probe.is_empty());
    }
    for first in [0, 4, 5] {
        // Two calls a block: an odd one is cancelled between them, and the block before it counts.
        let found = xtrace(&cancelled(first), &trace, &mut ()).unwrap();
        assert_eq!((found.status, found.per_probe.len()), (Status::Cancelled, first / 2 * 4));
        let expected = xtrace(&a, &TraceOptions { max_products: 8 * (first / 2).max(1), ..trace }, &mut ());
        if first > 0 {
            assert_eq!(found.per_probe, expected.unwrap().per_probe);
        }
    }
    let options = DensityOptions { probes: 2, block_size: 2, steps: 20, ..DensityOptions::default() };
    let found = spectral_density(&cancelled(6), &options, &mut ()).unwrap();
    let expected = spectral_density(&a, &DensityOptions { steps: 6, ..options }, &mut ()).unwrap();
    assert_eq!((found.status, found.products), (Status::Cancelled, 12));
    assert_eq!(found.probes, expected.probes);

    let found = power_iteration(&cancelled(4), &PowerIteration::default(), &mut ()).unwrap();
    assert_eq!((found.status, found.products), (Status::Cancelled, 4));
    assert!(found.pair.is_none());
    let found = algorithm1(&cancelled(4), &ExtremeEigen::default(), &mut ()).unwrap();
    assert_eq!((found.status, found.products), (Status::Cancelled, 4));
}
