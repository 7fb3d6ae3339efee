use super::*;
use crate::analytic::{ClosedForm, KnownCriticalPoint, Quadratic, SignedSquares};
use crate::{Direction, Evaluation, FnRisk, Origin, PlaneError};

fn plane() -> (SignedSquares, Plane) {
    let loss = SignedSquares::new(4, 6).unwrap();
    let u = Direction::random(9, 2, 0).unwrap();
    let v = Direction::random(9, 2, 1).unwrap();
    let plane = Plane::new(loss.critical_point(), u, v).unwrap();
    (loss, plane)
}

fn keep_going(_: SurfaceRow<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn complete(outcome: SurfaceOutcome) -> Surface {
    match outcome {
        SurfaceOutcome::Complete(surface) => surface,
        SurfaceOutcome::Stopped(_) => panic!("nobody stopped it"),
    }
}

#[test]
fn a_non_square_grid_has_each_value_in_its_place() {
    let (loss, plane) = plane();
    let (a, b) = (Axis::parse("-1:2:4").unwrap(), Axis::parse("0:1:3").unwrap());
    let outcome =
        evaluate_surface(&plane, a, b, FinishedRows::default(), Threading::Spread, &loss, &mut keep_going);
    let surface = complete(outcome.unwrap());
    assert_eq!(surface.loss.len(), 12);
    let mut theta = vec![0.0; 9];
    for i in 0..4 {
        for j in 0..3 {
            plane.point(a.value(i), b.value(j), &mut theta);
            assert_eq!(surface.loss_at(i, j), Some(loss.value(&theta)));
        }
    }
    assert_eq!(surface.loss_at(0, 3), None);
    assert_eq!(surface.loss_at(4, 0), None);
    let json = serde_json::to_string(&surface).unwrap();
    assert_eq!(serde_json::from_str::<Surface>(&json).unwrap(), surface);
}

#[test]
fn stopping_and_continuing_gives_the_same_bits_on_any_number_of_threads() {
    let (loss, plane) = plane();
    let (a, b) = (Axis::parse("-1:1:7").unwrap(), Axis::parse("-1:1:5").unwrap());
    let run = |finished, threading, on_row: &mut dyn FnMut(SurfaceRow<'_>) -> ControlFlow<()>| {
        evaluate_surface(&plane, a, b, finished, threading, &loss, on_row).unwrap()
    };
    let whole = complete(run(FinishedRows::default(), Threading::Sequential, &mut keep_going));
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut seen = Vec::new();
            let stopped = run(FinishedRows::default(), Threading::Spread, &mut |row| {
                seen.push((row.index, row.alpha, row.loss.to_vec()));
                if row.index == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            let SurfaceOutcome::Stopped(rows) = stopped else { panic!("it was stopped at row 2") };
            assert_eq!(seen.len(), 3);
            assert_eq!(rows.loss, seen.iter().flat_map(|(_, _, row)| row.clone()).collect::<Vec<_>>());
            let mut later = Vec::new();
            let surface = complete(run(rows, Threading::Spread, &mut |row| {
                later.push(row.index);
                ControlFlow::Continue(())
            }));
            assert_eq!(later, vec![3, 4, 5, 6]);
            assert_eq!(surface, whole);
        });
    }
}

#[test]
fn nan_stays_and_the_minimum_looks_past_it() {
    let quadratic = Quadratic::diagonal(vec![1.0, 1.0]).unwrap();
    let axis = |i: usize| {
        let mut v = vec![0.0; 2];
        v[i] = 1.0;
        Direction::new(v, Origin::Given).unwrap()
    };
    let plane = Plane::new(vec![0.0, 0.0], axis(0), axis(1)).unwrap();
    let (a, b) = (Axis::parse("-1:1:5").unwrap(), Axis::parse("-2:2:3").unwrap());
    let risk = FnRisk::fallible(2, |theta| {
        let loss = if theta == [0.0, 0.0] { f64::NAN } else { quadratic.value(theta) };
        Ok(Evaluation { correct: Some((1, 4)), ..Evaluation::of_loss(loss) })
    });
    let outcome = evaluate_surface(
        &plane,
        a,
        b,
        FinishedRows::default(),
        Threading::Sequential,
        &risk,
        &mut keep_going,
    );
    let surface = complete(outcome.unwrap());
    assert_eq!(surface.nan_count(), 1);
    assert!(surface.loss_at(2, 1).unwrap().is_nan());
    assert_eq!(surface.accuracy, Some(vec![0.25; 15]));
    let minimum = surface.minimum().unwrap();
    assert_eq!((minimum.alpha, minimum.beta, minimum.loss, minimum.cell), (-0.5, 0.0, 0.125, (1, 1)));
    let blank = Surface {
        a,
        b,
        loss: vec![f64::NAN; 15],
        accuracy: None,
        center: 0.0,
        center_std_error: None,
        errors: None,
        evaluated: None,
    };
    assert_eq!(blank.minimum(), None);
}

#[test]
fn bad_requests_are_refused() {
    let (loss, plane) = plane();
    let (a, b) = (Axis::parse("-1:1:4").unwrap(), Axis::parse("-1:1:3").unwrap());
    let run = |a, b, finished| {
        evaluate_surface(&plane, a, b, finished, Threading::Sequential, &loss, &mut keep_going)
    };
    let rows = |n, accuracy: Option<usize>| FinishedRows {
        loss: vec![0.0; n],
        accuracy: accuracy.map(|n| vec![0.0; n]),
        errors: None,
    };
    assert!(matches!(run(a, b, rows(4, None)), Err(SurfaceError::FinishedRows { found: 4, .. })));
    assert!(matches!(run(a, b, rows(15, None)), Err(SurfaceError::FinishedRows { .. })));
    assert!(matches!(run(a, b, rows(3, Some(2))), Err(SurfaceError::FinishedRows { .. })));
    assert!(matches!(run(a, b, rows(3, Some(3))), Err(SurfaceError::Row(_))));
    let long = Axis::parse("0:1:1000000").unwrap();
    assert!(matches!(run(long, long, rows(0, None)), Err(SurfaceError::TooLarge { .. })));
    let dim = plane.center().len();
    let mixed = FnRisk::fallible(dim, |theta| {
        Ok(Evaluation { correct: (theta[0] > 0.0).then_some((1, 1)), ..Evaluation::of_loss(0.0) })
    });
    let outcome = evaluate_surface(
        &plane,
        a,
        b,
        FinishedRows::default(),
        Threading::Sequential,
        &mixed,
        &mut keep_going,
    );
    assert_eq!(outcome, Err(SurfaceError::Row(RowError::SomeAccuracies)));
}

/// Samples ℓₛ(x, y) = cₛ + aₛ x + y²: the errors of loss and difference follow from the spread of cₛ + aₛ x and of aₛ x.
fn samples() -> (FnRisk<'static>, [f64; 4], [f64; 4]) {
    let (c, a) = ([1.0, 5.0, -2.0, 0.5], [0.25, -1.0, 3.0, 0.5]);
    let risk = FnRisk::mean(2, 4, move |t, losses| {
        for (s, loss) in losses.iter_mut().enumerate() {
            *loss = c[s] + a[s] * t[0] + t[1] * t[1];
        }
    });
    (risk, c, a)
}

/// s/√n by the textbook.
fn standard_error(values: [f64; 4]) -> f64 {
    let mean = values.iter().sum::<f64>() / 4.0;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 3.0 / 4.0).sqrt()
}

#[test]
fn errors_of_loss_and_difference_are_those_of_the_samples() {
    let (risk, c, a) = samples();
    let unit = |v: &[f64]| Direction::new(v.to_vec(), Origin::Given).unwrap();
    let plane = Plane::new(vec![0.5, 0.0], unit(&[1.0, 0.0]), unit(&[0.0, 1.0])).unwrap();
    // θ itself is not on the second grid.
    for (alpha, on_grid) in [("-2:2:5", true), ("1:3:5", false)] {
        let (axis, b) = (Axis::parse(alpha).unwrap(), Axis::parse("-1:1:3").unwrap());
        let run = |finished, stop: usize| {
            evaluate_surface(&plane, axis, b, finished, Threading::Spread, &risk, &mut |row| {
                if row.index == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .unwrap()
        };
        let surface = complete(run(FinishedRows::default(), 99));
        let errors = surface.errors.clone().unwrap();
        let mean = |v: [f64; 4]| v.iter().sum::<f64>() / 4.0;
        assert!((surface.center - (mean(c) + 0.5 * mean(a))).abs() < 1e-15);
        for i in 0..5 {
            for j in 0..3 {
                let x = axis.value(i);
                let at: [f64; 4] = std::array::from_fn(|s| c[s] + a[s] * (0.5 + x));
                let moved = a.map(|a| a * x);
                let index = 3 * i + j;
                // Some ten roundings of numbers below 20.
                assert!((errors.loss[index] - standard_error(at)).abs() < 1e-14);
                assert!((errors.difference[index] - standard_error(moved)).abs() < 1e-14);
                let d = surface.difference(index);
                assert!((d.value - (mean(moved) + b.value(j).powi(2))).abs() < 1e-14);
                assert_eq!(d.std_error, Some(errors.difference[index]));
            }
        }
        if on_grid {
            assert_eq!((errors.difference[7], surface.loss[7]), (0.0, surface.center));
        }
        // Stopped and gone on with: the same bits.
        let SurfaceOutcome::Stopped(rows) = run(FinishedRows::default(), 1) else {
            panic!("stopped at row 1")
        };
        assert_eq!(complete(run(rows.clone(), 99)), surface);
        let without = FinishedRows { errors: None, ..rows };
        let outcome = evaluate_surface(&plane, axis, b, without, Threading::Spread, &risk, &mut keep_going);
        assert_eq!(outcome, Err(SurfaceError::SomeErrors));
    }
}

#[test]
fn one_sample_has_no_error() {
    let (loss, plane) = plane();
    let axis = Axis::parse("-1:1:3").unwrap();
    let one = FnRisk::mean(9, 1, |t, losses| losses[0] = loss.value(t));
    for risk in [&loss as &dyn Risk, &one] {
        let done = FinishedRows::default();
        let outcome = evaluate_surface(&plane, axis, axis, done, Threading::Spread, risk, &mut keep_going);
        let surface = complete(outcome.unwrap());
        assert_eq!(surface.errors, None);
        let d = surface.minimum().unwrap().difference;
        assert_eq!((d.std_error, d.significant()), (None, None));
    }
}

#[test]
fn impossible_planes_are_refused() {
    let d = |v: &[f64]| Direction::new(v.to_vec(), Origin::Given).unwrap();
    let (x, y) = (d(&[1.0, 2.0]), d(&[-3.0, -6.0]));
    assert!(matches!(Plane::new(vec![0.0; 2], x.clone(), y), Err(PlaneError::Parallel { .. })));
    assert!(matches!(Plane::new(vec![0.0; 3], x.clone(), x.clone()), Err(PlaneError::Direction(_))));
    let center = vec![0.0, f64::NAN];
    assert!(matches!(Plane::new(center, x, d(&[1.0, 0.0])), Err(PlaneError::Center { index: 1, .. })));
}
