//! Trace estimators against spectra that are known.

use saddlescope_krylov::testkit::PrescribedSpectrum;
use saddlescope_krylov::{
    Counted, DenseOperator, Estimate, FnOperator, Probes, Progress, Status, Stream, SymmetricOperator,
    TraceError, TraceEstimate, TraceOptions, hutch_plus_plus, hutchinson, xtrace,
};

type Estimator = fn(&dyn SymmetricOperator, &TraceOptions) -> TraceEstimate;

const ESTIMATORS: [(&str, Estimator); 4] = [
    ("hutchinson", |a, o| hutchinson(a, Probes::Rademacher, o, &mut ()).unwrap()),
    ("hutchinson, gaussian", |a, o| hutchinson(a, Probes::Gaussian, o, &mut ()).unwrap()),
    ("hutch++", |a, o| hutch_plus_plus(a, o, &mut ()).unwrap()),
    ("xtrace", |a, o| xtrace(a, o, &mut ()).unwrap()),
];

fn spectra() -> Vec<(&'static str, Vec<f64>)> {
    let n = 400;
    vec![
        ("0.7^i", (0..n).map(|i| 0.7f64.powi(i)).collect()),
        ("1/i", (1..=n).map(|i| 1.0 / f64::from(i)).collect()),
        ("1/i²", (1..=n).map(|i| f64::from(i).powi(-2)).collect()),
        ("±1", (0..n).map(|i| if i < 160 { 1.0 } else { -1.0 }).collect()),
        ("rank 10", (0..n).map(|i| if i < 10 { f64::from(i) - 3.0 } else { 0.0 }).collect()),
        ("flat", vec![2.5; 400]),
    ]
}

#[test]
fn unbiased_and_honest_about_the_error() {
    for (name, values) in spectra() {
        let exact: f64 = values.iter().sum();
        let a = PrescribedSpectrum::new(values, 1);
        for (estimator, run) in ESTIMATORS {
            let runs: Vec<TraceEstimate> = (0..40)
                .map(|seed| {
                    let counted = Counted::new(&a);
                    let options = TraceOptions { max_products: 60, seed, ..TraceOptions::default() };
                    let e = run(&counted, &options);
                    assert_eq!(e.products, counted.products(), "{estimator}: products must be counted truly");
                    assert!(e.products <= 60);
                    assert_eq!(e.status, Status::Converged);
                    e
                })
                .collect();
            let values: Vec<f64> = runs.iter().map(|e| e.trace.value).collect();
            let spread = Estimate::from_samples(&values);
            // Rounding of sums of size tr|A| ≤ 1000: some ε.
            let rounding = 1e-11;
            // The mean over 40 runs within 4.5 of its standard errors (chance 5e-5 for Student's t with 39 degrees).
            let off = (spread.value - exact).abs();
            assert!(
                off <= 4.5 * spread.std_error + rounding,
                "{name}, {estimator}: off by {off}, {spread:?}"
            );
            // Reported standard errors agree with the spread of the runs within a factor 2. (The sample standard
            // deviation of 40 runs is good to 11 %; XTrace's error is a heuristic.)
            let reported = (runs.iter().map(|e| e.trace.std_error.powi(2)).sum::<f64>() / 40.0).sqrt();
            let observed = spread.std_error * 40f64.sqrt();
            assert!(
                (reported <= 2.0 * observed && observed <= 2.0 * reported)
                    || observed.max(reported) < rounding,
                "{name}, {estimator}: reported {reported}, observed {observed}"
            );
        }
    }
}

#[test]
fn decay_makes_the_better_estimators_better() {
    let values: Vec<f64> = (0..400).map(|i| 0.7f64.powi(i)).collect();
    let exact: f64 = values.iter().sum();
    let a = PrescribedSpectrum::new(values, 2);
    let options = TraceOptions { max_products: 60, ..TraceOptions::default() };
    let error = |run: Estimator| (run(&a, &options).trace.value - exact).abs();
    let (h, hpp, x) = (error(ESTIMATORS[0].1), error(ESTIMATORS[2].1), error(ESTIMATORS[3].1));
    // The tail after 20 (Hutch++) and 29 (XTrace) directions: 0.7²⁰ = 8e-4, 0.7²⁹ = 3e-5, over the root of the probes.
    assert!(h > 1e-2 && hpp < 3e-3 && x < 3e-4, "{h:e} {hpp:e} {x:e}");
}

#[test]
fn signs_are_exact_on_diagonal_matrices() {
    let a = DenseOperator::from_diagonal(&[3.0, -1.0, 0.25, 10.0]);
    let options = TraceOptions { max_products: 50, target_std_error: Some(0.0), ..TraceOptions::default() };
    let e = hutchinson(&a, Probes::Rademacher, &options, &mut ()).unwrap();
    assert_eq!((e.trace.value, e.trace.std_error, e.products), (12.25, 0.0, 8));
    assert_eq!(e.frobenius_squared.unwrap().value, 9.0 + 1.0 + 0.0625 + 100.0);
    assert_eq!(e.status, Status::Converged);
}

#[test]
fn frobenius_norm_and_variance_from_the_same_probes() {
    let values: Vec<f64> = (0..300).map(|i| f64::from(i % 7) - 2.0).collect();
    let frobenius: f64 = values.iter().map(|v| v * v).sum();
    let a = PrescribedSpectrum::new(values, 3);
    let options = TraceOptions { max_products: 4000, ..TraceOptions::default() };
    let e = hutchinson(&a, Probes::Gaussian, &options, &mut ()).unwrap();
    let f = e.frobenius_squared.unwrap();
    assert!((f.value - frobenius).abs() < 4.5 * f.std_error);
    // Var(zᵀAz) = 2‖A‖²_F for normal z; the variance of 4000 samples is good to √(2/4000) = 2 %, five of these.
    let variance = e.trace.std_error.powi(2) * 4000.0;
    assert!((variance / (2.0 * frobenius) - 1.0).abs() < 0.12, "{variance} {frobenius}");
}

#[test]
fn given_vectors_and_block_sizes() {
    let values: Vec<f64> = (0..50).map(f64::from).collect();
    let a = PrescribedSpectrum::new(values, 4);
    let given: Vec<Vec<f64>> = (0..20)
        .map(|i| {
            let mut z = vec![0.0; 50];
            Stream::new(5, "probe", i).fill_normal(&mut z);
            z
        })
        .collect();
    let options = TraceOptions { max_products: 20, seed: 5, ..TraceOptions::default() };
    let expected = hutchinson(&a, Probes::Gaussian, &options, &mut ()).unwrap();
    for block_size in [1, 3, 20, 64] {
        let o = TraceOptions { block_size, ..options };
        assert_eq!(hutchinson(&a, Probes::Given(&given), &o, &mut ()).unwrap(), expected);
    }
    let short = TraceOptions { max_products: 7, ..options };
    let first = hutchinson(&a, Probes::Given(&given), &short, &mut ()).unwrap();
    assert_eq!(first.per_probe[..], expected.per_probe[..7]);
    let wrong = vec![vec![0.0; 50], vec![0.0; 49]];
    assert!(matches!(
        hutchinson(&a, Probes::Given(&wrong), &options, &mut ()),
        Err(TraceError::ProbeLength { index: 1, found: 49, expected: 50 })
    ));
}

#[test]
fn stops_at_the_target_or_says_that_it_did_not() {
    let values: Vec<f64> = (1..=500).map(|i| 1.0 / f64::from(i)).collect();
    let a = PrescribedSpectrum::new(values, 6);
    for (name, run) in ESTIMATORS {
        let easy =
            run(&a, &TraceOptions { max_products: 900, target_std_error: Some(0.3), ..Default::default() });
        assert_eq!(easy.status, Status::Converged, "{name}");
        assert!(easy.trace.std_error <= 0.3 && easy.products < 900, "{name}");
        let hard =
            run(&a, &TraceOptions { max_products: 60, target_std_error: Some(1e-9), ..Default::default() });
        assert_eq!(hard.status, Status::MaxMatvecs, "{name}");
    }
}

#[test]
fn exact_when_the_probes_span_the_space() {
    let a = PrescribedSpectrum::new(vec![3.0, -5.0, 0.5, 0.25, 1.0], 7);
    let options = TraceOptions { max_products: 100, ..TraceOptions::default() };
    for (name, run) in &ESTIMATORS[2..] {
        let e = run(&a, &options);
        assert!((e.trace.value + 0.25).abs() < 1e-13, "{name}: {:?}", e.trace);
        assert_eq!(e.trace.std_error, 0.0, "{name}");
    }
}

#[test]
fn degenerate_operators() {
    let empty = DenseOperator::from_diagonal(&[]);
    let zero = DenseOperator::from_diagonal(&[0.0; 30]);
    let nan = FnOperator::new(30, |_: &[f64], y: &mut [f64]| y.fill(f64::NAN));
    for (name, run) in ESTIMATORS {
        assert_eq!(run(&empty, &TraceOptions::default()).trace.value, 0.0, "{name}");
        let e = run(&zero, &TraceOptions::default());
        assert_eq!((e.trace.value, e.trace.std_error, e.status), (0.0, 0.0, Status::Converged), "{name}");
        assert_eq!(run(&nan, &TraceOptions::default()).status, Status::NonFinite, "{name}");
    }
    let error = |o: TraceOptions| hutch_plus_plus(&zero, &o, &mut ()).unwrap_err();
    assert!(matches!(
        error(TraceOptions { max_products: 2, ..Default::default() }),
        TraceError::TooSmall { .. }
    ));
    assert!(matches!(
        error(TraceOptions { block_size: 0, ..Default::default() }),
        TraceError::TooSmall { .. }
    ));
    let nan_target = TraceOptions { target_std_error: Some(f64::NAN), ..Default::default() };
    assert!(matches!(error(nan_target), TraceError::Target { .. }));
}

#[test]
fn cancelled_runs_keep_what_they_have() {
    let a = PrescribedSpectrum::new(vec![1.0; 100], 8);
    let mut stop = |p: &Progress<'_>| {
        if p.products >= 16 { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
    };
    let e = hutchinson(&a, Probes::Gaussian, &TraceOptions::default(), &mut stop).unwrap();
    assert_eq!((e.status, e.products, e.per_probe.len()), (Status::Cancelled, 16, 16));
}
