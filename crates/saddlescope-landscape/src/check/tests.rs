use super::*;
use crate::ParameterLayout;
use crate::risk::{Evaluation, Offers, Point, Product};
use saddlescope_krylov::Precision;
use std::sync::atomic::{AtomicUsize, Ordering};

/// ½ ‖θ‖² with one thing wrong.
struct Faulty {
    layout: ParameterLayout,
    fault: &'static str,
    calls: AtomicUsize,
}

struct FaultyPoint<'a>(&'a Faulty, Vec<f64>);

impl Risk for Faulty {
    fn layout(&self) -> &ParameterLayout {
        &self.layout
    }

    fn offers(&self) -> Offers {
        Offers {
            gradient: true,
            curvatures: vec![Curvature::Hessian],
            accuracy: false,
            chunks: false,
            repeatable: true,
            precision: Precision::F64,
        }
    }

    fn evaluate(&self, theta: &[f64]) -> Result<Evaluation, RiskError> {
        let drift =
            if self.fault == "drift" { self.calls.fetch_add(1, Ordering::Relaxed) as f64 } else { 0.0 };
        let nan = if self.fault == "nan" { f64::NAN } else { 0.0 };
        Ok(Evaluation::of_loss(0.5 * dot(theta, theta) + drift + nan))
    }

    fn gradient(&self, theta: &[f64], gradient: &mut [f64]) -> Result<Evaluation, RiskError> {
        gradient.copy_from_slice(theta);
        if self.fault == "gradient" {
            gradient[1] *= 1.001;
        }
        let shift = if self.fault == "beside" { 1e-3 } else { 0.0 };
        Ok(Evaluation::of_loss(self.evaluate(theta)?.loss + shift))
    }

    fn at<'a>(&'a self, theta: &[f64], _keep: usize) -> Result<Box<dyn Point + 'a>, RiskError> {
        Ok(Box::new(FaultyPoint(self, theta.to_vec())))
    }
}

impl Point for FaultyPoint<'_> {
    fn dim(&self) -> usize {
        self.1.len()
    }

    fn product(&self, _: Curvature, vs: &[f64], hvs: &mut [f64]) -> Result<Product, RiskError> {
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
        Ok(Product::default())
    }
}

fn verdict(fault: &'static str) -> Result<RiskCheck, CheckError> {
    let mut layout = ParameterLayout::flat(5);
    if fault == "layout" {
        layout.blocks[0].shape = vec![2, 2];
    }
    let faulty = Faulty { layout, fault, calls: AtomicUsize::new(0) };
    check_risk(&faulty, &[0.3, -1.0, 2.0, 0.5, 0.1], &CheckOptions::default())
}

#[test]
fn a_correct_risk_passes_with_small_errors() {
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
    named("beside", "value beside the gradient");
    assert!(matches!(verdict("drift"), Err(CheckError::NotRepeatable { .. })));
    assert!(matches!(verdict("nan"), Err(CheckError::NotFinite { .. })));
    assert!(matches!(verdict("layout"), Err(CheckError::Layout { .. })));
}

#[test]
fn wrong_lengths_and_empty_risks_are_refused() {
    let faulty = Faulty { layout: ParameterLayout::flat(5), fault: "none", calls: AtomicUsize::new(0) };
    let options = CheckOptions::default();
    assert!(matches!(check_risk(&faulty, &[1.0], &options), Err(CheckError::Risk(RiskError::Theta { .. }))));
    let empty = Faulty { layout: ParameterLayout::flat(0), fault: "none", calls: AtomicUsize::new(0) };
    assert!(matches!(check_risk(&empty, &[], &options), Err(CheckError::Empty)));
}
