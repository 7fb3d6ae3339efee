use super::*;
use crate::analytic::{Himmelblau, KnownCriticalPoint, MonkeySaddle, Quadratic, Rosenbrock, SignedSquares};
use saddlescope_krylov::Progress;

fn read(objective: &dyn KnownCriticalPoint) -> PointReading {
    read_point(objective, &objective.critical_point(), &ReadingOptions::default(), &mut ()).unwrap()
}

fn close(estimate: Estimate, exact: f64) {
    // Five standard errors, and rounding for estimates without any.
    let allowed = 5.0 * estimate.std_error + 1e-9 * exact.abs().max(1.0);
    assert!((estimate.value - exact).abs() <= allowed, "{estimate:?} against {exact}");
}

#[test]
fn the_papers_saddles_are_read_right_where_random_planes_say_minimum() {
    let loss = SignedSquares::new(500, 800).unwrap();
    let reading = read(&loss);
    assert_eq!(reading.classification.kind, CriticalKind::Saddle);
    assert!(reading.classification.critical);
    assert_eq!((reading.loss, reading.gradient_norm), (0.0, 0.0));
    close(reading.trace, loss.trace());
    close(reading.trace_of_square, loss.trace_of_square());
    close(reading.mean_curvature, loss.mean_curvature());
    close(reading.index, 200.0);
    let (top, bottom) = (reading.largest.unwrap(), reading.smallest.unwrap());
    assert!(
        (top.value - 1.0).abs() <= top.residual + 1e-12
            && (bottom.value + 1.0).abs() <= bottom.residual + 1e-12
    );
    assert_eq!(reading.random_planes.says, PlaneShape::Minimum);
    assert_eq!(reading.random_planes.minimum.hits, 100);
    assert!(reading.random_planes.saddle_closed_form < 1e-20);

    let balanced = read(&SignedSquares::balanced(500).unwrap());
    assert_eq!(balanced.classification.kind, CriticalKind::Saddle);
    close(balanced.index, 500.0);
    assert_eq!(balanced.random_planes.says, PlaneShape::Saddle);
}

#[test]
fn minima_maxima_and_degenerate_points_are_told_apart() {
    let kind = |objective: &dyn KnownCriticalPoint| read(objective).classification.kind;
    assert_eq!(kind(&Himmelblau::new()), CriticalKind::Minimum);
    assert_eq!(kind(&Rosenbrock::new(20).unwrap()), CriticalKind::Minimum);
    let quadratic = |values: &[f64]| Quadratic::rotated(values.to_vec(), 1).unwrap();
    let down = read(&quadratic(&[-1.0, -2.0, -0.5]));
    assert_eq!(down.classification.kind, CriticalKind::Maximum);
    assert_eq!(down.random_planes.says, PlaneShape::Maximum);
    close(down.index, 3.0);
    assert_eq!(kind(&quadratic(&[3.0, 0.0, 1.0, 0.0])), CriticalKind::Degenerate);
    assert_eq!(kind(&quadratic(&[-3.0, 0.0, -1.0])), CriticalKind::Degenerate);
    let monkey = read(&MonkeySaddle::new());
    assert_eq!(monkey.classification.kind, CriticalKind::Degenerate);
    assert!(monkey.classification.reasons[0].contains("say nothing"));
    assert_eq!(monkey.random_planes.says, PlaneShape::Undecided);
}

#[test]
fn a_slope_is_reported_and_an_unconverged_minimum_is_not_believed() {
    let quadratic = Quadratic::diagonal(vec![1.0, 2.0, 3.0]).unwrap();
    let reading = read_point(&quadratic, &[1.0, 0.0, 0.0], &ReadingOptions::default(), &mut ()).unwrap();
    assert!(
        !reading.classification.critical
            && reading.classification.reasons[0].contains("not a critical point")
    );
    assert_eq!(reading.classification.kind, CriticalKind::Minimum);
    assert_eq!(reading.gradient_norm, 1.0);

    let curvature = |value, residual, converged| Some(ExtremeCurvature { value, residual, converged });
    let kind = |bottom, top| classify(0.0, 1e-6, bottom, top, 1e-12).kind;
    assert_eq!(kind(curvature(0.5, 0.1, false), curvature(2.0, 0.1, true)), CriticalKind::Undecided);
    // Opposite signs prove a saddle, converged or not, unless an interval holds zero.
    assert_eq!(kind(curvature(-0.5, 0.1, false), curvature(2.0, 0.1, false)), CriticalKind::Saddle);
    assert_eq!(kind(curvature(-0.5, 0.6, false), curvature(2.0, 0.1, false)), CriticalKind::Undecided);
    assert_eq!(kind(curvature(-1e-3, 1e-2, true), curvature(2.0, 0.1, true)), CriticalKind::Degenerate);
    assert_eq!(kind(None, None), CriticalKind::Undecided);
    assert_eq!(kind(curvature(f64::NAN, 0.0, true), curvature(1.0, 0.0, true)), CriticalKind::Undecided);
}

#[test]
fn readings_are_stopped_and_refused_with_a_reason() {
    struct Stop;
    impl Observer for Stop {
        fn progress(&mut self, _: &Progress<'_>) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    let loss = SignedSquares::balanced(50).unwrap();
    let theta = loss.critical_point();
    let options = ReadingOptions::default();
    assert!(matches!(read_point(&loss, &theta, &options, &mut Stop), Err(ReadingError::Stopped)));
    assert!(matches!(
        read_point(&loss, &theta[1..], &options, &mut ()),
        Err(ReadingError::Risk(RiskError::Theta { .. }))
    ));
    let single = Quadratic::diagonal(vec![1.0]).unwrap();
    assert!(matches!(read_point(&single, &[0.0], &options, &mut ()), Err(ReadingError::Planes(_))));
}
