//! How many vectors a basis may have.

use super::super::selection::{DensityStageOptions, EigenpairOptions, Selection};
use super::super::subject::Subject;
use super::MemoryPlan;
use crate::fn_risk::FnRisk;

/// Vectors of a basis for f64 parameters without, or with, a limit on memory.
fn vectors(n: usize, selection: &Selection, limit: Option<usize>) -> f64 {
    let risk = FnRisk::new(n, |_| 0.0).with_hessian(|_, _, out| out.fill(0.0));
    let subject = Subject::new("zero", vec![0.0; n], &risk);
    let plan = MemoryPlan::new(&subject, selection, 0, limit).unwrap();
    plan.basis as f64 / (8 * n) as f64
}

fn pairs(each: usize) -> Option<EigenpairOptions> {
    Some(EigenpairOptions { largest: each, smallest: each, ..EigenpairOptions::default() })
}

#[test]
fn a_basis_takes_so_many_bytes_and_what_a_solve_needs_in_any_case() {
    let selection = Selection::default();
    let fits = |n: usize| f64::from(5 << 28) / (8 * n) as f64;
    for (n, expected) in [(10_000, 128.0), (1_500_000, fits(1_500_000)), (4_000_000, 48.0)] {
        assert_eq!(vectors(n, &selection, None), expected, "{n}");
    }
    let steps =
        Selection { density: Some(DensityStageOptions { probes: 2, steps: 60 }), ..Selection::default() };
    assert_eq!(vectors(4_000_000, &steps, None), 61.0);
    let many = Selection { eigenpairs: pairs(40), ..Selection::default() };
    assert!(vectors(4_000_000, &many, None) >= 168.0, "twice 80 pairs and 8 more");
}

#[test]
fn a_limit_and_a_number_of_vectors_count_instead() {
    let n = 1_500_000;
    let limited = vectors(n, &Selection::default(), Some(16 << 30));
    assert_eq!(limited, 128.0, "a third of the limit is more than 128 vectors");
    let asked = Selection {
        eigenpairs: Some(EigenpairOptions { basis_vectors: Some(200), ..EigenpairOptions::default() }),
        ..Selection::default()
    };
    assert_eq!(vectors(n, &asked, None), 200.0);
}
