//! Where negative curvature comes from: H = G + R with the generalised Gauss–Newton matrix G and the rest R.

use crate::risk::Curvature;
use saddlescope_krylov::Precision;
use saddlescope_krylov::{ExtremeEigen, Progress, Wanted, extreme_eigenpairs};
use std::ops::ControlFlow;

use super::eigen::EigenStage;
use super::error::AnalysisError;
use super::folder::RunFolder;
use super::journal::Journal;
use super::memory::MemoryPlan;
use super::monitor::Monitor;
use super::options::AnalysisOptions;
use super::results::{PartEigenvalue, SplitResult};
use crate::curvature_operator::CurvatureOperator;
use crate::risk::Point;

/// Finds the extreme eigenvalues of G and of R, and both quadratic forms at the Hessian's extreme eigenvectors.
///
/// # Errors
/// Cancelled, or a folder that cannot be written.
pub fn split(
    near: &dyn Point,
    precision: Precision,
    stage: &EigenStage,
    options: &AnalysisOptions,
    plan: &MemoryPlan,
    folder: &RunFolder,
    monitor: &mut dyn Monitor,
) -> Result<Option<SplitResult>, AnalysisError> {
    if let Some(result) = folder.load::<SplitResult>("split")? {
        return Ok(Some(result));
    }
    let (Some((_, top)), Some((_, bottom))) = (stage.largest(), stage.smallest()) else { return Ok(None) };
    let n = top.len();
    let mut vs = top.to_vec();
    vs.extend_from_slice(bottom);
    let mut quadratic = [[0.0; 2]; 2];
    for (part, curvature) in [Curvature::GaussNewton, Curvature::Residual].into_iter().enumerate() {
        let mut out = vec![0.0; vs.len()];
        near.product(curvature, &vs, &mut out)?;
        for (end, (v, av)) in vs.chunks_exact(n).zip(out.chunks_exact(n)).enumerate() {
            quadratic[end][part] = v.iter().zip(av).map(|(a, b)| a * b).sum();
        }
    }
    let mut products = 4;
    let mut solve = |curvature: Curvature, wanted: Wanted, start: Vec<Vec<f64>>, name: &str| {
        monitor.begin(name, None);
        let operator = CurvatureOperator::new(near, curvature);
        let log = format!("split-{curvature:?}.products");
        let journal = Journal::open(&operator, &folder.work(&log))?;
        let eigen = ExtremeEigen {
            wanted,
            tolerance: options.tolerance.max(1e-2),
            max_products: options.max_products,
            precision,
            basis_limit: plan.basis_limit(),
            seed: options.seed,
            start,
            ..ExtremeEigen::default()
        };
        let mut cancelled = false;
        let solution = extreme_eigenpairs(&journal, &eigen, &mut |p: &Progress<'_>| {
            monitor.advance(p.products as u64, "");
            cancelled = monitor.cancelled();
            if cancelled { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        journal.finish()?;
        if cancelled {
            return Err(AnalysisError::Cancelled);
        }
        products += solution.products;
        monitor.end("");
        Ok(solution.pairs)
    };
    let value = |pair: Option<&saddlescope_krylov::Eigenpair>| PartEigenvalue {
        value: pair.map_or(f64::NAN, |p| p.value),
        residual: pair.map_or(f64::INFINITY, |p| p.residual),
        converged: pair.is_some_and(|p| p.converged),
    };
    // The Hessian's own extreme eigenvectors are good starts: G dominates at the top, R at the bottom.
    let g = solve(
        Curvature::GaussNewton,
        Wanted::Ends { largest: 1, smallest: 0 },
        vec![top.to_vec()],
        "largest eigenvalue of the Gauss–Newton matrix G",
    )?;
    let r = solve(
        Curvature::Residual,
        Wanted::Ends { largest: 1, smallest: 1 },
        vec![top.to_vec(), bottom.to_vec()],
        "extreme eigenvalues of H − G",
    )?;
    let result = SplitResult {
        gauss_newton_largest: value(g.first()),
        residual_largest: value(r.first()),
        residual_smallest: value(r.last()),
        at_lambda_min: quadratic[1],
        at_lambda_max: quadratic[0],
        products,
    };
    folder.save("split", &result)?;
    for curvature in [Curvature::GaussNewton, Curvature::Residual] {
        folder.remove(&format!("split-{curvature:?}.products"))?;
    }
    Ok(Some(result))
}
