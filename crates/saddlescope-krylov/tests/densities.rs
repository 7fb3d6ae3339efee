//! Spectral densities against spectra that are known.

use saddlescope_krylov::testkit::{PrescribedSpectrum, wishart_spikes};
use saddlescope_krylov::{
    Counted, DenseOperator, DensityError, DensityOptions, FnOperator, Precision, ProbeKind, Status,
    spectral_density,
};

#[test]
fn moments_and_index_within_their_errors() {
    let values: Vec<f64> = (0..600).map(|i| f64::from(i) * 0.01 - 1.5).collect();
    let n = values.len() as f64;
    let negative = values.iter().filter(|v| **v < 0.0).count() as f64;
    let a = PrescribedSpectrum::new(values.clone(), 1);
    for kind in [ProbeKind::Sphere, ProbeKind::Rademacher] {
        for (reorthogonalise, precision) in
            [(true, Precision::F64), (true, Precision::F32), (false, Precision::F64)]
        {
            let counted = Counted::new(&a);
            let options = DensityOptions {
                probes: 30,
                steps: 120,
                kind,
                reorthogonalise,
                precision,
                ..Default::default()
            };
            let d = spectral_density(&counted, &options, &mut ()).unwrap();
            assert_eq!(d.products, counted.products());
            assert_eq!((d.products, d.status), (3600, Status::Converged));
            for q in &d.probes {
                assert!((q.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12, "weights add up to one");
            }
            for k in 1..5 {
                let exact = values.iter().map(|v| v.powi(k)).sum::<f64>() / n;
                let m = d.moment(k);
                // 4.5 standard errors of 30 samples: chance 1e-4.
                assert!(
                    (m.value - exact).abs() < 4.5 * m.std_error,
                    "{kind:?} moment {k}: {m:?}, exact {exact}"
                );
            }
            // The spectrum is dense at zero: besides the statistical error, half a node on either side, and a node
            // near zero carries at most about 1/steps of the weight.
            let index = d.index(0.0);
            assert!(
                (index.value - negative).abs() < 4.5 * index.std_error + n / 120.0,
                "{index:?} {negative}"
            );
            let half = d.fraction_below(1.0);
            let exact = values.iter().filter(|v| **v < 1.0).count() as f64 / n;
            assert!((half.value - exact).abs() < 4.5 * half.std_error + 1.0 / 120.0, "{half:?} {exact}");
        }
    }
}

/// The measure of a probe is known where every eigenvalue has a node; fewer steps bound it from both sides.
#[test]
fn counts_are_bounded_by_what_the_steps_can_tell() {
    let values: Vec<f64> = (0..30).map(|i| (f64::from(i) * 0.7).sin() + 0.3).collect();
    let a = PrescribedSpectrum::new(values.clone(), 2);
    let all = DensityOptions { probes: 4, steps: 30, ..Default::default() };
    let exact = spectral_density(&a, &all, &mut ()).unwrap();
    let mut widths = Vec::new();
    for steps in [3, 6, 12, 24] {
        let few = spectral_density(&a, &DensityOptions { steps, ..all }, &mut ()).unwrap();
        for zero in [-0.9, -0.31, 0.0, 0.2, 0.45] {
            let [low, high] = few.index_bounds(zero);
            let truth = exact.index(zero).value;
            assert!(
                low <= truth + 1e-9 && truth <= high + 1e-9,
                "{steps} steps, {zero}: {truth} in [{low}, {high}]"
            );
            assert!(low <= few.index(zero).value && few.index(zero).value <= high);
        }
        let [low, high] = few.index_bounds(0.0);
        widths.push(high - low);
    }
    assert!(widths.windows(2).all(|w| w[1] < w[0]), "{widths:?}");
    // Nothing lies below: the first node could be there.
    let [low, high] = exact.index_bounds(10.0);
    let first = exact.probes.iter().map(|q| q.weights[0]).sum::<f64>() / 4.0 * 30.0;
    assert!(low == 0.0 && (high - first).abs() < 1e-12, "{low} {high} {first}");
}

/// zᵀAᵏz of the very probe is reproduced to rounding for k < 2·steps: Gauss quadrature.
#[test]
fn gauss_quadrature_is_exact_for_polynomials() {
    let values: Vec<f64> = (0..200).map(|i| (f64::from(i) * 0.3).sin()).collect();
    let a = PrescribedSpectrum::new(values, 2);
    let few = DensityOptions { probes: 3, steps: 5, ..Default::default() };
    let many = DensityOptions { steps: 40, ..few };
    let (few, many) =
        (spectral_density(&a, &few, &mut ()).unwrap(), spectral_density(&a, &many, &mut ()).unwrap());
    for (p, q) in few.probes.iter().zip(&many.probes) {
        for k in 0..10 {
            let (x, y) = (p.integrate(|t| t.powi(k)), q.integrate(|t| t.powi(k)));
            assert!((x - y).abs() < 1e-13, "degree {k}: {x} {y}");
        }
        assert!(
            (p.integrate(|t| t.powi(10)) - q.integrate(|t| t.powi(10))).abs() > 1e-9,
            "degree 10 is beyond 5 nodes"
        );
    }
}

/// The analytic losses: three distinct eigenvalues are three nodes, and the index is counted.
#[test]
fn a_spectrum_of_three_values() {
    let values: Vec<f64> = (0..1001)
        .map(|i| {
            if i < 800 {
                1.0
            } else if i < 1000 {
                -1.0
            } else {
                0.0
            }
        })
        .collect();
    let a = DenseOperator::from_diagonal(&values);
    let d =
        spectral_density(&a, &DensityOptions { kind: ProbeKind::Rademacher, ..Default::default() }, &mut ())
            .unwrap();
    // Signs are exact on a diagonal matrix.
    assert!((d.index(0.5).value - 200.0).abs() < 1e-9, "{:?}", d.index(0.5));
    assert!((d.trace().value - 600.0).abs() < 1e-9 && d.trace().std_error < 1e-9);
    assert_eq!(d.products, 3 * 16, "the recurrences end after three products");
}

#[test]
fn bulk_and_outliers() {
    let a = wishart_spikes(500, 500, &[5.0, 4.0, 3.0], 3);
    let eigenvalues = a.eigenvalues().unwrap();
    let d = spectral_density(&a, &DensityOptions { probes: 20, steps: 80, ..Default::default() }, &mut ())
        .unwrap();
    let (_, high) = d.support().unwrap();
    assert!((high - eigenvalues[499]).abs() < 1e-8, "the outermost outlier is a node");
    let above = d.mean_of(|x| if x > 4.3 { 500.0 } else { 0.0 });
    let exact = eigenvalues.iter().filter(|x| **x > 4.3).count() as f64;
    assert!((above.value - exact).abs() < 4.5 * above.std_error, "{above:?} {exact}");
    // The smoothed density integrates to one and agrees with that of the exact eigenvalues.
    let width = 0.15;
    let grid: Vec<f64> = (0..900).map(|i| f64::from(i) * 0.01 - 1.0).collect();
    let curve = d.density(&grid, width);
    // The trapezoid rule is exact to rounding for a Gaussian sampled 15 times a standard deviation.
    let integral: f64 = curve.iter().map(|e| e.value).sum::<f64>() * 0.01;
    assert!((integral - 1.0).abs() < 1e-6, "{integral}");
    for (x, e) in grid.iter().zip(&curve).step_by(10) {
        let exact = eigenvalues.iter().map(|l| (-0.5 * ((x - l) / width).powi(2)).exp()).sum::<f64>()
            / (500.0 * width * (2.0 * std::f64::consts::PI).sqrt());
        // 90 points are looked at: 5 standard errors, and 1e-3 for smoothing of nodes 0.08 apart.
        assert!((e.value - exact).abs() < 5.0 * e.std_error + 1e-3, "at {x}: {e:?}, exact {exact}");
    }
}

#[test]
fn degenerate_requests() {
    let zero = DenseOperator::from_diagonal(&[0.0; 9]);
    let d = spectral_density(&zero, &DensityOptions::default(), &mut ()).unwrap();
    assert_eq!((d.index(0.0).value, d.moment(2).value, d.products), (0.0, 0.0, 16));
    let empty = DenseOperator::from_diagonal(&[]);
    assert!(spectral_density(&empty, &DensityOptions::default(), &mut ()).unwrap().support().is_none());
    let nan = FnOperator::new(9, |_: &[f64], y: &mut [f64]| y.fill(f64::NAN));
    let d = spectral_density(&nan, &DensityOptions::default(), &mut ()).unwrap();
    assert_eq!((d.status, d.probes.len()), (Status::NonFinite, 0));
    let error =
        spectral_density(&zero, &DensityOptions { probes: 0, ..Default::default() }, &mut ()).unwrap_err();
    assert!(matches!(error, DensityError::Zero { what: "the number of probes" }));
    let mut stop = |_: &saddlescope_krylov::Progress<'_>| std::ops::ControlFlow::Break(());
    let a = PrescribedSpectrum::new((0..50).map(f64::from).collect(), 4);
    let d = spectral_density(&a, &DensityOptions::default(), &mut stop).unwrap();
    assert_eq!((d.status, d.products, d.probes.len()), (Status::Cancelled, 4, 4));
}
