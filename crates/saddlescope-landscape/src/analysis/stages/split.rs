//! Where negative curvature comes from: H = G + R with the generalised Gauss–Newton matrix G and the rest R.

use std::ops::ControlFlow;

use saddlescope_krylov::{ExtremeEigen, Progress, Wanted, extreme_eigenpairs, vectors_at_a_time};

use super::super::error::AnalysisError;
use super::super::found::Eigenpairs;
use super::super::found::Found;
use super::super::journal::Journal;
use super::super::plan::Forecast;
use super::super::results::{PartEigenvalue, SplitResult};
use super::super::selection::SplitOptions;
use super::super::stage::{At, Env, Keys, Stage, of};
use super::super::store::{Dependencies, Slot};
use crate::curvature_operator::CurvatureOperator;
use crate::risk::Curvature;

/// Extreme eigenvalues of G and of R, and both quadratic forms at the Hessian's extreme eigenvectors.
pub(crate) struct SplitStage {
    /// How exactly.
    pub options: SplitOptions,
    /// Bytes that a Krylov basis may take.
    pub basis: usize,
}

const PARTS: [Curvature; 2] = [Curvature::GaussNewton, Curvature::Residual];

fn log_of(curvature: Curvature) -> String {
    format!("products-{curvature:?}")
}

impl Stage for SplitStage {
    type Output = SplitResult;

    fn name(&self) -> String {
        "split".into()
    }

    fn title(&self) -> String {
        "extreme eigenvalues of G and H − G".into()
    }

    fn dependencies(&self, keys: &Keys) -> Dependencies {
        let mut of = of([
            ("tolerance", self.options.tolerance.into()),
            ("max_products", self.options.max_products.into()),
            ("basis_bytes", self.basis.into()),
        ]);
        keys.put_eigenpairs(&mut of);
        of
    }

    fn forecast(&self, _env: &Env<'_>) -> Forecast {
        Forecast { products: 40, evaluations: 0 }
    }

    fn applies(&self, found: &Found) -> bool {
        found.eigenpairs.as_ref().is_some_and(|e| e.largest().is_some() && e.smallest().is_some())
    }

    fn compute(&self, at: &mut At<'_, '_>, _: Option<SplitResult>) -> Result<SplitResult, AnalysisError> {
        let eigenpairs = at.found.eigenpairs.as_ref();
        let (Some((_, top)), Some((_, bottom))) =
            (eigenpairs.and_then(Eigenpairs::largest), eigenpairs.and_then(Eigenpairs::smallest))
        else {
            return Err(AnalysisError::Other("the split needs both ends of the spectrum".into()));
        };
        let precision = at.env.subject.risk().offers().precision;
        let (env, slot, monitor) = (at.env, at.slot, &mut *at.monitor);
        let n = top.len();
        let mut vs = top.to_vec();
        vs.extend_from_slice(bottom);
        let mut quadratic = [[0.0; 2]; 2];
        for (part, curvature) in [Curvature::GaussNewton, Curvature::Residual].into_iter().enumerate() {
            let block = vectors_at_a_time(n).min(2);
            let mut out = vec![0.0; block * n];
            for (first, vs) in vs.chunks(block * n).enumerate() {
                env.product(curvature, vs, &mut out)?;
                for (i, (v, av)) in vs.chunks_exact(n).zip(out.chunks_exact(n)).enumerate() {
                    quadratic[first * block + i][part] = v.iter().zip(av).map(|(a, b)| a * b).sum();
                }
            }
        }
        let mut products = 4;
        let mut solve = |curvature: Curvature, wanted: Wanted, start: Vec<Vec<f64>>, name: &str| {
            monitor.begin(name, None);
            let operator = CurvatureOperator::new(env.point()?, curvature);
            let journal = Journal::open(&operator, &slot.file(&log_of(curvature)))?;
            let eigen = ExtremeEigen {
                wanted,
                tolerance: self.options.tolerance,
                max_products: self.options.max_products,
                precision,
                basis_limit: env.plan.basis_limit(),
                seed: env.selection.seed,
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
            env.count_products(solution.products);
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
        Ok(SplitResult {
            gauss_newton_largest: value(g.first()),
            residual_largest: value(r.first()),
            residual_smallest: value(r.last()),
            at_lambda_min: quadratic[1],
            at_lambda_max: quadratic[0],
            products,
        })
    }

    fn file(&self, output: SplitResult, slot: &Slot, found: &mut Found) -> Result<(), AnalysisError> {
        for curvature in PARTS {
            slot.remove(&log_of(curvature))?;
        }
        found.split = Some(output);
        Ok(())
    }
}
