use super::*;
use crate::{ParamLayout, Point};
use std::sync::atomic::{AtomicUsize, Ordering};

/// ½ ‖θ‖² with one thing wrong.
struct Faulty {
    layout: ParamLayout,
    fault: &'static str,
    calls: AtomicUsize,
}

struct FaultyPoint<'a>(&'a Faulty, Vec<f64>);

impl Objective for Faulty {
    fn layout(&self) -> &ParamLayout {
        &self.layout
    }

    fn value(&self, theta: &[f64]) -> f64 {
        let drift =
            if self.fault == "drift" { self.calls.fetch_add(1, Ordering::Relaxed) as f64 } else { 0.0 };
        let nan = if self.fault == "nan" { f64::NAN } else { 0.0 };
        0.5 * dot(theta, theta) + drift + nan
    }

    fn at<'a>(&'a self, theta: &[f64]) -> Box<dyn Point + 'a> {
        Box::new(FaultyPoint(self, theta.to_vec()))
    }
}

impl Point for FaultyPoint<'_> {
    fn value(&self) -> f64 {
        self.0.value(&self.1) + if self.0.fault == "point" { 1e-3 } else { 0.0 }
    }

    fn gradient(&self, grad: &mut [f64]) {
        grad.copy_from_slice(&self.1);
        if self.0.fault == "gradient" {
            grad[1] *= 1.001;
        }
    }

    fn hvp(&self, vs: &[f64], hvs: &mut [f64]) {
        let n = self.1.len();
        for (i, (v, hv)) in vs.chunks_exact(n).zip(hvs.chunks_exact_mut(n)).enumerate() {
            hv.copy_from_slice(v);
            match self.0.fault {
                "hessian" => hv.iter_mut().for_each(|x| *x *= 1.0 + 1e-4),
                // Small enough to slip through the comparison with differences.
                "symmetry" => hv[0] += 1e-8 * v[2],
                "block" if i == 1 => hv[0] += 1e-9,
                _ => {}
            }
        }
    }
}

fn verdict(fault: &'static str) -> Result<ObjectiveCheck, CheckError> {
    let mut layout = ParamLayout::flat(5);
    if fault == "layout" {
        layout.blocks[0].shape = vec![2, 2];
    }
    let faulty = Faulty { layout, fault, calls: AtomicUsize::new(0) };
    check_objective(&faulty, &[0.3, -1.0, 2.0, 0.5, 0.1], &CheckOptions::default())
}

#[test]
fn a_correct_objective_passes_with_small_errors() {
    let report = verdict("none").unwrap();
    // A quadratic has no truncation error: ε/step ≈ 1e-11 remains.
    assert!(report.gradient < 1e-10 && report.hessian < 1e-10);
    assert!(report.symmetry < 1e-15 && report.block == 0.0);
}

#[test]
fn every_fault_is_found_by_its_own_check() {
    let named = |fault, part: &str| match verdict(fault) {
        Err(CheckError::Disagreement { what, .. }) => assert!(what.contains(part), "{fault}: {what}"),
        other => panic!("{fault}: {other:?}"),
    };
    named("gradient", "gradient against");
    named("hessian", "product against differences");
    named("symmetry", "⟨u, Hv⟩");
    named("block", "block");
    named("point", "value of the point");
    assert!(matches!(verdict("drift"), Err(CheckError::NotRepeatable { .. })));
    assert!(matches!(verdict("nan"), Err(CheckError::NotFinite { .. })));
    assert!(matches!(verdict("layout"), Err(CheckError::Layout { .. })));
}

#[test]
fn wrong_lengths_and_empty_objectives_are_refused() {
    let faulty = Faulty { layout: ParamLayout::flat(5), fault: "none", calls: AtomicUsize::new(0) };
    let options = CheckOptions::default();
    assert!(matches!(check_objective(&faulty, &[1.0], &options), Err(CheckError::Theta(_))));
    let empty = Faulty { layout: ParamLayout::flat(0), fault: "none", calls: AtomicUsize::new(0) };
    assert!(matches!(check_objective(&empty, &[], &options), Err(CheckError::Empty)));
}
