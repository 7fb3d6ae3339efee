//! When a solve stops: residuals that the caller allows, rounding errors of the products, forecasts; and when it may
//! go on with other options.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use saddlescope_krylov::testkit::PrescribedSpectrum;
use saddlescope_krylov::{
    BasisLimit, Candidate, CannotContinue, Counted, Criterion, Eigensolution, ExtremeEigen, FnOperator,
    Forecast, LanczosError, LanczosState, LinearOperator, Observer, Precision, ProductError, Progress,
    SpectrumEnd, Status, Stream, Wanted, extreme_eigenpairs, resume_extreme_eigenpairs,
};

/// A few outliers over a bulk of both signs that is dense at zero.
fn network(n: usize, high: f64, outliers: usize, low: f64) -> PrescribedSpectrum {
    let values = (0..n).map(|i| {
        if i < outliers {
            return high * 0.75f64.powi(i as i32);
        }
        let x = 2.0 * ((i - outliers) as f64 + 0.5) / (n - outliers) as f64 - 1.0;
        -low * x.powi(5)
    });
    PrescribedSpectrum::new(values.collect(), 3)
}

/// Everything that must not differ, down to the bits.
fn bits(s: &Eigensolution) -> (Vec<u64>, Vec<u64>, usize, Status) {
    let numbers = s.pairs.iter().flat_map(|p| p.vector.iter().chain([&p.value, &p.residual]));
    let ritz = s.ritz.iter().flat_map(|r| [r.value.to_bits(), r.residual_estimate.to_bits()]);
    (numbers.map(|x| x.to_bits()).collect(), ritz.collect(), s.products, s.status)
}

/// Allows the smallest pair a residual once its estimate is below twice that; may stop the solve early.
struct Allow {
    residual: f64,
    asked: usize,
    stop_at: usize,
    states: Vec<LanczosState>,
}

impl Allow {
    fn new(residual: f64) -> Self {
        Self { residual, asked: 0, stop_at: usize::MAX, states: Vec::new() }
    }
}

impl Observer for Allow {
    fn progress(&mut self, p: &Progress<'_>) -> ControlFlow<()> {
        if p.products >= self.stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn snapshot(&mut self, state: &LanczosState) -> ControlFlow<()> {
        self.states.push(state.clone());
        ControlFlow::Continue(())
    }

    fn residual_allowed(&mut self, candidate: &Candidate<'_>) -> Result<Option<f64>, ProductError> {
        let pair = &candidate.pair;
        if pair.end == SpectrumEnd::Largest
            || candidate.allowed.is_some()
            || pair.residual_estimate > 2.0 * self.residual
        {
            return Ok(None);
        }
        self.asked += 1;
        let v = candidate.vector()?;
        assert!((v.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-12);
        Ok(Some(self.residual))
    }
}

#[test]
fn an_observer_widens_the_tolerance_of_one_pair() {
    let a = network(3000, 5.5, 12, -0.02);
    let options = ExtremeEigen { tolerance: 1e-6, max_products: 1000, ..ExtremeEigen::ends(1, 1) };
    let sharp = extreme_eigenpairs(&a, &options, &mut ()).unwrap();
    assert_eq!(sharp.status, Status::Converged);
    assert!(sharp.pairs.iter().all(|p| p.criterion == Some(Criterion::Relative)));

    let mut allow = Allow::new(1e-3);
    let wide = extreme_eigenpairs(&a, &options, &mut allow).unwrap();
    assert_eq!((wide.status, allow.asked), (Status::Converged, 1));
    assert_eq!(wide.largest()[0].criterion, Some(Criterion::Relative));
    assert_eq!(wide.smallest()[0].criterion, Some(Criterion::Allowed));
    assert!(wide.smallest()[0].residual <= 1e-3);
    assert!(2 * wide.products < sharp.products, "{} and {}", wide.products, sharp.products);

    // An answer below the goal of the options changes nothing.
    let mut strict = Allow::new(1e-3);
    let loose = ExtremeEigen { tolerance: 0.1, ..options.clone() };
    let found = extreme_eigenpairs(&a, &loose, &mut strict).unwrap();
    let plain = extreme_eigenpairs(&a, &loose, &mut ()).unwrap();
    assert_eq!(bits(&found), bits(&plain));

    // What was allowed is part of the saved state: with an observer that allows nothing more, every state after that
    // goes on to the same bits.
    let states = allow.states;
    let mut after = 0;
    for state in states {
        let state = LanczosState::from_bytes(&state.to_bytes().unwrap()).unwrap();
        let mut again = Allow::new(1e-3);
        let resumed = resume_extreme_eigenpairs(&a, &options, state, &mut again).unwrap();
        after += usize::from(again.asked == 0);
        assert_eq!(bits(&resumed), bits(&wide));
    }
    assert!(after > 0);
}

/// Answers every question alike.
struct Answer<F>(F);

impl<F: FnMut() -> Result<Option<f64>, ProductError>> Observer for Answer<F> {
    fn progress(&mut self, _: &Progress<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn residual_allowed(&mut self, _: &Candidate<'_>) -> Result<Option<f64>, ProductError> {
        (self.0)()
    }
}

#[test]
fn an_observers_errors_end_the_solve() {
    let a = network(500, 5.5, 5, -0.02);
    let options = ExtremeEigen::default();
    let mut bad = Answer(|| Ok(Some(f64::NAN)));
    let error = extreme_eigenpairs(&a, &options, &mut bad).unwrap_err();
    assert!(matches!(error, LanczosError::Tolerance { .. }), "{error}");
    let mut fails = Answer(|| Err(ProductError::failed(std::io::Error::other("no data"))));
    let error = extreme_eigenpairs(&a, &options, &mut fails).unwrap_err();
    let LanczosError::Product(error) = error else { panic!("{error}") };
    assert_eq!(error.downcast::<std::io::Error>().unwrap().to_string(), "no data");
}

#[test]
fn the_floor_is_named_when_it_decides() {
    // λmin is 1e-12 of λmax: the relative tolerance is out of reach, the floor of 64 ε‖A‖ is not.
    let mut values: Vec<f64> = (0..60).map(|i| f64::from(i) + 1.0).collect();
    values[0] = -6e-11;
    let a = PrescribedSpectrum::new(values, 1);
    let s = extreme_eigenpairs(&a, &ExtremeEigen { tolerance: 1e-6, ..ExtremeEigen::ends(1, 1) }, &mut ())
        .unwrap();
    assert_eq!(s.status, Status::Converged, "{}", s.status);
    assert_eq!(s.largest()[0].criterion, Some(Criterion::Relative));
    assert_eq!(s.smallest()[0].criterion, Some(Criterion::Floor));
}

/// Products with errors of the given size relative to ‖A‖ in random directions, or rounded to f32.
fn inexact<'a>(a: &'a PrescribedSpectrum, noise: f64, norm: f64, count: &'a AtomicU64) -> FnOperator<'a> {
    let n = a.eigenvalues().len();
    FnOperator::fallible(n, move |x: &[f64], y: &mut [f64]| {
        a.apply(x, y)?;
        let mut e = vec![0.0; n];
        Stream::new(7, "noise", count.fetch_add(1, Ordering::Relaxed)).fill_normal(&mut e);
        let scale = noise * norm / (n as f64).sqrt();
        y.iter_mut().zip(e).for_each(|(y, e)| *y = f64::from((*y + scale * e) as f32));
        Ok(())
    })
}

#[test]
fn a_tolerance_below_the_rounding_errors_of_the_products_is_found_out() {
    // The spectrum of a language model: λmin is 3e-4 of λmax.
    let a = network(4000, 5.47, 25, -0.0018);
    let exact = -0.0018_f64;
    let options = ExtremeEigen {
        tolerance: 1e-3,
        absolute_tolerance: Some(0.0),
        max_products: 500,
        precision: Precision::F32,
        product_precision: Precision::F32,
        basis_limit: BasisLimit::Vectors(400),
        ..ExtremeEigen::ends(1, 1)
    };
    let count = AtomicU64::new(0);
    // Errors of 1e-6 ‖A‖ are 3e-3 |λmin|: a residual of 1e-3 |λmin| is out of reach.
    let s = extreme_eigenpairs(&inexact(&a, 1e-6, 5.47, &count), &options, &mut ()).unwrap();
    assert_eq!(s.status, Status::RoundingFloor, "{} after {}", s.status, s.products);
    assert!(s.products <= 250, "{}", s.products);
    assert_eq!(s.products as u64, count.load(Ordering::Relaxed));
    let (low, high) = (&s.smallest()[0], &s.largest()[0]);
    assert!(high.converged && !low.converged && low.criterion.is_none());
    // The pair is there with its true residual: a few times the errors.
    assert!(low.residual < 1e-2 * exact.abs() * 5.0, "{}", low.residual);
    assert!((low.value - exact).abs() <= low.residual);
    assert!(s.status.to_string().contains("double precision"));

    // Smaller errors: the same tolerance is reached. So is one above the larger errors.
    let count = AtomicU64::new(0);
    let fine = extreme_eigenpairs(&inexact(&a, 6e-8, 5.47, &count), &options, &mut ()).unwrap();
    assert_eq!(fine.status, Status::Converged, "{} after {}", fine.status, fine.products);
    assert_eq!(fine.products as u64, count.load(Ordering::Relaxed));
    let count = AtomicU64::new(0);
    let loose = ExtremeEigen { tolerance: 1e-2, ..options.clone() };
    let s = extreme_eigenpairs(&inexact(&a, 1e-6, 5.47, &count), &loose, &mut ()).unwrap();
    assert_eq!(s.status, Status::Converged, "{} after {}", s.status, s.products);

    // In double precision nothing is looked for, and the limit on products holds to the last one either way.
    for product_precision in [Precision::F32, Precision::F64] {
        for max_products in [60, 61, 100] {
            let counted = Counted::new(&a);
            let options =
                ExtremeEigen { max_products, product_precision, tolerance: 1e-6, ..options.clone() };
            let s = extreme_eigenpairs(&counted, &options, &mut ()).unwrap();
            assert_eq!((s.status, s.products), (Status::MaxMatvecs, counted.products()));
            assert!(s.products <= max_products);
            assert!(s.pairs.iter().all(|p| p.residual.is_finite()));
        }
    }
}

#[test]
fn forecasts_come_close_and_name_the_slowest_pair() {
    let a = network(4000, 20.0, 10, -0.5);
    let options = ExtremeEigen { tolerance: 1e-6, max_products: 2000, ..ExtremeEigen::ends(2, 2) };
    let mut seen: Vec<(usize, Forecast, Option<SpectrumEnd>)> = Vec::new();
    let s = extreme_eigenpairs(&a, &options, &mut |p: &Progress<'_>| {
        assert_eq!(p.wanted.len(), p.ritz.len());
        if let Some(pair) = p.slowest() {
            assert!(p.wanted.iter().all(|other| other.missing <= pair.missing || pair.missing.is_none()));
        }
        seen.push((p.products, p.forecast, p.slowest().map(|w| w.end)));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(s.status, Status::Converged);
    assert_eq!(seen[0].1, Forecast::Unknown);
    // The large outliers come first: what keeps the solve going is the lower end.
    let late = |x: &&(usize, Forecast, Option<SpectrumEnd>)| x.0 > s.products / 2 && x.0 < s.products - 4;
    assert!(seen.iter().filter(late).all(|x| x.2 == Some(SpectrumEnd::Smallest)));
    // In the last third the forecast is there and within 40 %. Before, the estimates of this matrix pass through humps
    // (a Ritz value on its way out from the bulk), and the forecast is unknown or too high.
    for (products, forecast, _) in seen.iter().filter(late).filter(|x| 3 * x.0 > 2 * s.products) {
        let Forecast::Products(total) = forecast else { panic!("{forecast} after {products} products") };
        let ratio = *total as f64 / s.products as f64;
        assert!((ratio - 1.0).abs() < 0.4, "{total} forecast after {products} of {}", s.products);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever `continues` lets pass comes to the bits of a solve made at once, products included.
    #[test]
    fn what_continues_has_the_bits_of_a_solve_made_at_once(
        seed in 0u64..1000,
        largest in 0usize..4,
        smallest in 1usize..3,
        more in (0usize..3, 0usize..2),
        digits in (1i32..6, 0i32..5),
        vectors in 12usize..80,
        room in 0usize..2,
        single in any::<bool>(),
        block_size in 1usize..3,
    ) {
        let a = network(600, 9.0, 8, -0.7);
        let base = ExtremeEigen {
            tolerance: 10f64.powi(-digits.0),
            seed,
            block_size,
            precision: if single { Precision::F32 } else { Precision::F64 },
            max_products: 400,
            basis_limit: BasisLimit::Vectors(vectors),
            ..ExtremeEigen::ends(largest, smallest)
        };
        let other = ExtremeEigen {
            wanted: Wanted::Ends { largest: largest + more.0, smallest: smallest + more.1 },
            tolerance: 10f64.powi(-digits.0 - digits.1),
            max_products: 500,
            basis_limit: BasisLimit::Vectors(vectors + 20 * room),
            ..base.clone()
        };
        let first = extreme_eigenpairs(&a, &base, &mut ()).unwrap();
        let state = LanczosState::from_bytes(&first.state.to_bytes().unwrap()).unwrap();
        prop_assert_eq!(&state, &first.state);
        prop_assert_eq!(state.continues(&base), Ok(()));
        match state.continues(&other) {
            Ok(()) => {
                let at_once = extreme_eigenpairs(&a, &other, &mut ()).unwrap();
                let resumed = resume_extreme_eigenpairs(&a, &other, state, &mut ()).unwrap();
                prop_assert_eq!(bits(&resumed), bits(&at_once));
                prop_assert_eq!(resumed.state, at_once.state);
            }
            // The only reasons there are for options that ask for more.
            Err(CannotContinue::Restarted { restarts, .. }) => prop_assert!(restarts > 0),
            Err(CannotContinue::Turned { .. }) => {}
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}

#[test]
fn what_can_be_continued() {
    let a = network(600, 9.0, 8, -0.7);
    let roomy =
        ExtremeEigen { tolerance: 1e-3, basis_limit: BasisLimit::Vectors(300), ..ExtremeEigen::ends(3, 1) };
    let first = extreme_eigenpairs(&a, &roomy, &mut ()).unwrap();
    assert_eq!((first.status, first.restarts), (Status::Converged, 0));
    let state = &first.state;
    let finer = ExtremeEigen { tolerance: 1e-8, ..roomy.clone() };
    let more = ExtremeEigen { wanted: Wanted::Ends { largest: 5, smallest: 1 }, ..roomy.clone() };
    let products = ExtremeEigen { max_products: 5000, ..roomy.clone() };
    for options in [&finer, &more, &products] {
        assert_eq!(state.continues(options), Ok(()));
        let at_once = extreme_eigenpairs(&a, options, &mut ()).unwrap();
        let counted = Counted::new(&a);
        let resumed = resume_extreme_eigenpairs(&counted, options, state.clone(), &mut ()).unwrap();
        assert_eq!(bits(&resumed), bits(&at_once));
        assert!(counted.products() < at_once.products);
    }
    let coarser = ExtremeEigen { tolerance: 1e-2, ..roomy.clone() };
    assert!(matches!(state.continues(&coarser), Err(CannotContinue::TooFar { .. })));
    let fewer = ExtremeEigen { wanted: Wanted::Ends { largest: 2, smallest: 1 }, ..roomy.clone() };
    assert!(matches!(state.continues(&fewer), Err(CannotContinue::TooFar { .. })));
    let short = ExtremeEigen { max_products: 10, ..roomy.clone() };
    assert!(matches!(state.continues(&short), Err(CannotContinue::TooFar { .. })));
    let seed = ExtremeEigen { seed: 1, ..roomy.clone() };
    assert!(matches!(state.continues(&seed), Err(CannotContinue::OtherStart { .. })));
    let start = ExtremeEigen { start: vec![vec![1.0; 600]], ..roomy.clone() };
    assert!(matches!(state.continues(&start), Err(CannotContinue::OtherStart { .. })));
    let tight = ExtremeEigen { basis_limit: BasisLimit::Vectors(10), ..roomy.clone() };
    assert!(matches!(state.continues(&tight), Err(CannotContinue::TooManyVectors { .. })));

    // After a restart a finer tolerance still goes on to the same bits, more pairs do not.
    let small = ExtremeEigen { basis_limit: BasisLimit::Vectors(16), ..roomy };
    let first = extreme_eigenpairs(&a, &small, &mut ()).unwrap();
    assert!(first.status == Status::Converged && first.restarts > 0);
    let finer = ExtremeEigen { tolerance: 1e-7, ..small.clone() };
    assert_eq!(first.state.continues(&finer), Ok(()));
    let at_once = extreme_eigenpairs(&a, &finer, &mut ()).unwrap();
    let more = ExtremeEigen { wanted: Wanted::Ends { largest: 5, smallest: 1 }, ..small };
    assert!(matches!(first.state.continues(&more), Err(CannotContinue::Restarted { .. })));
    let resumed = resume_extreme_eigenpairs(&a, &finer, first.state, &mut ()).unwrap();
    assert_eq!(bits(&resumed), bits(&at_once));
}
